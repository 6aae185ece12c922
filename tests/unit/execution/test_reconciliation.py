"""Comparing with the broker: a lag is waited out, a difference that stays disputes its item, the deadline yields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import PlanYielded
from rebalance_executor.domain.market import BrokerOrder, Position
from rebalance_executor.domain.orders import Outcome, ParentOrder, child_order_prefix
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import Broker, Ports
from rebalance_executor.execution.reconciliation import reconcile
from rebalance_executor.execution.run import Run
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW, a_filled_child, a_parent, a_position, an_order
from tests.support.runs import a_run

FILLED = a_parent(a_filled_child(), outcome=Outcome.FILLED, held_before=Decimal(0), settled_at=NOW)


class Desk:
    """A broker whose positions agree after so many looks; counts its requests."""

    def __init__(self, agree_after: int = 0, *others: BrokerOrder) -> None:
        self.clock = SimulatedClock(NOW)
        self.others = others
        self.looks = 0
        self.agree_after = agree_after
        self.told: list[tuple[LogEvent, dict[str, object]]] = []

    def emit(self, event: LogEvent, **fields: object) -> None:
        self.told.append((event, fields))

    def orders(self, symbols: Sequence[str], after: datetime) -> list[BrokerOrder]:
        assert symbols == ["ABC"]
        assert after == NOW - timedelta(minutes=10)
        return [an_order("filled", filled="10", price="10.01"), *self.others]

    def positions(self, symbols: Sequence[str]) -> dict[str, Position]:
        assert symbols == ["ABC"]
        self.looks += 1
        return {"ABC": a_position("10" if self.looks > self.agree_after else "0")}

    def run(self, parent: ParentOrder = FILLED, seconds: float = 600) -> Run:
        return a_run(parent, seconds=seconds)

    def compare(self, run: Run) -> list[Any]:
        ports = cast("Ports", SimpleNamespace(clock=self.clock, log=self, risk_store=None))
        access = AccountAccess.to("default", cast("Broker", self), ports, ExecutionConfig())
        return list(reconcile(run, access))


def test_where_both_agree_two_requests_are_enough() -> None:
    desk, run = Desk(), Desk().run()
    assert desk.compare(run) == []
    assert (desk.looks, desk.clock.slept, run.parents["ABC"]) == (1, [], FILLED)


def test_a_broker_that_lags_is_waited_for() -> None:
    desk = Desk(agree_after=3)
    run = desk.run()
    assert desk.compare(run) == []
    assert run.parents["ABC"].outcome is Outcome.FILLED


def test_a_difference_that_stays_disputes_its_item_after_a_bounded_wait() -> None:
    desk = Desk(agree_after=1000)
    run = desk.run()
    (difference,) = desk.compare(run)

    assert difference.symbol == "ABC"
    assert (run.parents["ABC"].outcome, run.parents["ABC"].code) == (Outcome.UNRESOLVED, "RECONCILIATION_MISMATCH")
    assert run.work.changed == {"ABC"}
    assert sum(desk.clock.slept, timedelta()) == timedelta(seconds=5)
    assert run.parents["ABC"].message == difference.problem
    assert desk.told == [(LogEvent.RECONCILIATION_MISMATCH, {"symbol": "ABC", "reason": difference.problem})]


def test_the_wait_counts_from_when_the_plan_was_settled() -> None:
    desk = Desk(agree_after=1000)
    desk.compare(desk.run(replace(FILLED, settled_at=NOW - timedelta(seconds=3))))
    assert sum(desk.clock.slept, timedelta()) == timedelta(seconds=2)


def test_every_difference_of_an_item_is_named_and_only_its_own() -> None:
    """An order with the plan's own prefix that the journal does not know; one of another symbol has no item here."""
    prefix = child_order_prefix("default", "plan-1")
    ours = replace(an_order("canceled"), id="order-9", client_order_id=f"{prefix}ABC-9")
    elsewhere = replace(ours, id="order-8", client_order_id=f"{prefix}XYZ-1", symbol="XYZ")
    theirs = replace(ours, id="order-7", client_order_id="theirs")
    desk = Desk(1000, ours, elsewhere, theirs)
    run = desk.run()
    assert len(desk.compare(run)) == 3

    position, order = str(run.parents["ABC"].message).split("; ")
    assert "0 shares" in position
    assert f"order-9 ({prefix}ABC-9)" in order
    assert run.parents["ABC"].settled_at == NOW + timedelta(seconds=5)
    assert set(run.parents) == {"ABC"}


def test_near_the_deadline_the_next_run_compares_again() -> None:
    """The wait ends with the time to trade: what is left is for the journal, and may be less than a tick."""
    desk = Desk(agree_after=1000)
    run = desk.run(seconds=4.2)
    with pytest.raises(PlanYielded, match="compares with the broker again"):
        desk.compare(run)
    assert desk.clock.now() == run.deadline.stop_at


def test_a_plan_that_sent_nothing_asks_the_broker_nothing() -> None:
    desk = Desk()
    assert desk.compare(desk.run(replace(FILLED, children=(), outcome=Outcome.DENIED))) == []
    assert desk.looks == 0
