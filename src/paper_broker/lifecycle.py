"""The lifecycle of orders over time: activation, executions, cancels, replacements, the end of the day.

Future changes are events with a due time in one queue. The exchange processes due events at the start of each call, so
the model needs neither threads nor real time.
"""

import heapq
from collections.abc import Callable, Sequence
from decimal import Decimal

from paper_broker.auction_orders import AuctionOrders
from paper_broker.auctions import Auctions
from paper_broker.fills import Part, pieces
from paper_broker.formats import ONE, ZERO, JsonObject, format_decimal, identifier, timestamp, to_datetime
from paper_broker.ledger import Ledger
from paper_broker.market import Asset, Market
from paper_broker.orders import WORKING, Order, OrderStore
from paper_broker.past import Past
from paper_broker.sessions import Sessions

type Event = tuple[int, int, str, str, str]
"""Due time, sequence number, kind, order ID, argument."""

_ONE_SHOT_TIMES_IN_FORCE = ("ioc", "fok")
"""Times in force that execute at once or never."""
_CLOSED_AT = {"canceled": "canceled_at", "expired": "expired_at", "rejected": "failed_at"}


class Lifecycle:
    """The event queue of one exchange.

    Args:
        orders: all orders.
        ledger: cash and positions, changed by executions.
        market: prices, and which assets are halted.
        auctions: trading hours, and what auctions execute.
    """

    def __init__(self, orders: OrderStore, ledger: Ledger, market: Market, auctions: Auctions) -> None:
        self._orders = orders
        self._ledger = ledger
        self._market = market
        self._auctions = auctions
        self.events: list[Event] = []
        self.sequence = 0
        self.activities: list[JsonObject] = []
        """Executions, oldest first, as in ``GET /v2/account/activities``."""
        self.changes = 0
        """Counter of changes."""
        self.needs_matching = False
        """True if prices or sessions changed, so that resting orders must be matched."""
        self.past: Past | None = None
        """Recorder of the changes, if a response shows the past."""
        self._handlers: dict[str, Callable[[Order, int, str], None]] = {
            "activate": self._activate,
            "release": self._release,
            "fill_first": self._fill_first,
            "match": lambda order, due, _: self.execute(order, due),
            "end": self.end,
            "canceled": self._canceled,
            "close": self._close,
            "replace": self._replace,
            "late_fill": self._late_fill,
        }
        self._auction_orders = AuctionOrders(self, auctions)
        self._handlers |= self._auction_orders.handlers

    @property
    def sessions(self) -> Sessions:
        """The trading hours."""
        return self._auctions.sessions

    def run_due_events(self, now: int) -> None:
        """Process the events that are due, then match resting orders if necessary."""
        while self.events and self.events[0][0] <= now:
            due, _, kind, order_id, argument = heapq.heappop(self.events)
            order = self._orders.by_id[order_id]
            if order.is_open or kind == "late_fill":
                self._handlers[kind](order, due, argument)
                if self.past is not None:
                    self.past.record()
        if self.needs_matching:
            self.needs_matching = False
            for order in list(self._orders.open.values()):
                self.execute(order, now)

    def schedule(self, due: int, kind: str, order: Order, argument: str = "") -> None:
        """Add an event to the queue. Events with equal due times are processed in the order of these calls."""
        self.sequence += 1
        heapq.heappush(self.events, (due, self.sequence, kind, order.id, argument))

    def accept(self, order: Order, now: int) -> None:
        """Add a submitted order: ``pending_new``, or ``accepted`` until the next session opens."""
        self.changes += 1
        self._orders.add(order)
        if order.behaviour.rejected_in_answer:
            self.end(order, now, "rejected")
            return
        self.schedule_session(order, now)

    def schedule_session(self, order: Order, now: int) -> None:
        """Schedule when the order starts working and when it expires."""
        if self.past is not None:
            self.past.change(now, order)
        session = self.sessions.current_or_next(now, extended=order.extended_hours)
        if order.is_auction:
            self._auction_orders.schedule(order, session, now)
            return
        if order.status not in WORKING:
            self.schedule_start(order, None if session is None else session.open, now)
        order.expires_at = None
        if session is not None and order.time_in_force != "gtc":
            order.expires_at = self.sessions.close_of(session)
        if order.expires_at is not None:
            self.schedule(order.expires_at, "close", order)

    def schedule_start(self, order: Order, opening: int | None, now: int) -> None:
        """Schedule when the order starts working: not before ``opening``; None is an unknown time."""
        order.status = "accepted" if opening is None or opening > now else "pending_new"
        order.activates_at = None if opening is None else max(opening, now + order.behaviour.pending_new)
        if order.activates_at is not None:
            self.schedule(order.activates_at, "activate", order)

    def change_sessions(self, sessions: Sessions, now: int) -> None:
        """Change the trading hours and reschedule every open order."""
        self._auctions.change_sessions(sessions, now)
        for order in self._orders.open.values():
            if order.replaces is None or order.replaces not in self._orders.open:
                self.schedule_session(order, now)
        self.needs_matching = True
        self.changes += 1

    def _activate(self, order: Order, due: int, _: str) -> None:
        if order.activates_at != due or order.status in WORKING:
            return
        self._set_status(order, "new", due)
        if order.is_auction:
            self._auction_orders.activate(order, due)
            return
        released = ZERO
        for part in self._parts(order):
            released = min(released + part.fraction, ONE)
            self.schedule(due + part.after, "release", order, str(released))
        if order.behaviour.end is not None:
            status, after = order.behaviour.end
            self.schedule(due + after, "end", order, status)
        if order.time_in_force in _ONE_SHOT_TIMES_IN_FORCE:
            self.schedule(due, "end", order, "canceled")

    def _parts(self, order: Order) -> Sequence[Part]:
        parts, every = order.behaviour.parts, order.behaviour.displayed_every
        quote = self._market.quotes.get(order.symbol)
        if every is not None and order.qty is not None and quote is not None:
            parts = pieces(order.qty, quote.ask_size if order.side == "buy" else quote.bid_size, every)
        at_once = sum((part.fraction for part in parts if not part.after), ZERO)
        return () if order.time_in_force == "fok" and at_once < ONE else parts

    def _release(self, order: Order, due: int, fraction: str) -> None:
        order.released = max(order.released, Decimal(fraction))
        self.execute(order, due)

    def _fill_first(self, order: Order, due: int, fraction: str) -> None:
        """Execute a fraction of the remainder before a cancel or replacement takes effect."""
        target = order.executed + Decimal(fraction) * (ONE - order.executed)
        price = self.price(order, scripted=True)
        if price is not None and order.status in WORKING:
            self.fill(order, due, target, price)

    def _canceled(self, order: Order, due: int, _: str) -> None:
        self.end(order, due, "canceled")

    def _close(self, order: Order, due: int, _: str) -> None:
        if order.expires_at == due:
            self.end(order, due, "canceled" if order.status == "pending_cancel" else order.behaviour.at_close)

    def _replace(self, order: Order, due: int, _: str) -> None:
        old = self._orders.by_id[order.replaces or ""]
        if not old.is_open or old.auctioned:  # the old order filled, or had its auction, first
            self.end(order, due, "rejected")
            return
        old.replaced_by, old.replaced_at = order.id, due
        self._finish(old, "replaced", due)
        self.schedule_session(order, due)

    def execute(self, order: Order, now: int) -> None:
        """Execute the fraction that the script has released, if the market is open and the price allows it."""
        if order.released <= order.executed or order.status not in WORKING or order.is_auction:
            return
        asset = self._market.assets[order.symbol]
        session = self.sessions.current_or_next(now, extended=order.extended_hours)
        if asset.halted or self._market.halted or session is None:
            return
        if session.open > now:
            self.schedule(session.open, "match", order)
            return
        price = self.price(order, scripted=not order.behaviour.marketable_only)
        if price is not None:
            self.fill(order, now, order.released, price)

    def price(self, order: Order, *, scripted: bool) -> Decimal | None:
        """Return the price of an execution now, or None if the order cannot execute.

        Args:
            order: a working order.
            scripted: execute even if the touch is worse than the limit, at the limit.
        """
        quote = self._market.quotes.get(order.symbol)
        buying, worst = order.side == "buy", order.worst_price
        touch = ZERO if quote is None else quote.ask if buying else quote.bid
        price = order.behaviour.price or touch
        if not scripted and not self._triggered(order, touch):
            return None
        if not price:
            last = quote.last if quote else ZERO
            return ((worst or last) or None) if scripted else None
        if worst is None or (price <= worst if buying else price >= worst):
            return price
        return worst if scripted else None

    def _triggered(self, order: Order, touch: Decimal) -> bool:
        if order.stop_price is None or order.triggered:
            return True
        order.triggered = touch > 0 and (
            touch >= order.stop_price if order.side == "buy" else touch <= order.stop_price
        )
        return order.triggered

    def fill(self, order: Order, now: int, fraction: Decimal, price: Decimal) -> None:
        """Execute the order up to a fraction of its quantity, at a price in dollars."""
        qty = order.due_qty(fraction, price)
        order.executed = fraction
        if qty:
            self.record_execution(order, now, qty, price)
        if order.qty is None and fraction >= ONE and order.is_open:
            self._complete(order, now)

    def record_execution(self, order: Order, now: int, qty: Decimal, price: Decimal) -> None:
        """Change shares and cash, update the order, and add an activity."""
        self._book(order, now, qty, price)
        if order.qty is not None and order.filled_qty >= order.qty:
            self._complete(order, now)
        elif order.status in ("pending_cancel", "pending_replace"):
            self._set_status(order, order.status, now)
        else:
            self._set_status(order, "partially_filled", now)
        self.activities.append(self._activity(order, now, qty, price))

    def _book(self, order: Order, now: int, qty: Decimal, price: Decimal) -> None:
        """Change shares, cash and the filled quantity."""
        if order.side == "buy":
            self._ledger.buy(order.symbol, qty, price)
        else:
            self._ledger.sell(order.symbol, qty, price, now)
        order.filled_qty += qty
        order.filled_value += qty * price
        order.filled_at = now
        order.priced_at = now + order.behaviour.price_pending
        if lag := order.behaviour.filled_qty_lag:
            order.unseen_qty, order.unseen_value, order.seen_at = qty, qty * price, now + lag

    def _late_fill(self, order: Order, due: int, fraction: str) -> None:
        """Execute part of an order that ended, without a check of cash and shares: such a print is a fact."""
        order.late_fill_at = None
        price = self.price(order, scripted=True)
        qty = order.late_qty(Decimal(fraction))
        if not price or not qty:
            self.changes += 1
            return
        self._book(order, due, qty, price)
        self._set_status(order, "filled" if order.filled_qty == order.qty else order.status, due)
        self.activities.append(self._activity(order, due, qty, price))

    def change_order(self, order: Order, now: int, asset: Asset, qty: Decimal | None) -> None:
        """Change symbol and quantity of an open order; see :meth:`~paper_broker.exchange.Exchange.change_order`."""
        if not order.is_open:
            raise ValueError(f"Order {order.id} cannot be changed: it is {order.status} already.")
        if qty is not None and (order.qty is None or qty <= order.filled_qty):
            raise ValueError(f"The quantity of order {order.id} must be above {order.filled_qty}, and not notional.")
        order.symbol, order.asset_id = asset.symbol, asset.id
        order.qty = order.qty if qty is None else qty
        self._set_status(order, order.status, now)
        self.needs_matching = True

    def force_fill(self, order: Order, now: int, qty: Decimal | None, price: Decimal | None) -> None:
        """Execute a working order now; see :meth:`~paper_broker.exchange.Exchange.force_fill`."""
        at = self.price(order, scripted=True) if price is None else price
        if order.status not in WORKING or not at or at < 0:
            raise ValueError(f"Order {order.id} cannot be filled: its status is {order.status}, the price {at}.")
        if qty is None:
            self.fill(order, now, ONE, at)
            return
        remaining = (order.qty or ZERO) - order.filled_qty
        if order.qty is None or not 0 < qty <= remaining:
            raise ValueError(f"Cannot fill {qty} of {remaining} shares; a notional order is filled as a whole.")
        self.record_execution(order, now, qty, at)
        order.executed = min(order.filled_qty / order.qty, ONE)

    def _complete(self, order: Order, now: int) -> None:
        order.executed = ONE
        self._finish(order, "filled", now)

    def _activity(self, order: Order, now: int, qty: Decimal, price: Decimal) -> JsonObject:
        digest = identifier("execution", order.id, len(self.activities))
        remaining = ZERO if order.qty is None else order.qty - order.filled_qty
        return {
            "id": f"{to_datetime(now):%Y%m%d%H%M%S}{now // 1_000_000 % 1000:03d}::{digest}",
            "activity_type": "FILL",
            "type": "fill" if order.status == "filled" else "partial_fill",
            "transaction_time": timestamp(now),
            "order_id": order.id,
            "order_status": order.status,
            "symbol": order.symbol,
            "side": order.side,
            "qty": format_decimal(qty),
            "price": format_decimal(price),
            "cum_qty": format_decimal(order.filled_qty),
            "leaves_qty": format_decimal(remaining),
        }

    def request_cancel(self, order: Order, now: int) -> None:
        """Request a cancel. It may have no effect, fills may come first, and it may be late, as scripted."""
        behaviour = order.behaviour
        if order.ignored_cancels < behaviour.cancel_ignored:
            order.ignored_cancels += 1
            self.changes += 1
            return
        if behaviour.beats_cancel and order.status in WORKING and not order.is_auction:
            self.schedule(now, "fill_first", order, str(behaviour.beats_cancel))
        self._set_status(order, "pending_cancel", now)
        if behaviour.cancel is not None:
            self.schedule(now + behaviour.cancel, "canceled", order)

    def request_replace(self, old: Order, new: Order, now: int) -> None:
        """Request a replacement. The old order stays open until the new one replaces it, and may fill before that."""
        if new.behaviour.rejected_in_answer:
            self._orders.add(new)
            self.end(new, now, "rejected")
            return
        if old.behaviour.beats_replace and not old.is_auction:
            self.schedule(now, "fill_first", old, str(old.behaviour.beats_replace))
        self._set_status(old, "pending_replace", now)
        self._orders.add(new)
        if self.past is not None:
            self.past.change(now, new)
        self.schedule(now + old.behaviour.replace, "replace", new)

    def end(self, order: Order, now: int, status: str) -> None:
        """Cancel, expire or reject an open order. If it was to replace another order, that order stays open."""
        setattr(order, _CLOSED_AT[status], now)
        self._finish(order, status, now)
        late = order.behaviour.late_fill
        if late is not None and status != "rejected":
            order.late_fill_at = now + late.after
            self.schedule(order.late_fill_at, "late_fill", order, str(late.fraction))
        old = self._orders.open.get(order.replaces or "")
        if old is not None and old.status == "pending_replace":
            self._set_status(old, "partially_filled" if old.filled_qty else "new", now)
            self.needs_matching = True

    def _finish(self, order: Order, status: str, now: int) -> None:
        self._set_status(order, status, now)
        del self._orders.open[order.id]
        if now < order.seen_at:
            order.seen_at = now + order.behaviour.filled_qty_lag

    def _set_status(self, order: Order, status: str, now: int) -> None:
        order.status, order.updated_at = status, now
        self.changes += 1
        if self.past is not None:
            self.past.change(now, order)
