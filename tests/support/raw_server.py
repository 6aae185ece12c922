"""A server that answers requests with any bytes: also with those that no HTTP library would send."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from threading import Thread

from tests.support.processes import LOOPBACK

_RESET = struct.pack("ii", 1, 0)


class End(Enum):
    """What a server does with a connection after an answer."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrived, and the number of its connection, from 0."""

    connection: int
    content: bytes

    @property
    def line(self) -> str:
        """The request line without the version of HTTP."""
        return self.content.partition(b" HTTP/1.1\r\n")[0].decode()

    @property
    def body(self) -> bytes:
        """The body."""
        return self.content.partition(b"\r\n\r\n")[2]

    def header(self, name: str) -> str | None:
        """Return the value of a header; None without it."""
        lines = self.content.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        values = [line.partition(": ")[2] for line in lines if line.lower().startswith(f"{name.lower()}: ")]
        return values[0] if values else None


Answer = bytes | tuple[bytes, End] | None
"""The bytes to send and what follows; None keeps the client waiting."""


def http(body: bytes = b"{}", *headers: str, status: str = "200 OK", version: str = "HTTP/1.1") -> bytes:
    """Return a response with this body."""
    lines = [f"{version} {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@dataclass(slots=True)
class RawServer:
    """A server on loopback.

    Args:
        respond: returns the answer to each request.
        tls: the server's certificate; None for plain HTTP.
        before_tls: called per connection, before its handshake.
    """

    respond: Callable[[Request], Answer] = lambda _: http()
    tls: ssl.SSLContext | None = None
    before_tls: Callable[[], object] = lambda: None
    requests: list[Request] = field(default_factory=list)
    """In the order of their arrival."""
    connections: list[socket.socket] = field(default_factory=list)
    """Every accepted connection."""
    port: int = 0
    _threads: list[Thread] = field(default_factory=list)

    def wait_for_end(self, connection: int) -> None:
        """Wait until this connection has ended."""
        self._threads[connection].join()

    def answer(self, *answers: Answer) -> None:
        """Answer the next requests with these; the last one is repeated."""
        left = list(answers)
        self.respond = lambda _: left.pop(0) if len(left) > 1 else left[0]

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"{'http' if self.tls is None else 'https'}://{LOOPBACK}:{self.port}"

    @property
    def lines(self) -> list[str]:
        """The request lines so far."""
        return [request.line for request in self.requests]

    def serve(self, listener: socket.socket) -> None:
        """Accept connections until the listener is closed."""
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self.connections.append(connection)
                number = len(self.connections) - 1
                self._threads.append(Thread(target=self._serve, args=(connection, number), daemon=True))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with suppress(OSError):
            if self.tls is not None:
                self.before_tls()
                connection = self.connections[number] = self.tls.wrap_socket(connection, server_side=True)
            while content := _read(connection):
                self.requests.append(request := Request(number, content))
                answer = self.respond(request)
                if answer is None:
                    continue
                data, end = (answer, End.KEEP) if isinstance(answer, bytes) else answer
                connection.sendall(data)
                if end is not End.KEEP:
                    _close(connection, end)
                    return


def _read(connection: socket.socket) -> bytes:
    """Return one request; empty at the end of the connection."""
    content = b""
    while b"\r\n\r\n" not in content:
        if not (piece := connection.recv(65_536)):
            return b""
        content += piece
    length = int(Request(0, content).header("Content-Length") or 0)
    while len(Request(0, content).body) < length:
        content += connection.recv(65_536)
    return content


def _close(connection: socket.socket, end: End) -> None:
    if end is End.RESET:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.close()
    else:
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def raw_server(
    tls: ssl.SSLContext | None = None, before_tls: Callable[[], object] = lambda: None
) -> Iterator[RawServer]:
    """Run a server for the block."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        server = RawServer(tls=tls, before_tls=before_tls, port=listener.getsockname()[1])
        thread = Thread(target=server.serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # ends the thread's accept
            thread.join()
            for connection in server.connections:
                connection.close()
