"""The connection itself: fast, kept alive, and the same to the byte for the same history."""

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
"""Seconds that TCP holds back an answer which is sent in two pieces."""


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> tuple[int, Any, bytes]:
    """Send one request; gives status, headers and body."""
    connection.request(method, path, None if body is None else json.dumps(body), KEYS)
    response = connection.getresponse()
    return response.status, response.getheaders(), response.read()


def connect(broker: PaperBroker) -> http.client.HTTPConnection:
    """A connection that is kept alive; closed by the broker's end."""
    return http.client.HTTPConnection(broker.url.removeprefix("http://"), timeout=10)


def order(n: int, **changes: Any) -> dict[str, Any]:
    """The nth order."""
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


def test_no_answer_waits_for_an_acknowledgement(tmp_path: Path) -> None:
    with PaperBroker(broker_world(), state=tmp_path / "state.json") as broker:
        connection = connect(broker)
        begin = time.perf_counter()
        answers = [ask(connection, "POST", "/v2/orders", order(n))[0] for n in range(ORDERS)]
        seconds = time.perf_counter() - begin
        connection.close()

    assert answers == [200] * ORDERS
    assert seconds < ORDERS * DELAYED_ACKNOWLEDGEMENT


def test_many_connections_at_once_lose_nothing(tmp_path: Path) -> None:
    def submit(n: int) -> int:
        connection = connect(broker)
        status, _, _ = ask(connection, "POST", "/v2/orders", order(n))
        connection.close()
        return status

    with PaperBroker(broker_world(), state=tmp_path / "state.json") as broker:
        with ThreadPoolExecutor(ORDERS) as clients:
            answers = list(clients.map(submit, range(ORDERS)))
        listed = broker.venue.dump()["exchange"]["orders"]

    assert answers == [200] * ORDERS
    assert sorted(order["client_order_id"] for order in listed) == sorted(f"order-{n}" for n in range(ORDERS))


def history(seed: int) -> list[tuple[int, Any, bytes]]:
    """Every answer of one broker to a fixed list of requests, headers included."""
    world = broker_world(seed=seed, default_fill={"behaviour": "random"}, drift={"basis_points": 5})
    with PaperBroker(world) as broker:
        connection = connect(broker)
        answers = [ask(connection, "POST", "/v2/orders", order(n, symbol=("ABC", "XYZ")[n % 2])) for n in range(12)]
        for path in ("/v2/orders?status=all", "/v2/account", "/v2/positions", "/v2/stocks/snapshots?symbols=XYZ,ABC"):
            ask(connection, "POST", "/admin/clock", {"advance_seconds": 3})
            answers.append(ask(connection, "GET", path))
        answers.append(ask(connection, "GET", "/admin/state"))
        connection.close()
    return answers


def test_the_same_seed_and_requests_give_the_same_bytes() -> None:
    assert history(3) == history(3)


def test_another_seed_gives_other_answers() -> None:
    assert history(3) != history(4)


@pytest.mark.parametrize("path", ["/v2/account", "/v2/positions", "/v2/stocks/quotes/latest?symbols=ABC"])
def test_an_answer_arrives_in_one_piece(path: str) -> None:
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
