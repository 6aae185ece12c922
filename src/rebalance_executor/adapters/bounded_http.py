"""HTTP responses that are bounded as a whole, in time and in size.

A socket's timeout bounds each read: a server that sends one byte every two seconds never exceeds it. Here the read
timeout of a connection bounds the whole response, from its first header to the end of its body.
"""

from __future__ import annotations

import io
import socket
import time
from http.client import HTTPResponse, IncompleteRead
from typing import Any

MAX_RESPONSE_BYTES = 32 * 1024 * 1024
"""Maximum size of a response, as sent and unpacked. The largest ones, with all positions or orders, are below 10 MB."""


class ResponseTooLarge(ConnectionError):
    """The response exceeds ``MAX_RESPONSE_BYTES``; its connection is not used again."""

    def __init__(self) -> None:
        super().__init__(f"the response is larger than {MAX_RESPONSE_BYTES} bytes")


class _BoundedReader(io.RawIOBase):
    """The bytes of one response. Its time starts when it is created, right after the request is sent."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        timeout = sock.gettimeout()
        self._until = None if timeout is None else time.monotonic() + timeout
        self._bytes = 0
        self._is_complete = False
        self.has_ended = False
        """True once the end of the connection was read."""

    def allow(self, seconds: float) -> None:
        """Extend the time of the response: it ends in ``seconds`` at the earliest."""
        if self._until is not None:
            self._until = max(self._until, time.monotonic() + seconds)

    def complete(self) -> None:
        """Read nothing more from the connection."""
        self._is_complete = True

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read into the buffer.

        Raises:
            TimeoutError: the time of the response is over.
            ResponseTooLarge: the response exceeds its maximum size.
        """
        if self._is_complete:
            return 0
        if self._until is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError("the response took too long")
            self._sock.settimeout(left)
        count = self._raw.readinto(buffer)
        self.has_ended = count == 0
        self._bytes += count or 0
        if self._bytes > MAX_RESPONSE_BYTES:
            raise ResponseTooLarge
        return count

    def close(self) -> None:
        """Close the reader."""
        self._raw.close()
        super().close()


class _Buffer(io.BufferedReader):
    """The buffer of a response. Once closed, it knows whether it held bytes that do not belong to the response."""

    has_surplus = False

    def __init__(self, reader: _BoundedReader) -> None:
        super().__init__(reader)
        self._reader = reader

    def close(self) -> None:
        """Close the buffer and the reader."""
        if not self.closed:
            self._reader.complete()
            self.has_surplus = bool(self.peek(1))
        super().close()


class BoundedResponse(HTTPResponse):
    """A response that is bounded by its connection's read timeout and by ``MAX_RESPONSE_BYTES``.

    Use it as ``response_class`` of a connection.
    """

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._reader = _BoundedReader(self.fp.detach(), sock)
        self.fp = self._buffer = _Buffer(self._reader)

    def begin(self) -> None:
        """Read the status and the headers.

        Raises:
            IncompleteRead: the connection ended within the headers, which http.client takes for their end.
        """
        super().begin()
        if self._reader.has_ended:
            raise IncompleteRead(b"")

    def allow(self, seconds: float) -> None:
        """Extend the time of the response: it ends in ``seconds`` at the earliest."""
        self._reader.allow(seconds)

    @property
    def has_surplus(self) -> bool:
        """True if the server sent more than the response. Valid once the body is read."""
        return self._buffer.has_surplus
