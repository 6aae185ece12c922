"""The broker: Alpaca through alpaca-py."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from itertools import islice
from urllib.parse import quote as quote_url

from requests import Response

from rebalance_executor.adapters.alpaca import parsing
from rebalance_executor.adapters.alpaca.asset_list import read_active_assets
from rebalance_executor.adapters.alpaca.bars import read_daily_bars
from rebalance_executor.adapters.alpaca.client import AlpacaApi, Timeouts
from rebalance_executor.adapters.alpaca.credentials import Credentials, CredentialsSource
from rebalance_executor.adapters.alpaca.transport import AlpacaTransport, RequestDeadline
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import BrokerUnavailable, NotFound, OutcomeUnknown
from rebalance_executor.domain.market import (
    Account,
    Asset,
    BrokerOrder,
    MarketClock,
    OrderRequest,
    Position,
    Quote,
    Trade,
)
from rebalance_executor.domain.previous_close import PreviousClose, previous_close
from rebalance_executor.domain.values import format_decimal
from rebalance_executor.domain.volume import DailyBar
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.ports import Clock
from rebalance_executor.settings import Settings

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


class AlpacaBroker:
    """Implementation of ``Broker`` for one account. Its connections are reused across invocations.

    Args:
        credentials: the account's keys.
        settings: the endpoints.
        config: timeouts and the rate limit.
        clock: the source of time and of waiting.
        on_request: called with method and path of every request, without IDs.
    """

    def __init__(
        self,
        credentials: Credentials,
        settings: Settings,
        config: ExecutionConfig,
        clock: Clock,
        on_request: Callable[[str], None],
    ) -> None:
        self.credentials = credentials
        self._deadline = RequestDeadline(
            clock, float(config.connect_timeout_seconds), float(config.read_timeout_seconds), until=clock.now()
        )
        keys = (credentials.api_key, credentials.secret_key)

        def trading(timeouts: Timeouts, observe: Callable[[Response], None]) -> AlpacaApi:
            return AlpacaApi(keys, settings.trading_url, timeouts, observe)

        def data(timeouts: Timeouts, observe: Callable[[Response], None]) -> AlpacaApi:
            return AlpacaApi(keys, settings.alpaca_data_url, timeouts, observe)

        self._trading = AlpacaTransport(trading, self._deadline, config.rate_limit_per_minute, on_request, keys)
        self._data = AlpacaTransport(data, self._deadline, config.rate_limit_per_minute, on_request, keys)

    def set_deadline(self, until: datetime) -> None:
        """Set the deadline for retries and waits of a new run."""
        self._deadline.until = until

    def close(self) -> None:
        """Close the connections."""
        self._trading.close()
        self._data.close()

    @property
    def market_data(self) -> AlpacaTransport:
        """The endpoint of the market data."""
        return self._data

    def active_assets(self, symbols: Collection[str]) -> Mapping[str, Asset]:
        """Return the flags of those of these symbols that are active, from the list of all assets: one attempt."""
        return read_active_assets(self._trading, symbols)

    @property
    def expected_account_number(self) -> str | None:
        """The account number configured with the credentials, or None."""
        return self.credentials.account_number

    @property
    def credentials_rejected(self) -> bool:
        """True once the broker has rejected these credentials."""
        return self._trading.credentials_rejected or self._data.credentials_rejected

    # --- reads -------------------------------------------------------------------------------------------

    def account(self) -> Account:
        """Return the account's funds and permissions."""
        return _parse(lambda: parsing.account(self._trading.get("/account")))

    def clock(self) -> MarketClock:
        """Return the market clock."""
        return _parse(lambda: parsing.clock(self._trading.get("/clock")))

    def positions(self, symbols: Collection[str]) -> Mapping[str, Position]:
        """Return the positions in these symbols. Malformed data of other positions is ignored."""
        payload = self._trading.get("/positions")
        positions = _parse(lambda: [parsing.position(one) for one in parsing.entries(payload, "position", symbols)])
        return {position.symbol: position for position in positions}

    def asset(self, symbol: str) -> Asset:
        """Return the flags of one symbol.

        Raises:
            NotFound: the symbol is unknown or cannot be a symbol.
        """
        path = f"/assets/{quote_url(symbol, safe='')}"
        payload = self._trading.get(path, template="/assets/{symbol}", kind="asset")
        return _parse(lambda: parsing.asset(payload))

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the latest quotes. A symbol without one is missing in the mapping."""
        return self._latest("/stocks/quotes/latest", symbols, lambda page: _by_symbol(page, "quotes", parsing.quote))

    def last_trades(self, symbols: Sequence[str]) -> Mapping[str, Trade]:
        """Return the last trades. A symbol without one is missing in the mapping."""
        return self._latest("/stocks/trades/latest", symbols, lambda page: _by_symbol(page, "trades", parsing.trade))

    def previous_closes(self, symbols: Sequence[str], today: date) -> Mapping[str, PreviousClose]:
        """Return the closes of the last session before this trading day. An unknown one is missing in the mapping."""
        bars = self._latest("/stocks/snapshots", symbols, parsing.daily_closes)
        closes = {symbol: previous_close(of_symbol, today) for symbol, of_symbol in bars.items()}
        return {symbol: close for symbol, close in closes.items() if close is not None}

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
                payload = self._data.get(path, {"symbols": ",".join(chunk)})
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
        return self._orders(symbols, {"status": "open"})

    def orders(self, symbols: Sequence[str], after: datetime) -> Sequence[BrokerOrder]:
        """Return every order in these symbols that was submitted after this time, in any status."""
        return self._orders(symbols, {"status": "all", "after": after.isoformat()})

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """Return the order, or None if the broker responds that it does not know it."""
        query = {"client_order_id": client_order_id}
        try:
            payload = self._trading.get("/orders:by_client_order_id", query, kind="order")
        except NotFound:
            return None
        return _parse(lambda: parsing.order(payload))

    def _orders(self, symbols: Sequence[str] | None, filters: Mapping[str, str]) -> list[BrokerOrder]:
        by_id: dict[str, BrokerOrder] = {}
        for chunk in _chunks(symbols) if symbols is not None else (None,):
            query = {"direction": "asc", "nested": "false", **filters}
            if chunk is not None:
                query["symbols"] = ",".join(chunk)
            by_id |= {order.id: order for order in self._pages(chunk, query)}
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
            payload = self._trading.get("/orders", query | {"limit": str(_PAGE_SIZE)})
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

    # --- writes ------------------------------------------------------------------------------------------

    def wait_for_rate_limit(self, until: datetime, requests: int) -> int:
        """Wait until some of these requests are within the rate limit; return how many are now.

        Raises:
            RateLimited: that would be after ``until``.
        """
        return self._trading.wait_for_rate_limit(until, requests)

    def submit(self, request: OrderRequest) -> BrokerOrder:
        """Send one order, once.

        Raises:
            OrderRejected, DuplicateClientOrderId, RateLimited, CredentialsRejected, OutcomeUnknown: as in the port.
        """
        body: dict[str, object] = {
            "client_order_id": request.client_order_id,
            "symbol": request.symbol,
            "side": request.side.value,
            "type": request.type.value,
            "qty": format_decimal(request.qty),
            "time_in_force": request.time_in_force.value,
        }
        if request.limit_price is not None:
            body["limit_price"] = format_decimal(request.limit_price)
        if request.extended_hours:
            body["extended_hours"] = True
        if request.display is not None:
            body["advanced_instructions"] = {
                "algorithm": "DMA",
                "destination": request.display.destination.value,
                "display_qty": format_decimal(request.display.qty),
            }
        payload = self._trading.post("/orders", body)
        try:
            order = parsing.order(payload)
        except parsing.MalformedResponse as error:
            raise OutcomeUnknown(f"the response to the submission cannot be used: {error}") from None
        if (order.client_order_id, order.symbol) != (request.client_order_id, request.symbol):
            raise OutcomeUnknown(f"the response to the submission contains another order: {order.id}")
        return order

    def cancel(self, order_id: str) -> bool:
        """Request a cancel; return whether the broker accepted it. It does not accept one for a closed order."""
        return self._trading.delete(f"/orders/{quote_url(order_id, safe='')}", template="/orders/{id}")


MAX_BROKERS = 16
"""Brokers kept per container. Each one holds connections, and Lambda limits a container to 1,024 open files."""


class AlpacaBrokers:
    """The container's brokers by account. A broker is created on first use; only the most recently used are kept.

    Args:
        settings: the endpoints.
        source: the credentials.
        config: timeouts and the rate limit.
        clock: the source of time and of waiting.
        on_request: called with method and path of every request, without IDs.
    """

    def __init__(
        self,
        settings: Settings,
        source: CredentialsSource,
        config: ExecutionConfig,
        clock: Clock,
        on_request: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._source = source
        self._config = config
        self._clock = clock
        self._on_request = on_request
        self._brokers: dict[str, AlpacaBroker] = {}

    def broker(self, account: str, deadline: Deadline) -> AlpacaBroker:
        """Return the broker of this account, with the deadline of the run.

        Raises:
            UnknownAccount, ConfigurationError, PlanSourceUnavailable: from the source of credentials.
        """
        broker = self._brokers.pop(account, None)  # added again at the end: the first is the least recently used
        if broker is not None and broker.credentials_rejected:  # the keys may have been rotated
            self._source.clear_cache()
            broker.close()
            broker = None
        credentials = self._source.credentials(account)
        if broker is None or broker.credentials != credentials:
            if broker is not None:
                broker.close()
            broker = AlpacaBroker(credentials, self._settings, self._config, self._clock, self._on_request)
        self._brokers[account] = broker
        while len(self._brokers) > MAX_BROKERS:
            self._brokers.pop(next(iter(self._brokers))).close()
        broker.set_deadline(deadline.give_up_at)
        return broker


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


def _chunks(symbols: Sequence[str]) -> Iterator[list[str]]:
    remaining = iter(symbols)
    while chunk := list(islice(remaining, _SYMBOLS_PER_REQUEST)):
        yield chunk
