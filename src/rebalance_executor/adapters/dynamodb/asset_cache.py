"""Asset flags cached in the journal's table, so that a plan does not request each symbol from the broker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rebalance_executor.adapters.dynamodb.symbol_items import SymbolItems
from rebalance_executor.adapters.dynamodb.table import Item
from rebalance_executor.domain.market import Asset
from rebalance_executor.execution.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoAssetCache:
    """Implementation of ``AssetCache`` with the items ``ASSET#<symbol>/ASSET``.

    Args:
        client: a DynamoDB client.
        table: the table's name.
        clock: waits between retries of an incomplete batch.
        ttl: time to live of cached flags.
    """

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock, *, ttl: timedelta) -> None:
        self._items = SymbolItems(client, table, clock, "ASSET")
        self._ttl = ttl

    def get(self, symbols: Sequence[str], *, now: datetime) -> Mapping[str, Asset]:
        """Return the cached flags that have not expired.

        An item with a flag that says no, which an older version may have written, is not returned.

        Raises:
            JournalUnavailable: the table did not answer.
        """
        cached = {symbol: _asset(symbol, item) for symbol, item in self._items.get(symbols, now=now).items()}
        return {symbol: asset for symbol, asset in cached.items() if asset is not None and asset.allows_every_order}

    def put(self, assets: Iterable[Asset], *, now: datetime) -> None:
        """Cache, for the time to live, the flags of assets that allow every order.

        Raises:
            JournalUnavailable: the table did not accept all of them.
        """
        latest = {asset.symbol: asset for asset in assets}
        items = {symbol: _item(asset) for symbol, asset in latest.items() if asset.allows_every_order}
        self._items.put(items, expires_at=now + self._ttl)

    def drop(self, symbol: str, *, now: datetime) -> None:
        """Drop the flags of this symbol: replace its item with one that has expired.

        Raises:
            JournalUnavailable: the table did not accept it.
        """
        self._items.put({symbol: {}}, expires_at=now)


def _item(asset: Asset) -> Item:
    return {
        "status": asset.status,
        "tradable": _yes_no(asset.tradable),
        "fractionable": _yes_no(asset.fractionable),
    }


def _asset(symbol: str, item: Item) -> Asset | None:
    """Return the flags in an item; None if some are missing, so that the broker is asked again."""
    status = item.get("status")
    tradable, fractionable = _FLAGS.get(item.get("tradable")), _FLAGS.get(item.get("fractionable"))
    if not isinstance(status, str) or tradable is None or fractionable is None:
        return None
    return Asset(symbol=symbol, status=status, tradable=tradable, fractionable=fractionable)


_FLAGS: Mapping[object, bool] = {"yes": True, "no": False}


def _yes_no(flag: bool) -> str:  # noqa: FBT001 - the flag is the value
    return "yes" if flag else "no"
