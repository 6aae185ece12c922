"""Ticks, limits, collars and the shortfall. The controls exclude unusable quotes before."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given

from rebalance_executor.domain.market import Quote, Side
from rebalance_executor.domain.orders import Arrival
from rebalance_executor.domain.pricing import collar, far_touch, is_inside, next_tick, shortfall, tick, to_tick
from tests.support.builders import BUY, NOW, SELL, a_quote, a_trade
from tests.support.properties import decimals, dollars, property_test, quotes, shares, sides


@pytest.mark.parametrize(
    ("bid", "ask", "problem"),
    [
        ("107", "0", "one-sided quote: bid 107, ask 0"),
        ("0", "107", "one-sided quote: bid 0, ask 107"),
        ("0", "0", "one-sided quote: bid 0, ask 0"),
        ("-0.01", "107", "one-sided quote: bid -0.01, ask 107"),
        ("107", "-0.01", "one-sided quote: bid 107, ask -0.01"),
        ("10.02", "10.01", "crossed quote: bid 10.02 above ask 10.01"),
    ],
)
def test_one_sided_or_crossed_quote_has_a_problem(bid: str, ask: str, problem: str) -> None:
    """Production failures 6, 7 and 9."""
    assert a_quote(bid, ask).problem == problem


@pytest.mark.parametrize(("bid", "ask"), [("10.00", "10.01"), ("10.00", "10.00"), ("0.0001", "0.0002")])
def test_two_sided_quote_is_usable_even_when_locked(bid: str, ask: str) -> None:
    assert a_quote(bid, ask).problem is None


def test_mid_is_exact() -> None:
    assert a_quote("10.00", "10.01").mid == Decimal("10.005")


@pytest.mark.parametrize(
    ("price", "step"),
    [("250", "0.01"), ("1.00", "0.01"), ("0.9999", "0.0001"), ("0.0001", "0.0001")],
)
def test_tick_is_a_cent_from_one_dollar(price: str, step: str) -> None:
    assert tick(Decimal(price)) == Decimal(step)


@pytest.mark.parametrize(
    ("side", "price", "then"),
    [
        (BUY, "10.01", "10.02"),
        (SELL, "10.01", "10.00"),
        (BUY, "0.9999", "1.0000"),
        (BUY, "1.00", "1.01"),
        (SELL, "1.01", "1.00"),
        (SELL, "1.00", "0.9999"),
    ],
)
def test_next_tick_is_nearer_to_the_counterparty(side: Side, price: str, then: str) -> None:
    assert next_tick(Decimal(price), side) == Decimal(then)


@pytest.mark.parametrize(
    ("side", "price", "on_tick"),
    [
        (BUY, "10.019", "10.01"),
        (SELL, "10.011", "10.02"),
        (BUY, "0.12349", "0.1234"),
        (SELL, "0.12341", "0.1235"),
        (BUY, "10.01", "10.01"),
        (SELL, "10.01", "10.01"),
        (SELL, "0.99995", "1.0000"),
    ],
)
def test_price_is_rounded_to_a_tick_in_our_favour(side: Side, price: str, on_tick: str) -> None:
    assert to_tick(Decimal(price), side) == Decimal(on_tick)


@pytest.mark.parametrize(
    ("side", "quote", "price"),
    [
        (BUY, a_quote("9.99", "10.01"), "10.01"),
        (SELL, a_quote("9.99", "10.01"), "9.99"),
        (BUY, a_quote("9.99", "10.012"), "10.02"),
        (SELL, a_quote("9.988", "10.01"), "9.98"),
        (BUY, a_quote("0.5", "0.50011"), "0.5002"),
        (SELL, a_quote("0.49999", "0.5"), "0.4999"),
        (BUY, a_trade("10.0012"), "10.00"),
        (SELL, a_trade("10.0012"), "10.01"),
        (BUY, a_trade("0.99995"), "0.9999"),
        (SELL, a_trade("0.99995"), "1.0000"),
    ],
)
def test_far_touch_is_the_ask_for_a_buy_and_the_bid_for_a_sell(side: Side, quote: Quote, price: str) -> None:
    """Production failure 8."""
    assert far_touch(side, quote) == Decimal(price)


@pytest.mark.parametrize(
    ("side", "worst"),
    [(BUY, "10.30"), (SELL, "9.70")],
)
def test_collar_is_three_percent_from_the_arrival_mid(side: Side, worst: str) -> None:
    arrival = Arrival(Decimal("9.99"), Decimal("10.01"), NOW)
    assert collar(side, arrival, Decimal("0.03")) == Decimal(worst)


@pytest.mark.parametrize(
    ("side", "limit", "inside"),
    [
        (BUY, "10.30", True),
        (BUY, "10.31", False),
        (BUY, "0.01", True),
        (SELL, "10.30", True),
        (SELL, "10.29", False),
    ],
)
def test_limit_is_inside_if_it_is_not_worse(side: Side, limit: str, *, inside: bool) -> None:
    assert is_inside(side, Decimal(limit), Decimal("10.30")) is inside


@property_test
@given(sides, quotes())
def test_far_touch_of_a_quote_on_tick_is_its_price(side: Side, quote: Quote) -> None:
    assert far_touch(side, quote) == (quote.ask if side is BUY else quote.bid)


@property_test
@given(sides, decimals("0.00001", "5000", 5))
def test_rounded_price_is_never_worse_and_less_than_a_tick_away(side: Side, price: Decimal) -> None:
    moved = to_tick(price, side) - price
    assert 0 <= (-moved if side is BUY else moved) < tick(price)


@property_test
@given(sides, quotes(), decimals("0.001", "0.5", 3))
def test_collar_never_allows_more_than_its_fraction(side: Side, quote: Quote, fraction: Decimal) -> None:
    worst = collar(side, Arrival(quote.bid, quote.ask, quote.at), fraction)
    against = worst - quote.mid if side is BUY else quote.mid - worst
    assert against <= quote.mid * fraction


@pytest.mark.parametrize(
    ("side", "value", "cost"),
    [(BUY, "1001", "1"), (BUY, "999", "-1"), (SELL, "999", "1"), (SELL, "1001", "-1"), (BUY, "1000", "0")],
)
def test_paying_more_or_receiving_less_than_arrival_is_a_cost(side: Side, value: str, cost: str) -> None:
    assert shortfall(side, Decimal(10), Decimal(100), Decimal(value)) == Decimal(cost)


@property_test
@given(quotes(), shares, dollars)
def test_shortfall_of_a_buy_is_the_gain_of_a_sell(quote: Quote, qty: Decimal, value: Decimal) -> None:
    assert shortfall(BUY, quote.mid, qty, value) == -shortfall(SELL, quote.mid, qty, value)
