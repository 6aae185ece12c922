"""Simulated time: it passes when somebody waits, and a little with every call to the outside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush

BEGIN = datetime(2026, 1, 26, 15, 0, tzinfo=UTC)
"""Monday, 10:00 in New York."""


class SimulatedClock:
    """Implements ``Clock``. What was put off happens when its time comes, in order.

    Args:
        begin: when the history begins.
    """

    def __init__(self, begin: datetime = BEGIN) -> None:
        self.begin = begin
        self._now = begin
        self._due: list[tuple[datetime, int, Callable[[], object]]] = []
        self._count = 0
        self.skew = timedelta()
        """By how much the program's clock is ahead of the world's."""
        self.slept: list[timedelta] = []
        """Every wait, in order."""

    def now(self) -> datetime:
        """The program's time."""
        return self._now + self.skew

    def world(self) -> datetime:
        """The world's time, which the broker and the queue go by."""
        return self._now

    def sleep(self, span: timedelta) -> None:
        """Record the wait and advance the time by ``span``."""
        self.slept.append(span)
        self.advance(span)

    def advance(self, span: timedelta) -> None:
        """Advance the time and run what is due on the way, in order; a negative ``span`` counts as zero."""
        until = self._now + max(span, timedelta())
        while self._due and self._due[0][0] <= until:
            at, _, happen = heappop(self._due)
            self._now = max(self._now, at)
            happen()
        self._now = until

    def later(self, span: timedelta, happen: Callable[[], object]) -> None:
        """Call ``happen`` once ``span`` has passed."""
        self._count += 1
        heappush(self._due, (self._now + span, self._count, happen))
