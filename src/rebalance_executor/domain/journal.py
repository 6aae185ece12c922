"""What the journal holds of a plan, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.result import ExecutionResult


class PlanPhase(StrEnum):
    """Where a plan stands."""

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
    """Dollars that could be spent when the plan was begun; the buys' budget counts from here."""
    account_number: str | None = None
    """The broker's account the plan was begun on; a resume on any other is refused."""
    buy_budget: Decimal | None = None
    """Dollars the buys may cost in all; None until the gate between sells and buys was passed."""


class RunEnd(StrEnum):
    """How a run ended."""

    COMPLETED = "COMPLETED"
    YIELDED = "YIELDED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One invocation's work on the plan. No ``end`` means it was killed, or still runs."""

    epoch: int
    run_id: str
    started_at: datetime
    ended_at: datetime | None = None
    end: RunEnd | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PlanJournal:
    """Everything journalled of one plan."""

    plan: PlanState
    parents: Mapping[str, ParentOrder]
    """By symbol."""
    result: ExecutionResult | None = None
    published: frozenset[str] = frozenset()
    """Channels on which the result was published: once on each, however often the plan is delivered."""
