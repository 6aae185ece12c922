"""The average daily volumes and volatilities of a plan's symbols: for the forecasts, and to work large orders.

No plan depends on them: one request, once per plan, for the symbols that are not in the day's cache. An order that is
larger than the display and whose volume is unknown carries the code ``VOLUME_UNKNOWN`` and is worked by the displayed
size alone.
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

_UNKNOWN = "the average daily volume is unknown: "
_NO_AVERAGE = f"the broker has fewer than {MIN_DAYS} days of the last month, none of the last week, or no trades"


class Volumes:
    """The average volumes of one account's plans: cached for the trading day, otherwise read from the broker."""

    def __init__(self, access: AccountAccess) -> None:
        self._broker = access.broker
        self._cache = access.ports.volumes
        self._log = access.log
        self._config = access.config

        self.known: Mapping[str, AverageVolume] = {}
        """The averages that the last call of ``read`` found."""
        self.unknown_reason = _UNKNOWN + _NO_AVERAGE
        """Reason why those that it did not find are unknown."""

    def read(self, parents: Iterable[ParentOrder], today: date) -> None:
        """Read the averages of the symbols of all open parents that are not for an auction."""
        symbols = [parent.symbol for parent in parents if parent.outcome is None and parent.auction is None]
        self.known, failure = self._averages(symbols, today) if symbols else ({}, None)
        self.unknown_reason = _UNKNOWN + (failure or _NO_AVERAGE)

    def add_to(self, parents: Sequence[ParentOrder], *, is_sliced: bool = True) -> list[ParentOrder]:
        """Return the parents with the average volumes of those that need it, or with the code ``VOLUME_UNKNOWN``.

        An order that has a code already keeps it. Without ``is_sliced``, as for URGENT orders, none needs its volume.
        """
        if not is_sliced:
            return list(parents)
        needed = [parent.symbol for parent in parents if needs_volume(parent, self._config)]
        unknown = [symbol for symbol in needed if symbol not in self.known]
        if unknown:
            self._log.emit(LogEvent.VOLUME_UNKNOWN, symbols=unknown, reason=self.unknown_reason)

        def with_volume(parent: ParentOrder) -> ParentOrder:
            """Return the parent with its average volume, or with the code, unless it needs neither."""
            if parent.symbol not in needed:
                return parent
            if parent.symbol in self.known:
                return replace(parent, average_volume=self.known[parent.symbol].shares)
            if parent.code is not None:
                return parent
            return replace(parent, code=Code.VOLUME_UNKNOWN, message=self.unknown_reason)

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
            bars = self._broker.daily_bars(missing, *volume_window(today))
        except BrokerUnavailable as error:
            return cached or {}, str(error)
        averages = (average_volume(symbol, bars.get(symbol, ()), today) for symbol in missing)
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
