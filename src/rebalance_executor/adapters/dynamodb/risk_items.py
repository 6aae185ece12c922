"""The rows of the control book: pure functions from values to rows and back.

In the account's partition, beside its lease: ``DAY#<date>`` counts a trading day, ``DAY#<date>#<time>#<plan_id>`` is
one plan begun in it, ``SWITCH`` the kill switch as it is and ``SWITCH#<time>`` every setting of it. The sort keys from
a day to ``SWITCH`` are what the controls read at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

from pydantic import TypeAdapter

from rebalance_executor.adapters.dynamodb.journal_items import iso, lease_key, made_row, read_row
from rebalance_executor.adapters.dynamodb.table import Row
from rebalance_executor.domain.risk_state import NEVER_SET, BegunPlan, Book, Day, Reservation, Switch
from rebalance_executor.domain.values import plain

SWITCH = "SWITCH"

_BEGUN: TypeAdapter[BegunPlan] = TypeAdapter(BegunPlan)
_DAY: TypeAdapter[Day] = TypeAdapter(Day)
_SWITCH: TypeAdapter[Switch] = TypeAdapter(Switch)


def account_pk(account: str) -> str:
    """The partition of an account."""
    return str(lease_key(account)["pk"])


def day_sk(day: date) -> str:
    """Sort key of a day, and the beginning of its plans'."""
    return f"DAY#{day.isoformat()}"


def day_row(account: str, reservation: Reservation) -> Row:
    """The day with this reservation in it."""
    day = reservation.after
    return made_row(
        account_pk(account),
        day_sk(day.on),
        on=day.on.isoformat(),
        plans=day.plans,
        buys=plain(day.buys),
        sells=plain(day.sells),
        last_plan=reservation.plan.plan_id,
    )


def begun_row(account: str, day: date, plan: BegunPlan) -> Row:
    """One plan that was begun in that day."""
    sk = f"{day_sk(day)}#{iso(plan.at)}#{plan.plan_id}"
    return made_row(account_pk(account), sk, plan_id=plan.plan_id, begun=_BEGUN.dump_json(plan).decode())


def switch_rows(account: str, switch: Switch, at: datetime) -> list[Row]:
    """The kill switch as it is set at that time: what holds, and one more line of its history."""
    fields = _SWITCH.dump_python(switch, mode="json")
    return [made_row(account_pk(account), sk, **fields) for sk in (SWITCH, f"{SWITCH}#{iso(at)}")]


def switch_from(row: Row | None) -> Switch:
    """The kill switch; raises ``JournalContradiction`` for a row that is none."""
    return read_row(row, _SWITCH.validate_python) if row is not None else NEVER_SET


def book_from(day: date, rows: Iterable[Row]) -> Book:
    """The book from an account's rows from that day on; raises ``JournalContradiction``."""
    found = {str(row["sk"]): row for row in rows}
    own = found.get(day_sk(day))
    plans = [row for sk, row in found.items() if sk.startswith(f"{day_sk(day)}#")]
    return Book(
        switch=switch_from(found.get(SWITCH)),
        day=read_row(own, _DAY.validate_python) if own is not None else Day(day),
        plans=[read_row(row, lambda row: _BEGUN.validate_json(str(row["begun"]))) for row in plans],
    )
