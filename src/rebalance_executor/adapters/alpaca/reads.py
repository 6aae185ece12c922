"""The reads of one Alpaca account, on whatever sends them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from itertools import islice
from urllib.parse import quote as quote_url

from rebalance_executor.adapters.alpaca import parsing
from rebalance_executor.adapters.alpaca.asset_list import read_active_assets
from rebalance_executor.adapters.alpaca.bars import read_daily_bars, usable
from rebalance_executor.adapters.alpaca.early import Query, Reader
from rebalance_executor.domain.errors import BrokerUnavailable, NotFound
from rebalance_executor.domain.market import Account, Asset, BrokerOrder, MarketClock, Position, Quote, Trade
from rebalance_executor.domain.previous_close import DailyClose, PreviousClose, previous_close
from rebalance_executor.domain.volume import DailyBar
from rebalance_executor.execution.ports import ReadSet

_PAGE_SIZE = 500
"""Alpaca's maximum number of orders per page; its default is 50."""
_SHORT_PAGE = 50
"""Alpaca's default number of orders per page: a broker that ignores the number asked for sends so many."""
_MAX_PAGES = 20
_SYMBOLS_PER_REQUEST = 250
"""More symbols would make the URL too long."""
_TIME_RESOLUTION = timedelta(microseconds=1)
_SYMBOL_PATTERN = r"[A-Za-z0-9][A-Za-z0-9./_-]*(?<!\.)"
"""A word in a message that may be a symbol."""
_INVALID_SYMBOL_STATUSES = (400, 422)
"""HTTP statuses of a market-data request with a symbol that cannot exist."""


ACCOUNT, CLOCK, POSITIONS = Query("/account"), Query("/clock"), Query("/positions")
_ORDERS = "/orders"
_QUOTES, _SNAPSHOTS = "/stocks/quotes/latest", "/stocks/snapshots"
_OPEN = {"status": "open"}
_RECENT = Query(_ORDERS, {"status": "all", "direction": "desc", "nested": "false", "limit": "50"})


def early_queries(reads: ReadSet) -> tuple[list[Query], list[Query]]:
    """Return the queries of these reads to the trading endpoint and to the market data: the first page of each."""
    trading = [ACCOUNT, CLOCK] if reads.permission else []
    if reads.open_orders:
        trading += [Query(_ORDERS, _orders_query(None, _OPEN)), _RECENT]
    if reads.positions:
        trading.append(POSITIONS)
    if reads.orders_after is not None:
        of_symbols = [_orders_query(chunk, _after(reads.orders_after)) for chunk in _chunks(reads.orders_of)]
        trading += [Query(_ORDERS, query) for query in of_symbols]
    return trading, [Query(_SNAPSHOTS, _symbols(chunk)) for chunk in _chunks(reads.quotes_of)]


