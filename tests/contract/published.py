"""The fields of Alpaca's responses, from its published API description: those that a response must have, and types.

Written by hand, so that a change of either side is noticed where the description itself is not at hand.
"""

from collections.abc import Mapping
from typing import Any

type Schema = Mapping[str, Any]


def text(pattern: str = "") -> Schema:
    """Return the schema of a string that matches a pattern."""
    return {"type": "string", "pattern": pattern}


def fields(required: Mapping[str, Schema], **optional: Schema) -> Schema:
    """Return the schema of an object with these fields; others are allowed."""
    return {"type": "object", "required": list(required), "properties": {**required, **optional}}


def or_null(schema: Schema) -> Schema:
    """Return the schema of a value that may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def rows(schema: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": schema}


def by_symbol(schema: Schema) -> Schema:
    """Return the schema of an object with one value per symbol."""
    return {"type": "object", "additionalProperties": schema}


def among(*values: str) -> Schema:
    """Return the schema of a string that is one of these."""
    return {"enum": list(values)}


def all_of(names: str, schema: Schema) -> dict[str, Schema]:
    """Return the same schema for each of several fields."""
    return dict.fromkeys(names.split(), schema)


TEXT, FLAG, COUNT, NUMBER = text(), {"type": "boolean"}, {"type": "integer"}, {"type": "number"}
DECIMAL = text(r"^-?\d+(\.\d+)?$")
UUID = text("^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
DATE = text(r"^\d{4}-\d\d-\d\d$")
TIME = text(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$")
MINUTE, COMPACT_MINUTE = text(r"^\d\d:\d\d$"), text(r"^\d{4}$")

ACCOUNT = fields(
    {
        "id": UUID,
        **all_of("account_number currency multiplier", TEXT),
        "status": TEXT,
        **all_of(
            "cash buying_power regt_buying_power non_marginable_buying_power equity last_equity portfolio_value "
            "long_market_value short_market_value initial_margin maintenance_margin last_maintenance_margin sma "
            "accrued_fees options_buying_power effective_buying_power position_market_value",
            DECIMAL,
        ),
        **all_of("trading_blocked transfers_blocked account_blocked trade_suspended_by_user shorting_enabled", FLAG),
        "created_at": TIME,
    }
)
CONFIGURATIONS = fields(
    {
        **all_of("suspend_trade no_shorting fractional_trading ptp_no_exception_entry", FLAG),
        "max_margin_multiplier": TEXT,
        "max_options_trading_level": COUNT,
        "trade_confirm_email": among("all", "none"),
    }
)
ACTIVITY = fields(
    {
        "id": text(r"^\d{17}::[0-9a-f-]{36}$"),
        "activity_type": among("FILL"),
        "type": among("fill", "partial_fill"),
        "transaction_time": TIME,
        **all_of("qty price cum_qty leaves_qty", DECIMAL),
        "side": among("buy", "sell"),
        "symbol": TEXT,
        "order_id": UUID,
    }
)
ASSET = fields(
    {
        "id": UUID,
        "class": among("us_equity"),
        "exchange": among("AMEX", "ARCA", "BATS", "NYSE", "NASDAQ", "NYSEARCA", "OTC"),
        **all_of("symbol name", TEXT),
        "status": among("active", "inactive"),
        **all_of("tradable marginable shortable easy_to_borrow fractionable", FLAG),
    },
    attributes=rows(TEXT),
    maintenance_margin_requirement=NUMBER,
)
ORDER = fields(
    {
        **all_of("id asset_id", UUID),
        **all_of("client_order_id symbol asset_class order_class status", TEXT),
        **all_of("created_at submitted_at updated_at", TIME),
        **all_of("filled_at expired_at canceled_at failed_at replaced_at", or_null(TIME)),
        **all_of("replaced_by replaces", or_null(UUID)),
        "filled_qty": DECIMAL,
        **all_of(
            "qty notional filled_avg_price limit_price stop_price trail_price trail_percent hwm", or_null(DECIMAL)
        ),
        **all_of("type order_type", among("market", "limit", "stop", "stop_limit", "trailing_stop")),
        "side": among("buy", "sell"),
        "time_in_force": among("day", "gtc", "opg", "cls", "ioc", "fok"),
        "extended_hours": FLAG,
        "legs": {"type": "null"},
    }
)
POSITION = fields(
    {
        "asset_id": UUID,
        **all_of("symbol exchange asset_class", TEXT),
        **all_of("avg_entry_price qty qty_available cost_basis", DECIMAL),
        "side": among("long", "short"),
        **all_of(
            "market_value unrealized_pl unrealized_plpc unrealized_intraday_pl unrealized_intraday_plpc "
            "current_price lastday_price change_today",
            or_null(DECIMAL),
        ),
        "asset_marginable": FLAG,
    }
)
HISTORY = fields(
    {
        "timestamp": rows(COUNT),
        **all_of("equity profit_loss profit_loss_pct", rows(or_null(NUMBER))),
        "base_value": or_null(NUMBER),
        "timeframe": among("1Min", "5Min", "15Min", "1H", "1D"),
    },
    base_value_asof=DATE,
)
WATCHLIST_HEAD = fields({**all_of("id account_id", UUID), "name": TEXT, **all_of("created_at updated_at", TIME)})
WATCHLIST = {"allOf": [WATCHLIST_HEAD, fields({"assets": rows(ASSET)})]}
MARKET = fields({**all_of("acronym name timezone", TEXT)}, mic=text("^[A-Z0-9]{4}$"))
CALENDAR_DAY = fields(
    {
        **all_of("date settlement_date", DATE),
        **all_of("open close", MINUTE),
        **all_of("session_open session_close", COMPACT_MINUTE),
    }
)
MARKET_DAY = fields(
    {"date": DATE, **all_of("core_start core_end", TIME)},
    settlement_date=DATE,
    **all_of("pre_start pre_end post_start post_end", TIME),
)
CLOCK = fields({**all_of("timestamp next_open next_close", TIME), "is_open": FLAG})
MARKET_CLOCK = fields(
    {
        "market": MARKET,
        **all_of("timestamp next_market_open next_market_close phase_until", TIME),
        "is_market_day": FLAG,
        "phase": among("closed", "pre", "core", "lunch", "post"),
    }
)
ANNOUNCEMENT = fields(
    {
        "id": UUID,
        **all_of("corporate_action_id initiating_symbol initiating_original_cusip", TEXT),
        "ca_type": among("dividend", "merger", "spinoff", "split"),
        "ca_sub_type": among("stock_split", "reverse_split", "unit_split"),
        **all_of("ex_date record_date payable_date declaration_date", or_null(DATE)),
        **all_of("cash old_rate new_rate", DECIMAL),
    }
)
TAPE = among("A", "B", "C", "N", "O")
BAR = fields({"t": TIME, **all_of("o h l c vw", NUMBER), **all_of("v n", COUNT)})
QUOTE = fields(
    {
        "t": TIME,
        **all_of("bp ap", NUMBER),
        **all_of("bs as", COUNT),
        **all_of("bx ax", TEXT),
        "c": rows(TEXT),
        "z": TAPE,
    }
)
TRADE = fields({"t": TIME, "p": NUMBER, **all_of("s i", COUNT), "x": TEXT, "c": rows(TEXT), "z": TAPE})
SNAPSHOT = fields({}, latestTrade=TRADE, latestQuote=QUOTE, **all_of("minuteBar dailyBar prevDailyBar", or_null(BAR)))
TOKEN = or_null(TEXT)
CORPORATE_ACTION = fields({"id": UUID, "process_date": DATE}, **all_of("old_rate new_rate", NUMBER))
ERROR = fields({"message": text(".")}, code={"type": "integer", "minimum": 40_000_000, "maximum": 50_599_999})


def _watchlist_routes(path: str) -> dict[str, Schema | None]:
    return {f"DELETE {path}": None} | {f"{method} {path}": WATCHLIST for method in ("GET", "PUT", "POST")}


def _stock_routes(name: str, row: Schema) -> dict[str, Schema | None]:
    """Return the responses for ``bars``, ``quotes`` or ``trades``: several symbols, one symbol, the latest."""
    return {
        f"GET /v2/stocks/{name}": fields({name: by_symbol(rows(row)), "next_page_token": TOKEN}),
        f"GET /v2/stocks/{{symbol}}/{name}": fields({name: rows(row), "symbol": TEXT, "next_page_token": TOKEN}),
        f"GET /v2/stocks/{name}/latest": fields({name: by_symbol(row)}),
        f"GET /v2/stocks/{{symbol}}/{name}/latest": fields({name.removesuffix("s"): row, "symbol": TEXT}),
    }


PUBLISHED: Mapping[str, Schema | None] = {
    "GET /v1/corporate-actions": fields(
        {"corporate_actions": by_symbol(rows(CORPORATE_ACTION)), "next_page_token": TOKEN}
    ),
    "GET /v2/account": ACCOUNT,
    "GET /v2/account/activities": rows(ACTIVITY),
    "GET /v2/account/activities/{activity_type}": rows(ACTIVITY),
    "GET /v2/account/configurations": CONFIGURATIONS,
    "PATCH /v2/account/configurations": CONFIGURATIONS,
    "GET /v2/account/portfolio/history": HISTORY,
    "GET /v2/assets": rows(ASSET),
    "GET /v2/assets/{symbol_or_asset_id}": ASSET,
    "GET /v2/calendar": rows(CALENDAR_DAY),
    "GET /v2/clock": CLOCK,
    "GET /v2/corporate_actions/announcements": rows(ANNOUNCEMENT),
    "GET /v2/corporate_actions/announcements/{id}": ANNOUNCEMENT,
    "GET /v2/orders": rows(ORDER),
    "POST /v2/orders": ORDER,
    "DELETE /v2/orders": rows(fields({"id": UUID, "status": COUNT})),
    "GET /v2/orders:by_client_order_id": ORDER,
    "GET /v2/orders/{order_id}": ORDER,
    "PATCH /v2/orders/{order_id}": ORDER,
    "DELETE /v2/orders/{order_id}": None,
    "GET /v2/positions": rows(POSITION),
    "DELETE /v2/positions": rows(fields({"symbol": TEXT, "status": COUNT})),
    "GET /v2/positions/{symbol_or_asset_id}": POSITION,
    "DELETE /v2/positions/{symbol_or_asset_id}": ORDER,
    "GET /v2/watchlists": rows(WATCHLIST_HEAD),
    "POST /v2/watchlists": WATCHLIST,
    **_watchlist_routes("/v2/watchlists/{watchlist_id}"),
    **_watchlist_routes("/v2/watchlists:by_name"),
    "DELETE /v2/watchlists/{watchlist_id}/{symbol}": WATCHLIST,
    "GET /v3/calendar/{market}": fields({"market": MARKET, "calendar": rows(MARKET_DAY)}),
    "GET /v3/clock": fields({"clocks": rows(MARKET_CLOCK)}),
    **_stock_routes("bars", BAR),
    **_stock_routes("quotes", QUOTE),
    **_stock_routes("trades", TRADE),
    "GET /v2/stocks/snapshots": by_symbol(SNAPSHOT),
    "GET /v2/stocks/{symbol}/snapshot": fields({"symbol": TEXT}, **SNAPSHOT["properties"]),
}
"""Schema of the successful response by route; None is a response without a body."""
OPTIONS = frozenset({
    "GET /v2/options/contracts",
    "GET /v2/options/contracts/{symbol_or_id}",
    "POST /v2/positions/{symbol_or_contract_id}/exercise",
    "POST /v2/positions/{symbol_or_contract_id}/do-not-exercise",
})  # fmt: skip
"""Routes that always refuse: this broker has no options."""
