"""Page of ``rebalance serve``: an account and its plans of the day as they run, in the style of the report."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from rebalance_cli.formatting import NONE, counted
from rebalance_cli.outputs import PlanDetails
from rebalance_cli.queries.explain import in_execution_order, plan_details
from rebalance_cli.queries.live import LiveAccount
from rebalance_cli.queries.plans import PlanRecord
from rebalance_cli.report.page import Tile, environment
from rebalance_cli.views.status import stage_text
from rebalance_cli.views.styles import status_tone, status_words, tone
from rebalance_executor.adapters.notification_text import MONEY, as_planned, next_steps
from rebalance_executor.domain.journal import PlanState
from rebalance_executor.domain.market import Side
from rebalance_executor.domain.orders import ChildOrder, ParentOrder
from rebalance_executor.domain.risk_state import TradingState
from rebalance_executor.domain.values import cents, format_clock, sum_of_cents

type Files = Mapping[str, tuple[str, str]]
"""Content type and text by path."""

_SWITCH_TONES = {TradingState.ACTIVE: "good", TradingState.REDUCING: "warn", TradingState.HALTED: "bad"}


@dataclass(frozen=True, slots=True)
class Item:
    """One order of the plan."""

    symbol: str
    side: str
    stage: str
    tone: str
    filled: Decimal
    requested: Decimal
    filled_dollars: Decimal
    requested_dollars: Decimal
    limit: Decimal | None
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class Cash:
    """Cash of a plan in dollars, from the journal: what it started with, sold and bought."""

    before: Decimal
    sold: Decimal
    bought: Decimal
    budget: Decimal | None
    """Dollars for the buys; None until all sells are settled."""

    @property
    def now(self) -> Decimal:
        """Cash before plus sold less bought."""
        return self.before + self.sold - self.bought


@dataclass(frozen=True, slots=True)
class Plan:
    """One plan, ready for the template."""

    key: str
    """ID of its section, which stays the same while other plans start."""
    state: PlanState
    details: PlanDetails
    status: str
    tone: str
    money: str
    summary: str
    commands: tuple[str, ...]
    is_folded: bool
    filled: Decimal
    requested: Decimal
    settled: int
    lines: tuple[Item, ...]
    open_orders: tuple[tuple[ParentOrder, ChildOrder], ...]
    closed_orders: tuple[tuple[ParentOrder, ChildOrder], ...]
    cash: Cash


def page_files() -> Files:
    """Return the files of the page that do not change."""
    templates = environment()
    return {
        "/": ("text/html", templates.get_template("live.html.j2").render()),
        "/style.css": ("text/css", templates.get_template("live.css.j2").render()),
        "/live.js": ("text/javascript", templates.get_template("live.js.j2").render()),
    }


def live_state(account: LiveAccount, command: Callable[..., str]) -> str:
    """Return the changing part of the page as HTML.

    Args:
        account: the state.
        command: returns a command on this target for the reader to type.
    """
    plans = sorted((_plan(record, command) for record in account.plans), key=_urgency)
    template = environment().get_template("live_state.html.j2")
    return template.render(a=account, plans=plans, tiles=tuple(_tiles(account)), clock=_clock)


def error_state(problem: str, at: datetime) -> str:
    """Return the changing part of the page if the journal cannot be read."""
    return environment().get_template("live_error.html.j2").render(problem=problem, at=format_clock(at))


def _clock(at: datetime | None) -> str:
    return format_clock(at) if at is not None else NONE


def _urgency(plan: Plan) -> tuple[bool, float]:
    """Sort what runs or needs attention before what ended as planned; each latest first."""
    return plan.is_folded, -plan.state.started_at.timestamp()


def _tiles(account: LiveAccount) -> Iterator[Tile]:
    switch = account.switch
    since = f"kill switch, by {switch.by} at {_clock(switch.at)}: {switch.reason}" if switch.at else "kill switch"
    yield Tile(switch.state.value, since, _SWITCH_TONES[switch.state])
    lease = account.lease_holder
    running = (
        f"a run works on the account, until {_clock(lease.until)} at the latest" if lease else "no run in progress"
    )
    yield Tile("running" if lease else "idle", running, "good" if lease else "")
    yield _binding_tile(account)
    unfinished = sum(record.journal.result is None for record in account.plans)
    short = sum(r.journal.result is not None and not r.journal.result.success for r in account.plans)
    yield Tile(
        str(short), "plans need attention" if short != 1 else "plan needs attention", "warn" if short else "good"
    )
    total = counted(len(account.plans) + account.omitted, "plan")
    yield Tile(f"{len(account.plans) - unfinished} of {total}", "finished")


def _binding_tile(account: LiveAccount) -> Tile:
    number, binding = account.account_number, account.binding
    if number is None:
        return Tile(NONE, "broker account: known after the first plan")
    if binding is None:
        return Tile(number, "broker account, bound to no account name", "warn")
    tone = "" if binding.account == account.account else "bad"
    return Tile(number, f"broker account, bound to {binding.account}", tone)


def _plan(record: PlanRecord, command: Callable[..., str]) -> Plan:
    details, result = plan_details(record), record.journal.result
    parents = in_execution_order(record.journal.parents)
    children = [(parent, child) for parent in parents for child in parent.children]
    status, tone_of_status = _status(record)
    steps = next_steps(result) if result is not None else [("watch", record.plan.plan_id)]
    return Plan(
        key=f"plan-{hashlib.sha256(record.plan.plan_id.encode()).hexdigest()[:12]}",
        state=record.plan,
        details=details,
        status=status,
        tone=tone_of_status,
        money=MONEY[record.plan.broker],
        summary=_summary(record),
        commands=tuple(command(*words, account=record.plan.account) for words in steps),
        is_folded=result is not None and result.success,
        filled=details.filled_dollars,
        requested=sum_of_cents(abs(parent.requested_amount) for parent in parents),
        settled=sum(parent.outcome is not None for parent in parents),
        lines=tuple(_items(parents, details)),
        open_orders=tuple((parent, child) for parent, child in children if child.is_open),
        closed_orders=tuple((parent, child) for parent, child in children if not child.is_open),
        cash=_cash(record.plan, parents),
    )


def _status(record: PlanRecord) -> tuple[str, str]:
    result = record.journal.result
    if result is not None:
        return status_words(result.status), status_tone(result.status)
    return ("running", "accent") if record.is_running else ("waiting", "warn")


def _summary(record: PlanRecord) -> str:
    result, plan = record.journal.result, record.plan
    if result is not None:
        return f"{as_planned(result)}." if result.traded else "No item needed a trade."
    if record.is_running:
        return f"A run works on the {plan.phase.value.lower()}."
    last = record.runs[-1] if record.runs else None
    reason = f" The last one ended: {last.reason}." if last is not None and last.reason else ""
    return f"No run works on it; the next run of the account continues it.{reason}"


def _items(parents: list[ParentOrder], details: PlanDetails) -> Iterator[Item]:
    for parent, line in zip(parents, details.orders, strict=True):
        stage, style = stage_text(line)
        yield Item(
            symbol=parent.symbol,
            side=parent.side.value.upper(),
            stage=stage,
            tone=tone(style),
            filled=parent.filled_qty,
            requested=parent.requested,
            filled_dollars=cents(parent.filled_value),
            requested_dollars=cents(abs(parent.requested_amount)),
            limit=line.limit_price,
            attempts=parent.attempts,
            reason=": ".join(part for part in (parent.code, parent.message) if part),
        )


def _cash(plan: PlanState, parents: list[ParentOrder]) -> Cash:
    def filled(side: Side) -> Decimal:
        return sum_of_cents(parent.filled_value for parent in parents if parent.side is side)

    budget = cents(plan.buy_budget) if plan.buy_budget is not None else None
    return Cash(cents(plan.starting_funds), filled(Side.SELL), filled(Side.BUY), budget)
