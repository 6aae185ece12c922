"""Reconciliation after the trade: comparison of the broker's orders, fills and positions with the journal.

Pure functions that describe every difference. A difference makes its item and the plan UNRESOLVED: an operator must
look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.market import SHARE_STEP, ZERO, BrokerOrder, Position, Side, same_qty
from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome, ParentOrder
from rebalance_executor.domain.values import format_decimal


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between broker and journal."""

    symbol: str
    problem: str


def was_sent(parent: ParentOrder) -> bool:
    """Return whether an order of this parent reached the broker or may have reached it."""
    return parent.attempts > 0


def differences(
    parents: Iterable[ParentOrder],
    orders: Sequence[BrokerOrder],
    positions: Mapping[str, Position],
    own_prefix: str,
) -> list[Difference]:
    """Return every difference between the broker and the journal of a plan whose parents are all settled.

    Args:
        parents: the plan's parents; those without a sent order are not compared.
        orders: the broker's orders of their symbols since the plan started.
        positions: the broker's positions now, by symbol.
        own_prefix: prefix of this plan's client order ids.
    """
    by_client_id = {order.client_order_id: order for order in orders}
    result: list[Difference] = []
    for parent in parents:
        if not was_sent(parent):
            continue
        for child in parent.children:
            result += _of_order(parent, child, by_client_id.pop(child.client_order_id, None))
        result += _of_position(parent, positions.get(parent.symbol))
    for order in by_client_id.values():
        if order.client_order_id.startswith(own_prefix):
            text = f"order {order.id} ({order.client_order_id}) is at the broker but not in the journal"
            result.append(Difference(order.symbol, text))
    return result


def agrees(parent: ParentOrder, child: ChildOrder, order: BrokerOrder | None) -> bool:
    """Return whether the broker's report of this child, or its absence, is what the journal contains."""
    return not _of_order(parent, child, order)


def with_late_fills(parent: ParentOrder, orders: Mapping[str, BrokerOrder], now: datetime) -> ParentOrder:
    """Return a parent with the shares that the broker filled after its orders were final. If settled, it is again.

    Args:
        parent: the parent.
        orders: the broker's orders by client order ID.
        now: the time at which it is settled again.
    """
    after, texts = parent, []
    for child in parent.children:
        order = orders.get(child.client_order_id)
        if order is None or not order.is_for(parent.symbol, parent.side, child.qty):
            continue
        late = child.with_late_fill(order, now)
        if late is not child:
            after = replace(after, children=tuple(late if c is child else c for c in after.children))
            more = format_decimal(late.filled_qty - child.filled_qty)
            texts.append(f"{more} shares of order {late.order_id} were filled after it was {child.status}")
    if not texts or parent.outcome is None:
        return after
    return _settled_again(after, "; ".join(texts), now)


def _settled_again(parent: ParentOrder, text: str, now: datetime) -> ParentOrder:
    if parent.outcome is Outcome.UNRESOLVED or parent.overfill is not None:
        overfill = f"{parent.overfill}; {text}" if parent.overfill is not None else text
        return parent.mark_unresolved(Code.OVERFILLED, overfill, now)
    if parent.remaining == 0:
        return replace(parent, outcome=Outcome.FILLED, code=Code.LATE_FILL, message=text, settled_at=now)
    return replace(
        parent,
        outcome=Outcome.PARTIALLY_FILLED,
        code=parent.code or Code.LATE_FILL,
        message=f"{parent.message}; {text}" if parent.message else text,
        settled_at=now,
    )


def _of_order(parent: ParentOrder, child: ChildOrder, order: BrokerOrder | None) -> list[Difference]:
    name = f"order {child.client_order_id}"
    if order is None:
        is_expected = child.order_id is not None
        return [Difference(parent.symbol, f"{name} is not at the broker")] if is_expected else []
    problems = []
    if child.state is ChildState.NOT_SENT or (child.state is ChildState.REJECTED and child.order_id is None):
        problems.append(f"{name} is {order.status} at the broker, {child.state} in the journal")
    if not order.is_for(parent.symbol, parent.side, child.qty):
        journalled = f"{parent.side} {format_decimal(child.qty)} {parent.symbol}"
        problems.append(f"{name} is {order.description} at the broker, {journalled} in the journal")
    if not order.is_terminal:
        problems.append(f"{name} is still open at the broker (status {order.status})")
    if not same_qty(order.filled_qty, child.filled_qty):
        filled, journalled = format_decimal(order.filled_qty), format_decimal(child.filled_qty)
        problems.append(f"{name} has {filled} shares filled at the broker, {journalled} in the journal")
    elif order.filled_qty and order.filled_avg_price != child.filled_avg_price:
        price, journalled = _price(order.filled_avg_price), _price(child.filled_avg_price)
        problems.append(f"{name} has average fill price {price} at the broker, {journalled} in the journal")
    return [Difference(parent.symbol, problem) for problem in problems]


def _price(price: Decimal | None) -> str:
    return "unknown" if price is None else format_decimal(price)


def _of_position(parent: ParentOrder, position: Position | None) -> list[Difference]:
    """Compare the position with the shares held before ± filled. Trades of other clients differ here too."""
    if parent.held_before is None:
        return []
    expected = parent.held_before + (parent.filled_qty if parent.side is Side.BUY else -parent.filled_qty)
    held = position.qty if position is not None else ZERO
    if abs(held - expected) <= SHARE_STEP:  # the broker cuts off a finer fraction
        return []
    sign = "+" if parent.side is Side.BUY else "−"
    parts = f"{format_decimal(parent.held_before)} {sign} {format_decimal(parent.filled_qty)}"
    text = f"holds {format_decimal(held)} shares, expected {format_decimal(expected)} ({parts})"
    return [Difference(parent.symbol, text)]
