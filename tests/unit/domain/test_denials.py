"""Messages of denials: each names the value, the limit and its setting. On-call engineers read these alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.cash import expected_notional
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import (
    Denial,
    PlanContext,
    child_denial,
    consecutive_rejects_denial,
    item_denial,
    message_denial,
    overfill,
    parent_denial,
    switch_denial,
)
from rebalance_executor.domain.errors import PlanExpired
from rebalance_executor.domain.market import MarketClock, Side
from rebalance_executor.domain.orders import ChildState, Outcome, ParentOrder
from rebalance_executor.domain.plan_controls import (
    account_denial,
    check_fresh,
    day_limit_denial,
    plan_limit_denial,
    plans_denial,
    runs_denial,
    session_denial,
)
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

D = Decimal
TODAY = DailyUsage(NOW.date())
CLOSED = MarketClock(NOW, is_open=False, next_open=later(3600), next_close=later(30_000))
RISK = RiskState(NEVER_SET, TODAY)
HALT = KillSwitchRecord(TradingState.HALTED, by="ada", reason="drill", at=NOW)
REDUCE = replace(HALT, state=TradingState.REDUCING)
SAME = ReservedOrder("ABC", BUY, D(10), D(100))


def limits(**changes: Any) -> ExecutionConfig:
    return ExecutionConfig(**changes)


def text(denial: Denial | None) -> str | None:
    return denial.message if denial is not None else None


def of_item(config: ExecutionConfig | None = None, side: Side = BUY, **data: Any) -> Denial | None:
    return item_denial(side, an_item(), a_snapshot(**data), config or limits(), NOW)


def of_parent(
    parent: ParentOrder | None = None, *, risk: RiskState = RISK, current_value: str = "0", **fields: Any
) -> Denial | None:
    item = an_item(current_value=current_value)
    snapshot = a_snapshot(fields.pop("position", None), quote=fields.pop("quote", a_quote()))
    return parent_denial(parent or a_parent(), item, snapshot, PlanContext(a_plan(item), risk, limits(**fields), NOW))


def of_child(limit: str = "10.01", bid: str | None = "9.99", ask: str = "10.01") -> Denial | None:
    priced_at: dict[str, Any] = {"bid": None if bid is None else D(bid), "ask": D(ask)}
    child = a_child(ChildState.INTENDED, limit=limit, **priced_at)
    return child_denial(a_parent(child), child, limits(), D("0.03"))


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (
            lambda: account_denial(an_account(), "PA2"),
            "the credentials belong to account PA1; account_number is PA2",
        ),
        (
            lambda: account_denial(replace(an_account(), blocked_by="trading_blocked"), None),
            "the broker blocks trading on this account: trading_blocked",
        ),
        (
            lambda: session_denial(CLOSED),
            "the market is closed; it opens at 2026-01-26 16:00:00 UTC (11:00:00 New York)",
        ),
        (
            lambda: switch_denial(HALT),
            "the account is halted, set by ada at 2026-01-26 15:00:00 UTC (10:00:00 New York): drill",
        ),
        (lambda: switch_denial(replace(HALT, at=None)), "the account is halted, set by ada: drill"),
        (
            lambda: switch_denial(REDUCE, BUY),
            "the account allows sells only, set by ada at 2026-01-26 15:00:00 UTC (10:00:00 New York): drill",
        ),
        (lambda: runs_denial(21, limits()), "this is run 21 of the plan; max_runs is 20"),
        (
            lambda: plans_denial(RiskState(NEVER_SET, TODAY, [StartedPlan("p", NOW)] * 40), limits()),
            "plans started today: 40; max_plans_per_day is 40",
        ),
    ],
)
def test_denial_of_a_plan_names_the_value_and_the_limit(check: Callable[[], Denial | None], message: str) -> None:
    assert text(check()) == message


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: of_item(limits(restricted_symbols=["ABC"])), "ABC is in restricted_symbols"),
        (lambda: of_item(limits(allowed_symbols=["XYZ"])), "ABC is not in allowed_symbols"),
        (lambda: of_item(asset=None), "the broker does not list ABC"),
        (lambda: of_item(asset=an_asset(tradable=False)), "the broker lists ABC as active and not tradable"),
        (lambda: of_item(asset=an_asset(status="inactive")), "the broker lists ABC as inactive and tradable"),
        (lambda: of_item(side=SELL), "the account holds no shares of ABC"),
        (lambda: of_item(others=[an_order()]), "other open orders on ABC (1): order-1"),
        (lambda: of_item(quote=None), "no quote"),
        (lambda: of_item(quote=a_quote(at=later(-301))), "the quote is 301 seconds old; max_quote_age_seconds is 300"),
        (
            lambda: of_item(quote=a_trade(at=later(-61))),
            "the last trade is 61 seconds old; max_trade_age_seconds is 60",
        ),
        (lambda: of_item(quote=a_quote("9", "11")), "bid 9, ask 11: the spread is too wide; max_spread is 0.05 of mid"),
        (
            lambda: of_item(position=replace(a_position("1"), previous_close=D("7.1"))),
            (
                "price 10 is too far from the previous close 7.1; previous_close_collar is 0.4; "
                "a split or a symbol change may be the reason"
            ),
        ),
        (
            lambda: of_item(market_close=None),
            (
                "neither a position nor the market data of the last 7 days has a previous close; "
                "previous_close_collar cannot be checked"
            ),
        ),
    ],
)
def test_denial_of_an_item_names_the_value_and_the_limit(check: Callable[[], Denial | None], message: str) -> None:
    assert text(check()) == message


def test_conflict_names_up_to_five_other_orders() -> None:
    message = text(of_item(others=[replace(an_order(), id=f"other-{number}") for number in range(7)]))
    assert message == "other open orders on ABC (7): other-0, other-1, other-2, other-3, other-4"


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (
            lambda: of_parent(current_value="50000"),
            "the position is worth $0, the plan expects $50,000; max_drift_tolerance allows $5,000 of difference",
        ),
        (
            lambda: of_parent(position=a_position("5000.3333")),
            "the position is worth $50,003.33, the plan expects $0; max_drift_tolerance allows $5,000 of difference",
        ),
        (lambda: of_parent(max_order_shares=9), "the order is for 10 shares; max_order_shares is 9"),
        (lambda: of_parent(max_order_dollars="99.99"), "the order is worth $100; max_order_dollars is $99.99"),
        (lambda: of_parent(a_parent(arrival=None)), "the order is of unknown value; max_order_dollars is $1,000,000"),
        (
            lambda: of_parent(max_share_of_displayed="0.01"),
            "the order is for 10 shares, 100 are displayed; max_share_of_displayed is 0.01",
        ),
        (
            lambda: of_parent(risk=RiskState(NEVER_SET, TODAY, [StartedPlan("other", later(-180), (SAME,))])),
            (
                "plan other ordered 10 shares at 2026-01-26 14:57:00 UTC (09:57:00 New York); "
                "this plan orders 10 within duplicate_window_minutes (10)"
            ),
        ),
    ],
)
def test_denial_of_a_sized_item_names_the_value_and_the_limit(check: Callable[[], Denial | None], message: str) -> None:
    assert text(check()) == message


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (
            lambda: plan_limit_denial(D("1200.456"), D("0.1"), D(1), limits(max_plan_gross_dollars=1000)),
            "the plan would trade $1,200.56 gross; max_plan_gross_dollars is $1,000",
        ),
        (
            lambda: plan_limit_denial(D("1200.456"), D("0.1"), D(1), limits(max_plan_net_dollars=1000)),
            "the plan would trade $1,200.36 net; max_plan_net_dollars is $1,000",
        ),
        (
            lambda: plan_limit_denial(D(5), D(4), D(4), limits(max_plan_turnover=2)),
            "the plan would trade $9 with equity of $4; max_plan_turnover is 2",
        ),
        (
            lambda: plan_limit_denial(D(5), D(4), D(0), limits(max_plan_turnover=2)),
            "the plan would trade $9 with unknown equity; max_plan_turnover is 2",
        ),
        (
            lambda: day_limit_denial(TODAY.plus(D(5), D(4)), D(4), limits(max_day_gross_dollars=8)),
            "trading day 2026-01-26 would reach $9 gross; max_day_gross_dollars is $8",
        ),
        (
            lambda: day_limit_denial(TODAY.plus(D(5), D(4)), D(4), limits(max_day_net_dollars="0.5")),
            "trading day 2026-01-26 would reach $1 net; max_day_net_dollars is $0.50",
        ),
        (
            lambda: day_limit_denial(TODAY.plus(D(5), D(4)), D(4), limits(max_day_turnover=2)),
            "trading day 2026-01-26 would reach $9 with equity of $4; max_day_turnover is 2",
        ),
    ],
)
def test_denial_of_all_items_names_the_dollars_and_the_limit(check: Callable[[], Denial | None], message: str) -> None:
    assert text(check()) == message


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: of_child(bid=None), "order client-1 was priced without a quote"),
        (lambda: of_child(limit="11"), "price 11 is too far from the arrival mid 10; price_collar is 0.03"),
        (
            lambda: of_child(bid="8.99", ask="9.01"),
            "price 10.01 is too far from the current mid 9; limit_collar is 0.03",
        ),
        (
            lambda: message_denial(5001, 1, limits()),
            "5001 submissions and cancels for the plan; max_plan_messages is 5000",
        ),
        (
            lambda: message_denial(1, 201, limits()),
            "201 submissions and cancels in one minute; max_messages_per_minute is 200",
        ),
        (
            lambda: consecutive_rejects_denial(10, limits()),
            "the broker rejected 10 orders in a row; max_rejects_in_a_row is 10",
        ),
    ],
)
def test_denial_before_sending_names_the_value_and_the_limit(check: Callable[[], Denial | None], message: str) -> None:
    assert text(check()) == message


def test_overfill_names_the_exposure_and_the_quantity() -> None:
    parent = a_parent(a_filled_child("4"), a_child(attempt=2, qty="7"))
    assert overfill(parent) == "ABC: 11 shares are filled, live or unknown (open orders: 1); the parent order is for 10"


@pytest.mark.parametrize(("side", "denied"), [(BUY, True), (SELL, False)])
def test_reducing_account_denies_buys_and_allows_sells(side: Any, *, denied: bool) -> None:
    denial = of_parent(a_parent(side=side), risk=RiskState(REDUCE, TODAY))
    assert (denial is not None) is denied


@pytest.mark.parametrize(
    ("side", "bid_size", "ask_size", "denied"),
    [(BUY, 1, 100, False), (BUY, 100, 1, True), (SELL, 100, 1, False), (SELL, 1, 100, True)],
)
def test_displayed_size_is_that_of_the_far_touch(side: Any, bid_size: int, ask_size: int, *, denied: bool) -> None:
    quote = replace(a_quote(), bid_size=Decimal(bid_size), ask_size=Decimal(ask_size))
    denial = of_parent(a_parent(side=side), quote=quote, max_share_of_displayed=1)
    assert (denial is not None) is denied


def test_expected_notional_adds_up_per_side() -> None:
    buys = [a_parent(symbol="AAA"), a_parent(symbol="BBB")]
    sells = [a_parent(symbol="CCC", side=SELL), a_parent(symbol="DDD", side=SELL)]
    assert expected_notional([*buys, *sells], Decimal(1000)) == (Decimal(200), Decimal(200))


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"timestamp": later(-31 * 60)}, "timestamp", "is over 30 minutes ago; create a new plan"),
        ({"timestamp": later(121)}, "timestamp", "is over 120 seconds in the future; check the sender's clock"),
        ({"valid_until": later(-1)}, "valid_until", "has passed; create a new plan"),
    ],
)
def test_expired_plan_names_the_field_and_the_next_step(fields: dict[str, Any], field: str, problem: str) -> None:
    plan = a_plan().model_copy(update=fields)
    with pytest.raises(PlanExpired) as caught:
        check_fresh(plan, NOW, max_age_minutes=D(30), max_skew_seconds=D(120))

    assert str(caught.value) == f"{field}: {fields[field].isoformat()} {problem}"


def test_plan_is_valid_up_to_and_including_valid_until() -> None:
    plan = a_plan().model_copy(update={"valid_until": NOW})
    check_fresh(plan, NOW, max_age_minutes=D(30), max_skew_seconds=D(120))


@pytest.mark.parametrize(
    ("parent", "outcome"),
    [
        (a_parent(), Outcome.DENIED),
        (a_parent(a_child(ChildState.CANCELED)), Outcome.UNFILLED),
        (a_parent(a_child(ChildState.CANCELED, filled="3", price="10")), Outcome.PARTIALLY_FILLED),
    ],
)
def test_denied_parent_keeps_its_earlier_fills(parent: ParentOrder, outcome: Outcome) -> None:
    denied = parent.denied(Code.PRICE_COLLAR, "too far", NOW)
    assert (denied.outcome, denied.code, denied.message, denied.settled_at) == (
        outcome,
        Code.PRICE_COLLAR,
        "too far",
        NOW,
    )
