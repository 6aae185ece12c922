"""Slicing: a parent order that is large for its market is worked in slices, which fall due over a horizon.

The displayed size and the average volume at arrival are journalled with the parent, and the schedule starts with its
first child, so that every run of the plan derives the same slices. Pure functions.
"""

from __future__ import annotations

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.orders import ParentOrder


def needs_volume(parent: ParentOrder, config: ExecutionConfig) -> bool:
    """Return whether the parent's average volume matters: it is larger than the far touch displays at arrival."""
    is_sliced = config.slice_over_displayed is not None or config.slice_over_volume is not None
    if parent.outcome is not None or parent.arrival is None or not is_sliced:
        return False
    return parent.qty > parent.arrival.displayed


def is_large(parent: ParentOrder, config: ExecutionConfig) -> bool:
    """Return whether the parent is large for its market: against the display, or against the average volume."""
    if parent.arrival is None or parent.qty <= parent.arrival.displayed:
        return False
    displayed, volume = parent.arrival.displayed, parent.average_volume
    over_displayed, over_volume = config.slice_over_displayed, config.slice_over_volume
    if over_displayed is not None and displayed > 0 and parent.qty > over_displayed * displayed:
        return True
    return over_volume is not None and volume is not None and parent.qty > over_volume * volume
