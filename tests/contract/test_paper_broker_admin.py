"""The admin API."""

from typing import Any

import pytest

from paper_broker.server import PaperBroker
from tests.contract.sdk import Api, broker_world


def test_scenario_replaces_account_and_orders(api: Api) -> None:
    api.order()

    api.admin("POST", "scenario", broker_world(account={"cash": "7"}))

    assert api("GET", "/v2/account").json()["cash"] == "7"
    assert api("GET", "/v2/orders?status=all").json() == []


def test_world_is_merged_and_orders_are_kept(api: Api) -> None:
    order = api.order(limit_price="9.50").json()

    api.admin("POST", "world", {
        "account": {"cash": "50"},
        "clock": {"sessions": "always_open"},
        "positions": [{"symbol": "ABC", "qty": "0"}, {"symbol": "XYZ", "qty": "3", "avg_entry_price": "7"}],
        "quotes": {"NEW": {"bid": "1.00", "ask": "1.01", "bid_size": 20000, "ask_size": 20000}},
        "fills": [{"symbol": "NEW", "behaviour": "never"}],
    })  # fmt: skip

    assert api("GET", "/v2/account").json()["cash"] == "50"
    assert [p["symbol"] for p in api("GET", "/v2/positions").json()] == ["XYZ"]
    assert api("GET", "/v2/assets/NEW").status_code == 200
    assert [o["id"] for o in api("GET", "/v2/orders").json()] == [order["id"]]


def test_clock_can_be_advanced_and_set(api: Api) -> None:
    clock = api.admin("POST", "clock", {"advance_seconds": 6 * 3600})
    assert (clock["timestamp"], clock["is_open"]) == ("2026-01-26T16:00:00.000000000-05:00", False)

    assert api.admin("POST", "clock", {"sessions": "always_open"})["is_open"] is True
    assert api.admin("POST", "clock", {"now": "2026-01-27T00:00:00Z"})["timestamp"].startswith("2026-01-26T19:00")


def test_order_is_filled_on_request(api: Api) -> None:
    order = api.order(limit_price="9.50").json()
    api("GET", "/v2/orders")

    part = api.admin("POST", f"orders/{order['id']}/fill", {"qty": "4", "price": "9.40"})
    whole = api.admin("POST", f"orders/{order['id']}/fill", {})

    assert (part["status"], part["filled_qty"], part["filled_avg_price"]) == ("partially_filled", "4", "9.4")
    assert (whole["status"], whole["filled_avg_price"]) == ("filled", "9.46")


@pytest.mark.parametrize(("action", "status"), [("cancel", "canceled"), ("expire", "expired"), ("reject", "rejected")])
def test_order_is_closed_on_request(api: Api, action: str, status: str) -> None:
    order = api.order(limit_price="9.50").json()

    assert api.admin("POST", f"orders/{order['id']}/{action}", {})["status"] == status


def test_foreign_order_reserves_shares_and_is_not_counted(api: Api) -> None:
    foreign = {
        "symbol": "ABC",
        "qty": "20",
        "side": "sell",
        "type": "limit",
        "limit_price": "11",
        "time_in_force": "day",
    }

    order = api.admin("POST", "foreign_order", foreign)

    assert api("GET", "/v2/positions/ABC").json()["qty_available"] == "0"
    assert [o["id"] for o in api("GET", "/v2/orders").json()] == [order["id"]]
    assert api.admin("GET", "requests")["by_path"].get("POST /v2/orders") is None


def test_requests_are_counted_by_path_and_budget(api: Api) -> None:
    order = api.order().json()
    for _ in range(2):
        api("GET", f"/v2/orders/{order['id']}")
    api("GET", "/v2/stocks/quotes/latest?symbols=ABC")

    counts = api.admin("GET", "requests")
    del counts["log"]
    assert counts == {
        "total": 4,
        "trading": 3,
        "data": 1,
        "by_path": {"GET /v2/orders/{order_id}": 2, "GET /v2/stocks/quotes/latest": 1, "POST /v2/orders": 1},
    }
    assert api.admin("DELETE", "requests") == {"total": 0, "trading": 0, "data": 0, "by_path": {}, "log": []}


def test_requests_are_logged_with_fault_and_status(api: Api) -> None:
    api.admin("POST", "faults", {"kind": "status", "status": 503, "when": "after", "method": "POST"})
    api.order(client_order_id="plan-1")
    api("GET", "/v2/orders", params={"status": "all"})
    api("GET", "/v2/account", headers={})

    log = api.admin("GET", "requests")["log"]

    assert log[0] == {
        "at": "2026-01-26T15:00:00+00:00",
        "method": "POST",
        "path": "/v2/orders",
        "query": {},
        "client_order_id": "plan-1",
        "fault": "status after",
        "status": 503,
    }
    assert (log[1]["query"], log[1]["status"], log[2]["status"]) == ({"status": "all"}, 200, 401)


def test_state_and_health_can_be_read(api: Api) -> None:
    order = api.order().json()

    state = api.admin("GET", "state")

    assert [o["id"] for o in state["exchange"]["orders"]] == [order["id"]]
    assert api.admin("GET", "health") == {"status": "ok", "now": "2026-01-26T15:00:00.000000000Z"}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("scenario", {"money": 1}, 422),
        ("world", {"clock": {"tempo": 1}}, 422),
        ("clock", {"advance_seconds": -1}, 422),
        ("faults", {"kind": "rain"}, 422),
        ("orders/none/fill", {}, 404),
        ("orders/none/unknown", {}, 404),
        ("foreign_order", {"symbol": "NONE"}, 422),
        ("world", {"assets": {"ABC": {}}}, 422),
        ("world", {"account": ["cash"]}, 422),
        ("weather", {}, 404),
    ],
)
def test_invalid_admin_request_is_rejected_with_a_message(
    api: Api, path: str, body: dict[str, Any], status: int
) -> None:
    response = api("POST", f"/admin/{path}", json=body)

    assert response.status_code == status
    assert response.json()["message"]


def test_broker_listens_on_loopback_only() -> None:
    with pytest.raises(ValueError, match="this machine only"):
        PaperBroker({}, host="0.0.0.0")  # noqa: S104 - must be rejected
