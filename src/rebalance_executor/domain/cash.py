"""The gate between sells and buys: what the buys may cost, and how they are made to fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import ZERO, Account, Quote, Side
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.pricing import far_touch
from rebalance_executor.domain.sizing import floor_qty
from rebalance_executor.domain.values import format_decimal

_CENT = Decimal("0.01")


def proceeds(parents: Iterable[ParentOrder]) -> Decimal:
    """Dollars that the sells really brought: fills at the broker's prices, nothing assumed."""
    return sum((parent.filled_value for parent in parents if parent.side is Side.SELL), ZERO)


def funds(account: Account) -> Decimal:
    """Dollars that may be spent: cash, less what open orders hold. Margin is not used."""
    return min(account.cash, account.buying_power)


def has_arrived(account: Account, expected: Decimal) -> bool:
    """Whether the account shows the proceeds. Alpaca's fields can lag behind the fill; a cent is rounding."""
    return funds(account) >= expected - _CENT


def buy_budget(account: Account, expected: Decimal, config: ExecutionConfig) -> Decimal:
    """Dollars the buys may cost in all: funds at the start + actual proceeds − buffer.

    Never more than the account shows, even if it shows less than it should.
    """
    base = min(expected, funds(account))
    return max(ZERO, (base * (1 - config.cash_buffer)).quantize(_CENT, rounding=ROUND_FLOOR))


def scale_to_budget(
    buys: Iterable[ParentOrder],
    quotes: Mapping[str, Quote],
    budget: Decimal,
    config: ExecutionConfig,
    now: datetime,
) -> list[ParentOrder]:
    """The buys as they fit into ``budget``, by priority, 1 first; the rest scaled down, then skipped.

    Only parents without an outcome and without a child are touched: their quantity is frozen from here on.
    A buy without a usable quote just now is left to the strategy, which looks again; its money at arrival is kept.
    """
    left = budget
    fitted = []
    for buy in sorted(buys, key=lambda parent: (parent.priority, parent.symbol)):
        quote = quotes.get(buy.symbol)
        if buy.outcome is not None or buy.children or quote is None or quote.problem is not None:
            fitted.append(buy)
            if buy.outcome is None and buy.arrival is not None:
                left = max(ZERO, left - buy.remaining * buy.arrival.ask)
            continue
        price = far_touch(Side.BUY, quote)
        fitted.append(_fit(buy, left, price, config, now))
        left -= ZERO if fitted[-1].outcome is not None else fitted[-1].qty * price
    return fitted


def _fit(parent: ParentOrder, left: Decimal, price: Decimal, config: ExecutionConfig, now: datetime) -> ParentOrder:
    if parent.qty * price <= left:
        return parent
    qty = floor_qty(left / price, fractionable=parent.fractionable)
    if qty <= 0 or qty * price < config.minimum_notional:
        text = f"${format_decimal(left)} are left of the buys' budget, {format_decimal(parent.qty)} shares at {format_decimal(price)} wanted"
        return parent.settled(Outcome.SKIPPED, Code.INSUFFICIENT_CASH, text, now)
    text = f"{format_decimal(parent.qty)} shares wanted, the cash allows {format_decimal(qty)}"
    return replace(parent, qty=qty, code=Code.SCALED_TO_CASH, message=text)


def committed(parents: Iterable[ParentOrder], collar: Decimal) -> Decimal:
    """Dollars that the buys have spent or may still spend with their open children.

    An open market order has no limit: it counts at arrival mid moved by the collar.
    """
    total = ZERO
    for parent in parents:
        if parent.side is not Side.BUY:
            continue
        total += parent.filled_value
        child = parent.open_child
        if child is not None:
            mid = parent.arrival.mid if parent.arrival is not None else ZERO
            unfilled = max(child.qty - child.filled_qty, ZERO)
            unpriced = child.filled_qty if child.filled_avg_price is None else ZERO
            total += (unfilled + unpriced) * (child.limit_price or mid * (1 + collar))
    return total
