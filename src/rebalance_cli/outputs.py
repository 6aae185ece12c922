"""Models of the JSON that commands print with ``--json``; published as schemas in ``docs/schemas``."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from rebalance_cli.answer import Answer
from rebalance_cli.corporate_action_answers import CorporateActions
from rebalance_executor.domain.market import BrokerKind, TimeInForce
from rebalance_executor.domain.plan import Action, SizeBy
from rebalance_executor.domain.result import ExecutionResult, ExecutionStatus, OrderResult
from rebalance_executor.domain.risk_state import KillSwitchRecord, TradingState
from rebalance_executor.domain.values import Amount, Timestamp


class Failure(Answer):
    """Answer of every command that ends with an error."""

    error: str = Field(description="One sentence that says what is wrong.")
    code: str = Field(description="Code of the error, or name of the exit code.")
    next: str = Field(description="Command to type or thing to change.")
    exit_code: int


# --- reading the journal ---------------------------------------------------------------------------------


class KillSwitchAnswer(Answer):
    """State of an account's kill switch."""

    account: str
    state: TradingState
    by: str = Field(description="Operator who set it.")
    reason: str
    at: Timestamp | None = Field(description="When it was set; null if it was never set.")

    @classmethod
    def of(cls, account: str, switch: KillSwitchRecord) -> KillSwitchAnswer:
        """Return the answer for a stored kill switch."""
        return cls(account=account, state=switch.state, by=switch.by, reason=switch.reason, at=switch.at)


class LeaseAnswer(Answer):
    """Run that holds the account's lease."""

    run_id: str
    epoch: int
    until: Timestamp = Field(description="When the lease expires.")


class PlanLine(Answer):
    """One plan in a list."""

    plan_id: str
    status: str = Field(description="in_progress, or the status of its result.")
    phase: str
    started_at: Timestamp
    finished_at: Timestamp | None
    runs: int


class UnfinishedAnswer(Answer):
    """The account's plan that was started and is not finished. The next run of the account finishes it first."""

    plan_id: str
    started_at: Timestamp
    phase: str
    runs: int
    source: str | None = Field(description="Object version in S3 that the plan was read from; null if it was inline.")


class StatusAnswer(Answer):
    """``rebalance status``: an account and its plans, latest first."""

    account: str
    switch: KillSwitchAnswer
    lease: LeaseAnswer | None
    unfinished: UnfinishedAnswer | None = Field(description="Unfinished plan, whatever day it was started.")
    plans: tuple[PlanLine, ...]


class PlanProgress(StrEnum):
    """Progress of a plan."""

    FINISHED = "finished"
    """It has a result."""
    RUNNING = "running"
    """A run is working on it."""
    WAITING = "waiting"
    """No run is working on it; the next run of its account continues it."""


class RunLine(Answer):
    """One run of a plan."""

    run_id: str
    epoch: int
    started_at: Timestamp
    ended_at: Timestamp | None
    end: str | None = Field(description="COMPLETED, YIELDED or FAILED; null while it runs, or if it was killed.")
    reason: str | None


class OrderLine(Answer):
    """State of one order of a plan."""

    symbol: str
    side: str
    stage: str = Field(description="waiting, working, or the outcome.")
    qty: Amount = Field(description="Frozen quantity in shares, after any reduction.")
    requested_qty: Amount = Field(description="Shares that the plan asked for, before any reduction.")
    as_planned: bool | None = Field(
        default=None, description="True if it reached what the plan asked for; null until the plan finishes."
    )
    filled_qty: Amount
    attempts: int = Field(description="Number of orders sent.")
    limit_price: Amount | None = Field(description="Limit price of the open order; null if none is open.")
    code: str | None
    message: str | None


class PlanDetails(Answer):
    """``rebalance status PLAN`` and each line of ``rebalance watch PLAN``."""

    plan_id: str
    account: str
    broker: BrokerKind = Field(description="Broker of the orders. Only live fills have real costs.")
    progress: PlanProgress
    status: ExecutionStatus | None = Field(description="Status of the result; null until the plan finishes.")
    phase: str
    content_hash: str
    source: str | None = Field(description="Object version in S3 that the plan was read from; null if it was inline.")
    started_at: Timestamp
    finished_at: Timestamp | None
    filled_dollars: Amount = Field(description="Sum of the orders' filled dollars, each rounded to the cent.")
    runs: tuple[RunLine, ...]
    orders: tuple[OrderLine, ...]


