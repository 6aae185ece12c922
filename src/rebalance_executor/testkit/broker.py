"""The broker on the paper broker's exchange model: the real parsing, typed errors, and what gets lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from paper_broker.errors import BrokerError
from paper_broker.exchange import Exchange
from rebalance_executor.adapters import alpaca_parsing as parse
from rebalance_executor.domain.errors import (
    BrokerUnavailable,
    DuplicateClientOrderId,
    NotFound,
    OrderRejected,
    OutcomeUnknown,
    RateLimited,
)
from rebalance_executor.domain.market import Account, Asset, BrokerOrder, MarketClock, OrderRequest, Position, Quote
from rebalance_executor.domain.values import plain
from rebalance_executor.testkit.clock import SimulatedClock
from rebalance_executor.testkit.faults import LATEST, Fault

Cross = Callable[[str, Callable[[Fault | None], Any]], Any]
"""A call to the outside; its effect is told the broker's own faults, which it brings about itself."""


class SimulatedBroker:
    """Implements ``Broker`` for one account.

    Args:
        exchange: the account's exchange.
        cross: how calls come about.
        clock: for what lands late or shows late.
        on_submit: told of every submission that reaches the exchange, before it does.
    """

    expected_account_number: str | None = None

    def __init__(
        self,
        exchange: Exchange,
        cross: Cross,
        clock: SimulatedClock,
        on_submit: Callable[[OrderRequest], None],
        hidden_until: dict[str, datetime],
    ) -> None:
        self._exchange = exchange
        self._cross = cross
        self._clock = clock
        self._on_submit = on_submit
        self._hidden_until = hidden_until

    def account(self) -> Account:
        """The account's dollars and permissions."""
        return self._read("account", lambda: parse.account(self._exchange.account()))

    def clock(self) -> MarketClock:
        """The market's clock."""
        return self._read("clock", lambda: parse.clock(self._exchange.clock()))

    def positions(self) -> Mapping[str, Position]:
        """All positions by symbol."""
        return self._read("positions", lambda: {p["symbol"]: parse.position(p) for p in self._exchange.positions()})

    def asset(self, symbol: str) -> Asset:
        """One symbol's flags."""
        return self._read("asset", lambda: parse.asset(self._exchange.asset(symbol)))

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Latest quotes."""

        def read() -> dict[str, Quote]:
            told = self._exchange.latest_quotes(symbols)["quotes"]
            return {symbol: parse.quote(symbol, one) for symbol, one in told.items()}

        return self._read("quotes", read)

    def open_orders(self, symbols: Sequence[str]) -> Sequence[BrokerOrder]:
        """Every open order of these symbols."""
        return self._read("open_orders", lambda: self._listed(symbols, status="open"))

    def orders(self, symbols: Sequence[str], after: datetime) -> Sequence[BrokerOrder]:
        """Every order of these symbols submitted after that time."""
        return self._read("orders", lambda: self._listed(symbols, status="all", after=after.isoformat()))

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """That order, or None."""

        def read() -> BrokerOrder | None:
            if self._hidden_until.get(client_order_id, self._clock.world()) > self._clock.world():
                return None
            try:
                return parse.order(self._exchange.get_order_by_client_order_id(client_order_id))
            except BrokerError as error:
                if error.http_status == 404:
                    return None
                raise

        return self._read("order_by_client_id", read)

    def submit(self, request: OrderRequest) -> BrokerOrder:
        """Send one order, once."""
        self._on_submit(request)
        body: dict[str, Any] = {
            "client_order_id": request.client_order_id,
            "symbol": request.symbol,
            "side": request.side.value,
            "type": request.type.value,
            "qty": plain(request.qty),
            "time_in_force": "day",
        }
        if request.limit_price is not None:
            body["limit_price"] = plain(request.limit_price)
        answer: BrokerOrder = self._cross("broker.submit", lambda fault: self._land(body, fault))
        return answer

    def cancel(self, order_id: str) -> None:
        """Ask for a cancel."""

        def ask(_: Fault | None) -> None:
            try:
                self._exchange.cancel_order(order_id)
            except BrokerError as error:
                if error.http_status not in (404, 422):
                    raise

        self._cross("broker.cancel", ask)

    # --- what happens at the exchange --------------------------------------------------------------------

    def _land(self, body: dict[str, Any], fault: Fault | None) -> BrokerOrder:
        if fault is Fault.RATE_LIMIT:
            raise RateLimited("429", retry_at=self._clock.now() + timedelta(seconds=3))
        if fault is Fault.LATE:
            delay = timedelta(seconds=1 + hash_of(body["client_order_id"]) % int(LATEST.total_seconds()))
            self._clock.later(delay, lambda: self._land_unseen(body))
            self._clock.sleep(min(delay, timedelta(seconds=10)))
            raise OutcomeUnknown("no answer; it lands later")
        try:
            order = parse.order(self._exchange.submit_order(body))
        except BrokerError as error:
            raise _refused(error) from None
        if fault is Fault.HIDDEN:
            self._hidden_until[body["client_order_id"]] = self._clock.world() + timedelta(seconds=4)
            raise OutcomeUnknown("no answer; 404 for a while")
        return order

    def _land_unseen(self, body: dict[str, Any]) -> None:
        try:
            self._exchange.submit_order(body)
        except BrokerError:
            return  # nobody is there to hear it

    def _listed(self, symbols: Sequence[str], **which: Any) -> list[BrokerOrder]:
        told = self._exchange.list_orders(symbols=frozenset(symbols), limit=500, direction="asc", **which)
        now = self._clock.world()
        return [parse.order(one) for one in told if self._hidden_until.get(one["client_order_id"], now) <= now]

    def _read[T](self, name: str, read: Callable[[], T]) -> T:
        def ask(_: Fault | None) -> T:
            try:
                return read()
            except BrokerError as error:
                if error.http_status == 404:
                    raise NotFound(error.message) from None
                raise BrokerUnavailable(str(error)) from None

        answer: T = self._cross(f"broker.{name}", ask)
        return answer


def _refused(error: BrokerError) -> Exception:
    if error.http_status == 422 and "client_order_id must be unique" in error.message:
        return DuplicateClientOrderId(error.message)
    if error.http_status == 429:
        return RateLimited(error.message, retry_at=None)
    return OrderRejected(error.message, http_status=error.http_status, broker_code=error.code, extras=error.extras)


def hash_of(text: str) -> int:
    """A number that follows from the text alone, in every process."""
    return sum(map(ord, text))
