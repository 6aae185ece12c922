"""Alpaca's API: the routes, and the method of the exchange behind each of them."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from paper_broker.bars import BarQuery
from paper_broker.corporate_actions import ActionQuery
from paper_broker.data_pages import DataQuery
from paper_broker.errors import BrokerError, malformed, not_found
from paper_broker.exchange import Exchange
from paper_broker.formats import JsonObject, parse_instant
from paper_broker.orders import OrderQuery, parse_boundary

_MAX_ACTIVITY_PAGE_SIZE = 100


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


def find_route(method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    """Return the route of a request, and the parameters in its path.

    Raises:
        BrokerError: 404 for an unknown path, 405 for a known path with another method.
    """
    known_path = False
    for route, pattern in _COMPILED:
        if match := pattern.match(path):
            if route.method == method:
                return route, match.groups()
            known_path = True
    raise BrokerError(405, 40510000, "method not allowed") if known_path else not_found("endpoint not found")


def _list_orders(exchange: Exchange, request: Request) -> list[JsonObject]:
    names = ("status", "after", "until", "direction", "side", "after_order_id", "before_order_id")
    if not _includes_stocks(request):
        return []
    filters: dict[str, Any] = {name: request.query[name] for name in names if request.query.get(name)}
    if "limit" in request.query:
        filters["limit"] = _whole_number(request, "limit")
    return exchange.list_orders(OrderQuery(symbols=request.symbols(), **filters))


def _includes_stocks(request: Request) -> bool:
    """Return whether the query includes the only asset class of this broker, ``us_equity``."""
    classes = request.query.get("asset_class", "us_equity").split(",")
    return "us_equity" in classes or "all" in classes


def _assets(exchange: Exchange, request: Request) -> list[JsonObject]:
    if not _includes_stocks(request):
        return []
    assets = exchange.assets(request.query.get("status"), request.query.get("exchange"))
    attributes = set(filter(None, request.query.get("attributes", "").split(",")))
    return [asset for asset in assets if not attributes or attributes & set(asset["attributes"])]


def _whole_number(request: Request, name: str) -> int:
    try:
        return int(request.query[name])
    except ValueError as error:
        raise malformed(f"{name} is not a number") from error


def _data_symbols(request: Request) -> list[str]:
    symbols = request.symbols()
    if not symbols:
        raise BrokerError(400, 40010001, "symbols is required")
    return sorted(symbols)


def _corporate_actions(exchange: Exchange, request: Request) -> JsonObject:
    names = ("types", "start", "end", "limit", "page_token")
    given = {name: request.query[name] for name in names if request.query.get(name)}
    return exchange.corporate_actions(ActionQuery(request.symbols(), **given))


def _data_query[Query: DataQuery](kind: type[Query], request: Request) -> Query:
    names = [field.name for field in fields(kind) if field.name != "symbols"]
    given = {name: request.query[name] for name in names if request.query.get(name)}
    return kind(tuple(_data_symbols(request)), **given)


def _selected_activities(activities: Iterable[JsonObject], query: Mapping[str, str]) -> list[JsonObject]:
    """Return the activities that match ``order_id``, ``after``, ``until`` and ``date`` of the query."""
    order_id, day = query.get("order_id"), query.get("date", "")[:10]
    first, last = (parse_boundary(name, query.get(name)) for name in ("after", "until"))
    return [
        activity
        for activity in activities
        if order_id in (None, activity["order_id"])
        and (first is None or parse_instant(activity["transaction_time"]) > first)
        and (last is None or parse_instant(activity["transaction_time"]) < last)
        and activity["transaction_time"].startswith(day)
    ]


def _activities(exchange: Exchange, request: Request) -> list[JsonObject]:
    query = request.query
    kinds = request.arguments or tuple(query.get("activity_types", "FILL").split(","))
    activities = _selected_activities(exchange.activities(), query)
    if "FILL" not in kinds or query.get("category", "trade_activity") != "trade_activity":
        return []
    if query.get("direction", "desc") == "desc":
        activities.reverse()
    if token := query.get("page_token"):
        ids = [activity["id"] for activity in activities]
        if token not in ids:
            raise malformed("page_token is unknown")
        activities = activities[ids.index(token) + 1 :]
    size = _whole_number(request, "page_size") if "page_size" in query else _MAX_ACTIVITY_PAGE_SIZE
    if not 1 <= size <= _MAX_ACTIVITY_PAGE_SIZE:
        raise malformed(f"page_size must be from 1 to {_MAX_ACTIVITY_PAGE_SIZE}")
    return activities[:size]


def _configurations(exchange: Exchange, _: Request) -> JsonObject:
    account = exchange.account_settings
    return {
        "suspend_trade": account.trade_suspended_by_user,
        "no_shorting": not account.shorting_enabled,
        "fractional_trading": True,
        "max_margin_multiplier": account.multiplier,
        "max_options_trading_level": 0,
        "trade_confirm_email": "all",
        "ptp_no_exception_entry": False,
        "disable_overnight_trading": False,
    }


def _change_configurations(exchange: Exchange, request: Request) -> JsonObject:
    changes: dict[str, Any] = {}
    if "suspend_trade" in request.body:
        changes["trade_suspended_by_user"] = bool(request.body["suspend_trade"])
    if "no_shorting" in request.body:
        changes["shorting_enabled"] = not request.body["no_shorting"]
    exchange.merge({"account": changes})
    return _configurations(exchange, request)


def _order_by_client_id(exchange: Exchange, request: Request) -> JsonObject:
    return exchange.get_order_by_client_order_id(request.query.get("client_order_id", ""))


def _close_position(exchange: Exchange, request: Request) -> JsonObject:
    return exchange.close_position(request.arguments[0], request.query.get("qty"), request.query.get("percentage"))


ROUTES = (
    Route("GET", "/v1/corporate-actions", _corporate_actions, budget="data"),
    Route("GET", "/v2/account", lambda x, request: x.account(request.headers.get("apca-api-key-id", ""))),
    Route("GET", "/v2/account/configurations", _configurations),
    Route("PATCH", "/v2/account/configurations", _change_configurations),
    Route("GET", "/v2/account/activities", _activities),
    Route("GET", "/v2/account/activities/{activity_type}", _activities),
    Route("GET", "/v2/assets", _assets),
    Route("GET", "/v2/assets/{symbol_or_asset_id}", lambda x, r: x.asset(r.arguments[0])),
    Route("GET", "/v2/calendar", lambda x, r: x.calendar(r.query.get("start"), r.query.get("end"))),
    Route("GET", "/v2/clock", lambda x, _: x.clock()),
    Route("GET", "/v2/orders", _list_orders),
    Route("POST", "/v2/orders", lambda x, r: x.submit_order(r.body)),
    Route("DELETE", "/v2/orders", lambda x, _: x.cancel_all(), 207),
    Route("GET", "/v2/orders:by_client_order_id", _order_by_client_id),
    Route("GET", "/v2/orders/{order_id}", lambda x, r: x.get_order(r.arguments[0])),
    Route("PATCH", "/v2/orders/{order_id}", lambda x, r: x.replace_order(r.arguments[0], r.body)),
    Route("DELETE", "/v2/orders/{order_id}", lambda x, r: x.cancel_order(r.arguments[0]), 204),
    Route("GET", "/v2/positions", lambda x, _: x.positions()),
    Route("DELETE", "/v2/positions", lambda x, r: x.close_positions(cancel_orders=r.flag("cancel_orders")), 207),
    Route("GET", "/v2/positions/{symbol_or_asset_id}", lambda x, r: x.position(r.arguments[0])),
    Route("DELETE", "/v2/positions/{symbol_or_asset_id}", _close_position),
    Route("GET", "/v2/stocks/bars", lambda x, r: x.bars(_data_query(BarQuery, r)), budget="data"),
    Route("GET", "/v2/stocks/quotes", lambda x, r: x.quotes(_data_query(DataQuery, r)), budget="data"),
    Route("GET", "/v2/stocks/quotes/latest", lambda x, r: x.latest_quotes(_data_symbols(r)), budget="data"),
    Route("GET", "/v2/stocks/trades/latest", lambda x, r: x.latest_trades(_data_symbols(r)), budget="data"),
    Route("GET", "/v2/stocks/snapshots", lambda x, r: x.snapshots(_data_symbols(r)), budget="data"),
)
_COMPILED = tuple((route, route.pattern) for route in ROUTES)
