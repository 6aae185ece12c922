"""An order with shares remaining is final only after two equal readings, at least one tick apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import PlanYielded
from rebalance_executor.domain.market import BrokerOrder, OrderRequest
from rebalance_executor.domain.orders import ChildPhase, ChildState, Outcome
from rebalance_executor.execution.events import LogEvent
from tests.support.builders import a_plan, an_item, later
from tests.support.fake_ports import FILLS, RESTS, FakePorts, outcomes

BUY_ONE = a_plan(an_item("AAA", amount="1000"))


def fills_after_canceled(fakes: FakePorts, seconds: float, shares: str, status: str) -> None:
    """Let the first order fill ``seconds`` after it was canceled; the broker reports ``status`` from then on."""

    def fill() -> None:
        fakes.broker.fill_order("order-1", shares)
        fakes.broker.orders_by_id["order-1"] = replace(fakes.broker.orders_by_id["order-1"], status=status)

    fakes.after(1 + seconds, fill)


@pytest.mark.parametrize(
    ("shares", "status", "sent"),
    [("4", "canceled", ["10", "6"]), ("10", "filled", ["10"])],
    ids=["a part follows", "canceled turns to filled"],
)
def test_fill_after_the_first_reading_is_not_ordered_again(shares: str, status: str, sent: list[str]) -> None:
    """Canceled at one second; the fill appears after the first reading and before the second."""
    fakes = FakePorts(child_wait_seconds=1, tick_seconds=1)
    fakes.broker.set_quote("AAA", "100", "100")
    fakes.broker.script("AAA", RESTS, FILLS)
    fills_after_canceled(fakes, 1.5, shares, status)
    result = fakes.execute(BUY_ONE)

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert [request.qty for request in fakes.broker.sent] == [Decimal(qty) for qty in sent]
    assert fakes.broker.shares["AAA"] == 10


def test_next_order_waits_for_the_second_reading() -> None:
    fakes = FakePorts(child_wait_seconds=2, tick_seconds=1)
    fakes.broker.script("AAA", RESTS, FILLS)
    fakes.execute(BUY_ONE)

    first, second = fakes.parent("AAA").children
    assert (first.closed_at, second.sent_at) == (later(2), later(4))  # read as canceled at 3 and at 4 seconds
    assert len(fakes.fields(LogEvent.ORDER_CANCELED)) == 1


def test_run_that_gives_up_leaves_the_confirmation_to_the_next_one() -> None:
    fakes = FakePorts(child_wait_seconds=600, tick_seconds=60)
    fakes.broker.script("AAA", RESTS, FILLS)
    with pytest.raises(PlanYielded):
        fakes.execute(BUY_ONE, seconds=100)

    (child,) = fakes.parent("AAA").children
    assert (child.state, child.phase) == (ChildState.LIVE, ChildPhase.CLOSED_UNCONFIRMED)
    assert len(fakes.broker.sent) == 1

    fakes.clock.sleep(timedelta(seconds=600))
    result = fakes.execute(BUY_ONE)
    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert fakes.parent("AAA").children[0].state is ChildState.CANCELED


def test_outdated_first_reading_of_the_next_run_is_not_a_contradiction() -> None:
    """The wait for agreeing readings starts again in each run, however long ago the first one was."""
    fakes = FakePorts(child_wait_seconds=600, tick_seconds=60)
    fakes.broker.script("AAA", RESTS, FILLS)
    fakes.after(1, lambda: fakes.broker.fill_order("order-1", "4"))
    with pytest.raises(PlanYielded):
        fakes.execute(BUY_ONE, seconds=100)

    fakes.clock.sleep(timedelta(seconds=600))
    resumed_at = fakes.elapsed
    fakes.broker.as_reported = lambda order: (
        replace(order, filled_qty=Decimal(0)) if order.id == "order-1" and fakes.elapsed < resumed_at + 30 else order
    )
    result = fakes.execute(BUY_ONE)
    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert fakes.parent("AAA").children[0].filled_qty == 4


def test_readings_that_never_agree_end_unresolved() -> None:
    fakes = FakePorts(child_wait_seconds=1, cancel_wait_seconds=10)
    fakes.broker.script("AAA", RESTS)

    def alternating(order: BrokerOrder) -> BrokerOrder:
        return replace(order, status="expired") if order.is_terminal and int(fakes.elapsed * 2) % 2 else order

    fakes.broker.as_reported = alternating
    result = fakes.execute(BUY_ONE)

    assert outcomes(result) == {"AAA": (Outcome.UNRESOLVED, Code.FILL_PRICE_MISSING)}
    assert len(fakes.broker.sent) == 1


def rejected_later(fakes: FakePorts, request: OrderRequest) -> BrokerOrder:
    """Accept an order; it is rejected afterwards."""
    order = submitted(fakes, request)
    fakes.broker.close_order(order.id, "rejected")
    return order


def rejected_at_once(fakes: FakePorts, request: OrderRequest) -> BrokerOrder:
    """Answer a submission with an order that is rejected already."""
    order = submitted(fakes, request)
    fakes.broker.close_order(order.id, "rejected")
    return fakes.broker.orders_by_id[order.id]


def submitted(fakes: FakePorts, request: OrderRequest) -> BrokerOrder:
    """Send an order that rests."""
    fakes.broker.script(request.symbol, RESTS)
    return type(fakes.broker).submit(fakes.broker, request)


@pytest.mark.parametrize("submit", [rejected_at_once, rejected_later])
@pytest.mark.parametrize(("limit", "trips"), [(3, True), (4, False)])
def test_reject_counts_once_at_its_first_sight(
    submit: Callable[[FakePorts, OrderRequest], BrokerOrder],
    limit: int,
    *,
    trips: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each reject is read several times before a second reading confirms it."""
    fakes = FakePorts(max_rejects_in_a_row=limit, tick_seconds=2)
    monkeypatch.setattr(fakes.broker, "submit", lambda request: submit(fakes, request))
    result = fakes.execute(a_plan(*(an_item(symbol, amount="1000") for symbol in ("AAA", "BBB", "CCC"))))

    assert {outcome for outcome, _ in outcomes(result).values()} == {Outcome.REJECTED}
    assert (LogEvent.KILL_SWITCH_TRIPPED in fakes.events) is trips
    assert len(fakes.fields(LogEvent.ORDER_REJECTED)) == 3


