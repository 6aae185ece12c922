"""Parent and child orders as values, and the changes that a broker's report makes to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from rebalance_executor.domain.forecast import CostForecast
from rebalance_executor.domain.market import (
    ZERO,
    Arrival,
    Auction,
    BrokerOrder,
    Display,
    OrderRequest,
    OrderType,
    Side,
    TimeInForce,
)
from rebalance_executor.domain.values import format_decimal

ORDER_LOOKBACK = timedelta(minutes=10)
"""Time before the first submission from which orders are listed: the broker's clock may be behind this program's."""


class Outcome(StrEnum):
    """The outcome of a parent order."""

    FILLED = "FILLED"
    """All of the frozen quantity was filled."""
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    """Some of it was filled; no order is open any more."""
    UNFILLED = "UNFILLED"
    """Orders were sent, nothing was filled; no order is open any more."""
    REJECTED = "REJECTED"
    """The broker rejected it."""
    DENIED = "DENIED"
    """This program's controls denied it before anything was sent."""
    SKIPPED = "SKIPPED"
    """Nothing to do, or no cash left for it."""
    UNRESOLVED = "UNRESOLVED"
    """The broker cannot say how an order ended, or contradicts the journal; an operator must look."""


class ChildState(StrEnum):
    """The stored state of a child order."""

    INTENDED = "INTENDED"
    """Journalled to be sent; it may have been sent."""
    UNKNOWN = "UNKNOWN"
    """Sent, or perhaps sent by a run that ended, without a definite answer."""
    LIVE = "LIVE"
    """At the broker, and not final, or its end is not confirmed or not reported in full."""
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    REPLACED = "REPLACED"
    """Replaced at the broker by an order that is not this program's."""
    NOT_SENT = "NOT_SENT"
    """Never reached the broker, and cannot reach it any more."""


class ChildPhase(StrEnum):
    """The phase of a child order, derived from its stored fields. Decisions depend on it."""

    INTENDED = "INTENDED"
    """Journalled to be sent."""
    UNKNOWN = "UNKNOWN"
    """Sent or perhaps sent, without a definite answer; the program looks it up at the broker."""
    RESEND_REJECTED = "RESEND_REJECTED"
    """Sent again and rejected; the first submission may still arrive."""
    WORKING = "WORKING"
    """Live at the broker."""
    PENDING_CANCEL = "PENDING_CANCEL"
    """Live at the broker; its cancel is journalled."""
    CLOSED_UNCONFIRMED = "CLOSED_UNCONFIRMED"
    """Final at the broker by one reading; a second one has not confirmed it, or its fills are not reported in full."""
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    REPLACED = "REPLACED"
    NOT_SENT = "NOT_SENT"


_OPEN = frozenset({ChildState.INTENDED, ChildState.UNKNOWN, ChildState.LIVE})
_BY_STATUS = {
    "filled": ChildState.FILLED,
    "canceled": ChildState.CANCELED,
    "expired": ChildState.EXPIRED,
    "rejected": ChildState.REJECTED,
    "replaced": ChildState.REPLACED,
}


