"""Orders for opening and closing auctions, sent by Alpaca's own SDK."""

from pathlib import Path
from typing import Any

import pytest

from paper_broker.server import PaperBroker
from tests.contract.sdk import (
    Api,
    APIError,
    LimitOrderRequest,
    MarketOrderRequest,
    OrderSide,
    ReplaceOrderRequest,
    Sdk,
    TimeInForce,
    broker_world,
    error_fields,
    trading_client,
)

BUY = {"symbol": "ABC", "qty": 10, "side": OrderSide.BUY}
NOT_CHANGEABLE = (422, 42210000)


def on_close(**fields: Any) -> MarketOrderRequest:
    return MarketOrderRequest(**BUY | {"time_in_force": TimeInForce.CLS} | fields)


def limit_on_open(limit_price: float = 10.02) -> LimitOrderRequest:
    return LimitOrderRequest(**BUY, time_in_force=TimeInForce.OPG, limit_price=limit_price)


def at(api: Api, time: str) -> None:
    api.admin("POST", "clock", {"now": time})


def failure(call: Any) -> APIError:
    with pytest.raises(APIError) as raised:
        call()
    return raised.value


def test_market_on_close_executes_at_the_close(api: Api, trading: Sdk) -> None:
    order = trading.submit_order(on_close())
    assert (order.time_in_force, order.status) == (TimeInForce.CLS, "pending_new")
    at(api, "2026-01-26T20:59:59Z")
    assert trading.get_order_by_id(order.id).status == "new"

    at(api, "2026-01-26T21:00:00Z")

    filled = trading.get_order_by_id(order.id)
    assert (filled.status, filled.filled_qty, filled.filled_avg_price) == ("filled", "10", "10.01")
    assert filled.time_in_force is TimeInForce.CLS
    assert trading.get_open_position("ABC").qty == "30"
    assert trading.get_account().cash == "9899.9"
    assert [a["qty"] for a in trading.get("/account/activities", {"order_id": str(order.id)})] == ["10"]


def test_limit_on_open_queued_in_the_evening_executes_at_the_next_open(api: Api, trading: Sdk) -> None:
    at(api, "2026-01-27T00:00:00Z")
    met, missed = trading.submit_order(limit_on_open()), trading.submit_order(limit_on_open(9.99))
    assert met.status == "accepted"

    at(api, "2026-01-27T14:30:00Z")

    assert trading.get_order_by_id(met.id).filled_avg_price == "10.01"
    assert trading.get_order_by_id(missed.id).status == "canceled"


@pytest.mark.parametrize(
    ("time", "order", "period"),
    [
        ("2026-01-26T20:50:00Z", on_close(), "cls orders are not accepted between 3:50pm and 7:00pm ET"),
        ("2026-01-27T14:28:00Z", limit_on_open(), "opg orders are not accepted between 9:28am and 7:00pm ET"),
        ("2026-11-27T17:50:00Z", on_close(), "cls orders are not accepted between 12:50pm and 7:00pm ET"),
    ],
    ids=["close", "open", "half day"],
)
def test_order_is_rejected_after_the_cut_off(
    api: Api, trading: Sdk, time: str, order: MarketOrderRequest, period: str
) -> None:
    at(api, time)

    assert error_fields(failure(lambda: trading.submit_order(order))) == (403, 40310000, period)


def test_half_day_has_its_auction_at_one(api: Api, trading: Sdk) -> None:
    at(api, "2026-11-27T17:49:59Z")
    order = trading.submit_order(on_close())

    at(api, "2026-11-27T18:00:00Z")

    assert trading.get_order_by_id(order.id).status == "filled"


def test_partial_fill_expires_after_the_close(api: Api, trading: Sdk) -> None:
    api.admin("POST", "world", {"auctions": [{"symbol": "ABC", "fill_fraction": 0.4}]})
    order = trading.submit_order(on_close())
    at(api, "2026-01-26T21:00:29Z")
    assert trading.get_order_by_id(order.id).status == "partially_filled"

    at(api, "2026-01-26T21:00:30Z")

    ended = trading.get_order_by_id(order.id)
    assert (ended.status, ended.filled_qty, ended.expired_at is not None) == ("expired", "4", True)


def test_broker_that_accepts_everything_can_let_it_expire(api: Api, trading: Sdk) -> None:
    api.admin("POST", "world", {"auctions": [{"expire_all": True}]})
    order = trading.submit_order(on_close())

    at(api, "2026-01-26T21:00:30Z")

    ended = trading.get_order_by_id(order.id)
    assert (ended.status, ended.filled_qty) == ("expired", "0")


def test_order_is_final_after_the_cut_off(api: Api, trading: Sdk) -> None:
    order = trading.submit_order(on_close())
    at(api, "2026-01-26T20:50:00Z")

    cancel = failure(lambda: trading.cancel_order_by_id(order.id))
    replace = failure(lambda: trading.replace_order_by_id(order.id, ReplaceOrderRequest(qty=5)))

    assert error_fields(cancel)[:2] == error_fields(replace)[:2] == NOT_CHANGEABLE
    assert cancel.message.startswith("order is not cancelable")


def test_account_without_entitlement_is_rejected_at_submission(api: Api, trading: Sdk) -> None:
    api.admin("POST", "fault_preset", {"name": "auctions", "on": True})

    rejected = error_fields(failure(lambda: trading.submit_order(on_close())))

    assert rejected == (403, 40310000, "account is not allowed to submit cls orders")
    api.admin("POST", "fault_preset", {"name": "auctions", "on": False})
    assert trading.submit_order(on_close()).status == "pending_new"


@pytest.mark.parametrize("order", [{"qty": 1.5}, {"qty": None, "notional": 50}], ids=["fraction", "notional"])
def test_fractions_are_rejected(trading: Sdk, order: dict[str, Any]) -> None:
    rejected = error_fields(failure(lambda: trading.submit_order(on_close(**order))))

    assert rejected == (422, 42210000, "fractional orders must be DAY orders")


def test_invalid_auction_rule_is_rejected_and_changes_nothing(api: Api) -> None:
    rules = [{"symbol": "ABC", "price": "10.05"}]
    api.admin("POST", "world", {"auctions": rules})

    invalid = api("POST", "/admin/world", json={"auctions": [{"price": -1}]})

    assert (invalid.status_code, "price" in invalid.json()["message"]) == (422, True)
    assert api.admin("GET", "state")["exchange"]["auctions"] == rules


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return the state file of a broker that was stopped with an order for the closing auction."""
    file = tmp_path / "state.json"
    with PaperBroker(broker_world(), state=file) as broker:
        sdk = trading_client(broker.url)
        sdk.submit_order(on_close(client_order_id="waits"))
        sdk._session.close()
    return file


def test_order_that_waits_for_an_auction_survives_a_restart(state: Path) -> None:
    with PaperBroker(state=state) as broker:
        sdk: Sdk = trading_client(broker.url)
        broker.change({"clock": {"now": "2026-01-26T21:00:00Z"}})
        filled = sdk.get_order_by_client_id("waits")
        sdk._session.close()

    assert (filled.status, filled.filled_avg_price) == ("filled", "10.01")
