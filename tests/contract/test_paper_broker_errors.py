"""Every refusal, as Alpaca's SDK and bare requests see it: HTTP status, code, sentence, and what else it tells."""

import http.client
from collections.abc import Iterator
from typing import Any

import pytest

from paper_broker.server import PaperBroker
from tests.contract.sdk import KEYS, Api, APIError, Sdk, broker_world, refused, trading_client

LIMIT: dict[str, Any] = {
    "symbol": "ABC",
    "qty": "10",
    "side": "buy",
    "type": "limit",
    "limit_price": "9.50",
    "time_in_force": "day",
}


def refusal(trading: Sdk, **changes: Any) -> tuple[int, int, str]:
    """How an order is refused."""
    with pytest.raises(APIError) as error:
        trading.post("/orders", {**LIMIT, **changes})
    return refused(error.value)


NEW_ORDERS: list[tuple[dict[str, Any], tuple[int, int, str]]] = [
    ({"qty": "5000"}, (403, 40310000, "insufficient buying power")),
    ({"qty": "0.1"}, (403, 40310000, "cost basis must be >= minimal amount of order 1")),
    ({"symbol": "XYZ", "side": "sell"}, (403, 40310000, "account is not allowed to short")),
    ({"symbol": "WHOLE", "qty": "1.5"}, (403, 40310000, 'asset "WHOLE" is not fractionable')),
    ({"qty": None}, (422, 40010001, "qty or notional is required")),
    ({"client_order_id": "x" * 129}, (422, 40010001, "client_order_id must be no more than 128 characters")),
    ({"symbol": "NONE"}, (422, 42210000, 'asset "NONE" not found')),
    (
        {"limit_price": "9.501"},
        (422, 42210000, "invalid limit_price 9.501. sub-penny increment does not fulfill minimum pricing criteria"),
    ),
    ({"qty": "1.5", "time_in_force": "gtc"}, (422, 42210000, "fractional orders must be DAY orders")),
    ({"qty": "1.5", "order_class": "oco"}, (422, 42210000, "fractional orders must be simple orders")),
    (
        {"qty": None, "notional": "0.50", "type": "market", "limit_price": None},
        (422, 42210000, "notional amount must be >= 1.00"),
    ),
    (
        {"qty": None, "notional": "5.001", "type": "market", "limit_price": None},
        (422, 42210000, "notional amount must be limited to 2 decimal places"),
    ),
]


@pytest.mark.parametrize(("changes", "answer"), NEW_ORDERS)
def test_a_new_order_is_refused(api: Api, trading: Sdk, changes: dict[str, Any], answer: tuple[int, int, str]) -> None:
    api.admin("POST", "world", {"assets": [{"symbol": "WHOLE", "fractionable": False}]})

    assert refusal(trading, **changes) == answer


def test_a_duplicate_is_refused_even_after_its_order_was_cancelled(trading: Sdk) -> None:
    order = trading.post("/orders", {**LIMIT, "client_order_id": "once"})
    trading.cancel_order_by_id(order["id"])

    assert refusal(trading, client_order_id="once") == (422, 40010001, "client_order_id must be unique")


def test_insufficient_buying_power_tells_both_amounts(api: Api) -> None:
    body = api.order(qty="5000", limit_price="9.50").json()

    assert (body["buying_power"], body["cost_basis"]) == ("10000", "47500")


def test_insufficient_quantity_names_the_orders_that_hold_it(api: Api) -> None:
    resting = api.order(side="sell", qty="18", limit_price="11").json()

    response = api.order(side="sell", qty="3", limit_price="11")

    assert (response.status_code, response.json()) == (
        403,
        {
            "code": 40310000,
            "message": "insufficient qty available for order (requested: 3, available: 2)",
            "available": "2",
            "existing_qty": "20",
            "held_for_orders": "18",
            "symbol": "ABC",
            "related_orders": [resting["id"]],
        },
    )


def test_a_wash_trade_names_the_order_in_the_way(api: Api) -> None:
    resting = api.order(limit_price="9.50").json()

    response = api.order(side="sell", type="market")

    assert (response.status_code, response.json()) == (
        403,
        {
            "code": 40310000,
            "message": "potential wash trade detected. use complex orders",
            "existing_order_id": resting["id"],
            "reject_reason": "opposite side market/stop order exists",
        },
    )


@pytest.mark.parametrize(
    ("account", "message"),
    [
        ({"trade_suspended_by_user": True}, "new orders are rejected by user request"),
        ({"trading_blocked": True}, "account is not allowed to trade"),
    ],
)
def test_an_account_that_must_not_trade_is_forbidden(
    api: Api, trading: Sdk, account: dict[str, Any], message: str
) -> None:
    api.admin("POST", "world", {"account": account})

    assert refusal(trading) == (403, 40310000, message)


UNKNOWN = "904837e3-3b76-47ec-b432-046db621571b"


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", f"/v2/orders/{UNKNOWN}", f"order not found for {UNKNOWN}"),
        ("DELETE", f"/v2/orders/{UNKNOWN}", f"order not found for {UNKNOWN}"),
        ("PATCH", f"/v2/orders/{UNKNOWN}", f"order not found for {UNKNOWN}"),
        ("GET", "/v2/orders:by_client_order_id?client_order_id=never", "order not found for never"),
        ("GET", "/v2/positions/XYZ", "position does not exist"),
        ("DELETE", "/v2/positions/XYZ", "position does not exist"),
        ("GET", "/v2/assets/NONE", "asset not found for NONE"),
        ("GET", "/v2/weather", "endpoint not found"),
    ],
)
def test_what_does_not_exist_is_not_found(api: Api, method: str, path: str, message: str) -> None:
    response = api(method, path)

    assert (response.status_code, response.json()) == (404, {"code": 40410000, "message": message})


