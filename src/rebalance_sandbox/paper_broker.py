"""The paper broker as the commands see it: Alpaca's own API for what is, its admin API for what shall be."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import requests

from rebalance_cli.exit_codes import CliError, Exit
from rebalance_sandbox.paper_world import PaperWorld, SeedQuote

_SECONDS = 10
_KEYS = {"APCA-API-KEY-ID": "local", "APCA-API-SECRET-KEY": "local"}


class PaperBrokerClient:
    """One paper broker on this machine; a context manager.

    Args:
        url: where it listens.

    Raises:
        CliError: from every method, where the broker refuses.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy on the way to this machine
        self._session.headers.update(_KEYS)

    def __enter__(self) -> Self:
        """The same."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the connection back."""
        self._session.close()

    def cash(self) -> Decimal:
        """The account's cash in dollars."""
        return Decimal(str(self._get("/v2/account")["cash"]))

    def order_count(self) -> int:
        """Orders the broker ever had from anybody, in any status."""
        return len(self._get("/admin/state")["exchange"]["orders"])

    def quotes(self, symbols: Iterable[str]) -> dict[str, SeedQuote]:
        """The quotes of those symbols that the broker knows with both sides."""
        answer = self._get("/v2/stocks/quotes/latest", {"symbols": ",".join(symbols)})
        quotes = {s: SeedQuote(Decimal(str(q["bp"])), Decimal(str(q["ap"]))) for s, q in answer["quotes"].items()}
        return {symbol: quote for symbol, quote in quotes.items() if quote.bid > 0 and quote.ask > 0}

    def make(self, world: PaperWorld) -> None:
        """Make the broker's world fit; its orders stay as they are."""
        self._checked(self._session.post(self._url + "/admin/world", json=world.as_request(), timeout=_SECONDS))

    def _get(self, path: str, query: dict[str, str] | None = None) -> Any:
        response = self._checked(self._session.get(self._url + path, params=query, timeout=_SECONDS))
        return response.json(parse_float=Decimal)

    def _checked(self, response: requests.Response) -> requests.Response:
        if not response.ok:
            raise CliError(
                f"The paper broker answered {response.status_code} to {response.request.method} "
                f"{response.request.path_url}: {response.text[:200]}",
                "Its world may not fit the command: rebalance local reset starts afresh.",
                Exit.BROKEN,
            )
        return response
