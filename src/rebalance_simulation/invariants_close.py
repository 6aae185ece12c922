"""Invariant of previous closes: an order is compared with the one that the broker has, and none is sent without it."""

from __future__ import annotations

from paper_broker.exchange import Exchange
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.orders import ParentOrder
from rebalance_simulation.faults import Fault
from rebalance_simulation.invariants_volume import check_volume
from rebalance_simulation.violation import Violation
from rebalance_simulation.world_view import WorldView


def check_market_data(world: WorldView, parent: ParentOrder, before: ParentOrder | None) -> None:
    """Check that the average volume and the previous close of a parent are those that the broker has.

    ``before`` is the parent as it was journalled before: a plan may end on a later day, which has another close.
    """
    check_volume(world.exchange, parent)
    is_compared = before is None or parent.previous_close != before.previous_close
    quote = world.exchange._market.quotes.get(parent.symbol)  # noqa: SLF001 - read only
    if is_compared and quote is not None and parent.previous_close not in (None, quote.prev_close):
        raise Violation(
            f"{parent.symbol} has the previous close {parent.previous_close}, at the broker {quote.prev_close}"
        )
    _check_close(world.exchange, parent, may_be_damaged=world.faults.fault_counts[Fault.UNTYPED] > 0)


def _check_close(exchange: Exchange, parent: ParentOrder, *, may_be_damaged: bool) -> None:
    """Check that no order is sent without a previous close, and the denial of one whose close is unknown.

    Args:
        exchange: has the closes. Positions have one, and so have snapshots with bars of earlier days.
        parent: the order.
        may_be_damaged: True if an answer may have reached the program with times that it cannot use.
    """
    quote = exchange._market.quotes.get(parent.symbol)  # noqa: SLF001 - read only
    if quote is None:
        return
    close, bars, is_held = parent.previous_close, quote.snapshot_bars, parent.held_before != 0
    if parent.children and close is None and (is_held or bars != "today"):
        raise Violation(f"{parent.symbol} is ordered without a previous close; its snapshot has bars: {bars}")
    is_known = is_held or bars == "all"
    if parent.code == Code.PREVIOUS_CLOSE_UNKNOWN and is_known and not may_be_damaged:
        raise Violation(f"{parent.symbol} is denied as {parent.code}; its snapshot has bars: {bars}")
