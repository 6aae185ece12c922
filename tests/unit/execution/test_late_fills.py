"""Reconciliation reads final orders again: late fills are counted and named, and a late list changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import PlanYielded
from rebalance_executor.domain.market import BrokerOrder, OrderRequest, Position
from rebalance_executor.domain.order_ids import LOCAL_DEPLOYMENT
from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome, ParentOrder
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import Broker, EarlyAnswers, Ports, ReadSet
from rebalance_executor.execution.reconciliation import reconcile
from rebalance_executor.execution.run import Run
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW, a_child, a_filled_child, a_parent, a_plan, a_position, an_item, an_order, later
from tests.support.fake_ports import REQUEST_LOST, RESTS, FakePorts, outcomes
from tests.support.runs import a_run

CANCELED = a_child(ChildState.CANCELED, status="canceled", closed_at=NOW)
UNFILLED = a_parent(
    CANCELED,
    outcome=Outcome.UNFILLED,
    code=Code.ATTEMPTS_EXHAUSTED,
    message="1 orders did not fill the item",
    held_before=Decimal(0),
    settled_at=NOW,
)
HALF = an_order("canceled", filled="4", price="10", closed_at=later(-1))


class LateBroker:
    """A broker whose list and whose answers by ID can differ; counts its requests."""

    def __init__(self, listed: Sequence[BrokerOrder], by_id: Sequence[BrokerOrder] | None = None) -> None:
        self.clock = SimulatedClock(NOW)
        self.listed = list(listed)
        self.by_id = {order.client_order_id: order for order in (listed if by_id is None else by_id)}
        self.asked: list[str] = []
        self.held = "0"
        self.held_from = NOW
        """Time from which the position shows the shares."""
        self.logged: list[tuple[LogEvent, dict[str, object]]] = []

    def emit(self, event: LogEvent, **fields: object) -> None:
        self.logged.append((event, fields))

    def orders(self, _symbols: Sequence[str], _after: datetime) -> list[BrokerOrder]:
        return self.listed

    def ask(self, _reads: ReadSet) -> EarlyAnswers:
        return EarlyAnswers(self.clock.now(), cast("Broker", self))

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        self.asked.append(client_order_id)
        return self.by_id.get(client_order_id)

    def positions(self, _symbols: Sequence[str]) -> dict[str, Position]:
        return {"ABC": a_position(self.held if self.clock.now() >= self.held_from else "0")}

    def compare(self, run: Run) -> list[Any]:
        ports = cast("Ports", SimpleNamespace(clock=self.clock, log=self, risk_store=None, deployment=LOCAL_DEPLOYMENT))
        access = AccountAccess.create("default", cast("Broker", self), ports, ExecutionConfig())
        return list(reconcile(run, access, {}))

    @property
    def events(self) -> list[LogEvent]:
        return [event for event, _ in self.logged]


def settled_again(parent: ParentOrder, order: BrokerOrder, held: str) -> tuple[ParentOrder, LateBroker]:
    """Return the parent after a reconciliation in which the broker reports this order and position."""
    broker, run = LateBroker([order]), a_run(parent)
    broker.held = held
    assert broker.compare(run) == []
    return run.parents["ABC"], broker


# --- late fills ------------------------------------------------------------------------------------------


def test_late_fill_of_a_part_is_counted_and_named() -> None:
    after, broker = settled_again(UNFILLED, HALF, held="4")

    assert (after.outcome, after.code) == (Outcome.PARTIALLY_FILLED, Code.ATTEMPTS_EXHAUSTED)
    assert (after.filled_qty, after.filled_value) == (Decimal(4), Decimal(40))
    assert after.message == (
        "1 orders did not fill the item; 4 shares of order order-1 were filled after it was canceled"
    )
    assert broker.events == [LogEvent.ORDER_LATE_FILL, LogEvent.ITEM_PARTIALLY_FILLED]
    assert broker.logged[0][1]["filled_qty"] == Decimal(4)


def test_late_fill_without_an_earlier_code_is_the_code() -> None:
    after, _ = settled_again(replace(UNFILLED, code=None, message=None), HALF, held="4")
    assert (after.outcome, after.code) == (Outcome.PARTIALLY_FILLED, Code.LATE_FILL)


@pytest.mark.parametrize("status", ["canceled", "filled"])
def test_late_fill_of_all_shares_fills_the_item(status: str) -> None:
    after, _ = settled_again(UNFILLED, an_order(status, filled="10", price="10"), held="10")

    assert (after.outcome, after.code, after.settled_at) == (Outcome.FILLED, Code.LATE_FILL, NOW)
    assert (after.children[0].state, after.children[0].status) == (ChildState[status.upper()], status)


def test_late_fill_beyond_the_order_is_an_overfill() -> None:
    """The first order fills after the second one has filled the item."""
    second = a_filled_child(attempt=2)
    parent = replace(UNFILLED, children=(CANCELED, second), outcome=Outcome.FILLED, code=None, message=None)
    broker, run = LateBroker([HALF, a_report_of(second)]), a_run(parent)
    broker.held = "14"

    assert broker.compare(run) == []
    after = run.parents["ABC"]
    assert (after.outcome, after.code, after.filled_qty) == (Outcome.UNRESOLVED, Code.OVERFILLED, Decimal(14))


def test_late_fill_of_an_unresolved_item_keeps_its_code() -> None:
    replaced = replace(CANCELED, state=ChildState.REPLACED, status="replaced")
    parent = replace(UNFILLED, children=(replaced,), outcome=Outcome.UNRESOLVED, code=Code.REPLACED_EXTERNALLY)
    after, _ = settled_again(parent, replace(HALF, status="replaced"), held="4")

    assert (after.outcome, after.code, after.filled_qty) == (
        Outcome.UNRESOLVED,
        Code.REPLACED_EXTERNALLY,
        Decimal(4),
    )


def test_late_fill_gives_the_position_time_to_follow() -> None:
    """The wait counts from the time at which the item is settled again."""
    broker, run = LateBroker([HALF]), a_run(replace(UNFILLED, settled_at=later(-60)))
    broker.held, broker.held_from = "4", later(3)

    assert broker.compare(run) == []
    assert sum(broker.clock.slept, timedelta()) == timedelta(seconds=3)


@pytest.mark.parametrize(
    ("child", "order"),
    [
        (CANCELED, replace(HALF, filled_avg_price=None)),
        (CANCELED, replace(HALF, qty=Decimal(11))),
        (CANCELED, replace(HALF, status="partially_filled")),
        (CANCELED, replace(HALF, id="order-9")),
        (a_child(ChildState.NOT_SENT), HALF),
        (a_child(ChildState.REJECTED, order_id=None), HALF),
        (replace(CANCELED, filled_qty=Decimal(5), filled_avg_price=Decimal(10)), HALF),
    ],
    ids=["no price", "other quantity", "live again", "other order", "never sent", "rejected", "fewer shares"],
)
def test_report_that_contradicts_the_journal_is_no_late_fill(child: ChildOrder, order: BrokerOrder) -> None:
    sent = a_child(ChildState.CANCELED, attempt=2, status="canceled")
    broker, run = LateBroker([order, a_report_of(sent)]), a_run(replace(UNFILLED, children=(child, sent)))
    broker.held = "4"

    assert broker.compare(run)
    after = run.parents["ABC"]
    assert (after.outcome, after.code) == (Outcome.UNRESOLVED, Code.RECONCILIATION_MISMATCH)
    assert after.children == (child, sent)


# --- lists -----------------------------------------------------------------------------------------------


def a_report_of(child: ChildOrder) -> BrokerOrder:
    """Return the broker's report that agrees with the journal."""
    report = an_order(child.state.lower(), filled=str(child.filled_qty))
    return replace(
        report,
        id=f"order-{child.attempt}",
        client_order_id=child.client_order_id,
        filled_avg_price=child.filled_avg_price,
    )