class Step(Answer):
    """One event in the history of an order."""

    at: Timestamp
    source: Literal["journal", "log"]
    event: str
    text: str


class Explanation(Answer):
    """``rebalance explain PLAN SYMBOL``: the history of one order."""

    plan_id: str
    account: str
    broker: BrokerKind = Field(description="Broker of the order. Only live fills have real costs.")
    symbol: str
    source: str | None = Field(description="Object version in S3 that the plan was read from; null if it was inline.")
    verdict: str
    meaning: str | None = Field(description="Meaning of the order's code; null without a code.")
    steps: tuple[Step, ...]
    order: OrderResult | None = Field(description="Its part of the result; null until the plan finishes.")


class DayReport(Answer):
    """``rebalance report --day DAY``: the results of a day's plans."""

    account: str
    day: str
    need_attention: int = Field(description="Plans with a result that fell short of what they asked for.")
    results: tuple[ExecutionResult, ...] = Field(description="Those that need attention first, the worst one first.")
    unfinished: tuple[str, ...] = Field(description="Plans that started on that day and have no result.")


# --- plans before they are sent --------------------------------------------------------------------------


class Problem(Answer):
    """Problem or remark about one field."""

    path: str
    text: str


class Validation(Answer):
    """``rebalance validate PLAN``."""

    valid: bool
    plan_id: str | None
    content_hash: str | None = Field(description="Hash that apply and submit compare with --hash.")
    problems: tuple[Problem, ...] = Field(description="Problems; any of them makes the plan invalid.")
    remarks: tuple[Problem, ...] = Field(description="Remarks to check; the plan can be executed.")


class Decision(StrEnum):
    """Decision about an item in a preview."""

    SEND = "send"
    SKIP = "skip"
    DENY = "deny"


class PreviewOrder(Answer):
    """Expected handling of one item of the plan."""

    symbol: str
    action: Action
    decision: Decision
    code: str | None
    message: str | None
    planned_amount: Amount = Field(description="Amount in the plan, in dollars, signed.")
    requested_amount: Amount = Field(
        description="Dollars asked for, signed: those of the plan or, sized by a target, those to it; 0 for a HOLD."
    )
    qty: Amount = Field(description="Shares that would be ordered.")
    requested_qty: Amount = Field(description="Shares that the plan asks for; 0 if the item cannot be sized.")
    as_planned: bool = Field(
        default=False, description="True if the order reaches what the plan asks for, or if no trade is needed."
    )
    type: str | None = Field(description="Type of the first order that would be sent.")
    time_in_force: TimeInForce = Field(default=TimeInForce.DAY, description="opg or cls for an order in an auction.")
    limit_price: Amount | None
    bid: Amount | None
    ask: Amount | None
    estimated_amount: Amount = Field(description="Amount at the midpoint, in dollars, signed.")
    estimated_cost: Amount | None = Field(default=None, description="The forecast in dollars; null if unknown.")
    forecast_bps: Amount | None = Field(
        default=None,
        description="Forecast of the implementation shortfall, in basis points of the amount; null if unknown.",
    )
    forecast_low_bps: Amount | None = Field(default=None, description="Low end of its 90 % interval.")
    forecast_high_bps: Amount | None = Field(default=None, description="High end of its 90 % interval.")
    forecast_reason: str | None = Field(default=None, description="Reason why the forecast is unknown.")


class Preview(Answer):
    """``rebalance preview PLAN``: items that would be sent, denied and skipped, with live quotes."""

    plan_id: str
    account: str
    account_number: str | None = Field(description="Account number at the broker; null if the broker was not asked.")
    broker: BrokerKind = Field(description="Broker that the orders would be sent to.")
    content_hash: str
    size_by: SizeBy = Field(description="Field of the items that sizes their orders.")
    equity: Amount | None = Field(description="Live equity in dollars; null if unknown.")
    code: str | None = Field(description="Code if the plan as a whole would be denied.")
    message: str | None
    orders: tuple[PreviewOrder, ...]
    sells: Amount = Field(description="Sells at the midpoint, in dollars.")
    buys: Amount = Field(description="Buys at the midpoint, in dollars, after scaling to the cash.")
    estimated_cost: Amount | None = Field(
        default=None, description="Forecast cost of all orders in dollars; null if that of one order is unknown."
    )
    forecast_bps: Amount | None = Field(
        default=None,
        description="Forecast of the implementation shortfall, in basis points of the amount; null if unknown.",
    )
    forecast_low_bps: Amount | None = Field(default=None, description="Low end of its 90 % interval.")
    forecast_high_bps: Amount | None = Field(default=None, description="High end of its 90 % interval.")
    forecast_reason: str | None = Field(default=None, description="Reason why the forecast is unknown.")
    cash: Amount = Field(description="Dollars available now, to the cent.")
    cash_after: Amount = Field(description="Expected dollars afterwards, without the cost if that is unknown.")
    buy_budget: Amount | None = Field(description="Dollars that the buys are scaled to; null without buys.")
    unfinished: UnfinishedAnswer | None = Field(
        default=None, description="Unfinished plan of the account. It is finished first, and may change this preview."
    )
    ignored_fields: tuple[str, ...] = Field(
        default=(), description="Fields that the plan has and its schema does not, up to 20."
    )
    corporate_actions: CorporateActions | None = Field(
        default=None, description="Splits and symbol changes of the day; null if the plan trades nothing."
    )


