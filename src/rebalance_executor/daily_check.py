"""The daily check, ``{"watch": true}``: a trading day has a completed plan, and no plan is left unfinished.

It starts no plan. It finishes those that no delivery may finish: after their auctions, or past their time limit. Last,
it reads the market data for the costs of finished plans.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from typing import Any, Protocol

from rebalance_executor.domain.errors import AuctionPending, JournalContradiction, LeaseHeld, RebalanceError
from rebalance_executor.domain.journal import ListedPlan, PlanJournal, UnfinishedPlan
from rebalance_executor.domain.market import MarketClock
from rebalance_executor.domain.result import ExecutionStatus
from rebalance_executor.domain.values import format_time
from rebalance_executor.execution.cost_update import Update
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import Clock, EventLog

_COMPLETED = frozenset(ExecutionStatus) - {ExecutionStatus.FAILURE}
"""A plan with status ``failure`` did not rebalance anything and does not count as completed."""


_COSTS = "costs"


_EVENINGS = 5
"""Days back: the evening before a Tuesday's open can be that of the Friday before a long weekend."""


class PlanIndex(Protocol):
    """Index of the plans of all accounts. It may lag behind the journal."""

    def plans_of(self, day: date) -> Iterable[ListedPlan]:
        """Return the plans started on this day (UTC)."""
        ...

    def unfinished_plans(self) -> Iterable[UnfinishedPlan]:
        """Return the plans of any day that are not finished, the oldest first."""
        ...


