"""``{"watch": true}``: is a plan of today completed, on a day on which the market is open? Trades nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date
from typing import Any, Protocol

from rebalance_executor.domain.result import ExecutionStatus
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import Broker, EventLog

_COMPLETED = frozenset(ExecutionStatus) - {ExecutionStatus.FAILURE}
"""A failure did not do the day's work; it must not look as if it had."""


class HasStatus(Protocol):
    """One plan of the index."""

    @property
    def status(self) -> str: ...


class PlanIndex(Protocol):
    """Lists the plans of a day."""

    def plans_of(self, day: date) -> Iterable[HasStatus]:
        """The plans begun on that day (UTC)."""
        ...


def check_day(broker: Broker, index: PlanIndex, log: EventLog) -> dict[str, Any]:
    """Count the day's plans by status.

    To be asked while the market is open: whether it is open is what makes a trading day, so that holidays and half
    days need no calendar here.

    Returns:
        ``trading_day``, ``plans`` (a count for each status), and ``overdue``: a trading day without a completed plan;
        and the same as a health report.
    """
    market = broker.clock()
    counts = Counter(plan.status for plan in index.plans_of(market.now.astimezone(UTC).date()))
    completed = sum(counts[status.value] for status in _COMPLETED)
    overdue = market.is_open and not completed
    event = LogEvent.DAILY_CHECK_OVERDUE if overdue else LogEvent.DAILY_CHECK_COMPLETED
    log.emit(event, trading_day=market.is_open, completed=completed, plans=dict(counts))
    detail = f"{completed} completed of {counts.total()}; the market is {'open' if market.is_open else 'closed'}"
    return {
        "healthy": not overdue,
        "checks": [{"name": "plans of the day", "ok": not overdue, "detail": detail}],
        "trading_day": market.is_open,
        "overdue": overdue,
        "plans": dict(counts),
    }
