"""Sizing: from the dollars of an item to a frozen parent order in shares. Pure functions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import Denial, item_denial
from rebalance_executor.domain.market import ZERO, Side, SymbolSnapshot, cut_shares
from rebalance_executor.domain.orders import Arrival, Outcome, ParentOrder
from rebalance_executor.domain.plan import Action, RebalancePlanItem
from rebalance_executor.domain.values import format_decimal, format_dollars

_SIX_DECIMALS = Decimal("0.000001")
_WHOLE = Decimal(1)


def floor_qty(qty: Decimal, *, fractionable: bool) -> Decimal:
    """Return shares rounded down to an allowed order quantity: six decimals, or whole shares."""
    return qty.quantize(_SIX_DECIMALS if fractionable else _WHOLE, rounding=ROUND_FLOOR)


def size(item: RebalancePlanItem, snapshot: SymbolSnapshot, config: ExecutionConfig, now: datetime) -> ParentOrder:
    """Return the parent order of a BUY or SELL item, settled as DENIED with its code if a control applies.

    Dollars become shares at the arrival mid, rounded down. A full exit sells all that is available of the position.
    """
    quote, config = snapshot.quote, config.for_symbol(item.symbol)
    parent = replace(
        blank_parent(item),
        fractionable=snapshot.asset is not None and snapshot.asset.fractionable,
        arrival=Arrival(quote.bid, quote.ask, quote.at) if quote is not None and quote.problem is None else None,
        previous_close=snapshot.previous_close,
        held_before=snapshot.held,
    )
    side = parent.side
    sized: ParentOrder | Denial | None = item_denial(side, item, snapshot, config, now)
    if sized is None:
        sized = _buy(item, parent, config) if side is Side.BUY else _sell(item, parent, snapshot)
    if isinstance(sized, Denial):
        return parent.settled(Outcome.DENIED, sized.code, sized.message, now)
    return sized


def blank_parent(item: RebalancePlanItem) -> ParentOrder:
    """Return the parent order of an item without its symbol's data: no quantity and no arrival quote."""
    return ParentOrder(
        symbol=item.symbol,
        side=Side.BUY if item.action is Action.BUY else Side.SELL,
        priority=item.priority,
        planned_amount=item.trade_amount,
        qty=ZERO,
    )


def _buy(item: RebalancePlanItem, parent: ParentOrder, config: ExecutionConfig) -> ParentOrder | Denial:
    if item.trade_amount < config.minimum_notional:
        text = f"the item is for {format_dollars(item.trade_amount)}; minimum_notional is"
        return Denial(Code.BELOW_MINIMUM, f"{text} {format_dollars(config.minimum_notional)}")
    return _sized(parent, item.trade_amount / _mid(parent))


def _sell(item: RebalancePlanItem, parent: ParentOrder, snapshot: SymbolSnapshot) -> ParentOrder | Denial:
    held = cut_shares(snapshot.held)
    available = min(cut_shares(snapshot.position.available), held) if snapshot.position is not None else ZERO
    planned = held if item.is_full_exit else -item.trade_amount / _mid(parent)
    if available <= 0:
        return Denial(Code.SHARES_HELD, f"other open orders hold all {format_decimal(held)} shares")
    if item.is_full_exit and parent.fractionable:
        sized = replace(parent, qty=available)  # exact at the broker's precision: an exit leaves no fraction behind
    else:
        rounded = _sized(parent, min(planned, available))
        if isinstance(rounded, Denial):
            return rounded
        sized = rounded
    if available < planned:
        reduced = f"reduced from {format_decimal(round(planned, 6))} to {format_decimal(sized.qty)} shares"
        text = f"{reduced}: {format_decimal(available)} of {format_decimal(held)} are available"
        return replace(sized, code=Code.REDUCED_TO_AVAILABLE, message=text)
    if item.is_full_exit and sized.qty < held:
        text = f"only whole shares can be sold; {format_decimal(held - sized.qty)} of {format_decimal(held)} remain"
        return replace(sized, code=Code.NOT_FRACTIONABLE, message=text)
    return sized


def _sized(parent: ParentOrder, shares: Decimal) -> ParentOrder | Denial:
    qty = floor_qty(shares, fractionable=parent.fractionable)
    if qty > 0:
        return replace(parent, qty=qty)
    if parent.fractionable:
        return Denial(Code.BELOW_MINIMUM, f"the item is for less than {format_decimal(_SIX_DECIMALS)} shares")
    text = f"the item is for {format_decimal(floor_qty(shares, fractionable=True))} shares"
    return Denial(Code.NOT_FRACTIONABLE, f"{text}; only whole shares can be traded")


def _mid(parent: ParentOrder) -> Decimal:
    if parent.arrival is None:  # the controls have denied every item without a usable quote
        raise AssertionError("sizing needs an arrival quote")
    return parent.arrival.mid
