"""A plan in the journal: its state, its runs and its result, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.result import ExecutionResult


class PlanPhase(StrEnum):
    """The wave that a plan is in."""

    SELLS = "SELLS"
    BUYS = "BUYS"
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
    account_number: str | None = None
    """Number of the broker account that the plan started on; resuming on another one is an error."""
    buy_budget: Decimal | None = None
    """Total dollars that the buys may cost; None until the cash gate is passed."""


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
    result: ExecutionResult | None = None
    published: frozenset[str] = frozenset()
    """Channels on which the result was published. Later deliveries of the plan do not publish it there again."""
