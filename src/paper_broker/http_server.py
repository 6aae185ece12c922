"""HTTP in front of a simulated broker: connections, requests, and what faults do to responses."""

import contextlib
import io
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast, override
from urllib.parse import parse_qsl, urlsplit

from paper_broker.api import find_route
from paper_broker.errors import BrokerError, bad_request
from paper_broker.fault_bodies import JSON, error_body, oversize_gzip, oversize_length, oversize_pieces
from paper_broker.faults import Fault
from paper_broker.page import HEADERS, check_origin, static_file
from paper_broker.routing import Request, Response

if TYPE_CHECKING:
    from paper_broker.server import PaperBroker, ReceivedRequest

_REDIRECT = "/v2/clock"
"""Target of redirects: a path that answers 200, so that a client that follows takes it for success."""


class HttpServer(ThreadingHTTPServer):
    """HTTP server with one thread per connection, so that a hanging request does not block others."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, broker: "PaperBroker") -> None:
        self.broker = broker
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__((host, port), Handler)

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


class Handler(BaseHTTPRequestHandler):
    """Handler of one request: reads it, injects its fault, writes the response in one piece."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    _received: "ReceivedRequest | None" = None
    stall_seconds = 30.0
    """Time after which a client that reads nothing of a streamed body is given up."""

    @property
    def broker(self) -> "PaperBroker":
        """The broker that serves these requests."""
        return cast("HttpServer", self.server).broker

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Handle every method alike, so that one that no path has gets Alpaca's error and not a page of HTML."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        """Answer one request of any method."""
        self._received = None
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

    @override
    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that is not valid HTTP, and close its connection."""
        self.close_connection = True
        self.request_version = self.protocol_version  # an unknown one would leave out the headers
        self._received = None
        error = BrokerError(code, code * 100_000, message or HTTPStatus(code).phrase)
        self._write(Response(error.http_status, error.body()))

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
            path=parts.path,
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
        if self.command != "HEAD":  # its response has the headers alone
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
