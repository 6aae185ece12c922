"""Slicing: a parent order that is large for its market is worked in slices, which fall due over a horizon.

The displayed size and the average volume at arrival are journalled with the parent, and the horizon starts with its
first child, so that every run of the plan derives the same slices. Pure functions; ``strategy`` calls them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from rebalance_executor.domain.config import SESSION_MINUTES, ExecutionConfig
from rebalance_executor.domain.ladder import WaveSchedule, children_within_rate_limit
from rebalance_executor.domain.market import Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, ParentOrder
from rebalance_executor.domain.plan import Urgency
from rebalance_executor.domain.values import format_decimal, seconds


@dataclass(frozen=True, slots=True)
class Slices:
    """Equal slices of one parent, due at equal intervals from ``starts`` until ``ends``."""

    starts: datetime
    ends: datetime
    number: int
    qty: Decimal
    """Shares of all slices: those of the parent, or what the participation limit allows until ``ends``."""
    is_shortened: bool = False
    """True if the run, the plan or the session ends before the configured horizon."""
    at_most: int = 1
    """Slices over the configured horizon: more than ``number`` if it is shortened, and the same in every run."""

    def __str__(self) -> str:
        """Return the number of slices and their minutes, for a person."""
        minutes = Decimal((self.ends - self.starts).total_seconds()) / 60
        return f"{self.number} slices over {format_decimal(minutes.quantize(Decimal('0.1')))} minutes"

    def due(self, now: datetime) -> Decimal:
        """Return the shares that are due by now: whole ones before the last slice."""
        started = self._started(now)
        part = self.qty * started / self.number
        return self.qty if started == self.number else part.to_integral_value(ROUND_FLOOR)

    def open_qty(self, parent: ParentOrder, now: datetime) -> Decimal:
        """Return the shares that are due by now and not filled; zero or less if the parent is not behind."""
        return self.due(now) - parent.filled_qty

    def is_left_out(self, parent: ParentOrder, child: ChildOrder, now: datetime) -> bool:
        """Return whether a child from within the horizon, which is over, offers only a part of what remains."""
        return child.intended_at < self.ends <= now and child.qty - child.filled_qty < parent.remaining

    def cross_by(self, now: datetime) -> datetime:
        """Return when the slice that is due now crosses: the last quarter of its interval belongs to the last rung."""
        return self.starts + (self.ends - self.starts) * (4 * self._started(now) - 1) / (4 * self.number)

    def next_due(self, now: datetime) -> datetime:
        """Return when the next slice falls due; the end if all are due."""
        return self.starts + (self.ends - self.starts) * self._started(now) / self.number

    def _started(self, now: datetime) -> int:
        if now >= self.ends:
            return self.number
        return min(self.number, 1 + self.number * (now - self.starts) // (self.ends - self.starts))


def needs_volume(parent: ParentOrder, config: ExecutionConfig) -> bool:
    """Return whether the parent's average volume matters: it is larger than the far touch displays at arrival."""
    is_sliced = config.slice_over_displayed is not None or config.slice_over_volume is not None
    return is_sliced and parent.auction is None and parent.outcome is None and parent.qty > parent.displayed


def is_large(parent: ParentOrder, config: ExecutionConfig) -> bool:
    """Return whether the parent is large for its market: against the display, or against the average volume."""
    displayed, volume = parent.displayed, parent.average_volume
    if parent.qty <= displayed:
        return False
    over_displayed, over_volume = config.slice_over_displayed, config.slice_over_volume
    if over_displayed is not None and displayed > 0 and parent.qty > over_displayed * displayed:
        return True
    return over_volume is not None and volume is not None and parent.qty > over_volume * volume


def slices_of(parent: ParentOrder, schedule: WaveSchedule, now: datetime, config: ExecutionConfig) -> Slices | None:
    """Return the slices of a large parent; None if it is worked in one piece, as URGENT orders always are."""
    if schedule.urgency is Urgency.URGENT or parent.auction is not None or not is_large(parent, config):
        return None
    sent = (child.intended_at for child in parent.children if child.state is not ChildState.NOT_SENT)
    starts = next(sent, now)
    horizon = seconds(config.slice_minutes * 60)
    per_second = config.max_participation * (parent.average_volume or 0) / (SESSION_MINUTES * 60)
    if per_second:
        horizon = max(horizon, seconds(parent.qty / per_second))
    ends = whole = starts + horizon
    if schedule.plan_cross_by is not None:  # late in a plan, the order has the time of a last rung
        ends = min(whole, max(schedule.plan_cross_by, starts + seconds(config.last_rung_seconds)))
    duration, qty = Decimal((ends - starts).total_seconds()), parent.qty
    if per_second and per_second * Decimal((now - starts).total_seconds()) < qty:
        until = max(ends, schedule.starts or ends)  # it does not grow within a run: no order follows for every share
        by_volume = per_second * Decimal((until - starts).total_seconds())
        # What is displayed may be taken at any time.
        qty = min(qty, max(by_volume, parent.displayed).to_integral_value(ROUND_FLOOR))
    most = min(int(duration / config.slice_seconds), children_within_rate_limit(schedule.large, duration, config))
    number = max(1, min(most, _number(parent, qty, most, config)))
    in_time = int(Decimal(horizon.total_seconds()) / config.slice_seconds)
    at_most = max(number, min(in_time, _number(parent, parent.qty, in_time, config)))
    return Slices(starts, ends, number, qty, ends < whole, at_most)


def own_schedule(schedule: WaveSchedule, slices: Slices | None, since: datetime) -> WaveSchedule:
    """Return the schedule of one parent: a slice crosses before the next one, a patient order by the plan's end.

    The slice is the one of the last child of the climb, which was sent at ``since``, or the next one.
    """
    if slices is not None:
        return replace(schedule, cross_by=slices.cross_by(since), slices=slices.at_most)
    if schedule.urgency is Urgency.PATIENT and schedule.plan_cross_by is not None:
        return replace(schedule, cross_by=schedule.plan_cross_by)
    return schedule


def _number(parent: ParentOrder, qty: Decimal, most: int, config: ExecutionConfig) -> int:
    """Return the number of slices of about the displayed size, each of a share and large enough to be sent."""
    wanted = most
    if parent.displayed > 0:
        wanted = int((parent.qty / (parent.displayed * config.slice_displayed)).to_integral_value(ROUND_CEILING))
    if parent.side is Side.BUY and parent.arrival is not None:  # the price may fall until a slice is sent
        wanted = min(wanted, int(qty * parent.arrival.mid / (2 * config.minimum_notional)))
    return min(wanted, int(qty))
