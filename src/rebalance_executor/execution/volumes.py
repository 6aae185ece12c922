"""The average daily volumes of the symbols whose parent orders are larger than what the market displays.

No plan depends on them: one request, once per plan. An order whose volume is unknown carries the code
``VOLUME_UNKNOWN`` and is worked by the displayed size alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import BrokerUnavailable, JournalUnavailable
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.slicing import needs_volume
from rebalance_executor.domain.volume import MIN_DAYS, AverageVolume, average_volume, volume_window
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.events import LogEvent

_NO_AVERAGE = f"the broker has fewer than {MIN_DAYS} days of the last month, none of the last week, or no trades"


class Volumes:
    """The average volumes of one account's plans: cached for the trading day, otherwise read from the broker."""

    def __init__(self, access: AccountAccess) -> None:
        self._broker = access.broker
        self._cache = access.ports.volumes
        self._log = access.log
        self._config = access.config

    def add_to(self, parents: Sequence[ParentOrder], today: date) -> list[ParentOrder]:
        """Return the parents with the average volumes of those that need it, or with the code ``VOLUME_UNKNOWN``.

        An order that has a code already keeps it.
        """
        symbols = [parent.symbol for parent in parents if needs_volume(parent, self._config)]
        if not symbols:
            return list(parents)
        known, failure = self._averages(symbols, today)
        unknown = [symbol for symbol in symbols if symbol not in known]
        if unknown:
            self._log.emit(LogEvent.VOLUME_UNKNOWN, symbols=unknown, reason=failure or _NO_AVERAGE)
        text = f"the average daily volume is unknown: {failure or _NO_AVERAGE}"

        def with_volume(parent: ParentOrder) -> ParentOrder:
            """Return the parent with its average volume, or with the code, unless it needs neither."""
            if parent.symbol in known:
                return replace(parent, average_volume=known[parent.symbol].shares)
            if parent.symbol not in unknown or parent.code is not None:
                return parent
            return replace(parent, code=Code.VOLUME_UNKNOWN, message=text)

        return [with_volume(parent) for parent in parents]

    def _averages(self, symbols: Sequence[str], today: date) -> tuple[Mapping[str, AverageVolume], str | None]:
        """Return the known averages, and why the broker could not be asked, if that failed.

        A cache that cannot be read is bypassed: all symbols are read from the broker, and nothing is cached.
        """
        cached = self._cached(symbols, today)
        missing = [symbol for symbol in symbols if symbol not in (cached or {})]
        if not missing:
            return cached or {}, None
        try:
            volumes = self._broker.daily_volumes(missing, *volume_window(today))
        except BrokerUnavailable as error:
            return cached or {}, str(error)
        averages = (average_volume(symbol, volumes.get(symbol, ()), today) for symbol in missing)
        read = {average.symbol: average for average in averages if average is not None}
        if read and cached is not None:
            self._put(read.values(), today)
        return {**(cached or {}), **read}, None

    def _cached(self, symbols: Sequence[str], today: date) -> Mapping[str, AverageVolume] | None:
        """Return the cached averages; None if the cache cannot be read."""
        try:
            return self._cache.get(symbols, today=today)
        except JournalUnavailable as error:
            self._log.emit(LogEvent.VOLUME_CACHE_FAILED, reason=str(error))
            return None

    def _put(self, averages: Iterable[AverageVolume], today: date) -> None:
        try:
            self._cache.put(averages, today=today)
        except JournalUnavailable as error:
            self._log.emit(LogEvent.VOLUME_CACHE_FAILED, reason=str(error))
