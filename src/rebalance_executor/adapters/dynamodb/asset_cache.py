"""Asset flags kept in the journal's table, so that a plan does not ask the broker for each of its symbols."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rebalance_executor.adapters.dynamodb.table import Item, Table
from rebalance_executor.domain.market import Asset
from rebalance_executor.execution.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DEFAULT_TTL = timedelta(hours=24)


class DynamoAssetCache:
    """Implements ``AssetCache`` with rows ``ASSET#<symbol>/ASSET``.

    Args:
        client: a DynamoDB client.
        table: the table's name; ``expires_at`` is its time-to-live attribute.
        clock: waits between tries where the table gives or takes only a part.
        ttl: how long flags are believed.
    """

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock, *, ttl: timedelta = DEFAULT_TTL) -> None:
        self._table = Table(client, table, clock)
        self._ttl = ttl

    def get(self, symbols: Sequence[str], *, now: datetime) -> Mapping[str, Asset]:
        """The flags that are known and not too old; DynamoDB deletes expired rows days late.

        Raises:
            JournalUnavailable: the table did not answer.
        """
        keys = [_key(symbol) for symbol in dict.fromkeys(symbols)]
        found = (_asset(row) for row in self._table.get_many(keys) if _expires_at(row) > now.timestamp())
        return {asset.symbol: asset for asset in found if asset is not None}

    def put(self, assets: Iterable[Asset], *, now: datetime) -> None:
        """Remember these flags for the time to live.

        Raises:
            JournalUnavailable: the table did not take all of them.
        """
        expires_at = int((now + self._ttl).timestamp())
        latest = {asset.symbol: asset for asset in assets}  # a batch may not name a row twice
        self._table.put_many([_item(asset, expires_at) for asset in latest.values()])


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


def _asset(row: Item) -> Asset | None:
    """The flags in a row; None for a row that lacks some, which the broker is asked for again."""
    symbol, status = row.get("symbol"), row.get("status")
    tradable, fractionable = _FLAGS.get(row.get("tradable")), _FLAGS.get(row.get("fractionable"))
    if not isinstance(symbol, str) or not isinstance(status, str) or tradable is None or fractionable is None:
        return None
    return Asset(symbol=symbol, status=status, tradable=tradable, fractionable=fractionable)


_FLAGS: Mapping[object, bool] = {"yes": True, "no": False}


def _yes_no(flag: bool) -> str:  # noqa: FBT001 - the flag is the value
    return "yes" if flag else "no"


def _expires_at(row: Item) -> int:
    expires_at = row.get("expires_at")
    return expires_at if isinstance(expires_at, int) else 0
