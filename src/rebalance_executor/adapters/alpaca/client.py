"""alpaca-py, tamed: a time-out on every request, none of its own retries, plain JSON.

alpaca-py 0.44.0 sets no time-out anywhere and repeats any request after a 504, ``POST /v2/orders`` too. What is used of
it is the client that its trading and data clients extend: those import pandas, numpy and a web socket library for
models and streams that are not used here, and take more than half of a naive handler's import time with them.
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
"""Seconds to connect and to read, as they are for the next request."""


class _Bounded(HTTPAdapter):
    """Sends nothing without a time-out; repeats nothing by itself."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        super().__init__(max_retries=0)

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send with the time-outs of this moment."""
        kwargs["timeout"] = self._timeouts()
        return super().send(request, *args, **kwargs)

    def build_response(self, req: PreparedRequest, resp: BaseHTTPResponse) -> Response:
        """The answer, without looking for cookies: the API is asked with keys, and none is ever sent back."""
        response = Response()
        response.status_code = resp.status
        response.reason = str(resp.reason)
        response.headers = CaseInsensitiveDict(resp.headers)
        response.encoding = "utf-8"  # JSON's, whatever the header says or leaves out
        response.raw = resp
        response.url = str(req.url)
        response.request = req
        return response


_ACCEPTS = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate"}


class _Session(Session):
    """What alpaca-py needs of a session and nothing else, for half of the processor time of an order.

    No proxy and no .netrc of the machine may see the credentials; no cookie is kept, no redirect is followed.
    """

    def __init__(self, timeouts: Timeouts, observe: Callable[[Response], None]) -> None:
        super().__init__()
        self.trust_env = False
        self._observe = observe
        self.mount("https://", _Bounded(timeouts))
        self.mount("http://", _Bounded(timeouts))

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
        """Send one request, read its answer whole and show it to the observer.

        Args:
            method: HTTP method.
            url: the whole URL.
            params: for the query.
            json: for the body.
            headers: the credentials' among them.
            allow_redirects: alpaca-py follows none, and neither does this session.
        """
        if allow_redirects:
            raise ValueError("redirects are not followed: they would carry the credentials elsewhere")
        prepared = PreparedRequest()
        prepared.prepare_method(method)
        prepared.prepare_url(url, params)
        prepared.prepare_headers(_ACCEPTS | headers)
        prepared.prepare_body(None, None, json)
        response = self.get_adapter(str(url)).send(prepared)
        _ = response.content  # read it here, so that the connection is free for the next request
        self._observe(response)
        return response


class AlpacaApi(RESTClient):
    """One endpoint, for trading or for market data, of one account.

    Args:
        key: API key and secret.
        url: the endpoint, without ``/v2``.
        timeouts: asked before every request.
        observe: sees every response, for its headers.
    """

    def __init__(self, key: tuple[str, str], url: str, timeouts: Timeouts, observe: Callable[[Response], None]) -> None:
        super().__init__(base_url=url, api_key=key[0], secret_key=key[1], api_version="v2", raw_data=True)
        self._retry = 0
        self._session = _Session(timeouts, observe)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
