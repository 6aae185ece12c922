"""Invariant of previous closes: an order is compared with the one that the broker has, and none is sent without it."""

from __future__ import annotations

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.orders import ParentOrder
from rebalance_simulation.faults import Fault
from rebalance_simulation.invariants_volume import check_volume
from rebalance_simulation.violation import Violation
from rebalance_simulation.world_view import WorldView


def check_market_data(world: WorldView, parent: ParentOrder) -> None:
    """Check that the average volume and the previous close of a parent are those that the broker has."""
    check_volume(world.exchange, parent)
    _check_close(world, parent, may_be_damaged=world.faults.fault_counts[Fault.UNTYPED] > 0)


def _check_close(world: WorldView, parent: ParentOrder, *, may_be_damaged: bool) -> None:
    """Check the previous close of a parent, and the denial of one whose close is unknown.

    Args:
        world: has the closes. Positions have one, and so have snapshots with bars of earlier days.
        parent: the order.
        may_be_damaged: True if an answer may have reached the program with times that it cannot use.
    """
    quote = world.exchange._market.quotes.get(parent.symbol)  # noqa: SLF001 - read only
    if quote is None:
        return
    close, bars, is_held = parent.previous_close, quote.snapshot_bars, parent.held_before != 0
    if close is not None and (parent.symbol, close) not in world.broker.record.closes:
        raise Violation(f"{parent.symbol} has the previous close {close}, which was never that of the last session")
    if parent.children and close is None and (is_held or bars != "today"):
        raise Violation(f"{parent.symbol} is ordered without a previous close; its snapshot has bars: {bars}")
    is_known = is_held or bars == "all"
    if parent.code == Code.PREVIOUS_CLOSE_UNKNOWN and is_known and not may_be_damaged:
        raise Violation(f"{parent.symbol} is denied as {parent.code}; its snapshot has bars: {bars}")
