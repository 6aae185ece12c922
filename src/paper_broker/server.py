"""A simulated broker on one loopback port: trading and market data, with keys, rate limits and a state file."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from paper_broker.admin import administer
from paper_broker.app import Allowance, App
from paper_broker.errors import BrokerError, rate_limited
from paper_broker.faults import Fault
from paper_broker.formats import JsonObject, identifier
from paper_broker.http_server import HttpServer
from paper_broker.operator_buttons import OperatorButton
from paper_broker.routing import Request, Response, Route
from paper_broker.store import StateFile


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A counted request, with the checks that come before the exchange."""

    allowance: Allowance
    entry: JsonObject
    """The log entry; its status is set when the response is sent."""
    error: BrokerError | None = None
    fault: Fault | None = None


class PaperBroker:
    """A simulated broker on a loopback port; a context manager.

    Args:
        scenario: the initial scenario; None is the default scenario.
        host: a loopback address.
        port: port to listen on; 0 is any free port.
        state: file to keep the state in; if it exists, it takes precedence over the scenario.
        operator_buttons: switches of the program under test, for the page.

    Raises:
        ValueError: the host is not a loopback address, or the scenario or state is invalid.
    """

    def __init__(
        self,
        scenario: Mapping[str, Any] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        state: Path | None = None,
        operator_buttons: Sequence[OperatorButton] = (),
    ) -> None:
        if not _is_loopback(host):
            raise ValueError(f"{host} is not a loopback address; the simulated broker listens on this machine only.")
        self._file = None if state is None else StateFile(state)
        saved = None if self._file is None else self._file.read()
        self.app = App(scenario) if saved is None else App.load(saved)
        self.operator_buttons = {button.name: button for button in operator_buttons}
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._saved: tuple[object, ...] | None = None
        self._request_numbers = itertools.count(1)
        self._server = HttpServer(host, port, self)
        self._host, self._port = host, self._server.server_port
        self._thread = threading.Thread(target=self._accept, name="paper-broker")

    @property
    def url(self) -> str:
        """Base URL of both the trading and the market-data API."""
        return f"http://{self._host}:{self._port}"

    def start(self) -> Self:
        """Start serving, until :meth:`close`."""
        with self._lock:
            self._save()
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop serving and close all connections, including those of hanging requests."""
        self.closing.set()
        with contextlib.suppress(OSError):  # a last connection wakes the accepting thread
            socket.create_connection((self._host, self._port)).close()
        self._thread.join()
        self._server.cut_connections()
        self._server.server_close()

    def _accept(self) -> None:
        while not self.closing.is_set():
            self._server.handle_request()

    def __enter__(self) -> Self:
        """Start serving."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving."""
        self.close()

    def request_id(self) -> str:
        """Return a new ID for the ``X-Request-ID`` header."""
        return identifier("request", next(self._request_numbers)).replace("-", "")

    def change(self, world: Mapping[str, Any]) -> None:
        """Apply part of a scenario from the same process, as ``POST /admin/world`` does.

        Raises:
            ValueError: the scenario is invalid. Nothing changes then.
        """
        with self._lock:
            self.app.merge(world)
            self._save()

    def administer(self, request: Request) -> Response:
        """Handle a request below ``/admin``."""
        with self._lock:
            response = administer(self.app, request)
            self._save()
        return response

    def press_operator_button(self, request: Request) -> Response:
        """Return the state of every operator button; with POST, switch the button ``name`` to ``on``."""
        if request.method == "GET":
            return Response(200, [button.run("state") for button in self.operator_buttons.values()])
        name, on = request.body.get("name"), request.body.get("on")
        if name not in self.operator_buttons or not isinstance(on, bool):
            names = sorted(self.operator_buttons)
            return Response(422, {"message": f"name must be one of {names}, and on must be true or false."})
        return Response(200, self.operator_buttons[name].run("on" if on else "off"))

    def receive(self, request: Request, route: Route) -> ReceivedRequest:
        """Count a request, check its keys and the rate limit, and select the fault that applies to it."""
        parameters = {**request.query, **request.body}
        entry: JsonObject = {
            "at": self.app.clock().isoformat(),
            "method": request.method,
            "path": request.path,
            "query": dict(request.query),
            "client_order_id": parameters.get("client_order_id"),
            "fault": None,
            "status": None,
        }
        with self._lock:
            received = ReceivedRequest(self.app.count_request(route.budget, route.name, entry), entry)
            try:
                headers = request.headers
                self.app.authorize(headers.get("apca-api-key-id", ""), headers.get("apca-api-secret-key", ""))
            except BrokerError as error:
                return replace(received, error=error)
            if received.allowance.exceeded:
                return replace(received, error=rate_limited())
            fault = self.app.faults.next(request.method, request.path, parameters)
            if fault is not None:
                entry["fault"] = f"{fault.kind} {fault.when}"
                self._save()
            return replace(received, fault=fault)

    def execute(self, route: Route, request: Request) -> Response:
        """Call the exchange. Changes are in the state file before the response is returned."""
        with self._lock:
            response = route(self.app.exchange, request)
            self._save()
        return response

    def _save(self) -> None:
        if self._file is None:
            return
        app = self.app
        version = (app.exchange, app.exchange.changes, app.faults.dump(), app.clock.dump(), dict(app.limiter.limits))
        if version != self._saved:
            self._file.write(app.json_pieces())
            self._saved = version


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
