"""Reconciliation: it waits for a lagging broker, and a remaining difference makes its item unresolved."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import PlanYielded
from rebalance_executor.domain.market import BrokerOrder, Position
from rebalance_executor.domain.order_ids import LOCAL_DEPLOYMENT, child_order_prefix
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import Broker, EarlyAnswers, Ports, ReadSet
from rebalance_executor.execution.reconciliation import reconcile
from rebalance_executor.execution.run import Run
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW, a_filled_child, a_parent, a_plan, a_position, an_item, an_order
from tests.support.fake_ports import RESTS, FakePorts, outcomes
from tests.support.runs import a_run

FILLED = a_parent(a_filled_child(), outcome=Outcome.FILLED, held_before=Decimal(0), settled_at=NOW)


class Fixture:
    """A broker whose positions agree after ``agree_after`` looks; counts its requests."""

    def __init__(self, agree_after: int = 0, *others: BrokerOrder) -> None:
        self.clock = SimulatedClock(NOW)
        self.others = others
        self.looks = 0
        self.lists = 0
        self.agree_after = agree_after
        self.logged: list[tuple[LogEvent, dict[str, object]]] = []

    def emit(self, event: LogEvent, **fields: object) -> None:
        self.logged.append((event, fields))

    def ask(self, _reads: ReadSet) -> EarlyAnswers:
        return EarlyAnswers(self.clock.now(), cast("Broker", self))

    def orders(self, symbols: Sequence[str], after: datetime) -> list[BrokerOrder]:
        self.lists += 1
        assert symbols == ["ABC"]
        assert after == NOW - timedelta(minutes=10)
        return [an_order("filled", filled="10", price="10.01"), *self.others]

    def positions(self, symbols: Sequence[str]) -> dict[str, Position]:
        assert symbols == ["ABC"]
        self.looks += 1
        return {"ABC": a_position("10" if self.looks > self.agree_after else "0")}

    def run(self, parent: ParentOrder = FILLED, seconds: float = 600) -> Run:
        return a_run(parent, seconds=seconds)

    def compare(self, run: Run, look: Sequence[BrokerOrder] = ()) -> list[Any]:
        ports = cast("Ports", SimpleNamespace(clock=self.clock, log=self, risk_store=None, deployment=LOCAL_DEPLOYMENT))
        access = AccountAccess.create("default", cast("Broker", self), ports, ExecutionConfig())
        return list(reconcile(run, access, {order.client_order_id: order for order in look}))


def test_agreement_takes_two_requests() -> None:
    fixture, run = Fixture(), Fixture().run()
    assert fixture.compare(run) == []
    assert (fixture.looks, fixture.clock.slept, run.parents["ABC"]) == (1, [], FILLED)


def test_look_in_which_every_order_filled_completely_is_not_repeated() -> None:
    fixture = Fixture()
    assert fixture.compare(fixture.run(), [an_order("filled", filled="10", price="10.01")]) == []
    assert (fixture.lists, fixture.looks) == (0, 1)


@pytest.mark.parametrize(
    "look",
    [
        [],
        [an_order("canceled", filled="4", price="10.01")],
        [replace(an_order("filled", filled="10"), client_order_id="other")],
    ],
    ids=["nothing", "a part", "another order"],
)
def test_any_other_look_is_followed_by_a_list(look: list[BrokerOrder]) -> None:
    fixture = Fixture()
    assert fixture.compare(fixture.run(), look) == []
    assert (fixture.lists, fixture.looks) == (1, 1)


def test_positions_that_contradict_the_look_are_read_again_with_the_orders() -> None:
    fixture = Fixture(agree_after=1)
    assert fixture.compare(fixture.run(), [an_order("filled", filled="10", price="10.01")]) == []
    assert (fixture.lists, fixture.looks) == (1, 2)


def test_reconciliation_waits_for_a_lagging_broker() -> None:
    fixture = Fixture(agree_after=3)
    run = fixture.run()
    assert fixture.compare(run) == []
    assert run.parents["ABC"].outcome is Outcome.FILLED


def test_remaining_difference_makes_the_item_unresolved() -> None:
    fixture = Fixture(agree_after=1000)
    run = fixture.run()
    (difference,) = fixture.compare(run)

    assert difference.symbol == "ABC"
    assert (run.parents["ABC"].outcome, run.parents["ABC"].code) == (Outcome.UNRESOLVED, "RECONCILIATION_MISMATCH")
    assert run.work.changed == {"ABC"}
    assert sum(fixture.clock.slept, timedelta()) == timedelta(seconds=5)
    assert run.parents["ABC"].message == difference.problem
    assert fixture.logged == [(LogEvent.RECONCILIATION_MISMATCH, {"symbol": "ABC", "reason": difference.problem})]


def test_wait_counts_from_the_last_settlement() -> None:
    fixture = Fixture(agree_after=1000)
    fixture.compare(fixture.run(replace(FILLED, settled_at=NOW - timedelta(seconds=3))))
    assert sum(fixture.clock.slept, timedelta()) == timedelta(seconds=2)


def test_early_settlement_of_one_item_does_not_shorten_the_wait_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """AAA is settled at once, BBB after eight seconds; the broker shows the position of BBB three seconds later."""
    fakes = FakePorts(child_wait_seconds=60)
    fakes.broker.script("BBB", RESTS)
    fakes.after(8, lambda: fakes.broker.fill_order("order-2"))
    positions = fakes.broker.positions

    def late(symbols: Collection[str]) -> Mapping[str, Position]:
        return {s: p for s, p in positions(symbols).items() if s == "AAA" or fakes.elapsed >= 11}

    monkeypatch.setattr(fakes.broker, "positions", late)
    result = fakes.execute(a_plan(an_item("AAA", amount="1000"), an_item("BBB", amount="1000")))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.FILLED, None)}


def test_item_names_all_of_its_own_differences() -> None:
    """One unknown order has the plan's prefix; another belongs to a symbol without an item."""
    prefix = child_order_prefix("default", "plan-1")
    ours = replace(an_order("canceled"), id="order-9", client_order_id=f"{prefix}ABC-9")
    elsewhere = replace(ours, id="order-8", client_order_id=f"{prefix}XYZ-1", symbol="XYZ")
    theirs = replace(ours, id="order-7", client_order_id="theirs")
    fixture = Fixture(1000, ours, elsewhere, theirs)
    run = fixture.run()
    assert len(fixture.compare(run)) == 3

    position, order = str(run.parents["ABC"].message).split("; ")
    assert "0 shares" in position
    assert f"order-9 ({prefix}ABC-9)" in order
    assert run.parents["ABC"].settled_at == NOW + timedelta(seconds=5)
    assert set(run.parents) == {"ABC"}


def test_reconciliation_yields_at_the_deadline() -> None:
    """The wait ends at the time to stop; the remaining margin may be shorter than a tick."""
    fixture = Fixture(agree_after=1000)
    run = fixture.run(seconds=4.2)
    with pytest.raises(PlanYielded, match="compares with the broker again"):
        fixture.compare(run)
    assert fixture.clock.now() == run.deadline.stop_at


def test_plan_that_sent_nothing_is_not_compared() -> None:
    fixture = Fixture()
    assert fixture.compare(fixture.run(replace(FILLED, children=(), outcome=Outcome.DENIED))) == []
    assert fixture.looks == 0
