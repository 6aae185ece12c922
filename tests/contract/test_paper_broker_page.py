"""The page: its files and data, the requests of its buttons, and the origins that may send them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from paper_broker.operator_buttons import OperatorButton
from paper_broker.server import PaperBroker
from tests.contract.sdk import Api, broker_world

PROGRAM = """
import json, pathlib, sys
file = pathlib.Path(sys.argv[1])
if sys.argv[2] != "state":
    file.write_text(sys.argv[2])
on = file.exists() and file.read_text() == "on"
print(json.dumps({"on": on, "text": "halted" if on else "active"}))
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PaperBroker]:
    """Start a broker with an operator button that works, and two that fail."""
    works = OperatorButton("Switch", [sys.executable, "-c", PROGRAM, str(tmp_path / "state")])
    broken = OperatorButton("Broken", [sys.executable, "-c", "raise SystemExit('no such switch')"])
    missing = OperatorButton("Missing", [str(tmp_path / "nothing")])
    with PaperBroker(broker_world(), operator_buttons=[works, broken, missing]) as running:
        yield running


def post(broker: PaperBroker, path: str, body: dict[str, Any], **headers: str) -> requests.Response:
    return requests.post(f"{broker.url}/admin/{path}", json=body, headers=headers, timeout=20)


def test_page_loads_nothing_from_other_origins(broker: PaperBroker) -> None:
    for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
        response = requests.get(broker.url + path, timeout=5)
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith(kind)
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert "://" not in response.text


def test_page_requests_are_not_counted(broker: PaperBroker, api: Api) -> None:
    requests.get(f"{broker.url}/", timeout=5)
    page = api.admin("GET", "page")
    assert (page["requests"]["total"], page["requests"]["log"]) == (0, [])


def test_page_shows_newest_orders_quotes_and_requests(api: Api) -> None:
    order = api.order(limit_price="9.50").json()
    page = api.admin("GET", "page")

    assert [o["id"] for o in page["orders"]] == [order["id"]]
    assert "ABC" in [q["symbol"] for q in page["quotes"]]
    assert page["requests"]["minute"]["trading"] == {"used": 1, "limit": 200}
    assert page["requests"]["log"][0]["path"] == "/v2/orders"
    assert {preset["name"]: preset["on"] for preset in page["fault_presets"]} == dict.fromkeys(
        ("slow", "down", "keys", "reject", "auctions", "halt"), False
    )


def test_fault_preset_is_turned_on_and_off(api: Api) -> None:
    assert api.admin("POST", "fault_preset", {"name": "down", "on": True}) == {"name": "down", "on": True}
    assert api("GET", "/v2/account").status_code == 503
    assert api.admin("GET", "page")["faults"] == 1

    assert api.admin("POST", "fault_preset", {"name": "down", "on": False}) == {"name": "down", "on": False}
    assert api("GET", "/v2/account").status_code == 200


@pytest.mark.parametrize("body", [{"name": "flood", "on": True}, {"name": "down", "on": "yes"}, {"name": "down"}, {}])
def test_invalid_fault_preset_request_is_rejected(broker: PaperBroker, body: dict[str, Any]) -> None:
    assert post(broker, "fault_preset", body).status_code == 422


def test_operator_button_is_pressed_and_read(broker: PaperBroker) -> None:
    def states() -> dict[str, Any]:
        buttons = requests.get(f"{broker.url}/admin/operator_buttons", timeout=20).json()
        return {button["name"]: (button["on"], button["text"]) for button in buttons}

    assert states()["Switch"] == (False, "active")
    pressed = post(broker, "operator_buttons", {"name": "Switch", "on": True}).json()
    assert pressed == {"name": "Switch", "on": True, "text": "halted"}
    assert states()["Switch"] == (True, "halted")
    post(broker, "operator_buttons", {"name": "Switch", "on": False})
    assert states() == {
        "Switch": (False, "active"),
        "Broken": (None, "no such switch"),
        "Missing": (None, states()["Missing"][1]),
    }
    assert "FileNotFoundError" in states()["Missing"][1]


@pytest.mark.parametrize("body", [{"name": "Other", "on": True}, {"name": "Switch", "on": "state; rm"}, {}])
def test_unknown_operator_button_is_rejected(broker: PaperBroker, body: dict[str, Any]) -> None:
    assert post(broker, "operator_buttons", body).status_code == 422


@pytest.mark.parametrize("command", ["halt", "[]", "[1]", "{}"])
def test_command_of_an_operator_button_must_be_a_list_of_strings(command: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json.JSONDecodeError is a ValueError
        OperatorButton.parse("Switch", command)


@pytest.mark.parametrize(
    ("path", "body"),
    [("operator_buttons", {"name": "Switch", "on": True}), ("fault_preset", {"name": "down", "on": True})],
)
def test_other_origins_cannot_press_buttons(broker: PaperBroker, path: str, body: dict[str, Any]) -> None:
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        assert post(broker, path, body, Origin=origin).status_code == 403
    assert post(broker, path, body, Host="evil.example").status_code == 403
    assert post(broker, path, body, Origin=broker.url).status_code == 200


def test_foreign_host_names_are_forbidden(broker: PaperBroker) -> None:
    for path in ("/", "/admin/page", "/admin/state"):
        response = requests.get(broker.url + path, headers={"Host": "evil.example"}, timeout=5)
        assert response.status_code == 403
        assert json.loads(response.text)["message"] == "host evil.example is not allowed: use 127.0.0.1"
