"""Requests that are sent together: written before any response is read, each with its own answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Barrier

import pytest

from rebalance_executor.adapters.alpaca.client import AlpacaApi, APIError, Response
from rebalance_executor.adapters.alpaca.http_session import UnusableResponse
from tests.support.raw_server import Answer, End, RawServer, Request, http, raw_server

READS = [("GET", f"/read/{number}", None) for number in range(5)]


@pytest.fixture
def server() -> Iterator[RawServer]:
    with raw_server() as server:
        server.respond = own_answer
        yield server


@pytest.fixture
def api(server: RawServer) -> Iterator[AlpacaApi]:
    api = AlpacaApi(("key", "secret"), server.url, lambda: (2.0, 5.0), lambda _: None)
    yield api
    api.close()


def own_answer(request: Request) -> bytes:
    """Answer with the path of the request."""
    return http(f'"{request.line.rpartition("/")[2]}"'.encode())


def test_all_are_written_before_one_is_read(server: RawServer, api: AlpacaApi) -> None:
    all_arrived = Barrier(len(READS), timeout=5)

    def respond(request: Request) -> Answer:
        all_arrived.wait()  # a client that read the first response now would wait forever
        return own_answer(request)

    server.respond = respond

    assert api.ask(READS)() == ["0", "1", "2", "3", "4"]
    assert len(server.connections) == 5


def test_nothing_is_read_before_the_answers_are_asked_for(server: RawServer) -> None:
    observed: list[int] = []

    def observe(response: Response) -> None:
        observed.append(response.status_code)

    api = AlpacaApi(("key", "secret"), server.url, lambda: (2.0, 5.0), observe)
    answers = api.ask(READS[:2])
    assert observed == []

    answers()

    assert observed == [200, 200]
    api.close()


def test_connections_are_used_again(server: RawServer, api: AlpacaApi) -> None:
    api.ask(READS)()
    api.ask(READS)()
    api.get("/alone")

    assert len(server.connections) == 5


def test_queries_and_bodies_are_those_of_single_requests(server: RawServer, api: AlpacaApi) -> None:
    api.get("/orders", {"status": "open"})
    api.post("/orders", {"symbol": "SPY"})
    api.delete("/orders/1")

    api.ask(
        [("GET", "/orders", {"status": "open"}), ("POST", "/orders", {"symbol": "SPY"}), ("DELETE", "/orders/1", None)]
    )()

    sent = [request.content for request in server.requests]
    assert sorted(sent[3:]) == sorted(sent[:3])


FAILURES: dict[str, tuple[Answer, type[Exception]]] = {
    "error of the broker": (http(b"{}", status="403 Forbidden"), APIError),
    "redirect": (http(b"{}", "Location: /", status="302 Found"), UnusableResponse),
    "not JSON": (http(b"<html>"), ValueError),
    "cut": ((http()[:-1], End.CLOSE), UnusableResponse),
    "reset": ((b"", End.RESET), ConnectionError),
}


@pytest.mark.parametrize(("failure", "error"), FAILURES.values(), ids=FAILURES)
def test_failed_answer_does_not_affect_the_others(
    server: RawServer, api: AlpacaApi, failure: Answer, error: type[Exception]
) -> None:
    server.respond = lambda request: failure if request.line.endswith("/1") else own_answer(request)

    first, failed, *others = api.ask(READS)()

    assert (first, others) == ("0", ["2", "3", "4"])
    assert isinstance(failed, error)


def test_answer_that_lies_ready_is_read_after_one_that_never_came(server: RawServer) -> None:
    server.respond = lambda request: None if request.line.endswith("/0") else own_answer(request)
    api = AlpacaApi(("key", "secret"), server.url, lambda: (2.0, 0.5), lambda _: None)

    missing, *others = api.ask(READS)()

    assert isinstance(missing, TimeoutError)
    assert others == ["1", "2", "3", "4"]
    api.close()


def test_request_that_cannot_be_sent_does_not_affect_the_others(server: RawServer, api: AlpacaApi) -> None:
    answers = api.ask([READS[0], ("GET", "/not\r\npossible", None), READS[2]])()

    assert [answers[0], type(answers[1]), answers[2]] == ["0", ValueError, "2"]
    assert len(server.requests) == 2


def test_requests_without_a_server_are_errors(server: RawServer) -> None:
    nowhere = AlpacaApi(("key", "secret"), "http://127.0.0.1:1", lambda: (2.0, 5.0), lambda _: None)

    assert [type(answer) for answer in nowhere.ask(READS[:2])()] == [ConnectionRefusedError] * 2


def test_connection_with_an_unread_answer_is_not_used_again(server: RawServer, api: AlpacaApi) -> None:
    answers = api.ask([READS[0]])

    assert api.get("/read/9") == "9"
    assert answers() == ["0"]
    assert [request.connection for request in server.requests] == [0, 1]


def test_answers_that_nobody_reads_end_their_connections(server: RawServer, api: AlpacaApi) -> None:
    api.ask(READS[:2])

    assert api.get("/read/9") == "9"
    assert server.requests[-1].connection == 2


def test_closed_connections_are_replaced_before_anything_is_sent(server: RawServer, api: AlpacaApi) -> None:
    server.respond = lambda request: (own_answer(request), End.CLOSE)
    api.ask(READS[:3])()
    for connection in range(3):
        server.wait_for_end(connection)

    server.respond = own_answer

    assert api.ask(READS[:3])() == ["0", "1", "2"]
    assert len(server.requests) == 6


def test_order_of_the_answers_is_that_of_the_requests(server: RawServer, api: AlpacaApi) -> None:
    last_arrived = Barrier(2, timeout=5)

    def respond(request: Request) -> Answer:
        if request.connection in (0, 4):
            last_arrived.wait()  # the first response leaves after the last request has arrived
        return own_answer(request)

    server.respond = respond

    assert api.ask(READS)() == ["0", "1", "2", "3", "4"]


class Traces:
    """Records the traces of requests: which have started and how each one ended."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str]] = []
        self.ended: list[tuple[int, int | type[BaseException]]] = []

    def __call__(self, method: str, url: str) -> Callable[[int | BaseException], None]:
        number = len(self.started)
        self.started.append((method, url.split("/", 3)[3]))
        return lambda outcome: self.ended.append((number, outcome if isinstance(outcome, int) else type(outcome)))


