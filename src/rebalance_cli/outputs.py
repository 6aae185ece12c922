"""What the commands answer with ``--json``: typed, and published as schemas in ``docs/schemas``."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.plan import Action
from rebalance_executor.domain.result import ExecutionResult, ExecutionStatus, OrderResult
from rebalance_executor.domain.risk_state import KillSwitchRecord, TradingState
from rebalance_executor.domain.values import Amount, Timestamp


class Answer(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Failure(Answer):
    """What every command answers instead where it ends with an error."""

    error: str = Field(description="One sentence: what is wrong.")
    code: str = Field(description="The error's code, or the exit code's name.")
    next: str = Field(description="What to type or change now.")
    exit_code: int


# --- reading the journal ---------------------------------------------------------------------------------


class KillSwitchAnswer(Answer):
    """An account's kill switch."""

    account: str
    state: TradingState
    by: str = Field(description="Who set it.")
    reason: str
    at: Timestamp | None = Field(description="Null for a switch that nobody ever set.")

    @classmethod
    def of(cls, account: str, switch: KillSwitchRecord) -> KillSwitchAnswer:
        """The switch as an answer."""
        return cls(account=account, state=switch.state, by=switch.by, reason=switch.reason, at=switch.at)


class LeaseAnswer(Answer):
    """Who works on an account now."""

    run_id: str
    epoch: int
    until: Timestamp = Field(description="When it runs out by itself.")


class PlanLine(Answer):
    """One plan in a list."""

    plan_id: str
    status: str = Field(description="in_progress, or how it ended.")
    phase: str
    started_at: Timestamp
    finished_at: Timestamp | None
    runs: int


class StatusAnswer(Answer):
    """``rebalance status``: an account and its plans, the latest first."""

    account: str
    switch: KillSwitchAnswer
    lease: LeaseAnswer | None
    plans: tuple[PlanLine, ...]


class PlanProgress(StrEnum):
    """Where a plan stands."""

    FINISHED = "finished"
    """It has its result."""
    RUNNING = "running"
    """A run works on it now."""
    WAITING = "waiting"
    """No run works on it: the next delivery goes on."""


class RunLine(Answer):
    """One run of a plan."""

    run_id: str
    epoch: int
    started_at: Timestamp
    ended_at: Timestamp | None
    end: str | None = Field(description="COMPLETED, YIELDED or FAILED; null while it runs, or where it was killed.")
    reason: str | None


class OrderLine(Answer):
    """Where one order of a plan stands."""

    symbol: str
    side: str
    stage: str = Field(description="waiting, working, or its outcome.")
    qty: Amount = Field(description="Shares wanted.")
    filled_qty: Amount
    attempts: int = Field(description="Orders sent for it.")
    limit_price: Amount | None = Field(description="Of the order that is open.")
    code: str | None
    message: str | None


class PlanDetails(Answer):
    """``rebalance status PLAN`` and each line of ``rebalance watch PLAN``."""

    plan_id: str
    account: str
    progress: PlanProgress
    status: ExecutionStatus | None = Field(description="How it ended; null while it has not.")
    phase: str
    content_hash: str
    started_at: Timestamp
    finished_at: Timestamp | None
    filled_dollars: Amount
    runs: tuple[RunLine, ...]
    orders: tuple[OrderLine, ...]


class Step(Answer):
    """One thing that happened to an order."""

    at: Timestamp
    source: Literal["journal", "log"]
    event: str
    text: str


class Explanation(Answer):
    """``rebalance explain PLAN SYMBOL``: the whole story of one order."""

    plan_id: str
    account: str
    symbol: str
    verdict: str
    meaning: str | None = Field(description="What its code means.")
    steps: tuple[Step, ...]
    order: OrderResult | None = Field(description="Its part of the result; null while there is none.")


class DayReport(Answer):
    """``rebalance report --day DAY``: the results of a day's plans."""

    account: str
    day: str
    results: tuple[ExecutionResult, ...]
    unfinished: tuple[str, ...] = Field(description="Plans that were begun that day and have no result.")


# --- plans before they are sent --------------------------------------------------------------------------


class Problem(Answer):
    """What is wrong with one field, or remarkable about it."""

    path: str
    text: str


class Validation(Answer):
    """``rebalance validate PLAN``."""

    valid: bool
    plan_id: str | None
    content_hash: str | None = Field(description="What apply and submit compare with --hash.")
    problems: tuple[Problem, ...] = Field(description="Each forbids the plan.")
    remarks: tuple[Problem, ...] = Field(description="What is worth a second look; the plan may be executed.")