class AlpacaReads:
    """Implementation of ``BrokerReads``.

    Args:
        trading: sends requests to the trading endpoint.
        data: sends requests to the endpoint of the market data.
    """

    def __init__(self, trading: Reader, data: Reader) -> None:
        self._trading = trading
        self._data = data

    def account(self) -> Account:
        """Return the account's funds and permissions."""
        return _parse(lambda: parsing.account(self._trading.get(ACCOUNT)))

    def clock(self) -> MarketClock:
        """Return the market clock."""
        return _parse(lambda: parsing.clock(self._trading.get(CLOCK)))

    def positions(self, symbols: Collection[str] | None) -> Mapping[str, Position]:
        """Return the positions in these symbols, or in all. Malformed data of other positions is ignored."""
        payload = self._trading.get(POSITIONS)
        positions = _parse(lambda: parsing.positions(payload, symbols))
        return {position.symbol: position for position in positions}

    def asset(self, symbol: str) -> Asset:
        """Return the flags of one symbol.

        Raises:
            NotFound: the symbol is unknown or cannot be a symbol.
        """
        path = f"/assets/{quote_url(symbol, safe='')}"
        payload = self._trading.get(Query(path, template="/assets/{symbol}", kind="asset"))
        return _parse(lambda: parsing.asset(payload))

    def active_assets(self, symbols: Collection[str]) -> Mapping[str, Asset]:
        """Return the flags of those of these symbols that are active, from the list of all assets: one attempt."""
        return read_active_assets(self._trading, symbols)

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the latest quotes. A symbol without one is missing in the mapping."""
        return self._latest(_QUOTES, symbols, lambda page: _by_symbol(page, "quotes", parsing.quote))

    def last_trades(self, symbols: Sequence[str]) -> Mapping[str, Trade]:
        """Return the last trades. A symbol without one is missing in the mapping."""
        return self._latest("/stocks/trades/latest", symbols, lambda page: _by_symbol(page, "trades", parsing.trade))

    def previous_closes(self, symbols: Sequence[str], today: date) -> Mapping[str, PreviousClose]:
        """Return the closes of the last session before this trading day. An unknown one is missing in the mapping."""
        bars: dict[str, list[DailyClose]] = self._latest(_SNAPSHOTS, symbols, parsing.daily_closes)
        return _closes(bars, today)

    def daily_bars(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[DailyBar]]:
        """Return the daily bars from ``first`` to ``last``: one attempt, without a wait for the rate limit."""
        bars: dict[str, Sequence[DailyBar]] = {}
        for chunk in _chunks(symbols):
            bars |= _parse(lambda: read_daily_bars(self._data, chunk, first, last))  # noqa: B023 - called at once
        return bars

    def _latest[T](self, path: str, symbols: Sequence[str], parse: Callable[[object], dict[str, T]]) -> dict[str, T]:
        """Return the latest market data of each symbol.

        An invalid symbol makes the market-data API fail the whole request, with that symbol in its message. The
        request is then repeated without the symbol.
        """
        latest: dict[str, T] = {}
        for chunk in _chunks(symbols):
            try:
                payload = self._data.get(Query(path, _symbols(chunk)))
            except BrokerUnavailable as error:
                valid = without_invalid_symbol(chunk, error)
                if valid is None:
                    raise
                latest |= self._latest(path, valid, parse)
            else:
                latest |= _parse(lambda: parse(payload))  # noqa: B023 - called at once
        return latest

    def open_orders(self, symbols: Sequence[str] | None = None) -> Sequence[BrokerOrder]:
        """Return every open order in these symbols, or in all."""
        return self._orders(symbols, _OPEN)

    def orders(self, symbols: Sequence[str], after: datetime) -> Sequence[BrokerOrder]:
        """Return every order in these symbols that was submitted after this time, in any status."""
        return self._orders(symbols, _after(after))

    def recent_orders(self) -> Sequence[BrokerOrder]:
        """Return the last orders of all symbols, newest first. Malformed ones are not of this program."""
        payload = self._trading.get(_RECENT)
        return _parse(lambda: usable(parsing.entries(payload, "order", None), parsing.order))

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """Return the order, or None if the broker responds that it does not know it."""
        query = {"client_order_id": client_order_id}
        try:
            payload = self._trading.get(Query("/orders:by_client_order_id", query, kind="order"))
        except NotFound:
            return None
        return _parse(lambda: parsing.order(payload))

    def _orders(self, symbols: Sequence[str] | None, filters: Mapping[str, str]) -> list[BrokerOrder]:
        by_id: dict[str, BrokerOrder] = {}
        for chunk in _chunks(symbols) if symbols is not None else (None,):
            by_id |= {order.id: order for order in self._pages(chunk, _orders_query(chunk, filters))}
        return list(by_id.values())

    def _pages(self, symbols: Sequence[str] | None, query: dict[str, str]) -> Iterator[BrokerOrder]:
        """Yield the orders page by page.

        A page with fewer than ``_SHORT_PAGE`` orders is the last one. Any other may be followed by another, even if it
        is shorter than asked for. The next page starts at the submission time of the last order, in the direction of
        this page: a broker may ignore the direction asked for. ``after`` and ``until`` are exclusive: they overlap by a
        microsecond, so that no order with the same submission time is lost between two pages. An order that appears on
        both pages is yielded twice.
        """
        seen: set[str] = set()
        for _ in range(_MAX_PAGES):
            payload = self._trading.get(Query(_ORDERS, query))
            page = _parse(lambda: [parsing.order(one) for one in parsing.entries(payload, "order", symbols)])  # noqa: B023 - called at once
            yield from page
            if len(payload) < _SHORT_PAGE:
                return
            if len(payload) < _PAGE_SIZE and seen >= {order.id for order in page}:
                return  # confirmed: nothing follows
            seen |= {order.id for order in page}
            bound = _next_bound(page)
            if bound is None or query.get(bound[0]) == bound[1]:
                break
            query[bound[0]] = bound[1]
        raise BrokerUnavailable(f"the list of orders does not end within {_MAX_PAGES} pages")


class EarlyReads(AlpacaReads):
    """Reads that take early answers. Quotes and previous closes are in one answer, the snapshots.

    Args:
        trading: takes the early answers of the trading endpoint.
        data: takes those of the market data.
        snapshots_of: the symbols whose snapshots were asked for.
    """

    def __init__(self, trading: Reader, data: Reader, snapshots_of: Sequence[str]) -> None:
        super().__init__(trading, data)
        self._snapshots_of = snapshots_of
        self._snapshots: Mapping[str, object] | None = None
        self._has_taken_quotes = False

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the quotes of the snapshots, once; read those that are missing there."""
        early: dict[str, Quote] = {}
        if not self._has_taken_quotes:
            self._has_taken_quotes = True
            snapshots = self._read_snapshots()
            early = parsing.snapshot_quotes({symbol: snapshots.get(symbol) for symbol in symbols})
        missing = [symbol for symbol in symbols if symbol not in early]
        return {**early, **super().quotes(missing)} if missing else early

    def previous_closes(self, symbols: Sequence[str], today: date) -> Mapping[str, PreviousClose]:
        """Return the closes in the snapshots. An unknown one is missing in the mapping."""
        snapshots = self._read_snapshots()
        bars = parsing.daily_closes({symbol: snapshots.get(symbol) for symbol in symbols if symbol in snapshots})
        return _closes(bars, today)

    def _read_snapshots(self) -> Mapping[str, object]:
        """Return the snapshots by symbol; none if they cannot be read, because quotes alone suffice for most plans."""
        if self._snapshots is None:
            self._snapshots = {}
            with suppress(BrokerUnavailable):
                self._snapshots = self._latest(_SNAPSHOTS, self._snapshots_of, parsing.snapshots)
        return self._snapshots


