"""Orders, and the book that keeps every order the account ever had."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from decimal import Decimal
from itertools import islice
from typing import Any

from paper_broker.errors import malformed, not_found
from paper_broker.fills import FillBehaviour
from paper_broker.formats import ONE, ZERO, Wire, parse_instant, plain, plain_or_none, timestamp, timestamp_or_none

FINISHED = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})
"""Statuses that never change again."""
WORKING = frozenset({"new", "partially_filled", "pending_cancel", "pending_replace"})
"""Statuses in which shares may execute."""
LARGEST_PAGE = 500
_PRICE_PLACES = Decimal("0.000001")


@dataclass(slots=True)
class Order:
    """One order; prices in dollars, quantities in shares, instants in nanoseconds since the epoch."""

    id: str
    client_order_id: str
    symbol: str
    asset_id: str
    side: str
    type: str
    time_in_force: str
    behaviour: FillBehaviour
    submitted_at: int
    updated_at: int
    qty: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    extended_hours: bool = False
    status: str = "pending_new"
    filled_qty: Decimal = ZERO
    filled_value: Decimal = ZERO
    """Dollars of all executions."""
    collar: Decimal | None = None
    """The worst price of an order without a limit: Alpaca turns market orders into limits a few per cent away."""
    notional_hold: Decimal = ZERO
    """Shares that a notional sale may take."""
    released: Decimal = ZERO
    """The fraction that may execute as soon as there is a price."""
    executed: Decimal = ZERO
    """The fraction that was executed."""
    triggered: bool = False
    """A stop order whose stop price was reached."""
    activates_at: int | None = None
    expires_at: int | None = None
    priced_at: int = 0
    """When the average price of the executions can be seen."""
    filled_at: int | None = None
    canceled_at: int | None = None
    expired_at: int | None = None
    failed_at: int | None = None
    replaced_at: int | None = None
    replaced_by: str | None = None
    replaces: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether anything can still happen to it."""
        return self.status not in FINISHED

    @property
    def worst_price(self) -> Decimal | None:
        """The limit, or the collar of an order without one."""
        return self.limit_price if self.limit_price is not None else self.collar

    @property
    def held_cash(self) -> Decimal:
        """Dollars that an open buy keeps from other orders."""
        if self.side != "buy":
            return ZERO
        if self.qty is None:
            return (self.notional or ZERO) - self.filled_value
        return (self.qty - self.filled_qty) * (self.worst_price or ZERO)

    @property
    def held_qty(self) -> Decimal:
        """Shares that an open sale keeps from other orders."""
        if self.side != "sell":
            return ZERO
        return (self.notional_hold if self.qty is None else self.qty) - self.filled_qty

    def due_qty(self, fraction: Decimal, price: Decimal) -> Decimal:
        """Shares that bring the order to this fraction of its quantity or of its dollars."""
        if self.qty is None:
            due = ((self.notional or ZERO) * fraction - self.filled_value) / price
            due = _floor(due, Decimal("1E-9"))
            return max(min(due, self.held_qty) if self.side == "sell" else due, ZERO)
        if fraction >= ONE:
            return self.qty - self.filled_qty
        step = ONE if self.qty == self.qty.to_integral_value() else Decimal("1E-9")
        return max(_floor(self.qty * fraction, step) - self.filled_qty, ZERO)

    def wire(self, now: int) -> Wire:
        """The order as Alpaca sends it; the average price may appear later than the fill."""
        price = None
        if self.filled_qty and now >= self.priced_at:
            price = plain((self.filled_value / self.filled_qty).quantize(_PRICE_PLACES))
        return {
            "id": self.id,
            "client_order_id": self.client_order_id,
            "created_at": timestamp(self.submitted_at),
            "updated_at": timestamp(self.updated_at),
            "submitted_at": timestamp(self.submitted_at),
            "filled_at": timestamp_or_none(self.filled_at),
            "expired_at": timestamp_or_none(self.expired_at),
            "canceled_at": timestamp_or_none(self.canceled_at),
            "failed_at": timestamp_or_none(self.failed_at),
            "replaced_at": timestamp_or_none(self.replaced_at),
            "replaced_by": self.replaced_by,
            "replaces": self.replaces,
            "asset_id": self.asset_id,
            "symbol": self.symbol,
            "asset_class": "us_equity",
            "notional": plain_or_none(self.notional),
            "qty": plain_or_none(self.qty),
            "filled_qty": plain(self.filled_qty),
            "filled_avg_price": price,
            "order_class": "",
            "order_type": self.type,
            "type": self.type,
            "side": self.side,
            "position_intent": "buy_to_open" if self.side == "buy" else "sell_to_close",
            "time_in_force": self.time_in_force,
            "limit_price": plain_or_none(self.limit_price),
            "stop_price": plain_or_none(self.stop_price),
            "status": self._shown_status(),
            "extended_hours": self.extended_hours,
            "legs": None,
            "trail_percent": None,
            "trail_price": None,
            "hwm": None,
            "source": None,
            "subtag": None,
        }

    def _shown_status(self) -> str:
        unlisted = self.behaviour.status
        return unlisted if unlisted and self.status in ("new", "partially_filled") else self.status

    def dump(self) -> Wire:
        """What :meth:`load` takes, ready for JSON."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values["behaviour"] = dict(self.behaviour.spec)
        return {name: str(value) if isinstance(value, Decimal) else value for name, value in values.items()}

    @classmethod
    def load(cls, values: Wire) -> "Order":
        """The order that was dumped."""
        restored: dict[str, Any] = {
            name: Decimal(value) if name in _DECIMALS and value is not None else value for name, value in values.items()
        }
        restored["behaviour"] = FillBehaviour.parse(values["behaviour"])
        return cls(**restored)


_DECIMALS = frozenset({
    "qty", "notional", "limit_price", "stop_price", "filled_qty", "filled_value", "collar", "notional_hold",
    "released", "executed",
})  # fmt: skip


def _floor(value: Decimal, step: Decimal) -> Decimal:
    return value // step * step


@dataclass(frozen=True, slots=True)
class OrderQuery:
    """Which orders to list.

    Attributes:
        status: ``open``, ``closed`` or ``all``.
        limit: at most 500.
        after: only orders submitted later than this timestamp.
        until: only orders submitted earlier than this timestamp.
        direction: ``desc``, the newest first, or ``asc``.
        symbols: only orders of these.
        side: only ``buy`` or only ``sell``.
        after_order_id: only orders submitted later than this one.
        before_order_id: only orders submitted earlier than this one.
    """

    status: str = "open"
    limit: int = 50
    after: str | None = None
    until: str | None = None
    direction: str = "desc"
    symbols: frozenset[str] | None = None
    side: str | None = None
    after_order_id: str | None = None
    before_order_id: str | None = None

    def __post_init__(self) -> None:
        """Refuse what Alpaca does not know."""
        if self.status not in ("open", "closed", "all") or self.direction not in ("asc", "desc"):
            raise malformed("status must be open, closed or all; direction must be asc or desc")
        if not 1 <= self.limit <= LARGEST_PAGE:
            raise malformed(f"limit must be from 1 to {LARGEST_PAGE}")
        by_id = [bound for bound in (self.after_order_id, self.before_order_id) if bound]
        if len(by_id) > 1 or (by_id and (self.after or self.until)):
            raise malformed("give only one of after_order_id and before_order_id, and neither after nor until with it")

    def matches(self, order: Order) -> bool:
        """Whether the order is asked for, times aside."""
        return (
            (self.status == "all" or order.is_open == (self.status == "open"))
            and (self.symbols is None or order.symbol in self.symbols)
            and self.side in (None, order.side)
        )


def boundary(name: str, text: str | None) -> int | None:
    """The instant of a query parameter.

    Raises:
        BrokerError: 422 if it is no timestamp.
    """
    try:
        return None if text is None else parse_instant(text)
    except ValueError as error:
        raise malformed(f"{name} is not a timestamp") from error


@dataclass(slots=True)
class Book:
    """Every order by id, in the order of submission, and the open ones among them."""

    orders: dict[str, Order] = field(default_factory=dict)
    open: dict[str, Order] = field(default_factory=dict)
    by_client_id: dict[str, str] = field(default_factory=dict)
    """Client order ids for ever: one that was used stays used."""

    def add(self, order: Order) -> None:
        """Take a new order in."""
        self.orders[order.id] = order
        self.by_client_id[order.client_order_id] = order.id
        if order.is_open:
            self.open[order.id] = order

    def get(self, order_id: str) -> Order:
        """The order of an id.

        Raises:
            BrokerError: 404.
        """
        if (order := self.orders.get(order_id.lower())) is None:
            raise not_found(f"order not found for {order_id}")
        return order

    def find(self, query: OrderQuery) -> list[Order]:
        """One page of orders in the order of their submission.

        Raises:
            BrokerError: 422 for an unreadable timestamp, 404 for an unknown order.
        """
        first, last = boundary("after", query.after), boundary("until", query.until)
        if query.after_order_id:
            first = self.get(query.after_order_id).submitted_at
        if query.before_order_id:
            last = self.get(query.before_order_id).submitted_at
        known = list((self.open if query.status == "open" else self.orders).values())
        found = (
            order
            for order in (known if query.direction == "asc" else reversed(known))
            if query.matches(order)
            and (first is None or order.submitted_at > first)
            and (last is None or order.submitted_at < last)
        )
        return list(islice(found, query.limit))

    def open_in(self, symbol: str) -> Iterator[Order]:
        """The open orders of one symbol, oldest first."""
        return (order for order in self.open.values() if order.symbol == symbol)

    def held_qty(self, symbol: str, but: Order | None = None) -> Decimal:
        """Shares that open sales hold, one order perhaps left out."""
        return sum((self._extra(o, o.held_qty, but) for o in self.open_in(symbol) if o is not but), ZERO)

    def held_cash(self, but: Order | None = None) -> Decimal:
        """Dollars that open buys hold, one order perhaps left out."""
        return sum((self._extra(o, o.held_cash, but) for o in self.open.values() if o is not but), ZERO)

    def _extra(self, order: Order, held: Decimal, but: Order | None) -> Decimal:
        """Alpaca: while an order is being replaced, the larger one of the two counts."""
        old = self.open.get(order.replaces) if order.replaces else None
        if old is None or old is but:
            return held
        return max(held - (old.held_cash if order.side == "buy" else old.held_qty), ZERO)
