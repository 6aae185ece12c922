"""Asset flags cached in the journal's table, so that a plan does not request each symbol from the broker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rebalance_executor.adapters.dynamodb.table import Item, Table
from rebalance_executor.domain.market import Asset
from rebalance_executor.execution.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoAssetCache:
    """Implementation of ``AssetCache`` with the items ``ASSET#<symbol>/ASSET``.

    Args:
        client: a DynamoDB client.
        table: the table's name; ``expires_at`` is its time-to-live attribute.
        clock: waits between retries of an incomplete batch.
        ttl: time to live of cached flags.
    """

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock, *, ttl: timedelta) -> None:
        self._table = Table(client, table, clock)
        self._ttl = ttl

    def get(self, symbols: Sequence[str], *, now: datetime) -> Mapping[str, Asset]:
        """Return the cached flags that have not expired. DynamoDB may take days to delete expired items.

        An item with a flag that says no, which an older version may have written, is not returned.

        Raises:
            JournalUnavailable: the table did not answer.
        """
        keys = [_key(symbol) for symbol in dict.fromkeys(symbols)]
        cached = (_asset(item) for item in self._table.get_many(keys) if _expires_at(item) > now.timestamp())
        return {asset.symbol: asset for asset in cached if asset is not None and asset.allows_every_order}

    def put(self, assets: Iterable[Asset], *, now: datetime) -> None:
        """Cache, for the time to live, the flags of assets that allow every order.

        Raises:
            JournalUnavailable: the table did not accept all of them.
        """
        expires_at = int((now + self._ttl).timestamp())
        latest = {asset.symbol: asset for asset in assets}  # a batch must not contain an item twice
        cacheable = [asset for asset in latest.values() if asset.allows_every_order]
        self._table.put_many([_item(asset, expires_at) for asset in cacheable])

    def drop(self, symbol: str, *, now: datetime) -> None:
        """Drop the flags of this symbol: replace its item with one that has expired.

        Raises:
            JournalUnavailable: the table did not accept it.
        """
        self._table.put_many([{**_key(symbol), "expires_at": int(now.timestamp())}])


def _key(symbol: str) -> Item:
    return {"pk": f"ASSET#{symbol}", "sk": "ASSET"}


def _item(asset: Asset, expires_at: int) -> Item:
    return {
        **_key(asset.symbol),
        "symbol": asset.symbol,
        "status": asset.status,
        "tradable": _yes_no(asset.tradable),
        "fractionable": _yes_no(asset.fractionable),
        "expires_at": expires_at,
    }


def _asset(item: Item) -> Asset | None:
    """Return the flags in an item; None if some are missing, so that the broker is asked again."""
    symbol, status = item.get("symbol"), item.get("status")
    tradable, fractionable = _FLAGS.get(item.get("tradable")), _FLAGS.get(item.get("fractionable"))
    if not isinstance(symbol, str) or not isinstance(status, str) or tradable is None or fractionable is None:
        return None
    return Asset(symbol=symbol, status=status, tradable=tradable, fractionable=fractionable)


_FLAGS: Mapping[object, bool] = {"yes": True, "no": False}


def _yes_no(flag: bool) -> str:  # noqa: FBT001 - the flag is the value
    return "yes" if flag else "no"


def _expires_at(item: Item) -> int:
    expires_at = item.get("expires_at")
    return expires_at if isinstance(expires_at, int) else 0
