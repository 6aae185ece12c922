"""The daily check names the plans that were left unfinished, and not those that a run is finishing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from rebalance_executor.daily_check import DailyCheck
from rebalance_executor.domain.errors import AuctionPending, BrokerUnavailable, PlanYielded
from rebalance_executor.domain.journal import ListedPlan, PlanJournal, UnfinishedPlan
from rebalance_executor.domain.market import MarketClock
from rebalance_executor.execution.cost_update import ReadingFailure, Update
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
    problems: dict[str, Exception] = field(default_factory=dict)
    """Why the plan of an account cannot be finished."""

    def plans_of(self, day: date) -> Iterable[ListedPlan]:
        return []

    def unfinished_plans(self) -> Iterable[UnfinishedPlan]:
        return self.listed

    def unfinished(self, account: str) -> UnfinishedPlan | None:
        return self.current.get(account)

    def load(self, account: str, plan_id: str) -> PlanJournal | None:
        return None

    def finish(self, account: str) -> bool:
        if account in self.problems:
            raise self.problems[account]
        self.current.pop(account, None)
        return True

    def emit(self, event: LogEvent, **fields: object) -> None:
        self.emitted.append((event, fields))


def a_check(plans: Plans, update_costs: Callable[[], Update] = Update) -> DailyCheck:
    return DailyCheck(lambda: CLOSED, plans, plans, SimulatedClock(NOW), plans, LIMIT, plans.finish, update_costs)


def unfinished(account: str, started_at: datetime, held_until: datetime | None = None) -> UnfinishedPlan:
    return UnfinishedPlan(account, f"plan-of-{account}", started_at, held_until)


def lines(plans: Plans) -> list[dict[str, object]]:
    return [fields for event, fields in plans.emitted if event is LogEvent.DAILY_CHECK_PLAN_UNFINISHED]


def test_each_abandoned_plan_of_any_day_is_named_with_its_account_and_start() -> None:
    found = [unfinished("main", YESTERDAY), unfinished("growth", NOW - LIMIT - timedelta(seconds=1))]
    plans = Plans(found, {plan.account: plan for plan in found})
    plans.problems = dict.fromkeys(plans.current, BrokerUnavailable("no answer"))

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
        ("costs", True),
    ]


def test_plan_within_its_time_limit_is_named_and_no_fault() -> None:
    plan = unfinished("main", NOW - LIMIT)
    plans = Plans([plan], {"main": plan}, problems={"main": PlanYielded("its own delivery continues")})

    answer = a_check(plans).answer()

    assert (answer["healthy"], lines(plans)) == (True, [])
    assert [(one["plan_id"], one["abandoned"]) for one in answer["unfinished"]] == [("plan-of-main", False)]


@pytest.mark.parametrize(("held_for", "healthy"), [(timedelta(seconds=1), True), (timedelta(0), False)])
def test_late_plan_is_no_fault_while_a_run_holds_its_account(held_for: timedelta, healthy: bool) -> None:
    plans = Plans([unfinished("main", YESTERDAY)], {"main": unfinished("main", YESTERDAY, NOW + held_for)})
    plans.problems["main"] = BrokerUnavailable("no answer")

    assert a_check(plans).answer()["healthy"] is healthy


def test_plan_that_finished_after_the_index_was_written_is_not_named() -> None:
    answer = a_check(Plans([unfinished("main", YESTERDAY)])).answer()

    assert (answer["healthy"], answer["unfinished"]) == (True, [])


def test_unfinished_plans_are_logged_although_the_broker_does_not_answer() -> None:
    plan = unfinished("main", YESTERDAY)
    plans = Plans([plan], {"main": plan}, problems={"main": BrokerUnavailable("no answer")})

    def fails() -> MarketClock:
        raise BrokerUnavailable("no answer")

    with pytest.raises(BrokerUnavailable):
        DailyCheck(fails, plans, plans, SimulatedClock(NOW), plans, LIMIT, plans.finish, Update).answer()

    assert len(lines(plans)) == 1


def test_plan_that_is_left_alone_is_finished_and_not_named() -> None:
    plan = unfinished("main", YESTERDAY)
    plans = Plans([plan], {"main": plan})

    answer = a_check(plans).answer()

    assert (answer["healthy"], answer["unfinished"], plans.current) == (True, [], {})


def test_late_plan_that_waits_for_its_auction_is_named_and_no_fault() -> None:
    plan = unfinished("main", NOW - 2 * LIMIT)
    plans = Plans([plan], {"main": plan}, problems={"main": AuctionPending.at(NOW + timedelta(minutes=3))})

    answer = a_check(plans).answer()

    assert (answer["healthy"], lines(plans)) == (True, [])
    assert [one["plan_id"] for one in answer["unfinished"]] == ["plan-of-main"]


def test_resuming_finishes_plans_and_says_nothing_about_the_day() -> None:
    left_alone, failing = unfinished("main", YESTERDAY), unfinished("growth", YESTERDAY)
    plans = Plans([left_alone, failing], {"main": left_alone, "growth": failing})
    plans.problems["growth"] = BrokerUnavailable("no answer")

    answer = a_check(plans).resume()

    assert answer["healthy"] is False
    assert [one["account"] for one in answer["unfinished"]] == ["growth"]
    assert [check["name"] for check in answer["checks"]] == ["unfinished plans"]


def costs_check(answer: dict[str, Any]) -> dict[str, Any]:
    (check,) = (check for check in answer["checks"] if check["name"] == "costs")
    return dict(check)


def test_costs_that_were_read_are_counted() -> None:
    check = costs_check(a_check(Plans([]), lambda: Update(read=3, not_due=1)).answer())
    assert (check["ok"], check["warning"]) == (True, False)
    assert check["detail"] == "3 plans read; 1 not due; 0 left for the next check"


def test_costs_that_could_not_be_read_are_a_warning_and_not_unhealthy() -> None:
    failed = ReadingFailure("main", "plan-1", "no answer", is_given_up=False)
    answer = a_check(Plans([]), lambda: Update(failures=[failed])).answer()

    assert answer["healthy"] is True
    assert (costs_check(answer)["ok"], costs_check(answer)["warning"]) == (True, True)
    assert "plan-1 of main: no answer" in costs_check(answer)["detail"]


@pytest.mark.parametrize(
    "error", [BrokerUnavailable("no answer"), ZeroDivisionError("a defect")], ids=["typed", "defect"]
)
def test_daily_check_answers_although_the_costs_raise(error: Exception) -> None:
    def fails() -> Update:
        raise error

    plan = unfinished("main", YESTERDAY)
    plans = Plans([plan], {"main": plan}, problems={"main": BrokerUnavailable("no answer")})
    answer = a_check(plans, fails).answer()

    assert (answer["healthy"], len(answer["unfinished"])) == (False, 1)
    assert costs_check(answer)["warning"] is True
    assert LogEvent.COSTS_READ_FAILED in [event for event, _ in plans.emitted]
