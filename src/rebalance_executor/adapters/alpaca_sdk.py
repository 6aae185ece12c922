"""alpaca-py, tamed: no pandas, a time-out on every request, none of its own retries, plain JSON.

alpaca-py 0.44.0 sets no time-out anywhere and repeats any request after a 504, ``POST /v2/orders`` too. Its trading
client imports pandas for a line that trading never reaches, which is more than half of its import time.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPResponse


class _LeftOut(Loader):
    """Loads a module without anything in it."""

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: what is not deployed has no names."""


class _PandasWhenUsed:
    """Finds pandas as a lazy module, which is executed at its first use: here never. So it need not be deployed."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The lazy module, or an empty one where pandas is not installed; None for every other name."""
        if name != "pandas":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return ModuleSpec(name, _LeftOut())
        spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


@contextmanager
def _light_import() -> Iterator[None]:
    sys.meta_path.insert(0, _PandasWhenUsed)
    try:
        with warnings.catch_warnings():
            # Its stream, never used here, imports a deprecated part of websockets, which is pinned for that.
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        sys.meta_path.remove(_PandasWhenUsed)
        if PathFinder.find_spec("pandas") is None:
            del sys.modules["pandas"]  # whoever else asks for it is told the truth


with _light_import():
    from alpaca.common.exceptions import APIError
    from alpaca.common.rest import RESTClient
    from alpaca.trading.client import TradingClient

__all__ = ["APIError", "DataApi", "Timeouts", "TradingApi"]

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

    def build_response(self, req: PreparedRequest, resp: HTTPResponse) -> Response:
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

    def request(  # type: ignore[override]
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
        response = self.get_adapter(str(url)).send(prepared, verify=self.verify)
        _ = response.content  # read it here, so that the connection is free for the next request
        self._observe(response)
        return response


class TradingApi(TradingClient):
    """The trading endpoint of one account.

    Args:
        key: API key and secret.
        url: the endpoint, without ``/v2``.
        timeouts: asked before every request.
        observe: sees every response, for its headers.
    """

    def __init__(self, key: tuple[str, str], url: str, timeouts: Timeouts, observe: Callable[[Response], None]) -> None:
        super().__init__(api_key=key[0], secret_key=key[1], raw_data=True, url_override=url)
        self._retry = 0
        self._session = _Session(timeouts, observe)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


class DataApi(RESTClient):
    """The market-data endpoint; alpaca-py's own data client needs pandas and numpy for models not used here."""

    def __init__(self, key: tuple[str, str], url: str, timeouts: Timeouts, observe: Callable[[Response], None]) -> None:
        super().__init__(base_url=url, api_key=key[0], secret_key=key[1], api_version="v2", raw_data=True)
        self._retry = 0
        self._session = _Session(timeouts, observe)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
