"""The trading API: its routes, and the method of the exchange behind each of them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from paper_broker.announcements import AnnouncementQuery
from paper_broker.errors import forbidden, malformed
from paper_broker.exchange import Exchange
from paper_broker.formats import JsonObject, parse_instant
from paper_broker.orders import OrderQuery, parse_boundary
from paper_broker.portfolio_history import HistoryQuery
from paper_broker.routing import Request, Route

_MAX_ACTIVITY_PAGE_SIZE = 100


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


def _portfolio_history(exchange: Exchange, request: Request) -> JsonObject:
    return exchange.portfolio_history(HistoryQuery(**request.given(*HistoryQuery.__slots__)))


def _announcements(exchange: Exchange, request: Request) -> list[JsonObject]:
    return exchange.announcements(AnnouncementQuery(**request.given(*AnnouncementQuery.__slots__)))


def _market_calendar(exchange: Exchange, request: Request) -> JsonObject:
    return exchange.market_calendar(
        request.arguments[0], request.query.get("start"), request.query.get("end"), request.query.get("timezone")
    )


def _refuse_options(_: Exchange, __: Request) -> None:
    """Reject options as Alpaca does for an account without a level for them: this broker has none."""
    raise forbidden("account not authorized to trade options")


def _remove_symbol(exchange: Exchange, request: Request) -> JsonObject:
    list_id, symbol = request.arguments
    return exchange.watchlists.remove(list_id, symbol, exchange.advance())


def _watchlist_routes(template: str, list_id: Callable[[Exchange, Request], str]) -> tuple[Route, ...]:
    """Return the routes of one watchlist.

    Args:
        template: path of the list.
        list_id: returns the ID of the list that a request names.
    """
    return (
        Route("GET", template, lambda x, r: x.watchlists.get(list_id(x, r))),
        Route("PUT", template, lambda x, r: x.watchlists.update(list_id(x, r), r.body, x.advance())),
        Route("POST", template, lambda x, r: x.watchlists.add(list_id(x, r), r.body, x.advance())),
        Route("DELETE", template, lambda x, r: x.watchlists.delete(list_id(x, r)), 204),
    )


TRADING_ROUTES = (
    Route("GET", "/v2/account", lambda x, request: x.account(request.headers.get("apca-api-key-id", ""))),
    Route("GET", "/v2/account/configurations", _configurations),
    Route("PATCH", "/v2/account/configurations", _change_configurations),
    Route("GET", "/v2/account/activities", _activities),
    Route("GET", "/v2/account/activities/{activity_type}", _activities),
    Route("GET", "/v2/assets", _assets),
    Route("GET", "/v2/assets/{symbol_or_asset_id}", lambda x, r: x.asset(r.arguments[0])),
    Route("GET", "/v2/account/portfolio/history", _portfolio_history),
    Route("GET", "/v2/calendar", lambda x, r: x.calendar(**r.given("start", "end", "date_type"))),
    Route("GET", "/v2/clock", lambda x, _: x.clock()),
    Route("GET", "/v2/corporate_actions/announcements", _announcements),
    Route("GET", "/v2/corporate_actions/announcements/{id}", lambda x, r: x.announcement(r.arguments[0])),
    Route("GET", "/v2/options/contracts", _refuse_options),
    Route("GET", "/v2/options/contracts/{symbol_or_id}", _refuse_options),
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
    Route("POST", "/v2/positions/{symbol_or_contract_id}/exercise", _refuse_options),
    Route("POST", "/v2/positions/{symbol_or_contract_id}/do-not-exercise", _refuse_options),
    Route("GET", "/v2/watchlists", lambda x, _: x.watchlists.all()),
    Route("POST", "/v2/watchlists", lambda x, r: x.watchlists.create(r.body, x.advance())),
    *_watchlist_routes("/v2/watchlists/{watchlist_id}", lambda _, r: r.arguments[0]),
    *_watchlist_routes("/v2/watchlists:by_name", lambda x, r: x.watchlists.id_of(r.query.get("name", ""))),
    Route("DELETE", "/v2/watchlists/{watchlist_id}/{symbol}", _remove_symbol),
    Route("GET", "/v3/calendar/{market}", _market_calendar),
    Route("GET", "/v3/clock", lambda x, r: x.market_clocks(r.query.get("markets"), r.query.get("time"))),
)
