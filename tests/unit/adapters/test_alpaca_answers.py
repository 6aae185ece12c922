"""Each answer of Alpaca, of a gateway or of a proxy proves only what its sender can know."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from requests import HTTPError, Response

from rebalance_executor.adapters.alpaca import client
from rebalance_executor.adapters.alpaca.broker import AlpacaBroker
from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import (
    BrokerUnavailable,
    CredentialsRejected,
    DuplicateClientOrderId,
    NotFound,
    OrderRejected,
    OutcomeUnknown,
    RateLimited,
)
from rebalance_executor.domain.market import OrderRequest, OrderType, Side
from rebalance_executor.settings import Settings
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW, later

REQUEST = OrderRequest("c-1", "AAA", Side.BUY, OrderType.MARKET, Decimal(1))
ORDER = {"id": "1", "client_order_id": "c-1", "symbol": "AAA", "side": "buy", "status": "new", "qty": "1"}
HTML = "<html>Forbidden</html>"


@pytest.fixture
def broker() -> AlpacaBroker:
    settings = Settings.model_validate({"EXECUTION_TABLE": "t", "IDEMPOTENCY_TABLE": "i"})
    credentials = Credentials("PKTHEKEY", "the-secret", None)
    alpaca = AlpacaBroker(credentials, settings, ExecutionConfig(), SimulatedClock(NOW), lambda _path: None)
    alpaca.set_deadline(later(60))
    return alpaca


def respond(broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, status: int, body: str) -> list[str]:
    """Respond to every request with this status and body; return the methods of the requests, as they come in."""
    requests: list[str] = []
    response = Response()
    response.status_code = status
    make: Any = client.APIError

    def responder(method: str) -> Callable[..., object]:
        def respond_to(*_: object) -> object:
            requests.append(method)
            if status < 400:
                return json.loads(body)
            raise make(body, HTTPError(response=response))

        return respond_to

    for transport in (broker._trading, broker._data):
        for method in ("get", "post", "delete"):
            monkeypatch.setattr(transport._api, method, responder(method))
    return requests


def error(code: object = None, message: str = "Forbidden") -> str:
    return json.dumps({"message": message} if code is None else {"code": code, "message": message})


# --- submissions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (403, error(40310000, "insufficient buying power"), OrderRejected),
        (403, error(40310100, "pattern day trading"), OrderRejected),
        (422, error(42210000, "sub-penny"), OrderRejected),
        (400, error(40010001, "qty is required"), OrderRejected),
        (422, error(40010001, "client_order_id must be unique"), DuplicateClientOrderId),
        (429, error(42910000, "rate limit exceeded"), RateLimited),
        (401, error(40110000, "unauthorized"), CredentialsRejected),
        (401, HTML, CredentialsRejected),
        (403, error(None, "forbidden."), CredentialsRejected),
        (403, HTML, CredentialsRejected),
        (400, error(), OutcomeUnknown),
        (409, error(), OutcomeUnknown),
        (422, error(), OutcomeUnknown),
        (422, error(True), OutcomeUnknown),
        (422, error("42210000"), OutcomeUnknown),
        (429, error(), OutcomeUnknown),
        (499, error(), OutcomeUnknown),
        (404, HTML, OutcomeUnknown),
        (408, error(40810000, "request timeout"), OutcomeUnknown),
        (408, error(), OutcomeUnknown),
        (500, error(50010000, "internal server error"), OutcomeUnknown),
        (504, "", OutcomeUnknown),
    ],
)
def test_only_the_check_of_the_order_rejects_a_submission(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, status: int, body: str, expected: type[Exception]
) -> None:
    requests = respond(broker, monkeypatch, status, body)
    with pytest.raises(expected) as caught:
        broker.submit(REQUEST)

    assert caught.type is expected
    assert requests == ["post"]
    assert broker.credentials_rejected is (expected is CredentialsRejected)


@pytest.mark.parametrize("other", [{"symbol": "BBB"}, {"client_order_id": "c-2"}])
def test_answer_with_another_order_is_not_the_submitted_order(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, other: dict[str, str]
) -> None:
    respond(broker, monkeypatch, 200, json.dumps(ORDER | other))

    with pytest.raises(OutcomeUnknown, match="another order"):
        broker.submit(REQUEST)


# --- reads -----------------------------------------------------------------------------------------------

LISTS: list[Callable[[AlpacaBroker], object]] = [
    lambda b: b.account(),
    lambda b: b.clock(),
    lambda b: b.positions(["AAA"]),
    lambda b: b.open_orders(["AAA"]),
    lambda b: b.orders(["AAA"], NOW),
    lambda b: b.quotes(["AAA"]),
    lambda b: b.last_trades(["AAA"]),
]
OBJECTS: list[Callable[[AlpacaBroker], object]] = [
    lambda b: b.asset("AAA"),
    lambda b: b.order_by_client_id("c-1"),
    lambda b: b.cancel("1"),
]
NO_ROUTE = error(40410000, "endpoint not found")


@pytest.mark.parametrize("ask", LISTS + OBJECTS)
@pytest.mark.parametrize("body", [NO_ROUTE, error(None, "Not Found"), HTML, error(None, "asset not found")])
def test_passing_404_is_an_outage(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, ask: Callable[[AlpacaBroker], object], body: str
) -> None:
    requests = respond(broker, monkeypatch, 404, body)
    with pytest.raises(BrokerUnavailable, match="404"):
        ask(broker)

    assert len(requests) > 1, "it is retried"


@pytest.mark.parametrize("ask", LISTS)
def test_list_is_never_not_found(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, ask: Callable[[AlpacaBroker], object]
) -> None:
    respond(broker, monkeypatch, 404, error(40410000, "asset not found for AAA"))

    with pytest.raises(BrokerUnavailable):
        ask(broker)


def test_only_alpaca_says_that_an_object_does_not_exist(broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    respond(broker, monkeypatch, 404, error(40410000, "asset not found for AAA"))
    with pytest.raises(NotFound):
        broker.asset("AAA")

    respond(broker, monkeypatch, 404, error(40410000, "order not found for c-1"))
    assert broker.order_by_client_id("c-1") is None
    assert not broker.cancel("1")


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (error(42210000, "invalid symbol"), NotFound),
        (error(42210000, "asset not found"), NotFound),
        (error(42210000, "request body format is invalid"), BrokerUnavailable),
        (error(None, "invalid symbol"), BrokerUnavailable),
    ],
)
def test_only_alpaca_says_that_a_symbol_is_invalid(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, status: int, body: str, expected: type[Exception]
) -> None:
    respond(broker, monkeypatch, status, body)

    with pytest.raises(expected):
        broker.asset("AAA")


@pytest.mark.parametrize("ask", LISTS + OBJECTS)
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, error(40110000), CredentialsRejected),
        (403, error(None, "forbidden."), CredentialsRejected),
        (403, HTML, CredentialsRejected),
        (403, error(40310000, "not allowed"), BrokerUnavailable),
    ],
)
def test_403_with_a_code_is_not_about_the_keys(
    broker: AlpacaBroker,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[AlpacaBroker], object],
    status: int,
    body: str,
    expected: type[Exception],
) -> None:
    requests = respond(broker, monkeypatch, status, body)
    with pytest.raises(expected):
        ask(broker)

    assert len(requests) == 1


@pytest.mark.parametrize("body", [error(None, "Unprocessable"), HTML])
def test_422_of_a_gateway_does_not_end_a_cancel(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    respond(broker, monkeypatch, 422, body)
    with pytest.raises(BrokerUnavailable):
        broker.cancel("1")

    respond(broker, monkeypatch, 422, error(42210000, 'order is already in "filled" state'))
    assert not broker.cancel("1")


def test_long_message_is_cut(broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is journalled with the order."""
    respond(broker, monkeypatch, 422, error(42210000, "x" * 300_000))
    with pytest.raises(OrderRejected) as caught:
        broker.submit(REQUEST)

    assert len(caught.value.reason) < 1000
