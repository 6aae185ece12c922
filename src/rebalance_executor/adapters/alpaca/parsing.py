"""Alpaca's JSON → values. Unknown fields and unlisted words are tolerated; what must be there is checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from rebalance_executor.domain.market import ZERO, Account, Asset, BrokerOrder, MarketClock, Position, Quote, Trade

_STOCKS = "us_equity"
"""The class of assets whose quotes are read; one of another class among them would be an error for all of them."""
_BLOCKING_FLAGS = ("trading_blocked", "account_blocked", "trade_suspended_by_user")


class MalformedResponse(ValueError):
    """An answer lacks a field, or has nonsense in it."""

    def __init__(self, what: str, field: str) -> None:
        super().__init__(f"the {what} that came has no usable {field}")


def account(told: object) -> Account:
    """An account; any flag that forbids trading, and any status but ACTIVE, blocks it."""
    document = _mapping(told, "account")
    status = _text(document, "status", "account")
    flags = [flag for flag in _BLOCKING_FLAGS if document.get(flag) not in (False, None)]
    return Account(
        account_number=_text(document, "account_number", "account"),
        status=status,
        cash=_amount(document, "cash", "account"),
        buying_power=_amount(document, "buying_power", "account"),
        blocked_by=flags[0] if flags else None if status == "ACTIVE" else f"status {status}",
        equity=_optional(document, "equity", "account"),
    )


def clock(told: object) -> MarketClock:
    """The broker's clock."""
    document = _mapping(told, "clock")
    is_open = document.get("is_open")
    if not isinstance(is_open, bool):
        raise MalformedResponse("clock", "is_open")
    return MarketClock(
        now=_time(document, "timestamp", "clock"),
        is_open=is_open,
        next_open=_time(document, "next_open", "clock"),
        next_close=_time(document, "next_close", "clock"),
    )


def position(told: object) -> Position:
    """A position; a short one has a negative quantity. Without ``qty_available`` nothing counts as available."""
    document = _mapping(told, "position")
    qty = _amount(document, "qty", "position")
    if document.get("side") == "short":
        qty = -abs(qty)
    return Position(
        _text(document, "symbol", "position"),
        qty,
        _optional(document, "qty_available", "position") or ZERO,
        _optional(document, "lastday_price", "position") or None,  # zero is no price
    )


def asset(told: object) -> Asset:
    """An asset's flags; one that is not told does not hold. What is no stock or fund has its class as its status."""
    document = _mapping(told, "asset")
    kind = document.get("class") or _STOCKS
    return Asset(
        symbol=_text(document, "symbol", "asset"),
        status=_text(document, "status" if kind == _STOCKS else "class", "asset"),
        tradable=document.get("tradable") is True,
        fractionable=document.get("fractionable") is True,
    )


def quote(symbol: str, told: object) -> Quote:
    """A quote; a side that is not there has the price zero, as Alpaca says it."""
    document = _mapping(told, "quote")
    return Quote(
        symbol=symbol,
        bid=_optional(document, "bp", "quote") or ZERO,
        ask=_optional(document, "ap", "quote") or ZERO,
        bid_size=_optional(document, "bs", "quote") or ZERO,
        ask_size=_optional(document, "as", "quote") or ZERO,
        at=_time(document, "t", "quote"),
    )


def trade(symbol: str, told: object) -> Trade:
    """A last trade."""
    document = _mapping(told, "trade")
    return Trade(symbol, price=_amount(document, "p", "trade"), at=_time(document, "t", "trade"))


def order(told: object) -> BrokerOrder:
    """An order, in whatever status."""
    document = _mapping(told, "order")
    closed = ("filled_at", "canceled_at", "expired_at", "failed_at", "replaced_at")
    return BrokerOrder(
        id=_text(document, "id", "order"),
        client_order_id=_text(document, "client_order_id", "order"),
        symbol=_text(document, "symbol", "order"),
        side=_text(document, "side", "order"),
        type=str(document.get("type") or document.get("order_type") or ""),
        status=_text(document, "status", "order"),
        qty=_optional(document, "qty", "order"),
        filled_qty=_optional(document, "filled_qty", "order") or ZERO,
        filled_avg_price=_optional(document, "filled_avg_price", "order"),
        limit_price=_optional(document, "limit_price", "order"),
        submitted_at=_optional_time(document, "submitted_at"),
        closed_at=next((time for name in closed if (time := _optional_time(document, name))), None),
    )


def entries(told: object, what: str, symbols: Collection[str]) -> list[Mapping[str, Any]]:
    """The rows of a JSON list that name one of these symbols: nonsense about another one must not stop them.

    A row that names none may be about any of them.
    """
    if not isinstance(told, list):
        raise MalformedResponse(f"list of {what}s", "items")
    return [row for row in told if _text(_mapping(row, what), "symbol", what) in symbols]


def _mapping(told: object, what: str) -> Mapping[str, Any]:
    if not isinstance(told, Mapping):
        raise MalformedResponse(what, "fields")
    return told


def _text(document: Mapping[str, Any], field: str, what: str) -> str:
    value = document.get(field)
    if not isinstance(value, str) or not value:
        raise MalformedResponse(what, field)
    return value


def _amount(document: Mapping[str, Any], field: str, what: str) -> Decimal:
    value = _optional(document, field, what)
    if value is None:
        raise MalformedResponse(what, field)
    return value


def _optional(document: Mapping[str, Any], field: str, what: str) -> Decimal | None:
    """A decimal from text (trading) or from a number (market data), whose shortest form is what was sent."""
    value = document.get(field)
    if value is None or value == "":
        return None
    try:
        number = Decimal(repr(value) if isinstance(value, float) else str(value))
    except InvalidOperation:
        raise MalformedResponse(what, field) from None
    if isinstance(value, bool) or not number.is_finite():
        raise MalformedResponse(what, field)
    return number


def _time(document: Mapping[str, Any], field: str, what: str) -> datetime:
    time = _optional_time(document, field)
    if time is None:
        raise MalformedResponse(what, field)
    return time


def _optional_time(document: Mapping[str, Any], field: str) -> datetime | None:
    """An RFC 3339 time in UTC, to the microsecond; a time without a zone is none."""
    value = document.get(field)
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return time.astimezone(UTC) if time is not None and time.tzinfo is not None else None
