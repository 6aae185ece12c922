"""The exchange: a deterministic model of one Alpaca account, without I/O.

Responses and errors are those of Alpaca's API. The time is passed in; events that are due are processed at the start of
each call.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from paper_broker.admission import Admission, check_replaceable, read_ticket, replacement
from paper_broker.auctions import AuctionRule, Auctions
from paper_broker.blackout_windows import BlackoutWindow
from paper_broker.data_pages import DataQuery, page
from paper_broker.errors import BrokerError, already_in_status, malformed, not_found
from paper_broker.fills import FillBehaviour, FillRule
from paper_broker.formats import JsonObject, duration, format_decimal, nanoseconds
from paper_broker.holdings import HoldingsHistory
from paper_broker.intake import OrderIntake
from paper_broker.ledger import Account, Ledger, Position, percentage_of
from paper_broker.lifecycle import Lifecycle
from paper_broker.market import Market
from paper_broker.market_data import MarketData
from paper_broker.order_lists import OrderLists
from paper_broker.orders import Order, OrderQuery, OrderStore
from paper_broker.past import Past
from paper_broker.portfolio_history import HistoryQuery, PortfolioHistory
from paper_broker.sessions import Auction, Sessions
from paper_broker.state_json import StateJsonCache, json_object, json_text
from paper_broker.trade_rows import trade_rows
from paper_broker.watchlists import Watchlists

_SESSION_KEYS = frozenset({"sessions", "holidays", "half_days"})


class Exchange(MarketData):
    """One account, its orders and its market.

    A method for a path of Alpaca's API returns the JSON body of the successful response and raises
    :class:`~paper_broker.errors.BrokerError` for any other status.

    Args:
        scenario: the initial scenario; see :mod:`paper_broker.scenario`.
        now: returns the current time, aware; it must never decrease.
    """

    def __init__(self, scenario: Mapping[str, Any], now: Callable[[], datetime]) -> None:
        self._now = now
        self._seed = int(scenario.get("seed", 0))
        self._orders = OrderStore()
        self._ledger = Ledger()
        market = Market(self._seed)
        super().__init__(self._seed, market, Auctions(market, Sessions()))
        self._intake = OrderIntake(self._seed, self._market)
        self._lifecycle = Lifecycle(self._orders, self._ledger, self._market, self._auctions)
        self._admission = Admission(self._orders, self._ledger, self._market, self._auctions)
        self._lists = OrderLists(self._orders)
        self._past = Past(self._ledger, self._market, self._orders, self._lists)
        self._holdings = HoldingsHistory()
        self._history = PortfolioHistory(market, self._auctions, self._day_bars, self._holdings)
        self.watchlists = Watchlists(self._seed, market, self._ledger)
        self._json_cache = StateJsonCache()
        self.merge(scenario)

    # Scenario and state

    def merge(self, world: Mapping[str, Any]) -> None:
        """Apply part of a scenario and keep the orders. The time, faults and rate limits are ignored.

        Raises:
            ValueError: the scenario is invalid.
        """
        now, plan = self.advance(), self._intake.fill_plan
        default = FillBehaviour.parse(world["default_fill"]) if "default_fill" in world else plan.default
        rules = [FillRule.parse(spec) for spec in world["fills"]] if "fills" in world else plan.rules
        if "blackout_windows" in world:
            self._admission.blackout_windows = tuple(map(BlackoutWindow.parse, world["blackout_windows"]))
        if "auctions" in world:
            self._auctions.rules = tuple(map(AuctionRule.parse, world["auctions"]))
        if "corporate_actions" in world:
            self._corporate_actions.set(world["corporate_actions"])
        self._market.merge(world, now)
        self._ledger.merge(world)
        if not self._holdings.are_known or "cash" in world.get("account", {}) or "positions" in world:
            self._holdings.mark(now, len(self._lifecycle.activities), self._ledger)
        plan.default, plan.rules = default, rules
        if "lists" in world:
            self._lists.set(world["lists"], now)
        hours = {key: value for key, value in world.get("clock", {}).items() if key in _SESSION_KEYS}
        current = self._lifecycle.sessions.dump()
        if (changed := current | hours) != current:
            sessions = Sessions(changed["sessions"], changed["holidays"], changed["half_days"])
            self._lifecycle.change_sessions(sessions, now)
        self._lifecycle.needs_matching = True
        self._lifecycle.changes += 1
        self._lifecycle.past = self._past if self._past.is_shown else None
        self._past.change(now)
        self._past.record()

    def advance(self) -> int:
        """Process the events that are due; return the current time in nanoseconds since the epoch."""
        now = nanoseconds(self._now())
        for auction in self._auctions.due(now):
            self._advance_to(auction.at, auction)
        self._advance_to(now)
        return now

    def _advance_to(self, now: int, auction: Auction | None = None) -> None:
        past = self._lifecycle.past
        if past is not None:
            past.record()  # changes of the last call
        if self._market.apply_drift(now):
            self._lifecycle.needs_matching = True
            if past is not None:
                past.change(now)
        self._day_bars.roll(now)
        if auction is not None:
            self._auctions.run(auction)
            self._day_bars.record(auction)
            self._lifecycle.changes += 1
        self._lifecycle.run_due_events(now)
        if past is not None:
            past.record()

    @property
    def changes(self) -> int:
        """Counter that increases with every change of the state that :meth:`dump` returns."""
        return self._lifecycle.changes + self.watchlists.revision

    def json_pieces(self) -> Iterator[str]:
        """Return the whole state as JSON text. Consume it before the next call."""
        self._past.record()
        by_id = self._orders.by_id
        small = {
            "seed": self._seed,
            **self._ledger.dump(),
            **self._intake.dump(),
            **self._auctions.dump(),
            **self._corporate_actions.dump(),
            **self._lists.dump(),
            **self._past.dump(),
            **self._holdings.dump(),
            "clock": self._lifecycle.sessions.dump(),
            "blackout_windows": [window.dump() for window in self._admission.blackout_windows],
            "sequence": self._lifecycle.sequence,
        }
        return json_object(
            {
                **{name: json_text(value) for name, value in small.items()},
                **self._json_cache.revisions(self._market, self._day_bars, self.watchlists),
                "orders": self._json_cache.orders(self._orders.by_id.values()),
                "events": json_text(sorted(e for e in self._lifecycle.events if not by_id[e[3]].is_settled)),
                "activities": self._json_cache.activities(self._lifecycle.activities),
            }
        )

    def dump(self) -> JsonObject:
        """Return a copy of the whole state, ready for JSON."""
        return dict(json.loads("".join(self.json_pieces())))

    @classmethod
    def load(cls, state: JsonObject, now: Callable[[], datetime]) -> "Exchange":
        """Return an exchange with a dumped state."""
        exchange = cls(state, now)
        for values in state["orders"]:
            exchange._orders.add(Order.load(values))
        exchange._ledger.pending_proceeds = [(at, Decimal(amount)) for at, amount in state["pending_proceeds"]]
        exchange._intake.load(state)
        exchange._auctions.load(state)
        exchange._lists.load(state)
        exchange._past.load(state)
        exchange._holdings.load(state)
        exchange.watchlists.load(state)
        exchange._lifecycle.events = [(due, nr, kind, order, arg) for due, nr, kind, order, arg in state["events"]]
        exchange._lifecycle.sequence = state["sequence"]
        exchange._lifecycle.activities = list(state["activities"])
        exchange._market.load(state)
        exchange._day_bars.load(state)
        return exchange

    # Account

    def account(self, api_key: str = "") -> JsonObject:
        """Answer ``GET /v2/account`` to the client with this API key."""
        now, settings = self.advance(), self._ledger.account
        body = self._ledger.account_json(now, self._market.quotes, self._orders.held_cash())
        if api_key in settings.number_by_key:
            body["account_number"] = settings.number_by_key[api_key]
        lag = settings.account_lag_seconds
        return body | self._past.spendable(now - duration(lag)) if lag else body

    def portfolio_history(self, query: HistoryQuery) -> JsonObject:
        """Answer ``GET /v2/account/portfolio/history``."""
        now = self.advance()
        return self._history.find(query, self._lifecycle.activities, now)

    # Positions

    def positions(self) -> list[JsonObject]:
        """Answer ``GET /v2/positions``."""
        return [self._position(position) for _, position in sorted(self._shown_positions().items())]

    def _shown_positions(self) -> Mapping[str, Position]:
        now, lag = self.advance(), self._ledger.account.positions_lag_seconds
        return self._past.positions(now - duration(lag)) if lag else self._ledger.positions

    def position(self, symbol_or_id: str) -> JsonObject:
        """Answer ``GET /v2/positions/{symbol_or_asset_id}``."""
        return self._position(self._held(symbol_or_id, self._shown_positions()))

    def _held(self, symbol_or_id: str, positions: Mapping[str, Position]) -> Position:
        asset = self._market.asset(symbol_or_id)
        if asset is None or asset.symbol not in positions:
            raise not_found("position does not exist")
        return positions[asset.symbol]

    def _position(self, position: Position) -> JsonObject:
        symbol = position.symbol
        asset, quote = self._market.assets[symbol], self._market.quotes.get(symbol)
        return position.to_json(asset, quote, self._orders.held_qty(symbol))

    def close_position(self, symbol_or_id: str, qty: str | None = None, percentage: str | None = None) -> JsonObject:
        """Answer ``DELETE /v2/positions/{symbol_or_asset_id}``: close the position or part of it at the market."""
        self.advance()
        position = self._held(symbol_or_id, self._ledger.positions)
        if qty is not None and percentage is not None:
            raise malformed("only one of qty or percentage is accepted")
        shares = qty or format_decimal(percentage_of(abs(position.qty), percentage or "100"))
        return self.submit_order({
            "symbol": position.symbol, "qty": shares, "side": "sell" if position.qty > 0 else "buy", "type": "market",
            "time_in_force": "day",
        })  # fmt: skip

    def close_positions(self, *, cancel_orders: bool = False) -> list[JsonObject]:
        """Answer ``DELETE /v2/positions`` (207) with one result per position."""
        if cancel_orders:
            self.cancel_all()
            self.advance()
        results = []
        for symbol in sorted(self._ledger.positions):
            try:
                status, body = 200, self.close_position(symbol)
            except BrokerError as error:
                status, body = error.http_status, error.body()
            results.append({"symbol": symbol, "status": status, "body": body})
        return results

    # Orders

    def submit_order(self, body: Mapping[str, Any]) -> JsonObject:
        """Answer ``POST /v2/orders``. The order is pending in the response; execution starts with the next call."""
        now = self.advance()
        ticket = read_ticket(body)
        collar = self._admission.check(ticket, now)
        self._lifecycle.changes += 1  # also a rejection is counted, for the rules with ``nth``
        order = self._intake.new_order(ticket, now, collar)
        self._lifecycle.accept(order, now)
        return order.to_json(now)

    def get_order(self, order_id: str) -> JsonObject:
        """Answer ``GET /v2/orders/{order_id}``."""
        now = self.advance()
        return self._orders.get(order_id).to_json(now)

    def get_order_by_client_order_id(self, client_order_id: str) -> JsonObject:
        """Answer ``GET /v2/orders:by_client_order_id``."""
        now = self.advance()
        if (order_id := self._orders.by_client_order_id.get(client_order_id)) is None:
            raise not_found(f"order not found for {client_order_id}")
        return self._orders.by_id[order_id].to_json(now)

    def list_orders(self, query: OrderQuery | None = None, **filters: Any) -> list[JsonObject]:
        """Answer ``GET /v2/orders``, by default with the 50 newest open orders.

        ``filters`` are fields of :class:`~paper_broker.orders.OrderQuery`, as an alternative to ``query``.
        """
        now = self.advance()
        return self._lists.find(query or OrderQuery(**filters), now)

    def cancel_order(self, order_id: str) -> None:
        """Answer ``DELETE /v2/orders/{order_id}`` (204): request a cancel, whose outcome is known later."""
        now = self.advance()
        self._cancel(self._orders.get(order_id), now)

    def _cancel(self, order: Order, now: int) -> None:
        if not order.is_open or order.status in ("pending_cancel", "pending_replace"):
            raise already_in_status(order.status)
        self._auctions.check_change(order, now, "cancelable")
        self._lifecycle.request_cancel(order, now)

    def cancel_all(self) -> list[JsonObject]:
        """Answer ``DELETE /v2/orders`` (207) with one result per open order."""
        now = self.advance()
        results: list[JsonObject] = []
        for order in list(self._orders.open.values()):
            try:
                self._cancel(order, now)
                results.append({"id": order.id, "status": 200, "body": order.to_json(now)})
            except BrokerError as error:
                results.append({"id": order.id, "status": 500, "body": error.body()})
        return results

    def replace_order(self, order_id: str, changes: Mapping[str, Any]) -> JsonObject:
        """Answer ``PATCH /v2/orders/{order_id}`` with a new order, which is rejected if the old one fills first.

        Unless changed, the quantity is the original quantity, even after partial fills.
        """
        now = self.advance()
        old = self._orders.get(order_id)
        if not old.is_open:
            raise already_in_status(old.status)
        self._auctions.check_change(old, now, "replaceable")
        check_replaceable(old, changes)
        ticket = read_ticket(replacement(old, changes))
        collar = self._admission.check(ticket, now, replaced=old)
        self._lifecycle.changes += 1
        new = self._intake.new_order(ticket, now, collar)
        new.replaces = old.id
        self._lifecycle.request_replace(old, new, now)
        return new.to_json(now)

    def trades(self, query: DataQuery) -> JsonObject:
        """Answer ``GET /v2/stocks/trades``: the executions of this account, which are the only ones."""
        span, activities = query.span(self.advance()), self._lifecycle.activities
        return page(query, "trades", span, lambda symbol, *period: trade_rows(activities, symbol, period))

    def activities(self) -> list[JsonObject]:
        """Return all executions as ``GET /v2/account/activities`` lists them, but oldest first."""
        self.advance()
        return list(self._lifecycle.activities)

    # Actions of the broker itself

    def force_fill(self, order_id: str, qty: str | None = None, price: str | None = None) -> JsonObject:
        """Execute a working order now.

        Args:
            order_id: ID of the order.
            qty: shares; None is the whole remainder. A notional order can only be filled as a whole.
            price: dollars per share; None is the touch, or the order's limit if the touch is worse.

        Raises:
            ValueError: the order is not working, or the quantity exceeds the remainder.
        """
        now = self.advance()
        order = self._orders.get(order_id)
        self._lifecycle.force_fill(
            order, now, None if qty is None else Decimal(qty), None if price is None else Decimal(price)
        )
        return order.to_json(now)

    def change_order(self, order_id: str, symbol: str | None = None, qty: str | None = None) -> JsonObject:
        """Rename the symbol or change the quantity of an open order, as after a corporate action.

        Raises:
            ValueError: the order is closed already, the symbol is unknown, or the quantity is not above what is filled.
        """
        now = self.advance()
        order = self._orders.get(order_id)
        if (asset := self._market.assets.get(symbol or order.symbol)) is None:
            raise ValueError(f"The symbol {symbol} is unknown: add its asset first.")
        self._lifecycle.change_order(order, now, asset, None if qty is None else Decimal(qty))
        return order.to_json(now)

    def force_end(self, order_id: str, status: str) -> JsonObject:
        """Close an open order on the broker's side: ``canceled``, ``expired`` or ``rejected``.

        Raises:
            ValueError: the order is closed already.
        """
        now = self.advance()
        order = self._orders.get(order_id)
        if not order.is_open:
            raise ValueError(f"Order {order_id} is {order.status} already.")
        self._lifecycle.end(order, now, status)
        return order.to_json(now)

    @property
    def fill_rules(self) -> list[JsonObject]:
        """The fill rules, as a scenario lists them under ``fills``."""
        return [rule.dump() for rule in self._intake.fill_plan.rules]

    @property
    def auction_rules(self) -> list[JsonObject]:
        """The rules for auctions, as a scenario lists them under ``auctions``."""
        return [dict(rule.spec) for rule in self._auctions.rules]

    @property
    def is_halted(self) -> bool:
        """True if the whole market is halted."""
        return self._market.halted

    @property
    def account_settings(self) -> Account:
        """The settings of the account, without its money."""
        return self._ledger.account
