"""The daily check names the plans that were left unfinished, and not those that a run is finishing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import pytest

from rebalance_executor.daily_check import DailyCheck, HasStatus
from rebalance_executor.domain.errors import BrokerUnavailable
from rebalance_executor.domain.journal import UnfinishedPlan
from rebalance_executor.domain.market import MarketClock
from rebalance_executor.execution.events import LogEvent
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW

CLOSED = MarketClock(NOW, is_open=False, next_open=NOW + timedelta(days=1), next_close=NOW + timedelta(days=1, hours=6))
LIMIT = timedelta(minutes=60)
YESTERDAY = NOW - timedelta(days=1)


@dataclass
class Plans:
    """Index and journal: what the index lists, and the accounts' unfinished plans as they are."""

    listed: list[UnfinishedPlan]
    current: dict[str, UnfinishedPlan] = field(default_factory=dict)
    emitted: list[tuple[LogEvent, dict[str, object]]] = field(default_factory=list)

    def plans_of(self, day: date) -> Iterable[HasStatus]:
        return []

    def unfinished_plans(self) -> Iterable[UnfinishedPlan]:
        return self.listed

    def unfinished(self, account: str) -> UnfinishedPlan | None:
        return self.current.get(account)

    def emit(self, event: LogEvent, **fields: object) -> None:
        self.emitted.append((event, fields))


def a_check(plans: Plans) -> DailyCheck:
    return DailyCheck(lambda: CLOSED, plans, plans, SimulatedClock(NOW), plans, LIMIT)


def unfinished(account: str, started_at: datetime, held_until: datetime | None = None) -> UnfinishedPlan:
    return UnfinishedPlan(account, f"plan-of-{account}", started_at, held_until)


def lines(plans: Plans) -> list[dict[str, object]]:
    return [fields for event, fields in plans.emitted if event is LogEvent.DAILY_CHECK_PLAN_UNFINISHED]


def test_each_abandoned_plan_of_any_day_is_named_with_its_account_and_start() -> None:
    found = [unfinished("main", YESTERDAY), unfinished("growth", NOW - LIMIT - timedelta(seconds=1))]
    plans = Plans(found, {plan.account: plan for plan in found})

    answer = a_check(plans).answer()

    assert answer["healthy"] is False
    assert [(line["account"], line["plan_id"], line["since"]) for line in lines(plans)] == [
        ("main", "plan-of-main", YESTERDAY),
        ("growth", "plan-of-growth", NOW - LIMIT - timedelta(seconds=1)),
    ]
    assert [(one["account"], one["plan_id"], one["abandoned"]) for one in answer["unfinished"]] == [
        ("main", "plan-of-main", True),
        ("growth", "plan-of-growth", True),
    ]
    assert [(check["name"], check["ok"]) for check in answer["checks"]] == [
        ("plans of the day", True),
        ("unfinished plans", False),
    ]


def test_plan_within_its_time_limit_is_named_and_no_fault() -> None:
    plans = Plans([unfinished("main", NOW - LIMIT)])

    answer = a_check(plans).answer()

    assert (answer["healthy"], lines(plans)) == (True, [])
    assert [(one["plan_id"], one["abandoned"]) for one in answer["unfinished"]] == [("plan-of-main", False)]


@pytest.mark.parametrize(("held_for", "healthy"), [(timedelta(seconds=1), True), (timedelta(0), False)])
def test_late_plan_is_no_fault_while_a_run_holds_its_account(held_for: timedelta, healthy: bool) -> None:
    plans = Plans([unfinished("main", YESTERDAY)], {"main": unfinished("main", YESTERDAY, NOW + held_for)})

    assert a_check(plans).answer()["healthy"] is healthy


def test_plan_that_finished_after_the_index_was_written_is_not_named() -> None:
    answer = a_check(Plans([unfinished("main", YESTERDAY)])).answer()

    assert (answer["healthy"], answer["unfinished"]) == (True, [])


def test_unfinished_plans_are_logged_although_the_broker_does_not_answer() -> None:
    plan = unfinished("main", YESTERDAY)
    plans = Plans([plan], {"main": plan})

    def fails() -> MarketClock:
        raise BrokerUnavailable("no answer")

    with pytest.raises(BrokerUnavailable):
        DailyCheck(fails, plans, plans, SimulatedClock(NOW), plans, LIMIT).answer()

    assert len(lines(plans)) == 1
