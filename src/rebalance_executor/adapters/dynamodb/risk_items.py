"""The rows of the control book: pure functions from values to rows and back.

In the account's partition, beside its lease: ``DAY#<date>`` counts a trading day, ``DAY#<date>#<time>#<plan_id>`` is
one plan begun in it, ``SWITCH`` the kill switch as it is and ``SWITCH#<time>`` every setting of it. The sort keys from
a day to ``SWITCH`` are what the controls read at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

from pydantic import TypeAdapter

from rebalance_executor.adapters.dynamodb.journal_items import iso, lease_key, parse_item, timed_item
from rebalance_executor.adapters.dynamodb.table import Item
from rebalance_executor.domain.risk_state import (
    NEVER_SET,
    DailyUsage,
    KillSwitchRecord,
    Reservation,
    RiskState,
    StartedPlan,
)
from rebalance_executor.domain.values import format_decimal

KILL_SWITCH = "SWITCH"

_STARTED: TypeAdapter[StartedPlan] = TypeAdapter(StartedPlan)
_DAY: TypeAdapter[DailyUsage] = TypeAdapter(DailyUsage)
_SWITCH: TypeAdapter[KillSwitchRecord] = TypeAdapter(KillSwitchRecord)


def account_pk(account: str) -> str:
    """The partition of an account."""
    return str(lease_key(account)["pk"])


def day_sk(day: date) -> str:
    """Sort key of a day, and the beginning of its plans'."""
    return f"DAY#{day.isoformat()}"


def usage_item(account: str, reservation: Reservation) -> Item:
    """The day with this reservation in it."""
    day = reservation.after
    return timed_item(
        account_pk(account),
        day_sk(day.on),
        on=day.on.isoformat(),
        plans=day.plans,
        buys=format_decimal(day.buys),
        sells=format_decimal(day.sells),
        last_plan=reservation.plan.plan_id,
    )


def started_plan_item(account: str, day: date, plan: StartedPlan) -> Item:
    """One plan that was begun in that day."""
    sk = f"{day_sk(day)}#{iso(plan.at)}#{plan.plan_id}"
    return timed_item(account_pk(account), sk, plan_id=plan.plan_id, started_plan=_STARTED.dump_json(plan).decode())


def kill_switch_items(account: str, switch: KillSwitchRecord, at: datetime) -> list[Item]:
    """The kill switch as it is set at that time: what holds, and one more line of its history."""
    fields = _SWITCH.dump_python(switch, mode="json")
    return [timed_item(account_pk(account), sk, **fields) for sk in (KILL_SWITCH, f"{KILL_SWITCH}#{iso(at)}")]


def kill_switch_from(row: Item | None) -> KillSwitchRecord:
    """The kill switch; raises ``JournalContradiction`` for a row that is none."""
    return parse_item(row, _SWITCH.validate_python) if row is not None else NEVER_SET


def risk_state_from(day: date, rows: Iterable[Item]) -> RiskState:
    """The book from an account's rows from that day on; raises ``JournalContradiction``."""
    found = {str(row["sk"]): row for row in rows}
    own = found.get(day_sk(day))
    plans = [row for sk, row in found.items() if sk.startswith(f"{day_sk(day)}#")]
    return RiskState(
        kill_switch=kill_switch_from(found.get(KILL_SWITCH)),
        usage=parse_item(own, _DAY.validate_python) if own is not None else DailyUsage(day),
        plans=[parse_item(row, lambda row: _STARTED.validate_json(str(row["started_plan"]))) for row in plans],
    )
