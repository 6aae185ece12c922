"""Connections to the broker: kept between invocations, and replaced where the other end closed them meanwhile."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from rebalance_executor.adapters.alpaca.client import AlpacaApi
from tests.support.processes import LOOPBACK

ORDER = {"symbol": "SPY", "client_order_id": "one"}


class Broker(ThreadingHTTPServer):
    """Answers everything with an empty document, and remembers what came over which connection."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), _Answer)
        self.opened: list[socket.socket] = []
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}"

    def hang_up(self) -> None:
        """End every connection, as servers do with those that were idle for long."""
        for connection in self.opened:
            connection.shutdown(socket.SHUT_RDWR)


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    server: Broker

    def setup(self) -> None:
        super().setup()
        self.server.opened.append(self.connection)

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(self.command)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Nothing: stderr is the tests'."""


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as broker:
        thread = Thread(target=broker.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield broker
        broker.shutdown()
        thread.join()


@pytest.fixture
def api(broker: Broker) -> Iterator[AlpacaApi]:
    api = AlpacaApi(("key", "secret"), broker.url, lambda: (2.0, 5.0), lambda _: None)
    yield api
    api.close()


def test_requests_share_one_connection(broker: Broker, api: AlpacaApi) -> None:
    api.get("/clock")
    api.post("/orders", ORDER)
    api.get("/orders")

    assert broker.asked == ["GET", "POST", "GET"]
    assert len(broker.opened) == 1


def test_after_a_freeze_an_order_is_sent_once_over_a_new_connection(broker: Broker, api: AlpacaApi) -> None:
    """Nothing of it goes into the dead connection: its outcome would be unknown."""
    api.get("/clock")
    broker.hang_up()

    api.post("/orders", ORDER)

    assert broker.asked == ["GET", "POST"]
    assert len(broker.opened) == 2
