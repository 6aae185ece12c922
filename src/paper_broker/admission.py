"""Admission checks: every rule that Alpaca checks before it accepts an order."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from paper_broker.auctions import Auctions
from paper_broker.blackout_windows import BlackoutWindow
from paper_broker.errors import (
    duplicate_client_order_id,
    forbidden,
    insufficient_buying_power,
    insufficient_qty,
    malformed,
    unprocessable,
    wash_trade,
)
from paper_broker.formats import ONE, ZERO, floor_shares, format_decimal
from paper_broker.history import on_tick
from paper_broker.ledger import Account, Ledger
from paper_broker.market import Asset, Market, Quote
from paper_broker.orders import AUCTION_TIMES_IN_FORCE, Order, OrderStore

_MAX_CLIENT_ORDER_ID_LENGTH = 128
_TYPES = ("market", "limit", "stop", "stop_limit")
_TIMES_IN_FORCE = ("day", "gtc", "opg", "cls", "ioc", "fok")
_REPLACEABLE = ("qty", "time_in_force", "limit_price", "stop_price")
_COLLAR = Decimal("0.05")
"""Alpaca turns market orders into limit orders 2 to 5 % away; buying power must cover the widest collar."""
_UPPER_BOUND = Decimal(10) ** 12
"""Exclusive limit for shares and dollars: larger than any order, and exact in decimal arithmetic."""
_CENT = Decimal("0.01")
_ROUND_LOT = 100
_MIN_COST = ONE
"""Minimum cost of a buy, in dollars; sales may be smaller."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A well-formed order request; prices in dollars, quantity in shares."""

    symbol: str
    side: str
    type: str
    time_in_force: str
    qty: Decimal | None
    notional: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    extended_hours: bool
    client_order_id: str | None
    order_class: str
    advanced_instructions: Mapping[str, Any] | None = None
    """Routing of Alpaca's Elite Smart Router: accepted and reported, but it changes no fill."""

    @property
    def fractional(self) -> bool:
        """True for a fractional quantity and for a notional order."""
        return self.qty is None or self.qty != self.qty.to_integral_value()


def read_ticket(body: Mapping[str, Any]) -> Ticket:
    """Parse the body of ``POST /v2/orders``. The quantity is silently truncated to nine decimals.

    Raises:
        BrokerError: 422 for missing, invalid or contradictory fields.
    """
    ticket = Ticket(
        symbol=_text(body, "symbol").upper(),
        side=_choice(body, "side", ("buy", "sell")),
        type=_choice(body, "type", _TYPES),
        time_in_force=_choice(body, "time_in_force", _TIMES_IN_FORCE),
        qty=_decimal(body, "qty"),
        notional=_decimal(body, "notional"),
        limit_price=_decimal(body, "limit_price"),
        stop_price=_decimal(body, "stop_price"),
        extended_hours=str(body.get("extended_hours") or False).lower() == "true",
        client_order_id=str(body["client_order_id"]) if body.get("client_order_id") else None,
        order_class=str(body.get("order_class") or "simple"),
        advanced_instructions=body.get("advanced_instructions"),
    )
    if len(ticket.client_order_id or "") > _MAX_CLIENT_ORDER_ID_LENGTH:
        raise malformed("client_order_id must be no more than 128 characters")
    if (ticket.qty is None) == (ticket.notional is None):
        problem = "qty or notional is required" if ticket.qty is None else "only one of qty or notional is accepted"
        raise malformed(problem)
    _check_required_prices(ticket)
    if ticket.qty is None:
        return ticket
    qty = floor_shares(ticket.qty)
    if qty <= 0:
        raise unprocessable("qty must be > 0")
    return replace(ticket, qty=qty)


def _check_required_prices(ticket: Ticket) -> None:
    for name, types in (("limit", ("limit", "stop_limit")), ("stop", ("stop", "stop_limit"))):
        price = ticket.limit_price if name == "limit" else ticket.stop_price
        if ticket.type in types and price is None:
            raise malformed(f"{ticket.type} orders require a {name} price")
        if ticket.type not in types and price is not None:
            raise malformed(f"{ticket.type} orders require no {name} price")


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not value or not isinstance(value, str):
        raise malformed(f"{name} is required")
    return value


