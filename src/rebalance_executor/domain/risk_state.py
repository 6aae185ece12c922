"""State of an account's controls: its kill switch, and the dollars reserved in a trading day. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.market import ZERO, Side

PROGRAM = "rebalance-executor"
"""Name recorded as ``by`` when the program trips the kill switch itself."""


class TradingState(StrEnum):
    """Trading that the kill switch allows."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    """Sells only."""
    HALTED = "HALTED"
    """No orders are sent; resting orders are canceled."""


@dataclass(frozen=True, slots=True)
class KillSwitchRecord:
    """An account's kill switch: its state, with the operator, the reason and the time (UTC) of its latest change."""

    state: TradingState
    by: str
    reason: str
    at: datetime | None = None
    """None if the switch was never set."""


NEVER_SET = KillSwitchRecord(TradingState.ACTIVE, by="default", reason="never set")
"""Kill switch of an account whose switch was never set."""


def operator_and_reason(by: str, reason: str) -> tuple[str, str]:
    """Return the name of an operator and the reason of a change, without surrounding spaces.

    Raises:
        InvalidInput: one of them is missing; later readers need both.
    """
    for field, text in (("by", by), ("reason", reason)):
        if not text.strip():
            raise InvalidInput(field, "is missing: an operator changes this with a name and a reason")
    return by.strip(), reason.strip()


@dataclass(frozen=True, slots=True)
class AccountBinding:
    """The account name that a broker account belongs to; if an operator moved it, with their name and the reason."""

    account_number: str
    account: str
    bound_at: datetime
    by: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class DailyUsage:
    """Dollars that an account's plans reserved in one trading day, which ends with the close of its session.

    They are added when a plan starts, before an order is sent, and never released: every order counts in full, whatever
    its outcome.
    """

    on: date
    plans: int = 0
    """Plans started. Every reservation increments it, so a changed count reveals a concurrent reservation."""
    buys: Decimal = ZERO
    """Dollars at arrival mid."""
    sells: Decimal = ZERO

    @property
    def gross(self) -> Decimal:
        """Dollars bought plus dollars sold."""
        return self.buys + self.sells

    @property
    def net(self) -> Decimal:
        """Difference between buys and sells in dollars, unsigned."""
        return abs(self.buys - self.sells)

    def plus(self, buys: Decimal, sells: Decimal) -> DailyUsage:
        """Return the day with one more plan of these dollars."""
        return DailyUsage(self.on, self.plans + 1, self.buys + buys, self.sells + sells)


@dataclass(frozen=True, slots=True)
class ReservedOrder:
    """One order of a started plan, as it was sized."""

    symbol: str
    side: Side
    qty: Decimal
    dollars: Decimal
    """Dollars of the plan's item, unsigned."""


@dataclass(frozen=True, slots=True)
class StartedPlan:
    """One plan of a trading day, with its orders."""

    plan_id: str
    at: datetime
    orders: tuple[ReservedOrder, ...] = ()


@dataclass(frozen=True, slots=True)
class RiskState:
    """The state of an account's controls, read in one request."""

    kill_switch: KillSwitchRecord
    usage: DailyUsage
    plans: Sequence[StartedPlan] = ()
    """Plans started on that day."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """A plan's part of the trading day, written in one transaction with the plan's journal.

    The write fails if the stored day is no longer ``before``.
    """

    before: DailyUsage
    after: DailyUsage
    plan: StartedPlan
