"""The page's server side: what it shows, what its buttons ask for, and who may ask."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from paper_broker.operator_buttons import Lever
from paper_broker.server import PaperBroker
from tests.contract.sdk import Api, broker_world

PROGRAM = """
import json, pathlib, sys
note = pathlib.Path(sys.argv[1])
if sys.argv[2] != "state":
    note.write_text(sys.argv[2])
on = note.exists() and note.read_text() == "on"
print(json.dumps({"on": on, "text": "pulled" if on else "at rest"}))
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PaperBroker]:
    """A broker with a lever that works, and one that does not."""
    works = Lever("Switch", [sys.executable, "-c", PROGRAM, str(tmp_path / "note")])
    broken = Lever("Broken", [sys.executable, "-c", "raise SystemExit('no such switch')"])
    missing = Lever("Missing", [str(tmp_path / "nothing")])
    with PaperBroker(broker_world(), levers=[works, broken, missing]) as running:
        yield running


def post(broker: PaperBroker, path: str, body: dict[str, Any], **headers: str) -> requests.Response:
    return requests.post(f"{broker.url}/admin/{path}", json=body, headers=headers, timeout=20)


def test_the_page_comes_whole_and_from_nowhere_else(broker: PaperBroker) -> None:
    for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
        answer = requests.get(broker.url + path, timeout=5)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith(kind)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "://" not in answer.text


def test_looking_at_the_page_is_no_request_to_alpaca(broker: PaperBroker, api: Api) -> None:
    requests.get(f"{broker.url}/", timeout=5)
    shown = api.admin("GET", "page")
    assert (shown["requests"]["total"], shown["requests"]["log"]) == (0, [])


def test_it_shows_the_newest_orders_with_quotes_and_requests(api: Api) -> None:
    order = api.order(limit_price="9.50").json()
    shown = api.admin("GET", "page")

    assert [o["id"] for o in shown["orders"]] == [order["id"]]
    assert "ABC" in [q["symbol"] for q in shown["quotes"]]
    assert shown["requests"]["minute"]["trading"] == {"used": 1, "limit": 200}
    assert shown["requests"]["log"][0]["path"] == "/v2/orders"
    assert {drill["key"]: drill["on"] for drill in shown["drills"]} == dict.fromkeys(
        ("slow", "down", "reject", "halt"), False
    )


def test_a_drill_is_switched_on_and_off(api: Api) -> None:
    assert api.admin("POST", "drill", {"name": "down", "on": True}) == {"name": "down", "on": True}
    assert api("GET", "/v2/account").status_code == 503
    assert api.admin("GET", "page")["faults"] == 1

    assert api.admin("POST", "drill", {"name": "down", "on": False}) == {"name": "down", "on": False}
    assert api("GET", "/v2/account").status_code == 200


@pytest.mark.parametrize("body", [{"name": "flood", "on": True}, {"name": "down", "on": "yes"}, {"name": "down"}, {}])
def test_a_drill_that_makes_no_sense_is_refused(broker: PaperBroker, body: dict[str, Any]) -> None:
    assert post(broker, "drill", body).status_code == 422


def test_a_lever_is_pulled_and_asked(broker: PaperBroker) -> None:
    def stands() -> dict[str, Any]:
        told = requests.get(f"{broker.url}/admin/levers", timeout=20).json()
        return {lever["name"]: (lever["on"], lever["text"]) for lever in told}

    assert stands()["Switch"] == (False, "at rest")
    pulled = post(broker, "levers", {"name": "Switch", "on": True}).json()
    assert pulled == {"name": "Switch", "on": True, "text": "pulled"}
    assert stands()["Switch"] == (True, "pulled")
    post(broker, "levers", {"name": "Switch", "on": False})
    assert stands() == {
        "Switch": (False, "at rest"),
        "Broken": (None, "no such switch"),
        "Missing": (None, stands()["Missing"][1]),
    }
    assert "FileNotFoundError" in stands()["Missing"][1]


@pytest.mark.parametrize("body", [{"name": "Other", "on": True}, {"name": "Switch", "on": "state; rm"}, {}])
def test_a_lever_that_there_is_not_is_not_run(broker: PaperBroker, body: dict[str, Any]) -> None:
    assert post(broker, "levers", body).status_code == 422


@pytest.mark.parametrize("command", ["halt", "[]", "[1]", "{}"])
def test_a_levers_command_is_a_list_of_words(command: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's own error is one
        Lever.parse("Switch", command)


@pytest.mark.parametrize(
    ("path", "body"), [("levers", {"name": "Switch", "on": True}), ("drill", {"name": "down", "on": True})]
)
def test_pages_of_others_press_no_button(broker: PaperBroker, path: str, body: dict[str, Any]) -> None:
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        assert post(broker, path, body, Origin=origin).status_code == 403
    assert post(broker, path, body, Host="evil.example").status_code == 403
    assert post(broker, path, body, Origin=broker.url).status_code == 200


def test_a_name_that_was_led_here_by_a_trick_sees_nothing(broker: PaperBroker) -> None:
    for path in ("/", "/admin/page", "/admin/state"):
        told = requests.get(broker.url + path, headers={"Host": "evil.example"}, timeout=5)
        assert told.status_code == 403
        assert json.loads(told.text)["message"] == "this is not evil.example: ask for 127.0.0.1"
