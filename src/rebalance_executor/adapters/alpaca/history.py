"""Prices of past days from Alpaca's market data: bars of a minute and of a day, and the quote at a time.

**Feed.** ``sip``, the consolidated tape, which needs no subscription once it is 15 minutes old; see ``bars``. This
adapter is asked about finished trading days only.

**Symbols.** ``asof`` is the trading day: a symbol that was changed later is still found under its name of that day.

**Bounds.** Every request is one attempt with the timeouts of the endpoint. Bars have at most ``_MAX_PAGES`` pages of
10,000 rows per request of 100 symbols; a quote is one request with ten rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice

from rebalance_executor.adapters.alpaca import parsing
from rebalance_executor.adapters.alpaca.bars import read_bars, usable
from rebalance_executor.adapters.alpaca.early import Query
from rebalance_executor.adapters.alpaca.reads import without_invalid_symbol
from rebalance_executor.adapters.alpaca.transport import AlpacaTransport
from rebalance_executor.domain.benchmarks import DayClose, MinuteBar
from rebalance_executor.domain.errors import BrokerUnavailable

_SYMBOLS_PER_REQUEST = 100
_MAX_PAGES = 8
"""100 symbols have up to 39,000 minutes in a session, which are four pages."""
_DAYS_BEFORE = timedelta(days=10)
"""Calendar days before the trading day in which its previous close is looked for."""
_NOON = time(12)
"""Time in UTC after the start of a day in New York, at which its daily bar is dated, and long before its end."""
_QUOTE_AGE = timedelta(minutes=10)
"""Age of a quote from which it says nothing about the time that is asked for."""
_QUOTES = "10"
"""Rows of which the latest usable one counts: one-sided and crossed quotes are followed by others at once."""


class AlpacaHistory:
    """Implementation of ``MarketHistory`` on the market-data endpoint of one account."""

    def __init__(self, data: AlpacaTransport) -> None:
        self._data = data

    def minutes(
        self, symbols: Sequence[str], day: date, start: datetime, end: datetime
    ) -> Mapping[str, Sequence[MinuteBar]]:
        """Return the bars of the minutes that begin from ``start`` to ``end``."""
        span = {"start": start.isoformat(), "end": end.isoformat(), "adjustment": "raw"}
        rows = self._bars(symbols, day, {"timeframe": "1Min", **span})
        return {symbol: usable(found, parsing.minute_bar) for symbol, found in rows.items()}

    def closes(self, symbols: Sequence[str], day: date) -> Mapping[str, Sequence[DayClose]]:
        """Return the closes of ``day`` and of the days before it, as traded and adjusted for splits: two readings."""
        raw, adjusted = (self._closes(symbols, day, adjustment) for adjustment in ("raw", "split"))
        return {
            symbol: [DayClose(on, price, adjusted[symbol][on]) for on, price in found.items() if on in adjusted[symbol]]
            for symbol, found in raw.items()
        }

    def mid_at(self, symbol: str, day: date, at: datetime) -> Decimal | None:
        """Return the mid of the latest usable quote at this time; None if there is none within ten minutes."""
        query = {
            "symbols": symbol,
            "start": (at - _QUOTE_AGE).isoformat(),
            "end": at.isoformat(),
            "asof": day.isoformat(),
            "feed": "sip",
            "sort": "desc",
            "limit": _QUOTES,
        }
        try:
            page = self._data.get_once(Query("/stocks/quotes", query))
        except BrokerUnavailable as error:
            if without_invalid_symbol([symbol], error) is None:
                raise
            return None
        with _malformed_is_unavailable():
            rows = parsing.rows_by_symbol(page, "quotes", [symbol]).get(symbol, [])
            quotes = usable(rows, lambda row: parsing.quote(symbol, row))
        return next((quote.mid for quote in quotes if quote.problem is None), None)

    def _closes(self, symbols: Sequence[str], day: date, adjustment: str) -> dict[str, dict[date, Decimal]]:
        query = {
            "timeframe": "1Day",
            "start": datetime.combine(day - _DAYS_BEFORE, time(), UTC).isoformat(),
            "end": datetime.combine(day, _NOON, UTC).isoformat(),
            "adjustment": adjustment,
        }
        rows = self._bars(symbols, day, query)
        return {symbol: dict(usable(found, parsing.daily_close)) for symbol, found in rows.items()}

    def _bars(self, symbols: Sequence[str], day: date, query: Mapping[str, str]) -> dict[str, list[object]]:
        """Return the rows of each symbol. A symbol that cannot exist any more has none."""
        found: dict[str, list[object]] = {symbol: [] for symbol in symbols}
        fixed = {"asof": day.isoformat(), "feed": "sip", "limit": "10000", "sort": "asc"}
        remaining = iter(symbols)
        while chunk := list(islice(remaining, _SYMBOLS_PER_REQUEST)):
            found |= self._of_chunk(chunk, {**query, **fixed})
        return found

    def _of_chunk(self, symbols: Sequence[str], query: Mapping[str, str]) -> dict[str, list[object]]:
        """Return the rows; the request is repeated without a symbol that the answer names as invalid."""
        valid: Sequence[str] = symbols
        while valid:
            try:
                with _malformed_is_unavailable():
                    return read_bars(self._data, valid, {"symbols": ",".join(valid), **query}, _MAX_PAGES)
            except BrokerUnavailable as error:
                others = without_invalid_symbol(valid, error)
                if others is None:
                    raise
                valid = others
        return {}


@contextmanager
def _malformed_is_unavailable() -> Iterator[None]:
    """Raise ``BrokerUnavailable`` for an answer of another structure."""
    try:
        yield
    except parsing.MalformedResponse as error:
        raise BrokerUnavailable(f"the market data cannot be used: {error}") from None
