"""Orders, and the store with every order of the account."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from itertools import islice
from typing import Any

from paper_broker.errors import malformed, not_found
from paper_broker.fills import FillBehaviour
from paper_broker.formats import (
    ONE,
    SHARE_STEP,
    ZERO,
    JsonObject,
    format_decimal,
    format_decimal_or_none,
    parse_instant,
    timestamp,
    timestamp_or_none,
)

TERMINAL = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})
"""Terminal statuses."""
WORKING = frozenset({"new", "partially_filled", "pending_cancel", "pending_replace"})
"""Statuses in which an order can execute."""
AUCTION_TIMES_IN_FORCE = ("opg", "cls")
"""Times in force of orders that execute in an auction only: at the open, at the close."""
MAX_PAGE_SIZE = 500
_PRICE_PLACES = Decimal("0.000001")


@dataclass(slots=True)
class Order:
    """An order; prices in dollars, quantities in shares, times in nanoseconds since the epoch."""

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
    advanced_instructions: Mapping[str, Any] | None = None
    status: str = "pending_new"
    filled_qty: Decimal = ZERO
    filled_value: Decimal = ZERO
    """Value of all executions, in dollars."""
    collar: Decimal | None = None
    """Worst price of an order without a limit: Alpaca turns market orders into limit orders a few percent away."""
    notional_hold: Decimal = ZERO
    """Shares that a notional sale reserves."""
    released: Decimal = ZERO
    """Fraction that may execute as soon as there is a price."""
    executed: Decimal = ZERO
    """Fraction that has executed."""
    triggered: bool = False
    """True for a stop order whose stop price was reached."""
    activates_at: int | None = None
    expires_at: int | None = None
    auction_at: int | None = None
    """Time of the auction that the order waits for."""
    auctioned: bool = False
    """True once that auction has run."""
    priced_at: int = 0
    """Time from which the average fill price is visible."""
    unseen_qty: Decimal = ZERO
    """Shares of the last execution, which responses show from ``seen_at`` on."""
    unseen_value: Decimal = ZERO
    """Value of the last execution, in dollars."""
    seen_at: int = 0
    late_fill_at: int | None = None
    """Time of an execution that is due although the order ended."""
    ignored_cancels: int = 0
    """Cancel requests that had no effect."""
    filled_at: int | None = None
    canceled_at: int | None = None
    expired_at: int | None = None
    failed_at: int | None = None
    replaced_at: int | None = None
    replaced_by: str | None = None
    replaces: str | None = None

    @property
    def is_open(self) -> bool:
        """True until the order has a terminal status."""
        return self.status not in TERMINAL

    @property
    def is_auction(self) -> bool:
        """True if the order executes in an auction only."""
        return self.time_in_force in AUCTION_TIMES_IN_FORCE

    @property
    def is_settled(self) -> bool:
        """True if the order never changes again."""
        return self.status in TERMINAL and self.late_fill_at is None

    @property
    def worst_price(self) -> Decimal | None:
        """The limit price, or the collar of an order without a limit."""
        return self.limit_price if self.limit_price is not None else self.collar

    @property
    def held_cash(self) -> Decimal:
        """Dollars reserved for an open buy."""
        if self.side != "buy":
            return ZERO
        if self.qty is None:
            return (self.notional or ZERO) - self.filled_value
        return (self.qty - self.filled_qty) * (self.worst_price or ZERO)

    @property
    def held_qty(self) -> Decimal:
        """Shares reserved for an open sale."""
        if self.side != "sell":
            return ZERO
        return (self.notional_hold if self.qty is None else self.qty) - self.filled_qty

    def due_qty(self, fraction: Decimal, price: Decimal) -> Decimal:
        """Return the shares to execute so that this fraction of the quantity, or of the dollars, is filled."""
        if self.qty is None:
            due = ((self.notional or ZERO) * fraction - self.filled_value) / price
            due = _floor(due, Decimal("1E-9"))
            return max(min(due, self.held_qty) if self.side == "sell" else due, ZERO)
        if fraction >= ONE:
            return self.qty - self.filled_qty
        step = ONE if self.qty == self.qty.to_integral_value() else Decimal("1E-9")
        return max(_floor(self.qty * fraction, step) - self.filled_qty, ZERO)

    def late_qty(self, fraction: Decimal) -> Decimal:
        """Return the shares of a late fill: a fraction of the quantity, at most what remains; none if notional."""
        if self.qty is None:
            return ZERO
        step = ONE if self.qty == self.qty.to_integral_value() else SHARE_STEP
        return min(_floor(self.qty * fraction, step), self.qty - self.filled_qty)

    def to_json(self, now: int) -> JsonObject:
        """Return the order as Alpaca sends it. Average price and quantity may appear later than the fill."""
        price, filled_qty, filled_value = None, self.filled_qty, self.filled_value
        if now < self.seen_at:
            filled_qty, filled_value = filled_qty - self.unseen_qty, filled_value - self.unseen_value
        if filled_qty and now >= self.priced_at:
            price = format_decimal((filled_value / filled_qty).quantize(_PRICE_PLACES))
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
            "notional": format_decimal_or_none(self.notional),
            "qty": format_decimal_or_none(self.qty),
            "filled_qty": format_decimal(filled_qty),
            "filled_avg_price": price,
            "order_class": "",
            "order_type": self.type,
            "type": self.type,
            "side": self.side,
            "position_intent": "buy_to_open" if self.side == "buy" else "sell_to_close",
            "time_in_force": self.time_in_force,
            "limit_price": format_decimal_or_none(self.limit_price),
            "stop_price": format_decimal_or_none(self.stop_price),
            "status": self._shown_status(filled_qty),
            "extended_hours": self.extended_hours,
            "advanced_instructions": self.advanced_instructions,
            "legs": None,
            "trail_percent": None,
            "trail_price": None,
            "hwm": None,
            "source": None,
            "subtag": None,
        }

    def _shown_status(self, filled_qty: Decimal) -> str:
        if self.status not in ("new", "partially_filled"):
            return self.status
        return self.behaviour.status or ("partially_filled" if filled_qty else "new")

    def dump(self) -> JsonObject:
        """Return the order as :meth:`load` accepts it, ready for JSON."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values["behaviour"] = dict(self.behaviour.spec)
        return {name: str(value) if isinstance(value, Decimal) else value for name, value in values.items()}

    @classmethod
    def load(cls, values: JsonObject) -> "Order":
        """Return a dumped order."""
        restored: dict[str, Any] = {
            name: Decimal(value) if name in _DECIMALS and value is not None else value for name, value in values.items()
        }
        restored["behaviour"] = FillBehaviour.parse(values["behaviour"])
        return cls(**restored)


