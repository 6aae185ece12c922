"""HTTP client of the simulated broker: reads through Alpaca's API, changes the market through the admin API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import requests

from rebalance_sandbox.environment import DUMMY_KEY
from rebalance_sandbox.errors import SandboxFailed
from rebalance_sandbox.paper_world import PaperWorld, SeedQuote, quote_request

_TIMEOUT_SECONDS = 10
_KEYS = {"APCA-API-KEY-ID": DUMMY_KEY, "APCA-API-SECRET-KEY": DUMMY_KEY}


class PaperBrokerClient:
    """A simulated broker on this machine; a context manager.

    Args:
        url: address of the broker.

    Raises:
        SandboxFailed: from every method, if the broker answers with an error.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False  # requests to this machine must not go through a proxy
        self._session.headers.update(_KEYS)

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._session.close()

    def cash(self) -> Decimal:
        """Return the account's cash in dollars."""
        return Decimal(str(self._get("/v2/account")["cash"]))

    def order_count(self) -> int:
        """Return the number of orders that the broker has ever accepted, in any status."""
        return len(self._get("/admin/state")["exchange"]["orders"])

    def quotes(self, symbols: Iterable[str]) -> dict[str, SeedQuote]:
        """Return the broker's quotes of these symbols. Symbols without bid or ask are missing."""
        response = self._get("/v2/stocks/quotes/latest", {"symbols": ",".join(symbols)})
        quotes = {s: SeedQuote(Decimal(str(q["bp"])), Decimal(str(q["ap"]))) for s, q in response["quotes"].items()}
        return {symbol: quote for symbol, quote in quotes.items() if quote.bid > 0 and quote.ask > 0}

    def positions(self) -> dict[str, Decimal]:
        """Return the shares that are held, by symbol."""
        return {position["symbol"]: Decimal(str(position["qty"])) for position in self._get("/v2/positions")}

    def add_quotes(self, quotes: Mapping[str, SeedQuote]) -> None:
        """Add symbols with their quotes; positions and cash stay as they are."""
        if quotes:
            self._post({"quotes": {symbol: quote_request(symbol, quote) for symbol, quote in quotes.items()}})

    def set_world(self, world: PaperWorld) -> None:
        """Set quotes, positions and cash; orders stay as they are."""
        self._post(world.as_request())

    def _post(self, world: dict[str, object]) -> None:
        self._check(self._session.post(self._url + "/admin/world", json=world, timeout=_TIMEOUT_SECONDS))

    def _get(self, path: str, query: dict[str, str] | None = None) -> Any:
        response = self._check(self._session.get(self._url + path, params=query, timeout=_TIMEOUT_SECONDS))
        return response.json(parse_float=Decimal)

    def _check(self, response: requests.Response) -> requests.Response:
        if not response.ok:
            raise SandboxFailed(
                f"The simulated broker answered {response.status_code} to {response.request.method} "
                f"{response.request.path_url}: {response.text[:200]}",
                "Delete the local data, then try again",
                ("local", "reset"),
            )
        return response
