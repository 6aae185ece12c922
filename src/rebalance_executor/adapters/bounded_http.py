"""HTTP responses that are bounded as a whole, in time and in size.

A socket's timeout bounds each read: a server that sends one byte every two seconds never exceeds it. Here the read
timeout of a connection bounds the whole response, from its first header to the end of its body.
"""

from __future__ import annotations

import io
import socket
import time
from http.client import HTTPResponse
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

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read into the buffer.

        Raises:
            TimeoutError: the time of the response is over.
            ResponseTooLarge: the response exceeds its maximum size.
        """
        if self._until is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError("the response took too long")
            self._sock.settimeout(left)
        count = self._raw.readinto(buffer)
        self._bytes += count or 0
        if self._bytes > MAX_RESPONSE_BYTES:
            raise ResponseTooLarge
        return count

    def close(self) -> None:
        """Close the reader."""
        self._raw.close()
        super().close()


class BoundedResponse(HTTPResponse):
    """A response that is bounded by its connection's read timeout and by ``MAX_RESPONSE_BYTES``.

    Use it as ``response_class`` of a connection.
    """

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_BoundedReader(self.fp.detach(), sock))
