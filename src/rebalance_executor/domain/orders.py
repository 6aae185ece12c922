"""Parent and child orders as values, and how a broker's report changes them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from rebalance_executor.domain.market import ZERO, BrokerOrder, OrderRequest, OrderType, Side


class Outcome(StrEnum):
    """How a parent order ended."""

    FILLED = "FILLED"
    """All of the frozen quantity was filled."""
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    """Some of it was filled; no order is open any more."""
    UNFILLED = "UNFILLED"
    """Orders were sent, nothing was filled; no order is open any more."""
    REJECTED = "REJECTED"
    """The broker refused it."""
    DENIED = "DENIED"
    """Our own controls refused it before anything was sent."""
    SKIPPED = "SKIPPED"
    """Nothing to do, or no cash left for it."""
    UNRESOLVED = "UNRESOLVED"
    """The truth could not be found out; an operator must look."""


class ChildState(StrEnum):
    """What this program knows of a child order."""

    INTENDED = "INTENDED"
    """Journalled, perhaps sent."""
    UNKNOWN = "UNKNOWN"
    """Sent, or perhaps sent by a run that died, without a definite answer."""
    LIVE = "LIVE"
    """At the broker, not settled (``filled`` without its price or its whole quantity counts as live)."""
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    REPLACED = "REPLACED"
    """Replaced at the broker by somebody else."""
    NOT_SENT = "NOT_SENT"
    """Never reached the broker, and cannot any more."""


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
    """One order at the broker. Quantities in shares, prices in dollars a share."""

    attempt: int
    client_order_id: str
    type: OrderType
    qty: Decimal
    limit_price: Decimal | None
    intended_at: datetime
    """When it was last journalled to be sent."""
    sent_at: datetime | None = None
    """When its request was last sent."""
    maybe_sent_until: datetime | None = None
    """Without a definite answer: the latest time at which it may have been sent."""
    state: ChildState = ChildState.INTENDED
    resent: bool = False
    """Whether it was sent, or may have been, more than once; always with the same id and content."""
    order_id: str | None = None
    status: str | None = None
    """The broker's own word, as last seen."""
    filled_qty: Decimal = ZERO
    filled_avg_price: Decimal | None = None
    submitted_at: datetime | None = None
    closed_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    incomplete_since: datetime | None = None
    """Since when a terminal status is reported without all of its quantity or without its price."""
    error_code: str | None = None
    error_message: str | None = None
    spread_fraction: Decimal | None = None
    """The ladder's rung: fraction of the spread, from our own side, that it was priced at; None off the ladder."""
    extended_hours: bool = False
    """Whether it may also be filled before the open."""
    bid: Decimal | None = None
    """Best bid when it was priced; None where that was not journalled."""
    ask: Decimal | None = None

    @property
    def mid(self) -> Decimal | None:
        """Half-way between bid and ask when it was priced."""
        return (self.bid + self.ask) / 2 if self.bid is not None and self.ask is not None else None

    @property
    def latest_send(self) -> datetime:
        """The latest time at which it was sent or may have been; before that, when it was journalled."""
        return self.maybe_sent_until or self.sent_at or self.intended_at

    @property
    def is_open(self) -> bool:
        """Whether it may still fill, or may still appear at the broker."""
        return self.state in _OPEN

    @property
    def exposure(self) -> Decimal:
        """Shares that this child has filled or may still fill."""
        return max(self.qty, self.filled_qty) if self.is_open else self.filled_qty

    def request(self, symbol: str, side: Side) -> OrderRequest:
        """What is sent for this child: always the same, however often."""
        limit = self.limit_price
        return OrderRequest(self.client_order_id, symbol, side, self.type, self.qty, limit, self.extended_hours)

    def to_resend(self, now: datetime) -> ChildOrder:
        """Return this child journalled to be sent again: same client order id, same content."""
        return replace(
            self, state=ChildState.INTENDED, intended_at=now, sent_at=None, maybe_sent_until=None, resent=True
        )

    def as_unknown(self, now: datetime) -> ChildOrder:
        """Return this child without a definite answer; it may have been sent at any time until ``now``."""
        return replace(self, state=ChildState.UNKNOWN, maybe_sent_until=now)

    def with_report(self, order: BrokerOrder, now: datetime) -> ChildOrder:
        """This child after the broker reported it. A settled child never changes again."""
        if not self.is_open:
            return self
        filled, price = self.filled_qty, self.filled_avg_price
        if order.filled_qty >= filled:  # a price belongs to the fills it was told with; an older report is stale
            filled, price = order.filled_qty, order.filled_avg_price or price
        is_whole = order.status != "filled" or filled >= self.qty  # ``filled`` can come before the quantity, too
        settled = order.is_terminal and is_whole and (filled == 0 or price is not None)
        late = not settled and order.is_terminal
        return replace(
            self,
            state=_BY_STATUS[order.status] if settled else ChildState.LIVE,
            order_id=order.id,
            status=order.status,
            filled_qty=filled,
            filled_avg_price=price,
            submitted_at=order.submitted_at or self.submitted_at,
            closed_at=(order.closed_at or now) if order.is_terminal else None,
            incomplete_since=(self.incomplete_since or now) if late else None,
        )