_DECIMALS = frozenset({
    "qty", "notional", "limit_price", "stop_price", "filled_qty", "filled_value", "collar", "notional_hold",
    "released", "executed", "unseen_qty", "unseen_value",
})  # fmt: skip


def _floor(value: Decimal, step: Decimal) -> Decimal:
    return value // step * step


@dataclass(frozen=True, slots=True)
class OrderQuery:
    """Filters and paging of a list of orders.

    Attributes:
        status: ``open``, ``closed`` or ``all``.
        limit: page size, from 1 to 500.
        after: only orders submitted after this timestamp.
        until: only orders submitted before this timestamp.
        direction: ``desc`` (newest first) or ``asc``.
        symbols: only orders of these symbols.
        side: only ``buy`` or only ``sell``.
        after_order_id: only orders submitted after this order.
        before_order_id: only orders submitted before this order.
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
        """Check the query.

        Raises:
            BrokerError: 422 for a value that Alpaca does not accept.
        """
        if self.status not in ("open", "closed", "all") or self.direction not in ("asc", "desc"):
            raise malformed("status must be open, closed or all; direction must be asc or desc")
        if not 1 <= self.limit <= MAX_PAGE_SIZE:
            raise malformed(f"limit must be from 1 to {MAX_PAGE_SIZE}")
        by_id = [bound for bound in (self.after_order_id, self.before_order_id) if bound]
        if len(by_id) > 1 or (by_id and (self.after or self.until)):
            raise malformed("after_order_id, before_order_id and after/until exclude each other")

    def matches(self, order: Order) -> bool:
        """Return whether status, symbol and side match; times are not checked."""
        return (
            (self.status == "all" or order.is_open == (self.status == "open"))
            and (self.symbols is None or order.symbol in self.symbols)
            and self.side in (None, order.side)
        )


def parse_boundary(name: str, text: str | None) -> int | None:
    """Parse a timestamp of the query to nanoseconds since the epoch.

    Args:
        name: name of the parameter, for the message.
        text: its value, if any.

    Raises:
        BrokerError: 422 if the value is not a timestamp.
    """
    try:
        return None if text is None else parse_instant(text)
    except ValueError as error:
        raise malformed(f"{name} is not a timestamp") from error


@dataclass(slots=True)
class OrderStore:
    """All orders of the account in the order of submission, with an index of the open ones."""

    by_id: dict[str, Order] = field(default_factory=dict)
    open: dict[str, Order] = field(default_factory=dict)
    by_client_order_id: dict[str, str] = field(default_factory=dict)
    """Order IDs by client order ID. Entries are never removed: a client order ID cannot be reused."""

    def add(self, order: Order) -> None:
        """Add a new order."""
        self.by_id[order.id] = order
        self.by_client_order_id[order.client_order_id] = order.id
        if order.is_open:
            self.open[order.id] = order

    def get(self, order_id: str) -> Order:
        """Return the order with this ID.

        Raises:
            BrokerError: 404 if there is none.
        """
        if (order := self.by_id.get(order_id.lower())) is None:
            raise not_found(f"order not found for {order_id}")
        return order

    def find(self, query: OrderQuery) -> list[Order]:
        """Return one page of orders, sorted by submission.

        Raises:
            BrokerError: 422 for an invalid timestamp, 404 for an unknown order ID.
        """
        first, last = parse_boundary("after", query.after), parse_boundary("until", query.until)
        if query.after_order_id:
            first = self.get(query.after_order_id).submitted_at
        if query.before_order_id:
            last = self.get(query.before_order_id).submitted_at
        candidates = list((self.open if query.status == "open" else self.by_id).values())
        matching = (
            order
            for order in (candidates if query.direction == "asc" else reversed(candidates))
            if query.matches(order)
            and (first is None or order.submitted_at > first)
            and (last is None or order.submitted_at < last)
        )
        return list(islice(matching, query.limit))

    def open_for(self, symbol: str) -> Iterator[Order]:
        """Return the open orders of one symbol, oldest first."""
        return (order for order in self.open.values() if order.symbol == symbol)

    def held_qty(self, symbol: str, excluding: Order | None = None) -> Decimal:
        """Return the shares reserved for open sales, optionally without one order."""
        return sum(
            (self._beyond_replaced(o, o.held_qty, excluding) for o in self.open_for(symbol) if o is not excluding), ZERO
        )

    def held_cash(self, excluding: Order | None = None) -> Decimal:
        """Return the dollars reserved for open buys, optionally without one order."""
        return sum(
            (self._beyond_replaced(o, o.held_cash, excluding) for o in self.open.values() if o is not excluding), ZERO
        )

    def _beyond_replaced(self, order: Order, held: Decimal, excluding: Order | None) -> Decimal:
        """Return the part of ``held`` to count: Alpaca reserves the larger amount of an order and its replacement."""
        old = self.open.get(order.replaces) if order.replaces else None
        if old is None or old is excluding:
            return held
        return max(held - (old.held_cash if order.side == "buy" else old.held_qty), ZERO)
