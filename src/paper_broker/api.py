"""Alpaca's API: the routes of trading and market data."""

from urllib.parse import unquote

from paper_broker.data_api import DATA_ROUTES
from paper_broker.errors import BrokerError, not_found
from paper_broker.routing import Route
from paper_broker.trading_api import TRADING_ROUTES

ROUTES = (*TRADING_ROUTES, *DATA_ROUTES)
_COMPILED = tuple((route, route.pattern) for route in ROUTES)


def find_route(method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    """Return the route of a request, and the decoded parameters in its path, such as ``BTC/USD``.

    Args:
        method: HTTP method.
        path: path as in the request line: a slash within a parameter is encoded as ``%2F``.

    Raises:
        BrokerError: 404 for an unknown path, 405 for a known path with another method.
    """
    known_path = False
    for route, pattern in _COMPILED:
        if match := pattern.match(path):
            if route.method == method:
                return route, tuple(unquote(argument) for argument in match.groups())
            known_path = True
    raise BrokerError(405, 40510000, "method not allowed") if known_path else not_found("endpoint not found")