FILLED = a_parent(a_filled_child(), outcome=Outcome.FILLED, held_before=Decimal(0), settled_at=NOW)
CURRENT = an_order("filled", filled="10", price="10.01")
OTHERS = [replace(an_order("new"), id=f"o{n}", client_order_id=f"theirs-{n}") for n in range(3)]


@pytest.mark.parametrize(
    "listed",
    [
        [],
        OTHERS,
        [replace(CURRENT, status="new", filled_qty=Decimal(0), filled_avg_price=None)],
        [replace(CURRENT, status="partially_filled", filled_qty=Decimal(4))],
        [replace(CURRENT, filled_avg_price=Decimal("10.02"))],
        [*OTHERS, CURRENT],
    ],
    ids=["missing", "only others", "still new", "partly filled", "another price", "among others"],
)
def test_list_is_confirmed_by_id_before_it_is_a_difference(listed: list[BrokerOrder]) -> None:
    broker, run = LateBroker(listed, [CURRENT]), a_run(FILLED)
    broker.held = "10"

    assert broker.compare(run) == []
    assert run.parents["ABC"] == FILLED
    assert (broker.asked, broker.clock.slept) == ([] if CURRENT in listed else ["client-1"], [])


def test_answer_by_id_that_agrees_is_read_once() -> None:
    broker, run = LateBroker([], [CURRENT]), a_run(FILLED)
    broker.held, broker.held_from = "10", later(3)

    assert broker.compare(run) == []
    assert broker.asked == ["client-1"]


