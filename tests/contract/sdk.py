"""Alpaca's own Python SDK, pointed at a paper broker on this machine, and bare requests beside it."""

import json
import warnings
from typing import Any

import requests

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the SDK imports the retired half of websockets
    from alpaca.common.exceptions import APIError
    from alpaca.data.historical.stock import StockHistoricalDataClient
    from alpaca.data.requests import StockLatestQuoteRequest, StockLatestTradeRequest, StockSnapshotRequest
    from alpaca.trading.client import TradingClient

__all__ = [
    "APIError",
    "Api",
    "Sdk",
    "StockHistoricalDataClient",
    "StockLatestQuoteRequest",
    "StockLatestTradeRequest",
    "StockSnapshotRequest",
    "TradingClient",
    "broker_world",
    "data_client",
    "extras",
    "refused",
    "trading_client",
]

type Sdk = Any
"""A client of the SDK. It declares that every answer may as well be a plain dict, and tests read fields of models."""
KEYS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}
_SECONDS = 10


def broker_world(**world: Any) -> dict[str, Any]:
    """A world whose clock stands at ten in the morning of a Monday, with twenty shares of ABC."""
    return {
        "clock": {"mode": "virtual", "now": "2026-01-26T15:00:00Z"},
        "account": {"cash": "10000"},
        "quotes": {
            "ABC": {"bid": "10.00", "ask": "10.02", "last": "10.01", "prev_close": "9.90"},
            "XYZ": {"bid": "50.00", "ask": "50.10"},
        },
        "positions": [{"symbol": "ABC", "qty": "20", "avg_entry_price": "9"}],
        **world,
    }


def trading_client(url: str, key: str = "key") -> TradingClient:
    """The SDK's trading client; without its own retries, which sleep."""
    client = TradingClient(key, "secret", paper=True, url_override=url)
    client._retry = 0
    client._session.trust_env = False
    return client


def data_client(url: str, key: str = "key") -> StockHistoricalDataClient:
    """The SDK's market-data client; without its own retries, which sleep."""
    client = StockHistoricalDataClient(key, "secret", url_override=url)
    client._retry = 0
    client._session.trust_env = False
    return client


def extras(error: APIError) -> dict[str, Any]:
    """What a refusal tells besides its code and its message."""
    body: dict[str, Any] = json.loads(str(error))
    return {name: value for name, value in body.items() if name not in ("code", "message")}


def refused(error: APIError) -> tuple[int, int, str]:
    """Status, code and message as the SDK reads them."""
    return error.status_code, error.code, error.message


class Api:
    """Bare requests to one broker: Alpaca's paths with keys, and the admin path."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False

    def close(self) -> None:
        """Give the connection back."""
        self.session.close()

    def __call__(self, method: str, path: str, timeout: float = _SECONDS, **options: Any) -> requests.Response:
        """Send one request with keys."""
        options.setdefault("headers", KEYS)
        return self.session.request(method, self.url + path, timeout=timeout, **options)

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request to the admin path, which must succeed."""
        response = self.session.request(method, f"{self.url}/admin/{path}", json=body, timeout=_SECONDS)
        assert response.status_code == 200, response.text
        return response.json()

    def advance(self, seconds: float) -> None:
        """Move the virtual clock."""
        self.admin("POST", "clock", {"advance_seconds": seconds})

    def order(self, **body: Any) -> requests.Response:
        """Submit a DAY limit order for ten ABC at the touch, or what is asked for instead."""
        given = {"symbol": "ABC", "side": "buy", "type": "limit", "time_in_force": "day", **body}
        if "notional" not in given:
            given.setdefault("qty", "10")
        if given["type"] == "limit":
            given.setdefault("limit_price", "10.02" if given["side"] == "buy" else "10.00")
        return self("POST", "/v2/orders", json=given)
