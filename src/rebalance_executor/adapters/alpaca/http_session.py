"""A plain HTTP client for one endpoint, with kept connections.

``requests`` and ``urllib3`` take three times as much processor time per request. Of HTTP this module needs little: one
host, small requests, JSON responses. It never retries, follows no redirects, sends no cookies and uses no proxy and no
.netrc, so that the credentials reach only the endpoint.

A connection is kept only after a complete response. A kept connection that the other end has closed, or on which
anything has arrived, is replaced before anything is sent.
"""

from __future__ import annotations

import json
import re
import socket
import zlib
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import cached_property
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, cast
from urllib.parse import urlsplit

from requests.exceptions import HTTPError

from rebalance_executor.adapters.alpaca.connection import is_idle, opening
from rebalance_executor.adapters.bounded_http import MAX_RESPONSE_BYTES, BoundedResponse, ResponseTooLarge

MAX_KEPT = 8
"""Maximum number of connections that are kept while no request uses them."""
_MIN_READ_SECONDS = 0.2
"""Time to read a response that was sent long ago: others were read before it, while it may have arrived."""
_CHUNK_BYTES = 65_536
Timeouts = Callable[[], tuple[float, float]]
"""Returns the timeouts of the next request, in seconds: to connect, and to read the whole response."""
_REQUEST_LINE = re.compile(r'[A-Z]+ /[!"$-~]* HTTP/1\.1')
_HEADER_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")


class UnusableResponse(ConnectionError):
    """The response is not complete and valid HTTP, or is of a kind that was not asked for."""


class Response:
    """A complete response, with the names that alpaca-py expects.

    Args:
        status: HTTP status.
        headers: the headers, whatever the case of their names.
        body: the unpacked body.
    """

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status_code = status
        self.headers = headers
        self._body = body

    @cached_property
    def text(self) -> str:
        """The body. JSON is UTF-8, whether or not a header says so."""
        return self._body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the decoded body.

        Raises:
            ValueError, RecursionError: it is not JSON, or is nested too deeply.
        """
        return json.loads(self.text)

    def raise_for_status(self) -> None:
        """Raise ``HTTPError`` for a status of 400 or more."""
        if self.status_code >= HTTPStatus.BAD_REQUEST:
            raise HTTPError(f"HTTP {self.status_code}", response=cast("Any", self))


class HttpSession:
    """The connections to one endpoint.

    Args:
        url: the endpoint; requests name their path and query only.
        headers: sent with every request.
        timeouts: called before every request.
    """

    def __init__(self, url: str, headers: Mapping[str, str], timeouts: Timeouts) -> None:
        self._kept: list[socket.socket] = []
        parts = urlsplit(url)
        self._is_secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._is_secure else 80)
        self._prefix = parts.path
        self._timeouts = timeouts
        self._headers = {"Host": parts.netloc.rpartition("@")[2], **headers}

    def send(self, requests: Sequence[tuple[str, str, object]]) -> list[SentRequest | Exception]:
        """Send each request over a connection that is used for nothing else until its response is read.

        New connections are opened in the time of one. No response is waited for.

        Args:
            requests: HTTP method; path and query; what is sent as JSON, or None.

        Returns:
            Per request, what reads its response, or the error that prevented it: ``OSError`` if there is no connection
            or the request could not be written, ``ValueError`` if HTTP or JSON exclude a character or a number in it.
        """
        results: dict[int, SentRequest | Exception] = {}
        steps = [self._sending(*request) for request in requests]
        while len(results) < len(steps):
            for number, step in enumerate(steps):
                if number not in results:
                    try:
                        next(step)
                    except StopIteration as end:
                        results[number] = end.value
                    except Exception as error:  # noqa: BLE001 - it stands in place of the request
                        results[number] = error
        return [results[number] for number in range(len(steps))]

    def _sending(self, method: str, target: str, body: object) -> Generator[None, None, SentRequest]:
        """Send one request; yield while its connection is opened."""
        message = self._message(method, target, body)
        connect_seconds, read_seconds = self._timeouts()
        connection = self._take_kept()
        if connection is None:
            connection = yield from opening(self._host, self._port, connect_seconds, is_secure=self._is_secure)
        try:
            connection.settimeout(read_seconds)
            connection.sendall(message)
            return SentRequest(self, connection, method)
        except BaseException:
            connection.close()
            raise

    def take_back(self, connection: socket.socket, *, is_reusable: bool) -> None:
        """Keep a connection for another request, or close it."""
        if is_reusable and len(self._kept) < MAX_KEPT:
            self._kept.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close the kept connections."""
        while self._kept:
            self._kept.pop().close()

    def __del__(self) -> None:
        """Close the kept connections."""
        self.close()

    def _message(self, method: str, target: str, body: object) -> bytes:
        line = f"{method} {self._prefix}{target} HTTP/1.1"
        if not _REQUEST_LINE.fullmatch(line):
            raise ValueError("the method or the path of a request contains a character that HTTP excludes")
        if body is None:
            length = "" if method in ("GET", "DELETE") else "Content-Length: 0\r\n"
            return f"{line}\r\n{self._header_lines}{length}\r\n".encode("ascii")
        content = json.dumps(body, allow_nan=False).encode()
        described = f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        return f"{line}\r\n{self._header_lines}{described}\r\n".encode("ascii") + content

    @cached_property
    def _header_lines(self) -> str:
        for name, value in self._headers.items():
            if not _HEADER_VALUE.fullmatch(value):  # the value may be a secret
                raise ValueError(f"the value of the request header {name} contains a character that HTTP excludes")
        return "".join(f"{name}: {value}\r\n" for name, value in self._headers.items())

    def _take_kept(self) -> socket.socket | None:
        """Return the connection that was used last and is still usable."""
        while self._kept:
            connection = self._kept.pop()
            if is_idle(connection):
                return connection
            connection.close()
        return None


