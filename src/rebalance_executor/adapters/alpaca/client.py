"""alpaca-py's client with bounded requests, without its own retries, and with plain JSON.

alpaca-py 0.44.0 sets no timeouts and retries any request after a 504, including ``POST /v2/orders``. This module uses
only the base class of its trading and data clients: their headers, their errors and the decoding of responses. Those
clients import pandas, numpy and a WebSocket library for models and streams that this program does not use, which takes
more than half of the import time of a naive handler.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast
from urllib.parse import urlencode

from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient

from rebalance_executor.adapters.alpaca.http_session import (
    HttpSession,
    Response,
    SentRequest,
    Timeouts,
    UnusableResponse,
)

__all__ = ["APIError", "AlpacaApi", "Finish", "Response", "Timeouts", "Trace"]

Finish = Callable[[int | BaseException], None]
"""Ends the trace of a request: called once, with the HTTP status or with the error."""
Trace = Callable[[str, str], Finish]
"""Starts the trace of a request, by its method and its URL without IDs and without a query."""

_ACCEPT_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip"}
_NAMED_BY_PATH = {"assets": "{symbol}", "orders": "{id}", "positions": "{symbol}"}
"""Lists of which a path can name one member, and how a trace names it."""


class _Sent:
    """A request in flight: what is needed to read its response and to end its trace."""

    def __init__(self, request: SentRequest, finish: Finish | None) -> None:
        self.request = request
        self.finish = finish


class _Responses:
    """The session that alpaca-py's client uses: its requests are sent already.

    Args:
        observe: called with every response.
    """

    def __init__(self, observe: Callable[[Response], None]) -> None:
        self._observe = observe

    def request(self, _method: str, _url: str, *, sent: _Sent) -> Response:
        """Read the response of a request and pass it to the observer.

        Raises:
            OSError: no complete response within the timeouts, a redirect, or a body that is too large.
        """
        try:
            response = sent.request.read()
        except BaseException as error:
            if sent.finish is not None:
                sent.finish(error)
            raise
        if sent.finish is not None:
            sent.finish(response.status_code)
        self._observe(response)
        if 300 <= response.status_code < 400:  # it proves nothing about the request
            raise UnusableResponse(f"HTTP {response.status_code}: a redirect, which is not followed")
        return response


class AlpacaApi(RESTClient):
    """A client for one endpoint (trading or market data) of one account.

    Args:
        keys: API key and secret key.
        url: the endpoint, without the version.
        timeouts: called before every request.
        observe: called with every response, for its headers.
        version: version of the API, with which all paths start.
        trace: called before every request; None if requests are not traced.
    """

    def __init__(  # noqa: PLR0913 - two of them are options
        self,
        keys: tuple[str, str],
        url: str,
        timeouts: Timeouts,
        observe: Callable[[Response], None],
        *,
        version: str = "v2",
        trace: Trace | None = None,
    ) -> None:
        super().__init__(base_url=url, api_key=keys[0], secret_key=keys[1], api_version=version, raw_data=True)
        self._url = f"{url}/{version}"
        self._trace = trace
        self._connections = HttpSession(self._url, _ACCEPT_HEADERS | self._get_default_headers(), timeouts)
        self._session = cast("Any", _Responses(observe))

    def ask(self, requests: Sequence[tuple[str, str, Any]]) -> Callable[[], list[Any]]:
        """Send independent requests, each over its own connection, without waiting for any response.

        Args:
            requests: method, path after the version, and query or body, as ``get`` and ``post`` take them.

        Returns:
            A function, to be called once. It reads the responses in the order of the requests. An entry is what
            ``get`` would return, or the exception that it would raise; it does not depend on the other entries.
        """
        sent = self._send(requests)
        return lambda: [each if isinstance(each, Exception) else self._answer(each) for each in sent]

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def _request(self, method: str, path: str, data: Any = None, *_: Any) -> Any:
        """Send one request and return its decoded response; alpaca-py's methods call this one."""
        (sent,) = self._send([(method, path, data)])
        if isinstance(sent, Exception):
            raise sent
        return self._one_request(method, path, {"sent": sent}, 0)

    def _send(self, requests: Sequence[tuple[str, str, Any]]) -> list[_Sent | Exception]:
        """Send requests; return the error in place of one that could not be sent."""
        trace, prepared = self._trace, [_prepare(*request) for request in requests]
        ends = [trace(method, self._url + _without_ids(path)) if trace else None for method, path, _ in requests]
        results: list[_Sent | Exception] = []
        for sent, finish in zip(self._connections.send(prepared), ends, strict=True):
            if isinstance(sent, SentRequest):
                results.append(_Sent(sent, finish))
            else:
                results.append(sent)
                if finish is not None:
                    finish(sent)
        return results

    def _answer(self, sent: _Sent) -> Any:
        """Return the decoded response, or the error in its place."""
        try:
            return self._one_request("", "", {"sent": sent}, 0)
        except Exception as error:  # noqa: BLE001 - it stands in place of the answer
            return error


def _prepare(method: str, path: str, data: Any) -> tuple[str, str, Any]:
    """Return a request with its data where alpaca-py puts them: in the query of a GET or DELETE, else in the body."""
    if method not in ("GET", "DELETE"):
        return method, path, data
    return method, f"{path}?{urlencode(data, doseq=True)}" if data else path, None


def _without_ids(path: str) -> str:
    """Return a path for traces, without the ID or symbol of an object."""
    _, collection, *names = path.split("/")
    return f"/{collection}/{_NAMED_BY_PATH[collection]}" if names and collection in _NAMED_BY_PATH else path
