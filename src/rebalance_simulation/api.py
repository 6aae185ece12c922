"""Alpaca's API in the same process: the paper broker's exchange behind alpaca-py's client interface, with faults.

The real ``AlpacaBroker`` with its transport, rate limiting, retries and parsing runs on top.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, NoReturn
from urllib.parse import unquote

from requests import Response
from requests.exceptions import ReadTimeout

from paper_broker.errors import BrokerError
from paper_broker.exchange import Exchange
from rebalance_executor.adapters.alpaca.broker import AlpacaBroker
from rebalance_executor.adapters.alpaca.client import APIError
from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.adapters.alpaca.transport import AlpacaTransport, RequestDeadline
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_simulation.calls import CallHook, Submission
from rebalance_simulation.clock import SimulatedClock
from rebalance_simulation.faults import Fault

SECRET = "S1MULAT3D-S3CR3T"  # noqa: S105 - must never appear in a log line
"""Secret key of the simulated account."""
MAX_DELAY_SECONDS = 14
"""Longest delay of a late submission: longer than any request, shorter than the lease outlasts it."""
_HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"

Timeouts = Callable[[], tuple[float, float]]
"""Function that returns the connect and read timeouts of the next request, in seconds."""


class SimulatedApiError(APIError):
    """An API response with a status other than 2xx."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)  # type: ignore[no-untyped-call]
        self._status = status

    @property
    def status_code(self) -> int:
        """HTTP status."""
        return self._status


