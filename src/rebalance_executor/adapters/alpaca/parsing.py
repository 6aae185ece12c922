"""Parsing of Alpaca's JSON into values. Unknown fields and enum values are tolerated; required fields are checked.

Every function raises ``MalformedResponse`` if a required field is missing or invalid. Amounts are dollars and shares.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from rebalance_executor.domain.benchmarks import MinuteBar
from rebalance_executor.domain.market import (
    ZERO,
    Account,
    Asset,
    BrokerOrder,
    MarketClock,
    Position,
    Quote,
    Trade,
    cut_shares,
)
from rebalance_executor.domain.previous_close import DailyClose
from rebalance_executor.domain.volume import DailyBar

_EQUITY_CLASS = "us_equity"
"""The only asset class whose quotes are requested. A symbol of another class would fail the request for all symbols."""
_MAX_TEXT_LENGTH = 256
"""Alpaca's longest text, a client order ID, has 128 characters. Longer ones do not fit into the journal."""
_MAX_DIGITS_BEFORE_POINT, _MAX_DIGITS_AFTER_POINT = 18, 40
"""Larger or finer amounts exceed what the arithmetic of amounts can do."""
_FIRST_YEAR, _LAST_YEAR = 1970, 2200
"""Other times are placeholders, such as the year 1; the arithmetic of times overflows with them."""
_CLOSING_TIMES = {
    "filled": "filled_at",
    "canceled": "canceled_at",
    "expired": "expired_at",
    "rejected": "failed_at",
    "replaced": "replaced_at",
}
"""Field with the time of each final status."""
_DAILY_BARS = ("dailyBar", "prevDailyBar")
"""Daily bars of a snapshot. Their times are midnight in New York, which is the same date in UTC."""
_BLOCKING_FLAGS = ("trading_blocked", "account_blocked", "trade_suspended_by_user")


class MalformedResponse(ValueError):
    """A response without a required field, or with an invalid value in it.

    Args:
        kind: the object that is malformed (``order``, ``quote``, …).
        field: the missing or invalid field.
    """

    def __init__(self, kind: str, field: str) -> None:
        super().__init__(f"{kind} has no usable {field}")


def account(payload: object) -> Account:
    """Parse an account. Each flag that forbids trading blocks it, and so does any status except ACTIVE."""
    document = _mapping(payload, "account")
    status = _text(document, "status", "account")
    flags = [flag for flag in _BLOCKING_FLAGS if document.get(flag) not in (False, None)]
    return Account(
        account_number=_text(document, "account_number", "account"),
        status=status,
        cash=_amount(document, "cash", "account"),
        buying_power=_amount(document, "buying_power", "account"),
        blocked_by=flags[0] if flags else None if status == "ACTIVE" else f"status {status}",
        equity=_optional_amount(document, "equity", "account"),
        shorting_enabled=document.get("shorting_enabled") is True,
        multiplier=_optional_amount(document, "multiplier", "account") or Decimal(1),
    )


def clock(payload: object) -> MarketClock:
    """Parse the market clock."""
    document = _mapping(payload, "clock")
    is_open = document.get("is_open")
    if not isinstance(is_open, bool):
        raise MalformedResponse("clock", "is_open")
    return MarketClock(
        now=_time(document, "timestamp", "clock"),
        is_open=is_open,
        next_open=_time(document, "next_open", "clock"),
        next_close=_time(document, "next_close", "clock"),
    )


def position(payload: object) -> Position:
    """Parse a position. A short position has a negative quantity. Without ``qty_available``, zero is available."""
    document = _mapping(payload, "position")
    qty = cut_shares(_amount(document, "qty", "position"))
    if document.get("side") == "short":
        qty = -abs(qty)
    return Position(
        _text(document, "symbol", "position"),
        qty,
        cut_shares(_optional_amount(document, "qty_available", "position") or ZERO),
        _optional_amount(document, "lastday_price", "position") or None,  # Alpaca sends zero if there is no price
    )


def positions(payload: object, symbols: Collection[str] | None) -> list[Position]:
    """Parse the positions in these symbols, or all: then none may be malformed, nor without a symbol."""
    if symbols is None and isinstance(payload, list):
        return [position(one) for one in payload]
    return [position(one) for one in entries(payload, "position", symbols)]


