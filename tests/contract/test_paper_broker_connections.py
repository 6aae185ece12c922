"""HTTP connections: latency, concurrency, and responses that are reproducible to the byte."""

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from paper_broker.server import PaperBroker
from tests.contract.sdk import KEYS, broker_world

ORDERS = 40
DELAYED_ACKNOWLEDGEMENT = 0.04
"""Seconds that TCP delays the second part of a response sent in two parts (Nagle's algorithm and delayed ACK)."""


def send(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> tuple[int, Any, bytes]:
    """Send one request; return status, headers and body."""
    connection.request(method, path, None if body is None else json.dumps(body), KEYS)
    response = connection.getresponse()
    return response.status, response.getheaders(), response.read()


def connect(broker: PaperBroker) -> http.client.HTTPConnection:
    """Return a keep-alive connection to the broker."""
    return http.client.HTTPConnection(broker.url.removeprefix("http://"), timeout=10)


def order(n: int, **changes: Any) -> dict[str, Any]:
    """Return the request body of the nth order."""
    return {
        "symbol": "ABC",
        "qty": "1",
        "side": "buy",
        "type": "limit",
        "limit_price": "10.02",
        "time_in_force": "day",
        "client_order_id": f"order-{n}",
        **changes,
    }


def test_response_does_not_wait_for_a_tcp_acknowledgement(tmp_path: Path) -> None:
    with PaperBroker(broker_world(), state=tmp_path / "state.json") as broker:
        connection = connect(broker)
        start = time.perf_counter()
        statuses = [send(connection, "POST", "/v2/orders", order(n))[0] for n in range(ORDERS)]
        seconds = time.perf_counter() - start
        connection.close()

    assert statuses == [200] * ORDERS
    assert seconds < ORDERS * DELAYED_ACKNOWLEDGEMENT


def test_concurrent_submissions_are_all_kept(tmp_path: Path) -> None:
    def submit(n: int) -> int:
        connection = connect(broker)
        status, _, _ = send(connection, "POST", "/v2/orders", order(n))
        connection.close()
        return status

    with PaperBroker(broker_world(), state=tmp_path / "state.json") as broker:
        with ThreadPoolExecutor(ORDERS) as clients:
            statuses = list(clients.map(submit, range(ORDERS)))
        listed = broker.app.dump()["exchange"]["orders"]

    assert statuses == [200] * ORDERS
    assert sorted(order["client_order_id"] for order in listed) == sorted(f"order-{n}" for n in range(ORDERS))


def history(seed: int) -> list[tuple[int, Any, bytes]]:
    """Send a fixed list of requests to a new broker; return all responses, including headers."""
    world = broker_world(seed=seed, default_fill={"behaviour": "random"}, drift={"basis_points": 5})
    with PaperBroker(world) as broker:
        connection = connect(broker)
        responses = [send(connection, "POST", "/v2/orders", order(n, symbol=("ABC", "XYZ")[n % 2])) for n in range(12)]
        for path in ("/v2/orders?status=all", "/v2/account", "/v2/positions", "/v2/stocks/snapshots?symbols=XYZ,ABC"):
            send(connection, "POST", "/admin/clock", {"advance_seconds": 3})
            responses.append(send(connection, "GET", path))
        responses.append(send(connection, "GET", "/admin/state"))
        connection.close()
    return responses


def test_same_seed_and_requests_give_the_same_bytes() -> None:
    assert history(3) == history(3)


def test_another_seed_gives_other_responses() -> None:
    assert history(3) != history(4)


@pytest.mark.parametrize("path", ["/v2/account", "/v2/positions", "/v2/stocks/quotes/latest?symbols=ABC"])
def test_response_arrives_in_one_piece(path: str) -> None:
    with PaperBroker(broker_world()) as broker:
        connection = connect(broker)
        connection.connect()
        assert connection.sock is not None
        keys = "".join(f"{name}: {value}\r\n" for name, value in KEYS.items())
        connection.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: broker\r\n{keys}\r\n".encode())
        head, _, body = connection.sock.recv(1 << 16).partition(b"\r\n\r\n")
        connection.close()

    assert head.startswith(b"HTTP/1.1 200")
    assert json.loads(body)
