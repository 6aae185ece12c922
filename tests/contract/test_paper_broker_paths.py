"""Every path of the API, called by Alpaca's own SDK."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from tests.contract.sdk import (
    Api,
    Sdk,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockSnapshotRequest,
)

LIMIT: dict[str, Any] = {
    "symbol": "ABC",
    "qty": "10",
    "side": "buy",
    "type": "limit",
    "limit_price": "9.50",
    "time_in_force": "day",
}


def submit(trading: Sdk, **changes: Any) -> dict[str, Any]:
    """Submit an order with decimals as strings, as the API requires."""
    order: dict[str, Any] = trading.post("/orders", {**LIMIT, **changes})
    return order


def test_sdk_reads_the_account(trading: Sdk) -> None:
    account = trading.get_account()

    assert (account.account_number, account.status.value, account.multiplier) == ("PA0000001", "ACTIVE", "1")
    assert (account.cash, account.buying_power, account.equity) == ("10000", "10000", "10200.2")
    assert (account.trading_blocked, account.account_blocked, account.trade_suspended_by_user) == (False, False, False)


def test_sdk_reads_and_changes_the_account_configuration(trading: Sdk) -> None:
    configuration = trading.get_account_configurations()
    assert (configuration.suspend_trade, configuration.no_shorting) == (False, True)

    trading.patch("/account/configurations", {"suspend_trade": True, "no_shorting": False})

    account = trading.get_account()
    assert (account.trade_suspended_by_user, account.shorting_enabled) == (True, True)


def test_sdk_reads_the_clock(trading: Sdk) -> None:
    clock = trading.get_clock()

    assert clock.timestamp == datetime(2026, 1, 26, 15, tzinfo=UTC)
    assert clock.is_open is True
    assert (clock.next_open.isoformat(), clock.next_close.isoformat()) == (
        "2026-01-27T09:30:00-05:00",
        "2026-01-26T16:00:00-05:00",
    )


def test_sdk_reads_the_calendar(trading: Sdk) -> None:
    days = trading.get("/calendar", {"start": "2026-01-16", "end": "2026-01-20"})
    whole = trading.get_calendar()

    assert [day["date"] for day in days] == ["2026-01-16", "2026-01-20"]
    assert date(2026, 1, 26) in {day.date for day in whole}


def test_sdk_reads_assets_by_symbol_and_by_id(trading: Sdk) -> None:
    asset = trading.get_asset("ABC")

    assert (asset.symbol, asset.fractionable, asset.tradable, asset.status.value) == ("ABC", True, True, "active")
    assert trading.get_asset(asset.id).symbol == "ABC"
    assert {known.symbol for known in trading.get_all_assets()} == {"ABC", "XYZ"}
    assert trading.get("/assets", {"status": "inactive"}) == []


def test_slash_within_a_symbol_is_encoded_in_the_path(api: Api) -> None:
    api.admin("POST", "world", {"assets": [{"symbol": "BTC/USD", "tradable": False}]})

    assert api("GET", "/v2/assets/BTC%2FUSD").json()["symbol"] == "BTC/USD"
    assert api("GET", "/v2/assets/ETH%2FUSD").json()["code"] == 40410000, "an unknown asset, not an unknown path"


def test_assets_can_be_filtered(trading: Sdk, api: Api) -> None:
    api.admin("POST", "world", {"assets": [{"symbol": "XYZ", "exchange": "NYSE", "attributes": ["has_options"]}]})

    def symbols(**query: str) -> list[str]:
        return [asset["symbol"] for asset in trading.get("/assets", query)]

    assert symbols() == ["ABC", "XYZ"]
    assert symbols(exchange="NYSE") == symbols(attributes="has_options,ipo") == ["XYZ"]
    assert symbols(attributes="ipo") == symbols(asset_class="crypto") == []


def test_sdk_reads_positions(trading: Sdk) -> None:
    position = trading.get_open_position("ABC")

    assert (position.qty, position.qty_available, position.avg_entry_price) == ("20", "20", "9")
    assert (position.market_value, position.cost_basis, position.side.value) == ("200.2", "180", "long")
    assert [p.symbol for p in trading.get_all_positions()] == ["ABC"]


def test_sdk_closes_a_position(trading: Sdk) -> None:
    order = trading.close_position("ABC")

    assert (order.side.value, order.qty, order.type.value) == ("sell", "20", "market")
    assert trading.get_all_positions() == []


def test_part_of_a_position_can_be_closed(trading: Sdk) -> None:
    trading.delete("/positions/ABC", {"qty": "5"})

    assert trading.get_open_position("ABC").qty == "15"


def test_sdk_closes_all_positions(trading: Sdk) -> None:
    submit(trading, side="sell", limit_price="11")

    (closed,) = trading.close_all_positions(cancel_orders=True)

    assert (closed.symbol, closed.status) == ("ABC", 200)
    assert trading.get_all_positions() == []


def test_sdk_follows_an_order_from_pending_to_filled(trading: Sdk) -> None:
    order = submit(trading, limit_price="10.02", client_order_id="plan-1")
    read = trading.get_order_by_id(order["id"])

    assert (order["status"], order["filled_qty"], order["order_class"]) == ("pending_new", "0", "")
    assert (read.status.value, read.filled_qty, read.filled_avg_price) == ("filled", "10", "10.02")
    assert trading.get_order_by_client_id("plan-1").id == read.id
    assert trading.get_open_position("ABC").qty == "30"
    assert trading.get_account().cash == "9899.8"


def test_sdk_cancels_an_order(trading: Sdk) -> None:
    order = submit(trading)

    trading.cancel_order_by_id(order["id"])

    assert trading.get_order_by_id(order["id"]).status.value == "canceled"


def test_response_to_a_cancel_has_no_content(api: Api) -> None:
    order = api.order(limit_price="9.50").json()

    response = api("DELETE", f"/v2/orders/{order['id']}")

    assert (response.status_code, response.content) == (204, b"")
    assert api("GET", "/v2/clock").status_code == 200  # the connection stays usable


def test_sdk_cancels_all_orders(trading: Sdk, api: Api) -> None:
    order = submit(trading)

    response = api("DELETE", "/v2/orders")

    assert response.status_code == 207
    assert [(a["id"], a["status"]) for a in response.json()] == [(order["id"], 200)]
    assert trading.cancel_orders() == []


def test_sdk_replaces_an_order(trading: Sdk) -> None:
    old = submit(trading)
    trading.get_order_by_id(old["id"])

    new = trading.patch(f"/orders/{old['id']}", {"limit_price": "9.60", "client_order_id": "second"})

    assert (new["replaces"], new["limit_price"], new["client_order_id"]) == (old["id"], "9.6", "second")
    assert str(trading.get_order_by_id(old["id"]).replaced_by) == new["id"]


def test_executions_are_listed_in_pages(trading: Sdk) -> None:
    orders = [submit(trading, limit_price="10.02", qty="1") for _ in range(3)]
    trading.get_account()

    first_page = trading.get("/account/activities", {"activity_types": "FILL", "page_size": 2})
    second_page = trading.get("/account/activities/FILL", {"page_token": first_page[-1]["id"]})

    assert [a["order_id"] for a in first_page + second_page] == [order["id"] for order in reversed(orders)]
    assert first_page[0]["price"] == "10.02"
    assert trading.get("/account/activities/DIV") == []
    assert trading.get("/account/activities", {"category": "non_trade_activity"}) == []
    assert len(trading.get("/account/activities", {"date": "2026-01-26"})) == 3
    assert trading.get("/account/activities", {"date": "2026-01-25"}) == []
    assert len(trading.get("/account/activities", {"direction": "asc", "order_id": orders[0]["id"]})) == 1


def test_sdk_reads_latest_quotes_without_unknown_symbols(data: Sdk) -> None:
    quotes = data.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=["ABC", "NONE"]))

    assert set(quotes) == {"ABC"}
    assert (quotes["ABC"].bid_price, quotes["ABC"].ask_price, quotes["ABC"].bid_size) == (10.0, 10.02, 100)
    assert quotes["ABC"].timestamp == datetime(2026, 1, 26, 15, tzinfo=UTC)


def test_sdk_reads_latest_trades(data: Sdk) -> None:
    trades = data.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=["ABC"]))

    assert trades["ABC"].price == 10.01


def test_sdk_reads_snapshots(data: Sdk) -> None:
    snapshot = data.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="ABC"))["ABC"]

    assert (snapshot.latest_quote.ask_price, snapshot.previous_daily_bar.close) == (10.02, 9.90)
    bars = (snapshot.daily_bar, snapshot.previous_daily_bar)
    assert [bar.timestamp.isoformat() for bar in bars] == ["2026-01-26T05:00:00+00:00", "2026-01-23T05:00:00+00:00"]


def test_trading_numbers_are_strings_and_market_data_numbers_are_numbers(api: Api) -> None:
    position = api("GET", "/v2/positions/ABC").json()
    quote = api("GET", "/v2/stocks/quotes/latest", params={"symbols": "ABC"}).json()["quotes"]["ABC"]

    assert all(value is None or isinstance(value, str | bool) for value in position.values())
    assert (type(quote["bp"]), type(quote["ap"])) == (int, float)


def test_order_has_every_field_with_null_for_missing_values(api: Api) -> None:
    order = api.order(limit_price="9.50").json()

    nothing = {name for name, value in order.items() if value is None}
    assert {
        "notional", "filled_avg_price", "stop_price", "trail_price", "trail_percent", "hwm", "legs", "filled_at",
        "expired_at", "canceled_at", "failed_at", "replaced_at", "replaced_by", "replaces",
    } <= nothing  # fmt: skip
    assert (order["type"], order["order_type"], order["asset_class"]) == ("limit", "limit", "us_equity")
    assert order["created_at"] == order["submitted_at"] == "2026-01-26T15:00:00.000000000Z"


# Lists of orders


@pytest.fixture
def four(trading: Sdk) -> list[dict[str, Any]]:
    """Submit four orders and return them in this order: open, filled, open in another symbol, open sale."""
    return [
        submit(trading),
        submit(trading, limit_price="10.02"),
        submit(trading, symbol="XYZ", limit_price="49"),
        submit(trading, side="sell", limit_price="11"),
    ]


QUERIES: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [3, 2, 0]),
    ({"status": "closed"}, [1]),
    ({"status": "all"}, [3, 2, 1, 0]),
    ({"status": "all", "direction": "asc"}, [0, 1, 2, 3]),
    ({"status": "all", "limit": 2}, [3, 2]),
    ({"status": "all", "limit": 2, "direction": "asc"}, [0, 1]),
    ({"symbols": "XYZ,NONE"}, [2]),
    ({"side": "sell"}, [3]),
    ({"nested": "True"}, [3, 2, 0]),
    ({"asset_class": "us_equity"}, [3, 2, 0]),
    ({"asset_class": "crypto"}, []),
]


@pytest.mark.parametrize(("query", "expected"), QUERIES)
def test_orders_can_be_filtered(
    trading: Sdk, four: list[dict[str, Any]], query: dict[str, Any], expected: list[int]
) -> None:
    listed = trading.get("/orders", query)

    assert [order["id"] for order in listed] == [four[n]["id"] for n in expected]


def test_after_and_until_are_exclusive(trading: Sdk, four: list[dict[str, Any]]) -> None:
    times = [order["submitted_at"] for order in four]

    between = trading.get("/orders", {"status": "all", "after": times[0], "until": times[3]})

    assert [order["id"] for order in between] == [four[2]["id"], four[1]["id"]]


@pytest.mark.parametrize(("bound", "expected"), [("after_order_id", [3, 2]), ("before_order_id", [0])])
def test_list_can_be_bounded_by_an_order_id(
    trading: Sdk, four: list[dict[str, Any]], bound: str, expected: list[int]
) -> None:
    listed = trading.get("/orders", {"status": "all", bound: four[1]["id"]})

    assert [order["id"] for order in listed] == [four[n]["id"] for n in expected]


def test_paging_by_time_neither_skips_nor_repeats_an_order(trading: Sdk) -> None:
    submitted = [submit(trading, qty="1")["id"] for _ in range(7)]
    listed: list[str] = []
    query: dict[str, Any] = {"status": "all", "limit": 3, "direction": "asc"}

    while page := trading.get("/orders", query):
        listed += [order["id"] for order in page]
        query["after"] = page[-1]["submitted_at"]

    assert listed == submitted


def test_default_page_has_fifty_orders(trading: Sdk, api: Api) -> None:
    for _ in range(51):
        submit(trading, qty="1")

    assert len(trading.get("/orders")) == 50
    assert len(trading.get("/orders", {"limit": 500})) == 51
    assert api("GET", "/v2/orders", params={"limit": 501}).status_code == 422
