"""Orders for auctions as pure decisions: when, for how many shares, at which limit, and how they end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.auction import auction_of, is_left_alone, is_open_auction_ahead, plan_ends_at, resumes_at
from rebalance_executor.domain.carrying import carried_plan, is_due
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.decisions import (
    Cancel,
    Concluding,
    DecisionContext,
    Place,
    Settle,
    Wait,
    Working,
    Yielding,
)
from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.ladder import WaveSchedule
from rebalance_executor.domain.market import Auction, AuctionKind, MarketClock, OrderType, TimeInForce
from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome, ParentOrder
from rebalance_executor.domain.plan import ExecutionStyle, RebalancePlan
from rebalance_executor.domain.strategy import decide
from tests.support.builders import (
    BUY,
    NOW,
    SELL,
    a_child,
    a_parent,
    a_plan,
    a_plan_document,
    a_quote,
    an_item,
    an_item_document,
    later,
)

CONFIG = ExecutionConfig()
CUTOFF, AT, REPORTED_BY = later(600), later(1_200), later(1_800)
QUOTE = a_quote("9.99", "10.01")


def closing(**fields: Any) -> Auction:
    return Auction(AuctionKind.CLOSE, AT, CUTOFF, REPORTED_BY, **fields)


def opening(**fields: Any) -> Auction:
    return Auction(AuctionKind.OPEN, AT, CUTOFF, REPORTED_BY, **fields)


def parent(*children: ChildOrder, qty: str = "10", auction: Auction | None = None, **fields: Any) -> ParentOrder:
    return a_parent(*children, qty=qty, auction=auction or closing(), **({"side": SELL} | fields))


def in_auction(state: ChildState = ChildState.LIVE, **fields: Any) -> ChildOrder:
    return a_child(state, time_in_force=TimeInForce.CLS, limit=None, **fields)


def at(seconds: float, **fields: Any) -> DecisionContext:
    return DecisionContext(later(seconds), quote=QUOTE, **fields)


def config(**fields: Any) -> ExecutionConfig:
    return ExecutionConfig.model_validate(fields)


# --- the order -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auction", "side", "limit"),
    [
        (closing(), SELL, None),
        (closing(is_limited=True), BUY, "10.10"),
        (closing(is_limited=True), SELL, "9.90"),
        (closing(is_limited=True, limit_price=Decimal("9.876")), BUY, "9.87"),
        (closing(is_limited=True, limit_price=Decimal("9.876")), SELL, "9.88"),
    ],
)
def test_one_order_for_all_whole_shares_goes_to_the_auction(auction: Auction, side: Any, limit: str | None) -> None:
    decision = decide(parent(auction=auction, side=side), at(0), CONFIG)

    order_type = OrderType.MARKET if limit is None else OrderType.LIMIT
    price = None if limit is None else Decimal(limit)
    assert decision == Place(order_type, Decimal(10), price, time_in_force=TimeInForce.CLS)


def test_limit_around_the_quote_is_not_worse_than_the_collar_of_the_arrival() -> None:
    far = DecisionContext(later(0), quote=a_quote("10.24", "10.26"))

    decision = decide(parent(auction=closing(is_limited=True), side=BUY), far, CONFIG)

    assert isinstance(decision, Place)
    assert decision.limit_price == Decimal("10.30")  # 3 % above 10.00, not 1 % above 10.25


def test_limit_at_the_collar_is_on_tick() -> None:
    """The collar itself is rounded to half a cent, 10.305, of which most symbols allow whole cents only."""
    order = parent(auction=closing(is_limited=True), side=BUY, arrival=a_quote("10.00", "10.01"))
    far = DecisionContext(later(0), quote=a_quote("10.25", "10.27"))

    decision = decide(order, far, CONFIG)

    assert isinstance(decision, Place)
    assert decision.limit_price == Decimal("10.30")


@pytest.mark.parametrize(("code", "expected"), [(Code.MARKET_CLOSED, Code.AUCTION_CLOSED), (Code.HALTED, Code.HALTED)])
def test_order_that_no_run_sent_before_the_close_has_missed_its_auction(code: Code, expected: Code) -> None:
    decision = decide(parent(), at(1_300, mode=Concluding(code, "concluded")), CONFIG)

    assert isinstance(decision, Settle)
    assert (decision.outcome, decision.code) == (Outcome.DENIED, expected)


def test_order_that_the_auction_rejects_ends_as_rejected_whatever_follows() -> None:
    order = parent(in_auction(ChildState.REJECTED))
    closed = Concluding(Code.MARKET_CLOSED, "closed")

    decision = decide(order, at(1_300, mode=closed), config(auction_remainder="work"))

    assert isinstance(decision, Settle)
    assert (decision.outcome, decision.code) == (Outcome.REJECTED, Code.AUCTION_REJECTED)


@pytest.mark.parametrize(
    ("funds", "is_final", "seconds", "qty"),
    [
        ("105.10", True, 0, 9),
        ("105.105", True, 0, 10),
        ("50", False, 0, None),
        ("50", False, 539, None),
        ("50", False, 540, 4),
        ("50", True, 0, 4),
    ],
    ids=["a cent short", "enough", "more may come", "until a minute before", "the last minute", "nothing comes"],
)
def test_buy_is_sized_at_the_worst_price(funds: str, is_final: bool, seconds: float, qty: int | None) -> None:
    context = at(seconds, funds=Decimal(funds), are_funds_final=is_final)

    decision = decide(parent(side=BUY), context, CONFIG)

    assert decision == (
        Wait() if qty is None else Place(OrderType.MARKET, Decimal(qty), None, time_in_force=TimeInForce.CLS)
    )


@pytest.mark.parametrize(("seconds", "is_sent"), [(599.999, True), (600, False), (1_100, False)])
def test_nothing_is_sent_from_the_cut_off_on(seconds: float, is_sent: bool) -> None:
    decision = decide(parent(), at(seconds), CONFIG)

    assert isinstance(decision, Place) is is_sent
    if not is_sent:
        assert isinstance(decision, Settle)
        assert (decision.outcome, decision.code) == (Outcome.DENIED, Code.AUCTION_CLOSED)


@pytest.mark.parametrize(
    ("seconds", "changes", "expected"),
    [
        (0, {}, Place(OrderType.LIMIT, Decimal("0.5"), Decimal("9.99"), Decimal(1))),
        (539, {}, Place(OrderType.LIMIT, Decimal("0.5"), Decimal("9.99"), Decimal(1))),
        (540, {}, Place(OrderType.MARKET, Decimal(10), None, time_in_force=TimeInForce.CLS)),
        (0, {"auction_fraction": "leave"}, Place(OrderType.MARKET, Decimal(10), None, time_in_force=TimeInForce.CLS)),
    ],
    ids=["first the fraction", "until a minute before", "then the whole shares", "left by configuration"],
)
def test_fraction_is_worked_before_the_close(seconds: float, changes: dict[str, Any], expected: Place) -> None:
    assert decide(parent(qty="10.5"), at(seconds), config(**changes)) == expected


LIMITED = closing(is_limited=True, limit_price=Decimal("10.10"))


def test_fraction_is_left_while_the_market_is_beyond_the_limit_of_the_plan() -> None:
    order = parent(qty="10.5", auction=LIMITED)

    decision = decide(order, at(0), CONFIG)

    assert decision == Place(OrderType.LIMIT, Decimal(10), Decimal("10.10"), time_in_force=TimeInForce.CLS)


@pytest.mark.parametrize("style", ["market", "marketable_limit", "ladder"])
def test_limit_of_the_plan_holds_for_what_is_worked(style: str) -> None:
    worked = config(auction_remainder="work", order_style=style, last_rung_market=True)
    late = at(700, schedule=WaveSchedule(cross_by=later(700)))

    beyond = decide(parent(auction=LIMITED), late, worked)
    within = decide(parent(auction=closing(is_limited=True, limit_price=Decimal("9.99"))), late, worked)

    assert isinstance(beyond, Settle)
    assert beyond.code is Code.PRICE_COLLAR
    assert isinstance(within, Place)
    assert (within.type, within.limit_price) == (OrderType.LIMIT, Decimal("9.99"))


@pytest.mark.parametrize("state", [ChildState.CANCELED, ChildState.REJECTED, ChildState.EXPIRED])
def test_fraction_is_tried_once_and_never_costs_the_whole_shares(state: ChildState) -> None:
    order = parent(a_child(state, qty="0.5"), qty="10.5")

    assert decide(order, at(0), CONFIG) == Place(OrderType.MARKET, Decimal(10), None, time_in_force=TimeInForce.CLS)


@pytest.mark.parametrize(("seconds", "expected"), [(29, Wait()), (31, Cancel()), (541, Cancel())])
def test_resting_fraction_makes_room_in_time(seconds: float, expected: object) -> None:
    order = parent(a_child(ChildState.LIVE, qty="0.5"), qty="10.5")

    assert decide(order, at(seconds), CONFIG) == expected


# --- while it rests --------------------------------------------------------------------------------------

HALTED = Concluding(Code.HALTED, "halted")


@pytest.mark.parametrize(
    ("seconds", "mode", "expected"),
    [
        (0, Working(), Wait()),
        (0, Yielding("deadline", later(9)), Wait()),
        (0, HALTED, Cancel()),
        (599, HALTED, Cancel()),
        (600, HALTED, Wait()),
        (1_799, HALTED, Wait()),
        (1_799, Working(), Wait()),
    ],
)
def test_resting_order_is_canceled_for_a_denial_before_the_cut_off_only(
    seconds: float, mode: Any, expected: object
) -> None:
    assert decide(parent(in_auction()), at(seconds, mode=mode), CONFIG) == expected


@pytest.mark.parametrize("mode", [Working(), HALTED, Yielding("deadline", later(9_999))])
def test_auction_that_is_not_reported_in_time_needs_an_operator(mode: Any) -> None:
    decision = decide(parent(in_auction()), at(1_800, mode=mode), CONFIG)

    assert isinstance(decision, Settle)
    assert (decision.outcome, decision.code) == (Outcome.UNRESOLVED, Code.AUCTION_UNREPORTED)


def test_unconfirmed_cancel_is_waited_for_until_the_auction_is_reported() -> None:
    order = parent(in_auction(cancel_requested_at=later(590)))

    assert decide(order, at(1_800), CONFIG) == Wait()
    assert isinstance(decide(order, at(1_861), CONFIG), Settle)


# --- the end ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("child", "outcome", "code"),
    [
        (in_auction(ChildState.CANCELED, filled="4", price="10"), Outcome.PARTIALLY_FILLED, Code.AUCTION_UNFILLED),
        (in_auction(ChildState.CANCELED), Outcome.UNFILLED, Code.AUCTION_UNFILLED),
        (in_auction(ChildState.EXPIRED), Outcome.UNFILLED, Code.AUCTION_EXPIRED),
        (in_auction(ChildState.EXPIRED, filled="4", price="10"), Outcome.PARTIALLY_FILLED, Code.AUCTION_UNFILLED),
        (in_auction(ChildState.REJECTED), Outcome.REJECTED, Code.AUCTION_REJECTED),
    ],
)
@pytest.mark.parametrize("mode", [Working(), Concluding(Code.MARKET_CLOSED, "closed")])
def test_what_the_auction_leaves_has_its_code_in_every_mode(
    child: ChildOrder, outcome: Outcome, code: Code, mode: Any
) -> None:
    decision = decide(parent(child), at(1_300, mode=mode), CONFIG)

    assert isinstance(decision, Settle)
    assert (decision.outcome, decision.code) == (outcome, code)


def test_order_that_the_program_withdrew_ends_with_the_reason() -> None:
    withdrawn = in_auction(ChildState.CANCELED, cancel_requested_at=later(10))

    decision = decide(parent(withdrawn), at(20, mode=HALTED), CONFIG)

    assert isinstance(decision, Settle)
    assert (decision.outcome, decision.code) == (Outcome.UNFILLED, Code.HALTED)


@pytest.mark.parametrize(
    ("auction", "child", "seconds", "is_worked"),
    [
        (closing(), in_auction(ChildState.REJECTED), 100, True),
        (closing(), None, 700, True),
        (closing(), in_auction(ChildState.CANCELED), 1_201, False),
        (opening(), in_auction(ChildState.CANCELED, filled="4", price="10"), 1_201, True),
        (opening(), None, 1_201, True),
    ],
    ids=["rejected before the close", "too late for the close", "after the close", "after the open", "missed the open"],
)
def test_rest_is_worked_where_there_is_time(
    auction: Auction, child: ChildOrder | None, seconds: float, is_worked: bool
) -> None:
    order = parent(*([] if child is None else [child]), auction=auction)

    decision = decide(order, at(seconds), config(auction_remainder="work"))

    assert isinstance(decision, Place) is is_worked
    if isinstance(decision, Place):
        assert decision.time_in_force is TimeInForce.DAY


def test_fraction_is_worked_after_the_open_although_the_rest_is_left() -> None:
    filled = in_auction(ChildState.FILLED, filled="10", price="10", status="filled")

    decision = decide(parent(filled, qty="10.5", auction=opening()), at(1_300), CONFIG)

    assert isinstance(decision, Place)
    assert (decision.qty, decision.time_in_force) == (Decimal("0.5"), TimeInForce.DAY)


def test_other_items_wait_for_the_open() -> None:
    assert decide(a_parent(), at(0, is_before_open=True), CONFIG) == Wait()


# --- times -----------------------------------------------------------------------------------------------


def clock(now: datetime, *, is_open: bool, opens: datetime, closes: datetime) -> MarketClock:
    return MarketClock(now, is_open=is_open, next_open=opens, next_close=closes)


MONDAY_OPEN, MONDAY_CLOSE = datetime(2026, 1, 26, 14, 30, tzinfo=UTC), datetime(2026, 1, 26, 21, tzinfo=UTC)
TUESDAY_OPEN = MONDAY_OPEN + timedelta(days=1)


@pytest.mark.parametrize(
    ("now", "is_ahead"),
    [
        ("2026-01-25T23:59:59+00:00", False),  # 18:59:59 in New York
        ("2026-01-26T00:00:00+00:00", True),
        ("2026-01-26T14:27:59+00:00", True),
        ("2026-01-26T14:28:00+00:00", False),
        ("2026-01-25T18:00:00+00:00", False),  # a Sunday at noon
    ],
)
def test_opening_auction_takes_orders_from_the_evening_to_its_cut_off(now: str, is_ahead: bool) -> None:
    at_broker = clock(datetime.fromisoformat(now), is_open=False, opens=MONDAY_OPEN, closes=MONDAY_CLOSE)

    assert is_open_auction_ahead(at_broker, CONFIG) is is_ahead


@pytest.mark.parametrize(
    ("closes", "cutoff"),
    [
        ("2026-01-26T21:00:00+00:00", "2026-01-26T20:50:00+00:00"),
        ("2026-11-27T18:00:00+00:00", "2026-11-27T17:50:00+00:00"),
        ("2026-07-02T20:00:00+00:00", "2026-07-02T19:50:00+00:00"),
    ],
    ids=["winter", "half day", "summer"],
)
def test_cut_off_follows_from_the_close_of_the_day(closes: str, cutoff: str) -> None:
    close = datetime.fromisoformat(closes)
    at_broker = clock(close - timedelta(hours=1), is_open=True, opens=close + timedelta(hours=17), closes=close)
    plan = a_plan(an_item(), execution_style="market_on_close")

    auction = auction_of(plan, plan.items[0], at_broker, (timedelta(seconds=3), timedelta(seconds=3)), CONFIG)

    assert auction is not None
    assert auction.cutoff == datetime.fromisoformat(cutoff) + timedelta(seconds=3)
    assert auction.at == close + timedelta(seconds=3)


def test_unknown_lag_of_the_clock_brings_the_cut_off_forward_and_puts_the_auction_back() -> None:
    at_broker = clock(MONDAY_CLOSE - timedelta(hours=1), is_open=True, opens=TUESDAY_OPEN, closes=MONDAY_CLOSE)
    plan = a_plan(an_item(), execution_style="market_on_close")

    auction = auction_of(plan, plan.items[0], at_broker, (timedelta(minutes=-5), timedelta(seconds=1)), CONFIG)

    assert auction is not None
    assert auction.cutoff == MONDAY_CLOSE - timedelta(minutes=15)
    assert auction.at == MONDAY_CLOSE + timedelta(seconds=1)
    assert auction.reported_by == auction.at + timedelta(minutes=float(CONFIG.auction_report_minutes))


def test_item_for_an_opening_auction_that_has_passed_is_too_late() -> None:
    at_broker = clock(MONDAY_OPEN + timedelta(hours=1), is_open=True, opens=TUESDAY_OPEN, closes=MONDAY_CLOSE)
    plan = a_plan(an_item(), execution_style="market_on_open")

    auction = auction_of(plan, plan.items[0], at_broker, (timedelta(), timedelta()), CONFIG)

    assert auction is not None
    assert auction.cutoff == auction.at == at_broker.now


def test_time_limit_does_not_pass_before_an_auction_and_starts_again_after_the_open() -> None:
    hour = timedelta(hours=1)

    assert plan_ends_at([a_parent()], NOW, hour) == NOW + hour
    assert plan_ends_at([parent()], NOW - 3 * hour, hour) == CUTOFF
    assert plan_ends_at([parent(auction=opening())], NOW - 3 * hour, hour) == AT + hour


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ([parent(in_auction())], AT),
        ([parent(in_auction()), a_parent(outcome=Outcome.FILLED)], AT),
        ([parent(in_auction()), a_parent()], None),
        ([parent()], None),
        ([parent(in_auction(cancel_requested_at=NOW))], None),
        ([parent(in_auction(ChildState.UNKNOWN))], None),
        ([parent(in_auction(), auction=opening()), a_parent()], AT),
        ([a_parent(outcome=Outcome.FILLED)], None),
    ],
    ids=[
        "rests",
        "others are settled",
        "another is worked",
        "not sent",
        "pending cancel",
        "unknown",
        "open",
        "settled",
    ],
)
def test_no_run_is_needed_while_everything_waits_for_an_auction(
    orders: list[ParentOrder], expected: datetime | None
) -> None:
    assert resumes_at(orders, later(10)) == expected
    assert resumes_at(orders, AT) is None


def test_plan_is_left_alone_after_its_auction_or_its_time() -> None:
    hour = timedelta(hours=1)

    assert not is_left_alone([parent(in_auction())], NOW, AT - timedelta(seconds=1), hour)
    assert is_left_alone([parent(in_auction())], NOW, AT, hour)
    assert not is_left_alone([a_parent()], NOW, NOW + hour - timedelta(seconds=1), hour)
    assert is_left_alone([a_parent()], NOW, NOW + hour, hour)


# --- the plan --------------------------------------------------------------------------------------------


def test_style_of_an_item_overrides_that_of_the_plan() -> None:
    plan = a_plan(an_item("AAA"), an_item("BBB", execution_style="work"), execution_style="market_on_close")

    assert [plan.style_of(item) for item in plan.items] == [ExecutionStyle.MARKET_ON_CLOSE, ExecutionStyle.WORK]
    assert a_plan(an_item()).style_of(an_item()) is ExecutionStyle.WORK


@pytest.mark.parametrize(
    ("style", "item", "field"),
    [
        ("at_the_close", {}, "execution_style"),
        ("work", {"limit_price": "10"}, "execution_style"),
        ("market_on_close", {"limit_price": "10"}, "execution_style"),
        ("limit_on_close", {"limit_price": "0"}, "items.0.limit_price"),
        ("limit_on_close", {"limit_price": "10", "execution_style": "work"}, "execution_style"),
        ("work", {"execution_style": "cls"}, "items.0.execution_style"),
    ],
)
def test_invalid_style_or_limit_names_its_field(style: str, item: dict[str, str], field: str) -> None:
    document = a_plan_document(an_item_document() | item, execution_style=style)

    with pytest.raises(InvalidInput) as raised:
        RebalancePlan.parse(document)

    assert raised.value.field == field


def test_hash_of_a_plan_depends_on_styles_and_limits_and_not_on_how_the_default_is_written() -> None:
    plain = a_plan(an_item())
    plans = [
        plain,
        a_plan(an_item(), execution_style="market_on_close"),
        a_plan(an_item(execution_style="market_on_close")),
        a_plan(an_item(limit_price="10"), execution_style="limit_on_close"),
        a_plan(an_item(limit_price="11"), execution_style="limit_on_close"),
    ]

    assert len({plan.content_hash for plan in plans}) == len(plans)
    assert a_plan(an_item(), execution_style="work").content_hash == plain.content_hash


# --- carrying --------------------------------------------------------------------------------------------

CARRY = config(auction_remainder="carry")


def test_carried_plan_has_the_rest_of_what_the_auction_left() -> None:
    plan = a_plan(an_item("AAA", "SELL", "-100"), an_item("BBB"), execution_style="market_on_close")
    left = parent(in_auction(ChildState.EXPIRED, filled="4", price="10"), symbol="AAA", held_before=Decimal(10))
    parents = {"AAA": left.settled(Outcome.PARTIALLY_FILLED, Code.AUCTION_UNFILLED, None, NOW)}
    parents["BBB"] = a_parent(symbol="BBB", outcome=Outcome.DENIED, code=Code.RESTRICTED)

    carried = carried_plan(plan, parents, TUESDAY_OPEN, CARRY)

    assert carried is not None
    assert (carried.plan_id, carried.timestamp) == ("plan-1-carried", TUESDAY_OPEN)
    assert [(item.symbol, item.trade_amount, item.current_value) for item in carried.items] == [
        ("AAA", Decimal(-60), Decimal(60))
    ]
    assert carried.style_of(carried.items[0]) is ExecutionStyle.MARKET_ON_CLOSE
    assert RebalancePlan.parse(carried.model_dump(mode="json")) == carried
    assert carried_plan(carried, parents, TUESDAY_OPEN, CARRY) is None, "a plan is carried once"
    assert carried_plan(plan, parents, TUESDAY_OPEN, CONFIG) is None, "only by configuration"


def carried_from(order: ParentOrder, starts: datetime = TUESDAY_OPEN, **fields: Any) -> RebalancePlan | None:
    plan = a_plan(an_item("AAA", "SELL", "-100", target_weight="0"), **fields)
    return carried_plan(plan, {"AAA": order.settled(Outcome.UNFILLED, Code.AUCTION_UNFILLED, None, NOW)}, starts, CARRY)


@pytest.mark.parametrize("size_by", ["target_value", "trade_amount", None])
def test_carried_plan_is_sized_as_the_plan(size_by: str | None) -> None:
    """A weight of zero is a full exit, except in a plan by target values."""
    carried = carried_from(parent(symbol="AAA"), execution_style="market_on_close", size_by=size_by)

    assert carried is not None
    assert carried.size_by == (size_by or CARRY.size_by)


def test_plan_carried_to_the_open_starts_before_it() -> None:
    carried = carried_from(parent(symbol="AAA", auction=opening()), execution_style="market_on_open")

    assert carried is not None
    assert carried.timestamp == TUESDAY_OPEN - timedelta(hours=1)


def test_nothing_is_carried_to_the_same_auction() -> None:
    order = parent(symbol="AAA", auction=opening())

    assert carried_from(order, starts=AT, execution_style="market_on_open") is None


def test_what_succeeded_is_not_carried() -> None:
    filled = in_auction(ChildState.FILLED, qty="200", filled="200", price="10")

    assert carried_from(parent(filled, qty="200.5", symbol="AAA"), execution_style="market_on_close") is None


def test_ids_of_long_plans_stay_valid_and_different() -> None:
    ids = set()
    for last in "ab":
        plan = a_plan(an_item("AAA", "SELL", "-100"), plan_id="x" * 99 + last)
        left = parent(symbol="AAA").settled(Outcome.UNFILLED, Code.AUCTION_EXPIRED, None, NOW)
        carried = carried_plan(plan, {"AAA": left}, TUESDAY_OPEN, CARRY)
        assert carried is not None
        ids.add(RebalancePlan.parse(carried.model_dump(mode="json")).plan_id)

    assert len(ids) == 2


@pytest.mark.parametrize(("minutes", "due"), [(-1, False), (0, True), (30, True), (31, False)])
def test_carried_plan_starts_at_its_time_and_not_long_after(minutes: int, due: bool) -> None:
    carried = a_plan(an_item(), timestamp=TUESDAY_OPEN.isoformat())

    assert is_due(carried, TUESDAY_OPEN + timedelta(minutes=minutes), Decimal(30)) is due
