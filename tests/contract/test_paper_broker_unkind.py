"""A broker that works and is unkind, over HTTP: late, changed and incomplete answers."""

from decimal import Decimal
from typing import Any

import pytest

from tests.contract.sdk import KEYS, Api, Sdk, StockLatestQuoteRequest, StockSnapshotRequest


def read(api: Api, order: dict[str, Any]) -> dict[str, Any]:
    """Return the current state of an order."""
    body: dict[str, Any] = api("GET", f"/v2/orders/{order['id']}").json()
    return body


def rows(api: Api, **query: Any) -> list[dict[str, Any]]:
    """Return a list of orders."""
    body: list[dict[str, Any]] = api("GET", "/v2/orders", params=query).json()
    return body


def test_filled_quantity_lags_the_status(api: Api, trading: Sdk) -> None:
    api.admin("POST", "world", {"default_fill": {"behaviour": "cancel", "fraction": 0.4, "filled_qty_lag_seconds": 1}})
    order = api.order().json()

    early = trading.get_order_by_id(order["id"])
    api.advance(1)
    late = trading.get_order_by_id(order["id"])

    assert [(o.status.value, o.filled_qty) for o in (early, late)] == [("canceled", "0"), ("canceled", "4")]


def test_fill_is_printed_after_a_cancel(api: Api, trading: Sdk) -> None:
    late_fill = {"fraction": 0.4, "after_seconds": 2}
    api.admin("POST", "world", {"default_fill": {"behaviour": "never", "late_fill": late_fill}})
    order = trading.get_order_by_id(api.order().json()["id"])
    trading.cancel_order_by_id(order.id)
    assert trading.get_order_by_id(order.id).filled_qty == "0"
    api.advance(2)

    late = trading.get_order_by_id(order.id)

    assert (late.status.value, late.filled_qty, trading.get_open_position("ABC").qty) == ("canceled", "4", "24")


def test_order_is_rejected_within_the_answer(api: Api) -> None:
    api.admin("POST", "world", {"fills": [{"rejected_in_answer": True}]})

    response = api.order()

    assert (response.status_code, response.json()["status"]) == (200, "rejected")
    assert read(api, response.json())["status"] == "rejected"


def test_cancel_is_answered_without_effect(api: Api) -> None:
    api.admin("POST", "world", {"default_fill": {"behaviour": "never", "cancel_ignored": 1}})
    order = api.order().json()

    answers = []
    for _ in range(2):
        status = api("DELETE", f"/v2/orders/{order['id']}").status_code
        answers.append((status, read(api, order)["status"]))

    assert answers == [(204, "new"), (204, "canceled")]


def test_position_and_cash_become_negative(api: Api, trading: Sdk) -> None:
    api.admin("POST", "world", {"account": {"shorting_enabled": True, "multiplier": "4"}})
    api.order(side="sell", qty="30")
    api.order(symbol="XYZ", limit_price="50.10", qty="300")

    position, account = trading.get_open_position("ABC"), trading.get_account()

    assert (position.side.value, position.qty, position.market_value) == ("short", "-10", "-100.1")
    assert (account.shorting_enabled, account.multiplier, account.short_market_value) == (True, "4", "-100.1")
    assert Decimal(account.cash) == 10000 + 300 - 15030


def test_account_and_positions_lag(api: Api) -> None:
    api.admin("POST", "world", {"account": {"account_lag_seconds": 3, "positions_lag_seconds": 2}})
    api.order()
    shown = []
    for _ in range(4):
        account, (position,) = api("GET", "/v2/account").json(), api("GET", "/v2/positions").json()
        shown.append((account["cash"], account["buying_power"], position["qty"]))
        api.advance(1)

    assert shown == [("10000", "10000", "20")] * 2 + [("10000", "10000", "30"), ("9899.8", "9899.8", "30")]


def test_account_number_can_depend_on_the_api_key(api: Api) -> None:
    api.admin("POST", "world", {"account": {"number_by_key": {"key-growth": "PA-growth"}}})

    keys = ("key-growth", "another")
    accounts = [api("GET", "/v2/account", headers=KEYS | {"APCA-API-KEY-ID": key}).json() for key in keys]

    assert [account["account_number"] for account in accounts] == ["PA-growth", "PA0000001"]


