"""The controls as tables: at the limit allowed, beyond it refused, without facts refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import (
    Denial,
    PlanContext,
    SymbolSnapshot,
    account_denial,
    child_denial,
    day_limit_denial,
    expected_notional,
    item_denial,
    message_denial,
    messages,
    overfill,
    parent_denial,
    plan_limit_denial,
    plans_denial,
    quote_problem,
    consecutive_rejects_denial,
    runs_denial,
    size_denial,
    switch_denial,
)
from rebalance_executor.domain.market import Account, Position, Side
from rebalance_executor.domain.orders import ChildState, Outcome, ParentOrder
from rebalance_executor.domain.risk_state import (
    NEVER_SET,
    DailyUsage,
    KillSwitchRecord,
    ReservedOrder,
    RiskState,
    StartedPlan,
    TradingState,
)
from tests.support.builders import (
    BUY,
    NOW,
    SELL,
    a_child,
    a_filled_child,
    a_parent,
    a_plan,
    a_position,
    a_quote,
    a_trade,
    an_account,
    an_asset,
    an_item,
    an_order,
    later,
)
from tests.support.properties import decimals, dollars, property_test, quotes, sides

CONFIG = ExecutionConfig()
TODAY = DailyUsage(NOW.date())
BOOK = RiskState(NEVER_SET, TODAY)
COLLAR = Decimal("0.03")


def limits(**changes: Any) -> ExecutionConfig:
    return ExecutionConfig(**changes)


def code(refusal: Denial | None) -> Code | None:
    return refusal.code if refusal is not None else None


# --- the plan --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "blocked_by", "refused"),
    [
        (None, None, None),
        ("PA1", None, None),
        ("PA2", None, Code.ACCOUNT_MISMATCH),
        ("PA1", "trading_blocked", Code.ACCOUNT_BLOCKED),
    ],
)
def test_the_account_must_be_the_configured_one_and_free(
    expected: str | None, blocked_by: str | None, refused: Code | None
) -> None:
    account = Account("PA1", "ACTIVE", Decimal(1), Decimal(1), blocked_by)
    assert code(account_denial(account, expected)) == refused
    assert an_account().blocked_by is None


@pytest.mark.parametrize(
    ("state", "side", "refused"),
    [
        (TradingState.ACTIVE, BUY, None),
        (TradingState.ACTIVE, SELL, None),
        (TradingState.REDUCING, None, None),
        (TradingState.REDUCING, SELL, None),
        (TradingState.REDUCING, BUY, Code.REDUCING_ONLY),
        (TradingState.HALTED, None, Code.HALTED),
        (TradingState.HALTED, SELL, Code.HALTED),
        (TradingState.HALTED, BUY, Code.HALTED),
    ],
)
def test_the_kill_switch_forbids_buys_or_everything(
    state: TradingState, side: Side | None, refused: Code | None
) -> None:
    refusal = switch_denial(KillSwitchRecord(state, "Ada", "drill", NOW), side)

    assert code(refusal) == refused
    assert refusal is None or ("Ada" in refusal.message and "drill" in refusal.message)


def test_runs_and_plans_are_allowed_up_to_their_limits() -> None:
    plans = [StartedPlan(f"plan-{n}", later(n)) for n in range(3)]
    book = RiskState(NEVER_SET, TODAY, plans)

    assert runs_denial(20, CONFIG) is None
    assert code(runs_denial(21, CONFIG)) is Code.TOO_MANY_RUNS
    assert plans_denial(book, limits(max_plans_per_day=4)) is None
    assert code(plans_denial(book, limits(max_plans_per_day=3))) is Code.TOO_MANY_PLANS


def test_plans_are_counted_anew_after_a_person_set_the_switch() -> None:
    plans = [StartedPlan(f"plan-{n}", later(n)) for n in range(3)]
    book = RiskState(KillSwitchRecord(TradingState.ACTIVE, "Ada", "looked", later(1)), TODAY, plans)

    assert plans_denial(book, limits(max_plans_per_day=2)) is None
    assert code(plans_denial(book, limits(max_plans_per_day=1))) is Code.TOO_MANY_PLANS


def test_the_defaults_let_what_the_contract_promises_through() -> None:
    assert CONFIG.max_runs >= 6
    assert CONFIG.max_plans_per_day >= 20


# --- an item, before it is sized -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "facts", "config", "refused"),
    [
        (BUY, {}, {}, None),
        (SELL, {"position": a_position("10")}, {}, None),
        (BUY, {}, {"restricted_symbols": ["abc"]}, Code.RESTRICTED),
        (BUY, {}, {"allowed_symbols": []}, Code.RESTRICTED),
        (BUY, {}, {"allowed_symbols": ["ABC"]}, None),
        (BUY, {"asset": None}, {}, Code.NOT_TRADABLE),
        (BUY, {"asset": an_asset(tradable=False)}, {}, Code.NOT_TRADABLE),
        (BUY, {"asset": an_asset(status="inactive")}, {}, Code.NOT_TRADABLE),
        (SELL, {}, {}, Code.NO_POSITION),
        (SELL, {"position": a_position("-1")}, {}, Code.NO_POSITION),
        (BUY, {"others": [an_order(side="buy")]}, {}, Code.CONFLICTING_ORDER),
        (BUY, {"others": [an_order(side="sell")]}, {}, Code.CONFLICTING_ORDER),
        (SELL, {"position": a_position("10"), "others": [an_order(side="buy")]}, {}, Code.CONFLICTING_ORDER),
        (SELL, {"position": a_position("10"), "others": [an_order(side="sell")]}, {}, None),
        (BUY, {"quote": None}, {}, Code.QUOTE_UNUSABLE),
        (BUY, {"quote": a_quote("0", "10")}, {}, Code.QUOTE_UNUSABLE),
        (BUY, {"quote": a_quote("10.02", "10.01")}, {}, Code.QUOTE_UNUSABLE),
        (BUY, {"quote": a_quote(at=later(-301))}, {}, Code.QUOTE_UNUSABLE),
        (BUY, {"quote": a_quote(at=later(-300))}, {}, None),
        (BUY, {"quote": a_quote("9.7", "10.3")}, {}, Code.QUOTE_UNUSABLE),
        (BUY, {"quote": a_quote("9.75", "10.25")}, {}, None),
        (BUY, {"quote": a_trade(at=later(-60))}, {}, None),
        (BUY, {"quote": a_trade(at=later(-61))}, {}, Code.QUOTE_UNUSABLE),
        (BUY, {"quote": a_trade("0")}, {}, Code.QUOTE_UNUSABLE),
        (BUY, {"position": Position("ABC", Decimal(1), Decimal(1), Decimal("7.1"))}, {}, Code.PRICE_COLLAR),
        (BUY, {"position": Position("ABC", Decimal(1), Decimal(1), Decimal("17"))}, {}, Code.PRICE_COLLAR),
        (BUY, {"position": Position("ABC", Decimal(1), Decimal(1), Decimal("9.5"))}, {}, None),
    ],
)
def test_what_is_known_of_a_symbol_decides_whether_it_may_be_traded(
    side: Side, facts: dict[str, Any], config: dict[str, Any], refused: Code | None
) -> None:
    known: dict[str, Any] = {"asset": an_asset(), "quote": a_quote(), "position": None} | facts
    item = an_item(action=side.name, amount="1000" if side is BUY else "-1000")

    assert code(item_denial(side, item, SymbolSnapshot(**known), limits(**config), NOW)) == refused


@property_test
@given(quotes(), st.integers(-10, 100_000))
def test_no_price_is_ever_taken_from_a_quote_that_is_one_sided_crossed_old_or_wide(quote: Any, age: int) -> None:
    if quote_problem(quote, CONFIG, quote.at + timedelta(seconds=age)) is None:
        assert 0 < quote.bid <= quote.ask
        assert age <= CONFIG.max_quote_age_seconds
        assert quote.ask - quote.bid <= quote.mid * CONFIG.max_spread


# --- an item, after it is sized --------------------------------------------------------------------------


def judged(
    parent: ParentOrder, *, book: RiskState = BOOK, position: Position | None = None, **fields: Any
) -> Code | None:
    config = fields.pop("config", CONFIG)
    item = an_item(current_value=fields.pop("current_value", "0"))
    facts = SymbolSnapshot(an_asset(), fields.pop("quote", a_quote()), position)
    return code(parent_denial(parent, item, facts, PlanContext(a_plan(item, **fields), book, config, NOW)))


@pytest.mark.parametrize(
    ("held", "current_value", "fields", "refused"),
    [
        ("0", "0", {}, None),
        ("500", "0", {}, None),  # $5,000 are the tolerance, 5 % of $100,000
        ("501", "0", {}, Code.POSITION_DRIFT),
        ("0", "5001", {}, Code.POSITION_DRIFT),
        ("501", "10", {}, None),
        ("1", "0", {"max_drift_tolerance": "0"}, Code.POSITION_DRIFT),
        ("1", "10", {"max_drift_tolerance": "0"}, None),
        ("1", "0", {"total_portfolio_value": "0"}, Code.POSITION_DRIFT),
        ("900", "0", {"max_drift_tolerance": "1"}, None),
    ],
)
def test_a_position_may_drift_by_the_tolerance_of_the_portfolio(
    held: str, current_value: str, fields: dict[str, Any], refused: Code | None
) -> None:
    assert judged(a_parent(), position=a_position(held), current_value=current_value, **fields) == refused


@pytest.mark.parametrize(
    ("qty", "price", "config", "refused"),
    [
        ("10", "100", {}, None),
        ("10", "100", {"max_order_dollars": 1000}, None),
        ("10", "100.01", {"max_order_dollars": 1000}, Code.ORDER_TOO_LARGE),
        ("10", None, {}, Code.ORDER_TOO_LARGE),
        ("10", None, {"max_order_dollars": None}, None),
        ("10", "100", {"max_order_shares": 10}, None),
        ("10.000001", "100", {"max_order_shares": 10}, Code.ORDER_TOO_LARGE),
        ("1000001", "0.5", {}, Code.ORDER_TOO_LARGE),
        ("10001", "100", {}, Code.ORDER_TOO_LARGE),
    ],
)
def test_one_order_has_a_most_of_dollars_and_of_shares(
    qty: str, price: str | None, config: dict[str, Any], refused: Code | None
) -> None:
    refusal = size_denial(Decimal(qty), Decimal(price) if price else None, limits(**config))
    assert code(refusal) == refused


@pytest.mark.parametrize(("share", "refused"), [(None, None), ("0.1", None), ("0.09", Code.ORDER_TOO_LARGE)])
def test_one_order_takes_at_most_a_share_of_the_displayed_size(share: str | None, refused: Code | None) -> None:
    assert judged(a_parent(), config=limits(max_share_of_displayed=share)) == refused


def test_without_a_displayed_size_its_share_is_refused() -> None:
    assert judged(a_parent(), quote=None, config=limits(max_share_of_displayed=1)) is Code.ORDER_TOO_LARGE


@pytest.mark.parametrize(
    ("plan_id", "order", "minutes_ago", "refused"),
    [
        ("other", ReservedOrder("ABC", BUY, Decimal(10)), 5, Code.DUPLICATE_ORDER),
        ("other", ReservedOrder("ABC", BUY, Decimal("10.0")), 9.9, Code.DUPLICATE_ORDER),
        ("other", ReservedOrder("ABC", BUY, Decimal(10)), 10, None),
        ("other", ReservedOrder("ABC", BUY, Decimal("10.000001")), 5, None),
        ("other", ReservedOrder("ABC", SELL, Decimal(10)), 5, None),
        ("other", ReservedOrder("XYZ", BUY, Decimal(10)), 5, None),
        ("plan-1", ReservedOrder("ABC", BUY, Decimal(10)), 5, None),
    ],
)
def test_the_same_order_of_another_plan_minutes_ago_is_a_duplicate(
    plan_id: str, order: ReservedOrder, minutes_ago: float, refused: Code | None
) -> None:
    begun = StartedPlan(plan_id, later(-60 * minutes_ago), (ReservedOrder("XYZ", BUY, Decimal(1)), order))
    assert judged(a_parent(), book=RiskState(NEVER_SET, TODAY, [begun])) == refused


def test_a_duplicate_is_found_behind_plans_that_do_not_count() -> None:
    order = ReservedOrder("ABC", BUY, Decimal(10))
    plans = [
        StartedPlan("old", later(-3600), (order,)),
        StartedPlan("plan-1", NOW, ()),
        StartedPlan("other", NOW, (order,)),
    ]

    assert judged(a_parent(), book=RiskState(NEVER_SET, TODAY, plans)) is Code.DUPLICATE_ORDER


@pytest.mark.parametrize(
    ("shares", "dollars", "tolerance", "refused"),
    [
        ("9.9", "100", "0", Code.DUPLICATE_ORDER),  # the same dollars, at a price that moved
        ("9.9", "100.01", "0", None),
        ("9.9", None, "0", None),
        ("9.5", None, "0.05", Code.DUPLICATE_ORDER),
        ("9.499999", None, "0.05", None),
        ("10.526315", None, "0.05", Code.DUPLICATE_ORDER),
        ("10.526317", None, "0.05", None),
        ("8", "95", "0.05", Code.DUPLICATE_ORDER),
        ("8", "94.99", "0.05", None),
    ],
)
def test_the_same_dollars_are_a_duplicate_too_and_nearly_the_same_by_configuration(
    shares: str, dollars: str | None, tolerance: str, refused: Code | None
) -> None:
    order = ReservedOrder("ABC", BUY, Decimal(shares), Decimal(dollars) if dollars else None)
    book = RiskState(NEVER_SET, TODAY, [StartedPlan("other", NOW, (order,))])
    parent = replace(a_parent(), planned_amount=Decimal(100))
    assert judged(parent, book=book, config=limits(duplicate_tolerance=tolerance)) == refused


# --- the plan's orders together --------------------------------------------------------------------------


def test_buys_count_as_far_as_funds_and_sells_pay_for_them() -> None:
    parents = [a_parent(qty="100"), a_parent(side=SELL, qty="30"), a_parent(qty="9", outcome=Outcome.DENIED)]

    assert expected_notional(parents, Decimal(10_000)) == (Decimal(1000), Decimal(300))
    assert expected_notional(parents, Decimal(200)) == (Decimal(500), Decimal(300))
    assert expected_notional(parents, Decimal(-200)) == (Decimal(100), Decimal(300))
    assert expected_notional(parents, Decimal(-5000)) == (
        Decimal(0),
        Decimal(300),
    )  # debt is no negative buy of the day


@pytest.mark.parametrize(
    ("buys", "sells", "equity", "config", "refused"),
    [
        (600, 400, 1000, {"max_plan_gross_dollars": 1000}, False),
        (601, 400, 1000, {"max_plan_gross_dollars": 1000}, True),
        (600, 400, 1000, {"max_plan_net_dollars": 200}, False),
        (400, 601, 1000, {"max_plan_net_dollars": 200}, True),
        (600, 400, 1000, {"max_plan_turnover": 1}, False),
        (601, 400, 1000, {"max_plan_turnover": 1}, True),
        (600, 400, 0, {}, True),
        (600, 400, 0, {"max_plan_turnover": None}, False),
    ],
)
def test_a_plan_has_a_most_of_gross_net_and_turnover(
    buys: int, sells: int, equity: int, config: dict[str, Any], refused: bool
) -> None:
    refusal = plan_limit_denial(Decimal(buys), Decimal(sells), Decimal(equity), limits(**config))
    assert code(refusal) == (Code.PLAN_LIMIT if refused else None)


@property_test
@given(st.lists(st.tuples(dollars, dollars), max_size=12), decimals("1", "100000", 2))
def test_however_many_plans_a_day_never_exceeds_its_limits(plans: list[tuple[Decimal, Decimal]], most: Decimal) -> None:
    config = limits(max_day_gross_dollars=most, max_day_net_dollars=most / 2, max_day_turnover=2)
    day, equity = TODAY, most
    for buys, sells in plans:
        after = day.plus(buys, sells)
        if day_limit_denial(after, equity, config) is None:
            day = after
    assert day.gross <= most
    assert day.net <= most / 2
    assert day.gross <= 2 * equity


@property_test
@given(dollars, dollars, dollars)
def test_a_whole_rotation_of_a_cash_account_is_within_the_default_turnover(
    cash: Decimal, held: Decimal, wanted: Decimal
) -> None:
    sells = held
    buys = min(wanted, cash + sells)
    config = limits(max_plan_gross_dollars=None, max_plan_net_dollars=None)
    assert plan_limit_denial(buys, sells, cash + held, config) is None


# --- the last line ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parent", "breach"),
    [
        (a_parent(a_child(ChildState.INTENDED)), False),
        (a_parent(a_filled_child("4"), a_child(ChildState.INTENDED, attempt=2, qty="6")), False),
        (a_parent(a_filled_child("4"), a_child(ChildState.INTENDED, attempt=2, qty="6.000001")), True),
        (a_parent(a_child(ChildState.UNKNOWN, qty="1"), a_child(ChildState.INTENDED, attempt=2, qty="1")), True),
        (a_parent(a_child(ChildState.LIVE, qty="10", filled="11")), True),
    ],
)
def test_filled_live_unknown_and_new_never_exceed_the_parent(parent: ParentOrder, breach: bool) -> None:
    assert (overfill(parent) is not None) is breach


@pytest.mark.parametrize(
    ("side", "limit", "bid", "ask", "previous_close", "refused"),
    [
        (BUY, "10.01", "9.99", "10.01", None, None),
        (SELL, "9.99", "9.99", "10.01", None, None),
        (BUY, "10.30", "10.20", "10.30", None, None),
        (BUY, "10.31", "10.20", "10.31", None, Code.PRICE_COLLAR),  # a ladder that drifted from arrival
        (SELL, "9.69", "9.69", "9.80", None, Code.PRICE_COLLAR),
        (BUY, "10.30", "9.80", "9.84", None, Code.PRICE_COLLAR),  # far from the present mid
        (BUY, "1.00", "9.99", "10.01", None, None),
        (BUY, "10.01", "9.99", "10.01", "5", Code.PRICE_COLLAR),
        (BUY, None, "9.99", "10.01", None, None),
        (BUY, None, "10.31", "10.33", None, Code.PRICE_COLLAR),
        (BUY, "10.01", None, None, None, Code.QUOTE_UNUSABLE),
    ],
)
def test_a_price_lies_within_the_collars_or_does_not_leave(
    side: Side, limit: str | None, bid: str | None, ask: str | None, previous_close: str | None, refused: Code | None
) -> None:
    child = a_child(
        ChildState.INTENDED, limit=limit, bid=Decimal(bid) if bid else None, ask=Decimal(ask) if ask else None
    )
    parent = a_parent(child, side=side, previous_close=Decimal(previous_close) if previous_close else None)

    assert code(child_denial(parent, child, CONFIG, COLLAR)) == refused


def test_without_arrival_nothing_leaves() -> None:
    child = a_child(ChildState.INTENDED, bid=Decimal(10), ask=Decimal(10))
    assert code(child_denial(a_parent(child, arrival=None), child, CONFIG, COLLAR)) is Code.QUOTE_UNUSABLE


@property_test
@given(sides, quotes(), quotes(), decimals("0.0001", "6000", 4), decimals("0.000001", "100000", 6))
def test_what_leaves_is_within_every_bound(side: Side, arrival: Any, now: Any, limit: Decimal, qty: Decimal) -> None:
    child = a_child(ChildState.INTENDED, qty=str(qty), limit=str(limit), bid=now.bid, ask=now.ask)
    parent = a_parent(child, side=side, arrival=arrival)
    if child_denial(parent, child, CONFIG, COLLAR) is None:
        assert qty * limit <= Decimal(1_000_000)
        worse = 1 if side is BUY else -1
        assert worse * (limit - parent.arrival.mid) <= parent.arrival.mid * COLLAR  # type: ignore[union-attr]
        assert worse * (limit - now.mid) <= now.mid * COLLAR


def test_messages_are_submissions_repetitions_and_cancels() -> None:
    children = (
        a_child(ChildState.CANCELED, cancel_requested_at=NOW),
        a_child(ChildState.NOT_SENT, attempt=2),
        a_child(ChildState.LIVE, attempt=3, resent=True),
    )
    assert messages([a_parent(*children), a_parent()]) == 4


@pytest.mark.parametrize(("of_plan", "in_minute", "refused"), [(5, 3, False), (6, 3, True), (5, 4, True)])
def test_messages_are_limited_for_the_plan_and_for_the_minute(of_plan: int, in_minute: int, refused: bool) -> None:
    config = limits(max_plan_messages=5, max_messages_per_minute=3)
    assert code(message_denial(of_plan, in_minute, config)) == (Code.MESSAGE_LIMIT if refused else None)


def test_rejects_in_a_row_halt_at_their_limit() -> None:
    assert consecutive_rejects_denial(9, CONFIG) is None
    assert code(consecutive_rejects_denial(10, CONFIG)) is Code.HALTED
