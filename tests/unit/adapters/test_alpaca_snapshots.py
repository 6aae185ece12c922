"""Previous closes from snapshots: which answers are definite, which are unknown, and which are failures."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from requests import HTTPError, Response

from rebalance_executor.adapters.alpaca import client
from rebalance_executor.adapters.alpaca.broker import AlpacaBroker
from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import BrokerUnavailable
from rebalance_executor.domain.previous_close import NO_PREVIOUS_CLOSE, PreviousClose
from rebalance_executor.settings import Settings
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW, later

TODAY = date(2026, 1, 26)
NINETY = PreviousClose(Decimal("90.5"))


def bar(day: str, close: object = 90.5) -> dict[str, object]:
    return {"t": f"2026-01-{day}T05:00:00Z", "o": 10, "h": 10, "l": 10, "c": close, "v": 5, "n": 10, "vw": 10}


def snapshot(daily: object, previous: object) -> dict[str, object]:
    return {"latestTrade": {}, "latestQuote": {}, "minuteBar": None, "dailyBar": daily, "prevDailyBar": previous}


class Data:
    """The market-data client, with scripted answers; an exception is raised."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, str]] = []

    def get(self, path: str, query: Mapping[str, str]) -> object:
        self.requests.append((path, query["symbols"]))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def closes(data: Data, *symbols: str) -> Mapping[str, PreviousClose]:
    settings = Settings.model_validate({"EXECUTION_TABLE": "t", "IDEMPOTENCY_TABLE": "i"})
    clock = SimulatedClock(NOW)
    broker = AlpacaBroker(Credentials("key", "secret", None), settings, ExecutionConfig(), clock, lambda _path: None)
    broker.set_deadline(later(60))
    broker._data._api = data  # type: ignore[assignment]
    return broker.previous_closes(symbols or ("AAA",), TODAY)


def error(status: int, body: str) -> Exception:
    response = Response()
    response.status_code = status
    make: Any = client.APIError
    raised: Exception = make(body, HTTPError(response=response))
    return raised


def test_one_request_reads_the_closes_of_all_symbols_by_the_dates_of_their_bars() -> None:
    data = Data({
        "AAA": snapshot(bar("26", 100), bar("23")),
        "BBB": snapshot(bar("23"), bar("22", 80)),
        "CCC": snapshot(bar("26", 100), None),
    })  # fmt: skip

    assert closes(data, "AAA", "BBB", "CCC") == {"AAA": NINETY, "BBB": NINETY, "CCC": NO_PREVIOUS_CLOSE}
    assert data.requests == [("/stocks/snapshots", "AAA,BBB,CCC")]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"AAA": None},
        {"AAA": {}},
        {"AAA": snapshot(None, None)},
        {"AAA": snapshot(bar("26"), {})},
        {"AAA": snapshot(bar("26"), bar("23", None))},
        {"AAA": snapshot(bar("26"), bar("23", 0))},
        {"AAA": snapshot(bar("26"), bar("23", "many"))},
        {"AAA": snapshot(bar("26"), bar("23") | {"t": "0001-01-01T00:00:00Z"})},
        {"AAA": snapshot(bar("26"), bar("23") | {"t": None})},
        {"AAA": snapshot(bar("26"), "bar")},
        {"AAA": snapshot(bar("18"), bar("17"))},
    ],
    ids=str,
)
def test_unusable_snapshot_leaves_the_close_of_its_symbol_unknown(answer: dict[str, object]) -> None:
    assert closes(Data(answer | {"BBB": snapshot(bar("26"), bar("23"))}), "AAA", "BBB") == {"BBB": NINETY}


@pytest.mark.parametrize("answer", [[], "text", {"message": "forbidden."}, {"AAA": [bar("23")]}], ids=str)
def test_answer_of_another_structure_is_an_outage(answer: object) -> None:
    with pytest.raises(BrokerUnavailable):
        closes(Data(answer))


def test_failure_is_retried_like_every_read_that_a_control_needs() -> None:
    data = Data(error(503, "<html>"), {"AAA": snapshot(bar("26"), bar("23"))})

    assert closes(data) == {"AAA": NINETY}
    assert len(data.requests) == 2


def test_invalid_symbol_is_left_out_of_a_second_request() -> None:
    refusal = error(400, '{"message": "invalid symbol: A-A"}')
    data = Data(refusal, {"AAA": snapshot(bar("26"), bar("23"))})

    assert closes(data, "AAA", "A-A") == {"AAA": NINETY}
    assert data.requests[-1] == ("/stocks/snapshots", "AAA")
