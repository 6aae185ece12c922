"""Parent and child orders, and the effect of a broker's report on them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.market import ZERO, BrokerOrder, OrderRequest, OrderType
from rebalance_executor.domain.order_ids import child_order_id
from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome, ParentOrder
from tests.support.builders import (
    BUY,
    NOW,
    SELL,
    a_child,
    a_filled_child,
    a_parent,
    an_order,
    later,
)
from tests.support.properties import property_test

TICK = timedelta(seconds=1)
TERMINAL = {
    "filled": ChildState.FILLED,
    "canceled": ChildState.CANCELED,
    "expired": ChildState.EXPIRED,
    "rejected": ChildState.REJECTED,
    "replaced": ChildState.REPLACED,
}
LIVE = [
    "new",
    "partially_filled",
    "accepted",
    "pending_new",
    "accepted_for_bidding",
    "pending_cancel",
    "pending_replace",
    "done_for_day",
    "stopped",
    "suspended",
    "calculated",
    "held",
    "a_word_of_next_year",
    "",
]
CLOSED = [ChildState.FILLED, ChildState.CANCELED, ChildState.EXPIRED, ChildState.REJECTED, ChildState.REPLACED]
OPEN = [ChildState.INTENDED, ChildState.UNKNOWN, ChildState.LIVE]


def read_twice(child: ChildOrder, order: BrokerOrder, seconds: float = 1) -> ChildOrder:
    """Return the child after two equal readings, by default one tick apart."""
    return child.with_report(order, NOW, TICK).with_report(order, later(seconds), TICK)


# --- a report --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", LIVE)
@pytest.mark.parametrize("before", OPEN)
def test_status_that_is_not_final_is_live(before: ChildState, status: str) -> None:
    """Production failure 11."""
    after = a_child(before).with_report(an_order(status), NOW, TICK)
    assert (after.state, after.status, after.order_id, after.closed_at) == (ChildState.LIVE, status, "order-1", None)


@pytest.mark.parametrize(("status", "state"), TERMINAL.items())
@pytest.mark.parametrize("before", OPEN)
def test_final_status_read_twice_closes_the_child(before: ChildState, status: str, state: ChildState) -> None:
    after = read_twice(a_child(before), an_order(status, filled="10", price="10.01"))
    assert (after.state, after.filled_qty, after.filled_avg_price) == (state, Decimal(10), Decimal("10.01"))
    assert (after.closed_at, after.closed_since, after.reported_at) == (NOW, None, None)


@pytest.mark.parametrize("status", ["canceled", "expired", "rejected", "replaced"])
def test_final_status_without_fills_needs_no_price(status: str) -> None:
    assert read_twice(a_child(), an_order(status)).state is TERMINAL[status]


def test_complete_fill_needs_one_reading() -> None:
    filled = an_order("filled", filled="10", price="10.01")
    assert a_child().with_report(filled, NOW, TICK).state is ChildState.FILLED


@pytest.mark.parametrize("status", ["canceled", "expired", "rejected", "replaced"])
def test_one_reading_does_not_end_an_order_with_shares_remaining(status: str) -> None:
    first = a_child().with_report(an_order(status, filled="4", price="10"), NOW, TICK)
    assert (first.state, first.closed_since, first.reported_at) == (ChildState.LIVE, NOW, NOW)
    assert first.exposure == 10
    early = first.with_report(an_order(status, filled="4", price="10"), later(0.9), TICK)
    assert early == first


@pytest.mark.parametrize(
    ("changed", "closed_since"),
    [
        (an_order("canceled", filled="6", price="10"), later(1)),
        (an_order("canceled", filled="4", price="11"), NOW),
        (an_order("expired", filled="4", price="10"), NOW),
    ],
    ids=["more shares", "another price", "another status"],
)
def test_changed_reading_restarts_the_confirmation(changed: BrokerOrder, closed_since: datetime) -> None:
    """The wait for details starts again with each further fill only, so that it ends."""
    first = a_child().with_report(an_order("canceled", filled="4", price="10"), NOW, TICK)
    second = first.with_report(changed, later(1), TICK)
    assert (second.state, second.closed_since, second.reported_at) == (ChildState.LIVE, closed_since, later(1))
    assert second.with_report(changed, later(2), TICK).state is TERMINAL[changed.status]


def test_canceled_that_turns_to_filled_is_filled() -> None:
    first = a_child().with_report(an_order("canceled"), NOW, TICK)
    after = first.with_report(an_order("filled", filled="10", price="10"), later(1), TICK)
    assert (after.state, after.filled_qty) == (ChildState.FILLED, Decimal(10))


def test_outdated_reading_confirms_nothing() -> None:
    """A reading with fewer shares than are known neither confirms them nor restarts the confirmation."""
    first = a_child().with_report(an_order("canceled", filled="4", price="10"), NOW, TICK)
    outdated = first.with_report(an_order("canceled"), later(1), TICK)
    assert outdated == first
    assert outdated.with_report(an_order("canceled", filled="4", price="10"), later(2), TICK).filled_qty == 4


def test_live_reading_restarts_everything() -> None:
    first = a_child().with_report(an_order("canceled"), NOW, TICK)
    live = first.with_report(an_order("new"), later(1), TICK)
    assert (live.closed_at, live.closed_since, live.reported_at) == (None, None, None)
    assert live.with_report(an_order("canceled"), later(2), TICK).state is ChildState.LIVE


@pytest.mark.parametrize(
    ("status", "filled", "price", "complete"),
    [
        ("canceled", "0", None, True),
        ("canceled", "4", None, False),
        ("canceled", "4", "10", True),
        ("filled", "4", "10", False),
        ("filled", "10", "10", True),
    ],
)
def test_details_are_complete(status: str, filled: str, price: str | None, *, complete: bool) -> None:
    assert a_child(filled=filled, price=price, status=status).is_complete is complete


@pytest.mark.parametrize("status", TERMINAL)
def test_fill_without_a_price_leaves_the_child_open(status: str) -> None:
    """Production failure 10: the status can precede the average price."""
    after = a_child().with_report(an_order(status, filled="10"), later(1), TICK)
    assert (after.state, after.filled_qty, after.closed_since) == (ChildState.LIVE, Decimal(10), later(1))
    assert after.is_open


def test_wait_for_a_price_counts_from_its_first_absence() -> None:
    """Production failure 10."""
    late = an_order("filled", filled="10")
    assert a_child().with_report(late, later(1), TICK).with_report(late, later(9), TICK).closed_since == later(1)


def test_late_price_closes_the_child() -> None:
    """Production failure 10."""
    pending = a_child().with_report(an_order("filled", filled="10"), later(1), TICK)
    after = pending.with_report(an_order("filled", filled="10", price="10.01"), later(2), TICK)
    assert (after.state, after.filled_avg_price, after.closed_since) == (ChildState.FILLED, Decimal("10.01"), None)


def test_partial_fill_without_a_price_is_not_incomplete_while_live() -> None:
    assert a_child().with_report(an_order("partially_filled", filled="4"), NOW, TICK).closed_since is None


def test_reported_fills_are_never_lost() -> None:
    """Production failure 17: of two reports the larger fill is right."""
    child = a_child().with_report(an_order("partially_filled", filled="6", price="10"), NOW, TICK)
    assert child.with_report(an_order("partially_filled", filled="4", price="10"), NOW, TICK).filled_qty == 6


def test_reported_price_is_never_lost() -> None:
    child = a_child().with_report(an_order("partially_filled", filled="6", price="10"), NOW, TICK)
    after = read_twice(child, an_order("canceled", filled="6"))
    assert (after.state, after.filled_avg_price) == (ChildState.CANCELED, Decimal(10))


@pytest.mark.parametrize(
    ("report", "expected"), [(later(3), later(3)), (None, later(7))], ids=["the broker's", "ours where it has none"]
)
def test_final_order_has_a_closing_time(report: datetime | None, expected: datetime) -> None:
    first = a_child().with_report(an_order("canceled", closed_at=report), later(7), TICK)
    assert first.with_report(an_order("canceled", closed_at=report), later(9), TICK).closed_at == expected


def test_submission_time_is_kept() -> None:
    child = a_child().with_report(an_order(submitted_at=later(1)), NOW, TICK)
    assert child.with_report(an_order(submitted_at=None), NOW, TICK).submitted_at == later(1)


@pytest.mark.parametrize(
    ("order", "state"),
    [
        (an_order("new"), ChildState.LIVE),
        (an_order("partially_filled", filled="4", price="10"), ChildState.LIVE),
        (an_order("done_for_day"), ChildState.LIVE),
        (an_order("a_word_of_next_year"), ChildState.LIVE),
        (an_order("canceled"), ChildState.CANCELED),
        (an_order("canceled", filled="4"), ChildState.LIVE),
        (an_order("filled", filled="10"), ChildState.LIVE),
        (an_order("filled", filled="4", price="10"), ChildState.LIVE),
        (an_order("filled", filled="10", price="10"), ChildState.FILLED),
    ],
)
def test_child_is_final_when_its_confirmed_report_is_complete(order: BrokerOrder, state: ChildState) -> None:
    """Production failures 10 and 11; ``filled`` can also precede the quantity."""
    assert read_twice(a_child(), order).state is state


def test_older_report_changes_neither_quantity_nor_price() -> None:
    before = a_child().with_report(an_order("partially_filled", filled="6", price="10"), NOW, TICK)
    after = before.with_report(an_order("partially_filled", filled="4", price="11"), NOW, TICK)
    assert (after.filled_qty, after.filled_avg_price) == (Decimal(6), Decimal(10))


reports = st.builds(
    lambda status, filled, price: an_order(status, filled=str(filled), price=price),
    st.sampled_from([*TERMINAL, *LIVE]),
    st.integers(0, 10),
    st.sampled_from([None, "9.99", "10.01"]),
)


@property_test
@given(st.sampled_from([*CLOSED, ChildState.NOT_SENT]), reports)
def test_closed_child_never_changes(state: ChildState, report: BrokerOrder) -> None:
    child = a_child(state, filled="4", price="10")
    assert child.with_report(report, later(9), TICK) is child


@property_test
@given(st.lists(reports, max_size=8))
def test_fills_only_grow_and_closed_stays_closed(reports: list[BrokerOrder]) -> None:
    child = a_child(ChildState.UNKNOWN)
    for second, report in enumerate(reports):
        after = child.with_report(report, later(second), TICK)
        assert after.filled_qty >= child.filled_qty
        assert child.is_open or after is child
        assert after.is_open or after.filled_qty == 0 or after.filled_avg_price is not None
        assert (after.client_order_id, after.qty, after.limit_price) == ("client-1", Decimal(10), Decimal("10.01"))
        child = after


# --- exposure --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("child", "exposure"),
    [
        (a_child(ChildState.INTENDED), "10"),
        (a_child(ChildState.UNKNOWN), "10"),
        (a_child(ChildState.LIVE, filled="4", price="10"), "10"),
        (a_child(ChildState.LIVE, filled="11", price="10"), "11"),
        (a_child(ChildState.FILLED, filled="10", price="10"), "10"),
        (a_child(ChildState.CANCELED, filled="4", price="10"), "4"),
        (a_child(ChildState.EXPIRED), "0"),
        (a_child(ChildState.REJECTED), "0"),
        (a_child(ChildState.REPLACED, filled="4", price="10"), "4"),
        (a_child(ChildState.NOT_SENT), "0"),
    ],
)
def test_exposure_of_a_child_is_filled_or_open_quantity(child: ChildOrder, exposure: str) -> None:
    assert child.exposure == Decimal(exposure)


def test_parent_sums_its_children() -> None:
    """Production failure 14: the remaining quantity counts, not the original one."""
    first = a_child(ChildState.CANCELED, filled="4", price="10")
    parent = a_parent(first, a_child(attempt=2, qty="6", filled="1", price="10.10"))
    assert (parent.filled_qty, parent.remaining, parent.exposure) == (Decimal(5), Decimal(5), Decimal(10))
    assert parent.filled_value == Decimal("50.10")


def test_fill_without_a_price_counts_in_shares_only() -> None:
    """Production failure 10."""
    parent = a_parent(a_child(filled="10"))
    assert (parent.filled_qty, parent.filled_value, parent.remaining) == (Decimal(10), ZERO, ZERO)


# --- children of a parent --------------------------------------------------------------------------------


def test_new_parent_has_no_child() -> None:
    parent = a_parent()
    assert (parent.last_child, parent.open_child, parent.attempts) == (None, None, 0)


@pytest.mark.parametrize("state", OPEN)
def test_only_the_last_child_can_be_open(state: ChildState) -> None:
    second = a_child(state, attempt=2)
    assert a_parent(a_child(ChildState.CANCELED), second).open_child is second


@pytest.mark.parametrize("state", [*CLOSED, ChildState.NOT_SENT])
def test_closed_child_is_not_open(state: ChildState) -> None:
    assert a_parent(a_child(state)).open_child is None


def test_child_never_sent_is_no_attempt() -> None:
    parent = a_parent(a_child(ChildState.NOT_SENT), a_child(ChildState.CANCELED, attempt=2), a_child(attempt=3))
    assert parent.attempts == 2


def test_child_of_the_same_attempt_is_replaced() -> None:
    intended = a_child(ChildState.INTENDED)
    live = a_child(ChildState.LIVE)
    second = a_child(attempt=2)
    parent = a_parent().with_child(intended).with_child(live).with_child(second)
    assert parent.children == (live, second)


def test_request_of_a_child_never_changes() -> None:
    request = OrderRequest("client-1", "ABC", SELL, OrderType.LIMIT, Decimal(10), Decimal("10.01"))
    assert a_child(ChildState.INTENDED).request("ABC", SELL) == request
    assert a_child(ChildState.UNKNOWN, resent=True).request("ABC", SELL) == request


# --- outcome ---------------------------------------------------------------------------------------------


def test_settled_parent_never_changes() -> None:
    settled = a_parent().settled(Outcome.UNRESOLVED, Code.FILL_PRICE_MISSING, "look", NOW)
    assert settled.settled(Outcome.FILLED, None, None, later(9)) is settled


def test_filled_parent_keeps_its_remark() -> None:
    scaled = a_parent(code=Code.SCALED_TO_CASH, message="scaled")
    settled = scaled.settled(Outcome.FILLED, None, None, NOW)
    assert (settled.outcome, settled.code, settled.message) == (Outcome.FILLED, Code.SCALED_TO_CASH, "scaled")


def test_failure_replaces_a_remark() -> None:
    scaled = a_parent(code=Code.SCALED_TO_CASH, message="scaled")
    settled = scaled.settled(Outcome.UNFILLED, Code.TIME_LIMIT, "too late", NOW)
    assert (settled.code, settled.message, settled.settled_at) == (Code.TIME_LIMIT, "too late", NOW)


# --- identity --------------------------------------------------------------------------------------------

names = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=100)


@property_test
@given(names, names, st.integers(1, 50))
def test_client_order_id_fits_the_broker_and_is_deterministic(account: str, plan_id: str, attempt: int) -> None:
    """Production failure 17 and the double buys: the same intent has the same ID in every run."""
    made = child_order_id(account, plan_id, "S" * 50, attempt)
    assert made == child_order_id(account, plan_id, "S" * 50, attempt)
    assert len(made) <= 128
    assert made.isascii()


def test_client_order_id_differs_by_account_plan_symbol_and_attempt() -> None:
    ids = {
        child_order_id("default", "plan-1", "ABC", 1),
        child_order_id("growth", "plan-1", "ABC", 1),
        child_order_id("default", "plan-2", "ABC", 1),
        child_order_id("default", "plan-1", "ABD", 1),
        child_order_id("default", "plan-1", "ABC", 2),
        child_order_id("defaultp", "lan-1", "ABC", 1),
        child_order_id("default", "plan-1", "ABC", 1, "000000000000/us-east-1/live"),
    }
    assert len(ids) == 7


@property_test
@given(st.lists(st.tuples(st.sampled_from(CLOSED), st.integers(0, 10)), max_size=6))
def test_filled_and_remaining_sum_to_the_quantity(children: list[tuple[ChildState, int]]) -> None:
    parent: ParentOrder = a_parent(side=BUY, qty="100")
    for attempt, (state, filled) in enumerate(children, start=1):
        parent = parent.with_child(a_child(state, attempt=attempt, filled=str(filled), price="10"))
    assert parent.filled_qty + parent.remaining == parent.qty
    assert parent.exposure == parent.filled_qty == sum((c.filled_qty for c in parent.children), ZERO)


def test_filled_child_has_no_further_exposure() -> None:
    assert a_filled_child("10").exposure == 10


def test_parent_keeps_every_former_child() -> None:
    first, second, third = (a_child(ChildState.CANCELED, attempt=n) for n in (1, 2, 3))
    parent = a_parent(first, second, third)

    changed = replace(third, status="canceled")
    assert parent.with_child(changed).children == (first, second, changed)
    assert parent.with_child(a_child(attempt=4)).children[:3] == (first, second, third)


def test_client_order_id_is_stable_across_versions() -> None:
    """A new version must find the orders that are open when it is deployed."""
    assert child_order_id("default", "plan-1", "BRK.B", 12) == "rb1-25bf8e1a-ff0e21d67e6f03aa4033-BRK.B-12"
