"""Bars of long timeframes add up those of short ones."""

from typing import Any

import pytest

from paper_broker.bars import BarQuery
from paper_broker.formats import JsonObject
from tests.unit.paper_broker.exchange_harness import ExchangeHarness, rejection

QUOTE = {"bid": "10", "ask": "10.02", "volume": 1_000_000}


def bars(timeframe: str, start: str, end: str, **query: Any) -> list[JsonObject]:
    """Return the bars of ABC on the Monday at ten in New York."""
    harness = ExchangeHarness(quotes={"ABC": QUOTE | query.pop("quote", {})})
    asked = BarQuery(("ABC",), start, end, timeframe=timeframe, feed="iex", **query)
    return list(harness.exchange.bars(asked)["bars"].get("ABC", []))


@pytest.mark.parametrize(
    ("timeframe", "times"),
    [
        ("15Min", ["2026-01-23T20:30:00Z", "2026-01-23T20:45:00Z"]),
        ("1Hour", ["2026-01-23T20:00:00Z"]),
        ("3Hour", []),
    ],
)
def test_bars_start_at_multiples_of_their_length_from_midnight(timeframe: str, times: list[str]) -> None:
    found = bars(timeframe, "2026-01-23T20:00:00Z" if timeframe == "1Hour" else "2026-01-23T20:20:00Z", "2026-01-24")

    assert [bar["t"] for bar in found] == times


def test_bar_adds_up_its_minutes() -> None:
    minutes = bars("1Min", "2026-01-23T20:00:00Z", "2026-01-23T20:59:00Z")

    (hour,) = bars("1Hour", "2026-01-23T20:00:00Z", "2026-01-23T20:00:00Z")

    assert (hour["o"], hour["c"]) == (minutes[0]["o"], minutes[-1]["c"])
    assert (hour["h"], hour["l"]) == (max(bar["h"] for bar in minutes), min(bar["l"] for bar in minutes))
    assert (hour["v"], hour["n"]) == (sum(bar["v"] for bar in minutes), sum(bar["n"] for bar in minutes))
    assert hour["vw"] == pytest.approx(sum(bar["v"] * bar["vw"] for bar in minutes) / hour["v"], abs=1e-4)


@pytest.mark.parametrize(
    ("timeframe", "times", "sessions"),
    [
        ("1Week", ["2026-01-12T05:00:00Z", "2026-01-19T05:00:00Z", "2026-01-26T05:00:00Z"], [5, 4, 1]),
        ("1Month", ["2026-01-01T05:00:00Z"], [16]),
        ("3M", ["2026-01-01T05:00:00Z"], [16]),
    ],
)
def test_weeks_and_months_add_up_days(timeframe: str, times: list[str], sessions: list[int]) -> None:
    start = "2026-01-10" if timeframe == "1Week" else "2026-01-01"

    found = bars(timeframe, start, "2026-01-27")

    assert [bar["t"] for bar in found] == times
    assert [bar["v"] // 20_000 for bar in found] == sessions


def test_pages_of_long_bars_continue_where_they_ended() -> None:
    whole = bars("30Min", "2026-01-23", "2026-01-24")
    harness = ExchangeHarness(quotes={"ABC": QUOTE})
    paged, token = list[JsonObject](), None
    for _ in range(7):
        asked = BarQuery(("ABC",), "2026-01-23", "2026-01-24", "2", token, "iex", timeframe="30Min")
        page = harness.exchange.bars(asked)
        paged, token = paged + page["bars"]["ABC"], page["next_page_token"]

    assert (paged, token) == (whole, None)


def test_volume_that_is_not_a_number_is_sent_as_it_is() -> None:
    (month,) = bars("1Month", "2026-01-01", "2026-01-27", quote={"volume": ["many"]})

    assert month["v"] == "many"


@pytest.mark.parametrize("timeframe", ["", "0Min", "60Min", "24Hour", "2Day", "5Month", "1Year", "Min"])
def test_unknown_timeframe_is_rejected(timeframe: str) -> None:
    assert rejection(lambda: bars(timeframe, "2026-01-23", "2026-01-24")).http_status == 400
