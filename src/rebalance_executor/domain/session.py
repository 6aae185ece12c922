"""Trading hours of US equities, in New York time. All other times in the program are UTC."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

_OPEN = time(9, 30)
_SUNDAY = 6

_BEFORE_OPEN = timedelta(minutes=3)
"""Time before the open: Alpaca rejected fractional orders from 09:27 on."""

LONGEST_CLOSURE = timedelta(days=7)
"""Age above which the latest data of a day is stale: longer than any closure of the market in decades."""

EARLY_HOURS = timedelta(hours=5, minutes=30)
"""Time from 04:00 New York, when Alpaca's extended hours start, to the open."""


def new_york(at: datetime) -> datetime:
    """Return New York's local time at ``at``, without a zone.

    Daylight saving lasts from 2 a.m. on the second Sunday of March to 2 a.m. on the first Sunday of November (Energy
    Policy Act of 2005). It is computed here because a minimal container may lack the time-zone database.
    """
    utc = at.astimezone(UTC).replace(tzinfo=None)
    starts = _sunday(utc.year, 3, 2) + timedelta(hours=7)
    ends = _sunday(utc.year, 11, 1) + timedelta(hours=6)
    return utc - timedelta(hours=4 if starts <= utc < ends else 5)


def is_opening(at: datetime, duration: timedelta) -> bool:
    """Return whether the open is less than ``duration`` ago or 3 minutes ahead, in New York.

    Always False if ``duration`` is zero.
    """
    local = new_york(at)
    return bool(duration) and -_BEFORE_OPEN <= local - datetime.combine(local.date(), _OPEN) < duration


def minutes_since_open(at: datetime) -> float:
    """Return the minutes since 09:30 in New York; negative before it."""
    local = new_york(at)
    return (local - datetime.combine(local.date(), _OPEN)).total_seconds() / 60


def _sunday(year: int, month: int, nth: int) -> datetime:
    first = datetime(year, month, 1)  # noqa: DTZ001 - local time
    return first + timedelta(days=(_SUNDAY - first.weekday()) % 7 + 7 * (nth - 1))
