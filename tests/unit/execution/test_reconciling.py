"""Comparing with the broker: a lag is waited out, a difference that stays disputes its item, the deadline yields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import PlanYielded
from rebalance_executor.domain.journal import RunRecord
from rebalance_executor.domain.market import BrokerOrder, Position
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import Broker, Lease, Ports
from rebalance_executor.execution.reconciling import reconcile
from rebalance_executor.execution.run import Deadline, Run
from tests.support.builders import NOW, a_filled_child, a_parent, a_plan, a_position, a_state, an_order
from tests.support.clocks import ManualClock

FILLED = a_parent(a_filled_child(), outcome=Outcome.FILLED, held_before=Decimal(0), settled_at=NOW)


class Desk:
    """A broker whose positions agree after so many looks; counts its requests."""

    def __init__(self, agree_after: int = 0) -> None:
        self.clock = ManualClock(NOW)
        self.looks = 0
        self.agree_after = agree_after
        self.told: list[LogEvent] = []

    def emit(self, event: LogEvent, **_: object) -> None:
        self.told.append(event)

    def orders(self, symbols: Sequence[str], after: datetime) -> list[BrokerOrder]:
        assert symbols == ["ABC"]
        assert after < NOW
        return [an_order("filled", filled="10", price="10.01")]

    def positions(self) -> dict[str, Position]:
        self.looks += 1
        return {"ABC": a_position("10" if self.looks > self.agree_after else "0")}

    def run(self, parent: ParentOrder = FILLED, seconds: float = 600) -> Run:
        plan = a_plan()
        deadline = Deadline.after(NOW, timedelta(seconds=seconds))
        lease = Lease("default", 1, "run-1", NOW)
        return Run(plan, lease, deadline, a_state(plan), RunRecord(1, "run-1", NOW), {"ABC": parent})

    def compare(self, run: Run) -> list[Any]:
        ports = cast("Ports", type("P", (), {"clock": self.clock, "log": self})())
        return list(reconcile(run, ports, cast("Broker", self), ExecutionConfig()))


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

    assert "0 shares are held" in difference.problem
    assert (run.parents["ABC"].outcome, run.parents["ABC"].code) == (Outcome.UNRESOLVED, "NOT_RECONCILED")
    assert run.dirty == {"ABC"}
    assert sum(desk.clock.slept, timedelta()) == timedelta(seconds=5)
    assert desk.told == [LogEvent.PLAN_DIFFERS]


def test_near_the_deadline_the_next_run_compares_again() -> None:
    desk = Desk(agree_after=1000)
    with pytest.raises(PlanYielded, match="compares with the broker again"):
        desk.compare(desk.run(seconds=4))


def test_a_plan_that_sent_nothing_asks_the_broker_nothing() -> None:
    desk = Desk()
    assert desk.compare(desk.run(replace(FILLED, children=(), outcome=Outcome.DENIED))) == []
    assert desk.looks == 0