def test_a_filled_order_can_neither_be_cancelled_nor_replaced(trading: Sdk) -> None:
    order = trading.post("/orders", {**LIMIT, "limit_price": "10.02"})
    trading.get_order_by_id(order["id"])

    with pytest.raises(APIError) as cancel:
        trading.cancel_order_by_id(order["id"])
    with pytest.raises(APIError) as change:
        trading.patch(f"/orders/{order['id']}", {"limit_price": "10.03"})

    too_late = (422, 42210000, 'order is already in "filled" state')
    assert (refused(cancel.value), refused(change.value)) == (too_late, too_late)


def test_a_pending_order_cannot_be_replaced(api: Api) -> None:
    api.admin("POST", "world", {"default_fill": {"behaviour": "never", "pending_new_seconds": 9}})
    order = api.order().json()

    response = api("PATCH", f"/v2/orders/{order['id']}", json={"limit_price": "10.03"})

    assert (response.status_code, response.json()["code"]) == (422, 42210000)


@pytest.mark.parametrize("headers", [{}, {"APCA-API-KEY-ID": "key"}, {"APCA-API-SECRET-KEY": "secret"}])
def test_keys_are_required(api: Api, headers: dict[str, str]) -> None:
    response = api("GET", "/v2/account", headers=headers)

    assert (response.status_code, response.json()["code"]) == (401, 40110000)


def test_a_named_pair_of_keys_is_the_only_one(api: Api) -> None:
    api.admin("POST", "world", {"account": {"api_key": "other", "secret_key": "pair"}})

    assert api("GET", "/v2/account").status_code == 401
    right = {"APCA-API-KEY-ID": "other", "APCA-API-SECRET-KEY": "pair"}
    assert api("GET", "/v2/account", headers=right).status_code == 200


@pytest.mark.parametrize("raw", [b"{", b"[]", b'"order"'])
def test_a_body_that_is_no_json_object_is_a_bad_request(api: Api, raw: bytes) -> None:
    response = api("POST", "/v2/orders", data=raw)

    assert (response.status_code, response.json()["code"]) == (400, 40010000)


def test_a_length_that_is_no_number_is_a_bad_request(broker: PaperBroker) -> None:
    connection = http.client.HTTPConnection(broker.url.removeprefix("http://"), timeout=10)
    connection.putrequest("POST", "/v2/orders")
    connection.putheader("Content-Length", "long")
    connection.endheaders()

    assert connection.getresponse().status == 400
    connection.close()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/orders?status=lost", 422),
        ("/v2/orders?limit=many", 422),
        ("/v2/orders?after=noon", 422),
        ("/v2/orders?after_order_id=none", 404),
        ("/v2/orders?after_order_id=a&before_order_id=b", 422),
        ("/v2/orders?after_order_id=a&until=2026-01-26", 422),
        ("/v2/calendar?start=noon", 422),
        ("/v2/account/activities?page_token=x", 422),
        ("/v2/account/activities?page_size=101", 422),
        ("/v2/stocks/quotes/latest", 400),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(api: Api, path: str, status: int) -> None:
    assert api("GET", path).status_code == status


def test_another_method_is_not_allowed(api: Api) -> None:
    assert api("DELETE", "/v2/account").status_code == 405


# Rate limits


@pytest.fixture
def scarce() -> Iterator[Api]:
    """A broker that answers three trading requests and one data request a minute."""
    with PaperBroker(broker_world(rate_limit={"trading": 3, "data": 1})) as broker:
        client = Api(broker.url)
        yield client
        client.close()


def test_every_answer_tells_what_is_left_of_the_minute(scarce: Api) -> None:
    answers = [scarce("GET", "/v2/account") for _ in range(4)]

    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    assert {answer.headers["X-RateLimit-Limit"] for answer in answers} == {"3"}
    assert {answer.headers["X-RateLimit-Reset"] for answer in answers} == {"1769439660"}
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].json() == {"code": 42910000, "message": "rate limit exceeded"}


def test_the_budget_of_market_data_is_another_one_and_both_come_back_with_the_next_minute(scarce: Api) -> None:
    quotes = "/v2/stocks/quotes/latest?symbols=ABC"
    assert [scarce("GET", quotes).status_code for _ in range(2)] == [200, 429]
    assert scarce("GET", "/v2/account").status_code == 200

    scarce.advance(60)

    assert scarce("GET", quotes).status_code == 200


def test_an_order_beyond_the_limit_does_not_exist(scarce: Api) -> None:
    for _ in range(3):
        scarce("GET", "/v2/account")

    assert scarce.order(client_order_id="late").status_code == 429

    scarce.advance(60)
    assert scarce("GET", "/v2/orders:by_client_order_id?client_order_id=late").status_code == 404


def test_the_sdk_reads_a_rate_limit_as_an_error(scarce: Api) -> None:
    trading = trading_client(scarce.url)
    for _ in range(3):
        trading.get_account()

    with pytest.raises(APIError) as error:
        trading.get_account()

    assert refused(error.value) == (429, 42910000, "rate limit exceeded")
    trading._session.close()


def test_every_answer_has_an_id_of_its_own(api: Api) -> None:
    ids = {api("GET", "/v2/account", headers=headers).headers["X-Request-ID"] for headers in (KEYS, KEYS, {})}

    assert len(ids) == 3
