"""The unit of work: a plan's journalled values in memory, and the changes that must be written."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from rebalance_executor.domain.journal import PlanStart, PlanState, RunEnd, RunRecord
from rebalance_executor.domain.orders import ChildOrder, ChildPhase, ChildState, ParentOrder
from rebalance_executor.domain.risk_state import Reservation
from rebalance_executor.execution.ports import Journal, Lease


@dataclass(slots=True)
class UnitOfWork:
    """The plan's values in one run. Every change goes through a method, and one write stores all changes."""

    state: PlanState
    record: RunRecord
    parents: dict[str, ParentOrder]
    """By symbol."""
    changed: set[str] = field(default_factory=set)
    """Symbols of the parents that changed since the last write."""
    start: PlanStart | None = None
    """Values that the first write of a plan stores in addition; None in a resumed plan, and after that write."""
    is_state_changed: bool = True
    """True while the journal lacks the latest ``state`` or ``record``."""

    @property
    def is_written(self) -> bool:
        """True if the journal contains every change."""
        return not self.changed and not self.is_state_changed

    @property
    def changed_parents(self) -> list[ParentOrder]:
        """Parents that changed since the last write, by symbol."""
        return [self.parents[symbol] for symbol in sorted(self.changed)]

    def update_parent(self, parent: ParentOrder) -> None:
        """Replace a parent; an unchanged one is not written again."""
        if self.parents.get(parent.symbol) != parent:
            self.parents[parent.symbol] = parent
            self.changed.add(parent.symbol)

    def update_child(self, symbol: str, child: ChildOrder) -> None:
        """Replace the child of the same attempt, or append a new one."""
        self.update_parent(self.parents[symbol].with_child(child))

    def update_state(self, **changes: Any) -> None:
        """Replace fields of the plan's state."""
        self.state = replace(self.state, **changes)
        self.is_state_changed = True

    def reserve(self, reservation: Reservation) -> None:
        """Store the plan's share of the trading day with the next write."""
        if self.start is not None:
            self.start = replace(self.start, reservation=reservation)

    def end_run(self, end: RunEnd, reason: str, now: datetime) -> None:
        """Record the end of the run, with its reason and time."""
        self.record = replace(self.record, ended_at=now, end=end, reason=reason)
        self.is_state_changed = True

    def mark_intended_unknown(self, now: datetime) -> None:
        """Mark children left INTENDED by an earlier run as UNKNOWN: they may have been sent until ``now``."""
        for parent in list(self.parents.values()):
            child = parent.open_child
            if child is not None and child.state is ChildState.INTENDED:
                self.update_child(parent.symbol, child.as_unknown(now))

    def extend_confirmations(self, now: datetime, wait: timedelta) -> None:
        """Leave at least three ticks of the wait to orders that an earlier run left unconfirmed with all details.

        The wait itself counts over all runs, so that it also ends if every run is shorter.
        """
        for parent in list(self.parents.values()):
            child = parent.open_child
            if child is not None and child.phase is ChildPhase.CLOSED_UNCONFIRMED and child.is_complete:
                since = max(child.closed_since or now, now - wait)
                self.update_child(parent.symbol, replace(child, closed_since=since))

    def write_to(self, journal: Journal, lease: Lease) -> None:
        """Write everything that changed, in one call.

        Raises:
            Fenced: another run took the account over.
            JournalUnavailable: the database did not answer; the changes stay pending.
        """
        record = self.record if self.is_state_changed else None
        journal.write(lease, self.state, parents=self.changed_parents, run=record, start=self.start)
        # Only after the write: a failed one leaves all changes pending.
        self.changed.clear()
        self.is_state_changed = False
        self.start = None
