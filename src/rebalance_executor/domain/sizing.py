"""Sizing: from the dollars of an item to a frozen parent order in shares. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import Denial, item_denial
from rebalance_executor.domain.market import ZERO, Arrival, Side, SymbolSnapshot, cut_shares
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.plan import Action, RebalancePlanItem
from rebalance_executor.domain.targets import Request, SizingBasis, Skip, request
from rebalance_executor.domain.values import format_decimal, format_dollars

_SIX_DECIMALS = Decimal("0.000001")
_WHOLE = Decimal(1)


def floor_qty(qty: Decimal, *, fractionable: bool) -> Decimal:
    """Return shares rounded down to an allowed order quantity: six decimals, or whole shares."""
    return qty.quantize(_unit(fractionable=fractionable), rounding=ROUND_FLOOR)


def ceil_qty(qty: Decimal, *, fractionable: bool) -> Decimal:
    """Return shares rounded up to an allowed order quantity: six decimals, or whole shares."""
    return qty.quantize(_unit(fractionable=fractionable), rounding=ROUND_CEILING)


def _unit(*, fractionable: bool) -> Decimal:
    """Return the smallest order quantity in shares."""
    return _SIX_DECIMALS if fractionable else _WHOLE


AS_PLANNED = SizingBasis()
"""Basis of items that trade the plan's dollars."""


def size(
    item: RebalancePlanItem,
    snapshot: SymbolSnapshot,
    config: ExecutionConfig,
    now: datetime,
    basis: SizingBasis = AS_PLANNED,
) -> ParentOrder:
    """Return the parent order of a BUY or SELL item, settled with its code if it is denied or needs no trade.

    Dollars become shares at the arrival mid, rounded down; ``round_whole_shares`` improves on that for a whole plan. A
    full exit, or a sell that would leave less than half of the smallest order, sells all that is available.
    """
    quote, config = snapshot.quote, config.for_symbol(item.symbol)
    parent = blank_parent(item)
    parent = replace(
        parent,
        fractionable=snapshot.asset is not None and snapshot.asset.fractionable,
        arrival=Arrival.of(parent.side, quote) if quote is not None and quote.problem is None else None,
        previous_close=snapshot.previous_close,
        held_before=snapshot.held,
    )
    denial = item_denial(parent.side, item, snapshot, config, now)
    if denial is not None:
        return parent.settled(Outcome.DENIED, denial.code, denial.message, now)
    is_exit = _is_exit(item, parent, basis)
    value = snapshot.held * _mid(parent)
    asked = Request(-value) if is_exit else request(item, value, basis, config)
    parent = replace(parent, target_amount=asked.amount if basis.is_target else None)
    if isinstance(asked.reason, Skip):
        return parent.settled(Outcome.SKIPPED, asked.reason.code, asked.reason.message, now)
    sized = asked.reason or _in_shares(parent, snapshot, config, is_exit=is_exit)
    if isinstance(sized, ParentOrder):
        return sized
    code, planned = _NEAR_TARGET.get(sized.code), replace(parent, target_amount=None)
    if code is not None and isinstance(_in_shares(planned, snapshot, config, is_exit=is_exit), ParentOrder):
        return parent.settled(Outcome.SKIPPED, code, f"near the target: {sized.message}", now)
    return parent.settled(Outcome.DENIED, sized.code, sized.message, now)


_NEAR_TARGET = {Code.NOT_FRACTIONABLE: Code.NO_TRADE_NEEDED, Code.BELOW_MINIMUM: Code.BELOW_MINIMUM_TRADE}
"""Denials of an order that is too small, and the codes that replace them if only re-targeting made it so small."""


def blank_parent(item: RebalancePlanItem) -> ParentOrder:
    """Return the parent order of an item without its symbol's data: no quantity and no arrival quote."""
    return ParentOrder(
        symbol=item.symbol,
        side=Side.BUY if item.action is Action.BUY else Side.SELL,
        priority=item.priority,
        planned_amount=item.trade_amount,
        qty=ZERO,
    )


def _is_exit(item: RebalancePlanItem, parent: ParentOrder, basis: SizingBasis) -> bool:
    """Return whether a sell leaves nothing: a full exit, or a rest that no order could sell.

    Sized by a target, dollars close to the position's value sell all of it anyway.
    """
    is_full_exit = item.is_full_exit(basis.size_by)
    if parent.side is Side.BUY or is_full_exit or basis.is_target:
        return is_full_exit
    return item.target_value <= _unit(fractionable=parent.fractionable) / 2 * _mid(parent)


def _in_shares(
    parent: ParentOrder, snapshot: SymbolSnapshot, config: ExecutionConfig, *, is_exit: bool
) -> ParentOrder | Denial:
    if parent.side is Side.BUY:
        return _buy(parent, config)
    return _sell(parent, snapshot, is_exit=is_exit)