@dataclass(frozen=True, slots=True)
class ChildOrder:
    """One order at the broker. Quantities in shares, prices in dollars per share."""

    attempt: int
    client_order_id: str
    type: OrderType
    qty: Decimal
    limit_price: Decimal | None
    intended_at: datetime
    """Time at which it was last journalled to be sent."""
    sent_at: datetime | None = None
    """Time at which its request was last sent."""
    maybe_sent_until: datetime | None = None
    """Without a definite answer: the latest time at which it may have been sent."""
    state: ChildState = ChildState.INTENDED
    resent: bool = False
    """True once it is journalled to be sent again, always with the same client order ID and content."""
    order_id: str | None = None
    status: str | None = None
    """The broker's status word, as last reported."""
    filled_qty: Decimal = ZERO
    filled_avg_price: Decimal | None = None
    submitted_at: datetime | None = None
    filled_at: datetime | None = None
    """Time of the latest fill."""
    fill_seen_at: datetime | None = None
    """Time of the first report of the latest fill, by this program's clock; the broker's times may be missing."""
    closed_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    closed_since: datetime | None = None
    """Time of the first report of a final status with at least the present fills, until it is confirmed."""
    reported_at: datetime | None = None
    """Time of the first reading of the present final status, fills and price, until a second one confirms them."""
    other_content: str | None = None
    """Description of the order that the broker has under this client order ID, if its content is not this child's."""
    error_code: str | None = None
    error_message: str | None = None
    spread_fraction: Decimal | None = None
    """The rung of the ladder: 0 is our own side of the spread, 1 the far touch; None for other order styles."""
    extended_hours: bool = False
    """True if it may also be filled before the open."""
    display: Display | None = None
    """Part of it that its exchange shows; None leaves the routing to the broker."""
    time_in_force: TimeInForce = TimeInForce.DAY
    bid: Decimal | None = None
    """Best bid when it was priced."""
    ask: Decimal | None = None
    """Best ask when it was priced."""

    @property
    def mid(self) -> Decimal | None:
        """Midpoint of bid and ask when it was priced."""
        return (self.bid + self.ask) / 2 if self.bid is not None and self.ask is not None else None

    @property
    def latest_send(self) -> datetime:
        """Latest time at which it was sent or may have been sent; before that, the time at which it was journalled."""
        return self.maybe_sent_until or self.sent_at or self.intended_at

    @property
    def phase(self) -> ChildPhase:
        """The phase, derived from the stored fields. ``domain.phases`` lists the transitions."""
        if self.state is ChildState.UNKNOWN and self.error_code is not None:
            return ChildPhase.RESEND_REJECTED
        if self.state is not ChildState.LIVE:
            return ChildPhase[self.state.name]
        if self.closed_since is not None:
            return ChildPhase.CLOSED_UNCONFIRMED
        return ChildPhase.PENDING_CANCEL if self.cancel_requested_at is not None else ChildPhase.WORKING

    @property
    def is_for_auction(self) -> bool:
        """True if it can be filled in an auction only."""
        return self.time_in_force is not TimeInForce.DAY

    @property
    def is_open(self) -> bool:
        """True while it may still fill, or may still arrive at the broker."""
        return self.state in _OPEN

    @property
    def exposure(self) -> Decimal:
        """Shares that this child has filled or may still fill."""
        return max(self.qty, self.filled_qty) if self.is_open else self.filled_qty

    def request(self, symbol: str, side: Side) -> OrderRequest:
        """Return the request of this child. Every submission of a child sends the same request."""
        content = (self.type, self.qty, self.limit_price, self.extended_hours, self.display, self.time_in_force)
        return OrderRequest(self.client_order_id, symbol, side, *content)

    def to_resend(self, now: datetime) -> ChildOrder:
        """Return this child, to be sent again with the same client order ID and content."""
        return replace(
            self, state=ChildState.INTENDED, intended_at=now, sent_at=None, maybe_sent_until=None, resent=True
        )

    def as_unknown(self, now: datetime) -> ChildOrder:
        """Return this child without a definite answer; it may have been sent at any time until ``now``."""
        return replace(self, state=ChildState.UNKNOWN, maybe_sent_until=now)

    @property
    def is_complete(self) -> bool:
        """True if the fills and their average price are reported in full, as far as the status shows."""
        has_all_fills = self.status != "filled" or self.filled_qty >= self.qty  # the status can precede the quantity
        return has_all_fills and (self.filled_qty == 0 or self.filled_avg_price is not None)

    def with_report(self, order: BrokerOrder, now: datetime, confirm_after: timedelta) -> ChildOrder:
        """Return this child after a report of the broker.

        It becomes final when it is filled completely, or when a second reading, at least ``confirm_after`` after the
        first, agrees: a status can precede its fills. In a final phase a report changes nothing.
        """
        if not self.is_open:
            return self
        filled, price = self.filled_qty, self.filled_avg_price
        if order.filled_qty >= filled:  # a price belongs to the fills in the same report; an older one is stale
            filled, price = order.filled_qty, order.filled_avg_price or price
        after = replace(
            self,
            state=ChildState.LIVE,
            order_id=order.id,
            status=order.status,
            filled_qty=filled,
            filled_avg_price=price,
            submitted_at=order.submitted_at or self.submitted_at,
            filled_at=order.filled_at or self.filled_at,
            fill_seen_at=now if filled > self.filled_qty else self.fill_seen_at,
            closed_at=None,
            closed_since=None,
            reported_at=None,
        )
        return self._after_final_report(after, order, now, confirm_after) if order.is_terminal else after

    def with_other_content(self, order: BrokerOrder, now: datetime) -> ChildOrder:
        """Return this child after a report of an order with other content: it is canceled, its fills do not count."""
        since = (self.closed_since or now) if order.is_terminal else None
        text = f"{order.client_order_id} is order {order.id} at the broker, with other content: {order.description}"
        return replace(
            self,
            state=ChildState.LIVE,
            order_id=order.id,
            status=order.status,
            other_content=text,
            closed_since=since,
            reported_at=None,
        )

    def with_late_fill(self, order: BrokerOrder, now: datetime) -> ChildOrder:
        """Return this final child with the shares that the broker filled after its end was confirmed.

        The only change in a final phase. One without more shares or details, or of another order, changes nothing.
        """
        if self.is_open or order.id != self.order_id or not order.is_terminal or order.filled_qty <= self.filled_qty:
            return self
        after = replace(
            self,
            state=_BY_STATUS[order.status],
            status=order.status,
            filled_qty=order.filled_qty,
            filled_avg_price=order.filled_avg_price,
            filled_at=order.filled_at or self.filled_at,
            fill_seen_at=now,
            closed_at=order.closed_at or self.closed_at,
        )
        return after if after.is_complete else self

    def _after_final_report(
        self, after: ChildOrder, order: BrokerOrder, now: datetime, confirm_after: timedelta
    ) -> ChildOrder:
        """Return ``after``, this child with the values of a report of a final status, as final or unconfirmed."""
        known = (self.status, self.filled_qty, self.filled_avg_price)
        is_same = self.reported_at is not None and known == (after.status, after.filled_qty, after.filled_avg_price)
        reported_at = self.reported_at if is_same and self.reported_at is not None else now
        # A report of fewer shares than are known is outdated: it confirms nothing.
        is_confirmed = is_same and order.filled_qty == after.filled_qty and now - reported_at >= confirm_after
        after = replace(after, closed_at=order.closed_at or self.closed_at or now)
        if after.is_complete and (order.status == "filled" or is_confirmed):
            return replace(after, state=_BY_STATUS[order.status])
        has_same_fills = self.closed_since is not None and self.filled_qty == after.filled_qty
        return replace(after, closed_since=self.closed_since if has_same_fills else now, reported_at=reported_at)


