"""HTTP as the broker, a proxy or an attacker may speak it: what is believed, and which connections are used again."""

from __future__ import annotations

import gzip
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from rebalance_executor.adapters import bounded_http
from rebalance_executor.adapters.alpaca import http_session
from rebalance_executor.adapters.alpaca.client import AlpacaApi, APIError
from rebalance_executor.adapters.alpaca.connection import opening
from rebalance_executor.adapters.alpaca.http_session import UnusableResponse
from tests.support.processes import free_port
from tests.support.raw_server import Answer, End, RawServer, http, raw_server

ORDER = {"symbol": "SPY", "client_order_id": "one"}
TIMEOUTS = (2.0, 5.0)
SHORT = (2.0, 0.2)


@pytest.fixture
def server() -> Iterator[RawServer]:
    with raw_server() as server:
        yield server


@pytest.fixture
def api(server: RawServer) -> Iterator[AlpacaApi]:
    api = an_api(server)
    yield api
    api.close()


def an_api(server: RawServer, keys: tuple[str, str] = ("the-key", "the-secret")) -> AlpacaApi:
    return AlpacaApi(keys, server.url, lambda: TIMEOUTS, lambda _: None)


# --- requests --------------------------------------------------------------------------------------------------------


def test_read_names_the_keys_the_host_and_what_it_accepts(server: RawServer, api: AlpacaApi) -> None:
    api.get("/orders", {"status": "all", "after": "2026-01-26T15:00:00+00:00", "symbols": "A,BRK.B"})

    (request,) = server.requests
    assert request.line == "GET /v2/orders?status=all&after=2026-01-26T15%3A00%3A00%2B00%3A00&symbols=A%2CBRK.B"
    assert request.header("Host") == server.url.removeprefix("http://")
    assert (request.header("APCA-API-KEY-ID"), request.header("APCA-API-SECRET-KEY")) == ("the-key", "the-secret")
    assert (request.header("Accept"), request.header("Accept-Encoding")) == ("application/json", "gzip")
    assert str(request.header("User-Agent")).startswith("APCA-PY/")
    assert request.body == b""
    assert request.header("Content-Length") is None


def test_body_is_json(server: RawServer, api: AlpacaApi) -> None:
    api.post("/orders", ORDER | {"symbol": "Ä\r\nX: y"})
    api.post("/empty")

    order, empty = server.requests
    assert order.body == b'{"symbol": "\\u00c4\\r\\nX: y", "client_order_id": "one"}'
    assert (order.header("Content-Type"), order.header("Content-Length")) == ("application/json", str(len(order.body)))
    assert (empty.body, empty.header("Content-Length"), empty.header("Content-Type")) == (b"", "0", None)


INJECTIONS: Mapping[str, Callable[[RawServer], object]] = {
    "path": lambda server: an_api(server).get("/orders/x HTTP/1.1\r\nX-Injected: y\r\n\r\nGET /v2/account"),
    "space": lambda server: an_api(server).get("/orders/x y"),
    "fragment": lambda server: an_api(server).delete("/orders#x"),
    "other characters": lambda server: an_api(server).get("/orders/\u010d\u010a"),
    "key": lambda server: an_api(server, keys=("k\r\nX-Injected: y", "s")).get("/account"),
    "secret": lambda server: an_api(server, keys=("k", "s3cr3t\n")).post("/orders", ORDER),
    "number": lambda server: an_api(server).post("/orders", {"qty": float("nan")}),
}


@pytest.mark.parametrize("send", INJECTIONS.values(), ids=INJECTIONS)
def test_value_that_would_change_the_request_is_not_sent(
    server: RawServer, send: Callable[[RawServer], object]
) -> None:
    with pytest.raises(ValueError, match=r"excludes|compliant") as caught:
        send(server)

    assert server.connections == []
    assert "s3cr3t" not in repr(caught.value)


