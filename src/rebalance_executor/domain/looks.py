"""The time between two looks at the open orders: short after something happened, longer while orders rest.

A fill is most likely, and a mistake most urgent, just after an order was sent. The longer an order has rested, the less
a moment matters, so that the wait grows with the time since the last event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from rebalance_executor.domain import ladder
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.decisions import DecisionContext
from rebalance_executor.domain.market import Side
from rebalance_executor.domain.orders import ChildOrder, ChildPhase, ParentOrder
from rebalance_executor.domain.strategy import next_slice_at, with_slices
from rebalance_executor.domain.styles import OrderStyle
from rebalance_executor.domain.values import seconds

LONGEST_WAIT = timedelta(seconds=2.5)
"""Longest wait while orders rest, unless a tick is longer."""
_SHORTEST_WAIT = timedelta(milliseconds=10)
"""Shortest wait: no error in a time that falls due may make the loop run without a pause."""


def next_look(
    parents: Iterable[ParentOrder], contexts: Mapping[Side, DecisionContext], now: datetime, config: ExecutionConfig
) -> datetime:
    """Return the time of the next look: that of the parent which needs it first.

    Args:
        parents: the unsettled parents.
        contexts: by side, the time of the latest look, and the schedule.
        now: the current time, from which waits count. What fell due since the look is looked at now.
        config: the length of a tick, and the times of the orders.
    """
    times = (_next_look(parent, contexts[parent.side], now, config.for_symbol(parent.symbol)) for parent in parents)
    return max(min(times, default=now + seconds(config.tick_seconds)), now + _SHORTEST_WAIT)


def _next_look(parent: ParentOrder, context: DecisionContext, now: datetime, config: ExecutionConfig) -> datetime:
    tick, child = seconds(config.tick_seconds), parent.open_child
    longest = max(LONGEST_WAIT, tick)  # also between slices: the caller may ask the run to stop
    if parent.auction is None and (slice_at := next_slice_at(parent, context, config)) is not None:
        return min(slice_at, now + longest)
    if child is None or child.phase is not ChildPhase.WORKING or parent.auction is not None:
        return now + tick
    since = child.latest_send if child.fill_seen_at is None else max(child.latest_send, child.fill_seen_at)
    at = now + min(max(now - since, tick), longest)
    due = _due(parent, child, context, config)
    return at if due is None else min(at, due)


def _due(parent: ParentOrder, child: ChildOrder, context: DecisionContext, config: ExecutionConfig) -> datetime | None:
    """Return the next time at which a resting child is replaced or ends, if the market stays as it is."""
    if config.order_style is not OrderStyle.LADDER:
        at = child.latest_send + seconds(config.child_wait_seconds)
        return at if at > context.now else None
    return ladder.next_step_at(parent, child, with_slices(parent, context, config).schedule, context.now, config)
