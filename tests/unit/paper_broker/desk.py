"""A trading desk at the exchange model: a clock that stands still until it is moved, and short orders."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from paper_broker.errors import BrokerError
from paper_broker.exchange import Exchange
from paper_broker.formats import Wire

MONDAY_TEN = datetime(2026, 1, 26, 15, tzinfo=UTC)
"""Ten in the morning in New York; the market is open."""
WORLD: Wire = {
    "seed": 7,
    "account": {"cash": "10000"},
    "quotes": {"ABC": {"bid": "10.00", "ask": "10.02", "last": "10.01", "prev_close": "9.90"}},
    "positions": [{"symbol": "ABC", "qty": "20", "avg_entry_price": "9"}],
}


class Desk:
    """One account at one exchange, ten in the morning on a Monday."""

    def __init__(self, *, at: datetime = MONDAY_TEN, **world: Any) -> None:
        self.now = at
        self.exchange = Exchange({**WORLD, **world}, lambda: self.now)

    def wait(self, **time: float) -> None:
        """Let time pass: ``seconds=5``, ``hours=1``."""
        self.now += timedelta(**time)

    def order(self, **body: Any) -> Wire:
        """Submit a DAY limit order for ten ABC at the touch, or what is asked for instead."""
        given: Wire = {"symbol": "ABC", "side": "buy", "type": "limit", "time_in_force": "day", **body}
        if "notional" not in given:
            given.setdefault("qty", "10")
        if given["type"] == "limit":
            given.setdefault("limit_price", "10.02" if given["side"] == "buy" else "10.00")
        return self.exchange.submit_order(given)

    def look(self, order: Wire) -> Wire:
        """The order as it is now."""
        return self.exchange.get_order(order["id"])

    def status(self, order: Wire) -> str:
        """The order's status now."""
        return str(self.look(order)["status"])

    @property
    def cash(self) -> str:
        """The account's cash now."""
        return str(self.exchange.account()["cash"])

    @property
    def buying_power(self) -> str:
        """The account's buying power now."""
        return str(self.exchange.account()["buying_power"])

    def shares(self, symbol: str = "ABC") -> str:
        """Shares held now."""
        return next((str(p["qty"]) for p in self.exchange.positions() if p["symbol"] == symbol), "0")


def refusal(call: Callable[[], object]) -> BrokerError:
    """The error with which a call is refused."""
    with pytest.raises(BrokerError) as refused:
        call()
    return refused.value


def refused_order(desk: Desk, **body: Any) -> tuple[int, int, str]:
    """Status, code and message with which an order is refused."""
    error = refusal(lambda: desk.order(**body))
    return error.http_status, error.code, error.message
