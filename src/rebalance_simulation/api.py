"""Alpaca's API in the same process: the simulated broker's exchange behind alpaca-py's client interface, with faults.

The real ``AlpacaBroker`` with its transport, rate limiting, retries and parsing runs on top.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

from paper_broker.errors import BrokerError
from paper_broker.exchange import Exchange
from rebalance_executor.adapters.alpaca.broker import AlpacaBroker
from rebalance_executor.adapters.alpaca.client import Response
from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.adapters.alpaca.reads import AlpacaReads
from rebalance_executor.adapters.alpaca.transport import AlpacaTransport, RequestDeadline
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_simulation.api_faults import IMPOSSIBLE_NUMBER, AnswerFaults, Timeouts
from rebalance_simulation.broker_record import BrokerRecord
from rebalance_simulation.broker_view import BrokerView
from rebalance_simulation.calls import CallHook, Submission
from rebalance_simulation.clock import SimulatedClock
from rebalance_simulation.faults import BARS, CANCEL, Fault

SECRET = "S1MULAT3D-S3CR3T"  # noqa: S105 - must never appear in a log line
"""Secret key of the simulated account."""
MAX_DELAY_SECONDS = 14
"""Longest delay of a late submission: longer than any request, shorter than the lease outlasts it."""
_HIDDEN_FOR = timedelta(seconds=4)


@dataclass(slots=True)
class BrokerSide:
    """The broker's side of the API, which all processes share.

    Args:
        exchange: answers the requests.
        view: what the API shows of it.
        record: records the answers.
    """

    exchange: Exchange
    view: BrokerView
    record: BrokerRecord = field(default_factory=BrokerRecord)


class SimulatedApi:
    """The parts of alpaca-py's clients that the program uses, for one endpoint of one process.

    Args:
        broker: answers the requests.
        call: hook that every request passes.
        clock: schedules late submissions and dates hidden orders.
        timeouts: returns a request's timeouts.
        observe: receives the status and headers of every response.
    """

    def __init__(
        self,
        broker: BrokerSide,
        call: CallHook,
        clock: SimulatedClock,
        timeouts: Timeouts,
        observe: Callable[[Any], None],
    ) -> None:
        self._exchange, self._view, self._record = broker.exchange, broker.view, broker.record
        self._call = call
        self._clock = clock
        self._observe = observe
        self._faults = AnswerFaults(clock, broker.record, timeouts, observe)

    def get(self, path: str, data: Any = None) -> Any:
        """Read account, market clock, assets, positions, orders, quotes, trades, snapshots or daily bars."""
        if path == "/stocks/bars":
            return self._request(BARS, lambda _: self._view.bars(data))
        if path == "/stocks/snapshots":
            return self._snapshots(path, data["symbols"].split(","))
        if path.startswith("/stocks/"):
            return self._market_data(path, data["symbols"].split(","))

        def read(_: Fault | None) -> Any:
            return self._read(path, data or {})

        return self._request(f"broker GET {_template(path)}", read)

    def post(self, path: str, data: Any = None) -> Any:
        """Submit an order."""
        response = self._request(f"broker POST {path}", lambda fault: self._submit(data, fault), data)
        if "client_order_id" in response and response.get("qty") != IMPOSSIBLE_NUMBER:  # such an answer is unusable
            self._record.note_answer(response)
        return response

    def delete(self, path: str, data: Any = None) -> None:
        """Cancel an order."""
        del data
        order_id = unquote(path.removeprefix("/orders/"))

        def cancel(fault: Fault | None) -> None:
            if fault is Fault.NO_CANCEL:
                self._faults.cancel_without_effect()
            else:
                self._exchange.cancel_order(order_id)

        self._record.cancel_requests.update([order_id])
        self._request(CANCEL, cancel)
        self._record.cancels[order_id] = self._record.cancels.get(order_id, 0) + 1

    def ask(self, requests: Sequence[tuple[str, str, Any]]) -> Callable[[], list[Any | Exception]]:
        """Send these requests before any answer is awaited; return what reads their answers.

        Each has its own faults, and may be the last one before the process is killed.
        """
        send = {"GET": self.get, "POST": self.post, "DELETE": self.delete}

        def outcome(method: str, path: str, data: Any) -> Any | Exception:
            try:
                return send[method](path, data)
            except Exception as error:  # noqa: BLE001 - each answer has its own error
                return error

        self._record.together = frozenset(data["client_order_id"] for method, _, data in requests if method == "POST")
        self._record.is_within_group = len(requests) > 1
        try:
            with self._faults.together():
                answers = [outcome(*request) for request in requests]
        finally:
            self._record.together, self._record.is_within_group = frozenset(), False
        return lambda: answers

    def close(self) -> None:
        """Do nothing: there is no connection to close."""

    # --- requests and faults -----------------------------------------------------------------------------

    def _request(self, name: str, answer: Callable[[Fault | None], Any], order: Submission | None = None) -> Any:
        def run(fault: Fault | None) -> Any:
            self._record.requests += 1
            if fault is not None:
                if fault is Fault.LATE and order is not None:
                    self._send_late(order)
                self._faults.before(fault)
            response = self._answer(answer, fault, order)
            if fault is not None:
                response = self._faults.after(fault, response)
            self._observe(SimpleNamespace(status_code=200, headers={}))
            return response

        return self._call(name, run, order)

    def _answer(self, answer: Callable[[Fault | None], Any], fault: Fault | None, order: Submission | None) -> Any:
        try:
            return answer(fault)
        except BrokerError as error:
            if order is not None:
                self._record.note_error(order["client_order_id"])
            raise self._faults.error(error.http_status, _json(error.code, error.message)) from None

    def _submit(self, order: Submission, fault: Fault | None) -> dict[str, Any]:
        try:
            response = self._exchange.submit_order(order)
        except BrokerError as error:
            self._record.note_refusal(order["client_order_id"], error.message)
            raise
        if fault is Fault.HIDDEN:
            self._view.hidden_until[order["client_order_id"]] = self._clock.world() + _HIDDEN_FOR
        return response

    def _send_late(self, order: Submission) -> None:
        delay = 1 + sum(map(ord, order["client_order_id"])) % MAX_DELAY_SECONDS
        self._clock.call_later(timedelta(seconds=delay), lambda: self._submit_late(order))
        self._faults.time_out()

    def _submit_late(self, order: Submission) -> None:
        try:
            self._submit(order, None)
        except BrokerError:
            return  # the client has timed out: it never receives the error

    # --- responses ---------------------------------------------------------------------------------------

    def _market_data(self, path: str, symbols: list[str]) -> Any:
        """Read quotes or trades; only those of this moment, as far as they reach the program, are recorded."""
        kind, is_current = path.split("/")[2], True

        def read(_: Fault | None) -> Any:
            nonlocal is_current
            answer, is_current = self._view.quotes(kind, symbols, self._clock.world())
            return answer

        response = self._request(f"broker GET {path}", read)
        if is_current and kind in response:
            self._record.note_quotes(response[kind], self._clock.world())
        return response

    def _read(self, path: str, query: Mapping[str, str]) -> Any:
        exchange = self._exchange
        match path:
            case "/account":
                return exchange.account()
            case "/clock":
                return exchange.clock()
            case "/positions":
                return self._positions()
            case "/orders":
                return self._view.orders(query, self._clock.world())
            case "/orders:by_client_order_id":
                return self._order(query["client_order_id"])
        if path == "/assets":
            return exchange.assets(query["status"])
        if path.startswith("/assets/"):
            return exchange.asset(unquote(path.removeprefix("/assets/")))
        raise AssertionError(f"{path} is not simulated")

    def _snapshots(self, path: str, symbols: list[str]) -> dict[str, Any]:
        """Read snapshots. Their quotes are recorded as those of ``_market_data``."""
        is_current = True

        def read(_: Fault | None) -> Any:
            nonlocal is_current
            snapshots = self._exchange.snapshots(symbols)
            self._record.note_closes(snapshots, self._exchange.clock())
            answer, is_current = self._view.quotes("quotes", symbols, self._clock.world())
            quotes = answer["quotes"]
            return {s: {**row, "latestQuote": quotes.get(s, row["latestQuote"])} for s, row in snapshots.items()}

        response: dict[str, Any] = self._request(f"broker GET {path}", read)
        if is_current:
            quotes = {s: row["latestQuote"] for s, row in response.items() if "latestQuote" in row}
            self._record.note_quotes(quotes, self._clock.world())
        return response

    def _positions(self) -> list[dict[str, Any]]:
        positions = self._exchange.positions()
        self._record.note_positions(positions)
        return positions

    def _order(self, client_order_id: str) -> dict[str, Any]:
        if not self._view.is_visible(client_order_id, self._clock.world()):
            raise BrokerError(404, 40410000, "order not found")
        return self._view.order(client_order_id)


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
        AlpacaReads.__init__(
            self,
            AlpacaTransport(api, self._deadline, config.rate_limit_per_minute, on_request),
            AlpacaTransport(api, self._deadline, config.rate_limit_per_minute, on_request),
        )


def _json(code: int | None, message: str) -> str:
    known = {} if code is None else {"code": code}
    return json.dumps({**known, "message": message})


def _template(path: str) -> str:
    return "/assets/{symbol}" if path.startswith("/assets/") else path
