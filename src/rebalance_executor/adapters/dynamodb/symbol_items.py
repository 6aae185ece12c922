"""Cached data of each symbol in the journal's table: one item per symbol, with a time to live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rebalance_executor.adapters.dynamodb.table import Item, Table
from rebalance_executor.execution.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class SymbolItems:
    """The items ``<kind>#<symbol>/<kind>``, each with its ``symbol``.

    Args:
        client: a DynamoDB client.
        table: the table's name; ``expires_at`` is its time-to-live attribute.
        clock: waits between retries of an incomplete batch.
        kind: what the items hold, in capitals.
    """

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock, kind: str) -> None:
        self._table = Table(client, table, clock)
        self._kind = kind

    def get(self, symbols: Sequence[str], *, now: datetime) -> dict[str, Item]:
        """Return the items that have not expired, by symbol. DynamoDB may take days to delete expired items.

        Raises:
            JournalUnavailable: the table did not answer.
        """
        items = self._table.get_many([self._key(symbol) for symbol in dict.fromkeys(symbols)])
        valid = [item for item in items if _expires_at(item) > now.timestamp()]
        return {symbol: item for item in valid if isinstance(symbol := item.get("symbol"), str)}

    def put(self, items: Mapping[str, Item], *, expires_at: datetime) -> None:
        """Replace the items of these symbols.

        Raises:
            JournalUnavailable: the table did not accept all of them.
        """
        until = int(expires_at.timestamp())
        self._table.put_many(
            [{**self._key(symbol), "symbol": symbol, **item, "expires_at": until} for symbol, item in items.items()]
        )

    def _key(self, symbol: str) -> Item:
        return {"pk": f"{self._kind}#{symbol}", "sk": self._kind}


def _expires_at(item: Item) -> int:
    expires_at = item.get("expires_at")
    return expires_at if isinstance(expires_at, int) else 0
