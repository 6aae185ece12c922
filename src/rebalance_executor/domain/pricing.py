"""Ticks, limit prices and the age of quotes: pure arithmetic on validated quotes."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from rebalance_executor.domain.limits import Limits
from rebalance_executor.domain.market import HALF_CENT, ONE_DOLLAR, Arrival, Quote, Side
from rebalance_executor.domain.values import format_decimal, seconds

_BROKER_COLLAR = Decimal("1.05")
_SUB_DOLLAR_TICK = Decimal("0.0001")


def tick(price: Decimal, tick_size: Decimal) -> Decimal:
    """Return the price step in dollars: the symbol's ``tick_size`` from $1, $0.0001 below (Reg NMS Rule 612)."""
    return tick_size if price >= ONE_DOLLAR else _SUB_DOLLAR_TICK


def next_tick(price: Decimal, side: Side, tick_size: Decimal) -> Decimal:
    """Return the next allowed price nearer to the counterparty: from $1, a sell steps down to $0.9999."""
    allowed = to_tick(price, side, tick_size)  # an earlier run may have known a finer tick
    if side is Side.BUY:
        return allowed + tick(allowed, tick_size)
    return allowed - (tick_size if allowed > ONE_DOLLAR else _SUB_DOLLAR_TICK)


def to_tick(price: Decimal, side: Side, tick_size: Decimal) -> Decimal:
    """Return the nearest allowed price that is not worse for us: rounded down for a buy, up for a sell."""
    return _rounded(price, tick_size, ROUND_FLOOR if side is Side.BUY else ROUND_CEILING)


def _rounded(price: Decimal, tick_size: Decimal, rounding: str) -> Decimal:
    step = tick(price, tick_size)
    return (price / step).to_integral_value(rounding) * step


def far_touch(side: Side, quote: Quote) -> Decimal:
    """Return the far touch: the ask for a buy, the bid for a sell.

    Quotes are on tick; one that is not is rounded towards the counterparty, so that the limit stays marketable. A last
    trade has no counterparty; it is rounded towards our own side, so that the limit is not worse than its price.
    """
    price = quote.ask if side is Side.BUY else quote.bid
    if quote.is_trade:
        return to_tick(price, side, quote.tick_size)
    return _rounded(price, quote.tick_size, ROUND_CEILING if side is Side.BUY else ROUND_FLOOR)


def collar(side: Side, arrival: Arrival, fraction: Decimal) -> Decimal:
    """Return the bound of every limit: the arrival mid moved against us by ``fraction``, rounded inwards.

    It is rounded to the finest tick, of which every other one is a multiple, so that it is the same for all symbols.
    """
    against = 1 + fraction if side is Side.BUY else 1 - fraction
    return to_tick(arrival.mid * against, side, HALF_CENT)


def market_price(side: Side, touch: Decimal, worst: Decimal) -> Decimal:
    """Return the price at which a market order is counted against cash, in dollars per share.

    It is the collar or, if that is higher, what the broker holds for a market buy: Alpaca turns market orders into
    limits up to 5 % away (https://docs.alpaca.markets/docs/user-protection), and rejects what the cash does not cover.
    """
    return max(worst, touch * _BROKER_COLLAR) if side is Side.BUY else worst


def is_inside(side: Side, limit: Decimal, worst: Decimal) -> bool:
    """Return whether ``limit`` is equal to or better than ``worst``."""
    return limit <= worst if side is Side.BUY else limit >= worst


def shortfall(side: Side, arrival_mid: Decimal, filled_qty: Decimal, filled_value: Decimal) -> Decimal:
    """Return the shortfall of fills against the arrival mid in dollars; positive is a cost (Perold 1988)."""
    at_arrival = arrival_mid * filled_qty
    return filled_value - at_arrival if side is Side.BUY else at_arrival - filled_value


def time_problem(quote: Quote, limits: Limits, now: datetime) -> str | None:
    """Describe why the quote's time forbids its use: too old, or in the future. None if it is neither."""
    name, field_name, limit = "quote", "max_quote_age_seconds", limits.max_quote_age_seconds
    if quote.is_trade:
        name, field_name, limit = "last trade", "max_trade_age_seconds", limits.max_trade_age_seconds
    age = now - quote.at
    if age > seconds(limit):
        return f"the {name} is {int(age.total_seconds())} seconds old; {field_name} is {format_decimal(limit)}"
    skew = limits.max_clock_skew_seconds
    if -age > seconds(skew):
        ahead = int(-age.total_seconds())
        return f"the {name} is {ahead} seconds in the future; max_clock_skew_seconds is {format_decimal(skew)}"
    return None
