"""Ticks, limits, collars and the shortfall. The controls exclude unusable quotes before."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given

from rebalance_executor.domain.market import CENT, HALF_CENT, Arrival, Quote, Side
from rebalance_executor.domain.pricing import collar, far_touch, is_inside, next_tick, shortfall, tick, to_tick
from tests.support.builders import BUY, NOW, SELL, a_quote, a_trade
from tests.support.properties import decimals, dollars, is_on_tick, property_test, quotes, shares, sides, tick_sizes


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
    ("price", "tick_size", "step"),
    [
        ("250", CENT, "0.01"),
        ("1.00", CENT, "0.01"),
        ("1.00", HALF_CENT, "0.005"),
        ("0.9999", CENT, "0.0001"),
        ("0.9999", HALF_CENT, "0.0001"),
        ("0.0001", CENT, "0.0001"),
    ],
)
def test_tick_is_that_of_the_symbol_from_one_dollar(price: str, tick_size: Decimal, step: str) -> None:
    assert tick(Decimal(price), tick_size) == Decimal(step)


@pytest.mark.parametrize(
    ("side", "price", "tick_size", "then"),
    [
        (BUY, "10.01", CENT, "10.02"),
        (SELL, "10.01", CENT, "10.00"),
        (BUY, "13.985", HALF_CENT, "13.990"),
        (SELL, "13.995", HALF_CENT, "13.990"),
        (BUY, "0.9999", CENT, "1.0000"),
        (BUY, "0.9999", HALF_CENT, "1.0000"),
        (BUY, "1.00", CENT, "1.01"),
        (BUY, "1.00", HALF_CENT, "1.005"),
        (SELL, "1.01", CENT, "1.00"),
        (SELL, "1.005", HALF_CENT, "1.00"),
        (SELL, "1.00", CENT, "0.9999"),
        (SELL, "1.00", HALF_CENT, "0.9999"),
    ],
)
def test_next_tick_is_nearer_to_the_counterparty(side: Side, price: str, tick_size: Decimal, then: str) -> None:
    assert next_tick(Decimal(price), side, tick_size) == Decimal(then)


@pytest.mark.parametrize(("side", "then"), [(BUY, "13.99"), (SELL, "13.98")])
def test_next_tick_of_a_price_on_a_finer_tick_is_on_tick(side: Side, then: str) -> None:
    """An earlier run knew the half-cent tick, this one does not yet."""
    assert next_tick(Decimal("13.985"), side, CENT) == Decimal(then)


@pytest.mark.parametrize(
    ("side", "price", "tick_size", "on_tick"),
    [
        (BUY, "10.019", CENT, "10.01"),
        (SELL, "10.011", CENT, "10.02"),
        (BUY, "10.019", HALF_CENT, "10.015"),
        (SELL, "10.011", HALF_CENT, "10.015"),
        (BUY, "0.12349", CENT, "0.1234"),
        (SELL, "0.12341", HALF_CENT, "0.1235"),
        (BUY, "10.01", CENT, "10.01"),
        (SELL, "10.01", CENT, "10.01"),
        (SELL, "0.99995", CENT, "1.0000"),
        (SELL, "0.99995", HALF_CENT, "1.0000"),
        (BUY, "1.004", HALF_CENT, "1.00"),
    ],
)
def test_price_is_rounded_to_a_tick_in_our_favour(side: Side, price: str, tick_size: Decimal, on_tick: str) -> None:
    assert to_tick(Decimal(price), side, tick_size) == Decimal(on_tick)


@pytest.mark.parametrize(
    ("quote", "tick_size"),
    [
        pytest.param(a_quote("13.98", "13.99"), CENT, id="full cents"),
        pytest.param(a_quote("13.985", "13.99"), HALF_CENT, id="bid on half a cent"),
        pytest.param(a_quote("13.98", "13.985"), HALF_CENT, id="ask on half a cent"),
        pytest.param(a_quote("0.9995", "1.005"), HALF_CENT, id="only the ask above a dollar"),
        pytest.param(a_quote("0.985", "0.995"), CENT, id="below a dollar"),
        pytest.param(a_quote("13.9851", "13.9949"), CENT, id="finer than half a cent"),
        pytest.param(a_quote("13.985", "0"), CENT, id="one-sided"),
        pytest.param(a_quote("13.995", "13.985"), CENT, id="crossed"),
        pytest.param(a_trade("13.985"), CENT, id="last trade"),
        pytest.param(replace(a_quote("13.985", "13.995"), known_tick_size=CENT), CENT, id="known to be a cent"),
        pytest.param(replace(a_quote("13.98", "13.99"), known_tick_size=HALF_CENT), HALF_CENT, id="known to be half"),
    ],
)
def test_tick_size_is_the_known_one_or_what_a_usable_quote_shows(quote: Quote, tick_size: Decimal) -> None:
    assert quote.tick_size == tick_size


@pytest.mark.parametrize(
    ("side", "quote", "price"),
    [
        (BUY, a_quote("9.99", "10.01"), "10.01"),
        (SELL, a_quote("9.99", "10.01"), "9.99"),
        (BUY, a_quote("9.99", "10.012"), "10.02"),
        (SELL, a_quote("9.988", "10.01"), "9.98"),
        (BUY, a_quote("13.985", "13.995"), "13.995"),
        (SELL, a_quote("13.985", "13.995"), "13.985"),
        (BUY, replace(a_quote("13.985", "13.995"), known_tick_size=CENT), "14.00"),
        (SELL, replace(a_quote("13.985", "13.995"), known_tick_size=CENT), "13.98"),
        (BUY, replace(a_trade("10.0062"), known_tick_size=HALF_CENT), "10.005"),
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
    ("side", "bid", "ask", "worst"),
    [
        (BUY, "9.99", "10.01", "10.30"),
        (SELL, "9.99", "10.01", "9.70"),
        (BUY, "9.99", "10.02", "10.305"),
        (SELL, "9.99", "10.02", "9.705"),
        (BUY, "0.99", "1.01", "1.03"),
        (SELL, "0.99", "1.01", "0.97"),
    ],
)
def test_collar_is_three_percent_from_the_arrival_mid(side: Side, bid: str, ask: str, worst: str) -> None:
    arrival = Arrival(Decimal(bid), Decimal(ask), NOW)
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
@given(sides, decimals("0.00001", "5000", 5), tick_sizes)
def test_rounded_price_is_on_tick_never_worse_and_less_than_a_tick_away(
    side: Side, price: Decimal, tick_size: Decimal
) -> None:
    rounded = to_tick(price, side, tick_size)
    assert is_on_tick(rounded, tick_size)
    assert 0 <= (price - rounded if side is BUY else rounded - price) < tick(price, tick_size)


@property_test
@given(sides, decimals("0.9", "1.1", 5), tick_sizes)
def test_next_tick_is_the_nearest_better_price_on_tick(side: Side, price: Decimal, tick_size: Decimal) -> None:
    """Around one dollar: no price on tick lies between a price and its next tick, in both directions."""
    then, sign = next_tick(price, side, tick_size), 1 if side is BUY else -1
    assert is_on_tick(then, tick_size)
    assert then * sign > price * sign or not is_on_tick(price, tick_size)
    assert to_tick(then - sign * Decimal("0.00001"), side, tick_size) == to_tick(price, side, tick_size)


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