@dataclass(frozen=True, slots=True)
class Arrival:
    """The quote that the parent is measured against: bid and ask in dollars when it was sized."""

    bid: Decimal
    ask: Decimal
    at: datetime

    @property
    def mid(self) -> Decimal:
        """Arrival price: half-way between bid and ask."""
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, slots=True)
class ParentOrder:
    """What one BUY or SELL item becomes. ``qty`` is frozen before the first child; children only append."""

    symbol: str
    side: Side
    priority: int
    planned_amount: Decimal
    """Dollars of the plan's item, signed."""
    qty: Decimal
    """Shares; 0 where the parent was denied before it could be sized."""
    fractionable: bool = True
    arrival: Arrival | None = None
    children: tuple[ChildOrder, ...] = ()
    outcome: Outcome | None = None
    code: str | None = None
    message: str | None = None
    settled_at: datetime | None = None
    previous_close: Decimal | None = None
    """Dollars a share, where the broker tells it."""
    held_before: Decimal | None = None
    """Shares held when the plan was begun; None where that is not known."""

    @property
    def filled_qty(self) -> Decimal:
        """Shares filled by all children."""
        return sum((child.filled_qty for child in self.children), ZERO)

    @property
    def filled_value(self) -> Decimal:
        """Dollars of all fills whose price is known."""
        return sum((c.filled_qty * c.filled_avg_price for c in self.children if c.filled_avg_price is not None), ZERO)

    @property
    def remaining(self) -> Decimal:
        """Shares still wanted."""
        return self.qty - self.filled_qty

    @property
    def exposure(self) -> Decimal:
        """Filled + live + unknown shares: what must never exceed ``qty``."""
        return sum((child.exposure for child in self.children), ZERO)

    @property
    def last_child(self) -> ChildOrder | None:
        """The latest child, the only one that can be open."""
        return self.children[-1] if self.children else None

    @property
    def open_child(self) -> ChildOrder | None:
        """The child that is live or unknown, if any."""
        last = self.last_child
        return last if last is not None and last.is_open else None

    @property
    def attempts(self) -> int:
        """Children that reached the broker, or may have."""
        return sum(child.state is not ChildState.NOT_SENT for child in self.children)

    def with_child(self, child: ChildOrder) -> ParentOrder:
        """This parent with its child of the same attempt replaced, or with a new child appended."""
        if self.children and self.children[-1].attempt == child.attempt:
            return replace(self, children=(*self.children[:-1], child))
        return replace(self, children=(*self.children, child))

    def settled(self, outcome: Outcome, code: str | None, message: str | None, now: datetime) -> ParentOrder:
        """This parent with its outcome. A settled parent never changes again."""
        if self.outcome is not None:
            return self
        return replace(self, outcome=outcome, code=code or self.code, message=message or self.message, settled_at=now)

    def denied(self, code: str, message: str, now: datetime) -> ParentOrder:
        """This parent after a control refused to send any more of it: DENIED where nothing was ever sent."""
        outcome = Outcome.PARTIALLY_FILLED if self.filled_qty else Outcome.UNFILLED
        return self.settled(outcome if self.attempts else Outcome.DENIED, code, message, now)

    def mark_unresolved(self, code: str, message: str, now: datetime) -> ParentOrder:
        """This settled parent after something else than its journal turned up: an operator must look."""
        if self.outcome is Outcome.UNRESOLVED:
            return replace(self, message=f"{self.message}; {message}" if self.message else message)
        return replace(self, outcome=Outcome.UNRESOLVED, code=code, message=message, settled_at=now)


def child_order_prefix(account: str, plan_id: str) -> str:
    """How the client order ids of one plan begin."""
    return f"rb1-{hashlib.sha256(f'{account}\x1f{plan_id}'.encode()).hexdigest()[:20]}-"


def child_order_id(account: str, plan_id: str, symbol: str, attempt: int) -> str:
    """The client order id of one child: a function of account, plan, item and attempt, nothing else.

    At most 78 of Alpaca's 128 characters; 80 bits of digest keep plans apart, the rest is for readers.
    """
    return f"{child_order_prefix(account, plan_id)}{symbol}-{attempt}"
