"""The carried plans that a resume request starts: what the auctions of the last days left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Protocol

from rebalance_executor.domain.carrying import is_due
from rebalance_executor.domain.journal import ListedPlan
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionResult, ExecutionStatus
from rebalance_executor.execution.ports import Clock

_DAYS = 5
"""Days back: a plan of a Thursday before a long weekend is carried to the next Tuesday."""
_WITH_A_REST = frozenset({ExecutionStatus.PARTIAL_SUCCESS, ExecutionStatus.FAILURE})


class PlanIndex(Protocol):
    """Index of the plans of all accounts."""

    def plans_of(self, day: date) -> Iterable[ListedPlan]:
        """Return the plans started on this day (UTC)."""
        ...


class Results(Protocol):
    """The stored results."""

    def result(self, account: str, plan_id: str) -> ExecutionResult | None:
        """Return the result of a plan; None if it is not finished."""
        ...


@dataclass(frozen=True, slots=True)
class CarriedPlans:
    """The carried plans of all accounts."""

    index: PlanIndex
    results: Results
    clock: Clock
    max_age_minutes: Decimal
    """Age up to which a plan may start."""

    def due(self) -> Iterator[RebalancePlan]:
        """Yield the carried plans that may be started now, with the name of their account.

        One that was started already gets its stored result again.

        Raises:
            JournalUnavailable: the table did not answer.
        """
        now = self.clock.now()
        for back in range(_DAYS + 1):
            for listed in self.index.plans_of(now.astimezone(UTC).date() - timedelta(days=back)):
                if listed.status not in _WITH_A_REST:
                    continue
                result = self.results.result(listed.account, listed.plan_id)
                carried = result.carried_plan if result is not None else None
                if carried is not None and is_due(carried, now, self.max_age_minutes):
                    yield carried.model_copy(update={"account": listed.account})