class PlanJournals(Protocol):
    """The journal, which is read consistently."""

    def unfinished(self, account: str) -> UnfinishedPlan | None:
        """Return the account's unfinished plan, with the run that holds the account's lease."""
        ...

    def load(self, account: str, plan_id: str) -> PlanJournal | None:
        """Return a plan of any day; None if it was never started.

        Raises:
            JournalContradiction: it cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class DailyCheck:
    """The collaborators of the daily check."""

    market_clock: Callable[[], MarketClock]
    """Reads the broker's clock."""
    index: PlanIndex
    journal: PlanJournals
    clock: Clock
    log: EventLog
    time_limit: timedelta
    """Time that a plan may take (``plan_time_limit_minutes``). Any run after it finishes the plan."""
    finish: Callable[[str], bool]
    """Finishes the unfinished plan of an account that is left alone (``PlanManager.finish_left_alone``)."""
    update_costs: Callable[[], Update]
    """Reads the market data for the costs of the finished plans of the last days."""

    def answer(self) -> dict[str, Any]:
        """Run the check, log the result and return it.

        Call it during trading hours: a day is a trading day if the market is open at that moment. Holidays and half
        days therefore need no calendar here.

        Returns:
            ``trading_day``; ``plans``, a count per status; ``overdue``, true on a trading day without a completed plan;
            ``unfinished``, every plan that was started and is not finished; and ``healthy`` and ``checks`` as in the
            answer to a health request. Costs that could not be read are a warning there, and never unhealthy.

        Raises:
            Redeliver: the broker or the index could not be read.
        """
        unfinished, problems, waiting = self._finish_plans()
        abandoned = [plan for plan in unfinished if plan.account in problems]
        for plan in abandoned:
            self.log.emit(
                LogEvent.DAILY_CHECK_PLAN_UNFINISHED,
                account=plan.account,
                plan_id=plan.plan_id,
                since=plan.started_at,
                reason=problems[plan.account],
            )
        day = self._check_day(is_waiting=bool(waiting))
        plans = {"name": "unfinished plans", "ok": not abandoned, "detail": _detail(unfinished, abandoned)}
        return day | {
            "healthy": day["healthy"] and not abandoned,
            "checks": [*day["checks"], plans, self._check_costs()],
            "unfinished": [
                {
                    "account": plan.account,
                    "plan_id": plan.plan_id,
                    "since": format_time(plan.started_at),
                    "abandoned": plan in abandoned,
                }
                for plan in unfinished
            ],
        }

    def resume(self) -> dict[str, Any]:
        """Finish the plans that wait for no delivery any more; return those that are still unfinished.

        Call it after the auctions. Unlike the daily check, it says nothing about the plans of the day.
        """
        unfinished, problems, _ = self._finish_plans()
        detail = _detail(unfinished, [plan for plan in unfinished if plan.account in problems])
        return {
            "healthy": not problems,
            "checks": [{"name": "unfinished plans", "ok": not problems, "detail": detail}],
            "unfinished": [
                {"account": plan.account, "plan_id": plan.plan_id, "since": format_time(plan.started_at)}
                for plan in unfinished
            ],
        }

    def _finish_plans(self) -> tuple[list[UnfinishedPlan], dict[str, str], set[str]]:
        """Finish the plans that are left alone.

        Returns the unfinished plans, what an operator must see by account, and the accounts that wait for an auction.
        Past its time limit, the plan of an account on which no run is working needs an operator if it cannot be
        finished here.
        """
        problems: dict[str, str] = {}
        waiting: set[str] = set()
        unfinished: list[UnfinishedPlan] = []
        for listed in self.index.unfinished_plans():
            plan = self.journal.unfinished(listed.account)
            if plan is not None and not self._is_held(plan):
                problem = self._finish(plan, waiting)
                plan = self.journal.unfinished(listed.account)
                if problem is not None and plan is not None and self._is_late(plan):
                    problems[plan.account] = problem
            if plan is not None:
                unfinished.append(plan)
        return unfinished, problems, waiting

    def _finish(self, plan: UnfinishedPlan, waiting: set[str]) -> str | None:
        """Finish the plan if it is left alone; return why that failed, or None. Add to those that wait for auctions."""
        try:
            self.finish(plan.account)
        except AuctionPending:
            waiting.add(plan.account)
        except LeaseHeld:
            return None
        except RebalanceError as error:
            return f"it could not be finished: {error.code}: {error}"
        return None

    def _check_day(self, *, is_waiting: bool) -> dict[str, Any]:
        """Check that a plan of the day is completed if the market is open, or waits for an auction."""
        market = self.market_clock()
        today = market.now.astimezone(UTC).date()
        counts = Counter(plan.status for plan in self.index.plans_of(today))
        if market.is_open and not _completed(counts):
            counts += self._started_before(today, market.next_close.date())
        completed = _completed(counts)
        overdue = market.is_open and not completed and not is_waiting
        event = LogEvent.DAILY_CHECK_OVERDUE if overdue else LogEvent.DAILY_CHECK_COMPLETED
        self.log.emit(event, trading_day=market.is_open, completed=completed, plans=dict(counts))
        market_state = "open" if market.is_open else "closed"
        detail = f"{completed} of {counts.total()} plans completed; the market is {market_state}"
        return {
            "healthy": not overdue,
            "checks": [{"name": "plans of the day", "ok": not overdue, "detail": detail}],
            "trading_day": market.is_open,
            "overdue": overdue,
            "plans": dict(counts),
        }

    def _check_costs(self) -> dict[str, Any]:
        """Read what is missing for the costs of finished plans. No failure of it fails the daily check."""
        try:
            update = self.update_costs()
        except Exception as error:  # noqa: BLE001 - the rest of the answer is more important than any fault of this part
            self.log.emit(LogEvent.COSTS_READ_FAILED, reason=f"{type(error).__name__}: {error}")
            return {"name": _COSTS, "ok": True, "warning": True, "detail": f"not read: {type(error).__name__}: {error}"}
        return {"name": _COSTS, "ok": True, "warning": bool(update.failures), "detail": _costs_detail(update)}

    def _started_before(self, today: date, trading_day: date) -> Counter[str]:
        """Count the plans by status that were started on an earlier day for the opening auction of this one."""
        counts = Counter[str]()
        for back in range(1, _EVENINGS + 1):
            for listed in self.index.plans_of(today - timedelta(days=back)):
                with suppress(JournalContradiction):  # a plan that cannot be read completed nothing
                    journal = self.journal.load(listed.account, listed.plan_id)
                    if journal is not None and journal.plan.trading_day == trading_day:
                        counts[listed.status] += 1
        return counts

    def _is_late(self, plan: UnfinishedPlan) -> bool:
        return self.clock.now() - plan.started_at > self.time_limit

    def _is_held(self, plan: UnfinishedPlan) -> bool:
        """Return whether a run is working on the account."""
        return plan.held_until is not None and plan.held_until > self.clock.now()


def _costs_detail(update: Update) -> str:
    parts = [f"{update.read} plans read", f"{update.not_due} not due", f"{update.left} left for the next check"]
    parts += [f"{one.plan_id} of {one.account}: {one.reason}" for one in update.failures]
    return "; ".join(parts)


def _completed(counts: Counter[str]) -> int:
    return sum(counts[status.value] for status in _COMPLETED)


def _detail(unfinished: Sequence[UnfinishedPlan], abandoned: Sequence[UnfinishedPlan]) -> str:
    if not unfinished:
        return "no plan is unfinished"
    if not abandoned:
        return f"{len(unfinished)} within the time limit, before an auction or being worked on"
    names = ", ".join(f"{plan.plan_id} of {plan.account} since {format_time(plan.started_at)}" for plan in abandoned)
    return f"past the time limit, and could not be finished: {names}"
