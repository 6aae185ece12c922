"""Watchlists: named lists of assets, which have no effect on anything else."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from paper_broker.errors import malformed, not_found, unprocessable
from paper_broker.formats import JsonObject, identifier, timestamp
from paper_broker.ledger import Ledger
from paper_broker.market import Market

_LONGEST_NAME = 64


@dataclass(slots=True)
class Watchlist:
    """One watchlist; times in nanoseconds since the epoch."""

    id: str
    name: str
    created_at: int
    updated_at: int
    symbols: list[str] = field(default_factory=list)


class Watchlists:
    """The watchlists of one account. A method that names a list raises :class:`BrokerError` 404 if it is unknown.

    Args:
        seed: seed of the IDs.
        market: the assets.
        ledger: the account.
    """

    def __init__(self, seed: int, market: Market, ledger: Ledger) -> None:
        self._seed = seed
        self._market = market
        self._ledger = ledger
        self._lists: dict[str, Watchlist] = {}
        self._created = 0
        self.revision = 0
        """Counter that increases with every change of what :meth:`dump` returns."""

    def all(self) -> list[JsonObject]:
        """Answer ``GET /v2/watchlists``: without their assets, sorted by name."""
        return [self._json(found) for found in sorted(self._lists.values(), key=lambda known: known.name)]

    def id_of(self, name: str) -> str:
        """Return the ID of the list with a name."""
        found = next((known for known in self._lists.values() if known.name == name), None)
        if found is None:
            raise not_found(f"watchlist not found for {name}")
        return found.id

    def get(self, list_id: str) -> JsonObject:
        """Return a list with its assets."""
        found = self._get(list_id)
        return self._json(found) | {"assets": [self._market.assets[symbol].to_json() for symbol in found.symbols]}

    def create(self, body: Mapping[str, Any], now: int) -> JsonObject:
        """Create a list with ``name`` and ``symbols`` of a request.

        Raises:
            BrokerError: 422 for a missing or used name, or an unknown symbol.
        """
        if "name" not in body:
            raise malformed("name is required")
        name, symbols = self._name(body["name"], None), self._symbols(body.get("symbols") or [])
        self._created += 1
        new = Watchlist(identifier("watchlist", self._seed, self._created), name, now, now, symbols)
        self._lists[new.id] = new
        return self._changed(new, now)

    def update(self, list_id: str, body: Mapping[str, Any], now: int) -> JsonObject:
        """Replace the ``name`` and the ``symbols`` of a list, as far as the request has them.

        Raises:
            BrokerError: 422 for a used name or an unknown symbol.
        """
        found = self._get(list_id)
        name = self._name(body["name"], found) if body.get("name") is not None else found.name
        symbols = self._symbols(body["symbols"]) if body.get("symbols") is not None else found.symbols
        found.name, found.symbols = name, symbols
        return self._changed(found, now)

    def add(self, list_id: str, body: Mapping[str, Any], now: int) -> JsonObject:
        """Append the ``symbol`` of a request to a list.

        Raises:
            BrokerError: 422 for an unknown symbol, or one that the list has.
        """
        found = self._get(list_id)
        found.symbols = self._symbols([*found.symbols, body.get("symbol")])
        return self._changed(found, now)

    def remove(self, list_id: str, symbol: str, now: int) -> JsonObject:
        """Remove a symbol from a list.

        Raises:
            BrokerError: 404 if the list does not have it.
        """
        found = self._get(list_id)
        if symbol not in found.symbols:
            raise not_found(f"symbol {symbol} is not in the watchlist")
        found.symbols = [known for known in found.symbols if known != symbol]
        return self._changed(found, now)

    def delete(self, list_id: str) -> None:
        """Delete a list."""
        del self._lists[self._get(list_id).id]
        self.revision += 1

    def _get(self, list_id: str) -> Watchlist:
        if list_id not in self._lists:
            raise not_found(f"watchlist not found for {list_id}")
        return self._lists[list_id]

    def _changed(self, changed: Watchlist, now: int) -> JsonObject:
        changed.updated_at = now
        self.revision += 1
        return self.get(changed.id)

    def _name(self, name: Any, own: Watchlist | None) -> str:
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
            raise malformed(f"name must be a text of at most {_LONGEST_NAME} characters")
        if any(known.name == name for known in self._lists.values() if known is not own):
            raise malformed("watchlist name must be unique")
        return name

    def _symbols(self, symbols: Any) -> list[str]:
        if not isinstance(symbols, list):
            raise malformed("symbols must be a list")
        if unknown := [
            symbol for symbol in symbols if not isinstance(symbol, str) or symbol not in self._market.assets
        ]:
            raise unprocessable(f'asset "{unknown[0]}" not found')
        if len(set(symbols)) < len(symbols):
            raise malformed("duplicate symbol")
        return list(symbols)

    def _json(self, shown: Watchlist) -> JsonObject:
        times = {"created_at": timestamp(shown.created_at), "updated_at": timestamp(shown.updated_at)}
        return {"id": shown.id, "account_id": self._ledger.account_id, "name": shown.name, **times}

    def dump(self) -> JsonObject:
        """Return the lists, ready for JSON."""
        lists = [asdict(known) for known in self._lists.values()]
        return {"watchlists": lists, "watchlists_created": self._created}

    def load(self, state: JsonObject) -> None:
        """Restore dumped lists."""
        self._lists = {values["id"]: Watchlist(**values) for values in state["watchlists"]}
        self._created = state["watchlists_created"]
        self.revision += 1
