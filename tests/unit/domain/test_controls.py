"""Controls as tables: a value at the limit is allowed, beyond it denied, and so is missing data."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.domain.cash import expected_notional
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import (
    Denial,
    PlanContext,
    child_denial,
    consecutive_rejects_denial,
    count_messages,
    item_denial,
    message_denial,
    overfill,
    parent_denial,
    quote_problem,
    size_denial,
    switch_denial,
)
from rebalance_executor.domain.market import Account, Position, Quote, Side, Trade
from rebalance_executor.domain.orders import ChildState, Outcome, ParentOrder
from rebalance_executor.domain.plan_controls import (
    account_denial,
    day_limit_denial,
    plan_limit_denial,
    plans_denial,
    runs_denial,
)
from rebalance_executor.domain.previous_close import NO_PREVIOUS_CLOSE, PreviousClose
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
    a_snapshot,
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
RISK = RiskState(NEVER_SET, TODAY)
COLLAR = Decimal("0.03")


def limits(**changes: Any) -> ExecutionConfig:
    return ExecutionConfig(**changes)


def reserved(qty: str = "10", dollars: str = "1", *, symbol: str = "ABC", side: Side = BUY) -> ReservedOrder:
    """Build an order of another plan; its dollars differ from those of ``a_parent``."""
    return ReservedOrder(symbol, side, Decimal(qty), Decimal(dollars))


def code(denial: Denial | None) -> Code | None:
    return denial.code if denial is not None else None


# --- the plan --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "blocked_by", "denied"),
    [
        (None, None, None),
        ("PA1", None, None),
        ("PA2", None, Code.ACCOUNT_MISMATCH),
        ("PA1", "trading_blocked", Code.ACCOUNT_BLOCKED),
    ],
)
def test_account_must_be_the_configured_one_and_not_blocked(
    expected: str | None, blocked_by: str | None, denied: Code | None
) -> None:
    account = Account("PA1", "ACTIVE", Decimal(1), Decimal(1), blocked_by)
    assert code(account_denial(account, expected)) == denied
    assert an_account().blocked_by is None


@pytest.mark.parametrize(
    ("state", "side", "denied"),
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
def test_kill_switch_denies_buys_or_everything(state: TradingState, side: Side | None, denied: Code | None) -> None:
    denial = switch_denial(KillSwitchRecord(state, "Ada", "drill", NOW), side)

    assert code(denial) == denied
    assert denial is None or ("Ada" in denial.message and "drill" in denial.message)


def test_runs_and_plans_are_allowed_up_to_their_limits() -> None:
    plans = [StartedPlan(f"plan-{n}", later(n)) for n in range(3)]
    risk = RiskState(NEVER_SET, TODAY, plans)

    assert runs_denial(20, CONFIG) is None
    assert code(runs_denial(21, CONFIG)) is Code.TOO_MANY_RUNS
    assert plans_denial(risk, limits(max_plans_per_day=4)) is None
    assert code(plans_denial(risk, limits(max_plans_per_day=3))) is Code.TOO_MANY_PLANS


def test_plans_are_counted_from_the_latest_change_of_the_kill_switch() -> None:
    plans = [StartedPlan(f"plan-{n}", later(n)) for n in range(3)]
    risk = RiskState(KillSwitchRecord(TradingState.ACTIVE, "Ada", "checked", later(1)), TODAY, plans)

    assert plans_denial(risk, limits(max_plans_per_day=2)) is None
    assert code(plans_denial(risk, limits(max_plans_per_day=1))) is Code.TOO_MANY_PLANS


def test_default_limits_allow_the_runs_and_plans_of_the_contract() -> None:
    assert CONFIG.max_runs >= 6
    assert CONFIG.max_plans_per_day >= 20


# --- an item, before it is sized -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "data", "config", "denied"),
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
        (BUY, {"market_close": None}, {}, Code.PREVIOUS_CLOSE_UNKNOWN),
        (BUY, {"market_close": None, "position": a_position("1")}, {}, Code.PREVIOUS_CLOSE_UNKNOWN),
        (SELL, {"market_close": None, "position": a_position("1")}, {}, Code.PREVIOUS_CLOSE_UNKNOWN),
        (BUY, {"market_close": PreviousClose(Decimal("7.1"))}, {}, Code.PRICE_COLLAR),
        (BUY, {"market_close": PreviousClose(Decimal(20))}, {}, Code.PRICE_COLLAR),
        (BUY, {"market_close": PreviousClose(Decimal("9.5"))}, {}, None),
        (BUY, {"market_close": NO_PREVIOUS_CLOSE}, {}, None),
    ],
)
def test_item_is_denied_by_the_data_of_its_symbol(
    side: Side, data: dict[str, Any], config: dict[str, Any], denied: Code | None
) -> None:
    item = an_item(action=side.name, amount="1000" if side is BUY else "-1000")

    assert code(item_denial(side, item, a_snapshot(**data), limits(**config), NOW)) == denied


@property_test
@given(quotes(), st.integers(-100_000, 100_000))
def test_usable_quote_is_never_one_sided_crossed_old_future_or_wide(quote: Any, age: int) -> None:
    if quote_problem(quote, CONFIG, quote.at + timedelta(seconds=age)) is None:
        assert 0 < quote.bid <= quote.ask
        assert -CONFIG.max_clock_skew_seconds <= age <= CONFIG.max_quote_age_seconds
        assert quote.ask - quote.bid <= quote.mid * CONFIG.max_spread


@pytest.mark.parametrize("is_trade", [False, True])
def test_price_from_the_future_is_not_used(is_trade: bool) -> None:
    """Clocks differ by seconds; a quote of tomorrow is an error of the feed."""
    quote = a_quote()
    if is_trade:
        quote = Quote.of_trade(Trade("ABC", Decimal(10), quote.at))

    assert quote_problem(quote, CONFIG, quote.at - timedelta(seconds=120)) is None
    for early in (timedelta(seconds=121), timedelta(minutes=45), timedelta(days=1)):
        problem = quote_problem(quote, CONFIG, quote.at - early)
        assert problem is not None
        assert "in the future; max_clock_skew_seconds is 120" in problem
    assert quote_problem(quote, limits(max_clock_skew_seconds=Decimal(3600)), quote.at - timedelta(minutes=45)) is None


# --- an item, after it is sized --------------------------------------------------------------------------


def denied_code(
    parent: ParentOrder, *, risk: RiskState = RISK, position: Position | None = None, **fields: Any
) -> Code | None:
    config = fields.pop("config", CONFIG)
    item = an_item(current_value=fields.pop("current_value", "0"))
    snapshot = a_snapshot(position, quote=fields.pop("quote", a_quote()))
    return code(parent_denial(parent, item, snapshot, PlanContext(a_plan(item, **fields), risk, config, NOW)))


@pytest.mark.parametrize(
    ("held", "current_value", "fields", "denied"),
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
def test_position_may_drift_by_the_tolerance_of_the_portfolio(
    held: str, current_value: str, fields: dict[str, Any], denied: Code | None
) -> None:
    assert denied_code(a_parent(), position=a_position(held), current_value=current_value, **fields) == denied


@pytest.mark.parametrize(
    ("qty", "price", "config", "denied"),
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
def test_order_limits_cap_dollars_and_shares(
    qty: str, price: str | None, config: dict[str, Any], denied: Code | None
) -> None:
    denial = size_denial(Decimal(qty), Decimal(price) if price else None, limits(**config))
    assert code(denial) == denied


@pytest.mark.parametrize(("share", "denied"), [(None, None), ("0.1", None), ("0.09", Code.ORDER_TOO_LARGE)])
def test_order_limit_caps_the_share_of_the_displayed_size(share: str | None, denied: Code | None) -> None:
    assert denied_code(a_parent(), config=limits(max_share_of_displayed=share)) == denied


def test_order_without_a_displayed_size_is_denied() -> None:
    assert denied_code(a_parent(), quote=None, config=limits(max_share_of_displayed=1)) is Code.ORDER_TOO_LARGE


@pytest.mark.parametrize(
    ("plan_id", "order", "minutes_ago", "denied"),
    [
        ("other", reserved(), 5, Code.DUPLICATE_ORDER),
        ("other", reserved("10.0"), 9.9, Code.DUPLICATE_ORDER),
        ("other", reserved(), 10, None),
        ("other", reserved("10.000001"), 5, None),
        ("other", reserved(side=SELL), 5, None),
        ("other", reserved(symbol="XYZ"), 5, None),
        ("plan-1", reserved(), 5, None),
    ],
)
def test_same_order_of_another_plan_minutes_ago_is_a_duplicate(
    plan_id: str, order: ReservedOrder, minutes_ago: float, denied: Code | None
) -> None:
    started = StartedPlan(plan_id, later(-60 * minutes_ago), (reserved("1", symbol="XYZ"), order))
    assert denied_code(a_parent(), risk=RiskState(NEVER_SET, TODAY, [started])) == denied


def test_duplicate_is_found_after_plans_that_do_not_count() -> None:
    order = reserved()
    plans = [
        StartedPlan("old", later(-3600), (order,)),
        StartedPlan("plan-1", NOW, ()),
        StartedPlan("other", NOW, (order,)),
    ]

    assert denied_code(a_parent(), risk=RiskState(NEVER_SET, TODAY, plans)) is Code.DUPLICATE_ORDER


@pytest.mark.parametrize(
    ("shares", "dollars", "tolerance", "denied"),
    [
        ("9.9", "100", "0", Code.DUPLICATE_ORDER),  # the same dollars, at a price that moved
        ("9.9", "100.01", "0", None),
        ("9.9", "1", "0", None),
        ("9.5", "1", "0.05", Code.DUPLICATE_ORDER),
        ("9.499999", "1", "0.05", None),
        ("10.526315", "1", "0.05", Code.DUPLICATE_ORDER),
        ("10.526317", "1", "0.05", None),
        ("8", "95", "0.05", Code.DUPLICATE_ORDER),
        ("8", "94.99", "0.05", None),
    ],
)
def test_same_dollars_are_a_duplicate_within_the_configured_tolerance(
    shares: str, dollars: str, tolerance: str, denied: Code | None
) -> None:
    risk = RiskState(NEVER_SET, TODAY, [StartedPlan("other", NOW, (reserved(shares, dollars),))])
    parent = replace(a_parent(), planned_amount=Decimal(100))
    assert denied_code(parent, risk=risk, config=limits(duplicate_tolerance=tolerance)) == denied


# --- the plan's orders together --------------------------------------------------------------------------


def test_expected_buys_are_capped_by_funds_plus_sells() -> None:
    parents = [a_parent(qty="100"), a_parent(side=SELL, qty="30"), a_parent(qty="9", outcome=Outcome.DENIED)]

    assert expected_notional(parents, Decimal(10_000)) == (Decimal(1000), Decimal(300))
    assert expected_notional(parents, Decimal(200)) == (Decimal(500), Decimal(300))
    assert expected_notional(parents, Decimal(-200)) == (Decimal(100), Decimal(300))
    assert expected_notional(parents, Decimal(-5000)) == (
        Decimal(0),
        Decimal(300),
    )  # debt is not a negative buy of the day


@pytest.mark.parametrize(
    ("buys", "sells", "equity", "config", "denied"),
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
def test_plan_limits_cap_gross_net_and_turnover(
    buys: int, sells: int, equity: int, config: dict[str, Any], denied: bool
) -> None:
    denial = plan_limit_denial(Decimal(buys), Decimal(sells), Decimal(equity), limits(**config))
    assert code(denial) == (Code.PLAN_LIMIT if denied else None)


@property_test
@given(st.lists(st.tuples(dollars, dollars), max_size=12), decimals("1", "100000", 2))
def test_daily_usage_never_exceeds_its_limits(plans: list[tuple[Decimal, Decimal]], limit: Decimal) -> None:
    config = limits(max_day_gross_dollars=limit, max_day_net_dollars=limit / 2, max_day_turnover=2)
    day, equity = TODAY, limit
    for buys, sells in plans:
        after = day.plus(buys, sells)
        if day_limit_denial(after, equity, config) is None:
            day = after
    assert day.gross <= limit
    assert day.net <= limit / 2
    assert day.gross <= 2 * equity


@property_test
@given(dollars, dollars, dollars)
def test_full_rotation_of_a_cash_account_is_within_the_default_turnover(
    cash: Decimal, held: Decimal, target: Decimal
) -> None:
    sells = held
    buys = min(target, cash + sells)
    config = limits(max_plan_gross_dollars=None, max_plan_net_dollars=None)
    assert plan_limit_denial(buys, sells, cash + held, config) is None


# --- each order, before it is sent -----------------------------------------------------------------------


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
def test_overfill_is_exposure_above_the_parent_or_two_open_children(parent: ParentOrder, breach: bool) -> None:
    assert (overfill(parent) is not None) is breach


@pytest.mark.parametrize(
    ("side", "limit", "bid", "ask", "previous_close", "denied"),
    [
        (BUY, "10.01", "9.99", "10.01", None, None),
        (SELL, "9.99", "9.99", "10.01", None, None),
        (BUY, "10.30", "10.20", "10.30", None, None),
        (BUY, "10.31", "10.20", "10.31", None, Code.PRICE_COLLAR),  # a ladder that drifted from arrival
        (SELL, "9.69", "9.69", "9.80", None, Code.PRICE_COLLAR),
        (BUY, "10.30", "9.80", "9.84", None, Code.PRICE_COLLAR),  # far from the current mid
        (BUY, "1.00", "9.99", "10.01", None, None),
        (BUY, "10.01", "9.99", "10.01", "5", Code.PRICE_COLLAR),
        (BUY, None, "9.99", "10.01", None, None),
        (BUY, None, "10.31", "10.33", None, Code.PRICE_COLLAR),
        (BUY, "10.01", None, None, None, Code.QUOTE_UNUSABLE),
    ],
)
def test_price_outside_a_collar_is_denied(
    side: Side, limit: str | None, bid: str | None, ask: str | None, previous_close: str | None, denied: Code | None
) -> None:
    child = a_child(
        ChildState.INTENDED, limit=limit, bid=Decimal(bid) if bid else None, ask=Decimal(ask) if ask else None
    )
    parent = a_parent(child, side=side, previous_close=Decimal(previous_close) if previous_close else None)

    assert code(child_denial(parent, child, CONFIG, COLLAR)) == denied


def test_order_without_arrival_quote_is_never_sent() -> None:
    child = a_child(ChildState.INTENDED, bid=Decimal(10), ask=Decimal(10))
    assert code(child_denial(a_parent(child, arrival=None), child, CONFIG, COLLAR)) is Code.QUOTE_UNUSABLE


@property_test
@given(sides, quotes(), quotes(), decimals("0.0001", "6000", 4), decimals("0.000001", "100000", 6))
def test_allowed_order_is_within_every_limit(side: Side, arrival: Any, now: Any, limit: Decimal, qty: Decimal) -> None:
    child = a_child(ChildState.INTENDED, qty=str(qty), limit=str(limit), bid=now.bid, ask=now.ask)
    parent = a_parent(child, side=side, arrival=arrival)
    if child_denial(parent, child, CONFIG, COLLAR) is None:
        assert qty * limit <= Decimal(1_000_000)
        worse = 1 if side is BUY else -1
        assert worse * (limit - parent.arrival.mid) <= parent.arrival.mid * COLLAR  # type: ignore[union-attr]
        assert worse * (limit - now.mid) <= now.mid * COLLAR


def test_messages_count_submissions_resends_and_cancels() -> None:
    children = (
        a_child(ChildState.CANCELED, cancel_requested_at=NOW),
        a_child(ChildState.NOT_SENT, attempt=2),
        a_child(ChildState.LIVE, attempt=3, resent=True),
    )
    assert count_messages([a_parent(*children), a_parent()]) == 4


@pytest.mark.parametrize(("of_plan", "in_minute", "denied"), [(5, 3, False), (6, 3, True), (5, 4, True)])
def test_message_limits_cap_the_plan_and_the_minute(of_plan: int, in_minute: int, denied: bool) -> None:
    config = limits(max_plan_messages=5, max_messages_per_minute=3)
    assert code(message_denial(of_plan, in_minute, config)) == (Code.MESSAGE_LIMIT if denied else None)


def test_consecutive_rejects_halt_at_their_limit() -> None:
    assert consecutive_rejects_denial(9, CONFIG) is None
    assert code(consecutive_rejects_denial(10, CONFIG)) is Code.HALTED