def _closes(bars: Mapping[str, Iterable[DailyClose]], today: date) -> dict[str, PreviousClose]:
    closes = {symbol: previous_close(of_symbol, today) for symbol, of_symbol in bars.items()}
    return {symbol: close for symbol, close in closes.items() if close is not None}


def _next_bound(page: Sequence[BrokerOrder]) -> tuple[str, str] | None:
    """Return the query field and time at which the page after this one starts; None if the orders have no times."""
    times = [order.submitted_at for order in page if order.submitted_at is not None]
    if not times:
        return None
    if times[0] > times[-1]:  # newest first, although oldest first was asked for
        return "until", (min(times) + _TIME_RESOLUTION).isoformat()
    return "after", (max(times) - _TIME_RESOLUTION).isoformat()


def without_invalid_symbol(symbols: Sequence[str], error: BrokerUnavailable) -> list[str] | None:
    """Return the symbols without the one that the error names as invalid; None if it does not name exactly one."""
    if error.context.get("http_status") not in _INVALID_SYMBOL_STATUSES:
        return None
    words = re.findall(_SYMBOL_PATTERN, str(error.context.get("broker_message")))
    valid = [symbol for symbol in symbols if symbol not in words]
    return valid if len(valid) == len(symbols) - 1 else None


def _by_symbol[T](payload: object, field: str, parse: Callable[[str, object], T]) -> dict[str, T]:
    """Return the entries under ``field`` of a market-data response, by symbol."""
    entries = payload.get(field) if isinstance(payload, Mapping) else None
    if entries is None:
        return {}
    if not isinstance(entries, Mapping):
        raise parsing.MalformedResponse("market data", field)
    parsed: dict[str, T] = {}
    for symbol, entry in entries.items():
        with suppress(parsing.MalformedResponse):  # treated as missing: requested again, and in the end denied
            parsed[str(symbol)] = parse(str(symbol), entry)
    return parsed


def _parse[T](parse: Callable[[], T]) -> T:
    """Return the value that ``parse`` returns.

    Raises:
        BrokerUnavailable: the response is malformed.
    """
    try:
        return parse()
    except parsing.MalformedResponse as error:
        raise BrokerUnavailable(f"the broker's response cannot be used: {error}") from None


def _after(time: datetime) -> dict[str, str]:
    return {"status": "all", "after": time.isoformat()}


def _symbols(symbols: Sequence[str]) -> dict[str, str]:
    return {"symbols": ",".join(symbols)}


def _orders_query(symbols: Sequence[str] | None, filters: Mapping[str, str]) -> dict[str, str]:
    """Return the query of the first page of orders in these symbols, or in all."""
    of_symbols = {} if symbols is None else _symbols(symbols)
    return {"direction": "asc", "nested": "false", "limit": str(_PAGE_SIZE), **filters, **of_symbols}


def _chunks(symbols: Sequence[str]) -> Iterator[list[str]]:
    remaining = iter(symbols)
    while chunk := list(islice(remaining, _SYMBOLS_PER_REQUEST)):
        yield chunk
