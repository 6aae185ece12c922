"""Faults over HTTP: the client's view, and whether the request took effect. Error statuses are in the error table."""

import threading
from typing import Any

import pytest
import requests

from paper_broker.server import PaperBroker
from tests.contract.sdk import Api, broker_world

CLIENT_TIMEOUT = 0.4
"""Seconds; enough for a busy machine to process a request."""


def arm(api: Api, **fault: Any) -> None:
    """Arm one fault for submissions."""
    api.admin("POST", "faults", {"method": "POST", "path": "^/v2/orders$", **fault})


def exists(api: Api, client_order_id: str) -> bool:
    """Return whether the broker has this order."""
    return api("GET", f"/v2/orders:by_client_order_id?client_order_id={client_order_id}").status_code == 200


def submit(api: Api, timeout: float = 10) -> requests.Response:
    """Submit the order that the fault applies to."""
    body = {"symbol": "ABC", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    return api("POST", "/v2/orders", timeout, json={**body, "client_order_id": "plan-1"})


@pytest.mark.parametrize(("when", "took_effect"), [("before", False), ("after", True)])
def test_order_can_exist_after_a_dropped_connection(api: Api, when: str, took_effect: bool) -> None:
    arm(api, kind="drop", when=when)

    with pytest.raises(requests.ConnectionError):
        submit(api)

    assert exists(api, "plan-1") is took_effect


@pytest.mark.parametrize(("when", "took_effect"), [("before", False), ("after", True)])
def test_hanging_request_times_out_and_does_not_block_others(api: Api, when: str, took_effect: bool) -> None:
    arm(api, kind="hang", when=when, seconds=30)

    with pytest.raises(requests.ReadTimeout):
        submit(api, CLIENT_TIMEOUT)

    assert exists(api, "plan-1") is took_effect


@pytest.mark.parametrize("when", ["before", "after"])
def test_delayed_response_exceeds_the_client_timeout(api: Api, when: str) -> None:
    arm(api, kind="latency", when=when, seconds=30)

    with pytest.raises(requests.ReadTimeout):
        submit(api, CLIENT_TIMEOUT)

    assert exists(api, "plan-1") is (when == "after")


def test_delayed_response_is_complete(api: Api) -> None:
    arm(api, kind="latency", when="before", seconds=0.01)

    assert submit(api).json()["client_order_id"] == "plan-1"


@pytest.mark.parametrize(
    ("body", "content_type", "starts"), [("json", "application/json", "{"), ("html", "text/html", "<html>")]
)
def test_error_response_has_the_requested_body(api: Api, body: str, content_type: str, starts: str) -> None:
    arm(api, kind="status", status=503, body=body)

    response = submit(api)

    assert response.headers["Content-Type"].startswith(content_type)
    assert response.text.startswith(starts)


def test_error_response_can_be_empty(api: Api) -> None:
    arm(api, kind="status", status=502, body="empty")

    assert submit(api).content == b""


def test_429_fault_reports_no_remaining_requests(api: Api) -> None:
    arm(api, kind="status", status=429)

    headers = submit(api).headers

    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("200", "0")


def test_disarmed_fault_does_not_apply(api: Api) -> None:
    arm(api, kind="drop", count=None)
    api.admin("DELETE", "faults")

    assert submit(api).status_code == 200


def test_broker_stops_while_a_request_hangs() -> None:
    with PaperBroker(broker_world(faults=[{"kind": "hang", "seconds": 600}])) as broker:
        api = Api(broker.url)
        started = threading.Event()
        errors: list[Exception] = []

        def read_account() -> None:
            started.set()
            try:
                api("GET", "/v2/account")
            except requests.ConnectionError as error:
                errors.append(error)

        client = threading.Thread(target=read_account)
        client.start()
        started.wait()
    client.join(timeout=10)
    api.close()

    assert len(errors) == 1
