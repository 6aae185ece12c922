"""What the controls remember of an account: its kill switch, and what was reserved in a trading day. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from rebalance_executor.domain.market import ZERO, Side

PROGRAM = "rebalance-executor"
"""Who set a kill switch that the program tripped itself."""


class TradingState(StrEnum):
    """How much an account may do."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    """Sells only."""
    HALTED = "HALTED"
    """Nothing is sent; resting orders are cancelled."""


@dataclass(frozen=True, slots=True)
class KillSwitchRecord:
    """An account's kill switch: its state, and who set it when and why."""

    state: TradingState
    by: str
    reason: str
    at: datetime | None = None
    """None for a switch that nobody ever set."""


NEVER_SET = KillSwitchRecord(TradingState.ACTIVE, by="nobody", reason="never set")
"""The switch of an account for which none was ever set."""


@dataclass(frozen=True, slots=True)
class DailyUsage:
    """What an account's plans reserved in one trading day, which ends with the close of its session.

    Counted when a plan is begun, before anything is sent, and never given back: what became of an order does not
    matter, and an unknown one counts in full.
    """

    on: date
    plans: int = 0
    """Plans begun; it counts every reservation, and so tells whether another one came between."""
    buys: Decimal = ZERO
    """Dollars at arrival mid."""
    sells: Decimal = ZERO

    @property
    def gross(self) -> Decimal:
        """Dollars bought and sold."""
        return self.buys + self.sells

    @property
    def net(self) -> Decimal:
        """Dollars by which buys and sells differ."""
        return abs(self.buys - self.sells)

    def plus(self, buys: Decimal, sells: Decimal) -> DailyUsage:
        """The day with one more plan in it."""
        return DailyUsage(self.on, self.plans + 1, self.buys + buys, self.sells + sells)


@dataclass(frozen=True, slots=True)
class ReservedOrder:
    """One order that a plan was begun with."""

    symbol: str
    side: Side
    qty: Decimal
    dollars: Decimal | None = None
    """What the plan asked for; None where an earlier version reserved it."""


@dataclass(frozen=True, slots=True)
class StartedPlan:
    """One plan of a trading day with its orders."""

    plan_id: str
    at: datetime
    orders: tuple[ReservedOrder, ...] = ()


@dataclass(frozen=True, slots=True)
class RiskState:
    """Everything the controls remember of an account, read at once."""

    kill_switch: KillSwitchRecord
    usage: DailyUsage
    plans: Sequence[StartedPlan] = ()
    """Those begun in that day."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """A plan's share of the day, written together with its journal: both or neither.

    Refused where the day is no longer ``before``.
    """

    before: DailyUsage
    after: DailyUsage
    plan: StartedPlan
