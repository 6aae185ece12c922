"""One invocation's work on one plan: its deadline, its lease and the plan's orders in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import Denial
from rebalance_executor.domain.journal import PlanState, RunRecord
from rebalance_executor.domain.ladder import WaveSchedule, cross_by
from rebalance_executor.domain.market import Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, ParentOrder
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.risk_state import Reservation
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import EventLog, Journal, Lease, Ports

_SHARE = 5
"""A fifth of the time-out is kept for stopping safely, …"""
_LEAST = timedelta(seconds=1.5)
"""… but at least this (a cancel, a look and a write), …"""
_MOST = timedelta(seconds=30)
"""… and at most this."""

_NOT_TAKEN_WAIT = timedelta(seconds=2)
"""After which a cancel is requested once more that the broker did not take, of an order that it still shows as live."""
_SECOND_WAIT = timedelta(seconds=3)
"""What is left at least of the wait for a cancel that a later run requests once more."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When the invocation ends, and when a run must begin to stop so that it ends well before.

    Margins scale with the time-out: an 8-second invocation trades for 6.4 s, a 600-second one for 570 s.
    """

    at: datetime
    stop_at: datetime
    """From here on nothing new is sent: open orders are cancelled and confirmed."""
    give_up_at: datetime
    """From here on nothing is waited for: the journal is written and the invocation ends."""

    @classmethod
    def after(cls, now: datetime, remaining: timedelta) -> Deadline:
        """The deadline of an invocation that has ``remaining`` left at ``now``."""
        margin = max(_LEAST, min(_MOST, remaining / _SHARE))
        at = now + remaining
        return cls(at=at, stop_at=at - margin, give_up_at=at - margin / 3)


@dataclass(slots=True)
class Run:
    """Mutable state of one run. ``parents`` is what the journal holds, plus what is in ``dirty``."""

    plan: RebalancePlan
    lease: Lease
    deadline: Deadline
    state: PlanState
    record: RunRecord
    parents: dict[str, ParentOrder]
    closes_at: datetime | None = None
    """When the market closes, by the broker's clock."""
    opens_at: datetime | None = None
    """When the regular session opens, of a run that works before it."""
    conclude: Code | None = None
    """Set where nothing new may be sent, and why."""
    conclude_text: str = "stopped before the order was done"
    """The same in words."""
    dirty: set[str] = field(default_factory=set)
    """Symbols whose parents changed since the last journal write."""
    unsent: set[str] = field(default_factory=set)
    """Client order ids that this run journalled and certainly has not sent."""
    cancels_to_reissue: set[str] = field(default_factory=set)
    """Client order ids whose cancel an earlier run journalled: it may have died before it asked."""
    cancels_not_accepted: dict[str, datetime] = field(default_factory=dict)
    """Client order ids for which the broker said that there was nothing to cancel, and when."""
    reservation: Reservation | None = None
    """The plan's share of the day, until it is written with the first journal write."""
    broken_off: str | None = None
    """Set where the run must yield before its deadline, and why."""
    unsaved: bool = True
    """Whether the plan's own record, or the run's, changed since the last journal write."""

    def stop(self, refusal: Denial, log: EventLog) -> None:
        """Send nothing new from here on; what rests is cancelled and every parent settled."""
        self.conclude, self.conclude_text = refusal.code, refusal.message
        log.emit(LogEvent.RUN_CONCLUDING, code=refusal.code, reason=refusal.message)

    def break_off(self, reason: str, now: datetime) -> None:
        """Stop as if the deadline were near: what rests is cancelled, and the plan is left to another delivery."""
        self.broken_off = reason
        margin = self.deadline.give_up_at - self.deadline.stop_at
        give_up_at = min(self.deadline.give_up_at, now + margin)
        self.deadline = replace(self.deadline, stop_at=min(self.deadline.stop_at, now), give_up_at=give_up_at)

    def check_stop_requested(self, ports: Ports) -> None:
        """Break off where somebody asks for it."""
        if self.broken_off is None and ports.stop_requested():
            self.break_off("stopped safely on request", ports.clock.now())

    def write_to(self, journal: Journal) -> None:
        """Journal what changed since the last time, in one write."""
        parents = [self.parents[symbol] for symbol in sorted(self.dirty)]
        record = self.record if self.unsaved else None
        journal.write(self.lease, self.state, parents=parents, run=record, reservation=self.reservation)
        self.dirty.clear()
        self.unsaved = False
        self.reservation = None

    def update_parent(self, parent: ParentOrder) -> None:
        """Take a changed parent in."""
        if self.parents.get(parent.symbol) != parent:
            self.parents[parent.symbol] = parent
            self.dirty.add(parent.symbol)

    def update_child(self, symbol: str, child: ChildOrder) -> None:
        """Take a changed or new child in."""
        self.update_parent(self.parents[symbol].with_child(child))

    def mark_unsent_not_sent(self) -> None:
        """What this run journalled and never sent cannot appear at the broker any more: say so.

        A child that an earlier submission may still bring about stays unknown.
        """
        for parent in list(self.parents.values()):
            child = parent.open_child
            if child is not None and child.client_order_id in self.unsent:
                state = ChildState.UNKNOWN if child.resent else ChildState.NOT_SENT
                self.update_child(parent.symbol, replace(child, state=state))
        self.unsent.clear()

    def discard_unsent(self, buys: Iterable[ParentOrder]) -> None:
        """Drop what was intended for these buys before the gate was journalled: they are sent after it only."""
        self.unsent |= {parent.open_child.client_order_id for parent in buys if parent.open_child is not None}
        self.mark_unsent_not_sent()

    def mark_intended_unknown(self, now: datetime) -> None:
        """What an earlier run intended and told nothing of may have been sent at any time until ``now``."""
        for parent in list(self.parents.values()):
            child = parent.open_child
            if child is not None and child.state is ChildState.INTENDED:
                self.update_child(parent.symbol, child.as_unknown(now))

    def take_cancel_retry(self, symbol: str, now: datetime, wait: timedelta) -> bool:
        """Whether this parent's cancel must be requested once more, though it was requested.

        After an earlier run's request its wait lasts a little longer. Otherwise it goes on counting from the first
        request, so that runs shorter than it come to an end, too.
        """
        child = self.parents[symbol].open_child
        if child is None or child.state is not ChildState.LIVE:
            return False
        if self._was_not_taken(child, now, wait):
            del self.cancels_not_accepted[child.client_order_id]
            return True
        if child.client_order_id not in self.cancels_to_reissue:
            return False
        self.cancels_to_reissue.discard(child.client_order_id)
        if child.cancel_requested_at is None or child.incomplete_since is not None:
            return False
        since = max(child.cancel_requested_at, now - wait + min(wait, _SECOND_WAIT))
        self.update_child(symbol, replace(child, cancel_requested_at=since))
        return True

    def _was_not_taken(self, child: ChildOrder, now: datetime, wait: timedelta) -> bool:
        """Whether the broker said a while ago that there was nothing to cancel, and still shows the order as live."""
        said, since = self.cancels_not_accepted.get(child.client_order_id), child.cancel_requested_at
        if said is None or since is None or child.status == "pending_cancel" or child.incomplete_since is not None:
            return False
        return now - said >= _NOT_TAKEN_WAIT and now - since < wait

    def unsettled(self, side: Side) -> list[ParentOrder]:
        """Parents of this side without an outcome, first priority first."""
        open_parents = (p for p in self.parents.values() if p.side is side and p.outcome is None)
        return sorted(open_parents, key=lambda parent: (parent.priority, parent.symbol))

    def is_over(self, now: datetime) -> bool:
        """Whether it is too late to send anything: the run stops, or the market is closed."""
        return now >= self.deadline.stop_at or (self.closes_at is not None and now >= self.closes_at)

    def is_before_open(self, now: datetime) -> bool:
        """Whether an order sent now must say that it is meant for the hours before the open."""
        return self.opens_at is not None and now < self.opens_at

    def wave_schedule(self, side: Side, config: ExecutionConfig) -> WaveSchedule:
        """What bounds the ladder of this side's wave: deadline, close and the plan's time limit, whichever is first."""
        limit = self.state.started_at + seconds(config.plan_time_limit_minutes * 60)
        ends = min(end for end in (self.deadline.stop_at, limit, self.closes_at) if end is not None)
        buys_follow = side is Side.SELL and bool(self.unsettled(Side.BUY))
        return WaveSchedule(
            urgency=self.plan.execution_urgency,
            cross_by=cross_by(self.record.started_at, ends, buys_follow=buys_follow),
            parents=len(self.unsettled(side)),
        )
