"""A proxy in front of a server that holds one request, before or after its effect, while the test acts."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast, override
from urllib.parse import urlsplit

from tests.support.processes import LOOPBACK

_SECONDS = 30
_HOP_HEADERS = {"transfer-encoding", "content-length", "connection", "keep-alive", "date", "server"}
"""Headers of a single connection; the proxy sets its own."""


class Gate:
    """Proxy that forwards requests to ``upstream`` and holds one of them.

    Args:
        upstream: the server's URL.
        pattern: a regular expression searched in ``METHOD path X-Amz-Target body``.
        nth: the matching request to hold, counted from 1.
        after: hold the response, after the server has processed the request.
    """

    def __init__(self, upstream: str, pattern: str, *, nth: int = 1, after: bool = False) -> None:
        self.after = after
        self._address = urlsplit(upstream).netloc
        self._pattern = re.compile(pattern, re.DOTALL)
        self._countdown = nth
        self._guard = threading.Lock()
        self._reached = threading.Event()
        self._opened = threading.Event()
        self._processed = threading.Event()
        self._is_closing = False
        self._server = _Server((LOOPBACK, 0), _Handler)
        self._server.gate = self

    @property
    def url(self) -> str:
        """The URL that clients use instead of ``upstream``."""
        return f"http://{LOOPBACK}:{self._server.server_port}"

    def is_reached(self) -> bool:
        """Wait, for a bounded time, until the request is held; return whether it is."""
        return self._reached.wait(_SECONDS)

    def open(self) -> None:
        """Release the held request and wait until the server has processed it."""
        self._opened.set()
        assert self._processed.wait(_SECONDS), "the held request never reached its server"

    def take(self, description: str) -> bool:
        """Count a request; return whether it is the one to hold."""
        if self._pattern.search(description) is None:
            return False
        with self._guard:
            self._countdown -= 1
            return self._countdown == 0

    def wait(self) -> bool:
        """Hold the request; return whether to continue it."""
        self._reached.set()
        self._opened.wait()
        return not self._is_closing

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[Any, bytes]:
        """Send the request to the server; return its response and the body."""
        connection = http.client.HTTPConnection(self._address, timeout=_SECONDS)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def mark_processed(self) -> None:
        """Record that the server has processed the held request."""
        self._processed.set()

    def serve(self) -> None:
        """Serve requests until :meth:`close`."""
        self._server.serve_forever(poll_interval=0.02)

    def close(self) -> None:
        """Drop a held request and stop."""
        self._is_closing = True
        self._opened.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def gate(upstream: str, pattern: str, *, nth: int = 1, after: bool = False) -> Iterator[Gate]:
    """Run a gate in front of ``upstream`` for the block; the arguments are those of :class:`Gate`."""
    running = Gate(upstream, pattern, nth=nth, after=after)
    thread = threading.Thread(target=running.serve, name="gate")
    thread.start()
    try:
        yield running
    finally:
        running.close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    gate: Gate

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors: tests kill the clients of a gate, and a client that cannot read is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        """Forward one request."""
        gate = cast("_Server", self.server).gate
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        description = (
            f"{self.command} {self.path} {self.headers.get('X-Amz-Target', '')} {body.decode(errors='replace')}"
        )
        held = gate.take(description)
        if held and not gate.after and not gate.wait():
            self.close_connection = True
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_HEADERS}
        response, content = gate.forward(self.command, self.path, headers, body)
        if held:
            gate.mark_processed()
        if held and gate.after and not gate.wait():
            self.close_connection = True
            return
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in _HOP_HEADERS:
                self.send_header(name, value)
        if response.status != http.client.NO_CONTENT:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""
