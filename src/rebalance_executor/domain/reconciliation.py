"""After the trade: do the broker's orders, fills and positions say what the journal says?

Pure: both accounts of the same thing in, every difference out, named. A difference makes its item, and so the plan,
UNRESOLVED: an operator must look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rebalance_executor.domain.market import ZERO, BrokerOrder, Position, Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, ParentOrder
from rebalance_executor.domain.values import format_decimal

_SAME = Decimal("0.000000001")
"""Shares; Alpaca holds nine decimals and cuts off what is finer."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which broker and journal differ."""

    symbol: str
    problem: str


def was_sent(parent: ParentOrder) -> bool:
    """Whether anything of this parent was, or may have been, at the broker."""
    return parent.attempts > 0


def differences(
    parents: Iterable[ParentOrder],
    orders: Sequence[BrokerOrder],
    positions: Mapping[str, Position],
    own_prefix: str,
) -> list[Difference]:
    """Everything in which the broker differs from the journal of a plan whose parents are all settled.

    Args:
        parents: the plan's parents; those of which nothing was sent are not compared.
        orders: the broker's orders of their symbols since the plan was begun.
        positions: the broker's positions now.
        own_prefix: how the client order ids of this plan begin.
    """
    told = {order.client_order_id: order for order in orders}
    found: list[Difference] = []
    for parent in parents:
        if not was_sent(parent):
            continue
        for child in parent.children:
            found += _of_order(parent, child, told.pop(child.client_order_id, None))
        found += _of_position(parent, positions.get(parent.symbol))
    for order in told.values():
        if order.client_order_id.startswith(own_prefix):
            text = f"order {order.id} ({order.client_order_id}) is at the broker and not in the journal"
            found.append(Difference(order.symbol, text))
    return found


def _of_order(parent: ParentOrder, child: ChildOrder, order: BrokerOrder | None) -> list[Difference]:
    name = f"order {child.client_order_id}"
    if order is None:
        known = child.order_id is not None
        return [Difference(parent.symbol, f"{name} is not known to the broker")] if known else []
    problems = []
    if child.state is ChildState.NOT_SENT or (child.state is ChildState.REJECTED and child.order_id is None):
        problems.append(f"{name} is {order.status} at the broker, the journal says {child.state}")
    if (order.symbol, order.side, order.qty) != (parent.symbol, parent.side, child.qty):
        problems.append(f"{name} is {order.description} at the broker")
    if not order.is_terminal:
        problems.append(f"{name} is still {order.status} at the broker")
    if order.filled_qty != child.filled_qty:
        problems.append(
            f"{name}: the broker filled {format_decimal(order.filled_qty)}, the journal {format_decimal(child.filled_qty)}"
        )
    elif order.filled_qty and order.filled_avg_price != child.filled_avg_price:
        by_broker, by_journal = order.filled_avg_price, child.filled_avg_price
        problems.append(f"{name}: priced {by_broker} by the broker, {by_journal} by the journal")
    return [Difference(parent.symbol, problem) for problem in problems]


def _of_position(parent: ParentOrder, position: Position | None) -> list[Difference]:
    """What was held, more or less what was filled, must be held now; others who trade the symbol show here, too."""
    if parent.held_before is None:
        return []  # begun by a version that did not journal it
    filled = parent.filled_qty if parent.side is Side.BUY else -parent.filled_qty
    expected, held = parent.held_before + filled, position.qty if position is not None else ZERO
    if abs(held - expected) <= _SAME:
        return []
    text = f"{format_decimal(held)} shares are held, {format_decimal(parent.held_before)} before and {format_decimal(filled)} filled were expected"
    return [Difference(parent.symbol, text)]
