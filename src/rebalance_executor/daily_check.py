"""The daily check, ``{"watch": true}``: on a trading day, a plan of the day must be completed. Trades nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date
from typing import Any, Protocol

from rebalance_executor.domain.result import ExecutionStatus
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import Broker, EventLog

_COMPLETED = frozenset(ExecutionStatus) - {ExecutionStatus.FAILURE}
"""A plan with status ``failure`` did not rebalance anything and does not count as completed."""


class HasStatus(Protocol):
    """A plan in the index."""

    @property
    def status(self) -> str:
        """``in_progress``, or the status of the plan's result."""
        ...


class PlanIndex(Protocol):
    """Index of the plans by day."""

    def plans_of(self, day: date) -> Iterable[HasStatus]:
        """Return the plans started on this day (UTC)."""
        ...


def check_day(broker: Broker, index: PlanIndex, log: EventLog) -> dict[str, Any]:
    """Check that a plan of the day is completed, and log the result.

    Call it during trading hours: a day is a trading day if the market is open at that moment. Holidays and half days
    therefore need no calendar here.

    Returns:
        ``trading_day``; ``plans``, a count per status; ``overdue``, true on a trading day without a completed plan;
        and ``healthy`` and ``checks`` as in the answer to a health request.

    Raises:
        Redeliver: the broker or the index could not be read.
    """
    market = broker.clock()
    counts = Counter(plan.status for plan in index.plans_of(market.now.astimezone(UTC).date()))
    completed = sum(counts[status.value] for status in _COMPLETED)
    overdue = market.is_open and not completed
    event = LogEvent.DAILY_CHECK_OVERDUE if overdue else LogEvent.DAILY_CHECK_COMPLETED
    log.emit(event, trading_day=market.is_open, completed=completed, plans=dict(counts))
    market_state = "open" if market.is_open else "closed"
    detail = f"{completed} of {counts.total()} plans completed; the market is {market_state}"
    return {
        "healthy": not overdue,
        "checks": [{"name": "plans of the day", "ok": not overdue, "detail": detail}],
        "trading_day": market.is_open,
        "overdue": overdue,
        "plans": dict(counts),
    }