class Submission(Answer):
    """``rebalance submit PLAN``."""

    plan_id: str
    content_hash: str
    to: str = Field(description="Address of the queue, or name of the event bus.")
    message_id: str


# --- operations ------------------------------------------------------------------------------------------


class BindingAnswer(Answer):
    """``rebalance bind``: the account name that a broker account belongs to."""

    account_number: str
    account: str
    former: str | None = Field(description="Name that it belonged to before; null if none.")
    bound_at: Timestamp
    by: str | None = Field(description="Operator who moved it; null if the first run bound it.")
    reason: str | None


class Check(Answer):
    """One check of the doctor."""

    name: str
    ok: bool
    warning: bool = Field(default=False, description="True if it passed, but something should be changed.")
    detail: str
    fix: str | None = Field(description="How to fix a failed check, or what to change; null if it passed.")


class Diagnosis(Answer):
    """``rebalance doctor``."""

    healthy: bool
    checks: tuple[Check, ...]


class DifferenceAnswer(Answer):
    """One difference between the broker and the journal."""

    symbol: str
    problem: str


class Reconciliation(Answer):
    """``rebalance reconcile PLAN``."""

    plan_id: str
    account: str
    agrees: bool
    compared: int = Field(description="Orders of the plan that reached the broker.")
    differences: tuple[DifferenceAnswer, ...]


class Served(Answer):
    """``rebalance serve``: the page that shows the account."""

    account: str
    url: str = Field(description="Address of the page on this machine.")


class Publication(Answer):
    """``rebalance publish PLAN``: the channels that have the stored result of a plan."""

    plan_id: str
    account: str
    published: tuple[str, ...] = Field(description="Channels that this command published the result on.")
    earlier: tuple[str, ...] = Field(description="Channels that had received it before.")
    failed: dict[str, str] = Field(description="Channels that did not accept it, with the reason.")


class DeadLetter(Answer):
    """A message in a dead-letter queue."""

    message_id: str
    plan_id: str | None
    problem: str | None = Field(description="Why a replay would fail again; null if it may succeed.")
    reason: str | None = Field(description="Why the deliveries failed, as far as queue, journal and message say.")
    sent_at: Timestamp | None
    attempts: int | None = Field(description="Calls of the function with it, without looks at it; null if unknown.")
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
    """``rebalance init``: the file that was written."""

    path: str
    account_number: str | None = Field(default=None, description="Number of the broker account, if it is your own.")
    equity: Amount | None = Field(default=None, description="Cash and positions of this account in dollars.")
    status: str | None = Field(default=None, description="The broker's status of this account.")
    keys: str | None = Field(default=None, description="File or keyring entry that holds its keys.")
    journal: str | None = Field(default=None, description="File of its journal.")
    next: str = Field(description="The next command.")


class Bundle(Answer):
    """``rebalance report --bundle``: the file for a bug report."""

    path: str
    files: tuple[str, ...] = Field(description="Names of the files in it.")
    replaced: dict[str, int] = Field(description="Pseudonym in place of account data → number of places.")


class LocalUp(Answer):
    """``rebalance local up``: addresses of the servers of this machine."""

    environment: dict[str, str] = Field(description="Environment variables that point to the servers.")
    aws: str
    broker: str
    page: str = Field(description="Address of the simulated broker's page.")


class LocalDone(Answer):
    """``rebalance local down`` and ``reset``."""

    stopped: tuple[str, ...] = Field(description="Servers that were running.")
    deleted: tuple[str, ...] = Field(description="Data folders that were deleted.")