class SimulatedApi:
    """The parts of alpaca-py's clients that the program uses, for one endpoint of one process.

    Args:
        exchange: answers the requests.
        call: hook that every request passes.
        clock: schedules late submissions and dates hidden orders.
        hidden_until: client order IDs that cannot be found yet, with the time at which they can.
        connection: returns a request's timeouts; receives the status and headers of every response.
    """

    def __init__(
        self,
        exchange: Exchange,
        call: CallHook,
        clock: SimulatedClock,
        hidden_until: dict[str, datetime],
        connection: tuple[Timeouts, Callable[[Any], None]],
    ) -> None:
        self._exchange = exchange
        self._call = call
        self._clock = clock
        self._hidden_until = hidden_until
        self._timeouts, self._observe = connection

    def get(self, path: str, data: Any = None) -> Any:
        """Read account, market clock, assets, positions, orders, quotes or trades."""
        return self._request(f"broker GET {_template(path)}", lambda: self._read(path, data or {}))

    def post(self, path: str, data: Any = None) -> Any:
        """Submit an order."""
        return self._request(f"broker POST {path}", lambda: self._exchange.submit_order(data), data)

    def delete(self, path: str, data: Any = None) -> None:
        """Cancel an order."""
        del data
        order_id = unquote(path.removeprefix("/orders/"))
        self._request("broker DELETE /orders/{id}", lambda: self._exchange.cancel_order(order_id))

    def close(self) -> None:
        """Do nothing: there is no connection to close."""

    # --- requests and faults -----------------------------------------------------------------------------

    def _request(self, name: str, answer: Callable[[], Any], order: Submission | None = None) -> Any:
        def run(fault: Fault | None) -> Any:
            if fault is not None:
                self._fail_before(fault, order)
            response = self._answer(answer)
            if fault is not None:
                response = self._fail_after(fault, response, order)
            self._observe(SimpleNamespace(status_code=200, headers={}))
            return response

        return self._call(name, run, order)

    def _answer(self, answer: Callable[[], Any]) -> Any:
        try:
            return answer()
        except BrokerError as error:
            raise self._error(error.http_status, _json(error.code, error.message)) from None

    def _fail_before(self, fault: Fault, order: Submission | None) -> None:
        """Raise a fault that precedes the effect of the request."""
        if fault is Fault.NO_ANSWER:
            self._time_out()
        elif fault is Fault.LATE and order is not None:
            delay = 1 + sum(map(ord, order["client_order_id"])) % MAX_DELAY_SECONDS
            self._clock.call_later(timedelta(seconds=delay), lambda: self._submit_late(order))
            self._time_out()
        elif fault is Fault.RATE_LIMIT:
            raise self._error(429, _json(42910000, "rate limit exceeded"), {"Retry-After": "3"})
        elif fault is Fault.SERVER_ERROR:
            raise self._error(503, _json(50310000, "service unavailable"))
        elif fault is Fault.UNAUTHORIZED:
            raise self._error(401, _json(40110000, "request is not authorized"))

    def _fail_after(self, fault: Fault, response: Any, order: Submission | None) -> Any:
        """Raise a fault that follows the effect of the request, or return the response, damaged if need be."""
        if fault is Fault.HIDDEN and order is not None:
            self._hidden_until[order["client_order_id"]] = self._clock.world() + timedelta(seconds=4)
            self._time_out()
        if fault is Fault.LOST_ANSWER:
            self._time_out()
        if fault is Fault.HTML:
            raise self._error(502, _HTML)
        if fault is Fault.GARBLED:
            return {"id": "garbled"} if isinstance(response, dict) else [{"garbled": True}]
        return response

    def _time_out(self) -> NoReturn:
        self._clock.advance(timedelta(seconds=self._timeouts()[1]))
        raise ReadTimeout("no answer")

    def _error(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> SimulatedApiError:
        self._observe(SimpleNamespace(status_code=status, headers=headers or {}))
        return SimulatedApiError(status, text)

    def _submit_late(self, order: Submission) -> None:
        try:
            self._exchange.submit_order(order)
        except BrokerError:
            return  # the client has timed out: it never receives the error

    # --- responses ---------------------------------------------------------------------------------------

    def _read(self, path: str, query: Mapping[str, str]) -> Any:
        exchange = self._exchange
        match path:
            case "/account":
                return exchange.account()
            case "/clock":
                return exchange.clock()
            case "/positions":
                return exchange.positions()
            case "/orders":
                return self._orders(query)
            case "/orders:by_client_order_id":
                return self._order(query["client_order_id"])
            case "/stocks/quotes/latest":
                return exchange.latest_quotes(query["symbols"].split(","))
            case "/stocks/trades/latest":
                return exchange.latest_trades(query["symbols"].split(","))
        if path.startswith("/assets/"):
            return exchange.asset(unquote(path.removeprefix("/assets/")))
        raise AssertionError(f"{path} is not simulated")

    def _orders(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        orders = self._exchange.list_orders(
            status=query["status"],
            after=query.get("after"),
            symbols=frozenset(query["symbols"].split(",")),
            limit=int(query["limit"]),
            direction="asc",
        )
        if not self._hidden_until:
            return orders
        return [order for order in orders if self._is_visible(order["client_order_id"])]

    def _order(self, client_order_id: str) -> dict[str, Any]:
        if not self._is_visible(client_order_id):
            raise BrokerError(404, 40410000, "order not found")
        return self._exchange.get_order_by_client_order_id(client_order_id)

    def _is_visible(self, client_order_id: str) -> bool:
        until = self._hidden_until.get(client_order_id)
        return until is None or until <= self._clock.world()


class SimulatedBroker(AlpacaBroker):
    """The real broker adapter, with ``SimulatedApi`` in place of alpaca-py.

    Args:
        api: makes an endpoint's client from its timeouts and its observer of responses.
        credentials: the account's keys.
        config: timeouts and rate limit.
        clock: waits between retries.
        on_request: receives the name of every request.
    """

    def __init__(
        self,
        api: Callable[[Timeouts, Callable[[Response], None]], SimulatedApi],
        credentials: Credentials,
        config: ExecutionConfig,
        clock: SimulatedClock,
        on_request: Callable[[str], None],
    ) -> None:
        self.credentials = credentials
        self._deadline = RequestDeadline(
            clock, float(config.connect_timeout_seconds), float(config.read_timeout_seconds), until=clock.now()
        )
        self._trading = AlpacaTransport(api, self._deadline, config.rate_limit_per_minute, on_request)
        self._data = AlpacaTransport(api, self._deadline, config.rate_limit_per_minute, on_request)


def _json(code: int, message: str) -> str:
    return f'{{"code": {code}, "message": "{message.replace('"', "'")}"}}'


def _template(path: str) -> str:
    return "/assets/{symbol}" if path.startswith("/assets/") else path
