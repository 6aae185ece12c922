"""Daily bars from Alpaca: the shares that traded on each of the last days, and the range of the price.

**Feed.** ``sip``, the consolidated tape: the bars of ``iex`` contain the trades of that exchange alone, 0.9 of 51.9
million shares of AAPL on 2023-09-29. Without a subscription SIP data is available once it is 15 minutes old
(https://docs.alpaca.markets/docs/market-data-faq), which the days before the trading day always are. The feed is named,
because without it Alpaca chooses one by subscription and ``end``: where SIP is denied, a wrong volume would be read.

**Adjustment.** ``split``, so that the shares before and after a split can be added.

**Size.** A request for 250 symbols and 30 calendar days has about 5,500 bars; Alpaca sends up to 10,000 per page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta

from rebalance_executor.adapters.alpaca import parsing
from rebalance_executor.adapters.alpaca.early import Query, Reader
from rebalance_executor.domain.errors import BrokerUnavailable
from rebalance_executor.domain.volume import DailyBar

_MAX_PAGES = 4
"""Pages per request for bars: a broker that sends shorter ones is followed so far."""
_FIXED = {"timeframe": "1Day", "adjustment": "split", "feed": "sip", "limit": "10000", "sort": "asc"}


def read_daily_bars(data: Reader, symbols: Sequence[str], first: date, last: date) -> dict[str, list[DailyBar]]:
    """Return the daily bars of these symbols from ``first`` to ``last``, both included.

    A symbol that Alpaca knows but does not list has none. Rows that cannot be used are left out.

    Raises:
        BrokerUnavailable: no usable answer to the one attempt, or more pages than allowed.
        MalformedResponse: the answer has another structure.
    """
    query = {
        "symbols": ",".join(symbols),
        # Bars are dated midnight in New York, so that midnight in UTC separates their days.
        "start": _midnight(first),
        "end": _midnight(last + timedelta(days=1)),
        **_FIXED,
    }
    rows = read_bars(data, symbols, query, _MAX_PAGES)
    return {symbol: usable(rows[symbol], parsing.daily_bar) for symbol in symbols}


def read_bars(
    data: Reader, symbols: Sequence[str], query: Mapping[str, str], max_pages: int
) -> dict[str, list[object]]:
    """Return the bars of these symbols as they are in the pages of the answer; one attempt per page.

    Raises:
        BrokerUnavailable, MalformedResponse: as for ``read_daily_bars``.
    """
    bars: dict[str, list[object]] = {symbol: [] for symbol in symbols}
    next_page: dict[str, str] = {}
    for _ in range(max_pages):
        page = data.get_once(Query("/stocks/bars", {**query, **next_page}))
        for symbol, rows in parsing.rows_by_symbol(page, "bars", bars.keys()).items():
            bars[symbol] += rows
        token = parsing.next_page_token(page)
        if token is None:
            return bars
        next_page = {"page_token": token}
    raise BrokerUnavailable(f"the bars of {len(symbols)} symbols do not end within {max_pages} pages")


def _midnight(day: date) -> str:
    return datetime.combine(day, time(), UTC).isoformat()


def usable[T](rows: Iterable[object], parse: Callable[[object], T]) -> list[T]:
    """Return the rows that can be parsed; the others are left out: too few rows are no average."""
    parsed: list[T] = []
    for row in rows:
        with suppress(parsing.MalformedResponse):
            parsed.append(parse(row))
    return parsed
