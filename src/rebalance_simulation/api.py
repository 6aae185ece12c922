"""Alpaca's API in the process: the paper broker's exchange behind alpaca-py's interface, with everything that can go
wrong on the way to it.

The real ``AlpacaBroker`` with its doors, its pacing, its repetitions and its parsing runs on top.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, Protocol
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
from rebalance_simulation.clock import SimulatedClock
from rebalance_simulation.faults import Fault

SECRET = "S1MULAT3D-S3CR3T"  # noqa: S105 - what must never be seen in a log
LATEST = 14
"""Seconds a submission can be under way: more than the longest request, less than the lease outlasts it."""
_HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"

Timeouts = Callable[[], tuple[float, float]]


Body = Mapping[str, Any]
"""A submission as it is sent."""


class CallHook(Protocol):
    """A call to the outside; its effect is told the fault, as far as it has to bring it about itself."""

    def __call__(self, name: str, effect: Callable[[Fault | None], Any], order: Body | None = None, /) -> Any: ...


class Refused(APIError):
    """An answer other than 2xx."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)  # type: ignore[no-untyped-call]
        self._status = status

    @property
    def status_code(self) -> int:
        """HTTP status."""
        return self._status


class SimulatedApi:
    """What is used of alpaca-py's clients, for one endpoint of one process.

    Args:
        exchange: who answers.
        cross: how calls come about.
        clock: for what lands late or shows late.
        hidden_until: client order ids that cannot be found yet.
        timeouts: how long a request waits.
        observe: sees every answer's status and headers.
    """

    def __init__(
        self,
        exchange: Exchange,
        cross: CallHook,
        clock: SimulatedClock,
        hidden_until: dict[str, datetime],
        door: tuple[Timeouts, Callable[[Any], None]],
    ) -> None:
        self._exchange = exchange
        self._cross = cross
        self._clock = clock
        self._hidden_until = hidden_until
        self._timeouts, self._observe = door

    def get(self, path: str, data: Any = None) -> Any:
        """A read."""
        return self._request(f"broker GET {_template(path)}", lambda: self._read(path, data or {}))

    def post(self, path: str, data: Any = None) -> Any:
        """A submission."""
        return self._request(f"broker POST {path}", lambda: self._exchange.submit_order(data), data)

    def delete(self, path: str, data: Any = None) -> None:
        """A cancel."""
        del data
        order_id = unquote(path.removeprefix("/orders/"))
        self._request("broker DELETE /orders/{id}", lambda: self._exchange.cancel_order(order_id))

    def close(self) -> None:
        """Nothing is open."""

    # --- the way -----------------------------------------------------------------------------------------

    def _request(self, name: str, answer: Callable[[], Any], order: Body | None = None) -> Any:
        def carried(fault: Fault | None) -> Any:
            if fault is not None:
                self._before(fault, order)
            told = self._answered(answer)
            if fault is not None:
                told = self._after(fault, told, order)
            self._observe(SimpleNamespace(status_code=200, headers={}))
            return told

        return self._cross(name, carried, order)

    def _answered(self, answer: Callable[[], Any]) -> Any:
        try:
            return answer()
        except BrokerError as error:
            raise self._refused(error.http_status, _json(error.code, error.message)) from None

    def _before(self, fault: Fault, order: Body | None) -> None:
        """What goes wrong before the request takes effect."""
        if fault is Fault.NO_ANSWER:
            self._time_out()
        elif fault is Fault.LATE and order is not None:
            landing = 1 + sum(map(ord, order["client_order_id"])) % LATEST
            self._clock.later(timedelta(seconds=landing), lambda: self._land(order))
            self._time_out()
        elif fault is Fault.RATE_LIMIT:
            raise self._refused(429, _json(42910000, "rate limit exceeded"), {"Retry-After": "3"})
        elif fault is Fault.SERVER_ERROR:
            raise self._refused(503, _json(50310000, "service unavailable"))
        elif fault is Fault.UNAUTHORIZED:
            raise self._refused(401, _json(40110000, "request is not authorized"))

    def _after(self, fault: Fault, told: Any, order: Body | None) -> Any:
        """What goes wrong when it has taken effect."""
        if fault is Fault.HIDDEN and order is not None:
            self._hidden_until[order["client_order_id"]] = self._clock.world() + timedelta(seconds=4)
            self._time_out()
        if fault is Fault.LOST_ANSWER:
            self._time_out()
        if fault is Fault.HTML:
            raise self._refused(502, _HTML)
        if fault is Fault.GARBLED:
            return {"id": "garbled"} if isinstance(told, dict) else [{"garbled": True}]
        return told

    def _time_out(self) -> None:
        self._clock.sleep(timedelta(seconds=self._timeouts()[1]))
        raise ReadTimeout("no answer")

    def _refused(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> Refused:
        self._observe(SimpleNamespace(status_code=status, headers=headers or {}))
        return Refused(status, text)

    def _land(self, order: Body) -> None:
        try:
            self._exchange.submit_order(order)
        except BrokerError:
            return  # nobody is there to hear it

    # --- the answers -------------------------------------------------------------------------------------

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
        told = self._exchange.list_orders(
            status=query["status"],
            after=query.get("after"),
            symbols=frozenset(query["symbols"].split(",")),
            limit=int(query["limit"]),
            direction="asc",
        )
        return [one for one in told if self._is_shown(one["client_order_id"])] if self._hidden_until else told

    def _order(self, client_order_id: str) -> dict[str, Any]:
        if not self._is_shown(client_order_id):
            raise BrokerError(404, 40410000, "order not found")
        return self._exchange.get_order_by_client_order_id(client_order_id)

    def _is_shown(self, client_order_id: str) -> bool:
        until = self._hidden_until.get(client_order_id)
        return until is None or until <= self._clock.world()


class SimulatedBroker(AlpacaBroker):
    """The real broker adapter, with ``SimulatedApi`` where alpaca-py would be.

    Args:
        api: makes the endpoint's client from time-outs and an observer.
        credentials: the account's keys.
        config: time-outs and the rate limit.
        clock: for waiting.
        on_request: told of every request.
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
        self._limits = RequestDeadline(
            clock, float(config.connect_timeout_seconds), float(config.read_timeout_seconds), until=clock.now()
        )
        self._trading = AlpacaTransport(api, self._limits, config.rate_limit_per_minute, on_request)
        self._data = AlpacaTransport(api, self._limits, config.rate_limit_per_minute, on_request)


def _json(code: int, message: str) -> str:
    return f'{{"code": {code}, "message": "{message.replace('"', "'")}"}}'


def _template(path: str) -> str:
    return "/assets/{symbol}" if path.startswith("/assets/") else path
