"""Dollars → frozen parent orders. Pure: item, quote, asset, position and others' orders in, a parent out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import Denial, SymbolSnapshot, item_denial
from rebalance_executor.domain.market import ZERO, Side
from rebalance_executor.domain.orders import Arrival, Outcome, ParentOrder
from rebalance_executor.domain.plan import Action, RebalancePlanItem
from rebalance_executor.domain.values import format_decimal

_SIX_DECIMALS = Decimal("0.000001")
_WHOLE = Decimal(1)


def floor_qty(qty: Decimal, *, fractionable: bool) -> Decimal:
    """Shares rounded down to what may be ordered: six decimals, or whole shares."""
    return qty.quantize(_SIX_DECIMALS if fractionable else _WHOLE, rounding=ROUND_FLOOR)


def size(item: RebalancePlanItem, facts: SymbolSnapshot, config: ExecutionConfig, now: datetime) -> ParentOrder:
    """The parent order of one BUY or SELL item; denied with its code where it may not be traded.

    Dollars become shares at arrival mid, rounded down. A full exit sells the exact position that is available.
    """
    quote, position, config = facts.quote, facts.position, config.for_symbol(item.symbol)
    parent = replace(
        blank_parent(item),
        fractionable=facts.asset is not None and facts.asset.fractionable,
        arrival=Arrival(quote.bid, quote.ask, quote.at) if quote is not None and quote.problem is None else None,
        previous_close=position.previous_close if position is not None else None,
        held_before=position.qty if position is not None else ZERO,
    )
    side = parent.side
    sized: ParentOrder | Denial | None = item_denial(side, item, facts, config, now)
    if sized is None:
        sized = _buy(item, parent, config) if side is Side.BUY else _sell(item, parent, facts)
    if isinstance(sized, Denial):
        return parent.settled(Outcome.DENIED, sized.code, sized.message, now)
    return sized


def blank_parent(item: RebalancePlanItem) -> ParentOrder:
    """The parent of an item before anything is known of its symbol: no quantity, no arrival."""
    return ParentOrder(
        symbol=item.symbol,
        side=Side.BUY if item.action is Action.BUY else Side.SELL,
        priority=item.priority,
        planned_amount=item.trade_amount,
        qty=ZERO,
    )


def _buy(item: RebalancePlanItem, parent: ParentOrder, config: ExecutionConfig) -> ParentOrder | Denial:
    if item.trade_amount < config.minimum_notional:
        least = format_decimal(config.minimum_notional)
        return Denial(Code.BELOW_MINIMUM, f"${format_decimal(item.trade_amount)} is below the minimum of ${least}")
    return _sized(parent, item.trade_amount / _mid(parent))


def _sell(item: RebalancePlanItem, parent: ParentOrder, facts: SymbolSnapshot) -> ParentOrder | Denial:
    position = facts.position
    available = min(position.available, position.qty) if position is not None else ZERO
    held = position.qty if position is not None else ZERO
    wanted = held if item.is_full_exit else -item.trade_amount / _mid(parent)
    if available <= 0:
        return Denial(Code.SHARES_HELD, f"all {format_decimal(held)} shares are held by open orders of others")
    reduced = available < wanted
    if item.is_full_exit and parent.fractionable:
        sized = replace(parent, qty=available)  # exact: an exit leaves nothing behind
    else:
        exact_or_less = _sized(parent, min(wanted, available))
        if isinstance(exact_or_less, Denial):
            return exact_or_less
        sized = exact_or_less
    if reduced:
        text = f"{format_decimal(wanted)} shares wanted, {format_decimal(available)} of {format_decimal(held)} held are available"
        return replace(sized, code=Code.REDUCED_TO_AVAILABLE, message=text)
    if item.is_full_exit and sized.qty < held:
        text = f"whole shares only: {format_decimal(held - sized.qty)} of {format_decimal(held)} shares remain"
        return replace(sized, code=Code.NOT_FRACTIONABLE, message=text)
    return sized


def _sized(parent: ParentOrder, shares: Decimal) -> ParentOrder | Denial:
    qty = floor_qty(shares, fractionable=parent.fractionable)
    if qty > 0:
        return replace(parent, qty=qty)
    if parent.fractionable:
        return Denial(Code.BELOW_MINIMUM, f"{format_decimal(shares)} shares round down to nothing")
    return Denial(Code.NOT_FRACTIONABLE, f"{format_decimal(shares)} shares, but only whole shares of it can be traded")


def _mid(parent: ParentOrder) -> Decimal:
    if parent.arrival is None:  # the controls have refused every item without a usable quote
        raise AssertionError("sizing needs an arrival quote")
    return parent.arrival.mid
