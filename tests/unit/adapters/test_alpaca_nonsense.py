"""What Alpaca, or something on the way to it, should not answer: one bad row in a list, or our own secrets."""

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
from rebalance_executor.domain.errors import BrokerUnavailable, DuplicateClientOrderId, NotFound, RebalanceError
from rebalance_executor.domain.market import OrderRequest, OrderType, Side
from rebalance_executor.settings import Settings

POSITION = {"symbol": "AAA", "qty": "5", "qty_available": "5"}
ORDER = {"id": "1", "client_order_id": "c-1", "symbol": "AAA", "side": "buy", "status": "new", "qty": "5"}
QUOTE = {"t": "2026-01-26T15:00:00Z", "bp": 99.99, "ap": 100.01}
REQUEST = OrderRequest("c-1", "AAA", Side.BUY, OrderType.MARKET, Decimal(1))

STRANGE = [{"symbol": "XXX"}, {"symbol": "XXX", "qty": None}, {"symbol": "XXX", "id": 7, "status": ["new"]}]
"""Rows about another symbol than those asked for."""
NAMELESS = [None, "AAA", {"qty": "1"}, {"symbol": None, "id": 7, "status": "new"}]
"""Rows that may be about any symbol."""


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


def tell(broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, answer: object) -> None:
    """Let every read be answered with this."""
    for door in (broker._trading, broker._data):
        monkeypatch.setattr(door._api, "get", lambda *_: answer)


def refuse(broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, status: int, message: str = "invalid symbol") -> None:
    """Let everything be refused with this status."""
    response = Response()
    response.status_code = status
    make: Any = client.APIError

    def raise_it(*_: object) -> None:
        raise make(json.dumps({"message": message}), HTTPError(response=response))

    monkeypatch.setattr(broker._trading._api, "get", raise_it)
    monkeypatch.setattr(broker._trading._api, "post", raise_it)


@pytest.mark.parametrize("row", STRANGE, ids=str)
def test_nonsense_about_something_else_loses_nothing(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, row: object
) -> None:
    tell(broker, monkeypatch, [row, POSITION, row])
    assert broker.positions(["AAA", "BBB"]).keys() == {"AAA"}

    tell(broker, monkeypatch, [row, ORDER, row])
    assert [order.id for order in broker.open_orders(["AAA", "BBB"])] == ["1"]


@pytest.mark.parametrize("row", NAMELESS, ids=str)
def test_a_row_that_names_no_symbol_is_not_passed_over(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, row: object
) -> None:
    """A position without its name is not one that is not held: its sell would be denied for good."""
    tell(broker, monkeypatch, [POSITION, row])
    with pytest.raises(BrokerUnavailable, match="position that came has no usable"):
        broker.positions(["AAA", "BBB"])

    tell(broker, monkeypatch, [ORDER, row])
    with pytest.raises(BrokerUnavailable, match="order that came has no usable"):
        broker.open_orders(["AAA", "BBB"])


def test_nonsense_about_what_is_asked_for_is_not_passed_over(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(broker, monkeypatch, [{"symbol": "AAA"}])

    with pytest.raises(BrokerUnavailable, match="position that came has no usable qty"):
        broker.positions(["AAA"])
    with pytest.raises(BrokerUnavailable, match="order that came has no usable id"):
        broker.open_orders(["AAA"])


def test_a_full_page_is_not_the_last_however_little_of_it_was_asked_for(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands behind five hundred strange rows is not known: nobody may believe that it is nothing."""
    tell(broker, monkeypatch, [{"symbol": "XXX"}] * 500)

    with pytest.raises(BrokerUnavailable, match="does not end"):
        broker.open_orders(["AAA"])


@pytest.mark.parametrize("quote", [None, [], {}, QUOTE | {"bp": "a lot"}, QUOTE | {"t": None}], ids=str)
def test_a_quote_that_is_nonsense_is_none_and_the_others_are_read(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, quote: object
) -> None:
    tell(broker, monkeypatch, {"quotes": {"AAA": QUOTE, "BBB": quote}})

    assert broker.quotes(["AAA", "BBB"]).keys() == {"AAA"}


def refuse_quotes_of(symbol: str, broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, message: str) -> list[str]:
    """Let market data refuse every request with this symbol in it; gives what is asked for."""
    asked: list[str] = []
    response = Response()
    response.status_code = 400
    make: Any = client.APIError

    def get(_path: str, params: dict[str, str]) -> object:
        asked.append(params["symbols"])
        symbols = params["symbols"].split(",")
        if symbol in symbols:
            raise make(json.dumps({"message": message}), HTTPError(response=response))
        return {"quotes": dict.fromkeys(symbols, QUOTE)}

    monkeypatch.setattr(broker._data._api, "get", get)
    return asked


def test_a_symbol_that_market_data_takes_for_none_costs_the_others_no_quote(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = refuse_quotes_of("BB.W", broker, monkeypatch, "code=400, message=invalid symbol: BB.W.")

    assert broker.quotes(["AAA", "BB.W", "B"]).keys() == {"AAA", "B"}
    assert asked == ["AAA,BB.W,B", "AAA,B"]
    assert broker.quotes(["BB.W"]) == {}


@pytest.mark.parametrize("message", ["invalid request", "invalid symbols: AAA,BBB,CCC", "GET refused"])
def test_a_refusal_that_names_no_single_symbol_is_one_of_the_whole_request(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    asked = refuse_quotes_of("BBB", broker, monkeypatch, message)

    with pytest.raises(BrokerUnavailable, match="400"):
        broker.quotes(["AAA", "BBB", "CCC"])
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("status", "error"), [(400, NotFound), (404, NotFound), (422, NotFound), (409, BrokerUnavailable)]
)
def test_what_the_broker_takes_for_no_symbol_is_no_asset(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, status: int, error: type[Exception]
) -> None:
    refuse(broker, monkeypatch, status)

    with pytest.raises(error, match="invalid symbol"):
        broker.asset("AAA")


@pytest.mark.parametrize("status", [401, 403, 422])
def test_an_answer_that_shows_our_keys_is_not_shown(
    broker: AlpacaBroker, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    refuse(broker, monkeypatch, status, "refused PKTHEKEY with the-secret")
    for ask in (broker.account, lambda: broker.submit(REQUEST)):
        with pytest.raises(RebalanceError, match="refused … with …"):
            ask()


def test_keys_of_a_letter_change_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = a_broker("k", "s")
    refuse(broker, monkeypatch, 422, "client_order_id must be unique")

    with pytest.raises(DuplicateClientOrderId, match="must be unique"):
        broker.submit(REQUEST)
