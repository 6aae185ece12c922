"""alpaca-py's client with bounded requests, without its own retries, and with plain JSON.

alpaca-py 0.44.0 sets no timeouts and retries any request after a 504, including ``POST /v2/orders``. This module uses
only the base class of its trading and data clients. Those import pandas, numpy and a WebSocket library for models and
streams that this program does not use, which takes more than half of the import time of a naive handler.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectionError as BrokenConnection
from requests.exceptions import ContentDecodingError, RequestException
from requests.structures import CaseInsensitiveDict
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from rebalance_executor.adapters.bounded_http import MAX_RESPONSE_BYTES, BoundedResponse

__all__ = ["APIError", "AlpacaApi", "Timeouts"]

Timeouts = Callable[[], tuple[float, float]]
"""Returns the timeouts of the next request, in seconds: to connect, and to read the whole response."""

_CHUNK_BYTES = 65_536


class _Connection(HTTPConnection):
    response_class = BoundedResponse


class _SecureConnection(HTTPSConnection):
    response_class = BoundedResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _TimeoutAdapter(HTTPAdapter):
    """An HTTP adapter that sends every request with a timeout and without retries."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        super().__init__(max_retries=0)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send the request with the current timeouts."""
        kwargs["timeout"] = self._timeouts()
        return super().send(request, *args, **kwargs)

    def build_response(self, req: PreparedRequest, resp: BaseHTTPResponse) -> Response:
        """Return the response without parsing cookies: requests authenticate with keys and never send cookies."""
        response = Response()
        response.status_code = resp.status
        response.reason = str(resp.reason)
        response.headers = CaseInsensitiveDict(resp.headers)
        response.encoding = "utf-8"  # the encoding of JSON, whether or not the header names one
        response.raw = resp
        response.url = str(req.url)
        response.request = req
        return response


_ACCEPT_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip"}


class _Session(Session):
    """The part of a session that alpaca-py uses, at half the processor time per order.

    It ignores the machine's proxy and .netrc, so that the credentials reach only the endpoint. It keeps no cookies and
    follows no redirects.
    """

    def __init__(self, timeouts: Timeouts, observe: Callable[[Response], None]) -> None:
        super().__init__()
        self.trust_env = False
        self._observe = observe
        self.mount("https://", _TimeoutAdapter(timeouts))
        self.mount("http://", _TimeoutAdapter(timeouts))

    def request(  # type: ignore[override]  # noqa: PLR0913 - as its base class has them
        self,
        method: str | bytes,
        url: str | bytes,
        *,
        params: Any = None,
        json: Any = None,
        headers: Any = None,
        allow_redirects: bool = False,
    ) -> Response:
        """Send one request, read the whole response and pass it to the observer.

        Args:
            method: HTTP method.
            url: the complete URL.
            params: the query parameters.
            json: the body.
            headers: request headers, including the credentials.
            allow_redirects: must be false, as alpaca-py sets it.

        Raises:
            RequestException: no complete response within the timeouts, a redirect, or a body that is too large.
            ValueError: ``allow_redirects`` is true.
        """
        if allow_redirects:
            raise ValueError("redirects are not followed: they could send the credentials to another host")
        prepared = PreparedRequest()
        prepared.prepare_method(method)
        prepared.prepare_url(url, params)
        prepared.prepare_headers(_ACCEPT_HEADERS | headers)
        prepared.prepare_body(None, None, json)
        response = self.get_adapter(str(url)).send(prepared)
        _read_body(response)  # read it here, so that the connection is free for the next request
        self._observe(response)
        if 300 <= response.status_code < 400:  # it proves nothing about the request
            raise RequestException(f"HTTP {response.status_code}: a redirect, which is not followed")
        return response


def _read_body(response: Response) -> None:
    """Read and unpack the whole body.

    Raises:
        RequestException: the body is incomplete, took too long, is too large or cannot be unpacked.
    """
    raw = response.raw
    try:
        body = b"".join(raw.stream(_CHUNK_BYTES, decode_content=False))
        response.raw = BytesIO(_unpack(body, response.headers.get("Content-Encoding", "")))
    except (HTTPError, OSError) as error:
        raw.close()
        raise BrokenConnection(f"the response cannot be read: {error}") from error


def _unpack(body: bytes, encoding: str) -> bytes:
    """Return the unpacked body. A small body can unpack to a very large one."""
    if not body or encoding.strip().lower() in ("", "identity"):
        return body
    if encoding.strip().lower() != "gzip":
        raise ContentDecodingError(f"the encoding {encoding[:20]!r} was not asked for")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacker.decompress(body, MAX_RESPONSE_BYTES)
    except zlib.error as error:
        raise ContentDecodingError("the response is not gzip") from error
    if not unpacker.eof:
        raise ContentDecodingError(f"the response is incomplete, or larger than {MAX_RESPONSE_BYTES} bytes")
    return unpacked


class AlpacaApi(RESTClient):
    """A client for one endpoint (trading or market data) of one account.

    Args:
        keys: API key and secret key.
        url: the endpoint, without the version.
        timeouts: called before every request.
        observe: called with every response, for its headers.
        version: version of the API, with which all paths start.
    """

    def __init__(
        self,
        keys: tuple[str, str],
        url: str,
        timeouts: Timeouts,
        observe: Callable[[Response], None],
        *,
        version: str = "v2",
    ) -> None:
        super().__init__(base_url=url, api_key=keys[0], secret_key=keys[1], api_version=version, raw_data=True)
        self._retry = 0
        self._session = _Session(timeouts, observe)

    def ask(self, requests: Sequence[tuple[str, str, Any]]) -> Callable[[], list[Any | Exception]]:
        """Send these requests; return what reads their answers, in the same order."""
        send: dict[str, Callable[[str, Any], Any]] = {"GET": self.get, "POST": self.post, "DELETE": self.delete}

        def outcome(method: str, path: str, data: Any) -> Any | Exception:
            try:
                return send[method](path, data)
            except Exception as error:  # noqa: BLE001 - each answer has its own error
                return error

        return lambda: [outcome(*request) for request in requests]

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
