"""The broker: Alpaca through alpaca-py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from urllib.parse import quote as quote_url

from rebalance_executor.adapters.alpaca import parsing
from rebalance_executor.adapters.alpaca.client import AlpacaApi, Response, Timeouts, Trace
from rebalance_executor.adapters.alpaca.credentials import Credentials, CredentialsSource
from rebalance_executor.adapters.alpaca.early import Answer
from rebalance_executor.adapters.alpaca.reads import AlpacaReads, EarlyReads, early_queries
from rebalance_executor.adapters.alpaca.transport import AlpacaTransport, RequestDeadline
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import OutcomeUnknown
from rebalance_executor.domain.market import BrokerOrder, OrderRequest
from rebalance_executor.domain.values import format_decimal
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.ports import Clock, EarlyAnswers, ReadSet
from rebalance_executor.settings import Settings

_ORDERS = "/orders"


class AlpacaBroker(AlpacaReads):
    """Implementation of ``Broker`` for one account. Its connections are reused across invocations.

    Args:
        credentials: the account's keys.
        settings: the endpoints.
        config: timeouts and the rate limit.
        clock: the source of time and of waiting.
        on_request: called with method and path of every request, without IDs.
        trace: starts the trace of a request; None if requests are not traced.
    """

    _trading: AlpacaTransport
    _data: AlpacaTransport

    def __init__(  # noqa: PLR0913 - one is an option
        self,
        credentials: Credentials,
        settings: Settings,
        config: ExecutionConfig,
        clock: Clock,
        on_request: Callable[[str], None],
        trace: Trace | None = None,
    ) -> None:
        self.credentials = credentials
        self._deadline = RequestDeadline(
            clock, float(config.connect_timeout_seconds), float(config.read_timeout_seconds), until=clock.now()
        )
        keys = (credentials.api_key, credentials.secret_key)

        def trading(timeouts: Timeouts, observe: Callable[[Response], None]) -> AlpacaApi:
            return AlpacaApi(keys, settings.trading_url, timeouts, observe, trace=trace)

        def data(timeouts: Timeouts, observe: Callable[[Response], None]) -> AlpacaApi:
            return AlpacaApi(keys, settings.alpaca_data_url, timeouts, observe, trace=trace)

        super().__init__(
            AlpacaTransport(trading, self._deadline, config.rate_limit_per_minute, on_request, keys),
            AlpacaTransport(data, self._deadline, config.rate_limit_per_minute, on_request, keys),
        )

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

    @property
    def expected_account_number(self) -> str | None:
        """The account number configured with the credentials, or None."""
        return self.credentials.account_number

    @property
    def credentials_rejected(self) -> bool:
        """True once the broker has rejected these credentials."""
        return self._trading.credentials_rejected or self._data.credentials_rejected

    def ask(self, reads: ReadSet) -> EarlyAnswers:
        """Send these reads together, on connections of their own, then read the answers.

        Raises:
            RateLimited: as in the port.
        """
        trading, data = early_queries(reads)
        self._trading.wait_to_ask(len(trading))
        self._data.wait_to_ask(len(data))
        asked_at = self._deadline.clock.now()
        answers = self._trading.ask(trading), self._data.ask(data)
        of_trading, of_data = (read() for read in answers)
        return EarlyAnswers(asked_at, EarlyReads(of_trading, of_data, reads.quotes_of))

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
        return _accepted(self._trading.post(_ORDERS, _body(request)), request)

    def submit_together(self, requests: Sequence[OrderRequest]) -> Sequence[Callable[[], BrokerOrder]]:
        """Send these orders on connections of their own, then read the answers; return each, as of ``submit``.

        Raises:
            RateLimited: nothing was sent.
        """
        answers = self._trading.post_together(_ORDERS, [_body(request) for request in requests])

        def result(answer: Answer, request: OrderRequest) -> BrokerOrder:
            return _accepted(answer(), request)

        return [partial(result, answer, request) for answer, request in zip(answers, requests, strict=True)]

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
        trace: starts the trace of a request; None if requests are not traced.
    """

    def __init__(  # noqa: PLR0913 - one is an option
        self,
        settings: Settings,
        source: CredentialsSource,
        config: ExecutionConfig,
        clock: Clock,
        on_request: Callable[[str], None],
        trace: Trace | None = None,
    ) -> None:
        self._settings = settings
        self._source = source
        self._config = config
        self._clock = clock
        self._on_request = on_request
        self._trace = trace
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
            broker = AlpacaBroker(credentials, self._settings, self._config, self._clock, self._on_request, self._trace)
        self._brokers[account] = broker
        while len(self._brokers) > MAX_BROKERS:
            self._brokers.pop(next(iter(self._brokers))).close()
        broker.set_deadline(deadline.give_up_at)
        return broker

    def close(self) -> None:
        """Close the connections of all brokers."""
        while self._brokers:
            self._brokers.popitem()[1].close()


def _body(request: OrderRequest) -> dict[str, object]:
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
    return body


def _accepted(payload: object, request: OrderRequest) -> BrokerOrder:
    """Return the order in the answer to a submission.

    Raises:
        OutcomeUnknown: the answer is malformed, or contains another order.
    """
    try:
        order = parsing.order(payload)
    except parsing.MalformedResponse as error:
        raise OutcomeUnknown(f"the response to the submission cannot be used: {error}") from None
    if (order.client_order_id, order.symbol) != (request.client_order_id, request.symbol):
        raise OutcomeUnknown(f"the response to the submission contains another order: {order.id}")
    return order
