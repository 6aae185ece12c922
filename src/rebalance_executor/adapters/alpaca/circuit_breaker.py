"""A circuit breaker before a broker: after repeated time-outs or 5xx nothing more is sent.

One for each run: a run in which the broker fails too often yields, and the next one begins with a closed circuit.
Reads and cancels still go through an open one, so that what rests can be cancelled before the run ends; their own
failures end it. pybreaker keeps the count; its lock is taken in the invocation's own thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

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
from rebalance_executor.execution.ports import Broker

_FOR_GOOD = 86_400
"""Seconds an open circuit stays open: longer than any run."""


class CircuitBreakerBroker:
    """Implements ``Broker`` by another one.

    Args:
        broker: where the requests go.
        most_failures: failures in a row after which nothing more is submitted. A failure is a request without a
            usable answer (time-out, 5xx, broken connection); a definite no, also 429, is none.
    """

    def __init__(self, broker: Broker, max_failures: int) -> None:
        self._broker = broker
        self._breaker = CircuitBreaker(
            fail_max=max_failures,
            reset_timeout=_FOR_GOOD,
            exclude=[lambda error: not _is_failure(error)],
            throw_new_error_on_trip=False,
        )

    @property
    def expected_account_number(self) -> str | None:
        """The account number that the credentials were configured for, if one was."""
        return self._broker.expected_account_number

    def account(self) -> Account:
        """The account's dollars and permissions."""
        return self._ask(self._broker.account)

    def clock(self) -> MarketClock:
        """The market's clock."""
        return self._ask(self._broker.clock)

    def positions(self, symbols: Collection[str]) -> Mapping[str, Position]:
        """Positions in these symbols."""
        return self._ask(lambda: self._broker.positions(symbols))

    def asset(self, symbol: str) -> Asset:
        """One symbol's flags; raises ``NotFound``."""
        return self._ask(lambda: self._broker.asset(symbol))

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Latest quotes."""
        return self._ask(lambda: self._broker.quotes(symbols))

    def last_trades(self, symbols: Sequence[str]) -> Mapping[str, Trade]:
        """Last trades."""
        return self._ask(lambda: self._broker.last_trades(symbols))

    def open_orders(self, symbols: Sequence[str]) -> Sequence[BrokerOrder]:
        """Every open order of these symbols."""
        return self._ask(lambda: self._broker.open_orders(symbols))

    def orders(self, symbols: Sequence[str], after: datetime) -> Sequence[BrokerOrder]:
        """Every order of these symbols submitted after that time."""
        return self._ask(lambda: self._broker.orders(symbols, after))

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """That order, or None."""
        return self._ask(lambda: self._broker.order_by_client_id(client_order_id))

    def cancel(self, order_id: str) -> bool:
        """Ask for a cancel; whether it was taken."""
        return self._ask(lambda: self._broker.cancel(order_id))

    def wait_for_rate_limit(self, until: datetime) -> None:
        """Wait until a submission is within the rate limit."""
        self._broker.wait_for_rate_limit(until)

    def submit(self, request: OrderRequest) -> BrokerOrder:
        """Send one order, once; errors as in the port.

        Raises:
            CircuitOpen: certainly not sent.
        """
        if self._breaker.current_state == STATE_OPEN:
            raise CircuitOpen(
                f"the broker failed {self._breaker.fail_max} times in a row; nothing more is sent in this run"
            )
        return self._ask(lambda: self._broker.submit(request))

    def _ask[T](self, request: Callable[[], T]) -> T:
        if self._breaker.current_state == STATE_OPEN:
            return request()
        return self._breaker.call(request)


def _is_failure(error: BaseException) -> bool:
    return isinstance(error, BrokerUnavailable | OutcomeUnknown) and not isinstance(error, RateLimited)
