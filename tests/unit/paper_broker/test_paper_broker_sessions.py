"""Trading hours of the New York Stock Exchange, and markets that are always open or closed."""

from datetime import date
from typing import Any

import pytest

from paper_broker.formats import parse_instant
from paper_broker.sessions import Sessions, nyse_half_days, nyse_holidays

HOLIDAYS_2026 = ["01-01", "01-19", "02-16", "04-03", "05-25", "06-19", "07-03", "09-07", "11-26", "12-25"]
HOLIDAYS_2022 = ["01-17", "02-21", "04-15", "05-30", "06-20", "07-04", "09-05", "11-24", "12-26"]


@pytest.mark.parametrize(("year", "days"), [(2026, HOLIDAYS_2026), (2022, HOLIDAYS_2022)])
def test_nyse_holidays(year: int, days: list[str]) -> None:
    assert sorted(nyse_holidays(year)) == [date.fromisoformat(f"{year}-{day}") for day in days]


@pytest.mark.parametrize(("year", "days"), [(2025, ["07-03", "11-28", "12-24"]), (2026, ["11-27", "12-24"])])
def test_nyse_half_days(year: int, days: list[str]) -> None:
    assert sorted(nyse_half_days(year)) == [date.fromisoformat(f"{year}-{day}") for day in days]


CLOCKS = [
    ("2026-01-26T14:29:59Z", False, "2026-01-26T09:30:00-05:00", "2026-01-26T16:00:00-05:00"),
    ("2026-01-26T14:30:00Z", True, "2026-01-27T09:30:00-05:00", "2026-01-26T16:00:00-05:00"),
    ("2026-01-26T21:00:00Z", False, "2026-01-27T09:30:00-05:00", "2026-01-27T16:00:00-05:00"),
    ("2026-07-02T18:00:00Z", True, "2026-07-06T09:30:00-04:00", "2026-07-02T16:00:00-04:00"),
    ("2026-11-27T17:59:00Z", True, "2026-11-30T09:30:00-05:00", "2026-11-27T13:00:00-05:00"),
    ("2026-03-06T22:00:00Z", False, "2026-03-09T09:30:00-04:00", "2026-03-09T16:00:00-04:00"),
]


@pytest.mark.parametrize(("at", "is_open", "next_open", "next_close"), CLOCKS)
def test_clock_respects_weekends_holidays_half_days_and_daylight_saving(
    at: str, is_open: bool, next_open: str, next_close: str
) -> None:
    clock = Sessions().clock(parse_instant(at))

    assert (clock["is_open"], clock["next_open"], clock["next_close"]) == (is_open, next_open, next_close)


def test_clock_has_new_york_time_with_nanoseconds() -> None:
    clock = Sessions().clock(parse_instant("2026-01-26T15:00:00.123456789Z"))

    assert clock["timestamp"] == "2026-01-26T10:00:00.123456789-05:00"


def test_calendar_lists_trading_days_in_new_york_time() -> None:
    calendar = Sessions().calendar(date(2026, 11, 25), date(2026, 11, 28))

    assert [(day["date"], day["open"], day["close"]) for day in calendar] == [
        ("2026-11-25", "09:30", "16:00"),
        ("2026-11-27", "09:30", "13:00"),
    ]


def test_holidays_and_half_days_can_be_added() -> None:
    sessions = Sessions("nyse", ["2026-01-27"], ["2026-01-28"])

    calendar = sessions.calendar(date(2026, 1, 26), date(2026, 1, 28))

    assert [(day["date"], day["close"]) for day in calendar] == [("2026-01-26", "16:00"), ("2026-01-28", "13:00")]


@pytest.mark.parametrize(("kind", "is_open", "days"), [("always_open", True, 2), ("always_closed", False, 0)])
def test_market_can_be_always_open_or_always_closed(kind: str, is_open: bool, days: int) -> None:
    sessions = Sessions(kind)

    assert sessions.clock(parse_instant("2026-01-24T03:00:00Z"))["is_open"] is is_open
    assert len(sessions.calendar(date(2026, 1, 24), date(2026, 1, 25))) == days


@pytest.mark.parametrize("arguments", [("sometimes",), ("nyse", ["soon"])])
def test_invalid_trading_hours_are_rejected(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"sometimes|soon"):
        Sessions(*arguments)
