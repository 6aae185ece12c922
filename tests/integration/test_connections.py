"""Connections to the broker: reused between invocations, and replaced after the server has closed them."""

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
    """Server that responds to every request with an empty JSON object and records connections and requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.connections: list[socket.socket] = []
        self.methods: list[str] = []

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}"

    def close_connections(self) -> None:
        """Close every connection, as servers do with idle ones."""
        for connection in self.connections:
            connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open
    server: Broker

    def setup(self) -> None:
        super().setup()
        self.server.connections.append(self.connection)

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.methods.append(self.command)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


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

    assert broker.methods == ["GET", "POST", "GET"]
    assert len(broker.connections) == 1


def test_order_after_a_closed_connection_is_sent_once_over_a_new_one(broker: Broker, api: AlpacaApi) -> None:
    """The order is not sent over the closed connection, where its outcome would be unknown."""
    api.get("/clock")
    broker.close_connections()

    api.post("/orders", ORDER)

    assert broker.methods == ["GET", "POST"]
    assert len(broker.connections) == 2
