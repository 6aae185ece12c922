"""Requests and responses of Alpaca's API, and what leads from one to the other: a route."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from paper_broker.errors import BrokerError
from paper_broker.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request; header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    """Parameters in the path, such as an order ID or a symbol."""

    def flag(self, name: str) -> bool:
        """Return a boolean query parameter. Alpaca's SDK sends ``True`` and ``False`` as Python prints them."""
        return self.query.get(name, "").lower() == "true"

    def given(self, *names: str) -> dict[str, str]:
        """Return those of these parameters that the query has."""
        return {name: self.query[name] for name in names if self.query.get(name)}

    def symbols(self) -> frozenset[str] | None:
        """Return the comma-separated symbols of the query, or None if there are none."""
        given = self.query.get("symbols")
        return frozenset(name.strip().upper() for name in given.split(",") if name.strip()) if given else None


@dataclass(frozen=True, slots=True)
class Response:
    """HTTP status and JSON body; None is an empty body."""

    status: int
    body: Any = None


@dataclass(frozen=True, slots=True)
class Route:
    """A method and path of the API, its handler and its rate limit budget."""

    method: str
    template: str
    handler: Callable[[Exchange, Request], Any]
    status: int = 200
    budget: str = "trading"

    @property
    def pattern(self) -> re.Pattern[str]:
        """Regular expression for the path, with one group per path parameter."""
        return re.compile(re.sub(r"\\\{\w+\\\}", "([^/]+)", re.escape(self.template)) + "$")

    @property
    def name(self) -> str:
        """Name under which requests are counted."""
        return f"{self.method} {self.template}"

    def __call__(self, exchange: Exchange, request: Request) -> Response:
        """Call the exchange and return its response; an error becomes the response that Alpaca sends."""
        try:
            return Response(self.status, self.handler(exchange, request))
        except BrokerError as error:
            return Response(error.http_status, error.body())
