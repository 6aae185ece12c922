"""Dollars → frozen parent orders. Pure: item, quote, asset, position and others' orders in, a parent out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import Refusal, SymbolFacts, item_refusal
from rebalance_executor.domain.market import ZERO, Side
from rebalance_executor.domain.orders import Arrival, Outcome, ParentOrder
from rebalance_executor.domain.plan import Action, RebalancePlanItem
from rebalance_executor.domain.values import plain

_SIX_DECIMALS = Decimal("0.000001")
_WHOLE = Decimal(1)


def floor_qty(qty: Decimal, *, fractionable: bool) -> Decimal:
    """Shares rounded down to what may be ordered: six decimals, or whole shares."""
    return qty.quantize(_SIX_DECIMALS if fractionable else _WHOLE, rounding=ROUND_FLOOR)


def size(item: RebalancePlanItem, facts: SymbolFacts, config: ExecutionConfig, now: datetime) -> ParentOrder:
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
    sized: ParentOrder | Refusal | None = item_refusal(side, item, facts, config, now)
    if sized is None:
        sized = _buy(item, parent, config) if side is Side.BUY else _sell(item, parent, facts)
    if isinstance(sized, Refusal):
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


def _buy(item: RebalancePlanItem, parent: ParentOrder, config: ExecutionConfig) -> ParentOrder | Refusal:
    if item.trade_amount < config.minimum_notional:
        least = plain(config.minimum_notional)
        return Refusal(Code.BELOW_MINIMUM, f"${plain(item.trade_amount)} is below the minimum of ${least}")
    return _sized(parent, item.trade_amount / _mid(parent))


def _sell(item: RebalancePlanItem, parent: ParentOrder, facts: SymbolFacts) -> ParentOrder | Refusal:
    position = facts.position
    available = min(position.available, position.qty) if position is not None else ZERO
    held = position.qty if position is not None else ZERO
    wanted = held if item.is_full_exit else -item.trade_amount / _mid(parent)
    if available <= 0:
        return Refusal(Code.CONFLICTING_ORDER, f"all {plain(held)} shares are held by open orders of others")
    reduced = available < wanted
    if item.is_full_exit and parent.fractionable:
        sized = replace(parent, qty=available)  # exact: an exit leaves nothing behind
    else:
        exact_or_less = _sized(parent, min(wanted, available))
        if isinstance(exact_or_less, Refusal):
            return exact_or_less
        sized = exact_or_less
    if reduced:
        text = f"{plain(wanted)} shares wanted, {plain(available)} of {plain(held)} held are available"
        return replace(sized, code=Code.REDUCED_TO_AVAILABLE, message=text)
    if item.is_full_exit and sized.qty < held:
        text = f"whole shares only: {plain(held - sized.qty)} of {plain(held)} shares remain"
        return replace(sized, code=Code.NOT_FRACTIONABLE, message=text)
    return sized


def _sized(parent: ParentOrder, shares: Decimal) -> ParentOrder | Refusal:
    qty = floor_qty(shares, fractionable=parent.fractionable)
    if qty > 0:
        return replace(parent, qty=qty)
    if parent.fractionable:
        return Refusal(Code.BELOW_MINIMUM, f"{plain(shares)} shares round down to nothing")
    return Refusal(Code.NOT_FRACTIONABLE, f"{plain(shares)} shares, but only whole shares of it can be traded")


def _mid(parent: ParentOrder) -> Decimal:
    if parent.arrival is None:  # the controls have refused every item without a usable quote
        raise AssertionError("sizing needs an arrival quote")
    return parent.arrival.mid