def test_every_request_is_traced_once_from_its_writing_to_its_end(server: RawServer) -> None:
    failures: dict[str, Answer] = {
        "/v2/account": http(b"{}", status="500 Error"),
        "/v2/clock": (b"", End.CLOSE),
        "/v2/positions": http(b"<"),
    }

    def respond(request: Request) -> Answer:
        path = request.line.partition(" ")[2]
        if path in failures:
            return failures[path]
        return own_answer(request)

    server.respond = respond
    traces = Traces()
    api = AlpacaApi(("key", "secret"), server.url, lambda: (2.0, 5.0), lambda _: None, trace=traces)

    answers = api.ask(
        [
            ("GET", "/account", None),
            ("GET", "/not\npossible", None),
            ("GET", "/clock", None),
            ("GET", "/positions", None),
            ("DELETE", "/orders/61e69015-8549-4bfd-b9c3-01e75843f47d", None),
            ("GET", "/assets/BRK.B", {"query": "value"}),
        ]
    )
    started, ended = list(traces.started), list(traces.ended)
    answers()

    assert started == [
        ("GET", "v2/account"),
        ("GET", "v2/not\npossible"),
        ("GET", "v2/clock"),
        ("GET", "v2/positions"),
        ("DELETE", "v2/orders/{id}"),
        ("GET", "v2/assets/{symbol}"),
    ]
    assert ended == [(1, ValueError)]
    assert traces.ended[1:] == [(0, 500), (2, UnusableResponse), (3, 200), (4, 200), (5, 200)]
    assert traces.started == started
    api.close()


def test_single_requests_are_traced_like_those_sent_together(server: RawServer) -> None:
    server.answer(http(), http(b"{}", status="422 Unprocessable Entity"))
    traces = Traces()
    api = AlpacaApi(("key", "secret"), server.url, lambda: (2.0, 5.0), lambda _: None, version="v1", trace=traces)

    api.get("/stocks/quotes/latest", {"symbols": "AAA"})
    with pytest.raises(APIError):
        api.post("/orders", {"symbol": "AAA"})
    with pytest.raises(ValueError, match="excludes"):
        api.get("/not possible")

    assert traces.started == [("GET", "v1/stocks/quotes/latest"), ("POST", "v1/orders"), ("GET", "v1/not possible")]
    assert traces.ended == [(0, 200), (1, 422), (2, ValueError)]
    api.close()