class Decision(StrEnum):
    """What would become of an item."""

    SEND = "send"
    SKIP = "skip"
    DENY = "deny"


class PreviewOrder(Answer):
    """What would become of one item of the plan."""

    symbol: str
    action: Action
    decision: Decision
    code: str | None
    message: str | None
    planned_amount: Amount = Field(description="Dollars of the plan's item, signed.")
    qty: Amount = Field(description="Shares that would be ordered.")
    type: str | None = Field(description="Of the first order that would be sent.")
    limit_price: Amount | None
    bid: Amount | None
    ask: Amount | None
    estimated_amount: Amount = Field(description="Dollars at mid, signed.")
    estimated_cost: Amount = Field(description="Dollars: half the spread, what trading at once would cost.")


class Preview(Answer):
    """``rebalance preview PLAN``: what would be sent, denied and skipped, from live quotes."""

    plan_id: str
    account: str
    account_number: str | None = Field(description="The broker's; null where the broker was not asked.")
    paper: bool
    content_hash: str
    code: str | None = Field(description="Why the plan as a whole would not be begun.")
    message: str | None
    orders: tuple[PreviewOrder, ...]
    sells: Amount = Field(description="Dollars at mid.")
    buys: Amount = Field(description="Dollars at mid, after scaling to the cash.")
    estimated_cost: Amount = Field(description="Dollars, of all that would be sent.")
    cash: Amount = Field(description="Dollars that may be spent now.")
    cash_after: Amount = Field(description="What would be left.")
    buy_budget: Amount | None = Field(description="Dollars the buys may cost in all; null where nothing is bought.")


class Submission(Answer):
    """``rebalance submit PLAN``."""

    plan_id: str
    content_hash: str
    to: str = Field(description="The queue's address, or the bus.")
    message_id: str


# --- operations ------------------------------------------------------------------------------------------


class Check(Answer):
    """One thing that the doctor looked at."""

    name: str
    ok: bool
    detail: str
    fix: str | None = Field(description="What to do, where it is not as it must be.")


class Diagnosis(Answer):
    """``rebalance doctor``."""

    healthy: bool
    checks: tuple[Check, ...]


class Deviation(Answer):
    """One thing in which the broker and the journal differ."""

    symbol: str
    problem: str


class Reconciliation(Answer):
    """``rebalance reconcile PLAN``."""

    plan_id: str
    account: str
    agrees: bool
    compared: int = Field(description="Orders of the plan that reached the broker.")
    differences: tuple[Deviation, ...]


class DeadLetter(Answer):
    """A message that could not be worked, as the queue holds it."""

    message_id: str
    plan_id: str | None
    problem: str | None = Field(description="Why it holds no plan.")
    sent_at: Timestamp | None
    deliveries: int
    body: str


class DeadLetters(Answer):
    """``rebalance dlq list``."""

    queue: str
    messages: tuple[DeadLetter, ...]


class DeadLetterDone(Answer):
    """``rebalance dlq replay`` and ``discard``."""

    message_id: str
    plan_id: str | None
    done: Literal["replayed", "discarded"]


class Written(Answer):
    """``rebalance init``, and ``rebalance plan from-csv`` with an output: a file was written."""

    path: str
    next: str = Field(description="The next command.")


class LocalUp(Answer):
    """``rebalance local up``: where the servers of this machine are."""

    environment: dict[str, str] = Field(description="The variables that lead there.")
    aws: str
    broker: str
    page: str = Field(description="The paper broker's own page.")


class LocalDone(Answer):
    """``rebalance local down`` and ``reset``."""

    stopped: tuple[str, ...] = Field(description="Servers that were running.")
    deleted: tuple[str, ...] = Field(description="Folders of data.")


ANSWERS: dict[str, type[Answer]] = {
    "failure": Failure,
    "written": Written,
    "local-up": LocalUp,
    "local-done": LocalDone,
    "status": StatusAnswer,
    "status-plan": PlanDetails,
    "explain": Explanation,
    "report-day": DayReport,
    "validate": Validation,
    "preview": Preview,
    "submit": Submission,
    "switch": KillSwitchAnswer,
    "doctor": Diagnosis,
    "reconcile": Reconciliation,
    "dlq-list": DeadLetters,
    "dlq-done": DeadLetterDone,
}
"""Name of the published schema → answer. Commands that answer with a result use the result's own schema."""

SETTLED_STAGES = frozenset(outcome.value.lower() for outcome in Outcome)
