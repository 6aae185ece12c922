"""Arbitrary requests to a simulated broker without HTTP: valid and invalid values for all parameters of all routes."""

import re
from dataclasses import dataclass

from hypothesis import strategies as st

from paper_broker.announcements import AnnouncementQuery
from paper_broker.app import App
from paper_broker.routing import Request, Response, Route

NAMES = ("ABC", "XYZ", "NONE")
_TIMES = (
    "2026-01-20", "2026-01-26", "2026-01-26T14:40:00Z", "2026-01-26T14:50:00Z", "2026-02-03", "noon",
    "0001-01-01T00:00:00Z", "9999-12-31",
)  # fmt: skip
_SYMBOLS = ("ABC", "ABC,XYZ", "XYZ,NONE")
_VALUES: dict[str, tuple[str, ...]] = {
    "start": _TIMES,
    "end": _TIMES,
    "after": _TIMES,
    "until": _TIMES,
    "since": _TIMES,
    "date": _TIMES,
    "date_end": _TIMES,
    "time": _TIMES,
    "symbols": _SYMBOLS,
    "timeframe": ("1Min", "5Min", "15Min", "1H", "1Hour", "1D", "1Day", "1Week", "3Month", "7Day", "x"),
    "period": ("1D", "1W", "1M", "9999A", "x"),
    "intraday_reporting": ("market_hours", "extended_hours", "continuous", "x"),
    "pnl_reset": ("per_day", "no_reset", "x"),
    "limit": ("1", "7", "500", "10001", "x"),
    "page_size": ("1", "100", "101"),
    "feed": ("sip", "iex", "x"),
    "sort": ("asc", "desc", "x"),
    "adjustment": ("raw", "split", "all", "x"),
    "direction": ("asc", "desc", "x"),
    "status": ("open", "closed", "all", "active", "x"),
    "side": ("buy", "sell"),
    "asset_class": ("us_equity", "crypto"),
    "date_type": ("TRADING", "SETTLEMENT", "ex_date", "record_date"),
    "ca_types": ("split", "dividend,split", "x"),
    "types": ("forward_split", "cash_dividend", "x"),
    "markets": ("NYSE", "XNAS,NYSE", "LSE"),
    "timezone": ("UTC", "x"),
    "qty": ("1", "0.5", "x"),
    "percentage": ("50", "200"),
    "name": ("Tech", "x"),
    "client_order_id": ("first", "x"),
    "activity_types": ("FILL", "DIV"),
    "cancel_orders": ("true", "false"),
    "page_token": ("1", "x"),
}
_QUERY = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in _VALUES.items()})
_ORDER = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(NAMES),
        "side": st.sampled_from(["buy", "sell", "hold"]),
        "type": st.sampled_from(["market", "limit", "stop", "trailing_stop"]),
        "time_in_force": st.sampled_from(["day", "gtc", "ioc", "opg", "cls"]),
    },
    optional={
        "qty": st.sampled_from(["1", "0.5", "1000000", "x"]),
        "notional": st.sampled_from(["50", "0.5"]),
        "limit_price": st.sampled_from(["9.5", "10.02", "10.001"]),
        "stop_price": st.sampled_from(["10.5", "9"]),
    },
)
_BODIES = st.one_of(
    _ORDER,
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from(["Tech", "Banks", "", 3]),
            "symbols": st.lists(st.sampled_from(NAMES), max_size=2),
            "symbol": st.sampled_from(NAMES),
            "limit_price": st.just("9.6"),
            "qty": st.just("2"),
            "suspend_trade": st.booleans(),
        },
    ),
)
_DAYS = ("2026-01-20", "2026-01-26", "2026-02-03", "noon")
_NEEDED: dict[str, dict[str, tuple[str, ...]]] = {
    "GET /v2/calendar": {"start": _DAYS, "end": _DAYS},  # sixty years are slow to check
    "GET /v2/corporate_actions/announcements": {"ca_types": _VALUES["ca_types"], "since": _DAYS, "until": _DAYS},
}


@dataclass(frozen=True)
class World:
    """A broker with something to show in every response, and what identifies it in a path."""

    app: App
    ids: dict[str, tuple[str, ...]]
    """Values by name of a parameter in the path."""


def world(sessions: str = "nyse") -> World:
    """Return a broker at eleven in the morning, with positions, orders, executions, a watchlist and a split."""
    quotes = {name: {"bid": "10", "ask": "10.02", "prev_close": "9.90", "volume": 100_000} for name in NAMES[:2]}
    split = {"symbol": "ABC", "new_rate": 2, "old_rate": 1, "ex_date": "2026-01-26"}
    app = App({
        "account": {"cash": "100000"},
        "clock": {"mode": "virtual", "now": "2026-01-26T14:30:00Z", "sessions": sessions},
        "quotes": quotes,
        "positions": [{"symbol": "ABC", "qty": "20.5", "avg_entry_price": "9"}],
        "corporate_actions": {"forward_splits": [split]},
    })  # fmt: skip
    exchange = app.exchange
    order = {"symbol": "ABC", "qty": "3", "side": "buy", "type": "market", "time_in_force": "day"}
    done = exchange.submit_order({**order, "client_order_id": "first"})
    resting = exchange.submit_order({**order, "type": "limit", "limit_price": "9"})
    app.merge({"clock": {"advance_seconds": 5400}})
    watchlist = exchange.watchlists.create({"name": "Tech", "symbols": ["ABC"]}, exchange.advance())
    (action,) = exchange.announcements(AnnouncementQuery("split", "2026-01-26", "2026-01-26"))
    ids = {
        "order_id": (done["id"], resting["id"], "x"),
        "watchlist_id": (watchlist["id"], "x"),
        "id": (action["id"], "x"),
        "market": ("NYSE", "XNAS", "LSE"),
        "activity_type": ("FILL", "DIV"),
    }
    return World(app, ids)


def requests(route: Route, known: World) -> st.SearchStrategy[Request]:
    """Return the strategy of requests for a route."""
    names = re.findall(r"\{(\w+)\}", route.template)
    arguments = st.tuples(*(st.sampled_from(known.ids.get(name, NAMES)) for name in names))
    needed = st.fixed_dictionaries(
        {name: st.sampled_from(values) for name, values in _NEEDED.get(route.name, {}).items()}
    )
    return st.builds(
        lambda given, query, extra, body: Request(route.method, route.template, query | extra, {}, body, given),
        arguments,
        _QUERY,
        needed,
        _BODIES if route.method in ("POST", "PUT", "PATCH") else st.just({}),
    )


def answer(known: World, route: Route, request: Request) -> Response:
    """Return the response to a request."""
    return route(known.app.exchange, request)