@dataclass(frozen=True, slots=True)
class ParentOrder:
    """The order of one BUY or SELL item; children are appended.

    ``qty`` is frozen when the plan starts. Only the cash gate may reduce that of a buy, to the dollars that there are.
    """

    symbol: str
    side: Side
    priority: int
    planned_amount: Decimal
    """Dollars of the plan's item, signed."""
    qty: Decimal
    """Shares; 0 if the parent was denied before it was sized."""
    requested_qty: Decimal | None = None
    """Shares asked for; ``qty`` can be less: whole shares, cash, available shares. None before sizing."""
    target_amount: Decimal | None = None
    """Dollars to the target at arrival, signed; None unless the item was sized by its target."""
    fractionable: bool = True
    arrival: Arrival | None = None
    children: tuple[ChildOrder, ...] = ()
    outcome: Outcome | None = None
    code: str | None = None
    message: str | None = None
    settled_at: datetime | None = None
    previous_close: Decimal | None = None
    """Dollars per share; None if the broker does not report it."""
    held_before: Decimal | None = None
    """Shares held when the plan started; None if unknown."""
    auction: Auction | None = None
    """The auction that it is for; None if it is worked in continuous trading."""
    average_volume: Decimal | None = None
    """Average shares traded per day before the plan; None if unknown, or not needed."""
    forecast: CostForecast | None = None
    """Forecast of its cost when the plan started; None if nothing was to be traded."""

    @property
    def filled_qty(self) -> Decimal:
        """Shares filled by all children."""
        return sum((child.filled_qty for child in self.children), ZERO)

    @property
    def filled_value(self) -> Decimal:
        """Dollars of all fills that have a price."""
        return sum((c.filled_qty * c.filled_avg_price for c in self.children if c.filled_avg_price is not None), ZERO)

    @property
    def displayed(self) -> Decimal:
        """Shares displayed at the far touch at arrival; 0 if they are unknown."""
        return ZERO if self.arrival is None else self.arrival.displayed

    @property
    def requested_amount(self) -> Decimal:
        """Dollars asked for, signed: those to the target, or those of the plan's item."""
        return self.planned_amount if self.target_amount is None else self.target_amount

    @property
    def requested(self) -> Decimal:
        """Shares that the plan asked for; those of the order before it is sized."""
        return self.qty if self.requested_qty is None else self.requested_qty

    @property
    def remaining(self) -> Decimal:
        """Remaining quantity in shares."""
        return self.qty - self.filled_qty

    @property
    def overfill(self) -> str | None:
        """Description of fills beyond the quantity of the parent or of a child; None if there are none."""
        if self.filled_qty <= self.qty and all(child.filled_qty <= child.qty for child in self.children):
            return None
        return f"{format_decimal(self.filled_qty)} shares filled of {format_decimal(self.qty)} ordered"

    @property
    def exposure(self) -> Decimal:
        """Shares that the children have filled or may still fill. ``controls.overfill`` keeps it within ``qty``."""
        return sum((child.exposure for child in self.children), ZERO)

    @property
    def last_child(self) -> ChildOrder | None:
        """The latest child, the only one that can be open."""
        return self.children[-1] if self.children else None

    @property
    def open_child(self) -> ChildOrder | None:
        """The last child while it may still fill, or may still arrive at the broker; None otherwise."""
        last = self.last_child
        return last if last is not None and last.is_open else None

    @property
    def attempts(self) -> int:
        """Number of children that reached the broker or may reach it."""
        return sum(child.state is not ChildState.NOT_SENT for child in self.children)

    def with_child(self, child: ChildOrder) -> ParentOrder:
        """Return this parent with the child of the same attempt replaced, or with a new child appended."""
        if self.children and self.children[-1].attempt == child.attempt:
            return replace(self, children=(*self.children[:-1], child))
        return replace(self, children=(*self.children, child))

    def settled(self, outcome: Outcome, code: str | None, message: str | None, now: datetime) -> ParentOrder:
        """Return this parent with its outcome. A parent that is already settled does not change."""
        if self.outcome is not None:
            return self
        return replace(self, outcome=outcome, code=code or self.code, message=message or self.message, settled_at=now)

    def denied(self, code: str, message: str, now: datetime) -> ParentOrder:
        """Return this parent after a control denied any further order.

        Its outcome is DENIED if nothing was sent, and otherwise follows from its fills.
        """
        outcome = Outcome.PARTIALLY_FILLED if self.filled_qty else Outcome.UNFILLED
        return self.settled(outcome if self.attempts else Outcome.DENIED, code, message, now)

    def mark_unresolved(self, code: str, message: str, now: datetime) -> ParentOrder:
        """Return this settled parent as UNRESOLVED: the broker contradicts the journal, and an operator must look."""
        if self.outcome is Outcome.UNRESOLVED:
            return replace(self, message=f"{self.message}; {message}" if self.message else message)
        return replace(self, outcome=Outcome.UNRESOLVED, code=code, message=message, settled_at=now)
