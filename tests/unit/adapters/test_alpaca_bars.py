"""Daily volumes from bars: pages, rows that cannot be used, and failures, with one attempt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from requests import HTTPError, Response
from requests.exceptions import ReadTimeout

from rebalance_executor.adapters.alpaca import client
from rebalance_executor.adapters.alpaca.broker import AlpacaBroker
from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import BrokerUnavailable, RateLimited
from rebalance_executor.domain.volume import DailyBar
from rebalance_executor.settings import Settings
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW, later

FIRST, LAST = date(2025, 12, 27), date(2026, 1, 25)
MONDAY, TUESDAY = date(2026, 1, 19), date(2026, 1, 20)


def row(volume: object = 1000, day: str = "2026-01-19") -> dict[str, object]:
    return {"t": f"{day}T05:00:00Z", "o": 10, "h": 10.5, "l": 9, "c": 10, "v": volume, "n": 10, "vw": 10}


def a_bar(shares: int) -> DailyBar:
    return DailyBar(MONDAY, Decimal(shares), Decimal("10.5"), Decimal(9))


class Bars:
    """The market-data client, with scripted answers; an exception is raised."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.queries: list[Mapping[str, str]] = []

    def get(self, path: str, query: Mapping[str, str]) -> object:
        assert path == "/stocks/bars"
        self.queries.append(dict(query))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def a_broker(bars: Bars, **config: object) -> AlpacaBroker:
    settings = Settings.model_validate({"EXECUTION_TABLE": "t", "IDEMPOTENCY_TABLE": "i"})
    credentials = Credentials("key", "secret", None)
    values = ExecutionConfig.model_validate(config)
    broker = AlpacaBroker(credentials, settings, values, SimulatedClock(NOW), lambda _path: None)
    broker.set_deadline(later(60))
    broker._data._api = bars  # type: ignore[assignment]
    return broker


def page(bars: object, token: object = None) -> dict[str, object]:
    return {"bars": bars, "next_page_token": token}


def error(status: int, body: str = '{"message": "forbidden."}') -> Exception:
    response = Response()
    response.status_code = status
    make: Any = client.APIError
    raised: Exception = make(body, HTTPError(response=response))
    return raised


def test_one_request_asks_for_the_days_of_all_symbols_on_all_venues() -> None:
    bars = Bars(page({"AAA": [row()], "BBB": [row(2000)]}))

    volumes = a_broker(bars).daily_bars(["AAA", "BBB", "CCC"], FIRST, LAST)

    assert volumes == {
        "AAA": [a_bar(1000)],
        "BBB": [a_bar(2000)],
        "CCC": [],
    }
    assert bars.queries == [
        {
            "symbols": "AAA,BBB,CCC",
            "start": "2025-12-27T00:00:00+00:00",
            "end": "2026-01-26T00:00:00+00:00",
            "timeframe": "1Day",
            "adjustment": "split",
            "feed": "sip",
            "limit": "10000",
            "sort": "asc",
        }
    ]


def test_pages_are_followed_and_may_divide_a_symbol() -> None:
    bars = Bars(page({"AAA": [row()]}, "A1"), page({"AAA": [row(3, "2026-01-20")], "BBB": [row(4)]}))

    volumes = a_broker(bars).daily_bars(["AAA", "BBB"], FIRST, LAST)

    assert [(v.day, v.shares) for v in volumes["AAA"]] == [(MONDAY, Decimal(1000)), (TUESDAY, Decimal(3))]
    assert [v.shares for v in volumes["BBB"]] == [4]
    assert [query.get("page_token") for query in bars.queries] == [None, "A1"]


def test_pages_without_end_are_an_error_after_four() -> None:
    bars = Bars(page({}, "again"))

    with pytest.raises(BrokerUnavailable, match="do not end"):
        a_broker(bars).daily_bars(["AAA"], FIRST, LAST)
    assert len(bars.queries) == 4


def test_symbols_beyond_the_length_of_a_url_are_split() -> None:
    bars = Bars(page({}))

    volumes = a_broker(bars).daily_bars([f"S{n}" for n in range(260)], FIRST, LAST)

    assert len(volumes) == 260
    assert [len(query["symbols"].split(",")) for query in bars.queries] == [250, 10]


@pytest.mark.parametrize(
    "bad",
    [None, [], {}, row("many"), row(None), row(-1), row(10**19), row(True), row(day="someday"), row() | {"t": None}],
    ids=str,
)
def test_row_that_cannot_be_used_is_left_out(bad: object) -> None:
    volumes = a_broker(Bars(page({"AAA": [bad, row(7)], "XXX": [row()]}))).daily_bars(["AAA"], FIRST, LAST)

    assert volumes == {"AAA": [a_bar(7)]}


@pytest.mark.parametrize("high", [None, "dear", True], ids=str)
def test_bar_without_readable_prices_has_its_volume(high: object) -> None:
    volumes = a_broker(Bars(page({"AAA": [row(7) | {"h": high}]}))).daily_bars(["AAA"], FIRST, LAST)

    (bar,) = volumes["AAA"]
    assert bar.shares == 7
    assert bar.squared_range is None


@pytest.mark.parametrize("bars", [None, {}, {"AAA": None}, {"AAA": {"v": 1}}, {"AAA": "rows"}], ids=str)
def test_symbol_without_a_list_has_no_volumes(bars: object) -> None:
    assert a_broker(Bars(page(bars))).daily_bars(["AAA"], FIRST, LAST) == {"AAA": []}


@pytest.mark.parametrize(
    "answer",
    [None, [], "text", page([row()]), page("bars"), page({}, 7), page({}, ""), page({}, "x" * 300)],
    ids=lambda answer: str(answer)[:40],
)
def test_page_of_another_structure_is_a_typed_error(answer: object) -> None:
    with pytest.raises(BrokerUnavailable, match="cannot be used"):
        a_broker(Bars(answer)).daily_bars(["AAA"], FIRST, LAST)


@pytest.mark.parametrize(
    "failure",
    [
        *(error(status) for status in (401, 403, 404, 429)),
        error(503, "<html>"),
        ReadTimeout("late"),
        json.JSONDecodeError("not JSON", "", 0),
    ],
    ids=lambda failure: str(getattr(failure, "status_code", type(failure).__name__)),
)
def test_failure_is_not_retried_and_not_held_against_the_keys(failure: Exception) -> None:
    bars = Bars(failure)
    broker = a_broker(bars)

    with pytest.raises(BrokerUnavailable):
        broker.daily_bars(["AAA"], FIRST, LAST)

    assert len(bars.queries) == 1
    assert not broker.credentials_rejected


def test_rate_limit_is_not_waited_for() -> None:
    bars = Bars(page({}))
    broker = a_broker(bars, rate_limit_per_minute=20)
    for _ in range(20):
        broker.daily_bars(["AAA"], FIRST, LAST)

    with pytest.raises(RateLimited):
        broker.daily_bars(["AAA"], FIRST, LAST)

    assert len(bars.queries) == 20