def asset(payload: object) -> Asset:
    """Parse an asset. Missing flags are false. For non-equities, ``status`` is the asset class: never tradable."""
    document = _mapping(payload, "asset")
    asset_class = document.get("class") or _EQUITY_CLASS
    return Asset(
        symbol=_text(document, "symbol", "asset"),
        status=_text(document, "status" if asset_class == _EQUITY_CLASS else "class", "asset"),
        tradable=document.get("tradable") is True,
        fractionable=document.get("fractionable") is True,
    )


def quote(symbol: str, payload: object) -> Quote:
    """Parse a quote. A missing side has the price zero, as Alpaca itself sends it."""
    document = _mapping(payload, "quote")
    return Quote(
        symbol=symbol,
        bid=_optional_amount(document, "bp", "quote") or ZERO,
        ask=_optional_amount(document, "ap", "quote") or ZERO,
        bid_size=_optional_amount(document, "bs", "quote") or ZERO,
        ask_size=_optional_amount(document, "as", "quote") or ZERO,
        at=_time(document, "t", "quote"),
    )


def trade(symbol: str, payload: object) -> Trade:
    """Parse a last trade."""
    document = _mapping(payload, "trade")
    return Trade(symbol, price=_amount(document, "p", "trade"), at=_time(document, "t", "trade"))


def daily_bar(payload: object) -> DailyBar:
    """Parse volume, high and low of a daily bar. Its time is midnight in New York, which is the same date in UTC.

    A bar without readable prices still has its volume.
    """
    document = _mapping(payload, "bar")
    shares = _amount(document, "v", "bar")
    if shares < 0:
        raise MalformedResponse("bar", "v")
    prices: list[Decimal | None] = [None, None]
    with suppress(MalformedResponse):
        prices = [_optional_amount(document, field, "bar") for field in ("h", "l")]
    return DailyBar(_time(document, "t", "bar").date(), shares, *prices)


def minute_bar(payload: object) -> MinuteBar:
    """Parse the VWAP and the volume of a bar of one minute; its time is the start of the minute."""
    document = _mapping(payload, "bar")
    shares = _amount(document, "v", "bar")
    if shares < 0:
        raise MalformedResponse("bar", "v")
    return MinuteBar(_time(document, "t", "bar"), _price(document, "vw", "bar"), shares)


def daily_close(payload: object) -> tuple[date, Decimal]:
    """Parse day and close of a daily bar; see ``daily_bar`` for its time."""
    document = _mapping(payload, "bar")
    return _time(document, "t", "bar").date(), _price(document, "c", "bar")


def snapshots(payload: object) -> dict[str, object]:
    """Return the snapshots in a response by symbol, not parsed; null for a symbol without one.

    Raises:
        MalformedResponse: the response is not an object.
    """
    return dict(_mapping(payload, "snapshots"))


def snapshot_quotes(snapshots: Mapping[str, object]) -> dict[str, Quote]:
    """Parse the latest quotes of snapshots. A symbol without a readable one is left out."""
    quotes: dict[str, Quote] = {}
    for symbol, snapshot in snapshots.items():
        with suppress(MalformedResponse):
            quotes[symbol] = quote(symbol, _mapping(snapshot, "snapshot").get("latestQuote"))
    return quotes


def daily_closes(payload: object) -> dict[str, list[DailyClose]]:
    """Parse the closes of the daily bars in a response with snapshots, by symbol.

    A symbol with a bar that cannot be used is left out: one of two bars would be taken for the only one.

    Raises:
        MalformedResponse: the response is not an object whose values are snapshots, or null for a symbol without one.
    """
    closes: dict[str, list[DailyClose]] = {}
    for symbol, snapshot in _mapping(payload, "snapshots").items():
        bars = [bar for name in _DAILY_BARS if (bar := _mapping(snapshot or {}, "snapshot").get(name)) is not None]
        with suppress(MalformedResponse):
            closes[symbol] = [_daily_close(bar) for bar in bars]
    return closes


def _daily_close(payload: object) -> DailyClose:
    document = _mapping(payload, "bar")
    price = _amount(document, "c", "bar")
    if price <= 0:
        raise MalformedResponse("bar", "c")
    return DailyClose(_time(document, "t", "bar").date(), price)


