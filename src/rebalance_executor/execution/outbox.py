"""The outbox: orders that are journalled and not yet sent, and cancels to send again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rebalance_executor.domain.market import Side
from rebalance_executor.domain.orders import ChildOrder, ChildPhase, ChildState, ParentOrder
from rebalance_executor.execution.unit_of_work import UnitOfWork

_RESEND_CANCEL_AFTER = timedelta(seconds=2)
"""Time after which a cancel without effect is sent again, whatever the broker answered."""
_SHORTEST_CANCEL_WAIT = timedelta(seconds=3)
"""Minimum time left for a re-sent cancel to complete."""


@dataclass(slots=True)
class Outbox:
    """Requests of one run that are journalled and must still be sent, or sent again."""

    unsent: dict[str, datetime] = field(default_factory=dict)
    """Client order IDs that this run journalled and certainly has not sent. The time is the latest one at which the
    order may be sent: afterwards its quote, or the reading of cash or position, is too old."""
    cancels_to_reissue: set[str] = field(default_factory=set)
    """Client order IDs whose cancel an earlier run journalled; it may have ended before it sent the cancel."""
    cancels_answered: dict[str, list[datetime]] = field(default_factory=dict)
    """By client order ID: the times at which the broker answered a cancel."""
    cancels_refused: set[str] = field(default_factory=set)
    """Client order IDs whose last cancel found nothing to cancel: the broker may have closed the order."""

    def holds(self, child: ChildOrder | None) -> bool:
        """Return whether this child is journalled and certainly not sent."""
        return child is not None and child.client_order_id in self.unsent

    def is_too_late(self, child: ChildOrder, now: datetime) -> bool:
        """Return whether this child is unsent, and its quote or the reading that covers it is too old by now."""
        send_by = self.unsent.get(child.client_order_id)
        return send_by is not None and now > send_by

    def mark_unsent_not_sent(self, work: UnitOfWork, late_at: datetime | None = None) -> bool:
        """Mark children that this run journalled but never sent as NOT_SENT: all, or those too late to send at a time.

        A child that was sent before stays UNKNOWN: the earlier submission may still arrive.

        Returns:
            True if any child was marked.
        """
        before = len(self.unsent)
        for parent in list(work.parents.values()) if self.unsent else ():
            child = parent.open_child
            if child is not None and (late_at is None or self.is_too_late(child, late_at)):
                self._mark(work, parent)
        return len(self.unsent) < before

    def mark_buys_not_sent(self, work: UnitOfWork) -> None:
        """Mark the buys that this run journalled but never sent as NOT_SENT."""
        for parent in list(work.parents.values()) if self.unsent else ():
            if parent.side is Side.BUY:
                self._mark(work, parent)

    def withdraw_overfilled(self, work: UnitOfWork, symbol: str) -> None:
        """Mark an unsent child as NOT_SENT if a late fill of an earlier one left too little for it."""
        parent = work.parents[symbol]
        if parent.exposure > parent.qty:
            self._mark(work, parent)

    def _mark(self, work: UnitOfWork, parent: ParentOrder) -> None:
        """Mark the open child of this parent as NOT_SENT if it is unsent; one that was sent before as UNKNOWN."""
        child = parent.open_child
        if child is None or not self.holds(child):
            return
        del self.unsent[child.client_order_id]
        state = ChildState.UNKNOWN if child.resent else ChildState.NOT_SENT
        work.update_child(parent.symbol, replace(child, state=state))

    def reissue_cancels(self, work: UnitOfWork) -> None:
        """Mark every journalled cancel of an open child to be sent again. Used when a plan is resumed."""
        children = (parent.open_child for parent in work.parents.values())
        pending = (child.client_order_id for child in children if child is not None and child.cancel_requested_at)
        self.cancels_to_reissue = set(pending)

    def take_cancel_retry(self, work: UnitOfWork, symbol: str, now: datetime, wait: timedelta) -> bool:
        """Return whether this parent's cancel must be sent again, and remove it from the cancels to retry.

        ``wait`` is the time that a cancel may take. It counts from the first request, so that it also ends if every
        run is shorter. For a cancel that an earlier run journalled, at least three seconds of it are left.
        """
        child = work.parents[symbol].open_child
        if child is None or child.state is not ChildState.LIVE:
            return False
        if self._has_no_effect(child, now, wait):
            return True
        if child.client_order_id not in self.cancels_to_reissue or child.phase is ChildPhase.CLOSED_UNCONFIRMED:
            return False
        self.cancels_to_reissue.discard(child.client_order_id)
        if child.phase is not ChildPhase.PENDING_CANCEL or child.cancel_requested_at is None:
            return False
        since = max(child.cancel_requested_at, now - wait + min(wait, _SHORTEST_CANCEL_WAIT))
        work.update_child(symbol, replace(child, cancel_requested_at=since))
        return True

    def take_refused_cancel(self, child: ChildOrder) -> bool:
        """Return whether the last cancel of this child found nothing to cancel, once per answer."""
        was_refused = child.client_order_id in self.cancels_refused
        self.cancels_refused.discard(child.client_order_id)
        return was_refused

    def _has_no_effect(self, child: ChildOrder, now: datetime, wait: timedelta) -> bool:
        """Return whether the broker answered a cancel a while ago and still shows the order as live, not as pending.

        At the end of the wait a single cancel is sent once more before an operator must look.
        """
        answered, since = self.cancels_answered.get(child.client_order_id, []), child.cancel_requested_at
        is_pending = child.phase is ChildPhase.PENDING_CANCEL and child.status != "pending_cancel"
        if not answered or since is None or not is_pending:
            return False
        is_last_chance = now - since >= wait and len(answered) == 1
        return is_last_chance or (now - since < wait and now - answered[-1] >= _RESEND_CANCEL_AFTER)
