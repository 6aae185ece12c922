"""What becomes of orders as time passes: activation, executions, cancels, replacements, the end of the day.

Everything that will happen is an event with a due time in one queue. Whoever looks at the exchange first lets happen
what is due; so the model needs no thread and no real time.
"""

import heapq
from collections.abc import Callable, Sequence
from decimal import Decimal

from paper_broker.fills import Part
from paper_broker.formats import ONE, SECOND, ZERO, Wire, identifier, moment, plain, timestamp
from paper_broker.ledger import Ledger
from paper_broker.market import Market
from paper_broker.orders import WORKING, Book, Order
from paper_broker.sessions import Session, Sessions

type Event = tuple[int, int, str, str, str]
"""Due time, sequence, kind, order id, argument."""

_AT_ONCE_OR_NEVER = ("ioc", "fok", "opg", "cls")
"""Times in force that give an order one moment."""
_CLOSING_AUCTION = SECOND // 1000
"""How long before the close orders on the close execute: the model's sessions end before their last instant."""
_ENDED_AT = {"canceled": "canceled_at", "expired": "expired_at", "rejected": "failed_at"}


class Lifecycle:
    """The events of one exchange.

    Args:
        book: every order.
        ledger: what executions change.
        market: prices, and whether an asset is halted.
        sessions: when orders execute.
    """

    def __init__(self, book: Book, ledger: Ledger, market: Market, sessions: Sessions) -> None:
        self._book = book
        self._ledger = ledger
        self._market = market
        self.sessions = sessions
        self.events: list[Event] = []
        self.sequence = 0
        self.activities: list[Wire] = []
        """Executions, oldest first, as ``GET /v2/account/activities`` shows them."""
        self.changes = 0
        """Grows with every change."""
        self.unmatched = False
        """Prices or sessions changed, so that resting orders must be looked at."""
        self._handlers: dict[str, Callable[[Order, int, str], None]] = {
            "activate": self._activate,
            "release": self._release,
            "beat": self._beat,
            "match": lambda order, due, _: self.execute(order, due),
            "end": self.end,
            "canceled": self._canceled,
            "close": self._close,
            "replace": self._replace,
        }

    def settle(self, now: int) -> None:
        """Let happen what is due."""
        while self.events and self.events[0][0] <= now:
            due, _, kind, order_id, argument = heapq.heappop(self.events)
            order = self._book.orders[order_id]
            if order.is_open:
                self._handlers[kind](order, due, argument)
        if self.unmatched:
            self.unmatched = False
            for order in list(self._book.open.values()):
                self.execute(order, now)

    def schedule(self, due: int, kind: str, order: Order, argument: str = "") -> None:
        """Put an event into the queue; equal due times happen in the order of this call."""
        self.sequence += 1
        heapq.heappush(self.events, (due, self.sequence, kind, order.id, argument))

    def admit(self, order: Order, now: int) -> None:
        """Begin the life of a submitted order: pending, or accepted until the next session opens."""
        self.changes += 1
        self._book.add(order)
        self.plan_session(order, now)

    def plan_session(self, order: Order, now: int) -> None:
        """Set when the order starts working and when its day ends."""
        session = self.sessions.current_or_next(now, extended=order.extended_hours)
        if order.status not in WORKING:
            waits = session is None or session.open > now or order.time_in_force == "cls"
            order.status = "accepted" if waits else "pending_new"
            order.activates_at = self._starts_at(order, session, now)
            if order.activates_at is not None:
                self.schedule(order.activates_at, "activate", order)
        order.expires_at = None
        if session is not None and order.time_in_force != "gtc":
            order.expires_at = self.sessions.close_of(session)
        if order.expires_at is not None:
            self.schedule(order.expires_at, "close", order)

    def _starts_at(self, order: Order, session: Session | None, now: int) -> int | None:
        if session is None:
            return None
        opening, close = session.open, self.sessions.close_of(session)
        if order.time_in_force == "cls" and close is not None:
            opening = close - _CLOSING_AUCTION
        return max(opening, now + order.behaviour.pending_new)

    def replan(self, sessions: Sessions, now: int) -> None:
        """Other trading hours: every open order gets new times."""
        self.sessions = sessions
        for order in self._book.open.values():
            if order.replaces is None or order.replaces not in self._book.open:
                self.plan_session(order, now)
        self.unmatched = True
        self.changes += 1

    def _activate(self, order: Order, due: int, _: str) -> None:
        if order.activates_at != due or order.status in WORKING:
            return
        self._set(order, "new", due)
        released = ZERO
        for part in self._parts(order):
            released = min(released + part.fraction, ONE)
            self.schedule(due + part.after, "release", order, str(released))
        if order.behaviour.end is not None:
            status, after = order.behaviour.end
            self.schedule(due + after, "end", order, status)
        if order.time_in_force in _AT_ONCE_OR_NEVER:
            self.schedule(due, "end", order, "canceled")

    @staticmethod
    def _parts(order: Order) -> Sequence[Part]:
        parts = order.behaviour.parts
        at_once = sum((part.fraction for part in parts if not part.after), ZERO)
        return () if order.time_in_force == "fok" and at_once < ONE else parts

    def _release(self, order: Order, due: int, fraction: str) -> None:
        order.released = max(order.released, Decimal(fraction))
        self.execute(order, due)

    def _beat(self, order: Order, due: int, fraction: str) -> None:
        """Part of what is left executes before a cancel or a replacement gets there."""
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
        old = self._book.orders[order.replaces or ""]
        if not old.is_open:  # it was filled first: a replacement can lose this race
            self.end(order, due, "rejected")
            return
        old.replaced_by, old.replaced_at = order.id, due
        self._finish(old, "replaced", due)
        self.plan_session(order, due)

    def execute(self, order: Order, now: int) -> None:
        """Execute what the script has released, if the market is open and the price is right."""
        if order.released <= order.executed or order.status not in WORKING:
            return
        asset = self._market.assets[order.symbol]
        session = self.sessions.current_or_next(now, extended=order.extended_hours)
        if asset.halted or self._market.halted or session is None:
            return
        if session.open > now:
            self.schedule(session.open, "match", order)
            return
        price = self.price(order, scripted=not order.behaviour.gated)
        if price is not None:
            self.fill(order, now, order.released, price)

    def price(self, order: Order, *, scripted: bool) -> Decimal | None:
        """The price of an execution now, if there is one: the touch, or the order's own limit for scripted ones."""
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
        """Execute up to a fraction of the order at a price."""
        qty = order.due_qty(fraction, price)
        order.executed = fraction
        if qty:
            self.book_execution(order, now, qty, price)
        if order.qty is None and fraction >= ONE and order.is_open:
            self._fill_up(order, now)

    def book_execution(self, order: Order, now: int, qty: Decimal, price: Decimal) -> None:
        """Move shares and cash, and tell it in the order and among the activities."""
        if order.side == "buy":
            self._ledger.buy(order.symbol, qty, price)
        else:
            self._ledger.sell(order.symbol, qty, price, now)
        order.filled_qty += qty
        order.filled_value += qty * price
        order.filled_at = now
        order.priced_at = now + order.behaviour.price_pending
        if order.qty is not None and order.filled_qty == order.qty:
            self._fill_up(order, now)
        elif order.status in ("pending_cancel", "pending_replace"):
            self._set(order, order.status, now)
        else:
            self._set(order, "partially_filled", now)
        self.activities.append(self._activity(order, now, qty, price))

    def _fill_up(self, order: Order, now: int) -> None:
        order.executed = ONE
        self._finish(order, "filled", now)

    def _activity(self, order: Order, now: int, qty: Decimal, price: Decimal) -> Wire:
        digest = identifier("execution", order.id, len(self.activities))
        left = ZERO if order.qty is None else order.qty - order.filled_qty
        return {
            "id": f"{moment(now):%Y%m%d%H%M%S}{now // 1_000_000 % 1000:03d}::{digest}",
            "activity_type": "FILL",
            "type": "partial_fill" if order.is_open else "fill",
            "transaction_time": timestamp(now),
            "order_id": order.id,
            "order_status": order.status,
            "symbol": order.symbol,
            "side": order.side,
            "qty": plain(qty),
            "price": plain(price),
            "cum_qty": plain(order.filled_qty),
            "leaves_qty": plain(left),
        }

    def request_cancel(self, order: Order, now: int) -> None:
        """A cancel is a request: fills may come first, and its confirmation may take its time."""
        behaviour = order.behaviour
        if behaviour.beats_cancel and order.status in WORKING:
            self.schedule(now, "beat", order, str(behaviour.beats_cancel))
        self._set(order, "pending_cancel", now)
        if behaviour.cancel is not None:
            self.schedule(now + behaviour.cancel, "canceled", order)

    def request_replace(self, old: Order, new: Order, now: int) -> None:
        """The old order stays in force until the new one takes its place; a fill of the old one comes first."""
        if old.behaviour.beats_replace:
            self.schedule(now, "beat", old, str(old.behaviour.beats_replace))
        self._set(old, "pending_replace", now)
        self._book.add(new)
        self.schedule(now + old.behaviour.replace, "replace", new)

    def end(self, order: Order, now: int, status: str) -> None:
        """Cancel, expire or reject an open order; one that was about to be replaced by it goes on."""
        setattr(order, _ENDED_AT[status], now)
        self._finish(order, status, now)
        old = self._book.open.get(order.replaces or "")
        if old is not None and old.status == "pending_replace":
            self._set(old, "partially_filled" if old.filled_qty else "new", now)
            self.unmatched = True

    def _finish(self, order: Order, status: str, now: int) -> None:
        self._set(order, status, now)
        del self._book.open[order.id]

    def _set(self, order: Order, status: str, now: int) -> None:
        order.status, order.updated_at = status, now
        self.changes += 1
