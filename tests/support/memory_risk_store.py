"""A risk store in memory with the behaviour of ``DynamoRiskStore``, which the contract tests check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

from rebalance_executor.domain.errors import DayChanged
from rebalance_executor.domain.risk_state import (
    NEVER_SET,
    AccountBinding,
    DailyUsage,
    KillSwitchRecord,
    Reservation,
    RiskState,
    StartedPlan,
)


class DatabaseCall(Protocol):
    """Function that runs the effect of a database call and returns its value; a test may let it fail instead."""

    def __call__[T](self, name: str, effect: Callable[[], T], /) -> T:
        """Run ``effect`` under the name of its call."""
        ...


@dataclass(slots=True)
class _Day:
    usage: DailyUsage
    plans: dict[str, StartedPlan] = field(default_factory=dict)
    last_plan: str | None = None


class InMemoryRiskStore:
    """Implementation of ``RiskStore`` in memory. ``InMemoryJournal`` writes reservations to it.

    Args:
        call: runs an effect under the name of its call.
    """

    def __init__(self, call: DatabaseCall) -> None:
        self._call = call
        self._days: dict[tuple[str, date], _Day] = {}
        self.bindings: dict[str, AccountBinding] = {}
        """Bindings by broker account number. Not a port call."""
        self.kill_switch_settings: dict[str, list[KillSwitchRecord]] = {}
        """Every setting of each account's kill switch; the last one applies. Not a port call."""

    def load(self, account: str, day: date) -> RiskState:
        """Return the kill switch and the reservations of that trading day."""

        def read() -> RiskState:
            stored = self._days.get((account, day), _Day(DailyUsage(day)))
            return RiskState(
                self._switch(account), stored.usage, sorted(stored.plans.values(), key=lambda plan: plan.at)
            )

        return self._call("risk_store.load", read)

    def kill_switch(self, account: str) -> KillSwitchRecord:
        """Return the current kill switch."""
        return self._call("risk_store.kill_switch", lambda: self._switch(account))

    def set_kill_switch(self, account: str, switch: KillSwitchRecord) -> None:
        """Set the kill switch."""
        self._call(
            "risk_store.set_kill_switch", lambda: self.kill_switch_settings.setdefault(account, []).append(switch)
        )

    def bind_account(self, account: str, account_number: str, at: datetime) -> AccountBinding:
        """Bind a broker account to this name unless it is bound; return its binding."""
        new = AccountBinding(account_number, account, at)
        return self._call("risk_store.bind_account", lambda: self.bindings.setdefault(account_number, new))

    def reserved(self, account: str) -> list[tuple[DailyUsage, frozenset[str]]]:
        """Return each trading day's usage with the plans that reserved it. Not a port call."""
        return [(one.usage, frozenset(one.plans)) for (owner, _), one in self._days.items() if owner == account]

    def check(self, account: str, reservation: Reservation) -> None:
        """Raise ``DayChanged`` if the day is not the one that the reservation is based on. Part of a write."""
        stored = self._days.get((account, reservation.before.on), _Day(DailyUsage(reservation.before.on)))
        if stored.last_plan != reservation.plan.plan_id and stored.usage.plans != reservation.before.plans:
            raise DayChanged("another plan has started", day=reservation.before.on)

    def apply(self, account: str, reservation: Reservation) -> None:
        """Store a reservation. Part of a write."""
        stored = self._days.setdefault((account, reservation.after.on), _Day(reservation.after))
        stored.usage, stored.last_plan = reservation.after, reservation.plan.plan_id
        stored.plans[reservation.plan.plan_id] = reservation.plan

    def _switch(self, account: str) -> KillSwitchRecord:
        return self.kill_switch_settings.get(account, [NEVER_SET])[-1]
