"""The end of an invocation, and the times before it at which a run stops sending and stops waiting."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

_MARGIN_SHARE = 5
"""Divisor of the remaining time: one fifth of it is the margin for a safe stop."""
_SHORTEST_MARGIN = timedelta(seconds=1.5)
"""Lower bound of the margin: time for one cancel, one look and one write."""
_LONGEST_MARGIN = timedelta(seconds=30)
"""Upper bound of the margin."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """Times at which a run stops sending, at which it stops waiting, and at which Lambda ends it.

    The margin scales with the timeout: an 8-second invocation trades for 6.4 s, a 600-second one for 570 s.
    """

    at: datetime
    """Time at which the invocation ends."""
    stop_at: datetime
    """Time from which the run sends no new order: it cancels open orders and waits for the confirmations."""
    give_up_at: datetime
    """Time from which the run no longer waits: it writes the journal and the invocation ends."""

    @classmethod
    def after(cls, now: datetime, remaining: timedelta) -> Deadline:
        """Return the deadline of an invocation that has ``remaining`` left at ``now``."""
        margin = max(_SHORTEST_MARGIN, min(_LONGEST_MARGIN, remaining / _MARGIN_SHARE))
        at = now + remaining
        return cls(at=at, stop_at=at - margin, give_up_at=at - margin / 3)

    def give_up_after(self, now: datetime) -> datetime:
        """Return the time at which a run that yields at ``now``, before or after ``stop_at``, stops waiting."""
        return min(self.give_up_at, now + (self.give_up_at - self.stop_at))
