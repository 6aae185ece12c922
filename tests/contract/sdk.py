"""Clients for a simulated broker: Alpaca's own Python SDK, and plain HTTP requests."""

import json
import warnings
from typing import Any

import requests

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the SDK imports the deprecated part of websockets
    from alpaca.common.exceptions import APIError
    from alpaca.data.historical.corporate_actions import CorporateActionsClient
    from alpaca.data.historical.stock import StockHistoricalDataClient
    from alpaca.data.requests import (
        CorporateActionsRequest,
        StockBarsRequest,
        StockLatestQuoteRequest,
        StockLatestTradeRequest,
        StockQuotesRequest,
        StockSnapshotRequest,
    )
    from alpaca.data.timeframe import TimeFrame
    from alpaca.trading.client import TradingClient
    from alpaca.trading.enums import OrderSide, TimeInForce
    from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest, ReplaceOrderRequest

__all__ = [
    "APIError",
    "Api",
    "CorporateActionsClient",
    "CorporateActionsRequest",
    "LimitOrderRequest",
    "MarketOrderRequest",
    "OrderSide",
    "ReplaceOrderRequest",
    "Sdk",
    "StockBarsRequest",
    "StockHistoricalDataClient",
    "StockLatestQuoteRequest",
    "StockLatestTradeRequest",
    "StockQuotesRequest",
    "StockSnapshotRequest",
    "TimeFrame",
    "TimeInForce",
    "TradingClient",
    "broker_world",
    "data_client",
    "error_fields",
    "extras",
    "trading_client",
]

type Sdk = Any
"""A client of the SDK, untyped: the SDK declares every result as a model or a dict, and tests read fields of models."""
KEYS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}
_SECONDS = 10


def broker_world(**world: Any) -> dict[str, Any]:
    """Return a scenario with a virtual clock on a Monday at 10:00 in New York, and twenty shares of ABC."""
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
    """Return the SDK's trading client, without its own retries, which sleep."""
    client = TradingClient(key, "secret", paper=True, url_override=url)
    client._retry = 0
    client._session.trust_env = False
    return client


def data_client(url: str, key: str = "key") -> StockHistoricalDataClient:
    """Return the SDK's market-data client, without its own retries, which sleep."""
    client = StockHistoricalDataClient(key, "secret", url_override=url)
    client._retry = 0
    client._session.trust_env = False
    return client


def extras(error: APIError) -> dict[str, Any]:
    """Return the fields of an error other than code and message."""
    body: dict[str, Any] = json.loads(str(error))
    return {name: value for name, value in body.items() if name not in ("code", "message")}


def error_fields(error: APIError) -> tuple[int, int, str]:
    """Return status, code and message as the SDK reads them."""
    return error.status_code, error.code, error.message


class Api:
    """Plain HTTP requests to one broker: Alpaca's API with keys, and the admin API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False

    def close(self) -> None:
        """Close the connection."""
        self.session.close()

    def __call__(self, method: str, path: str, timeout: float = _SECONDS, **options: Any) -> requests.Response:
        """Send one request with keys."""
        options.setdefault("headers", KEYS)
        return self.session.request(method, self.url + path, timeout=timeout, **options)

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request to the admin API and return its JSON; fail unless the status is 200."""
        response = self.session.request(method, f"{self.url}/admin/{path}", json=body, timeout=_SECONDS)
        assert response.status_code == 200, response.text
        return response.json()

    def advance(self, seconds: float) -> None:
        """Advance the virtual clock."""
        self.admin("POST", "clock", {"advance_seconds": seconds})

    def order(self, **body: Any) -> requests.Response:
        """Submit a DAY limit order for ten ABC at the touch; ``body`` replaces fields."""
        fields = {"symbol": "ABC", "side": "buy", "type": "limit", "time_in_force": "day", **body}
        if "notional" not in fields:
            fields.setdefault("qty", "10")
        if fields["type"] == "limit":
            fields.setdefault("limit_price", "10.02" if fields["side"] == "buy" else "10.00")
        return self("POST", "/v2/orders", json=fields)
