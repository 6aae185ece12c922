"""The cash gate between sells and buys: the buy budget, and the buys scaled to fit it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import ZERO, Account, Quote, Side
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.pricing import far_touch
from rebalance_executor.domain.sizing import floor_qty
from rebalance_executor.domain.values import format_decimal, format_dollars

_CENT = Decimal("0.01")


def proceeds(parents: Iterable[ParentOrder]) -> Decimal:
    """Return the actual sale proceeds in dollars: fills at the broker's prices."""
    return sum((parent.filled_value for parent in parents if parent.side is Side.SELL), ZERO)


def funds(account: Account) -> Decimal:
    """Return the dollars that may be spent: cash, less what open orders hold. Margin is not used."""
    return min(account.cash, account.buying_power)


def expected_notional(parents: Iterable[ParentOrder], available: Decimal) -> tuple[Decimal, Decimal]:
    """Return the dollars of buys and of sells that these parents may reach, at arrival mid.

    Buys count up to ``available`` dollars plus the sells, which is all that may be spent; they count as zero if margin
    debt is larger than the sells. The collar bounds the difference between fills and arrival mid.
    """
    notional = {Side.BUY: ZERO, Side.SELL: ZERO}
    for parent in parents:
        if parent.outcome is None and parent.arrival is not None:
            notional[parent.side] += parent.qty * parent.arrival.mid
    return max(ZERO, min(notional[Side.BUY], available + notional[Side.SELL])), notional[Side.SELL]


def has_arrived(account: Account, expected: Decimal) -> bool:
    """Return whether the account shows the expected dollars, to the cent.

    Alpaca's account fields can lag behind a fill.
    """
    return funds(account) >= expected - _CENT


def buy_budget(account: Account, expected: Decimal, config: ExecutionConfig) -> Decimal:
    """Return the dollars that the buys may cost in total.

    This is funds at the start + actual proceeds − buffer, and never more than the account shows.
    """
    base = min(expected, funds(account))
    return max(ZERO, (base * (1 - config.cash_buffer)).quantize(_CENT, rounding=ROUND_FLOOR))


def spent(parents: Iterable[ParentOrder]) -> Decimal:
    """Return the dollars that the buys have spent: fills at the broker's prices."""
    return sum((parent.filled_value for parent in parents if parent.side is Side.BUY), ZERO)


def spendable(account: Account, parents: Collection[ParentOrder], config: ExecutionConfig) -> Decimal:
    """Return the dollars that an account has for this plan, its open buys included. Margin is not used.

    A cash account takes open orders from ``buying_power``: own ones are added back, those of others are not.
    """
    open_buys = committed(parents, config.widest_collar) - spent(parents)
    return min(account.cash, account.buying_power + open_buys)


def child_cost(parent: ParentOrder, qty: Decimal, limit_price: Decimal | None, collar: Decimal) -> Decimal:
    """Return the dollars that a buy of these shares may cost. A market order has no limit: it counts at the collar."""
    mid = parent.arrival.mid if parent.arrival is not None else ZERO
    return qty * (limit_price or mid * (1 + collar))


def scale_to_budget(
    buys: Iterable[ParentOrder],
    quotes: Mapping[str, Quote],
    budget: Decimal,
    config: ExecutionConfig,
    now: datetime,
) -> list[ParentOrder]:
    """Return the buys reduced to ``budget``, in order of priority; buys that no longer fit are skipped.

    Only parents without an outcome and without a child change; their quantity is frozen afterwards. A buy without a
    usable quote does not change, because its quote is read again later; its dollars at the arrival ask are set aside.
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
    planned = format_decimal(parent.qty)
    if qty <= 0 or qty * price < config.minimum_notional:
        remaining = format_dollars(left.quantize(_CENT, rounding=ROUND_FLOOR))
        text = f"{planned} shares at ${format_decimal(price)} do not fit into the remaining buy budget of {remaining}"
        return parent.settled(Outcome.SKIPPED, Code.INSUFFICIENT_CASH, text, now)
    text = f"reduced from {planned} to {format_decimal(qty)} shares to fit the buy budget"
    return replace(parent, qty=qty, code=Code.SCALED_TO_CASH, message=text)


def committed(parents: Iterable[ParentOrder], collar: Decimal) -> Decimal:
    """Return the dollars that the buys have spent or may still spend with their open children.

    An open market order has no limit: it counts at the arrival mid plus ``collar``, a fraction of the mid.
    """
    total = ZERO
    for parent in parents:
        if parent.side is not Side.BUY:
            continue
        total += parent.filled_value
        child = parent.open_child
        if child is not None:
            unfilled = max(child.qty - child.filled_qty, ZERO)
            unpriced = child.filled_qty if child.filled_avg_price is None else ZERO
            total += child_cost(parent, unfilled + unpriced, child.limit_price, collar)
    return total
