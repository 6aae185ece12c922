"""Malformed responses of Alpaca or of a proxy: invalid entries, invalid symbols, our own keys in a message."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from requests import HTTPError, Response

from rebalance_executor.adapters.alpaca import client
from rebalance_executor.adapters.alpaca.broker import AlpacaBroker
from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.adapters.clock import SystemClock
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import BrokerUnavailable, DuplicateClientOrderId, RebalanceError
from rebalance_executor.domain.market import OrderRequest, OrderType, Side
from rebalance_executor.settings import Settings

POSITION = {"symbol": "AAA", "qty": "5", "qty_available": "5"}
ORDER = {"id": "1", "client_order_id": "c-1", "symbol": "AAA", "side": "buy", "status": "new", "qty": "5"}
QUOTE = {"t": "2026-01-26T15:00:00Z", "bp": 99.99, "ap": 100.01}
REQUEST = OrderRequest("c-1", "AAA", Side.BUY, OrderType.MARKET, Decimal(1))

OTHER_SYMBOL = [{"symbol": "XXX"}, {"symbol": "XXX", "qty": None}, {"symbol": "XXX", "id": 7, "status": ["new"]}]
"""Malformed entries of a symbol that was not requested."""
NO_SYMBOL = [None, "AAA", {"qty": "1"}, {"symbol": None, "id": 7, "status": "new"}]
"""Malformed entries that could belong to any symbol."""


@pytest.fixture
def broker() -> AlpacaBroker:
    return a_broker("PKTHEKEY", "the-secret")


def a_broker(key: str, secret: str) -> AlpacaBroker:
    values = {"EXECUTION_TABLE": "t", "IDEMPOTENCY_TABLE": "i"}
    return AlpacaBroker(
        Credentials(key, secret, None),
        Settings.model_validate(values),
        ExecutionConfig(),
        SystemClock(),
        lambda _path: None,
    )


def respond(broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, payload: object) -> None:
    """Respond to every read with this payload."""
    for transport in (broker._trading, broker._data):
        monkeypatch.setattr(transport._api, "get", lambda *_: payload)


def fail(broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, status: int, message: str = "invalid symbol") -> None:
    """Respond to every trading request with this status and message."""
    response = Response()
    response.status_code = status
    make: Any = client.APIError

    def raise_it(*_: object) -> None:
        raise make(json.dumps({"code": status * 100_000, "message": message}), HTTPError(response=response))

    monkeypatch.setattr(broker._trading._api, "get", raise_it)
    monkeypatch.setattr(broker._trading._api, "post", raise_it)


@pytest.mark.parametrize("entry", OTHER_SYMBOL, ids=str)
def test_malformed_entry_of_another_symbol_is_ignored(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, entry: object
) -> None:
    respond(broker, monkeypatch, [entry, POSITION, entry])
    assert broker.positions(["AAA", "BBB"]).keys() == {"AAA"}

    respond(broker, monkeypatch, [entry, ORDER, entry])
    assert [order.id for order in broker.open_orders(["AAA", "BBB"])] == ["1"]


def test_all_positions_can_be_read(broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    respond(broker, monkeypatch, [POSITION, {**POSITION, "symbol": "BBB"}])

    assert broker.positions(None).keys() == {"AAA", "BBB"}


@pytest.mark.parametrize("entry", [*OTHER_SYMBOL, *NO_SYMBOL], ids=str)
def test_malformed_entry_fails_the_read_of_all_positions(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, entry: object
) -> None:
    respond(broker, monkeypatch, [POSITION, entry])

    with pytest.raises(BrokerUnavailable):
        broker.positions(None)


@pytest.mark.parametrize("entry", NO_SYMBOL, ids=str)
def test_entry_without_symbol_fails_the_read(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, entry: object
) -> None:
    """Ignoring it could hide a position, and the sell of that position would be denied for good."""
    respond(broker, monkeypatch, [POSITION, entry])
    with pytest.raises(BrokerUnavailable, match="position has no usable"):
        broker.positions(["AAA", "BBB"])

    respond(broker, monkeypatch, [ORDER, entry])
    with pytest.raises(BrokerUnavailable, match="order has no usable"):
        broker.open_orders(["AAA", "BBB"])


def test_malformed_entry_of_a_requested_symbol_fails_the_read(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    respond(broker, monkeypatch, [{"symbol": "AAA"}])

    with pytest.raises(BrokerUnavailable, match="position has no usable qty"):
        broker.positions(["AAA"])
    with pytest.raises(BrokerUnavailable, match="order has no usable id"):
        broker.open_orders(["AAA"])


def test_full_page_of_other_symbols_is_not_the_last_page(broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next page may contain orders in the requested symbols."""
    respond(broker, monkeypatch, [{"symbol": "XXX"}] * 500)

    with pytest.raises(BrokerUnavailable, match="does not end"):
        broker.open_orders(["AAA"])


@pytest.mark.parametrize("quote", [None, [], {}, QUOTE | {"bp": "a lot"}, QUOTE | {"t": None}], ids=str)
def test_malformed_quote_is_missing_and_the_others_are_read(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, quote: object
) -> None:
    respond(broker, monkeypatch, {"quotes": {"AAA": QUOTE, "BBB": quote}})

    assert broker.quotes(["AAA", "BBB"]).keys() == {"AAA"}


def fail_quotes_of(symbol: str, broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, message: str) -> list[str]:
    """Fail every quote request that contains this symbol; return the symbols of each request, as they come in."""
    requested: list[str] = []
    response = Response()
    response.status_code = 400
    make: Any = client.APIError

    def get(_path: str, params: dict[str, str]) -> object:
        requested.append(params["symbols"])
        symbols = params["symbols"].split(",")
        if symbol in symbols:
            raise make(json.dumps({"message": message}), HTTPError(response=response))
        return {"quotes": dict.fromkeys(symbols, QUOTE)}

    monkeypatch.setattr(broker._data._api, "get", get)
    return requested


def test_quotes_are_requested_again_without_an_invalid_symbol(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested = fail_quotes_of("BB.W", broker, monkeypatch, "code=400, message=invalid symbol: BB.W.")

    assert broker.quotes(["AAA", "BB.W", "B"]).keys() == {"AAA", "B"}
    assert requested == ["AAA,BB.W,B", "AAA,B"]
    assert broker.quotes(["BB.W"]) == {}


@pytest.mark.parametrize("message", ["invalid request", "invalid symbols: AAA,BBB,CCC", "GET failed"])
def test_error_that_names_no_single_symbol_fails_the_whole_request(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    requested = fail_quotes_of("BBB", broker, monkeypatch, message)

    with pytest.raises(BrokerUnavailable, match="400"):
        broker.quotes(["AAA", "BBB", "CCC"])
    assert len(requested) == 1


@pytest.mark.parametrize("status", [401, 403, 422])
def test_error_redacts_keys_in_the_response(broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    fail(broker, monkeypatch, status, "invalid PKTHEKEY with the-secret")
    for send in (broker.account, lambda: broker.submit(REQUEST)):
        with pytest.raises(RebalanceError, match="invalid … with …"):
            send()


def test_short_keys_are_not_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = a_broker("k", "s")
    fail(broker, monkeypatch, 422, "client_order_id must be unique")

    with pytest.raises(DuplicateClientOrderId, match="must be unique"):
        broker.submit(REQUEST)