def test_proxies_and_netrc_of_the_machine_are_not_used(
    server: RawServer, api: AlpacaApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    (tmp_path / "netrc").write_text("default login someone password something", encoding="utf-8")
    monkeypatch.setenv("NETRC", os.fspath(tmp_path / "netrc"))

    api.get("/account")

    assert server.requests[0].header("Authorization") is None


def test_cookies_are_not_sent_back(server: RawServer, api: AlpacaApi) -> None:
    server.answer(http(b"{}", "Set-Cookie: session=1; Path=/"))

    api.get("/account")
    api.get("/account")

    assert [request.header("Cookie") for request in server.requests] == [None, None]


@pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_redirect_is_not_followed(server: RawServer, api: AlpacaApi, status: str) -> None:
    server.answer(http(b"{}", "Location: /v2/elsewhere", status=status))

    with pytest.raises(UnusableResponse):
        api.post("/orders", ORDER)

    assert server.lines == ["POST /v2/orders"]


@pytest.mark.parametrize("status", [429, 500, 504])
def test_error_is_not_retried(server: RawServer, api: AlpacaApi, status: int) -> None:
    server.answer(http(b'{"code": 1, "message": "no"}', status=f"{status} Error"))

    with pytest.raises(APIError) as caught:
        api.post("/orders", ORDER)

    assert (caught.value.status_code, str(caught.value)) == (status, '{"code": 1, "message": "no"}')
    assert server.lines == ["POST /v2/orders"]


# --- responses after which the connection is used again ---------------------------------------------------------------

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
USABLE: Mapping[str, tuple[bytes, object]] = {
    "length": (http(b'{"a": 1}'), {"a": 1}),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", None),
    "empty": (http(b""), None),
    "chunks": (CHUNKED + b'3\r\n{"a\r\n5;x=y\r\n": 1}\r\n0\r\n\r\n', {"a": 1}),
    "trailer": (CHUNKED + b"2\r\n{}\r\n0\r\nX-Trailer: y\r\n\r\n", {}),
    "gzip": (http(gzip.compress(b'{"a": 1}'), "Content-Encoding: gzip"), {"a": 1}),
    "continue": (b"HTTP/1.1 100 Continue\r\n\r\n" + http(b'{"a": 1}'), {"a": 1}),
    "early hints": (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 2 + http(b'{"a": 1}'), {"a": 1}),
    "HTTP/1.0 keep-alive": (http(b"{}", "Connection: keep-alive", version="HTTP/1.0"), {}),
    "not UTF-8": (http(b'{"a": "\xff"}'), {"a": "\ufffd"}),
}


@pytest.mark.parametrize(("answer", "expected"), USABLE.values(), ids=USABLE)
def test_connection_is_used_again_after_a_complete_response(
    server: RawServer, api: AlpacaApi, answer: bytes, expected: object
) -> None:
    server.answer(answer, http(b'{"second": true}'))

    assert api.get("/first") == expected
    assert api.post("/second", ORDER) == {"second": True}
    assert [request.connection for request in server.requests] == [0, 0]


def test_connection_is_used_again_after_an_error_of_the_broker(server: RawServer, api: AlpacaApi) -> None:
    server.answer(http(b"{}", status="422 Unprocessable Entity"), http())

    with pytest.raises(APIError):
        api.post("/orders", ORDER)
    api.post("/orders", ORDER)

    assert [request.connection for request in server.requests] == [0, 0]


# --- responses after which it is not ----------------------------------------------------------------------------------

LAST: Mapping[str, Answer] = {
    "close": http(b"{}", "Connection: close"),
    "HTTP/1.0": http(version="HTTP/1.0"),
    "no length": (b"HTTP/1.1 200 OK\r\n\r\n{}", End.CLOSE),
    "more than the length": http() + b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n[false]",
    "more than the chunks": CHUNKED + b"2\r\n{}\r\n0\r\n\r\n" + b"x",
    "body of no content": b"HTTP/1.1 204 No Content\r\n\r\n" + http(),
}


@pytest.mark.parametrize("answer", LAST.values(), ids=LAST)
def test_connection_is_not_used_again(server: RawServer, api: AlpacaApi, answer: Answer) -> None:
    server.answer(answer, http(b'{"second": true}'))

    assert api.get("/first") in ({}, None)
    assert api.post("/second", ORDER) == {"second": True}
    assert [request.connection for request in server.requests] == [0, 1]


def test_connection_is_not_used_again_after_bytes_that_were_not_asked_for(server: RawServer, api: AlpacaApi) -> None:
    api.get("/first")
    server.connections[0].sendall(http(b'{"false": true}'))

    assert api.post("/second", ORDER) == {}
    assert [request.connection for request in server.requests] == [0, 1]


UNUSABLE: Mapping[str, Answer] = {
    "closed before the response": (b"", End.CLOSE),
    "reset before the response": (b"", End.RESET),
    "closed within the headers": (http()[:20], End.CLOSE),
    "closed within the body": (http(b'{"a": 1}')[:-3], End.CLOSE),
    "reset within the body": (http(b'{"a": 1}')[:-3], End.RESET),
    "closed within a chunk": (CHUNKED + b"5\r\n{", End.CLOSE),
    "closed before the last chunk": (CHUNKED + b"2\r\n{}\r\n", End.CLOSE),
    "chunk of no size": CHUNKED + b"\r\n\r\n",
    "chunk of a negative size": (CHUNKED + b"-1\r\n{}\r\n0\r\n\r\n", End.CLOSE),
    "huge length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n{}",
    "huge chunk": (CHUNKED + b"ffffffffffff\r\n{}", End.CLOSE),
    "long header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"Content-Length: 2\r\n\r\n{}",
    "long status": b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n{}",
    "no status": b"HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    "HTTP/2": b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "other protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + http(),
    "other transfer encoding": http(b"{}", "Transfer-Encoding: gzip, chunked"),
    "other encoding": http(b"{}", "Content-Encoding: br"),
    "not gzip": http(b"{}", "Content-Encoding: gzip"),
}


@pytest.mark.parametrize("answer", UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_response_is_an_error_and_ends_its_connection(
    server: RawServer, api: AlpacaApi, answer: Answer
) -> None:
    server.answer(answer, http(b'{"second": true}'))

    with pytest.raises(ConnectionError):
        api.post("/first", ORDER)

    assert api.post("/second", ORDER) == {"second": True}
    assert [request.connection for request in server.requests] == [0, 1]


@pytest.mark.parametrize("sent", [b"", http(b'{"a": 1}')[:30], http(b'{"a": 1}')[:-3]], ids=["none", "headers", "body"])
def test_response_that_does_not_end_in_time_ends_its_connection(server: RawServer, sent: bytes) -> None:
    timeouts = iter([SHORT, TIMEOUTS])
    api = AlpacaApi(("key", "secret"), server.url, lambda: next(timeouts), lambda _: None)
    server.answer(sent, http(b'{"second": true}'))

    with pytest.raises(TimeoutError):
        api.post("/first", ORDER)

    assert api.post("/second", ORDER) == {"second": True}
    assert [request.connection for request in server.requests] == [0, 1]
    api.close()


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", CHUNKED + b"100000\r\n"], ids=["no length", "chunk"])
def test_response_without_a_length_is_bounded(
    server: RawServer, api: AlpacaApi, monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    monkeypatch.setattr(bounded_http, "MAX_RESPONSE_BYTES", 100_000)
    server.answer(head + b" " * 200_000)

    with pytest.raises(bounded_http.ResponseTooLarge):
        api.get("/orders")


def test_interim_responses_are_bounded(server: RawServer, api: AlpacaApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "MAX_RESPONSE_BYTES", 10_000)
    server.answer(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1_000)

    with pytest.raises(bounded_http.ResponseTooLarge):
        api.get("/orders")


def test_connection_that_was_reset_while_idle_is_replaced_before_anything_is_sent(
    server: RawServer, api: AlpacaApi
) -> None:
    server.answer((http(), End.RESET), http())
    api.get("/first")
    server.wait_for_end(0)

    api.post("/orders", ORDER)

    assert server.lines == ["GET /v2/first", "POST /v2/orders"]
    assert [request.connection for request in server.requests] == [0, 1]


def test_next_address_of_the_host_is_tried(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = [
        *socket.getaddrinfo("127.0.0.1", free_port(), type=socket.SOCK_STREAM),
        *socket.getaddrinfo("127.0.0.1", server.port, type=socket.SOCK_STREAM),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
    api = AlpacaApi(("key", "secret"), "http://broker.example", lambda: TIMEOUTS, lambda _: None)

    assert api.ask([("GET", "/first", None), ("GET", "/second", None)])() == [{}, {}]
    assert len(server.connections) == 2
    api.close()


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), None], ids=["unknown", "no address"])
def test_host_without_an_address_is_an_error(monkeypatch: pytest.MonkeyPatch, error: OSError | None) -> None:
    def resolve(*_: object, **__: object) -> list[object]:
        if error is not None:
            raise error
        return []

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    api = AlpacaApi(("key", "secret"), "http://broker.example", lambda: TIMEOUTS, lambda _: None)

    with pytest.raises(OSError, match=r"unknown|no address"):
        api.post("/orders", ORDER)


def test_connection_that_is_not_accepted_is_a_connect_timeout() -> None:
    with socket.socket() as listener:  # its queue takes one connection, and nobody accepts it
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with socket.create_connection(listener.getsockname()):
            api = AlpacaApi(("key", "secret"), url, lambda: SHORT[::-1], lambda _: None)

            answers = api.ask([("POST", "/orders", ORDER), ("GET", "/account", None)])()

    assert [type(answer) for answer in answers] == [TimeoutError, TimeoutError]


def test_connection_that_is_not_needed_any_more_is_closed(server: RawServer) -> None:
    steps = opening("127.0.0.1", server.port, 5, is_secure=False)
    next(steps)

    steps.close()

    assert an_api(server).get("/first") == {}  # accepted after the other one
    server.wait_for_end(0)


def test_request_that_cannot_be_written_in_time_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts nothing: the request fills the buffers
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        api = AlpacaApi(("key", "secret"), url, lambda: SHORT, lambda _: None)

        with pytest.raises(TimeoutError):
            api.post("/orders", {"text": "x" * 30_000_000})


def test_timeouts_are_asked_for_before_every_request(server: RawServer) -> None:
    timeouts = iter([TIMEOUTS, SHORT])
    api = AlpacaApi(("key", "secret"), server.url, lambda: next(timeouts), lambda _: None)
    server.answer(http(), None)
    api.get("/first")

    with pytest.raises(TimeoutError):
        api.get("/second")

    api.close()


def test_kept_connections_are_closed_with_the_client(server: RawServer, api: AlpacaApi) -> None:
    api.get("/first")

    api.close()

    assert server.connections[0].recv(1) == b""


def test_session_keeps_a_bounded_number_of_connections(server: RawServer, api: AlpacaApi) -> None:
    api.ask([("GET", "/clock", None)] * (http_session.MAX_KEPT + 2))()
    api.ask([("GET", "/clock", None)] * (http_session.MAX_KEPT + 2))()

    assert len(server.connections) == http_session.MAX_KEPT + 4