def test_lists_are_short_reversed_late_and_foreign(api: Api, trading: Sdk) -> None:
    api.admin("POST", "world", {
        "default_fill": {"behaviour": "never"},
        "lists": {"page_limit": 3, "reversed": True, "delay_seconds": 6, "foreign_rows": 1},
    })  # fmt: skip
    orders = [api.order(qty="1").json() for _ in range(4)]
    api.advance(6)
    orders.append(api.order(qty="1").json())

    listed = rows(api, direction="asc", limit=500, symbols="ABC")

    assert [o["symbol"] for o in listed] == ["FOREIGN", "ABC", "ABC"]
    assert [o["id"] for o in listed[1:]] == [orders[3]["id"], orders[2]["id"]]
    assert [str(o.id) for o in trading.get_orders()[1:]] == [orders[0]["id"], orders[1]["id"]]
    assert read(api, orders[4])["status"] == "new"
    assert api("GET", f"/v2/orders/{listed[0]['id']}").status_code == 404


def test_open_order_is_renamed_and_resized(api: Api) -> None:
    api.admin("POST", "world", {"default_fill": {"behaviour": "never"}})
    order = api.order(limit_price="9.50").json()

    api.admin("POST", f"orders/{order['id']}/change", {"symbol": "XYZ", "qty": "12"})

    changed = read(api, order)
    assert (changed["symbol"], changed["qty"], changed["status"]) == ("XYZ", "12", "new")
    assert [o["id"] for o in rows(api, symbols="XYZ")] == [order["id"]]


@pytest.mark.parametrize("change", [{"symbol": "NONE"}, {"qty": "0"}, {"qty": "many"}])
def test_invalid_change_of_an_order_is_rejected(api: Api, change: dict[str, Any]) -> None:
    order = api.order(limit_price="9.50").json()

    assert api("POST", f"/admin/orders/{order['id']}/change", json=change).status_code == 422


def test_flags_of_an_asset_change_while_an_order_is_open(api: Api) -> None:
    order = api.order(limit_price="9.50").json()

    api.admin("POST", "world", {"assets": [{"symbol": "ABC", "tradable": False, "fractionable": False}]})

    asset = api("GET", "/v2/assets/ABC").json()
    assert (asset["tradable"], asset["fractionable"], api.order().status_code) == (False, False, 422)
    assert read(api, order)["status"] == "new"


@pytest.mark.parametrize(
    ("quote", "at"),
    [
        ({"age_seconds": -2700}, "2026-01-26T15:45:00+00:00"),
        ({"age_seconds": 90.5}, "2026-01-26T14:58:29.500000+00:00"),
        ({"t": "2026-01-27T15:00:00Z", "age_seconds": 5}, "2026-01-27T15:00:00+00:00"),
    ],
)
def test_quote_and_trade_have_the_scripted_time(api: Api, data: Sdk, quote: dict[str, Any], at: str) -> None:
    api.admin("POST", "world", {"quotes": {"ABC": quote}})

    latest = data.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="ABC"))["ABC"]
    snapshot = data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="ABC"))["ABC"]

    assert {t.isoformat() for t in (latest.timestamp, snapshot.latest_trade.timestamp)} == {at}


def test_state_contains_the_recorded_past_and_the_late_fill(api: Api) -> None:
    api.admin("POST", "world", {
        "account": {"account_lag_seconds": 3},
        "lists": {"delay_seconds": 6},
        "default_fill": {"behaviour": "cancel", "late_fill": {"fraction": 1, "after_seconds": 9}},
    })  # fmt: skip
    api.order()
    api("GET", "/v2/orders")

    state = api.admin("GET", "state")["exchange"]

    assert len(state["snapshots"]) > 1
    assert [len(versions) for versions in state["order_versions"].values()] == [3]
    assert [event[2] for event in state["events"]].count("late_fill") == 1
