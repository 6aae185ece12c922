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


def _session(timeouts: Timeouts, observe: Callable[[Response], None]) -> Session:
    session = Session()
    session.trust_env = False  # no proxy and no .netrc of the machine may see the credentials
    session.mount("https://", _Bounded(timeouts))
    session.mount("http://", _Bounded(timeouts))

    def told(response: Response, *_: object, **__: object) -> None:
        observe(response)

    session.hooks["response"].append(told)
    return session


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
        self._session = _session(timeouts, observe)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


class DataApi(RESTClient):
    """The market-data endpoint; alpaca-py's own data client needs pandas and numpy for models not used here."""

    def __init__(self, key: tuple[str, str], url: str, timeouts: Timeouts, observe: Callable[[Response], None]) -> None:
        super().__init__(base_url=url, api_key=key[0], secret_key=key[1], api_version="v2", raw_data=True)
        self._retry = 0
        self._session = _session(timeouts, observe)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
