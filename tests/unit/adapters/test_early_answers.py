"""Reads that are sent together: each takes its own answer, once, and repeats only its own failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from requests import HTTPError, Response
from requests.exceptions import ReadTimeout

from rebalance_executor.adapters.alpaca import client
from rebalance_executor.adapters.alpaca.broker import AlpacaBroker
from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import BrokerUnavailable, CredentialsRejected, OrderRejected, OutcomeUnknown
from rebalance_executor.domain.market import OrderRequest, OrderType, Side
from rebalance_executor.execution.ports import ReadSet
from rebalance_executor.settings import Settings
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW, later

ROUND_TRIP = timedelta(milliseconds=40)
OPENING = ReadSet(permission=True, open_orders=True, positions=True, quotes_of=("AAA", "BBB"))
QUOTE = {"t": NOW.isoformat(), "bp": 99.99, "ap": 100.01, "bs": 1, "as": 1}
BAR = {"t": "2026-01-23T05:00:00Z", "c": 98}
SNAPSHOTS = {
    "AAA": {"latestQuote": QUOTE, "prevDailyBar": BAR, "dailyBar": {**BAR, "t": NOW.isoformat()}},
    "BBB": {"latestQuote": QUOTE},
}
ANSWERS: Mapping[str, object] = {
    "/account": {"account_number": "PA1", "status": "ACTIVE", "cash": "100", "buying_power": "100", "equity": "100"},
    "/clock": {
        "timestamp": NOW.isoformat(),
        "is_open": True,
        "next_open": later(1).isoformat(),
        "next_close": later(9).isoformat(),
    },
    "/orders": [],
    "/positions": [],
    "/stocks/snapshots": SNAPSHOTS,
    "/stocks/quotes/latest": {"quotes": {"AAA": QUOTE, "BBB": QUOTE}},
}


def http_error(status: int, body: str) -> Exception:
    response = Response()
    response.status_code = status
    make: Any = client.APIError
    return cast("Exception", make(body, HTTPError(response=response)))


class Server:
    """Answers requests, and records which ones were sent together and which alone."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self.answers: dict[str, list[object]] = {}
        """By path: the next answers, before those of ``ANSWERS``."""
        self.together: list[list[str]] = []
        self.alone: list[str] = []

    def ask(self, requests: list[tuple[str, str, Any]]) -> Callable[[], list[object]]:
        self.together.append([f"{method} {path}" for method, path, _ in requests])
        answers = [self._next(path) for _, path, _ in requests]

        def read() -> list[object]:
            self._clock.advance(ROUND_TRIP)
            return answers

        return read

    def get(self, path: str, _data: object = None) -> object:
        self.alone.append(path)
        self._clock.advance(ROUND_TRIP)
        answer = self._next(path)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _next(self, path: str) -> object:
        scripted = self.answers.get(path)
        return scripted.pop(0) if scripted else ANSWERS[path]


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(NOW)


@pytest.fixture
def server(clock: SimulatedClock) -> Server:
    return Server(clock)


@pytest.fixture
def broker(clock: SimulatedClock, server: Server, monkeypatch: pytest.MonkeyPatch) -> AlpacaBroker:
    settings = Settings.model_validate({"EXECUTION_TABLE": "t", "IDEMPOTENCY_TABLE": "i"})
    alpaca = AlpacaBroker(Credentials("K", "S", None), settings, ExecutionConfig(), clock, lambda _path: None)
    alpaca.set_deadline(later(60))
    for transport in (alpaca._trading, alpaca._data):
        monkeypatch.setattr(transport, "_api", server)
    return alpaca


def test_opening_reads_are_sent_together_and_each_read_takes_its_answer(broker: AlpacaBroker, server: Server) -> None:
    early = broker.ask(OPENING)

    assert server.together == [
        ["GET /account", "GET /clock", "GET /orders", "GET /orders", "GET /positions"],
        ["GET /stocks/snapshots"],
    ]
    assert early.asked_at == NOW  # before the answers
    assert early.reads.account().cash == Decimal(100)
    assert early.reads.clock().is_open
    assert list(early.reads.open_orders()) == []
    assert list(early.reads.recent_orders()) == []
    assert early.reads.positions(["AAA"]) == {}
    assert early.reads.quotes(["AAA", "BBB"]).keys() == {"AAA", "BBB"}
    assert early.reads.previous_closes(["AAA"], NOW.date())["AAA"].price == Decimal(98)
    assert server.alone == []


