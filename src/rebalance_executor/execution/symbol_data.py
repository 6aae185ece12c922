"""The data of a plan's symbols that its items are checked and sized with, read once when the plan starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime

from rebalance_executor.domain.controls import asset_denial
from rebalance_executor.domain.errors import BrokerUnavailable, JournalUnavailable, NotFound
from rebalance_executor.domain.market import Asset, BrokerOrder, Position, SymbolSnapshot
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.previous_close import PreviousClose
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import EarlyAnswers

SINGLE_REQUESTS = 20
"""Symbols whose flags are read with one request each. The list of all assets takes about as long as these requests."""


class SymbolData:
    """Positions, asset flags, previous closes and quotes of one account's plans."""

    def __init__(self, access: AccountAccess) -> None:
        self._broker = access.broker
        self._assets = access.ports.assets
        self._clock = access.clock
        self._log = access.log
        self._quotes = access.quotes
        self._holdings = access.holdings

    def read(
        self,
        plan: RebalancePlan,
        early: EarlyAnswers,
        open_orders: Sequence[BrokerOrder],
        today: date,
        stop_at: datetime,
    ) -> Mapping[str, SymbolSnapshot]:
        """Read the data of every symbol that the plan trades.

        Args:
            plan: the plan.
            early: answers that contain the positions and the quotes.
            open_orders: open orders that are not part of it.
            today: the trading day.
            stop_at: end of the wait for usable quotes.

        Raises:
            BrokerUnavailable: a read failed; nothing was sent, and the plan is redelivered.
        """
        symbols = [item.symbol for item in plan.trades]
        positions = early.reads.positions(symbols)
        self._holdings.note_positions(positions, early.asked_at, symbols)
        assets = self._asset_flags(symbols)
        if positions and not assets:  # the broker holds shares of a symbol that it claims not to know
            raise BrokerUnavailable("the broker answers that no symbol of the plan exists, although it holds some")
        tradable = [symbol for symbol in symbols if asset_denial(symbol, assets.get(symbol)) is None]
        closes = self._market_closes(tradable, positions, today, early)
        quotes = self._quotes.wait_until_usable(tradable, stop_at, early)
        return {
            symbol: SymbolSnapshot(
                asset=assets.get(symbol),
                quote=quotes.get(symbol),
                position=positions.get(symbol),
                others=[order for order in open_orders if order.symbol == symbol],
                market_close=closes.get(symbol),
            )
            for symbol in symbols
        }

    def _market_closes(
        self, symbols: Sequence[str], positions: Mapping[str, Position], today: date, early: EarlyAnswers
    ) -> Mapping[str, PreviousClose]:
        """Read the previous closes of the symbols whose position has none.

        What one answer does not tell is asked once more: an item is denied for a close that stays unknown.
        """
        held = {symbol for symbol, position in positions.items() if position.previous_close is not None}
        closes: dict[str, PreviousClose] = {}
        for reads in (early.reads, self._broker):
            missing = [symbol for symbol in symbols if symbol not in held and symbol not in closes]
            closes |= reads.previous_closes(missing, today) if missing else {}
        return closes

    def _asset_flags(self, symbols: Sequence[str]) -> Mapping[str, Asset]:
        """Return asset flags from the cache; read missing ones from the broker.

        A cache that cannot be read is bypassed: every symbol is read from the broker, and nothing is cached.
        """
        is_readable = True
        cached: dict[str, Asset] = {}
        try:
            cached.update(self._assets.get(symbols, now=self._clock.now()))
        except JournalUnavailable as error:
            is_readable = False
            self._log.emit(LogEvent.ASSET_CACHE_READ_FAILED, reason=str(error))
        read = self._read_flags([symbol for symbol in symbols if symbol not in cached])
        if read and is_readable:
            try:
                self._assets.put(read.values(), now=self._clock.now())
            except JournalUnavailable as error:
                self._log.emit(LogEvent.ASSET_CACHE_WRITE_FAILED, reason=str(error))
        return cached | read

    def _read_flags(self, symbols: Sequence[str]) -> dict[str, Asset]:
        """Read the flags of these symbols: many of them from one list, and each that it lacks with its own request."""
        read: dict[str, Asset] = {}
        if len(symbols) > SINGLE_REQUESTS:
            try:
                read |= self._broker.active_assets(symbols)
            except BrokerUnavailable as error:
                self._log.emit(LogEvent.ASSET_LIST_FAILED, reason=str(error))
        for symbol in symbols:
            if symbol not in read:
                with suppress(NotFound):  # the item is denied as NOT_TRADABLE
                    read[symbol] = self._broker.asset(symbol)
        return read
