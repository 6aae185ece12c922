"""The end of an invocation, and the times before it at which a run stops sending and stops waiting."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

_MARGIN_SHARE = 5
"""The margin for a safe stop is one fifth of the remaining time, …"""
_SHORTEST_MARGIN = timedelta(seconds=1.5)
"""… at least this long (one cancel, one look and one write), …"""
_LONGEST_MARGIN = timedelta(seconds=30)
"""… and no longer than this."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """Times at which a run stops sending, stops waiting, and is ended by Lambda.

    The margin scales with the time-out: an 8-second invocation trades for 6.4 s, a 600-second one for 570 s.
    """

    at: datetime
    """When the invocation ends."""
    stop_at: datetime
    """From here on the run sends no new order: it cancels open orders and confirms the cancels."""
    give_up_at: datetime
    """From here on the run waits for nothing: it writes the journal and the invocation ends."""

    @classmethod
    def after(cls, now: datetime, remaining: timedelta) -> Deadline:
        """Return the deadline of an invocation that has ``remaining`` left at ``now``."""
        margin = max(_SHORTEST_MARGIN, min(_LONGEST_MARGIN, remaining / _MARGIN_SHARE))
        at = now + remaining
        return cls(at=at, stop_at=at - margin, give_up_at=at - margin / 3)

    def give_up_after(self, now: datetime) -> datetime:
        """Return when a run that starts to stop at ``now``, perhaps early, gives up waiting."""
        return min(self.give_up_at, now + (self.give_up_at - self.stop_at))
