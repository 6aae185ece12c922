"""Faults on the wire: what a client sees of them, and whether its request took effect all the same."""

import threading
from typing import Any

import pytest
import requests

from paper_broker.server import PaperBroker
from tests.contract.sdk import Api, broker_world

IMPATIENT = 0.4
"""Seconds; enough for a busy machine to carry a request out."""


def arm(api: Api, **fault: Any) -> None:
    """Arm one fault for submissions."""
    api.admin("POST", "faults", {"method": "POST", "path": "^/v2/orders$", **fault})


def exists(api: Api, client_order_id: str) -> bool:
    """Whether the broker has an order."""
    return api("GET", f"/v2/orders:by_client_order_id?client_order_id={client_order_id}").status_code == 200


def submit(api: Api, timeout: float = 10) -> requests.Response:
    """Submit the order that meets the fault."""
    body = {"symbol": "ABC", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    return api("POST", "/v2/orders", timeout, json={**body, "client_order_id": "plan-1"})


@pytest.mark.parametrize(("when", "took_effect"), [("before", False), ("after", True)])
def test_a_dropped_connection_hides_whether_the_order_exists(api: Api, when: str, took_effect: bool) -> None:
    arm(api, kind="drop", when=when)

    with pytest.raises(requests.ConnectionError):
        submit(api)

    assert exists(api, "plan-1") is took_effect


@pytest.mark.parametrize(("when", "took_effect"), [("before", False), ("after", True)])
def test_a_hanging_request_times_out_and_holds_up_no_other(api: Api, when: str, took_effect: bool) -> None:
    arm(api, kind="hang", when=when, seconds=30)

    with pytest.raises(requests.ReadTimeout):
        submit(api, IMPATIENT)

    assert exists(api, "plan-1") is took_effect


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_late_answer_comes_too_late_for_the_impatient(api: Api, when: str) -> None:
    arm(api, kind="latency", when=when, seconds=30)

    with pytest.raises(requests.ReadTimeout):
        submit(api, IMPATIENT)

    assert exists(api, "plan-1") is (when == "after")


def test_a_late_answer_is_the_right_one(api: Api) -> None:
    arm(api, kind="latency", when="before", seconds=0.01)

    assert submit(api).json()["client_order_id"] == "plan-1"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize(("when", "took_effect"), [("before", False), ("after", True)])
def test_a_failing_answer_may_belong_to_an_order_that_exists(
    api: Api, status: int, when: str, took_effect: bool
) -> None:
    arm(api, kind="status", status=status, when=when)

    assert submit(api).status_code == status

    assert exists(api, "plan-1") is took_effect


@pytest.mark.parametrize(
    ("body", "content_type", "starts"), [("json", "application/json", "{"), ("html", "text/html", "<html>")]
)
def test_a_failing_answer_has_the_body_it_was_told_to_have(api: Api, body: str, content_type: str, starts: str) -> None:
    arm(api, kind="status", status=503, body=body)

    response = submit(api)

    assert response.headers["Content-Type"].startswith(content_type)
    assert response.text.startswith(starts)


def test_a_failing_answer_may_be_empty(api: Api) -> None:
    arm(api, kind="status", status=502, body="empty")

    assert submit(api).content == b""


def test_a_failing_answer_that_speaks_of_the_rate_limit_leaves_nothing_of_it(api: Api) -> None:
    arm(api, kind="status", status=429)

    headers = submit(api).headers

    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("200", "0")


def test_faults_are_disarmed(api: Api) -> None:
    arm(api, kind="drop", count=None)
    api.admin("DELETE", "faults")

    assert submit(api).status_code == 200


def test_the_broker_stops_while_a_request_hangs() -> None:
    with PaperBroker(broker_world(faults=[{"kind": "hang", "seconds": 600}])) as broker:
        api = Api(broker.url)
        asked = threading.Event()
        failed: list[Exception] = []

        def ask() -> None:
            asked.set()
            try:
                api("GET", "/v2/account")
            except requests.ConnectionError as error:
                failed.append(error)

        client = threading.Thread(target=ask)
        client.start()
        asked.wait()
    client.join(timeout=10)
    api.close()

    assert len(failed) == 1
