"""Ticks and limit prices. Pure arithmetic on validated quotes; a price is never invented."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from rebalance_executor.domain.market import Quote, Side
from rebalance_executor.domain.orders import Arrival

_ONE_DOLLAR = Decimal(1)
_CENT = Decimal("0.01")
_SUB_DOLLAR_TICK = Decimal("0.0001")


def tick(price: Decimal) -> Decimal:
    """Dollars of one price step: a cent from $1, a hundredth of a cent below (Alpaca; Reg NMS Rule 612)."""
    return _CENT if price >= _ONE_DOLLAR else _SUB_DOLLAR_TICK


def next_tick(price: Decimal, side: Side) -> Decimal:
    """The next allowed price nearer to the counterparty: from $1 a sell steps down to $0.9999."""
    if side is Side.BUY:
        return price + tick(price)
    return price - (_CENT if price > _ONE_DOLLAR else _SUB_DOLLAR_TICK)


def to_tick(price: Decimal, side: Side) -> Decimal:
    """The nearest allowed price that is not worse for us: down for a buy, up for a sell."""
    rounding = ROUND_FLOOR if side is Side.BUY else ROUND_CEILING
    return price.quantize(tick(price), rounding=rounding)


def far_touch(side: Side, quote: Quote) -> Decimal:
    """The price at which the other side stands: ask for a buy, bid for a sell.

    Quotes come on tick; one that does not is rounded towards the other side, so that the limit stays marketable. A last
    trade is no counterparty: it is rounded towards our own side, so that the limit is not worse than its price.
    """
    price = quote.ask if side is Side.BUY else quote.bid
    if quote.is_trade:
        return to_tick(price, side)
    return price.quantize(tick(price), rounding=ROUND_CEILING if side is Side.BUY else ROUND_FLOOR)


def collar(side: Side, arrival: Arrival, fraction: Decimal) -> Decimal:
    """The worst limit allowed: arrival mid moved against us by ``fraction``, on tick and inside."""
    against = 1 + fraction if side is Side.BUY else 1 - fraction
    return to_tick(arrival.mid * against, side)


def is_inside(side: Side, limit: Decimal, worst: Decimal) -> bool:
    """Whether a limit is not worse than ``worst``."""
    return limit <= worst if side is Side.BUY else limit >= worst


def shortfall(side: Side, arrival_mid: Decimal, filled_qty: Decimal, filled_value: Decimal) -> Decimal:
    """Implementation shortfall of fills against arrival mid, in dollars; positive is a cost (Perold 1988)."""
    at_arrival = arrival_mid * filled_qty
    return filled_value - at_arrival if side is Side.BUY else at_arrival - filled_value
