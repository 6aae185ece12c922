"""The HTTP server: trading and market data on one loopback port, with keys, rate limits and faults."""

import contextlib
import io
import itertools
import json
import socket
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self, cast, override
from urllib.parse import parse_qsl, unquote, urlsplit

from paper_broker.admin import administer
from paper_broker.api import Request, Response, Route, find_route
from paper_broker.app import Allowance, App
from paper_broker.errors import BrokerError, bad_request, rate_limited
from paper_broker.fault_bodies import JSON, error_body, oversize_gzip, oversize_length, oversize_pieces
from paper_broker.faults import Fault
from paper_broker.formats import JsonObject, identifier
from paper_broker.operator_buttons import OperatorButton
from paper_broker.page import HEADERS, check_origin, static_file
from paper_broker.store import StateFile

_REDIRECT = "/v2/clock"
"""Target of redirects: a path that answers 200, so that a client that follows takes it for success."""


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A counted request, with the checks that come before the exchange."""

    allowance: Allowance
    entry: JsonObject
    """The log entry; its status is set when the response is sent."""
    error: BrokerError | None = None
    fault: Fault | None = None


class PaperBroker:
    """A paper broker on a loopback port; a context manager.

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
            raise ValueError(f"{host} is not a loopback address; the paper broker listens on this machine only.")
        self._file = None if state is None else StateFile(state)
        saved = None if self._file is None else self._file.read()
        self.app = App(scenario) if saved is None else App.load(saved)
        self.operator_buttons = {button.name: button for button in operator_buttons}
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._saved: tuple[object, ...] | None = None
        self._request_numbers = itertools.count(1)
        self._server = _Server(host, port, self)
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


class _Server(ThreadingHTTPServer):
    """HTTP server with one thread per connection, so that a hanging request does not block others."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, broker: PaperBroker) -> None:
        self.broker = broker
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__((host, port), _Handler)

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._connections.add(request)
        super().process_request(request, client_address)

    @override
    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._connections.discard(request)
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        """Close idle keep-alive connections, whose threads would wait forever."""
        with self._guard:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore closed connections, which faults cause; print all other errors."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Handler of one request: reads it, injects its fault, writes the response in one piece."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    stall_seconds = 30.0
    """Time after which a client that reads nothing of a streamed body is given up."""

    @property
    def broker(self) -> PaperBroker:
        """The broker that serves these requests."""
        return cast("_Server", self.server).broker

    def do_GET(self) -> None:
        """Answer one request of any method."""
        self._received: ReceivedRequest | None = None
        try:
            request = self._read()
            page = static_file(request.path) if request.method == "GET" else None
            if page is None and not request.path.startswith("/admin/"):
                self._serve(request)
                return
            check_origin(request.headers)
            if page is not None:
                self._send(HTTPStatus.OK, *page, HEADERS)
            elif request.path == "/admin/operator_buttons":
                self._write(self.broker.press_operator_button(request))
            else:
                self._write(self.broker.administer(request))
        except BrokerError as error:
            self._write(Response(error.http_status, error.body()))

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _read(self) -> Request:
        parts = urlsplit(self.path)
        try:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            # Decimals of an order must be exact; a scenario must stay plain JSON for the state file.
            exact = None if parts.path.startswith("/admin/") else Decimal
            body = json.loads(raw, parse_float=exact) if raw.strip() else {}
        except ValueError as error:
            raise bad_request("request body format is invalid") from error
        if not isinstance(body, dict):
            raise bad_request("request body format is invalid")
        return Request(
            method=self.command,
            path=unquote(parts.path),
            query=dict(parse_qsl(parts.query)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )

    def _serve(self, request: Request) -> None:
        route, arguments = find_route(request.method, request.path)
        request = replace(request, arguments=arguments)
        self._received = received = self.broker.receive(request, route)
        if received.error is not None:
            raise received.error
        fault = received.fault
        if fault is not None and fault.when == "before" and self._inject(fault):
            return
        response = self.broker.execute(route, request)
        if fault is None or fault.when == "before" or not self._inject(fault):
            self._write(response, fault.wait_seconds if fault is not None and fault.kind == "drip" else None)

    def _inject(self, fault: Fault) -> bool:
        """Produce a fault; return whether it replaces the response."""
        if fault.kind in ("latency", "hang"):
            self.broker.closing.wait(fault.wait_seconds)
        if fault.kind in ("latency", "drip"):
            return False
        if fault.kind == "status":
            self._write_error(fault)
        elif fault.kind == "redirect":
            self._send(HTTPStatus.FOUND, b"", "text/html", {"Location": _REDIRECT})
        elif fault.kind == "oversize":
            self._write_oversize(fault)
        else:
            self._cut()
        return True

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _write_error(self, fault: Fault) -> None:
        if (received := self._received) is not None and fault.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._received = replace(received, allowance=replace(received.allowance, remaining=0))
        self._send(fault.status, *error_body(fault))

    def _write_oversize(self, fault: Fault) -> None:
        if fault.gzip:
            self._send(HTTPStatus.OK, oversize_gzip(fault.megabytes), JSON, {"Content-Encoding": "gzip"})
            return
        self._start(HTTPStatus.OK, oversize_length(fault.megabytes), JSON)
        self._stream(oversize_pieces(fault.megabytes), 0)

    def _write(self, response: Response, byte_seconds: float | None = None) -> None:
        payload = b"" if response.body is None else json.dumps(response.body).encode()
        if byte_seconds is None:
            self._send(response.status, payload, JSON)
            return
        self._start(response.status, len(payload), JSON)
        self._stream((payload[n : n + 1] for n in range(len(payload))), byte_seconds)

    def _stream(self, pieces: Iterable[bytes], seconds: float) -> None:
        """Write a body in pieces, until the client is gone, reads nothing for too long, or the broker closes."""
        self.connection.settimeout(self.stall_seconds)
        try:
            for piece in pieces:
                self.wfile.write(piece)
                self.wfile.flush()
                if self.broker.closing.wait(seconds):
                    break
            else:
                self.connection.settimeout(None)
                return
        except OSError:
            self.wfile = io.BytesIO()  # what the client did not take must not be written again at the end
        self._cut()

    def _send(
        self, status: int, payload: bytes, content_type: str, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._start(status, len(payload), content_type, headers)
        self.wfile.write(payload)

    def _start(
        self, status: int, length: int, content_type: str, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Write status and headers."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("X-Request-ID", self.broker.request_id())
        if (received := self._received) is not None:
            received.entry["status"] = status
            allowance = received.allowance
            self.send_header("X-RateLimit-Limit", str(allowance.limit))
            self.send_header("X-RateLimit-Remaining", str(allowance.remaining))
            self.send_header("X-RateLimit-Reset", str(allowance.reset))
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    @override
    def version_string(self) -> str:
        """Return the ``Server`` header, which is the same with every Python version."""
        return "paper-broker"

    @override
    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the broker's time for the ``Date`` header, so that responses are reproducible to the byte."""
        return super().date_time_string(self.broker.app.clock().timestamp())

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: the admin API lists the requests."""
