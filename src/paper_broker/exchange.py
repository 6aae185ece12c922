"""The exchange: one account at Alpaca, deterministic and without I/O.

It answers what Alpaca's API answers, in the same words. Time comes from outside; what is due at the time of a call
happens before the call is answered.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from paper_broker.admission import Admission, Ticket, check_replaceable, read_ticket, replacement, sale_qty
from paper_broker.blackout_windows import Window
from paper_broker.errors import BrokerError, already, malformed, not_found, scripted
from paper_broker.fills import FillBehaviour, FillPlan, FillRule
from paper_broker.formats import (
    ONE,
    ZERO,
    Wire,
    identifier,
    nanoseconds,
    parse_date,
    parse_instant,
    plain,
)
from paper_broker.ledger import Ledger, part_of
from paper_broker.lifecycle import Lifecycle
from paper_broker.market import Market
from paper_broker.orders import WORKING, Book, Order, OrderQuery, boundary
from paper_broker.sessions import Sessions
from paper_broker.state_json import Archive, json_object, json_text

_CALENDAR_START, _CALENDAR_END = "1970-01-01", "2029-12-31"
_SESSION_KEYS = frozenset({"sessions", "holidays", "half_days"})


class Exchange:
    """One account, its orders and the market it trades in.

    Every method that answers a path of Alpaca's API returns the JSON of its 200 and raises
    :class:`~paper_broker.errors.BrokerError` for any other status.

    Args:
        scenario: the world to begin with; see :mod:`paper_broker.scenario`.
        now: the time, aware; it must never go back.
    """

    def __init__(self, scenario: Mapping[str, Any], now: Callable[[], datetime]) -> None:
        self._now = now
        self._seed = int(scenario.get("seed", 0))
        self._book = Book()
        self._ledger = Ledger()
        self._market = Market(self._seed)
        self._fills = FillPlan(self._seed)
        self._life = Lifecycle(self._book, self._ledger, self._market, Sessions())
        self._admission = Admission(self._book, self._ledger, self._market)
        self._submitted = 0
        self._made = 0
        self._archive = Archive()
        self.merge(scenario)

    # The world

    def merge(self, world: Mapping[str, Any]) -> None:
        """Change the world and leave the orders: assets, quotes, positions, account, fills and trading hours.

        Raises:
            ValueError: for what no scenario may say.
        """
        now = self.advance()
        default = FillBehaviour.parse(world["default_fill"]) if "default_fill" in world else self._fills.default
        rules = [FillRule.parse(spec) for spec in world["fills"]] if "fills" in world else self._fills.rules
        if "windows" in world:
            self._admission.windows = tuple(Window.parse(spec) for spec in world["windows"])
        self._market.merge(world)
        self._ledger.merge(world)
        self._fills.default, self._fills.rules = default, rules
        hours = {key: value for key, value in world.get("clock", {}).items() if key in _SESSION_KEYS}
        known = self._life.sessions.dump() | hours
        if known != self._life.sessions.dump():
            self._life.replan(Sessions(known["sessions"], known["holidays"], known["half_days"]), now)
        self._life.unmatched = True
        self._life.changes += 1

    def advance(self) -> int:
        """Let happen what is due; gives the instant in nanoseconds since the epoch."""
        now = nanoseconds(self._now())
        if self._market.walk(now):
            self._life.unmatched = True
        self._life.settle(now)
        return now

    @property
    def changes(self) -> int:
        """Grows whenever anything changes that :meth:`dump` holds."""
        return self._life.changes

    def json_pieces(self) -> Iterator[str]:
        """The whole state as JSON text; use it before the next call."""
        open_orders = self._book.open
        rest = {
            "seed": self._seed,
            **self._ledger.dump(),
            **self._fills.dump(),
            "clock": self._life.sessions.dump(),
            "windows": [window.dump() for window in self._admission.windows],
            "sequence": self._life.sequence,
            "submitted": self._submitted,
            "made": self._made,
            "walked": self._market.walked,
        }
        return json_object(
            {
                **{name: json_text(value) for name, value in rest.items()},
                **self._archive.market(self._market),
                "orders": self._archive.orders(self._book.orders.values()),
                "events": json_text(sorted(e for e in self._life.events if e[3] in open_orders)),
                "activities": self._archive.activities(self._life.activities),
            }
        )

    def dump(self) -> Wire:
        """The whole state, ready for JSON; a copy."""
        return dict(json.loads("".join(self.json_pieces())))

    @classmethod
    def load(cls, state: Wire, now: Callable[[], datetime]) -> "Exchange":
        """The exchange that was dumped."""
        exchange = cls(state, now)
        for values in state["orders"]:
            exchange._book.add(Order.load(values))
        exchange._ledger.unseen = [(at, Decimal(amount)) for at, amount in state["unseen"]]
        exchange._fills.load_counts(state["submissions"])
        exchange._life.events = [(due, nr, kind, order, what) for due, nr, kind, order, what in state["events"]]
        exchange._life.sequence = state["sequence"]
        exchange._life.activities = list(state["activities"])
        exchange._submitted, exchange._made = state["submitted"], state["made"]
        exchange._market.walked = state["walked"]
        return exchange

    # Account, clock, assets, market data

    def account(self) -> Wire:
        """``GET /v2/account``."""
        now = self.advance()
        return self._ledger.wire(now, self._market.quotes, self._book.held_cash())

    def clock(self) -> Wire:
        """``GET /v2/clock``."""
        return self._life.sessions.clock(self.advance())

    def calendar(self, start: str | None = None, end: str | None = None) -> list[Wire]:
        """``GET /v2/calendar``; dates in New York, both included."""
        try:
            return self._life.sessions.calendar(parse_date(start or _CALENDAR_START), parse_date(end or _CALENDAR_END))
        except ValueError as error:
            raise malformed("start and end must be dates like 2026-01-26") from error

    def asset(self, symbol_or_id: str) -> Wire:
        """``GET /v2/assets/{symbol_or_asset_id}``."""
        if (found := self._market.asset(symbol_or_id)) is None:
            raise not_found(f"asset not found for {symbol_or_id}")
        return found.wire()

    def assets(self, status: str | None = None, exchange: str | None = None) -> list[Wire]:
        """``GET /v2/assets``."""
        known = sorted(self._market.assets.values(), key=lambda asset: (asset.exchange, asset.symbol))
        return [a.wire() for a in known if status in (None, a.status) and exchange in (None, a.exchange)]

    def latest_quotes(self, symbols: Iterable[str]) -> Wire:
        """``GET /v2/stocks/quotes/latest``; a symbol without a quote is absent."""
        now = self.advance()
        quotes = self._market.quotes
        return {"quotes": {symbol: quotes[symbol].wire(now) for symbol in symbols if symbol in quotes}}

    def latest_trades(self, symbols: Iterable[str]) -> Wire:
        """``GET /v2/stocks/trades/latest``; a symbol without a last price is absent."""
        now = self.advance()
        quotes = self._market.quotes
        known = (symbol for symbol in symbols if symbol in quotes and quotes[symbol].last)
        return {"trades": {symbol: quotes[symbol].trade_wire(now) for symbol in known}}

    def snapshots(self, symbols: Iterable[str]) -> Wire:
        """``GET /v2/stocks/snapshots``; a symbol without a quote is absent."""
        now = self.advance()
        quotes = self._market.quotes
        return {symbol: quotes[symbol].snapshot_wire(now) for symbol in symbols if symbol in quotes}

    # Positions

    def positions(self) -> list[Wire]:
        """``GET /v2/positions``."""
        self.advance()
        return [self._position(symbol) for symbol in sorted(self._ledger.positions)]

    def position(self, symbol_or_id: str) -> Wire:
        """``GET /v2/positions/{symbol_or_asset_id}``."""
        self.advance()
        return self._position(self._held(symbol_or_id))

    def _held(self, symbol_or_id: str) -> str:
        asset = self._market.asset(symbol_or_id)
        if asset is None or asset.symbol not in self._ledger.positions:
            raise not_found("position does not exist")
        return asset.symbol

    def _position(self, symbol: str) -> Wire:
        asset, quote = self._market.assets[symbol], self._market.quotes.get(symbol)
        return self._ledger.positions[symbol].wire(asset, quote, self._book.held_qty(symbol))

    def close_position(self, symbol_or_id: str, qty: str | None = None, percentage: str | None = None) -> Wire:
        """``DELETE /v2/positions/{symbol_or_asset_id}``: a market order that sells it, or part of it."""
        self.advance()
        symbol = self._held(symbol_or_id)
        if qty is not None and percentage is not None:
            raise malformed("only one of qty or percentage is accepted")
        asked = qty or plain(part_of(self._ledger.qty(symbol), percentage or "100"))
        return self.submit_order({
            "symbol": symbol, "qty": asked, "side": "sell", "type": "market", "time_in_force": "day",
        })  # fmt: skip

    def close_positions(self, *, cancel_orders: bool = False) -> list[Wire]:
        """``DELETE /v2/positions`` (207): one answer for each position."""
        if cancel_orders:
            self.cancel_all()
            self.advance()
        answers = []
        for symbol in sorted(self._ledger.positions):
            try:
                status, body = 200, self.close_position(symbol)
            except BrokerError as error:
                status, body = error.http_status, error.body()
            answers.append({"symbol": symbol, "status": status, "body": body})
        return answers

    # Orders

    def submit_order(self, body: Mapping[str, Any]) -> Wire:
        """``POST /v2/orders``; the order starts pending and is worked from the next call on."""
        now = self.advance()
        ticket = read_ticket(body)
        collar = self._admission.check(ticket, now)
        order = self._new_order(ticket, now, collar)
        self._life.admit(order, now)
        return order.wire(now)

    def _new_order(self, ticket: Ticket, now: int, collar: Decimal | None) -> Order:
        made = self._made + 1
        order_id = identifier(self._seed, "order", made)
        client_order_id = ticket.client_order_id or identifier(self._seed, "client order", made)
        behaviour = self._fills.choose(ticket, client_order_id)
        self._life.changes += 1
        if behaviour.error is not None:
            raise scripted(behaviour.error)
        self._made = made
        # No two orders share a submission time, so that pages by time neither skip nor repeat one.
        self._submitted = max(now, self._submitted + 1)
        quote = self._market.quotes.get(ticket.symbol)
        sale = ticket.side == "sell" and ticket.notional is not None
        return Order(
            id=order_id,
            client_order_id=client_order_id,
            symbol=ticket.symbol,
            side=ticket.side,
            type=ticket.type,
            asset_id=self._market.assets[ticket.symbol].id,
            behaviour=behaviour,
            time_in_force=ticket.time_in_force,
            submitted_at=self._submitted,
            updated_at=self._submitted,
            qty=ticket.qty,
            notional=ticket.notional,
            limit_price=ticket.limit_price,
            stop_price=ticket.stop_price,
            extended_hours=ticket.extended_hours,
            collar=collar,
            notional_hold=sale_qty(ticket.notional or ZERO, quote) if sale else ZERO,
        )

    def get_order(self, order_id: str) -> Wire:
        """``GET /v2/orders/{order_id}``."""
        now = self.advance()
        return self._book.get(order_id).wire(now)

    def get_order_by_client_order_id(self, client_order_id: str) -> Wire:
        """``GET /v2/orders:by_client_order_id``."""
        now = self.advance()
        if (order_id := self._book.by_client_id.get(client_order_id)) is None:
            raise not_found(f"order not found for {client_order_id}")
        return self._book.orders[order_id].wire(now)

    def list_orders(self, query: OrderQuery | None = None, **filters: Any) -> list[Wire]:
        """``GET /v2/orders``: by default the newest fifty that are open.

        Args:
            query: which orders.
            filters: the same by the names of :class:`~paper_broker.orders.OrderQuery`, instead of a query.
        """
        now = self.advance()
        return [order.wire(now) for order in self._book.find(query or OrderQuery(**filters))]

    def cancel_order(self, order_id: str) -> None:
        """``DELETE /v2/orders/{order_id}`` (204): a request, and not yet an outcome."""
        now = self.advance()
        self._cancel(self._book.get(order_id), now)

    def _cancel(self, order: Order, now: int) -> None:
        if not order.is_open or order.status in ("pending_cancel", "pending_replace"):
            raise already(order.status)
        self._life.request_cancel(order, now)

    def cancel_all(self) -> list[Wire]:
        """``DELETE /v2/orders`` (207): one answer for each open order."""
        now = self.advance()
        answers: list[Wire] = []
        for order in list(self._book.open.values()):
            try:
                self._cancel(order, now)
                answers.append({"id": order.id, "status": 200, "body": order.wire(now)})
            except BrokerError as error:
                answers.append({"id": order.id, "status": 500, "body": error.body()})
        return answers

    def replace_order(self, order_id: str, changes: Mapping[str, Any]) -> Wire:
        """``PATCH /v2/orders/{order_id}``: a new order with a new id, which may yet lose to a fill of the old one.

        The quantity, unless changed, is the original one, whatever was executed of it.
        """
        now = self.advance()
        old = self._book.get(order_id)
        if not old.is_open:
            raise already(old.status)
        check_replaceable(old, changes)
        ticket = read_ticket(replacement(old, changes))
        collar = self._admission.check(ticket, now, replaced=old)
        new = self._new_order(ticket, now, collar)
        new.replaces = old.id
        self._life.request_replace(old, new, now)
        return new.wire(now)

    def activities(self, order_id: str | None = None, after: str | None = None, until: str | None = None) -> list[Wire]:
        """``GET /v2/account/activities``: executions, oldest first."""
        self.advance()
        first, last = boundary("after", after), boundary("until", until)
        return [
            activity
            for activity in self._life.activities
            if order_id in (None, activity["order_id"])
            and (first is None or parse_instant(activity["transaction_time"]) > first)
            and (last is None or parse_instant(activity["transaction_time"]) < last)
        ]

    # What the venue does by itself

    def force_fill(self, order_id: str, qty: str | None = None, price: str | None = None) -> Wire:
        """Execute a working order now: all that is left, at the touch or its own limit, or as told.

        Args:
            order_id: of the order.
            qty: shares; none is all that is left, and an order for dollars takes nothing else.
            price: dollars a share.

        Raises:
            ValueError: if the order is not working, or the quantity is more than is left.
        """
        now = self.advance()
        order = self._book.get(order_id)
        at = self._life.price(order, scripted=True) if price is None else Decimal(price)
        if order.status not in WORKING or not at or at < 0:
            raise ValueError(f"order {order_id} cannot be filled: it is {order.status}, its price would be {at}.")
        if qty is None:
            self._life.fill(order, now, ONE, at)
            return order.wire(now)
        shares, left = Decimal(qty), (order.qty or ZERO) - order.filled_qty
        if order.qty is None or not 0 < shares <= left:
            raise ValueError(
                f"{shares} cannot be filled: {left} shares are left; an order for dollars fills as a whole."
            )
        self._life.book_execution(order, now, shares, at)
        order.executed = min(order.filled_qty / order.qty, ONE)
        return order.wire(now)

    def force_end(self, order_id: str, status: str) -> Wire:
        """Let the venue end an open order: ``canceled``, ``expired`` or ``rejected``.

        Raises:
            ValueError: if it is finished.
        """
        now = self.advance()
        order = self._book.get(order_id)
        if not order.is_open:
            raise ValueError(f"order {order_id} is {order.status} already.")
        self._life.end(order, now, status)
        return order.wire(now)

    @property
    def fill_rules(self) -> list[Wire]:
        """How orders fare, as a scenario says it under ``fills``."""
        return [rule.dump() for rule in self._fills.rules]

    @property
    def is_halted(self) -> bool:
        """Whether nothing is executed at all."""
        return self._market.halted

    @property
    def account_settings(self) -> Any:
        """The account's settings."""
        return self._ledger.account