def _choice(body: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = _text(body, name).lower()
    if value not in allowed:
        raise malformed(f"invalid {name} {value}: supported are {', '.join(allowed)}")
    return value


def _decimal(body: Mapping[str, Any], name: str) -> Decimal | None:
    value = body.get(name)
    if value is None:
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise malformed(f"{name} is not a number")
    if abs(number) >= _UPPER_BOUND:
        raise malformed(f"{name} is out of range")
    return number


class Admission:
    """The admission checks of one account.

    Args:
        orders: open orders, and the client order IDs used so far.
        ledger: cash and positions.
        market: assets and quotes.
        auctions: when orders for auctions are accepted.
    """

    def __init__(self, orders: OrderStore, ledger: Ledger, market: Market, auctions: Auctions) -> None:
        self._orders = orders
        self._ledger = ledger
        self._market = market
        self._auctions = auctions
        self.blackout_windows: tuple[BlackoutWindow, ...] = ()
        """Blackout windows of the scenario, in addition to the times around the auctions."""

    def check(self, ticket: Ticket, now: int, replaced: Order | None = None) -> Decimal | None:
        """Check an order against account, asset, quotes and open orders.

        Args:
            ticket: the order request.
            now: nanoseconds since the epoch.
            replaced: the order that it replaces; its shares and dollars count as free.

        Returns:
            The collar (worst price) of an order without a limit, otherwise None.

        Raises:
            BrokerError: the order is rejected.
        """
        if ticket.client_order_id in self._orders.by_client_order_id:
            raise duplicate_client_order_id(self._ledger.account.duplicate_code)
        check_account(self._ledger.account, ticket.side)
        if (asset := self._market.assets.get(ticket.symbol)) is None:
            raise unprocessable(f'asset "{ticket.symbol}" not found')
        check_asset_rules(ticket, asset)
        self._auctions.check(ticket, now)
        for window in self.blackout_windows:
            if window.blocks(ticket, now):
                raise forbidden(window.message)
        quote = self._market.quotes.get(ticket.symbol)
        collar = ticket.limit_price or _collar(ticket, quote)
        self._check_wash_trade(ticket, replaced)
        if ticket.side == "sell":
            self._check_holdings(ticket, quote, replaced)
        else:
            self._check_cost(ticket, collar, now, replaced)
        return None if ticket.limit_price else collar

    def _check_wash_trade(self, ticket: Ticket, replaced: Order | None) -> None:
        status = self._ledger.account.wash_trade_status
        for order in self._orders.open_for(ticket.symbol):
            if order.side == ticket.side or order is replaced:
                continue
            if order.type != "limit" or ticket.type != "limit":
                raise wash_trade(order.id, "opposite side market/stop order exists", status)
            bid, ask = (ticket, order) if ticket.side == "buy" else (order, ticket)
            if (bid.limit_price or ZERO) >= (ask.limit_price or ZERO):
                raise wash_trade(order.id, "opposite side limit order exists", status)

    def _check_holdings(self, ticket: Ticket, quote: Quote | None, replaced: Order | None) -> None:
        existing = self._ledger.qty(ticket.symbol)
        shorting = self._ledger.account.shorting_enabled
        if existing <= 0 and not shorting:
            raise forbidden("account is not allowed to short")
        held = self._orders.held_qty(ticket.symbol, excluding=replaced)
        requested = ticket.qty or sale_qty(ticket.notional or ZERO, quote)
        if requested > existing - held:
            if shorting:
                if not self._market.assets[ticket.symbol].shortable:
                    raise unprocessable(f'asset "{ticket.symbol}" cannot be sold short')
                return
            sales = [o.id for o in self._orders.open_for(ticket.symbol) if o.side == "sell" and o is not replaced]
            raise insufficient_qty(ticket.symbol, requested, existing, held, sales)

    def _check_cost(self, ticket: Ticket, worst: Decimal | None, now: int, replaced: Order | None) -> None:
        if worst is None:
            raise unprocessable(f"unable to price the order: {ticket.symbol} has no quote")
        cost = ticket.notional if ticket.qty is None else ticket.qty * worst
        cost = cost or ZERO
        if cost < _MIN_COST:
            raise forbidden("cost basis must be >= minimal amount of order 1")
        power = self._ledger.buying_power(now, self._market.quotes, self._orders.held_cash(excluding=replaced))
        if cost > power:
            raise insufficient_buying_power(max(power, ZERO), cost)


def check_account(account: Account, side: str) -> None:
    """Reject all orders of a blocked account, and the buys of an account in liquidation.

    Raises:
        BrokerError: 403.
    """
    if account.trade_suspended_by_user:
        raise forbidden("new orders are rejected by user request")
    if account.status != "ACTIVE" or account.trading_blocked or account.account_blocked:
        raise forbidden("account is not allowed to trade")
    if account.liquidation_only and side == "buy":
        raise forbidden("account is restricted to liquidation only")


def check_asset_rules(ticket: Ticket, asset: Asset) -> None:
    """Check an order against the rules of its asset, which are the same for every account.

    Raises:
        BrokerError: 403 for a fraction of an asset that is not fractionable, otherwise 422.
    """
    if asset.status != "active":
        raise unprocessable(f'asset "{asset.symbol}" is not active')
    if not asset.tradable:
        raise unprocessable(f'asset "{asset.symbol}" is not tradable')
    if ticket.fractional:
        _check_fractional(ticket, asset)
    if ticket.order_class != "simple":
        raise unprocessable(f"order_class {ticket.order_class} is not supported by this broker")
    if ticket.extended_hours and (ticket.type != "limit" or ticket.time_in_force not in ("day", "gtc")):
        raise unprocessable("extended hours order must be DAY or GTC limit orders")
    if ticket.time_in_force in AUCTION_TIMES_IN_FORCE and ticket.type not in ("market", "limit"):
        raise unprocessable(f"{ticket.time_in_force} orders must be market or limit orders")
    if ticket.advanced_instructions is not None:
        _check_display(ticket, str(ticket.advanced_instructions.get("display_qty")))
    for name in ("limit_price", "stop_price"):
        _check_tick(name, getattr(ticket, name), asset)


def _check_display(ticket: Ticket, display_qty: str) -> None:
    if ticket.fractional or ticket.type != "limit":
        raise unprocessable("display_qty requires a limit order of whole shares")
    if not display_qty.isdecimal() or int(display_qty) % _ROUND_LOT:
        raise unprocessable("display_qty must be in round lot increments")


def _check_fractional(ticket: Ticket, asset: Asset) -> None:
    if not asset.fractionable:
        raise forbidden(f'asset "{asset.symbol}" is not fractionable')
    if ticket.order_class != "simple":
        raise unprocessable("fractional orders must be simple orders")
    if ticket.time_in_force != "day":
        raise unprocessable("fractional orders must be DAY orders")
    if ticket.notional is not None:
        minimum = _MIN_COST if ticket.side == "buy" else _CENT
        if ticket.notional < minimum:
            raise unprocessable("notional amount must be >= 1.00")
        if ticket.notional != round(ticket.notional, 2):
            raise unprocessable("notional amount must be limited to 2 decimal places")


def _check_tick(name: str, price: Decimal | None, asset: Asset) -> None:
    """Check that a price is on tick. Alpaca allows two decimals from one dollar up, and four below."""
    if price is None:
        return
    if price <= 0:
        raise unprocessable(f"{name} must be > 0")
    if price != on_tick(price, asset.tick_size):
        message = (
            f"invalid {name} {format_decimal(price)}. sub-penny increment does not fulfill minimum pricing criteria"
        )
        raise unprocessable(message)


def _collar(ticket: Ticket, quote: Quote | None) -> Decimal | None:
    anchor = ticket.stop_price
    if anchor is None and quote is not None:
        anchor = (quote.ask if ticket.side == "buy" else quote.bid) or quote.last
    if not anchor:
        return None
    return on_tick(anchor * (ONE + _COLLAR if ticket.side == "buy" else ONE - _COLLAR))


def sale_qty(notional: Decimal, quote: Quote | None) -> Decimal:
    """Return the shares that a notional sale reserves.

    Args:
        notional: dollars.
        quote: current quote of the symbol.

    Raises:
        BrokerError: 422 if there is no bid.
    """
    if quote is None or not quote.bid:
        raise unprocessable("unable to price the order: there is no bid")
    return floor_shares(notional / quote.bid)


def check_replaceable(order: Order, changes: Mapping[str, Any]) -> None:
    """Check that Alpaca would replace this order.

    Raises:
        BrokerError: 422 if it would not.
    """
    if order.status in ("accepted", "pending_new", "pending_cancel", "pending_replace"):
        raise unprocessable(f"unable to replace order, order is in {order.status} state")
    if order.notional is not None:
        raise unprocessable("notional orders cannot be replaced")
    qty = _decimal(changes, "qty")
    if qty is None or order.qty is None or qty == order.qty:
        return
    if qty != qty.to_integral_value() or order.qty != order.qty.to_integral_value():
        raise unprocessable("qty of fractional orders cannot be replaced")
    if qty <= order.filled_qty:
        raise unprocessable("qty must be > filled_qty")


def replacement(order: Order, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request body of the order that replaces ``order``. Unchanged fields are copied."""
    return {
        "symbol": order.symbol,
        "side": order.side,
        "type": order.type,
        "extended_hours": order.extended_hours,
        "advanced_instructions": order.advanced_instructions,
        **{name: changes.get(name) or getattr(order, name) for name in _REPLACEABLE},
        "client_order_id": changes.get("client_order_id"),
    }
