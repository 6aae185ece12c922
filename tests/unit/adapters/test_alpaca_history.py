"""Prices of past days: what is asked for, what counts, and answers that cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from requests import HTTPError, Response
from requests.exceptions import ReadTimeout

from rebalance_executor.adapters.alpaca import client
from rebalance_executor.adapters.alpaca.broker import AlpacaBroker
from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.adapters.alpaca.history import AlpacaHistory
from rebalance_executor.domain.benchmarks import DayClose, MinuteBar
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import BrokerUnavailable
from rebalance_executor.settings import Settings
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW, later

MONDAY, FRIDAY = date(2026, 1, 26), date(2026, 1, 23)


class MarketData:
    """The market-data client; an answer that is an exception is raised."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, str]]] = []

    def get(self, path: str, query: Mapping[str, str]) -> object:
        self.asked.append((path, dict(query)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def history(data: MarketData) -> AlpacaHistory:
    settings = Settings.model_validate({"EXECUTION_TABLE": "t", "IDEMPOTENCY_TABLE": "i"})
    keys = Credentials("key", "secret", None)
    broker = AlpacaBroker(keys, settings, ExecutionConfig(), SimulatedClock(NOW), lambda _path: None)
    broker.set_deadline(later(60))
    broker.market_data._api = data  # type: ignore[assignment]
    return AlpacaHistory(broker.market_data)


def bars(**symbols: list[dict[str, object]]) -> dict[str, object]:
    return {"bars": symbols, "next_page_token": None}


def minute(at: str, vwap: object = 100.25, volume: object = 300) -> dict[str, object]:
    return {"t": at, "o": 1, "h": 1, "l": 1, "c": 1, "v": volume, "n": 1, "vw": vwap}


def day(on: str, close: object) -> dict[str, object]:
    return {"t": f"{on}T05:00:00Z", "o": 1, "h": 1, "l": 1, "c": close, "v": 1, "n": 1, "vw": 1}


def quotes(*rows: tuple[object, object]) -> dict[str, object]:
    listed = [{"t": NOW.isoformat(), "bp": bid, "ap": ask, "bs": 1, "as": 1} for bid, ask in rows]
    return {"quotes": {"AAA": listed}, "next_page_token": None}


def refusal(message: str, status: int = 400) -> Exception:
    response = Response()
    response.status_code = status
    make: Any = client.APIError
    raised: Exception = make(f'{{"message": "{message}"}}', HTTPError(response=response))
    return raised


def test_minutes_are_those_of_the_consolidated_tape_under_the_symbols_of_the_day() -> None:
    data = MarketData(bars(AAA=[minute("2026-01-26T15:00:00Z"), minute("2026-01-26T15:01:00Z", vwap=0)]))

    found = history(data).minutes(["AAA", "BBB"], MONDAY, later(-60), later(90))

    assert found == {"AAA": [MinuteBar(NOW, Decimal("100.25"), Decimal(300))], "BBB": []}
    assert data.asked == [
        (
            "/stocks/bars",
            {
                "symbols": "AAA,BBB",
                "timeframe": "1Min",
                "start": "2026-01-26T14:59:00+00:00",
                "end": "2026-01-26T15:01:30+00:00",
                "adjustment": "raw",
                "asof": "2026-01-26",
                "feed": "sip",
                "limit": "10000",
                "sort": "asc",
            },
        )
    ]


def test_closes_are_read_as_traded_and_adjusted_and_end_on_the_day() -> None:
    raw, adjusted = (
        bars(AAA=[day("2026-01-23", 99), day("2026-01-26", 50)]),
        bars(AAA=[day("2026-01-23", 49.5), day("2026-01-26", 50)]),
    )
    data = MarketData(raw, adjusted)

    found = history(data).closes(["AAA"], MONDAY)

    assert found == {
        "AAA": [DayClose(FRIDAY, Decimal(99), Decimal("49.5")), DayClose(MONDAY, Decimal(50), Decimal(50))]
    }
    assert [query["adjustment"] for _, query in data.asked] == ["raw", "split"]
    assert {(query["start"], query["end"]) for _, query in data.asked} == {
        ("2026-01-16T00:00:00+00:00", "2026-01-26T12:00:00+00:00")
    }


@pytest.mark.parametrize(
    ("rows", "mid"),
    [
        ([(99.99, 100.01)], "100"),
        ([(0, 100.01), (100.02, 100.01), (99.99, 100.02), (1, 2)], "100.005"),
        ([(0, 1)], None),
        ([], None),
    ],
    ids=["usable", "one-sided and crossed first", "one-sided only", "none"],
)
def test_mid_is_that_of_the_latest_usable_quote(rows: list[tuple[object, object]], mid: str | None) -> None:
    data = MarketData(quotes(*rows))

    assert history(data).mid_at("AAA", MONDAY, NOW) == (Decimal(mid) if mid is not None else None)
    ((path, query),) = data.asked
    assert path == "/stocks/quotes"
    assert (query["end"], query["sort"], query["feed"], query["asof"]) == (NOW.isoformat(), "desc", "sip", "2026-01-26")


def test_symbol_that_is_not_known_any_more_has_no_data_and_costs_the_others_nothing() -> None:
    data = MarketData(refusal("invalid symbol: OLD"), bars(AAA=[minute("2026-01-26T15:00:00Z")]))

    found = history(data).minutes(["AAA", "OLD"], MONDAY, NOW, NOW)

    assert [len(found[symbol]) for symbol in ("AAA", "OLD")] == [1, 0]
    assert history(MarketData(refusal("invalid symbol: OLD"))).mid_at("OLD", MONDAY, NOW) is None
    assert history(MarketData(refusal("invalid symbol: OLD"))).minutes(["OLD"], MONDAY, NOW, NOW) == {"OLD": []}


@pytest.mark.parametrize(
    "answer",
    [
        refusal("subscription does not permit querying recent SIP data", 403),
        refusal("invalid asof"),
        refusal("too many requests", 429),
        ReadTimeout("late"),
        [],
        {"bars": [1], "quotes": [1]},
    ],
    ids=["subscription", "parameter", "429", "timeout", "list", "structure"],
)
def test_failure_is_a_typed_error_of_one_attempt(answer: object) -> None:
    questions: list[Callable[[AlpacaHistory], object]] = [
        lambda past: past.minutes(["AAA"], MONDAY, NOW, NOW),
        lambda past: past.closes(["AAA"], MONDAY),
        lambda past: past.mid_at("AAA", MONDAY, NOW),
    ]
    for ask in questions:
        data = MarketData(answer)
        with pytest.raises(BrokerUnavailable):
            ask(history(data))
        assert len(data.asked) == 1


def test_pages_without_end_are_an_error() -> None:
    data = MarketData({"bars": {}, "next_page_token": "again"})

    with pytest.raises(BrokerUnavailable, match="do not end"):
        history(data).minutes(["AAA"], MONDAY, NOW, NOW)
    assert len(data.asked) == 8


def test_symbols_beyond_one_request_are_split() -> None:
    data = MarketData({"bars": {}, "next_page_token": None})

    assert len(history(data).minutes([f"S{n}" for n in range(130)], MONDAY, NOW, NOW)) == 130
    assert [len(query["symbols"].split(",")) for _, query in data.asked] == [100, 30]
