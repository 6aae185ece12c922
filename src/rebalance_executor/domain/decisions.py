"""The modes of a run, what a decision on a parent order depends on, and the decisions, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.ladder import WaveSchedule
from rebalance_executor.domain.market import ZERO, OrderType, Quote, TimeInForce
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.sizing import floor_qty
from rebalance_executor.domain.slicing import Slices

# --- modes of a run --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Working:
    """The run places, cancels and settles."""


@dataclass(frozen=True, slots=True)
class Concluding:
    """The run sends nothing new: it cancels open orders and settles every item with this code and message."""

    code: Code
    message: str


@dataclass(frozen=True, slots=True)
class Yielding:
    """The run cancels open orders, waits for the confirmations and asks for redelivery."""

    reason: str
    give_up_at: datetime
    """Time at which the run stops waiting."""


RunMode = Working | Concluding | Yielding
"""The mode of a run: evaluated once per tick and passed down. A run never returns to an earlier mode."""


# --- decisions -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DecisionContext:
    """Everything that a decision depends on, except the parent order and the configuration."""

    now: datetime
    mode: RunMode = field(default_factory=Working)
    quote: Quote | None = None
    """The usable quote; None if there is none."""
    quote_problem: str | None = None
    """Reason why ``quote`` is None."""
    quote_missing_since: datetime | None = None
    """Time since which there is no usable quote; None while there is one."""
    funds: Decimal | None = None
    """Dollars that this buy may still commit; None for sells."""
    are_funds_final: bool = True
    """False while proceeds are to come, or other buys hold dollars that they release if they do not need them."""
    held: Decimal | None = None
    """Shares that the account holds for this sell; None for buys."""
    is_shortage_confirmed: bool = True
    """False while only one reading shows fewer dollars or shares than the journal expects."""
    schedule: WaveSchedule = field(default_factory=WaveSchedule)
    """Urgency, time and number of parents, which choose the rungs of the ladder."""
    is_before_open: bool = False
    """True while only orders for the opening auction may be sent."""
    slices: Slices | None = None
    """The slices of a large parent; ``decide`` derives them."""

    def most(self, parent: ParentOrder, price: Decimal) -> Decimal:
        """Return how many of the remaining shares the funds pay for at ``price``, or the position contains."""
        most = parent.remaining
        if self.held is not None:
            most = min(most, self.held)
        if self.funds is not None and most * price > self.funds:  # compared before it is divided, which rounds
            most = max(self.funds, ZERO) / price
        return most if most == parent.remaining else floor_qty(most, fractionable=parent.fractionable)


@dataclass(frozen=True, slots=True)
class Wait:
    """Decision to do nothing in this tick."""


@dataclass(frozen=True, slots=True)
class Place:
    """Decision to send a new child order of this type, quantity (shares) and limit (dollars per share)."""

    type: OrderType
    qty: Decimal
    limit_price: Decimal | None
    spread_fraction: Decimal | None = None
    """The rung of the ladder, journalled with the child; None for other styles."""
    time_in_force: TimeInForce = TimeInForce.DAY
    note: Code | None = None
    """Limit on the working of the parent, for its result."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Decision to request a cancel of the open child."""


@dataclass(frozen=True, slots=True)
class Settle:
    """Decision to end the parent order with this outcome."""

    outcome: Outcome
    code: Code | None = None
    message: str | None = None


Decision = Wait | Place | Cancel | Settle