def test_order_that_differs_by_id_as_well_is_a_difference() -> None:
    broker, run = LateBroker([], []), a_run(FILLED)
    broker.held = "10"

    (difference,) = broker.compare(run)
    assert difference.problem == "order client-1 is not at the broker"
    assert len(broker.asked) == 11  # every half second for five seconds


def test_more_shares_in_the_list_than_by_id_count() -> None:
    """Of two reports the larger fill is right."""
    broker, run = LateBroker([HALF], [an_order("canceled")]), a_run(UNFILLED)
    broker.held = "4"

    assert broker.compare(run) == []
    assert run.parents["ABC"].filled_qty == 4


# --- while a later order works ---------------------------------------------------------------------------


def late_fill(fakes: FakePorts, shares: str) -> None:
    """Print more shares of the first order, which is canceled."""
    order = fakes.broker.orders_by_id["order-1"]
    fakes.broker.fill_order("order-1", shares)
    fakes.broker.orders_by_id["order-1"] = replace(
        order, filled_qty=order.filled_qty + Decimal(shares), filled_avg_price=order.limit_price
    )


def test_order_that_works_for_shares_of_a_late_fill_is_canceled() -> None:
    fakes = FakePorts(child_wait_seconds=10)
    fakes.broker.script("AAA", RESTS, RESTS)
    fakes.after(13, lambda: late_fill(fakes, "4"))
    result = fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert [request.qty for request in fakes.broker.sent] == [10, 10, 6]
    assert fakes.broker.cancel_requests == ["order-1", "order-2"]
    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert fakes.broker.shares["AAA"] == 10
    assert fakes.parent("AAA").children[1].cancel_requested_at == later(13)
    assert len(fakes.fields(LogEvent.ORDER_LATE_FILL)) == 1


def test_lost_order_for_shares_of_a_late_fill_is_not_sent_again() -> None:
    fakes = FakePorts(child_wait_seconds=10, arrival_horizon_seconds=20)
    fakes.broker.script("AAA", RESTS, REQUEST_LOST)
    check = fakes.broker.before_submit

    def submit(request: OrderRequest) -> None:
        check(request)
        if len(fakes.broker.sent) == 1:
            late_fill(fakes, "4")

    fakes.broker.before_submit = submit
    result = fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert [request.qty for request in fakes.broker.sent] == [10, 10, 6]
    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert fakes.broker.shares["AAA"] == 10


def test_late_fill_is_counted_before_an_order_that_waited_for_a_quote() -> None:
    fakes = FakePorts(child_wait_seconds=2, quote_wait_seconds=60)
    fakes.broker.script("AAA", RESTS)
    fakes.after(1.9, lambda: fakes.broker.prices.pop("AAA"))
    fakes.after(6, lambda: late_fill(fakes, "4"))
    fakes.after(9, lambda: fakes.broker.set_quote("AAA", "99.99", "100.01"))
    fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert [request.qty for request in fakes.broker.sent] == [10, 6]
    assert fakes.broker.shares["AAA"] == 10


def test_late_fill_is_counted_before_a_resumed_plan_sends_again() -> None:
    fakes = FakePorts(child_wait_seconds=60)
    fakes.broker.script("AAA", RESTS)
    plan = a_plan(an_item("AAA", amount="1000"))
    with pytest.raises(PlanYielded):
        fakes.execute(plan, seconds=10)
    late_fill(fakes, "4")
    fakes.execute(plan, run_id="run-2")

    assert [request.qty for request in fakes.broker.sent] == [10, 6]
