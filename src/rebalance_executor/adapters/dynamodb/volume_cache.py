"""Average daily volumes cached in the journal's table, so that the plans of a day request them once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from rebalance_executor.adapters.dynamodb.symbol_items import SymbolItems
from rebalance_executor.adapters.dynamodb.table import Item
from rebalance_executor.domain.values import format_decimal
from rebalance_executor.domain.volume import AverageVolume
from rebalance_executor.execution.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_TTL = timedelta(hours=24)
"""Time to live of an average: its trading day ends before that."""


class DynamoVolumeCache:
    """Implementation of ``VolumeCache`` with the items ``VOLUME#<symbol>/VOLUME``.

    Args:
        client: a DynamoDB client.
        table: the table's name.
        clock: dates the items, and waits between retries of an incomplete batch.
    """

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._items = SymbolItems(client, table, clock, "VOLUME")
        self._clock = clock

    def get(self, symbols: Sequence[str], *, today: date) -> Mapping[str, AverageVolume]:
        """Return the averages that were cached on this trading day.

        Raises:
            JournalUnavailable: the table did not answer.
        """
        items = self._items.get(symbols, now=self._clock.now()).items()
        cached = {symbol: _volume(symbol, item) for symbol, item in items if item.get("today") == today.isoformat()}
        return {symbol: volume for symbol, volume in cached.items() if volume is not None}

    def put(self, volumes: Iterable[AverageVolume], *, today: date) -> None:
        """Cache these averages for this trading day.

        Raises:
            JournalUnavailable: the table did not accept all of them.
        """
        items = {volume.symbol: _item(volume, today) for volume in volumes}
        self._items.put(items, expires_at=self._clock.now() + _TTL)


def _item(volume: AverageVolume, today: date) -> Item:
    item: Item = {
        "shares": format_decimal(volume.shares),
        "days": volume.days,
        "until": volume.until.isoformat(),
        "today": today.isoformat(),
    }
    return item if volume.volatility is None else {**item, "volatility": format_decimal(volume.volatility)}


def _volume(symbol: str, item: Item) -> AverageVolume | None:
    """Return the average in an item; None if it cannot be read, so that the broker is asked again."""
    shares, days, until, volatility = (item.get(name) for name in ("shares", "days", "until", "volatility"))
    if not isinstance(shares, str) or not isinstance(days, int) or not isinstance(until, str):
        return None
    try:
        known = None if volatility is None else Decimal(str(volatility))
        volume = AverageVolume(symbol, Decimal(shares), days, date.fromisoformat(until), known)
    except (InvalidOperation, ValueError):
        return None
    numbers = [number for number in (volume.shares, volume.volatility) if number is not None]
    return volume if all(number.is_finite() and number > 0 for number in numbers) else None
