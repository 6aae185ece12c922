"""alpaca-py's client with a timeout on every request, without its own retries, and with plain JSON.

alpaca-py 0.44.0 sets no timeouts and retries any request after a 504, including ``POST /v2/orders``. This module uses
only the base class of its trading and data clients. Those import pandas, numpy and a WebSocket library for models and
streams that this program does not use, which takes more than half of the import time of a naive handler.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import BaseHTTPResponse

__all__ = ["APIError", "AlpacaApi", "Timeouts"]

Timeouts = Callable[[], tuple[float, float]]
"""Returns the connect and read timeouts of the next request, in seconds."""


class _TimeoutAdapter(HTTPAdapter):
    """An HTTP adapter that sends every request with a timeout and without retries."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        super().__init__(max_retries=0)

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


_ACCEPT_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate"}


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
        _ = response.content  # read it here, so that the connection is free for the next request
        self._observe(response)
        return response


class AlpacaApi(RESTClient):
    """A client for one endpoint (trading or market data) of one account.

    Args:
        keys: API key and secret key.
        url: the endpoint, without ``/v2``.
        timeouts: called before every request.
        observe: called with every response, for its headers.
    """

    def __init__(
        self, keys: tuple[str, str], url: str, timeouts: Timeouts, observe: Callable[[Response], None]
    ) -> None:
        super().__init__(base_url=url, api_key=keys[0], secret_key=keys[1], api_version="v2", raw_data=True)
        self._retry = 0
        self._session = _Session(timeouts, observe)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