class SentRequest:
    """A request whose response is not read yet. The time to read it has started.

    Args:
        session: gets the connection back.
        connection: the connection over which it was sent.
        method: HTTP method.
    """

    def __init__(self, session: HttpSession, connection: socket.socket, method: str) -> None:
        self._session = session
        self._connection = connection
        self._response = BoundedResponse(connection, method=method)
        self._is_read = False

    def __del__(self) -> None:
        """Close the connection if its response was never read."""
        if not self._is_read:
            self._connection.close()

    def read(self) -> Response:
        """Read the whole response, once.

        Raises:
            OSError: no complete response within the time (``UnusableResponse`` if it is not valid).
        """
        self._is_read = True
        response, is_reusable = self._response, False
        try:
            response.allow(_MIN_READ_SECONDS)
            _read_head(response)
            body = _unpack(_read_body(response), response.headers.get("Content-Encoding", ""))
            is_reusable = not response.will_close and not response.has_surplus
        except HTTPException as error:
            raise UnusableResponse(f"the response is not valid HTTP: {type(error).__name__}") from error
        finally:
            response.close()
            self._session.take_back(self._connection, is_reusable=is_reusable)
        return Response(response.status, cast("Mapping[str, str]", response.headers), body)


def _read_head(response: BoundedResponse) -> None:
    """Read the status and headers of the final response."""
    response.begin()
    while response.status < HTTPStatus.OK:  # http.client takes all of them but 100 for final responses
        if response.status == HTTPStatus.SWITCHING_PROTOCOLS:
            raise UnusableResponse("the server switched to another protocol")
        response.headers = response.msg = cast("Any", None)
        response.begin()
    if response.headers.get("Transfer-Encoding") is not None and not response.chunked:
        raise UnusableResponse("the response has a transfer encoding that was not asked for")


def _read_body(response: BoundedResponse) -> bytes:
    """Read the whole body; never reserve memory for more than its maximum size."""
    if response.length is None:
        return b"".join(iter(lambda: response.read(_CHUNK_BYTES), b""))
    if response.length > MAX_RESPONSE_BYTES:
        raise ResponseTooLarge
    return response.read()


def _unpack(body: bytes, encoding: str) -> bytes:
    """Return the unpacked body. A small body can unpack to a very large one."""
    if not body or encoding.strip().lower() in ("", "identity"):
        return body
    if encoding.strip().lower() != "gzip":
        raise UnusableResponse(f"the encoding {encoding[:20]!r} was not asked for")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacker.decompress(body, MAX_RESPONSE_BYTES)
    except zlib.error as error:
        raise UnusableResponse("the response is not gzip") from error
    if not unpacker.eof:
        raise UnusableResponse(f"the response is incomplete, or larger than {MAX_RESPONSE_BYTES} bytes")
    return unpacked
