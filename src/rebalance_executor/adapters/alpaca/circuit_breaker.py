"""A circuit breaker around a broker: after repeated timeouts or 5xx responses it stops submissions.

There is one per run. A run in which the broker fails too often yields, and the next run starts with a closed circuit.
Reads and cancels pass through an open circuit, so that open orders can be canceled before the run ends; a read that
fails ends the run. pybreaker counts the failures; only the invocation's thread takes its lock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from functools import partial

from pybreaker import STATE_OPEN, CircuitBreaker

from rebalance_executor.domain.errors import BrokerUnavailable, CircuitOpen, OutcomeUnknown, RateLimited
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
from rebalance_executor.domain.previous_close import PreviousClose
from rebalance_executor.domain.volume import DailyBar
from rebalance_executor.execution.ports import Broker, BrokerReads, EarlyAnswers, ReadSet

_RESET_SECONDS = 86_400
"""Time for which an open circuit stays open, in seconds: longer than any run."""


class _Circuit:
    """Counts the failures of a run's requests."""

    def __init__(self, max_failures: int) -> None:
        self.max_failures = max_failures
        self._breaker = CircuitBreaker(
            fail_max=max_failures,
            reset_timeout=_RESET_SECONDS,
            exclude=[lambda error: not _is_failure(error)],
            throw_new_error_on_trip=False,
        )

    @property
    def is_open(self) -> bool:
        return bool(self._breaker.current_state == STATE_OPEN)

    def call[T](self, request: Callable[[], T]) -> T:
        return request() if self.is_open else self._breaker.call(request)


class _CountedReads:
    """Implementation of ``BrokerReads`` that counts the failures of other ones."""

    def __init__(self, reads: BrokerReads, circuit: _Circuit) -> None:
        self._reads = reads
        self._call = circuit.call

    def account(self) -> Account:
        """Return the account's funds and permissions."""
        return self._call(self._reads.account)

    def clock(self) -> MarketClock:
        """Return the market clock."""
        return self._call(self._reads.clock)

    def positions(self, symbols: Collection[str] | None) -> Mapping[str, Position]:
        """Return the positions in these symbols, or in all."""
        return self._call(lambda: self._reads.positions(symbols))

    def asset(self, symbol: str) -> Asset:
        """Return the flags of one symbol.

        Raises:
            NotFound: the broker does not list it.
        """
        return self._call(lambda: self._reads.asset(symbol))

    def active_assets(self, symbols: Collection[str]) -> Mapping[str, Asset]:
        """Return the flags of those of these symbols that are active. A failure does not count: each can be asked."""
        return self._reads.active_assets(symbols)

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the latest quotes."""
        return self._call(lambda: self._reads.quotes(symbols))

    def last_trades(self, symbols: Sequence[str]) -> Mapping[str, Trade]:
        """Return the last trades."""
        return self._call(lambda: self._reads.last_trades(symbols))

    def previous_closes(self, symbols: Sequence[str], today: date) -> Mapping[str, PreviousClose]:
        """Return the closes of the last session before this trading day."""
        return self._call(lambda: self._reads.previous_closes(symbols, today))

    def daily_bars(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[DailyBar]]:
        """Return the daily bars. A failure does not count, because no order depends on them."""
        return self._reads.daily_bars(symbols, first, last)

    def open_orders(self, symbols: Sequence[str] | None = None) -> Sequence[BrokerOrder]:
        """Return every open order in these symbols."""
        return self._call(lambda: self._reads.open_orders(symbols))

    def orders(self, symbols: Sequence[str], after: datetime) -> Sequence[BrokerOrder]:
        """Return every order in these symbols that was submitted after this time."""
        return self._call(lambda: self._reads.orders(symbols, after))

    def recent_orders(self) -> Sequence[BrokerOrder]:
        """Return the last orders of all symbols."""
        return self._call(self._reads.recent_orders)

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """Return the order, or None if the broker does not know it."""
        return self._call(lambda: self._reads.order_by_client_id(client_order_id))


class CircuitBreakerBroker(_CountedReads):
    """Implementation of ``Broker`` that delegates to another one.

    Args:
        broker: the broker that gets the requests.
        max_failures: consecutive failures after which submissions stop. A failure is a request without a usable
            response (timeout, 5xx, broken connection). A definite response is not a failure, even if it is a reject
            or HTTP 429.
    """

    def __init__(self, broker: Broker, max_failures: int) -> None:
        self._circuit = _Circuit(max_failures)
        super().__init__(broker, self._circuit)
        self._broker = broker

    @property
    def expected_account_number(self) -> str | None:
        """The account number configured with the credentials, or None."""
        return self._broker.expected_account_number

    def ask(self, reads: ReadSet) -> EarlyAnswers:
        """Send these reads together. Their failures count when they are taken."""
        answers = self._broker.ask(reads)
        return EarlyAnswers(answers.asked_at, _CountedReads(answers.reads, self._circuit))

    def cancel(self, order_id: str) -> bool:
        """Request a cancel; return whether the broker accepted the request."""
        return self._call(lambda: self._broker.cancel(order_id))

    def wait_for_rate_limit(self, until: datetime, requests: int) -> int:
        """Wait until some of these requests are within the rate limit; return how many are now.

        Raises:
            RateLimited: that would be after ``until``.
        """
        return self._broker.wait_for_rate_limit(until, requests)

    def submit(self, request: OrderRequest) -> BrokerOrder:
        """Send one order, once.

        Raises:
            CircuitOpen: the circuit is open; nothing was sent.
            OrderRejected, DuplicateClientOrderId, RateLimited, CredentialsRejected, OutcomeUnknown: as in the port.
        """
        self._check()
        return self._call(lambda: self._broker.submit(request))

    def submit_together(self, requests: Sequence[OrderRequest]) -> Sequence[Callable[[], BrokerOrder]]:
        """Send these orders before the answer to any of them is read.

        Raises:
            CircuitOpen: the circuit is open; nothing was sent.
        """
        self._check()
        return [partial(self._call, answer) for answer in self._broker.submit_together(requests)]

    def _check(self) -> None:
        if self._circuit.is_open:
            failures = self._circuit.max_failures
            raise CircuitOpen(f"the broker failed {failures} times in a row; this run sends no more orders")


def _is_failure(error: BaseException) -> bool:
    return isinstance(error, BrokerUnavailable | OutcomeUnknown) and not isinstance(error, RateLimited)
