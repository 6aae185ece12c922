"""The later reading of market data: which plans, what is asked, and what remains after failures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.benchmarks import Benchmarks, CostsRead, DayClose, Horizon, MinuteBar
from rebalance_executor.domain.errors import BrokerUnavailable, JournalContradiction, RateLimited
from rebalance_executor.domain.journal import PlanJournal, PlanState
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.execution.cost_update import CostUpdate, Update
from rebalance_executor.execution.events import LogEvent
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW, a_filled_child, a_parent, a_plan, an_item, later
from tests.support.cost_journals import finished

DAY = NOW.date()
EVENING = NOW + timedelta(hours=7)


def a_filled_parent(symbol: str = "AAA") -> ParentOrder:
    children = (
        a_filled_child(attempt=1, submitted_at=later(1), filled_at=later(3)),
        a_filled_child(attempt=2, submitted_at=later(5), filled_at=later(70)),
    )
    return a_parent(*children, symbol=symbol, qty="20")


def a_journal(plan_id: str = "plan-1", *symbols: str, account: str = "main", **changes: Any) -> PlanJournal:
    names = symbols or ("AAA",)
    plan = a_plan(*(an_item(name) for name in names), plan_id=plan_id)
    journal = finished(plan, {name: a_filled_parent(name) for name in names}, {})
    return replace(journal, plan=replace(journal.plan, account=account, **changes))


@dataclass(frozen=True, slots=True)
class Listed:
    account: str
    plan_id: str


@dataclass
class Past:
    """Index, journal and market data of past days, on one clock."""

    journals: list[PlanJournal]
    clock: SimulatedClock = field(default_factory=lambda: SimulatedClock(EVENING))
    asked: list[tuple[str, object]] = field(default_factory=list)
    fail: Callable[[str, object], None] = lambda _name, _argument: None
    """Called before every answer of the market data; raises its error."""
    stored: dict[tuple[str, str], dict[str, Benchmarks]] = field(default_factory=dict)
    ended: dict[tuple[str, str], CostsRead] = field(default_factory=dict)
    emitted: list[tuple[LogEvent, dict[str, object]]] = field(default_factory=list)

    def update(self, *, seconds: float = 600, broker: BrokerKind = BrokerKind.SIMULATED, **options: Any) -> Update:
        reader = CostUpdate(self.plans_of, self.load, self, lambda _account: self, broker, self.clock, self)
        today = self.clock.now().date()
        return reader.run(today - timedelta(days=10), today, self.clock.now() + timedelta(seconds=seconds), **options)

    def plans_of(self, day: date) -> Iterable[Listed]:
        of_day = [one.plan for one in self.journals if one.plan.started_at.date() == day]
        return [Listed(plan.account, plan.plan_id) for plan in of_day]

    def load(self, account: str, plan_id: str) -> PlanJournal | None:
        for one in self.journals:
            if (one.plan.account, one.plan.plan_id) == (account, plan_id):
                return replace(one, benchmarks=self.stored.get((account, plan_id), {}))
        return None

    def unread(self, plans: Sequence[tuple[str, str]], *, retry: bool) -> Sequence[tuple[str, str]]:
        return [p for p in plans if p not in self.ended or (retry and not self.ended[p].is_complete)]

    def put(self, plan: PlanState, benchmarks: Benchmarks) -> None:
        self.stored.setdefault((plan.account, plan.plan_id), {}).setdefault(benchmarks.symbol, benchmarks)

    def end(self, plan: PlanState, read: CostsRead) -> None:
        self.ended[plan.account, plan.plan_id] = read

    def emit(self, event: LogEvent, **fields: object) -> None:
        self.emitted.append((event, fields))

    # --- market data -------------------------------------------------------------------------------------

    def minutes(
        self, symbols: Sequence[str], day: date, start: datetime, end: datetime
    ) -> Mapping[str, Sequence[MinuteBar]]:
        self._ask("minutes", (tuple(symbols), day, start, end))
        return {
            name: [MinuteBar(NOW, Decimal(10), Decimal(5)), MinuteBar(later(60), Decimal(11), Decimal(5))]
            for name in symbols
        }

    def closes(self, symbols: Sequence[str], day: date) -> Mapping[str, Sequence[DayClose]]:
        self._ask("closes", (tuple(symbols), day))
        days = [DayClose(day - timedelta(days=3), Decimal(9), Decimal(9)), DayClose(day, Decimal(12), Decimal(12))]
        return dict.fromkeys(symbols, days)

    def mid_at(self, symbol: str, day: date, at: datetime) -> Decimal | None:
        self._ask("mid", (symbol, day, at))
        return Decimal(10) + Decimal(int((at - NOW).total_seconds())) / 1000

    def _ask(self, name: str, argument: object) -> None:
        self.asked.append((name, argument))
        self.fail(name, argument)


def fails(name: str, error: Exception, *, times: int = 1) -> Callable[[str, object], None]:
    """Return what raises an error for the next requests of this name."""
    left = [error] * times

    def fail(asked: str, _argument: object) -> None:
        if asked == name and left:
            raise left.pop()

    return fail


def test_everything_of_a_plan_is_read_and_stored_once() -> None:
    past = Past([a_journal()])

    assert past.update().read == 1
    (read,) = past.stored["main", "plan-1"].values()
    assert (read.vwap, read.close, read.previous_close) == (Decimal("10.5"), Decimal(12), Decimal(9))
    assert [(fill.attempt, {h.value: str(mid) for h, mid in fill.mids.items()}) for fill in read.fills] == [
        (1, {"1s": "10.004", "30s": "10.033", "5min": "10.303"}),
        (2, {"1s": "10.071", "30s": "10.1", "5min": "10.37"}),
    ]
    assert read.missing == ()
    assert past.ended["main", "plan-1"].is_complete
    assert past.asked[:2] == [
        ("minutes", (("AAA",), DAY, later(1 - 60), later(70))),
        ("closes", (("AAA",), DAY)),
    ]
    assert [event for event, _ in past.emitted] == [LogEvent.COSTS_READ]

    asked = len(past.asked)
    assert past.update() == Update()
    assert len(past.asked) == asked == 8


def test_nothing_is_read_before_the_days_data_is_complete() -> None:
    past = Past([a_journal()], SimulatedClock(NOW + timedelta(hours=6)))
    assert past.update() == Update(not_due=1)
    assert (past.asked, past.ended) == ([], {})


def test_unfinished_plan_and_plan_of_another_market_are_left_out() -> None:
    past = Past([replace(a_journal("open"), result=None), a_journal("live", broker=BrokerKind.LIVE)])
    assert past.update() == Update()
    assert past.update(broker=BrokerKind.PAPER).read == 1, "prices at Alpaca are the same for paper and live"
    assert list(past.ended) == [("main", "live")]


def test_plan_without_fills_is_ended_without_a_request() -> None:
    plan = a_plan(an_item())
    past = Past([finished(plan, {"ABC": a_parent()}, {})])
    assert past.update().read == 1
    assert past.asked == []


def test_failure_leaves_the_rest_for_the_next_update_and_keeps_what_is_stored() -> None:
    past = Past([a_journal("plan-1", "AAA", "BBB")])

    def fail(name: str, argument: object) -> None:
        if name == "mid" and isinstance(argument, tuple) and argument[0] == "BBB":
            raise BrokerUnavailable("no answer")

    past.fail = fail
    update = past.update()
    assert (update.read, [(one.plan_id, one.reason, one.is_given_up) for one in update.failures]) == (
        0,
        [("plan-1", "no answer", False)],
    )
    assert (list(past.stored["main", "plan-1"]), past.ended) == (["AAA"], {})
    assert [event for event, _ in past.emitted] == [LogEvent.COSTS_READ_FAILED]

    past.fail, past.asked = lambda _name, _argument: None, []
    assert past.update().read == 1
    assert {argument[0] for name, argument in past.asked if name == "mid"} == {"BBB"}  # type: ignore[index]


def test_account_whose_data_cannot_be_read_costs_the_other_accounts_nothing() -> None:
    journals = [a_journal(f"plan-{n}") for n in range(4)] + [a_journal("other", account="growth")]
    past = Past(journals)
    past.fail = fails("minutes", BrokerUnavailable("keys rejected"), times=2)

    update = past.update()

    assert ([one.plan_id for one in update.failures], update.left, update.read) == (["plan-0", "plan-1"], 2, 1)
    assert list(past.ended) == [("growth", "other")]


def test_plan_that_contradicts_its_journal_is_named_and_the_others_are_read() -> None:
    past = Past([a_journal("plan-1"), a_journal("plan-2")])
    past.fail = fails("closes", JournalContradiction("changed by hand"))
    update = past.update()
    assert ([one.reason for one in update.failures], update.read) == (["changed by hand"], 1)


@pytest.mark.parametrize(("days", "given_up"), [(6, False), (7, True)])
def test_data_that_cannot_be_read_for_a_week_is_given_up_with_its_reason(days: int, given_up: bool) -> None:
    past = Past([a_journal()], SimulatedClock(EVENING + timedelta(days=days)))
    past.fail = fails("closes", BrokerUnavailable("not part of the subscription"))

    update = past.update()

    assert [one.is_given_up for one in update.failures] == [given_up]
    if given_up:
        assert past.ended["main", "plan-1"].reason == "not part of the subscription"
        assert past.update() == Update()
        assert past.update(retry=True).read == 1
        assert past.ended["main", "plan-1"].is_complete


def test_rate_limit_is_waited_for_if_it_opens_in_time() -> None:
    past = Past([a_journal()])
    past.fail = fails("mid", RateLimited("used up", retry_at=EVENING + timedelta(seconds=40)))
    assert past.update().read == 1
    assert [wait.total_seconds() for wait in past.clock.slept] == [40]


@pytest.mark.parametrize("retry_at", [EVENING + timedelta(seconds=60), None])
def test_rate_limit_that_opens_too_late_ends_the_update(retry_at: datetime | None) -> None:
    past = Past([a_journal()])
    past.fail = fails("mid", RateLimited("used up", retry_at=retry_at))
    assert past.update(seconds=60) == Update(left=1)
    assert (past.ended, past.clock.slept) == ({}, [])


def test_update_ends_at_its_time_and_the_next_one_continues() -> None:
    past = Past([a_journal("plan-1", "AAA", "BBB"), a_journal("plan-2")])
    past.fail = lambda *_: past.clock.advance(timedelta(seconds=10))

    assert past.update(seconds=85) == Update(left=2)
    assert list(past.stored["main", "plan-1"]) == ["AAA"]
    assert past.update(seconds=1000).read == 2


def test_only_the_plans_of_the_account_are_read() -> None:
    past = Past([a_journal("plan-1"), a_journal("plan-2", account="growth")])
    assert past.update(account="growth").read == 1
    assert list(past.ended) == [("growth", "plan-2")]


def test_prices_that_the_market_data_does_not_have_are_named() -> None:
    past = Past([a_journal()])
    past.closes = lambda *_: {}  # type: ignore[method-assign]
    past.minutes = lambda *_: {}  # type: ignore[method-assign]
    past.mid_at = lambda symbol, day, at: None if at < later(40) else Decimal(10)  # type: ignore[method-assign]  # noqa: ARG005

    assert past.update().read == 1
    (read,) = past.stored["main", "plan-1"].values()
    assert read.missing == (
        "no interval VWAP",
        "no close",
        "no previous close",
        "no quote 1s, 30s after the fill of attempt 1",
    )
    assert set(read.fills[0].mids) == {Horizon.FIVE_MINUTES}
