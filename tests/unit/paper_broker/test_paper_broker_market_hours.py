"""The hours of named markets, settlement dates, and the calendar by either date."""

from datetime import date
from typing import Any

import pytest

from paper_broker.exchange import Exchange
from paper_broker.formats import JsonObject, parse_instant, to_datetime
from paper_broker.sessions import Sessions
from tests.unit.paper_broker.exchange_harness import rejection


def exchange(at: str, sessions: str = "nyse") -> Exchange:
    return Exchange({"clock": {"sessions": sessions}}, lambda: to_datetime(parse_instant(at)))


def clock(at: str, sessions: str = "nyse") -> JsonObject:
    (found,) = exchange(at, sessions).market_clocks("XNYS")["clocks"]
    return dict(found)


PHASES = [
    ("2026-01-26T08:59:59Z", True, "closed", "2026-01-26T04:00:00-05:00"),
    ("2026-01-26T09:00:00Z", True, "pre", "2026-01-26T09:30:00-05:00"),
    ("2026-01-26T14:30:00Z", True, "core", "2026-01-26T16:00:00-05:00"),
    ("2026-01-26T21:00:00Z", True, "post", "2026-01-26T20:00:00-05:00"),
    ("2026-01-27T01:00:00Z", True, "closed", "2026-01-27T04:00:00-05:00"),
    ("2026-01-24T15:00:00Z", False, "closed", "2026-01-26T04:00:00-05:00"),
    ("2026-11-27T18:00:00Z", True, "post", "2026-11-27T17:00:00-05:00"),
]


@pytest.mark.parametrize(("at", "is_market_day", "phase", "until"), PHASES)
def test_clock_has_the_phase_of_the_day(at: str, is_market_day: bool, phase: str, until: str) -> None:
    found = clock(at)

    assert (found["is_market_day"], found["phase"], found["phase_until"]) == (is_market_day, phase, until)


def test_clocks_are_those_of_the_markets_at_the_time_asked_for() -> None:
    found = exchange("2026-01-26T15:00:00Z").market_clocks("NASDAQ,XNYS", "2026-01-24T15:00:00Z")["clocks"]

    assert [(row["market"]["acronym"], row["market"]["mic"]) for row in found] == [("NASDAQ", "XNAS"), ("NYSE", "XNYS")]
    assert {row["next_market_open"] for row in found} == {"2026-01-26T09:30:00-05:00"}
    assert len(exchange("2026-01-26T15:00:00Z").market_clocks()["clocks"]) == 2


@pytest.mark.parametrize(("sessions", "phase"), [("always_open", "core"), ("always_closed", "closed")])
def test_market_without_hours_has_one_phase(sessions: str, phase: str) -> None:
    found = clock("2026-01-24T03:00:00Z", sessions)

    assert (found["phase"], found["is_market_day"]) == (phase, phase == "core")


def test_market_calendar_has_the_sessions_of_a_day() -> None:
    found = exchange("2026-11-26T15:00:00Z").market_calendar("NYSE", end="2026-11-27")

    assert found["calendar"] == [
        {
            "date": "2026-11-27",
            "settlement_date": "2026-11-30",
            "pre_start": "2026-11-27T04:00:00-05:00",
            "pre_end": "2026-11-27T09:30:00-05:00",
            "core_start": "2026-11-27T09:30:00-05:00",
            "core_end": "2026-11-27T13:00:00-05:00",
            "post_start": "2026-11-27T13:00:00-05:00",
            "post_end": "2026-11-27T17:00:00-05:00",
        }
    ]


def test_market_calendar_is_a_week_by_default_and_can_be_in_utc() -> None:
    found = exchange("2026-01-26T15:00:00Z").market_calendar("XNAS", zone="UTC")["calendar"]

    assert [day["date"][-2:] for day in found] == ["26", "27", "28", "29", "30", "02"]
    assert found[0]["core_start"] == "2026-01-26T14:30:00Z"


@pytest.mark.parametrize(
    "query",
    [
        {"market": "LSE"},
        {"market": "NYSE", "start": "noon"},
        {"market": "NYSE", "zone": "CET"},
    ],
    ids=str,
)
def test_hours_that_are_not_known_are_refused(query: dict[str, Any]) -> None:
    error = rejection(lambda: exchange("2026-01-26T15:00:00Z").market_calendar(**query))

    assert (error.http_status, error.code) == (400, 40010000)


@pytest.mark.parametrize(("markets", "at"), [("NYSE,LSE", None), ("NYSE", "noon"), ("NYSE", "9999-12-31")])
def test_clocks_that_are_not_known_are_refused(markets: str, at: str | None) -> None:
    assert rejection(lambda: exchange("2026-01-26T15:00:00Z").market_clocks(markets, at)).http_status == 400


SETTLEMENTS = [
    ("2026-01-26", "2026-01-27"),
    ("2026-01-16", "2026-01-20"),  # a weekend and a holiday
    ("2025-10-10", "2025-10-14"),  # Columbus Day: trading, but closed banks
    ("2025-10-13", "2025-10-14"),
    ("2025-11-10", "2025-11-12"),  # Veterans Day
    ("2024-05-24", "2024-05-29"),  # the last day of two days
    ("2024-05-28", "2024-05-29"),
    ("2017-09-01", "2017-09-07"),  # the last day of three days
    ("1995-06-06", "1995-06-13"),  # the last day of five days
]


@pytest.mark.parametrize(("traded", "settled"), SETTLEMENTS)
def test_trades_settle_on_business_days_by_the_rule_of_their_time(traded: str, settled: str) -> None:
    assert Sessions().settlement_date(date.fromisoformat(traded)).isoformat() == settled


def test_calendar_can_be_asked_by_settlement_date() -> None:
    found = exchange("2026-01-26T15:00:00Z").calendar("2025-10-14", "2025-10-15", "SETTLEMENT")

    assert [day["date"] for day in found] == ["2025-10-10", "2025-10-13", "2025-10-14"]


def test_market_that_is_always_open_has_every_field_of_the_calendar() -> None:
    (day,) = exchange("2026-01-26T15:00:00Z", "always_open").calendar("2026-01-24", "2026-01-24")

    assert day == {
        "date": "2026-01-24", "open": "00:00", "close": "23:59", "session_open": "0000", "session_close": "2359",
        "settlement_date": "2026-01-25",
    }  # fmt: skip


def test_calendar_covers_the_days_of_alpacas() -> None:
    found = exchange("2026-01-26T15:00:00Z").calendar("1969-12-01", "1970-01-05")

    assert [day["date"] for day in found] == ["1970-01-02", "1970-01-05"]
    assert rejection(lambda: exchange("2026-01-26T15:00:00Z").calendar(date_type="x")).http_status == 422
