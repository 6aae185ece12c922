"""A fake of the cache of average volumes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from rebalance_executor.domain.volume import AverageVolume


class FakeVolumeCache:
    """Implementation of ``VolumeCache`` in memory; ``call`` may fail a call by its name."""

    def __init__(self, call: Callable[[str, Callable[[], Any]], Any]) -> None:
        self._call = call
        self.cached: dict[tuple[date, str], AverageVolume] = {}
        """Averages by the trading day on which they are valid, and symbol."""

    def get(self, symbols: Sequence[str], *, today: date) -> Mapping[str, AverageVolume]:
        found = {symbol: self.cached[today, symbol] for symbol in symbols if (today, symbol) in self.cached}
        return self._call("volumes.get", lambda: found)  # type: ignore[no-any-return]

    def put(self, volumes: Iterable[AverageVolume], *, today: date) -> None:
        self._call("volumes.put", lambda: self.cached.update({(today, volume.symbol): volume for volume in volumes}))
