"""New York's local time, compared with the time-zone database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.domain.session import is_opening, new_york
from tests.support.properties import property_test

NEW_YORK = ZoneInfo("America/New_York")
TWO_MINUTES = timedelta(minutes=2)


@property_test
@given(st.datetimes(datetime(2007, 6, 1), datetime(2037, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis wants it so
def test_new_york_time_matches_the_time_zone_database(at: datetime) -> None:
    assert new_york(at) == at.astimezone(NEW_YORK).replace(tzinfo=None)


@pytest.mark.parametrize(
    "at", ["2026-03-08T06:59:59", "2026-03-08T07:00:00", "2026-11-01T05:59:59", "2026-11-01T06:00:00"]
)
def test_daylight_saving_starts_and_ends_to_the_second(at: str) -> None:
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    assert new_york(moment) == moment.astimezone(NEW_YORK).replace(tzinfo=None)


def test_every_day_of_eleven_years_has_the_right_time() -> None:
    """In eleven years, the first of March and of November fall on every day of the week."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    days = [noon + timedelta(days=day) for day in range(11 * 365)]
    assert [new_york(at) for at in days] == [at.astimezone(NEW_YORK).replace(tzinfo=None) for at in days]


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("09:26:59", False),
        ("09:27:00", True),
        ("09:30:00", True),
        ("09:31:59", True),
        ("09:32:00", False),
        ("21:30:00", False),
    ],
)
@pytest.mark.parametrize("day", ["2026-01-26", "2026-07-27"], ids=["winter", "summer"])
def test_opening_lasts_from_three_minutes_before_to_two_after_the_open(day: str, local: str, *, expected: bool) -> None:
    at = datetime.fromisoformat(f"{day}T{local}").replace(tzinfo=NEW_YORK)
    assert is_opening(at, TWO_MINUTES) is expected


def test_opening_with_a_zero_span_is_never() -> None:
    for minute in (28, 30):
        assert not is_opening(datetime(2026, 1, 26, 9, minute, tzinfo=NEW_YORK), timedelta())
