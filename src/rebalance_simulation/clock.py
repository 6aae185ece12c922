"""Simulated time: it advances when a component waits, and slightly with every external call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush

START = datetime(2026, 1, 26, 15, 0, tzinfo=UTC)
"""Default start of a history: Monday, 10:00 in New York."""


class SimulatedClock:
    """Simulated ``Clock``. Scheduled actions run in order when their time is reached.

    Args:
        start: when the history starts.
    """

    def __init__(self, start: datetime = START) -> None:
        self.start = start
        self._now = start
        self._scheduled: list[tuple[datetime, int, Callable[[], object]]] = []
        self._count = 0
        self.skew = timedelta()
        """Time by which the program's clock is ahead of the world's."""
        self.slept: list[timedelta] = []
        """All waits of ``sleep``, in order."""

    def now(self) -> datetime:
        """Return the program's time, UTC."""
        return self._now + self.skew

    def world(self) -> datetime:
        """Return the world's time, UTC, which the broker and the queue use."""
        return self._now

    def sleep(self, duration: timedelta) -> None:
        """Record the wait and advance time by ``duration``."""
        self.slept.append(duration)
        self.advance(duration)

    def advance(self, duration: timedelta) -> None:
        """Advance time by ``duration`` and run every action that becomes due. A negative duration counts as zero.

        An action may advance time itself: it never goes back.
        """
        until = self._now + max(duration, timedelta())
        while self._scheduled and self._scheduled[0][0] <= until:
            at, _, action = heappop(self._scheduled)
            self._now = max(self._now, at)
            action()
        self._now = max(self._now, until)

    def call_later(self, delay: timedelta, action: Callable[[], object]) -> None:
        """Schedule ``action`` to run after ``delay``."""
        self._count += 1
        heappush(self._scheduled, (self._now + delay, self._count, action))
