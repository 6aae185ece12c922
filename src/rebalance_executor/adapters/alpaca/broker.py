"""The broker: Alpaca through alpaca-py."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from urllib.parse import quote as url_quoted

from requests import Response

from rebalance_executor.adapters.alpaca import parsing
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
from rebalance_executor.domain.values import format_decimal
from rebalance_executor.execution.ports import Clock
from rebalance_executor.execution.run import Deadline
from rebalance_executor.settings import Settings

_PAGE = 500
"""Alpaca's largest page of orders; its default is 50."""
_MOST_PAGES = 20
_SYMBOLS_EACH = 250
"""Symbols in one request: more would make its URL too long."""
_RESOLUTION = timedelta(microseconds=1)
_WORD = r"[A-Za-z0-9][A-Za-z0-9./_-]*(?<!\.)"
"""A word that may be a symbol, in a sentence."""
_NO_SYMBOL = (400, 422)
"""How the broker may answer, besides 404, where it is asked for something that cannot be a symbol."""


class AlpacaBroker:
    """Implements ``Broker`` for one account; its connections last from one invocation to the next.

    Args:
        credentials: the account's keys.
        settings: the endpoints.
        config: time-outs and the rate limit.
        clock: for waiting.
        on_request: told of every request.
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
        self._limits = RequestDeadline(
            clock, float(config.connect_timeout_seconds), float(config.read_timeout_seconds), until=clock.now()
        )
        key = (credentials.api_key, credentials.secret_key)

        def trading(timeouts: Timeouts, observe: Callable[[Response], None]) -> AlpacaApi:
            return AlpacaApi(key, settings.trading_url, timeouts, observe)

        def data(timeouts: Timeouts, observe: Callable[[Response], None]) -> AlpacaApi:
            return AlpacaApi(key, settings.alpaca_data_url, timeouts, observe)

        self._trading = AlpacaTransport(trading, self._limits, config.rate_limit_per_minute, on_request, key)
        self._data = AlpacaTransport(data, self._limits, config.rate_limit_per_minute, on_request, key)

    def set_deadline(self, until: datetime) -> None:
        """Begin a run: nothing is waited for beyond this time."""
        self._limits.until = until

    def close(self) -> None:
        """Close the connections."""
        self._trading.close()
        self._data.close()

    @property
    def expected_account_number(self) -> str | None:
        """The account number that the credentials were configured for, if one was."""
        return self.credentials.account_number

    @property
    def credentials_rejected(self) -> bool:
        """Whether the broker has refused these credentials."""
        return self._trading.credentials_rejected or self._data.credentials_rejected

    # --- reads -------------------------------------------------------------------------------------------

    def account(self) -> Account:
        """The account's dollars and permissions."""
        return _usable(lambda: parsing.account(self._trading.get("/account")))

    def clock(self) -> MarketClock:
        """The market's clock."""
        return _usable(lambda: parsing.clock(self._trading.get("/clock")))

    def positions(self, symbols: Collection[str]) -> Mapping[str, Position]:
        """Positions in these symbols; what else the account holds need not even be understood."""
        told = self._trading.get("/positions")
        found = _usable(lambda: [parsing.position(one) for one in parsing.entries(told, "position", symbols)])
        return {position.symbol: position for position in found}

    def asset(self, symbol: str) -> Asset:
        """One symbol's flags; raises ``NotFound``, also where the broker says that it can be no asset's symbol."""
        try:
            told = self._trading.get(f"/assets/{url_quoted(symbol, safe='')}", template="/assets/{symbol}")
        except BrokerUnavailable as error:
            if error.context.get("http_status") in _NO_SYMBOL:
                raise NotFound(str(error)) from None
            raise
        return _usable(lambda: parsing.asset(told))

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Latest quotes of those symbols that have one."""
        return self._latest("quotes", symbols, parsing.quote)

    def last_trades(self, symbols: Sequence[str]) -> Mapping[str, Trade]:
        """Last trades of those symbols that have one."""
        return self._latest("trades", symbols, parsing.trade)

    def _latest[T](self, what: str, symbols: Sequence[str], read: Callable[[str, object], T]) -> dict[str, T]:
        """The latest of each symbol.

        What market data takes for no symbol is named in its refusal of all: the others are asked for without it.
        """
        found: dict[str, T] = {}
        for some in _chunks(symbols):
            try:
                answer = self._data.get(f"/stocks/{what}/latest", {"symbols": ",".join(some)})
            except BrokerUnavailable as error:
                _, _, told = str(error).partition(": ")
                words = re.findall(_WORD, told) if error.context.get("http_status") in _NO_SYMBOL else []
                others = [symbol for symbol in some if symbol not in words]
                if len(others) != len(some) - 1:  # it names none, or more than one refusal can be about
                    raise
                found |= self._latest(what, others, read)
            else:
                found |= _usable(lambda: _by_symbol(answer, what, read))  # noqa: B023 - called at once
        return found

    def open_orders(self, symbols: Sequence[str]) -> Sequence[BrokerOrder]:
        """Every open order of these symbols."""
        return self._orders(symbols, {"status": "open"})

    def orders(self, symbols: Sequence[str], after: datetime) -> Sequence[BrokerOrder]:
        """Every order of these symbols submitted after that time, in any status."""
        return self._orders(symbols, {"status": "all", "after": after.isoformat()})

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """That order, or None where the broker answers that it does not know it."""
        try:
            told = self._trading.get("/orders:by_client_order_id", {"client_order_id": client_order_id})
        except NotFound:
            return None
        return _usable(lambda: parsing.order(told))

    def _orders(self, symbols: Sequence[str], which: Mapping[str, str]) -> list[BrokerOrder]:
        found: dict[str, BrokerOrder] = {}
        for some in _chunks(symbols):
            query = {"symbols": ",".join(some), "direction": "asc", "nested": "false", **which}
            for order in self._pages(some, query):
                found[order.id] = order
        return list(found.values())

    def _pages(self, symbols: Sequence[str], query: dict[str, str]) -> Iterator[BrokerOrder]:
        """Page by page, oldest first. The next page begins where this one's last order was submitted.

        ``after`` is exclusive: a microsecond earlier, so that orders of the same moment are not lost between two
        pages; those that come twice have the same id.
        """
        for _ in range(_MOST_PAGES):
            told = self._trading.get("/orders", query | {"limit": str(_PAGE)})
            page = _usable(lambda: [parsing.order(one) for one in parsing.entries(told, "order", symbols)])  # noqa: B023 - called at once
            yield from page
            if len(told) < _PAGE:
                return
            last = page[-1].submitted_at if page else None
            after = (last - _RESOLUTION).isoformat() if last is not None else query.get("after")
            if after == query.get("after"):
                break
            query["after"] = str(after)
        raise BrokerUnavailable(f"the list of orders does not end after {_MOST_PAGES} pages")

    # --- writes ------------------------------------------------------------------------------------------

    def wait_for_rate_limit(self, until: datetime) -> None:
        """Wait until a submission is within the rate limit; raises ``RateLimited`` where that is after ``until``."""
        self._trading.wait_for_rate_limit(until)

    def submit(self, request: OrderRequest) -> BrokerOrder:
        """Send one order, once; errors as in the port."""
        body: dict[str, object] = {
            "client_order_id": request.client_order_id,
            "symbol": request.symbol,
            "side": request.side.value,
            "type": request.type.value,
            "qty": format_decimal(request.qty),
            "time_in_force": "day",
        }
        if request.limit_price is not None:
            body["limit_price"] = format_decimal(request.limit_price)
        if request.extended_hours:
            body["extended_hours"] = True
        told = self._trading.post("/orders", body)
        try:
            order = parsing.order(told)
        except parsing.MalformedResponse as error:
            raise OutcomeUnknown(f"the submission was answered, but {error}") from None
        if (order.client_order_id, order.symbol) != (request.client_order_id, request.symbol):
            raise OutcomeUnknown(f"the submission was answered with another order: {order.id}")
        return order

    def cancel(self, order_id: str) -> bool:
        """Ask for a cancel; whether it was taken."""
        return self._trading.delete(f"/orders/{url_quoted(order_id, safe='')}", template="/orders/{id}")


MAX_BROKERS = 16
"""Brokers that a container keeps. Each holds connections, and Lambda lets a container open 1,024 files."""


class AlpacaBrokers:
    """The brokers of this container, by account: made when first asked for, and only the last few are kept.

    Args:
        settings: the endpoints.
        source: the credentials.
        config: time-outs and the rate limit.
        clock: for waiting.
        on_request: told of every request.
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
        """The broker of this account, patient until the run must give up.

        Raises:
            UnknownAccount, ConfigurationError, PlanSourceUnavailable: as the source of credentials says.
        """
        broker = self._brokers.pop(account, None)  # and back at the end: the first is the one not used for longest
        if broker is not None and broker.credentials_rejected:  # perhaps the keys were rotated meanwhile
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


def _by_symbol[T](told: object, field: str, read: Callable[[str, object], T]) -> dict[str, T]:
    """What an answer of market data holds under ``field``, by symbol."""
    found = told.get(field) if isinstance(told, Mapping) else None
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise parsing.MalformedResponse("answer", field)
    usable: dict[str, T] = {}
    for symbol, one in found.items():
        with suppress(parsing.MalformedResponse):  # as good as none: it is looked at again, and the item is denied in the end
            usable[str(symbol)] = read(str(symbol), one)
    return usable


def _usable[T](read: Callable[[], T]) -> T:
    """What ``read`` gives, or ``BrokerUnavailable`` where the answer is nonsense."""
    try:
        return read()
    except parsing.MalformedResponse as error:
        raise BrokerUnavailable(f"the broker's answer cannot be used: {error}") from None


def _chunks(symbols: Sequence[str]) -> Iterator[list[str]]:
    remaining = iter(symbols)
    while chunk := list(islice(remaining, _SYMBOLS_EACH)):
        yield chunk