def _buy(parent: ParentOrder, config: ExecutionConfig) -> ParentOrder | Denial:
    if parent.requested_amount < config.minimum_notional:
        text = f"the item is for {format_dollars(parent.requested_amount)}; minimum_notional is"
        return Denial(Code.BELOW_MINIMUM, f"{text} {format_dollars(config.minimum_notional)}")
    return _sized(parent, parent.requested_amount / _mid(parent))


def _sell(parent: ParentOrder, snapshot: SymbolSnapshot, *, is_exit: bool) -> ParentOrder | Denial:
    held, available, half = cut_shares(snapshot.held), snapshot.available, _unit(fractionable=parent.fractionable) / 2
    planned = held if is_exit else -parent.requested_amount / _mid(parent)
    parent = replace(parent, requested_qty=held if is_exit else floor_qty(planned, fractionable=True))
    if available <= 0:
        return Denial(Code.SHARES_HELD, f"other open orders hold all {format_decimal(held)} shares")
    if parent.fractionable and planned >= available - half:
        sized = replace(parent, qty=available)  # exact at the broker's precision: leaves no fraction behind
    else:
        sellable = floor_qty(available, fractionable=parent.fractionable)
        rounded = _sized(parent, sellable if planned >= sellable - half else planned)
        if isinstance(rounded, Denial):
            return rounded
        sized = rounded
    if available < planned:
        reduced = f"reduced from {format_decimal(round(planned, 6))} to {format_decimal(sized.qty)} shares"
        text = f"{reduced}: {format_decimal(available)} of {format_decimal(held)} are available"
        return replace(sized, code=Code.REDUCED_TO_AVAILABLE, message=text)
    if is_exit and sized.qty < held:
        text = f"only whole shares can be sold; {format_decimal(held - sized.qty)} of {format_decimal(held)} remain"
        return replace(sized, code=Code.NOT_FRACTIONABLE, message=text)
    return sized


def _sized(parent: ParentOrder, shares: Decimal) -> ParentOrder | Denial:
    qty = floor_qty(shares, fractionable=parent.fractionable)
    if qty > 0:
        asked = parent.requested_qty if parent.requested_qty is not None else floor_qty(shares, fractionable=True)
        return replace(parent, qty=qty, requested_qty=asked)
    if parent.fractionable:
        return Denial(Code.BELOW_MINIMUM, f"the item is for less than {format_decimal(_SIX_DECIMALS)} shares")
    text = f"the item is for {format_decimal(floor_qty(shares, fractionable=True))} shares"
    return Denial(Code.NOT_FRACTIONABLE, f"{text}; only whole shares can be traded")


def _mid(parent: ParentOrder) -> Decimal:
    if parent.arrival is None:  # the controls have denied every item without a usable quote
        raise AssertionError("sizing needs an arrival quote")
    return parent.arrival.mid


# --- whole shares of a plan ------------------------------------------------------------------------------


def round_whole_shares(parents: Iterable[ParentOrder], is_allowed: Callable[[ParentOrder], bool]) -> list[ParentOrder]:
    """Return the sized parents of a plan, whole shares rounded by largest remainder instead of down.

    Buys get one share more in the order of their remainders, within the dollars that rounding down leaves: money that
    lies idle is an error too. Of equal remainders the higher priority is first, then the earlier item. Sells are
    rounded to the nearest share. An item of less than a share is revived if it gets one.

    Args:
        parents: the parents of all items, each rounded down.
        is_allowed: returns whether the controls and the position allow a parent with one share more.
    """
    rounded = {parent.symbol: parent for parent in parents}
    candidates = [parent for parent in rounded.values() if _may_round_up(parent)]
    left = sum((_remainder(p) * _mid(p) for p in candidates if p.side is Side.BUY), ZERO)
    for parent in sorted(candidates, key=lambda parent: (-_remainder(parent), parent.priority)):
        more = replace(parent, qty=parent.qty + _WHOLE, outcome=None, settled_at=None, code=None, message=None)
        more = replace(more, requested_qty=floor_qty(parent.qty + _remainder(parent), fractionable=True))
        fits = _mid(parent) <= left if parent.side is Side.BUY else _remainder(parent) > _WHOLE / 2
        if fits and is_allowed(more):
            rounded[parent.symbol] = more
            left -= _mid(parent) if parent.side is Side.BUY else ZERO
    return list(rounded.values())


_LESS_THAN_A_SHARE = (Code.NOT_FRACTIONABLE, Code.NO_TRADE_NEEDED)
"""Codes of an item that rounding down leaves without a share."""


def _may_round_up(parent: ParentOrder) -> bool:
    """Return whether a parent lost a part of a share to rounding, or is not traded because of it."""
    is_open = parent.outcome is None or (parent.code in _LESS_THAN_A_SHARE and parent.qty == 0)
    return is_open and not parent.fractionable and parent.arrival is not None and _remainder(parent) > 0


def _remainder(parent: ParentOrder) -> Decimal:
    """Return the shares by which the item's dollars exceed the quantity."""
    return abs(parent.requested_amount) / _mid(parent) - parent.qty
