"""HTTP server of ``rebalance serve``: a read-only page on loopback.

One thread, that of the command, reads the state, because a journal may be bound to the thread that opened it. The
threads that answer requests wait for it. However many pages are open, it reads at most once per second.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any, cast

_HOSTS = ("127.0.0.1", "localhost")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_REQUEST_SECONDS = 10
"""Time for a request, and longest wait for a state."""


class LatestState:
    """The latest state as text: read in one thread, asked for in others.

    Args:
        read: returns the present state; called only by ``keep_reading``.
        fresh_seconds: age up to which a state is not read again.
        clock: monotonic seconds.
    """

    def __init__(
        self, read: Callable[[], str], fresh_seconds: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._fresh_seconds = fresh_seconds
        self._clock = clock
        self._changed = Condition()
        self._text: str | None = None
        self._read_at = 0.0
        self._is_wanted = False
        self._is_closed = False

    def get(self) -> str | None:
        """Return the state, at most ``fresh_seconds`` old; the last one, or None, if it could not be read in time."""
        with self._changed:
            if not self._is_fresh():
                self._is_wanted = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._is_fresh() or self._is_closed, _REQUEST_SECONDS)
            return self._text

    def _is_fresh(self) -> bool:
        return self._text is not None and self._clock() - self._read_at <= self._fresh_seconds

    def keep_reading(self) -> None:
        """Read the state whenever it is asked for, until ``close`` or an exception, such as that of Ctrl-C."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_wanted or self._is_closed)
                if self._is_closed:
                    return
                self._is_wanted = False
            text = self._read()
            with self._changed:
                self._text, self._read_at = text, self._clock()
                self._changed.notify_all()

    def close(self) -> None:
        """Let ``keep_reading`` and all waiting requests return."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


@contextmanager
def page_server(files: Mapping[str, tuple[str, str]], state: LatestState, port: int) -> Iterator[str]:
    """Serve files and ``/state`` on loopback for the duration of the block; yield the address.

    Args:
        files: content type and text by path.
        state: the changing part of the page, as HTML.
        port: the port; 0 takes a free one.

    Raises:
        OSError: the port is in use.
    """

    class Handler(_Handler):
        static, latest = files, state

    server = _Server((_HOSTS[0], port), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield f"http://{_HOSTS[0]}:{server.server_port}/"
    finally:
        state.close()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing if the reader closed the connection; other errors are printed with their traceback."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD of known paths, and only requests that name this server as their host.

    A page of another site may resolve its own name to 127.0.0.1 and read the answers (DNS rebinding); its requests have
    that name in the Host header.
    """

    static: Mapping[str, tuple[str, str]]
    latest: LatestState
    timeout = _REQUEST_SECONDS
    server_version, sys_version = "rebalance", ""

    def do_GET(self) -> None:
        """Answer with the file or the state."""
        path = self.path.partition("?")[0]
        if not self._is_addressed_here():
            self._answer(HTTPStatus.FORBIDDEN, "text/plain", "This page answers at its own address only.\n")
        elif path in self.static:
            self._answer(HTTPStatus.OK, *self.static[path])
        elif path != "/state":
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", "Not found.\n")
        elif (text := self.latest.get()) is None:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", "The journal has not answered yet.\n")
        else:
            self._answer(HTTPStatus.OK, "text/html", text)

    do_HEAD = do_GET  # noqa: N815 - the base class looks for this name

    def _not_allowed(self) -> None:
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", "This page only reads.\n", Allow="GET, HEAD")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _not_allowed  # noqa: N815 - as above

    def _is_addressed_here(self) -> bool:
        port = cast("_Server", self.server).server_port
        return self.headers.get_all("Host", []) in [[f"{host}:{port}"] for host in _HOSTS]

    def _answer(self, status: HTTPStatus, content_type: str, text: str, **headers: str) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in {**_HEADERS, **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{content_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing: a page asks every second or two."""
