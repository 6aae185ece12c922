"""A plan in the journal: its state, its runs and its result, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from rebalance_executor.domain.benchmarks import Benchmarks
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.plan import RebalancePlan, SizeBy, Urgency
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.domain.risk_state import Reservation


class PlanPhase(StrEnum):
    """The phase that a plan is in."""

    SELLS = "SELLS"
    """Sells are worked, or their proceeds are awaited; buys use cash and the proceeds so far."""
    BUYS = "BUYS"
    """The cash gate is passed: all sells are settled, and the dollars of the buys are fixed."""
    FINISHED = "FINISHED"


@dataclass(frozen=True, slots=True)
class PlanState:
    """The plan's own record."""

    account: str
    plan_id: str
    content_hash: str
    correlation_id: str
    causation_id: str
    started_at: datetime
    phase: PlanPhase
    runs: int
    starting_funds: Decimal
    """Dollars that could be spent when the plan started; the buys' budget is based on it."""
    broker: BrokerKind
    """Kind of the broker that the plan started on; resuming on another kind is an error."""
    reserved: Decimal = Decimal(0)
    """Dollars that open orders of earlier plans may still spend, whose cancels were never confirmed."""
    account_number: str | None = None
    """Number of the broker account that the plan started on; resuming on another one is an error."""
    buy_budget: Decimal | None = None
    """Dollars that the buys were scaled to at the cash gate: ``buy_funds`` less the buffer; None before the gate."""
    buy_funds: Decimal | None = None
    """Total dollars that the buys may cost while they are worked; None until the cash gate is passed."""
    size_by: SizeBy = SizeBy.TRADE_AMOUNT
    """Field of the items that their orders were sized by."""
    equity: Decimal | None = None
    """Live equity in dollars when the items were sized; None if it is unknown, or if nothing was sized."""
    trading_day: date | None = None
    """The day whose session was open, or about to open, when the plan started; orders of the plan belong to it."""
    urgency: Urgency = Urgency.NORMAL
    """Urgency of the plan, which its costs are grouped by."""
    source: str | None = None
    """The object version in S3 that the plan was read from; None for a plan that was delivered inline."""


@dataclass(frozen=True, slots=True)
class PlanStart:
    """Values that the first write of a plan stores in addition to its state, in one transaction."""

    document: RebalancePlan
    """The plan itself."""
    reservation: Reservation | None = None
    """The plan's share of the trading day; None if nothing is to be traded."""


@dataclass(frozen=True, slots=True)
class UnfinishedPlan:
    """A plan without a result, or whose result is not published yet. An account has one at most."""

    account: str
    plan_id: str
    started_at: datetime
    held_until: datetime | None = None
    """End of the lease of the run that holds the account; None if no run holds it, or if it was not read."""


@dataclass(frozen=True, slots=True)
class ListedPlan:
    """A plan in the index of the plans by day, which may lag behind the journal."""

    account: str
    plan_id: str
    status: str
    """``in_progress``, or the status of the plan's result."""


class RunEnd(StrEnum):
    """The end of a run."""

    COMPLETED = "COMPLETED"
    YIELDED = "YIELDED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One invocation's work on the plan. A record without ``end`` belongs to a run that is active or was killed."""

    epoch: int
    run_id: str
    started_at: datetime
    ended_at: datetime | None = None
    end: RunEnd | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PlanJournal:
    """Everything that the journal contains about one plan."""

    plan: PlanState
    parents: Mapping[str, ParentOrder]
    """By symbol."""
    document: RebalancePlan | None = None
    """The plan itself, from which any later run can finish it; None once the plan is finished."""
    result: ExecutionResult | None = None
    published: frozenset[str] = frozenset()
    """Channels on which the result was published. Later deliveries of the plan do not publish it there again."""
    benchmarks: Mapping[str, Benchmarks] = field(default_factory=dict)
    """Market data of its orders that was read later, by symbol; orders that were not read yet are absent."""
