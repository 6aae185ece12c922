"""The quotes of a run: their freshness, the wait for a usable one, and the last trade as its replacement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import quote_problem
from rebalance_executor.domain.market import CENT, Quote
from rebalance_executor.domain.styles import UnusableQuotePolicy
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.ports import Broker, Clock, EarlyAnswers

_QUOTE_POLL_INTERVAL = timedelta(seconds=1)
"""Time between two reads while items wait for a usable quote."""


class QuoteFeed:
    """Latest quotes of one run, for sizing and for working orders.

    While orders are worked, a quote that the response leaves out is dropped: it prices no further order. During sizing
    the previous quote is kept; its age is bounded. Where configured, the last trade replaces an unusable quote. A tick
    size that a usable quote has shown stays for the run, because most quotes of such a symbol are on full cents.
    """

    def __init__(self, broker: Broker, clock: Clock, config: ExecutionConfig) -> None:
        self._broker = broker
        self._clock = clock
        self._config = config
        self._quotes: dict[str, Quote] = {}
        self._read_at: dict[str, datetime] = {}
        self._missing_since: dict[str, datetime] = {}
        self._tick_sizes: dict[str, Decimal] = {}
        """Tick sizes finer than a cent that usable quotes have shown, by symbol."""

    @property
    def latest(self) -> Mapping[str, Quote]:
        """Latest quotes by symbol, usable or not."""
        return self._quotes

    def problem(self, symbol: str) -> str | None:
        """Return the reason why the symbol's quote must not price an order, or None if it may."""
        return quote_problem(self._quotes.get(symbol), self._config.for_symbol(symbol), self._clock.now())

    def read_at(self, symbol: str) -> datetime | None:
        """Return the time at which the symbol's quote was asked for last, or None."""
        return self._read_at.get(symbol)

    def missing_since(self, symbol: str) -> datetime | None:
        """Return the time since which ``refresh`` finds no usable quote of this symbol, or None."""
        return self._missing_since.get(symbol)

    def wait_until_usable(self, symbols: Sequence[str], stop_at: datetime, early: EarlyAnswers) -> Mapping[str, Quote]:
        """Read quotes for sizing; while some are unusable, read all of them again, so that all have the same age.

        The first ones are the early answers, if they are recent. Wait up to ``quote_wait_seconds``, but not past
        ``stop_at``. Return the latest quotes, usable or not.
        """
        is_recent = self._clock.now() - early.asked_at <= seconds(self._config.quote_refresh_seconds)
        self._read(symbols, early if is_recent else None)
        until = min(self._clock.now() + seconds(self._config.quote_wait_seconds), stop_at)
        while unusable := self._unusable(symbols):
            if self._clock.now() + _QUOTE_POLL_INTERVAL > until:
                self._quotes |= self._last_trades(unusable)
                break
            self._clock.sleep(_QUOTE_POLL_INTERVAL)
            previous = self._quotes
            self._read(symbols)
            self._quotes = {**previous, **self._quotes}
        return self._quotes

    def refresh(self, symbols: Sequence[str]) -> None:
        """Read these quotes again, all together, unless all are usable and younger than ``quote_refresh_seconds``."""
        now = self._clock.now()
        if all(self._is_fresh(symbol, now) for symbol in symbols):
            return
        self._read(symbols)
        unusable = self._unusable(symbols)
        missing = {symbol: self._missing_since.get(symbol, now) for symbol in unusable}
        self._missing_since = {s: at for s, at in self._missing_since.items() if s not in symbols} | missing
        # The last trade is read one tick early: at the end of the wait the strategy denies the symbol.
        wait = seconds(self._config.quote_wait_seconds - self._config.tick_seconds)
        waited = [symbol for symbol in unusable if self._clock.now() - missing[symbol] >= wait]
        self._quotes |= self._last_trades(waited)

    def usable(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the usable quotes of these symbols, refreshed, or their last trades."""
        self.refresh(symbols)
        unusable = self._unusable(symbols)
        usable = {symbol: self._quotes[symbol] for symbol in symbols if symbol not in unusable}
        return usable | self._last_trades(unusable)

    def _is_fresh(self, symbol: str, now: datetime) -> bool:
        read_at = self._read_at.get(symbol)
        is_young = read_at is not None and read_at > now - seconds(self._config.quote_refresh_seconds)
        return is_young and self.problem(symbol) is None

    def _unusable(self, symbols: Sequence[str]) -> list[str]:
        return [symbol for symbol in symbols if self.problem(symbol) is not None]

    def _read(self, symbols: Sequence[str], early: EarlyAnswers | None = None) -> None:
        if not symbols:
            return
        # The time before the request: a slow answer must not look younger than it is.
        now, reads = (self._clock.now(), self._broker) if early is None else (early.asked_at, early.reads)
        others = {symbol: quote for symbol, quote in self._quotes.items() if symbol not in symbols}
        self._quotes = others | {s: self._with_tick_size(q, now) for s, q in reads.quotes(symbols).items()}
        self._read_at |= dict.fromkeys(symbols, now)

    def _with_tick_size(self, quote: Quote, now: datetime) -> Quote:
        """Return the quote with the tick size of its symbol: configured, or shown by a usable quote of this run."""
        config = self._config.for_symbol(quote.symbol)
        if quote.tick_size != CENT and quote_problem(quote, config, now) is None:
            self._tick_sizes[quote.symbol] = quote.tick_size
        return replace(quote, known_tick_size=config.tick_size or self._tick_sizes.get(quote.symbol))

    def _last_trades(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """Return the last trades that may price a limit: allowed by the configuration, and recent."""
        last_trade = UnusableQuotePolicy.LAST_TRADE
        allowed = [symbol for symbol in symbols if self._config.for_symbol(symbol).unusable_quote is last_trade]
        if not allowed:
            return {}
        now = self._clock.now()
        last = {symbol: Quote.of_trade(trade) for symbol, trade in self._broker.last_trades(allowed).items()}
        trades = {symbol: self._with_tick_size(trade, now) for symbol, trade in last.items()}
        return {s: q for s, q in trades.items() if quote_problem(q, self._config.for_symbol(s), now) is None}
