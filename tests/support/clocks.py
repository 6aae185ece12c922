"""A clock that tests set, and whose waits take no time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 26, 15, 0, tzinfo=UTC)


class ManualClock:
    """Stands still until it is told to sleep; remembers how long it slept each time."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at
        self.slept: list[timedelta] = []

    def now(self) -> datetime:
        return self.at

    def sleep(self, span: timedelta) -> None:
        self.slept.append(span)
        self.at += span