# --- a list that is late ---------------------------------------------------------------------------------


def stale_list(fakes: FakePorts, seconds: float) -> None:
    """Let the list show each order as it was after its submission, for ``seconds``; by ID it is current."""
    listed = fakes.broker.orders

    def orders(symbols: Sequence[str], after: datetime) -> Sequence[BrokerOrder]:
        rows = listed(symbols, after)
        if fakes.elapsed >= seconds:
            return rows
        return [replace(row, status="new", filled_qty=Decimal(0), filled_avg_price=None) for row in rows]

    fakes.broker.orders = orders  # type: ignore[method-assign]


@pytest.mark.parametrize("seconds", [3, 30, 10_000], ids=["for a while", "beyond the cancel wait", "for ever"])
def test_cancel_after_which_only_the_list_is_stale_changes_nothing(seconds: float) -> None:
    fakes = FakePorts(child_wait_seconds=1, cancel_wait_seconds=10)
    fakes.broker.script("AAA", RESTS, FILLS)
    stale_list(fakes, seconds)
    result = fakes.execute(BUY_ONE)

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert [child.state for child in fakes.parent("AAA").children] == [ChildState.CANCELED, ChildState.FILLED]
    assert fakes.elapsed < 6


def test_row_that_stays_pending_is_confirmed_by_id_before_it_is_unresolved() -> None:
    fakes = FakePorts(child_wait_seconds=1, cancel_wait_seconds=10)
    fakes.broker.script("AAA", RESTS, FILLS)
    listed = fakes.broker.orders
    fakes.broker.orders = lambda symbols, after: [  # type: ignore[method-assign]
        replace(row, status="pending_cancel") if row.status == "canceled" else row for row in listed(symbols, after)
    ]
    result = fakes.execute(BUY_ONE)

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}


def test_refused_cancel_of_a_live_order_is_looked_up_once_per_answer() -> None:
    fakes = FakePorts(child_wait_seconds=1)
    fakes.broker.script("AAA", RESTS, FILLS)
    fakes.broker.cancels_not_found = 1
    fakes.execute(BUY_ONE)

    assert len(fakes.broker.cancel_requests) == 2
    reads_by_id = [name for name, _ in fakes.broker.reads].count("order_by_client_id")
    assert reads_by_id == 2  # one after the refused cancel, and the second reading after the end of the order


def test_row_with_fewer_shares_than_are_known_is_confirmed_by_id() -> None:
    fakes = FakePorts(child_wait_seconds=2, cancel_wait_seconds=10)
    fakes.broker.script("AAA", RESTS, FILLS)
    fakes.after(1, lambda: fakes.broker.fill_order("order-1", "4"))
    listed = fakes.broker.orders
    fakes.broker.orders = lambda symbols, after: [  # type: ignore[method-assign]
        replace(row, filled_qty=Decimal(0), filled_avg_price=None) if row.status == "canceled" else row
        for row in listed(symbols, after)
    ]
    result = fakes.execute(BUY_ONE)

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert fakes.parent("AAA").children[0].filled_qty == 4


def test_row_with_another_quantity_is_confirmed_by_id() -> None:
    fakes = FakePorts(child_wait_seconds=2)
    fakes.broker.script("AAA", RESTS, FILLS)
    listed = fakes.broker.orders
    fakes.broker.orders = lambda symbols, after: [  # type: ignore[method-assign]
        replace(row, qty=Decimal(7)) for row in listed(symbols, after)
    ]
    result = fakes.execute(BUY_ONE)

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}


def test_late_list_does_not_confirm_itself() -> None:
    """The list is late by more than a tick: both of its readings lack the fill, which a reading by ID shows."""
    fakes = FakePorts(child_wait_seconds=1, tick_seconds=1)
    fakes.broker.set_quote("AAA", "100", "100")
    fakes.broker.script("AAA", RESTS, FILLS)
    fills_after_canceled(fakes, 0.5, "4", "canceled")
    listed = fakes.broker.orders
    fakes.broker.orders = lambda symbols, after: [  # type: ignore[method-assign]
        replace(row, filled_qty=Decimal(0), filled_avg_price=None) if row.status == "canceled" else row
        for row in listed(symbols, after)
    ]
    result = fakes.execute(BUY_ONE)

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert [request.qty for request in fakes.broker.sent] == [Decimal(10), Decimal(6)]
    assert fakes.broker.shares["AAA"] == 10
