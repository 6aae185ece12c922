"""The control book in memory: what ``DynamoRiskStore`` promises, without a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from rebalance_executor.domain.errors import DayChanged
from rebalance_executor.domain.risk_state import (
    NEVER_SET,
    DailyUsage,
    KillSwitchRecord,
    Reservation,
    RiskState,
    StartedPlan,
)
from rebalance_simulation.idempotency_store import CallHook


@dataclass(slots=True)
class _Day:
    day: DailyUsage
    plans: dict[str, StartedPlan] = field(default_factory=dict)
    last_plan: str | None = None


class InMemoryRiskStore:
    """Implements ``RiskStore``; the journal in memory writes its reservations into it.

    Args:
        way: how effects come about.
    """

    def __init__(self, way: CallHook) -> None:
        self._way = way
        self._days: dict[tuple[str, date], _Day] = {}
        self.kill_switch_settings: dict[str, list[KillSwitchRecord]] = {}
        """Every setting of each account's kill switch, the last one holds; not a port call."""

    def load(self, account: str, day: date) -> RiskState:
        """Kill switch and reservations of that trading day."""

        def read() -> RiskState:
            known = self._days.get((account, day), _Day(DailyUsage(day)))
            return RiskState(self._switch(account), known.day, sorted(known.plans.values(), key=lambda plan: plan.at))

        return self._way("risk_store.load", read)

    def kill_switch(self, account: str) -> KillSwitchRecord:
        """The kill switch as it is now."""
        return self._way("risk_store.kill_switch", lambda: self._switch(account))

    def set_kill_switch(self, account: str, switch: KillSwitchRecord) -> None:
        """Set the kill switch."""
        self._way(
            "risk_store.set_kill_switch", lambda: self.kill_switch_settings.setdefault(account, []).append(switch)
        )

    def reserved(self, account: str) -> list[tuple[DailyUsage, frozenset[str]]]:
        """Each trading day's reservations with the plans that made them; not a port call."""
        return [(one.day, frozenset(one.plans)) for (owner, _), one in self._days.items() if owner == account]

    def check(self, account: str, reservation: Reservation) -> None:
        """Raise ``DayChanged`` where the day is not what the reservation was made from; part of a write."""
        known = self._days.get((account, reservation.before.on), _Day(DailyUsage(reservation.before.on)))
        if known.last_plan != reservation.plan.plan_id and known.day.plans != reservation.before.plans:
            raise DayChanged("another plan was begun meanwhile", day=reservation.before.on)

    def apply(self, account: str, reservation: Reservation) -> None:
        """Keep a reservation; part of a write."""
        known = self._days.setdefault((account, reservation.after.on), _Day(reservation.after))
        known.day, known.last_plan = reservation.after, reservation.plan.plan_id
        known.plans[reservation.plan.plan_id] = reservation.plan

    def _switch(self, account: str) -> KillSwitchRecord:
        return self.kill_switch_settings.get(account, [NEVER_SET])[-1]
