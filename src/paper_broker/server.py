"""The exchange behind HTTP: trading and market data on one port of this machine, with keys, limits and faults."""

import contextlib
import itertools
import json
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
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
from paper_broker.api import Answer, Request, Route, find_route
from paper_broker.app import Allowance, Venue
from paper_broker.errors import BrokerError, bad_request, rate_limited
from paper_broker.faults import Fault
from paper_broker.formats import Wire, identifier
from paper_broker.operator_buttons import Lever
from paper_broker.page import HEADERS, check_visitor, file
from paper_broker.store import StateFile

_HTML = "<html><body><h1>{status} {reason}</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request at the door."""

    allowance: Allowance
    entry: Wire
    """Of the log; its status is filled in when it is known."""
    refusal: BrokerError | None = None
    fault: Fault | None = None


class PaperBroker:
    """A paper broker on a loopback port; a context manager.

    Args:
        scenario: the world to begin with; none is the default world.
        host: a loopback address.
        port: 0 takes a free one.
        state: a file that keeps the state; if it exists, it wins over the scenario.
        levers: switches of the program under test, for the page.

    Raises:
        ValueError: for a host that others can reach, or an unreadable scenario or state.
    """

    def __init__(
        self,
        scenario: Mapping[str, Any] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        state: Path | None = None,
        levers: Sequence[Lever] = (),
    ) -> None:
        if not _is_loopback(host):
            raise ValueError(f"The paper broker listens on this machine only, and {host} is not a loopback address.")
        self._file = None if state is None else StateFile(state)
        saved = None if self._file is None else self._file.read()
        self.venue = Venue(scenario) if saved is None else Venue.load(saved)
        self.levers = {lever.name: lever for lever in levers}
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._saved: tuple[object, ...] | None = None
        self._request_numbers = itertools.count(1)
        self._server = _Server(host, port, self)
        self._host, self._port = host, self._server.server_port
        self._thread = threading.Thread(target=self._accept, name="paper-broker")

    @property
    def url(self) -> str:
        """The address of trading and of market data."""
        return f"http://{self._host}:{self._port}"

    def start(self) -> Self:
        """Serve until :meth:`close`."""
        with self._lock:
            self._save()
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop serving; requests that hang are cut."""
        self.closing.set()
        with contextlib.suppress(OSError):  # one more connection, so that the accepting thread looks up
            socket.create_connection((self._host, self._port)).close()
        self._thread.join()
        self._server.cut_connections()
        self._server.server_close()

    def _accept(self) -> None:
        while not self.closing.is_set():
            self._server.handle_request()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def request_id(self) -> str:
        """A new id for the ``X-Request-ID`` header."""
        return identifier("request", next(self._request_numbers)).replace("-", "")

    def change(self, world: Mapping[str, Any]) -> None:
        """Change the world from the same process, between two requests; as ``POST /admin/world``.

        Raises:
            ValueError: for what no scenario may say; the world stays as it is.
        """
        with self._lock:
            self.venue.merge(world)
            self._save()

    def administer(self, request: Request) -> Answer:
        """Carry out a request below ``/admin``."""
        with self._lock:
            answer = administer(self.venue, request)
            self._save()
        return answer

    def pull(self, request: Request) -> Answer:
        """Ask every lever how it stands, or with POST switch the one of that ``name`` to ``on``."""
        if request.method == "GET":
            return Answer(200, [lever.ask("state") for lever in self.levers.values()])
        name, on = request.body.get("name"), request.body.get("on")
        if name not in self.levers or not isinstance(on, bool):
            return Answer(422, {"message": f"name is one of {sorted(self.levers)}, and on is true or false."})
        return Answer(200, self.levers[name].ask("on" if on else "off"))

    def receive(self, request: Request, route: Route) -> Arrival:
        """Count a request, and tell whether it is refused at the door and which fault it meets."""
        said = {**request.query, **request.body}
        entry: Wire = {
            "method": request.method,
            "path": request.path,
            "query": dict(request.query),
            "client_order_id": said.get("client_order_id"),
            "fault": None,
            "status": None,
        }
        with self._lock:
            arrival = Arrival(self.venue.count(route.budget, route.name, entry), entry)
            try:
                headers = request.headers
                self.venue.authorize(headers.get("apca-api-key-id", ""), headers.get("apca-api-secret-key", ""))
            except BrokerError as error:
                return replace(arrival, refusal=error)
            if arrival.allowance.exceeded:
                return replace(arrival, refusal=rate_limited())
            fault = self.venue.faults.next(request.method, request.path, said)
            if fault is not None:
                entry["fault"] = f"{fault.kind} {fault.when}"
                self._save()
            return replace(arrival, fault=fault)

    def carry_out(self, route: Route, request: Request) -> Answer:
        """Ask the exchange; what changed is on disk before the answer is given."""
        with self._lock:
            answer = route(self.venue.exchange, request)
            self._save()
        return answer

    def _save(self) -> None:
        if self._file is None:
            return
        venue = self.venue
        mark = (
            *(venue.exchange, venue.exchange.changes),
            *(venue.faults.dump(), venue.clock.dump(), dict(venue.limiter.limits)),
        )
        if mark != self._saved:
            self._file.write(venue.json_pieces())
            self._saved = mark


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Server(ThreadingHTTPServer):
    """One thread for each connection, so that a hanging request holds up no other."""

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
        """End idle keep-alive connections, whose threads would wait for ever."""
        with self._guard:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what the faults are for; all else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Reads one request, lets its fault happen, and writes the answer in one piece."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    @property
    def broker(self) -> PaperBroker:
        """Whose requests these are."""
        return cast("_Server", self.server).broker

    def do_GET(self) -> None:
        """Answer one request."""
        self._arrival: Arrival | None = None
        try:
            request = self._read()
            page = file(request.path) if request.method == "GET" else None
            if page is None and not request.path.startswith("/admin/"):
                self._serve(request)
                return
            check_visitor(request.headers)
            if page is not None:
                self._send(HTTPStatus.OK, *page, HEADERS)
            elif request.path == "/admin/levers":
                self._write(self.broker.pull(request))
            else:
                self._write(self.broker.administer(request))
        except BrokerError as error:
            self._write(Answer(error.http_status, error.body()))

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _read(self) -> Request:
        parts = urlsplit(self.path)
        try:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            # An order's decimals must arrive as they were written; a scenario goes into the state file as it came.
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
        self._arrival = arrival = self.broker.receive(request, route)
        if arrival.refusal is not None:
            raise arrival.refusal
        fault = arrival.fault
        if fault is not None and fault.when == "before" and self._suffer(fault):
            return
        answer = self.broker.carry_out(route, request)
        if fault is None or fault.when == "before" or not self._suffer(fault):
            self._write(answer)

    def _suffer(self, fault: Fault) -> bool:
        """Let a fault happen; tells whether it took the place of the answer."""
        if fault.kind in ("latency", "hang"):
            self.broker.closing.wait(fault.wait_seconds)
        if fault.kind == "latency":
            return False
        if fault.kind == "status":
            self._write_fault(fault)
            return True
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        return True

    def _write_fault(self, fault: Fault) -> None:
        reason = HTTPStatus(fault.status).phrase
        if (arrival := self._arrival) is not None and fault.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._arrival = replace(arrival, allowance=replace(arrival.allowance, remaining=0))
        if fault.body == "json":
            code = 42910000 if fault.status == HTTPStatus.TOO_MANY_REQUESTS else fault.status * 100_000 + 10_000
            self._write(Answer(fault.status, {"code": code, "message": reason.lower()}))
        else:
            page = _HTML.format(status=fault.status, reason=reason) if fault.body == "html" else ""
            self._send(fault.status, page.encode(), "text/html")

    def _write(self, answer: Answer) -> None:
        payload = b"" if answer.body is None else json.dumps(answer.body).encode()
        self._send(answer.status, payload, "application/json; charset=UTF-8")

    def _send(
        self, status: int, payload: bytes, content_type: str, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("X-Request-ID", self.broker.request_id())
        if (arrival := self._arrival) is not None:
            arrival.entry["status"] = status
            allowance = arrival.allowance
            self.send_header("X-RateLimit-Limit", str(allowance.limit))
            self.send_header("X-RateLimit-Remaining", str(allowance.remaining))
            self.send_header("X-RateLimit-Reset", str(allowance.reset))
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    @override
    def version_string(self) -> str:
        """The ``Server`` header: the same with every Python."""
        return "paper-broker"

    @override
    def date_time_string(self, timestamp: float | None = None) -> str:
        """The broker's time, so that equal histories give equal answers to the byte."""
        return super().date_time_string(self.broker.venue.clock().timestamp())

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: requests are counted, and their counts can be read."""
