"""Alpaca's error table as its own SDK reads it: status, code, message and further fields."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from paper_broker.server import PaperBroker
from tests.contract.sdk import (
    KEYS,
    Api,
    APIError,
    Sdk,
    StockLatestQuoteRequest,
    broker_world,
    data_client,
    error_fields,
    extras,
    trading_client,
)

UNKNOWN = "904837e3-3b76-47ec-b432-046db621571b"
QUOTE = StockLatestQuoteRequest(symbol_or_symbols="ABC")
BUY: dict[str, Any] = {
    "symbol": "ABC",
    "qty": "10",
    "side": "buy",
    "type": "limit",
    "limit_price": "9.50",
    "time_in_force": "day",
}
SALE = BUY | {"side": "sell", "limit_price": "11"}


def failure(call: Callable[[], object]) -> APIError:
    """Return the error that the SDK raises."""
    with pytest.raises(APIError) as failed:
        call()
    return failed.value


# 401


def test_wrong_keys_are_unauthorized_for_trading_and_data(broker: PaperBroker, api: Api) -> None:
    api.admin("POST", "world", {"account": {"api_key": KEYS["APCA-API-KEY-ID"], "secret_key": "secret"}})
    trading, data = trading_client(broker.url, key="wrong"), data_client(broker.url, key="wrong")

    failures = [failure(trading.get_account), failure(lambda: data.get_stock_latest_quote(QUOTE))]

    assert [error_fields(error) for error in failures] == [(401, 40110000, "request is not authorized")] * 2
    assert api("GET", "/v2/account").status_code == 200
    trading._session.close()
    data._session.close()


# 403


def test_insufficient_buying_power(trading: Sdk) -> None:
    error = failure(lambda: trading.post("/orders", BUY | {"qty": "5000"}))

    assert error_fields(error) == (403, 40310000, "insufficient buying power")
    assert extras(error) == {"buying_power": "10000", "cost_basis": "47500"}


def test_insufficient_quantity(trading: Sdk) -> None:
    resting = trading.post("/orders", SALE | {"qty": "18"})

    error = failure(lambda: trading.post("/orders", SALE | {"qty": "3"}))

    message = "insufficient qty available for order (requested: 3, available: 2)"
    assert error_fields(error) == (403, 40310000, message)
    assert extras(error) == {
        "available": "2",
        "existing_qty": "20",
        "held_for_orders": "18",
        "symbol": "ABC",
        "related_orders": [resting["id"]],
    }


@pytest.mark.parametrize("status", [403, 422])
def test_wash_trade(api: Api, trading: Sdk, status: int) -> None:
    api.admin("POST", "world", {"account": {"wash_trade_status": status}})
    resting = trading.post("/orders", BUY)

    error = failure(lambda: trading.post("/orders", SALE | {"limit_price": "9.50"}))

    assert error_fields(error) == (status, 40310000, "potential wash trade detected. use complex orders")
    assert extras(error) == {
        "existing_order_id": resting["id"],
        "reject_reason": "opposite side limit order exists",
    }


FORBIDDEN: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, BUY | {"qty": "0.1"}, "cost basis must be >= minimal amount of order 1"),
    ({"account": {"trade_suspended_by_user": True}}, BUY, "new orders are rejected by user request"),
    ({"account": {"trading_blocked": True}}, BUY, "account is not allowed to trade"),
    ({}, SALE | {"symbol": "XYZ"}, "account is not allowed to short"),
    (
        {"assets": [{"symbol": "ABC", "fractionable": False}]},
        BUY | {"qty": "1.5"},
        'asset "ABC" is not fractionable',
    ),
    ({"account": {"liquidation_only": True}}, BUY, "account is restricted to liquidation only"),
    ({}, BUY | {"time_in_force": "opg"}, "opg orders are not accepted between 9:28am and 7:00pm ET"),
    (
        {"blackout_windows": [{"from": "09:27", "until": "10:01", "fractional": True, "message": "wait for the open"}]},
        BUY | {"qty": "1.5"},
        "wait for the open",
    ),
]


@pytest.mark.parametrize(("world", "order", "message"), FORBIDDEN)
def test_403_for_a_forbidden_order(
    api: Api, trading: Sdk, world: dict[str, Any], order: dict[str, Any], message: str
) -> None:
    api.admin("POST", "world", world)

    assert error_fields(failure(lambda: trading.post("/orders", order))) == (403, 40310000, message)


# 404


NOT_FOUND: list[tuple[Callable[[Sdk], object], str]] = [
    (lambda sdk: sdk.get_order_by_id(UNKNOWN), f"order not found for {UNKNOWN}"),
    (lambda sdk: sdk.get_order_by_client_id("never"), "order not found for never"),
    (lambda sdk: sdk.cancel_order_by_id(UNKNOWN), f"order not found for {UNKNOWN}"),
    (lambda sdk: sdk.patch(f"/orders/{UNKNOWN}", {"qty": "1"}), f"order not found for {UNKNOWN}"),
    (lambda sdk: sdk.get_open_position("XYZ"), "position does not exist"),
    (lambda sdk: sdk.close_position("XYZ"), "position does not exist"),
    (lambda sdk: sdk.get_asset("NONE"), "asset not found for NONE"),
]


@pytest.mark.parametrize(("request_unknown", "message"), NOT_FOUND)
def test_404_for_unknown_objects(trading: Sdk, request_unknown: Callable[[Sdk], object], message: str) -> None:
    assert error_fields(failure(lambda: request_unknown(trading))) == (404, 40410000, message)


# 422


UNPROCESSABLE: list[tuple[dict[str, Any], int, str]] = [
    (BUY | {"qty": None}, 40010001, "qty or notional is required"),
    (BUY | {"client_order_id": "x" * 129}, 40010001, "client_order_id must be no more than 128 characters"),
    (
        BUY | {"limit_price": "9.501"},
        42210000,
        "invalid limit_price 9.501. sub-penny increment does not fulfill minimum pricing criteria",
    ),
    (BUY | {"qty": None, "notional": "0.99"}, 42210000, "notional amount must be >= 1.00"),
    (BUY | {"qty": None, "notional": "5.001"}, 42210000, "notional amount must be limited to 2 decimal places"),
    (BUY | {"qty": "1.5", "time_in_force": "gtc"}, 42210000, "fractional orders must be DAY orders"),
    (BUY | {"qty": "1.5", "order_class": "oco"}, 42210000, "fractional orders must be simple orders"),
    (BUY | {"symbol": "NONE"}, 42210000, 'asset "NONE" not found'),
]


@pytest.mark.parametrize(("order", "code", "message"), UNPROCESSABLE)
def test_422_for_an_invalid_order(trading: Sdk, order: dict[str, Any], code: int, message: str) -> None:
    assert error_fields(failure(lambda: trading.post("/orders", order))) == (422, code, message)


@pytest.mark.parametrize("code", [40010001, 42210000])
def test_duplicate_client_order_id_has_one_of_two_codes(api: Api, trading: Sdk, code: int) -> None:
    api.admin("POST", "world", {"account": {"duplicate_code": code}})
    order = trading.post("/orders", BUY | {"client_order_id": "once"})
    trading.cancel_order_by_id(order["id"])

    error = failure(lambda: trading.post("/orders", BUY | {"client_order_id": "once"}))

    assert error_fields(error) == (422, code, "client_order_id must be unique")


def test_filled_order_cannot_be_canceled_or_replaced(trading: Sdk) -> None:
    order = trading.post("/orders", BUY | {"limit_price": "10.02"})

    cancel = failure(lambda: trading.cancel_order_by_id(order["id"]))
    replace = failure(lambda: trading.patch(f"/orders/{order['id']}", {"limit_price": "10.03"}))

    too_late = (422, 42210000, 'order is already in "filled" state')
    assert (error_fields(cancel), error_fields(replace)) == (too_late, too_late)


# 429


@pytest.fixture
def exhausted() -> Iterator[PaperBroker]:
    """Start a broker that accepts one request per minute, for trading and for market data."""
    with PaperBroker(broker_world(rate_limit={"trading": 1, "data": 1})) as broker:
        yield broker


def test_429_for_trading_and_data(exhausted: PaperBroker) -> None:
    trading, data = trading_client(exhausted.url), data_client(exhausted.url)
    trading.get_account()
    data.get_stock_latest_quote(QUOTE)

    failures = [failure(trading.get_account), failure(lambda: data.get_stock_latest_quote(QUOTE))]

    assert [error_fields(error) for error in failures] == [(429, 42910000, "rate limit exceeded")] * 2
    assert [error.response.headers["X-RateLimit-Remaining"] for error in failures] == ["0", "0"]
    trading._session.close()
    data._session.close()


# Faults


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize(("when", "exists"), [("before", False), ("after", True)])
def test_order_can_exist_after_an_error_response(api: Api, trading: Sdk, status: int, when: str, exists: bool) -> None:
    api.admin("POST", "faults", {"kind": "status", "status": status, "method": "POST", "when": when})

    error = failure(lambda: trading.post("/orders", BUY))

    assert (error.status_code, error.code) == (status, status * 100_000 + 10_000)
    assert bool(trading.get_orders()) is exists


@pytest.mark.parametrize("body", ["html", "empty"])
def test_error_response_can_lack_a_code(api: Api, trading: Sdk, data: Sdk, body: str) -> None:
    api.admin("POST", "faults", {"kind": "status", "status": 502, "body": body, "count": 2})

    failures = [failure(trading.get_account), failure(lambda: data.get_stock_latest_quote(QUOTE))]

    assert [error.status_code for error in failures] == [502, 502]
    for error in failures:
        with pytest.raises(json.JSONDecodeError):
            _ = error.code