def order(payload: object) -> BrokerOrder:
    """Parse an order in any status."""
    document = _mapping(payload, "order")
    qty = _optional_amount(document, "qty", "order")
    return BrokerOrder(
        id=_text(document, "id", "order"),
        client_order_id=_text(document, "client_order_id", "order"),
        symbol=_text(document, "symbol", "order"),
        side=_text(document, "side", "order"),
        type=str(document.get("type") or document.get("order_type") or ""),
        status=_text(document, "status", "order"),
        qty=cut_shares(qty) if qty is not None else None,
        filled_qty=cut_shares(_optional_amount(document, "filled_qty", "order") or ZERO),
        filled_avg_price=_optional_amount(document, "filled_avg_price", "order"),
        limit_price=_optional_amount(document, "limit_price", "order"),
        submitted_at=_optional_time(document, "submitted_at"),
        closed_at=_closed_at(document),
        filled_at=_optional_time(document, "filled_at"),
    )


def _closed_at(document: Mapping[str, Any]) -> datetime | None:
    """Return when an order ended; None while it is open.

    The status decides which field counts: ``filled_at`` of a canceled order is its last fill. If that field is missing,
    the latest of the others is the best that is known.
    """
    field = _CLOSING_TIMES.get(document["status"])
    if field is None:
        return None
    times = [time for name in _CLOSING_TIMES.values() if (time := _optional_time(document, name)) is not None]
    return _optional_time(document, field) or max(times, default=None)


def entries(payload: object, kind: str, symbols: Collection[str] | None) -> list[Mapping[str, Any]]:
    """Return the entries of a JSON list for these or all symbols. Malformed entries for other symbols are ignored.

    Raises:
        MalformedResponse: not a list, or an entry has no symbol: it could belong to any of these symbols.
    """
    if not isinstance(payload, list):
        raise MalformedResponse(f"{kind} list", "items")
    if symbols is None:  # orders of several legs have no symbol; this program sends none
        return [entry for entry in payload if isinstance(_mapping(entry, kind).get("symbol"), str) and entry["symbol"]]
    return [entry for entry in payload if _text(_mapping(entry, kind), "symbol", kind) in symbols]


def rows_by_symbol(payload: object, field: str, symbols: Collection[str]) -> dict[str, list[Any]]:
    """Return the lists under ``field`` of a page of market data, for these symbols. Missing lists are left out.

    Raises:
        MalformedResponse: the page is not an object, or what it has under ``field`` is not one.
    """
    lists = _mapping(payload, "page").get(field)
    if lists is None:
        return {}
    found = _mapping(lists, field)
    return {symbol: found[symbol] for symbol in symbols if isinstance(found.get(symbol), list)}


def next_page_token(payload: object) -> str | None:
    """Return the token with which the next page is requested; None if this page is the last one."""
    document = _mapping(payload, "page")
    return _text(document, "next_page_token", "page") if document.get("next_page_token") is not None else None


def _mapping(payload: object, kind: str) -> Mapping[str, Any]:
    if not isinstance(payload, Mapping):
        raise MalformedResponse(kind, "fields")
    return payload


def _text(document: Mapping[str, Any], field: str, kind: str) -> str:
    value = document.get(field)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT_LENGTH:
        raise MalformedResponse(kind, field)
    return value


def _amount(document: Mapping[str, Any], field: str, kind: str) -> Decimal:
    value = _optional_amount(document, field, kind)
    if value is None:
        raise MalformedResponse(kind, field)
    return value


def _price(document: Mapping[str, Any], field: str, kind: str) -> Decimal:
    price = _amount(document, field, kind)
    if price <= 0:
        raise MalformedResponse(kind, field)
    return price


def _optional_amount(document: Mapping[str, Any], field: str, kind: str) -> Decimal | None:
    """Return a decimal from a string (trading) or a number (market data). The shortest form of a float is exact."""
    value = document.get(field)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise MalformedResponse(kind, field)
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        raise MalformedResponse(kind, field) from None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):  # infinite, or not a number
        raise MalformedResponse(kind, field)
    if exponent < -_MAX_DIGITS_AFTER_POINT or exponent + len(number.as_tuple().digits) > _MAX_DIGITS_BEFORE_POINT:
        raise MalformedResponse(kind, field)
    return number


def _time(document: Mapping[str, Any], field: str, kind: str) -> datetime:
    time = _optional_time(document, field)
    if time is None:
        raise MalformedResponse(kind, field)
    return time


def _optional_time(document: Mapping[str, Any], field: str) -> datetime | None:
    """Return an RFC 3339 time in UTC, to the microsecond; None if it is missing, invalid or has no time zone."""
    value = document.get(field)
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if time is None or time.tzinfo is None or not _FIRST_YEAR < time.year < _LAST_YEAR:
        return None
    return time.astimezone(UTC)
