"""A test harness for the exchange: a clock that changes only when it is moved, and short forms of common calls."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from paper_broker.errors import BrokerError
from paper_broker.exchange import Exchange
from paper_broker.formats import JsonObject

MONDAY_TEN = datetime(2026, 1, 26, 15, tzinfo=UTC)
"""Ten in the morning in New York; the market is open."""
WORLD: JsonObject = {
    "seed": 7,
    "account": {"cash": "10000"},
    "quotes": {"ABC": {"bid": "10.00", "ask": "10.02", "last": "10.01", "prev_close": "9.90"}},
    "positions": [{"symbol": "ABC", "qty": "20", "avg_entry_price": "9"}],
}


class ExchangeHarness:
    """An exchange with the account and quotes of ``WORLD``.

    Args:
        at: initial time.
        world: parts of the scenario to replace.
    """

    def __init__(self, *, at: datetime = MONDAY_TEN, **world: Any) -> None:
        self.now = at
        self.exchange = Exchange({**WORLD, **world}, lambda: self.now)

    def wait(self, **time: float) -> None:
        """Advance the clock, for example by ``seconds=5`` or ``hours=1``."""
        self.now += timedelta(**time)

    def order(self, **body: Any) -> JsonObject:
        """Submit a DAY limit order for ten ABC at the touch; ``body`` replaces fields."""
        fields: JsonObject = {"symbol": "ABC", "side": "buy", "type": "limit", "time_in_force": "day", **body}
        if "notional" not in fields:
            fields.setdefault("qty", "10")
        if fields["type"] == "limit":
            fields.setdefault("limit_price", "10.02" if fields["side"] == "buy" else "10.00")
        return self.exchange.submit_order(fields)

    def read(self, order: JsonObject) -> JsonObject:
        """Return the current state of an order."""
        return self.exchange.get_order(order["id"])

    def status(self, order: JsonObject) -> str:
        """Return the current status of an order."""
        return str(self.read(order)["status"])

    @property
    def cash(self) -> str:
        """The account's cash."""
        return str(self.exchange.account()["cash"])

    @property
    def buying_power(self) -> str:
        """The account's buying power."""
        return str(self.exchange.account()["buying_power"])

    def shares(self, symbol: str = "ABC") -> str:
        """Return the shares held."""
        return next((str(p["qty"]) for p in self.exchange.positions() if p["symbol"] == symbol), "0")


def rejection(call: Callable[[], object]) -> BrokerError:
    """Return the error that a call raises."""
    with pytest.raises(BrokerError) as rejected:
        call()
    return rejected.value


def rejected_order(harness: ExchangeHarness, **body: Any) -> tuple[int, int | None, str]:
    """Submit an order that must be rejected; return status, code and message."""
    error = rejection(lambda: harness.order(**body))
    return error.http_status, error.code, error.message
