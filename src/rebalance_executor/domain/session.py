"""New York's wall clock, where US equities trade. Everything else in the program is UTC."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

_OPEN = time(9, 30)
_SUNDAY = 6

_UNSETTLED = timedelta(minutes=3)
"""Before the open: Alpaca refused fractional orders from 09:27 on."""

EARLY_HOURS = timedelta(hours=5, minutes=30)
"""From 04:00 New York, when Alpaca begins to trade, to the open."""


def new_york(at: datetime) -> datetime:
    """New York's wall clock at ``at``, without a zone.

    Daylight saving lasts from the second Sunday of March to the first of November, 2 a.m. (Energy Policy Act of
    2005). Written out because a minimal container may lack the time-zone database.
    """
    utc = at.astimezone(UTC).replace(tzinfo=None)
    begins = _sunday(utc.year, 3, 2) + timedelta(hours=7)
    ends = _sunday(utc.year, 11, 1) + timedelta(hours=6)
    return utc - timedelta(hours=4 if begins <= utc < ends else 5)


def is_opening(at: datetime, span: timedelta) -> bool:
    """Whether the session opened less than ``span`` ago or is about to, by New York's clock. Not without a span."""
    local = new_york(at)
    return bool(span) and -_UNSETTLED <= local - datetime.combine(local.date(), _OPEN) < span


def _sunday(year: int, month: int, nth: int) -> datetime:
    first = datetime(year, month, 1)  # noqa: DTZ001 - wall clock
    return first + timedelta(days=(_SUNDAY - first.weekday()) % 7 + 7 * (nth - 1))
