"""Answers that do not come from the broker's order check, over HTTP: odd statuses, redirects, endless bodies."""

import gzip
import json
import socket
import threading
from typing import Any

import pytest
import requests

from paper_broker.http_server import Handler
from paper_broker.server import PaperBroker
from tests.contract.sdk import KEYS, Api, APIError, Sdk, broker_world

MEGABYTE = 1 << 20
ORDER = {
    "symbol": "ABC",
    "qty": "1",
    "side": "buy",
    "type": "limit",
    "limit_price": "9.50",
    "time_in_force": "day",
}


def arm(api: Api, **fault: Any) -> None:
    """Arm one fault."""
    api.admin("POST", "faults", fault)


def open_orders(api: Api) -> list[str]:
    """Return the statuses of all open orders."""
    return [order["status"] for order in api("GET", "/v2/orders").json()]


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 405, 408, 409, 413, 422, 425, 429, 451, 499, 500, 504, 520, 599]
)
@pytest.mark.parametrize(("when", "taken"), [("before", []), ("after", ["new"])])
def test_every_error_status_is_possible_before_and_after_an_order_is_taken(
    api: Api, status: int, when: str, taken: list[str]
) -> None:
    arm(api, kind="status", status=status, when=when, method="POST")

    response = api.order(limit_price="9.50")

    assert (response.status_code, response.json()["code"]) == (status, status * 100_000 + 10_000)
    assert open_orders(api) == taken


def test_error_can_have_alpacas_code_and_message(api: Api, trading: Sdk) -> None:
    arm(api, kind="status", status=404, code=40410000, message="endpoint not found", path="^/v2/assets/")

    with pytest.raises(APIError) as failed:
        trading.get_asset("ABC")

    assert (failed.value.status_code, failed.value.code) == (404, 40410000)
    assert failed.value.message == "endpoint not found"
    assert trading.get_asset("ABC").symbol == "ABC"


@pytest.mark.parametrize("status", [400, 403, 409, 499])
def test_error_can_lack_a_code(api: Api, status: int) -> None:
    arm(api, kind="status", status=status, code=None, message="Forbidden", method="POST")

    response = api.order()

    assert (response.status_code, response.json()) == (status, {"message": "Forbidden"})


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [("html", "text/html", "<html><body><h1>403 blocked</h1></body></html>"), ("empty", "text/html", "")],
)
def test_error_can_have_a_body_that_is_not_json(api: Api, body: str, content_type: str, text: str) -> None:
    arm(api, kind="status", status=403, body=body, message="blocked")

    response = api("GET", "/v2/account")

    assert (response.status_code, response.headers["Content-Type"], response.text) == (403, content_type, text)


def test_refused_keys_are_a_fault_preset(api: Api) -> None:
    api.admin("POST", "fault_preset", {"name": "keys", "on": True})
    refused = [api("GET", "/v2/account"), api.order()]
    api.admin("POST", "fault_preset", {"name": "keys", "on": False})

    assert [(r.status_code, r.json()) for r in refused] == [(403, {"message": "forbidden."})] * 2
    assert api("GET", "/v2/account").status_code == 200


@pytest.mark.parametrize(("when", "statuses"), [("before", ["new"]), ("after", [])])
def test_cancel_can_be_redirected(api: Api, when: str, statuses: list[str]) -> None:
    order = api.order(limit_price="9.50").json()
    arm(api, kind="redirect", method="DELETE", when=when)

    response = api("DELETE", f"/v2/orders/{order['id']}", allow_redirects=False)

    assert (response.status_code, response.headers["Location"], response.content) == (302, "/v2/clock", b"")
    assert open_orders(api) == statuses


def test_client_that_follows_a_redirect_takes_it_for_success(api: Api) -> None:
    arm(api, kind="redirect", method="DELETE")

    response = api("DELETE", "/v2/orders/none")

    assert (response.status_code, response.json()["is_open"]) == (200, True)
    assert [entry["status"] for entry in api.admin("GET", "requests")["log"]] == [302, 200]


def test_drip_sends_the_whole_response_byte_by_byte(api: Api) -> None:
    arm(api, kind="drip", seconds=0, method="POST")

    with api("POST", "/v2/orders", json=ORDER, stream=True) as response:
        pieces = list(response.raw.stream(1))

    assert json.loads(b"".join(pieces))["symbol"] == "ABC"
    assert int(response.headers["Content-Length"]) == len(pieces)
    assert open_orders(api) == ["new"]


def test_dripping_response_takes_effect_and_outlasts_the_clients_patience(api: Api) -> None:
    arm(api, kind="drip", seconds=30, method="POST")

    with api("POST", "/v2/orders", 0.4, json=ORDER, stream=True) as response:
        assert response.status_code == 200
        assert response.raw.read(1) == b"{"
        with pytest.raises(requests.exceptions.ConnectionError):
            list(response.iter_content(1))

    assert open_orders(api) == ["new"]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("when", "taken"), [("before", []), ("after", ["new"])])
def test_body_can_be_many_megabytes(api: Api, packed: bool, when: str, taken: list[str]) -> None:
    arm(api, kind="oversize", megabytes=5, gzip=packed, method="POST", when=when)

    with api("POST", "/v2/orders", json=ORDER, stream=True) as response:
        raw = response.raw.read(decode_content=False)

    body = gzip.decompress(raw) if packed else raw
    assert (response.status_code, len(json.loads(body)["message"])) == (200, 5 * MEGABYTE)
    assert int(response.headers["Content-Length"]) == len(raw)
    assert (len(raw) < MEGABYTE // 10) is packed
    assert open_orders(api) == taken


def request_account(broker: PaperBroker) -> socket.socket:
    """Request the account; return the connection, from which nothing was read."""
    host, port = broker.url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)), timeout=20)
    headers = "".join(f"{name}: {value}\r\n" for name, value in KEYS.items())
    client.sendall(f"GET /v2/account HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n".encode())
    return client


def received(client: socket.socket) -> int:
    """Read until the connection ends; return the number of bytes."""
    total = 0
    try:
        while piece := client.recv(MEGABYTE):
            total += len(piece)
    except ConnectionResetError:
        pass
    finally:
        client.close()
    return total


def test_client_that_reads_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "stall_seconds", 0.1)
    with PaperBroker(broker_world(faults=[{"kind": "oversize", "megabytes": 256}])) as broker:
        others = set(threading.enumerate())
        client = request_account(broker)
        assert client.recv(4) == b"HTTP"
        (handler,) = set(threading.enumerate()) - others

        handler.join(timeout=20)

        assert not handler.is_alive()
        assert received(client) < 256 * MEGABYTE


@pytest.mark.parametrize(
    "fault", [{"kind": "oversize", "megabytes": 256}, {"kind": "drip", "seconds": 600}], ids=["oversize", "drip"]
)
def test_broker_stops_while_a_body_is_sent(fault: dict[str, Any]) -> None:
    with PaperBroker(broker_world(faults=[fault])) as broker:
        client = request_account(broker)
        assert client.recv(4) == b"HTTP"

    assert received(client) < 256 * MEGABYTE