def test_answer_is_taken_once(broker: AlpacaBroker, server: Server) -> None:
    early = broker.ask(OPENING)
    early.reads.account()
    early.reads.account()
    early.reads.quotes(["AAA"])
    early.reads.quotes(["AAA"])

    assert server.alone == ["/account", "/stocks/quotes/latest"]


def test_passing_failure_repeats_its_own_read_only(broker: AlpacaBroker, server: Server) -> None:
    server.answers["/clock"] = [ReadTimeout("no answer"), http_error(503, "")]
    early = broker.ask(OPENING)

    assert early.reads.clock().is_open
    assert early.reads.account().account_number == "PA1"
    assert server.alone == ["/clock", "/clock"]


def test_definite_error_is_raised_by_its_own_read_only(broker: AlpacaBroker, server: Server) -> None:
    server.answers["/positions"] = [http_error(401, "")]
    early = broker.ask(OPENING)

    assert early.reads.account().account_number == "PA1"
    assert not broker.credentials_rejected
    with pytest.raises(CredentialsRejected):
        early.reads.positions(["AAA"])
    assert broker.credentials_rejected
    assert server.alone == []


@pytest.mark.parametrize(
    "answer",
    [
        {"AAA": SNAPSHOTS["AAA"]},
        {"AAA": SNAPSHOTS["AAA"], "BBB": None},
        {"AAA": SNAPSHOTS["AAA"], "BBB": {"latestQuote": {"t": "no time"}}},
        {"AAA": SNAPSHOTS["AAA"], "BBB": {}},
    ],
    ids=["absent", "null", "unreadable", "without a quote"],
)
def test_quote_that_the_snapshots_lack_is_read(broker: AlpacaBroker, server: Server, answer: object) -> None:
    server.answers["/stocks/snapshots"] = [answer]
    early = broker.ask(OPENING)

    assert early.reads.quotes(["AAA", "BBB"]).keys() == {"AAA", "BBB"}
    assert server.alone == ["/stocks/quotes/latest"]


def test_quotes_are_read_if_snapshots_are_not_answered(broker: AlpacaBroker, server: Server) -> None:
    server.answers["/stocks/snapshots"] = [http_error(400, "bad request")] * 9
    early = broker.ask(OPENING)

    assert early.reads.quotes(["AAA", "BBB"]).keys() == {"AAA", "BBB"}
    assert early.reads.previous_closes(["AAA"], NOW.date()) == {}  # unknown, and read again by its caller


def test_reads_wait_until_the_rate_limit_allows_all_of_them(broker: AlpacaBroker, clock: SimulatedClock) -> None:
    for _ in range(196):
        broker.account()
    sent_within_a_minute = clock.now()
    early = broker.ask(OPENING)  # five more than the limit of 200 allows in this minute

    assert early.asked_at >= NOW + timedelta(minutes=1)
    assert sent_within_a_minute < NOW + timedelta(minutes=1)


def test_orders_sent_together_have_answers_of_their_own(broker: AlpacaBroker, server: Server) -> None:
    requests = [OrderRequest(f"c-{n}", "AAA", Side.BUY, OrderType.MARKET, Decimal(1)) for n in range(3)]
    order = {"id": "1", "client_order_id": "c-0", "symbol": "AAA", "side": "buy", "status": "new", "qty": "1"}
    rejection = http_error(403, '{"code": 40310000, "message": "insufficient buying power"}')
    server.answers["/orders"] = [order, rejection, ReadTimeout("no answer")]
    accepted, rejected, unknown = broker.submit_together(requests)

    assert server.together == [["POST /orders"] * 3]
    assert accepted().client_order_id == "c-0"
    with pytest.raises(OrderRejected):
        rejected()
    with pytest.raises(OutcomeUnknown):
        unknown()


def test_unusable_answer_is_an_outage_of_its_own_read(broker: AlpacaBroker, server: Server) -> None:
    server.answers["/clock"] = [{"is_open": "perhaps"}]
    early = broker.ask(OPENING)

    with pytest.raises(BrokerUnavailable):
        early.reads.clock()
    assert early.reads.account().account_number == "PA1"
