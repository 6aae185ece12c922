"""Responses that never end, never stop growing or cannot be read: every request ends in time, with a typed error."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from decimal import Decimal
from typing import BinaryIO

import boto3
import pytest
from botocore.exceptions import BotoCoreError

from rebalance_executor.adapters import bounded_http
from rebalance_executor.adapters.alpaca import http_session
from rebalance_executor.adapters.alpaca.broker import AlpacaBroker
from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.adapters.aws import bound_responses, client_config
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import BrokerUnavailable, OutcomeUnknown
from rebalance_executor.domain.market import OrderRequest, OrderType, Side
from rebalance_executor.settings import Settings
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW

REQUEST = OrderRequest("c-1", "AAA", Side.BUY, OrderType.MARKET, Decimal(1))
ACCOUNT = b'{"account_number": "PA1", "status": "ACTIVE", "cash": "100.10", "buying_power": "200.2"}'
TIMEOUT = 0.4

READ: Callable[[AlpacaBroker], object] = lambda broker: broker.account()  # noqa: E731 - a table of requests
CANCEL: Callable[[AlpacaBroker], object] = lambda broker: broker.cancel("1")  # noqa: E731
SUBMISSION: Callable[[AlpacaBroker], object] = lambda broker: broker.submit(REQUEST)  # noqa: E731
REQUESTS = pytest.mark.parametrize(
    ("ask", "error"),
    [(READ, BrokerUnavailable), (CANCEL, BrokerUnavailable), (SUBMISSION, OutcomeUnknown)],
    ids=["read", "cancel", "submission"],
)


def http(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a response with this body."""
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join([b"HTTP/1.1 " + status, b"Content-Type: application/json", length, *headers, b"", body])


class Server:
    """A server that answers every request with ``answer``, in pieces, with a pause before each piece."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.answer: list[bytes] = []
        self.pause = 0.0
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def drip(self, answer: bytes) -> None:
        """Answer one byte at a time, each well within the read timeout."""
        self.answer, self.pause = [answer[i : i + 1] for i in range(len(answer))], TIMEOUT / 4

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as requests:
            while _read(requests):
                for piece in self.answer:
                    time.sleep(self.pause)
                    connection.sendall(piece)


def _read(requests: BinaryIO) -> bool:
    """Read one whole request, which may arrive in parts; return False at the end of the connection."""
    line, length = requests.readline(), 0
    if not line:
        return False
    while (line := requests.readline()) not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
    requests.read(length)
    return True


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def broker(server: Server) -> Iterator[AlpacaBroker]:
    values = {"EXECUTION_TABLE": "t", "IDEMPOTENCY_TABLE": "i", "ALPACA_TRADING_URL": server.url}
    config = ExecutionConfig.model_validate({"read_timeout_seconds": str(TIMEOUT)})
    clock = SimulatedClock(NOW)
    broker = AlpacaBroker(
        Credentials("key", "secret", None), Settings.model_validate(values), config, clock, lambda _: None
    )
    broker.set_deadline(clock.now() + timedelta(milliseconds=500))
    yield broker
    broker.close()


@contextmanager
def takes_less_than(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


def test_connection_is_used_again(server: Server, broker: AlpacaBroker) -> None:
    for answer in (http(ACCOUNT), http(gzip.compress(ACCOUNT), b"Content-Encoding: gzip")):
        server.answer = [answer]
        assert broker.account().cash == Decimal("100.10")

    assert server.connections == 1


@REQUESTS
@pytest.mark.parametrize("start", [0, http(ACCOUNT).index(b"\r\n\r\n") + 4], ids=["headers", "body"])
def test_slow_drip_ends_with_the_read_timeout(
    server: Server, broker: AlpacaBroker, ask: Callable[[AlpacaBroker], object], error: type[Exception], start: int
) -> None:
    answer = http(ACCOUNT)
    server.drip(answer[start:])
    server.answer[0] = answer[: start + 1]

    with takes_less_than(TIMEOUT * 4 + 2), pytest.raises(error):
        ask(broker)


@REQUESTS
def test_small_answer_that_unpacks_to_a_large_one_is_not_unpacked(
    server: Server,
    broker: AlpacaBroker,
    ask: Callable[[AlpacaBroker], object],
    error: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_session, "MAX_RESPONSE_BYTES", 100_000)
    server.answer = [http(gzip.compress(b" " * 1_000_000 + ACCOUNT), b"Content-Encoding: gzip")]

    with pytest.raises(error):
        ask(broker)


@REQUESTS
def test_size_of_an_answer_is_bounded(
    server: Server,
    broker: AlpacaBroker,
    ask: Callable[[AlpacaBroker], object],
    error: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounded_http, "MAX_RESPONSE_BYTES", 100_000)
    server.answer = [http(b" " * 200_000 + ACCOUNT)]

    with pytest.raises(error):
        ask(broker)


NESTED = b"[" * 100_000 + b"]" * 100_000
UNREADABLE = {
    "nested": http(NESTED),
    "many digits": http(b'{"cash": %s}' % (b"9" * 10_000)),
    "not gzip": http(ACCOUNT, b"Content-Encoding: gzip"),
    "cut gzip": http(gzip.compress(ACCOUNT)[:-12], b"Content-Encoding: gzip"),
    "other encoding": http(ACCOUNT, b"Content-Encoding: br"),
    "redirect": http(b"", b"Location: https://example.com/", status=b"302 Found"),
    "redirect with JSON": http(ACCOUNT, b"Location: /v2/account", status=b"307 Temporary Redirect"),
    "nested error": http(NESTED, status=b"422 Unprocessable"),
    "number in an error": http(b'{"message": "x", "a": 1e9999999999999999999}', status=b"500 Error"),
    "bad chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "no HTTP": b"220 smtp.example.com ESMTP\r\n",
}


@REQUESTS
@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_answer_is_a_typed_error(
    server: Server,
    broker: AlpacaBroker,
    ask: Callable[[AlpacaBroker], object],
    error: type[Exception],
    answer: bytes,
) -> None:
    server.answer = [answer]

    with pytest.raises(error):
        ask(broker)


def test_slow_drip_of_aws_ends_with_the_read_timeout(server: Server) -> None:
    config = client_config(read_seconds=TIMEOUT, attempts=1)
    aws = bound_responses(
        boto3.client(
            "dynamodb",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
            config=config,
        )
    )
    server.answer = [http(b'{"TableNames": []}')]
    assert aws.list_tables()["TableNames"] == []

    server.drip(http(b'{"TableNames": []}'))
    with takes_less_than(TIMEOUT * 4 + 2), pytest.raises(BotoCoreError):
        aws.list_tables()
