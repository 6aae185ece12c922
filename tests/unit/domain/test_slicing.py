"""Slices of parent orders that are large for their market (M1)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.decisions import Cancel, DecisionContext, Place, Settle, Wait
from rebalance_executor.domain.ladder import WaveSchedule
from rebalance_executor.domain.market import Arrival, Side
from rebalance_executor.domain.orders import ChildState, Outcome, ParentOrder
from rebalance_executor.domain.plan import Urgency
from rebalance_executor.domain.slicing import Slices, is_large, needs_volume, slices_of
from rebalance_executor.domain.strategy import decide
from tests.support.builders import BUY, NOW, SELL, a_child, a_filled_child, a_parent, a_quote, later

QUOTE = a_quote("99.99", "100.01")
"""100 shares are displayed at each touch."""
CONFIG = ExecutionConfig.model_validate({"slice_over_displayed": 5, "slice_displayed": 1, "slice_minutes": 10})
NORMAL = WaveSchedule()


def parent(*children: Any, qty: str = "2000", side: Side = BUY, **fields: Any) -> ParentOrder:
    return a_parent(*children, qty=qty, side=side, **({"arrival": QUOTE} | fields))


def large(*children: Any, **fields: Any) -> ParentOrder:
    """Build a parent of twenty times the display."""
    order = parent(*children, **fields)
    return replace(order, arrival=Arrival.of(order.side, QUOTE))


def at(seconds: float = 0, **schedule: Any) -> DecisionContext:
    return DecisionContext(later(seconds), quote=QUOTE, schedule=WaveSchedule(**schedule))


# --- which orders are large ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("qty", "displayed", "volume", "changes", "expected"),
    [
        ("500", 100, None, {}, False),
        ("501", 100, None, {}, True),
        ("501", 100, None, {"slice_over_displayed": None}, False),
        ("501", 0, None, {}, False),
        ("400", 100, 40_000, {}, False),
        ("401", 100, 40_000, {}, True),
        ("401", 0, 40_000, {}, True),
        ("401", 100, 40_000, {"slice_over_volume": None}, False),
        ("100", 100, 10, {}, False),
    ],
    ids=[
        "five times the display",
        "more than five times",
        "not by the display",
        "nothing known",
        "a hundredth of the volume",
        "more than a hundredth",
        "by volume without a display",
        "not by volume",
        "no more than is displayed",
    ],
)
def test_order_is_large_against_display_or_volume(
    qty: str, displayed: int, volume: int | None, changes: dict[str, Any], *, expected: bool
) -> None:
    arrival = replace(Arrival.of(BUY, QUOTE), displayed=Decimal(displayed))
    order = replace(parent(qty=qty), arrival=arrival, average_volume=None if volume is None else Decimal(volume))
    assert is_large(order, CONFIG.model_copy(update=changes)) is expected


def test_volume_is_needed_only_for_more_than_is_displayed() -> None:
    assert [needs_volume(large(qty=qty), CONFIG) for qty in ("100", "101")] == [False, True]
    off = CONFIG.model_copy(update={"slice_over_displayed": None, "slice_over_volume": None})
    assert not needs_volume(large(), off)


def test_urgent_order_is_not_sliced() -> None:
    assert slices_of(large(), WaveSchedule(Urgency.URGENT), NOW, CONFIG) is None


# --- the schedule ----------------------------------------------------------------------------------------


def test_slices_have_the_displayed_size_and_fall_due_at_equal_intervals() -> None:
    slices = slices_of(large(), NORMAL, NOW, CONFIG)
    assert slices == Slices(NOW, later(600), 20, Decimal(2000), at_most=20)
    assert [slices.due(later(s)) for s in (0, 29.9, 30, 569.9, 570, 10_000)] == [100, 100, 200, 1900, 2000, 2000]
    assert [slices.cross_by(later(s)) for s in (0, 29, 30, 590)] == [later(s) for s in (22.5, 22.5, 52.5, 592.5)]


def test_slices_are_whole_shares_and_the_last_one_has_the_fraction() -> None:
    slices = slices_of(large(qty="1050.5"), NORMAL, NOW, CONFIG)
    assert slices is not None
    assert [slices.due(later(s)) for s in (0, 60, 599)] == [95, 191, Decimal("1050.5")]


def test_slices_start_with_the_first_order_that_was_sent() -> None:
    """A later run of the plan derives the same slices."""
    sent = [a_child(ChildState.NOT_SENT, intended_at=later(-60)), a_filled_child("100", attempt=2)]
    slices = slices_of(large(*sent), NORMAL, later(300), CONFIG)
    assert slices is not None
    assert (slices.starts, slices.due(later(300))) == (NOW, Decimal(1100))


def test_slices_are_not_more_frequent_than_configured() -> None:
    slices = slices_of(large(qty="20000"), NORMAL, NOW, CONFIG)
    assert slices is not None
    assert slices.number == 600 / CONFIG.slice_seconds


def test_slices_leave_requests_to_the_other_large_orders_of_the_plan() -> None:
    slices = slices_of(large(), WaveSchedule(large=100), NOW, CONFIG)
    assert slices is not None
    assert slices.number == 3  # (200 × 10.5 min − 1,200 polls) / 100 orders, three requests for each child


def test_horizon_ends_with_the_plan_and_says_so() -> None:
    slices = slices_of(large(), WaveSchedule(plan_cross_by=later(200)), NOW, CONFIG)
    assert slices is not None
    assert (slices.ends, slices.is_shortened, slices.qty) == (later(200), True, Decimal(2000))
    place = decide(large(), at(plan_cross_by=later(200)), CONFIG)
    assert isinstance(place, Place)
    assert place.note is Code.HORIZON_SHORTENED


def test_large_order_late_in_its_plan_has_the_time_of_a_last_rung() -> None:
    slices = slices_of(large(), WaveSchedule(plan_cross_by=later(-1)), NOW, CONFIG)
    assert slices == Slices(NOW, later(30), 2, Decimal(2000), is_shortened=True, at_most=20)


def test_later_run_allows_the_share_of_the_volume_until_its_start() -> None:
    """The horizon of the first run, which had more time, is over: what it left may be sent now, at once."""
    order = large(a_filled_child("100", price="100"), average_volume=Decimal(390_000))
    schedule = WaveSchedule(plan_cross_by=later(60), starts=later(600))
    slices = slices_of(order, schedule, later(601), CONFIG)
    assert slices is not None
    assert slices.due(later(601)) == 1000


def test_what_is_displayed_may_be_taken_whatever_the_participation_limit() -> None:
    order = large(average_volume=Decimal(3_900))
    slices = slices_of(order, WaveSchedule(plan_cross_by=later(60)), NOW, CONFIG)
    assert slices is not None
    assert slices.qty == 100


# --- participation ---------------------------------------------------------------------------------------


def test_horizon_grows_with_the_participation_limit() -> None:
    """390,000 shares a day are 1,000 a minute; a tenth of them need 20 minutes for 2,000 shares."""
    slices = slices_of(large(average_volume=Decimal(390_000)), NORMAL, NOW, CONFIG)
    assert slices is not None
    assert (slices.ends, slices.qty, slices.is_shortened) == (later(1200), Decimal(2000), False)


def test_participation_limit_bounds_what_falls_due() -> None:
    order = large(average_volume=Decimal(390_000))
    slices = slices_of(order, WaveSchedule(plan_cross_by=later(600)), NOW, CONFIG)
    assert slices is not None
    assert (slices.due(later(600)), slices.is_shortened) == (Decimal(1000), True)


def test_order_beyond_the_participation_limit_ends_partly_filled_with_its_reason() -> None:
    children = [a_filled_child("1000", price="100.01")]
    order = large(*children, average_volume=Decimal(390_000))
    settle = decide(order, at(600, plan_cross_by=later(600)), CONFIG)
    assert isinstance(settle, Settle)
    assert (settle.outcome, settle.code) == (Outcome.PARTIALLY_FILLED, Code.PARTICIPATION_LIMIT)
    assert settle.message is not None
    assert "1000 of 2000 shares" in settle.message


CHEAP = a_quote("0.60", "0.61")


def cheap(*children: Any, volume: str, side: Side = BUY, displayed: str = "2") -> ParentOrder:
    """Build an order for 4,956 shares of 60 cents."""
    arrival = replace(Arrival.of(side, CHEAP), displayed=Decimal(displayed))
    order = parent(*children, qty="4956", side=side, average_volume=Decimal(volume))
    return replace(order, arrival=arrival)


def test_slices_of_cheap_shares_are_large_enough_to_be_sent() -> None:
    """Seed 20561: the first slice was below the minimum, and its horizon never began."""
    context = replace(at(), quote=CHEAP)
    place = decide(cheap(volume="1000000000"), context, CONFIG)
    assert isinstance(place, Place)
    assert place.qty * Decimal("0.61") >= 2 * CONFIG.minimum_notional


@pytest.mark.parametrize("side", Side)
def test_order_whose_share_of_the_volume_cannot_be_sent_ends_at_once(side: Side) -> None:
    order = cheap(volume="1", side=side, displayed="0")
    decision = decide(order, replace(at(plan_cross_by=later(600)), quote=CHEAP, held=Decimal(4956)), CONFIG)
    assert isinstance(decision, Settle)
    assert (decision.outcome, decision.code) == (Outcome.DENIED, Code.PARTICIPATION_LIMIT)


def test_filled_slice_starts_the_count_of_children_again_also_when_the_order_is_no_longer_large() -> None:
    """Seed 33762: the cash gate reduced the order after its second child, and that was the last one allowed."""
    children = [a_child(ChildState.CANCELED, qty="3"), a_filled_child("3", price="100", attempt=2)]
    order = parent(*children, qty="9")
    assert isinstance(decide(order, at(60), CONFIG.model_copy(update={"max_children": 2})), Place)


@pytest.mark.parametrize(
    ("qty", "fraction", "expected"),
    [("2000", "0", "2000"), ("2000", "1", "2000"), ("300", "0.5", "300")],
    ids=["a slice at the near touch", "a slice at the far touch", "no longer large"],
)
def test_order_is_not_given_up_when_fewer_slices_remain_before_all_was_offered_at_the_far_touch(
    qty: str, fraction: str, expected: str
) -> None:
    """Seed 3182: a short later run had time for one slice, and one order had been sent before."""
    last = a_child(ChildState.CANCELED, qty="100", limit="99.99", spread_fraction=Decimal(fraction))
    config = CONFIG.model_copy(update={"max_children": 1})
    place = decide(large(last, qty=qty), at(40, plan_cross_by=later(14)), config)
    assert isinstance(place, Place)
    assert (place.qty, place.spread_fraction) == (Decimal(expected), Decimal(1))


def test_order_whose_last_child_was_at_the_far_touch_is_given_up() -> None:
    last = a_child(ChildState.CANCELED, qty="300", limit="100.01", spread_fraction=Decimal(1))
    settle = decide(parent(last, qty="300"), at(40), CONFIG.model_copy(update={"max_children": 1}))
    assert isinstance(settle, Settle)
    assert settle.code == Code.ATTEMPTS_EXHAUSTED


# --- working the slices ----------------------------------------------------------------------------------


@pytest.mark.parametrize("side", Side)
def test_slice_is_placed_when_it_is_due_and_the_parent_waits_in_between(side: Side) -> None:
    first = decide(large(side=side), at(), CONFIG)
    assert isinstance(first, Place)
    assert first.qty == 100
    order = large(a_filled_child("100", price="100"), side=side)
    decisions = [decide(order, at(s), CONFIG) for s in (1, 29, 30, 65)]
    assert decisions[:2] == [Wait(), Wait()]
    assert [d.qty for d in decisions[2:] if isinstance(d, Place)] == [100, 200]


def test_each_slice_starts_a_ladder_of_its_own() -> None:
    order = large(a_filled_child("100", price="100.01", spread_fraction=Decimal(1)))
    place = decide(order, at(30), CONFIG)
    assert isinstance(place, Place)
    assert place.spread_fraction == CONFIG.ladder[Urgency.NORMAL].spread_fractions[0]


def test_slice_crosses_before_the_next_one() -> None:
    """A patient ladder of four minutes has half a minute for each slice."""
    child = a_child(qty="100", limit="99.99", spread_fraction=Decimal(0))
    decisions = [decide(large(child), at(s, urgency=Urgency.PATIENT), CONFIG) for s in (22, 23)]
    assert decisions == [Wait(), Cancel()]


@pytest.mark.parametrize("filled", ["0", "40"])
def test_slice_at_the_far_touch_is_not_given_up_within_the_horizon(filled: str) -> None:
    price = "100.01" if filled != "0" else None
    child = a_child(qty="100", limit="100.01", spread_fraction=Decimal(1), filled=filled, price=price)
    assert [decide(large(child), at(s), CONFIG) for s in (31, 300, 599)] == [Wait()] * 3


def test_after_the_horizon_all_that_remains_is_offered_before_the_order_ends() -> None:
    child = a_child(qty="100", limit="100.01", spread_fraction=Decimal(1))
    assert decide(large(child), at(600), CONFIG) == Cancel()
    ended = replace(child, state=ChildState.CANCELED, status="canceled", cancel_requested_at=later(600))
    place = decide(large(ended), at(601), CONFIG)
    assert isinstance(place, Place)
    assert (place.qty, place.spread_fraction) == (Decimal(2000), Decimal(1))


@pytest.mark.parametrize("filled", ["0", "40"])
def test_order_after_the_horizon_rests_at_the_far_touch_until_the_time_of_the_plan_ends(filled: str) -> None:
    """It offers less than what remains for lack of dollars: sending it again would change nothing."""
    price = "100.01" if filled != "0" else None
    last = a_child(qty="1500", limit="100.01", spread_fraction=Decimal(1), filled=filled, price=price)
    order = large(a_filled_child("100", price="100"), replace(last, attempt=2, intended_at=later(600)))
    decisions = [decide(order, at(s, plan_cross_by=later(900)), CONFIG) for s in (601, 899, 900)]
    assert decisions == [Wait(), Wait(), Cancel()]


def test_slices_may_have_more_children_than_an_order_in_one_piece() -> None:
    children = [a_filled_child("100", price="100.01", attempt=n) for n in range(1, CONFIG.max_children + 1)]
    place = decide(large(*children), at(301), CONFIG)
    assert isinstance(place, Place)


def test_sliced_buy_needs_the_funds_of_its_slice_only() -> None:
    context = replace(at(), funds=Decimal(10_100), are_funds_final=False)
    place = decide(large(), context, CONFIG)
    assert isinstance(place, Place)
    assert place.qty == 100


@pytest.mark.parametrize("funds", ["50", "99"])
def test_part_below_one_share_crosses_at_once(funds: str) -> None:
    """Dollars for less than a share: the broker fills it itself, at the far touch."""
    context = replace(at(urgency=Urgency.LOW), funds=Decimal(funds))
    place = decide(parent(qty="3"), context, CONFIG)
    assert isinstance(place, Place)
    assert (place.limit_price, place.spread_fraction) == (Decimal("100.01"), Decimal(1))
    assert place.qty == (Decimal(funds) / Decimal("100.01")).quantize(Decimal("0.000001"), rounding="ROUND_DOWN")


def test_sliced_sell_needs_the_shares_of_its_slice_only() -> None:
    place = decide(large(side=SELL), replace(at(), held=Decimal(150), is_shortage_confirmed=False), CONFIG)
    assert isinstance(place, Place)
    assert place.qty == 100


@pytest.mark.parametrize("style", ["market", "marketable_limit"])
def test_other_styles_are_sliced_too(style: str) -> None:
    place = decide(large(), at(), CONFIG.model_copy(update={"order_style": style}))
    assert isinstance(place, Place)
    assert place.qty == 100
