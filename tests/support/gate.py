"""A gate on the way to a server: one request is held, before its effect or after, while the test acts."""

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
_OWN = {"transfer-encoding", "content-length", "connection", "keep-alive", "date", "server"}
"""Headers that belong to one connection and are made anew."""


class Gate:
    """Passes requests on to ``upstream``; holds the one that was asked for.

    Args:
        upstream: the server's address.
        pattern: a regular expression searched in ``METHOD path X-Amz-Target body``.
        nth: which of the matching requests is held, from 1.
        after: whether the server has carried it out already; only its answer is held then.
    """

    def __init__(self, upstream: str, pattern: str, *, nth: int = 1, after: bool = False) -> None:
        self.after = after
        self._address = urlsplit(upstream).netloc
        self._pattern = re.compile(pattern, re.DOTALL)
        self._countdown = nth
        self._guard = threading.Lock()
        self._reached = threading.Event()
        self._opened = threading.Event()
        self._landed = threading.Event()
        self._is_closing = False
        self._server = _Server((LOOPBACK, 0), _Handler)
        self._server.gate = self

    @property
    def url(self) -> str:
        """Where clients come to."""
        return f"http://{LOOPBACK}:{self._server.server_port}"

    def is_reached(self) -> bool:
        """Wait, for a bounded time, until the request is held; tells whether it is."""
        return self._reached.wait(_SECONDS)

    def open(self) -> None:
        """Let the held request go on, and wait until its server has carried it out."""
        self._opened.set()
        assert self._landed.wait(_SECONDS), "the held request never reached its server"

    def holds(self, told: str) -> bool:
        """Whether this is the request to hold."""
        if self._pattern.search(told) is None:
            return False
        with self._guard:
            self._countdown -= 1
            return self._countdown == 0

    def wait(self) -> bool:
        """Hold the request; tells whether it goes on."""
        self._reached.set()
        self._opened.wait()
        return not self._is_closing

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[Any, bytes]:
        """The server's answer and its body."""
        connection = http.client.HTTPConnection(self._address, timeout=_SECONDS)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def landed(self) -> None:
        """The held request was carried out."""
        self._landed.set()

    def serve(self) -> None:
        """Until :meth:`close`."""
        self._server.serve_forever(poll_interval=0.02)

    def close(self) -> None:
        """Drop what is held, and end."""
        self._is_closing = True
        self._opened.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def gate(upstream: str, pattern: str, *, nth: int = 1, after: bool = False) -> Iterator[Gate]:
    """A gate before ``upstream``, until the end of the block; arguments as for :class:`Gate`."""
    made = Gate(upstream, pattern, nth=nth, after=after)
    thread = threading.Thread(target=made.serve, name="gate")
    thread.start()
    try:
        yield made
    finally:
        made.close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    gate: Gate

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """ClientFactory of a gate are killed: what they cannot read any more is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        """Pass one request on."""
        gate = cast("_Server", self.server).gate
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = f"{self.command} {self.path} {self.headers.get('X-Amz-Target', '')} {body.decode(errors='replace')}"
        held = gate.holds(told)
        if held and not gate.after and not gate.wait():
            self.close_connection = True
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
        answer, content = gate.forward(self.command, self.path, headers, body)
        if held:
            gate.landed()
        if held and gate.after and not gate.wait():
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _OWN:
                self.send_header(name, value)
        if answer.status != http.client.NO_CONTENT:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""
