"""The items of the risk store: pure functions from values to items and back.

``BROKER#<account number>`` with the sort key ``BINDING`` is the account name that a broker account is bound to, and
``BINDING#<time>`` one change by an operator in its history.

The other items are in the account's partition, next to its lease: ``DAY#<date>`` is the usage of a trading day,
``DAY#<date>#<time>#<plan_id>`` a plan started on it, ``SWITCH`` the current kill switch and ``SWITCH#<time>`` one
setting in its history. One query reads the sort keys from a day to ``SWITCH``.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

from pydantic import TypeAdapter

from rebalance_executor.adapters.dynamodb.journal_items import iso, lease_key, make_item, parse_item
from rebalance_executor.adapters.dynamodb.packing import pack, unpack
from rebalance_executor.adapters.dynamodb.table import Item
from rebalance_executor.domain.risk_state import (
    NEVER_SET,
    AccountBinding,
    DailyUsage,
    KillSwitchRecord,
    Reservation,
    RiskState,
    StartedPlan,
)
from rebalance_executor.domain.values import format_decimal

KILL_SWITCH = "SWITCH"
BINDING = "BINDING"

_STARTED: TypeAdapter[StartedPlan] = TypeAdapter(StartedPlan)
_BINDING: TypeAdapter[AccountBinding] = TypeAdapter(AccountBinding)
_USAGE: TypeAdapter[DailyUsage] = TypeAdapter(DailyUsage)
_KILL_SWITCH: TypeAdapter[KillSwitchRecord] = TypeAdapter(KillSwitchRecord)


def account_pk(account: str) -> str:
    """Return the partition key of an account."""
    return str(lease_key(account)["pk"])


def binding_key(account_number: str) -> Item:
    """Return the key of a broker account's binding to an account name."""
    return {"pk": f"BROKER#{account_number}", "sk": BINDING}


def binding_items(binding: AccountBinding) -> list[Item]:
    """Return a binding by an operator as two items: the current binding and an entry of the history."""
    pk = str(binding_key(binding.account_number)["pk"])
    fields = {"account": binding.account, "bound_at": iso(binding.bound_at), "by": binding.by, "reason": binding.reason}
    return [make_item(pk, sk, **fields) for sk in (BINDING, f"{BINDING}#{iso(binding.bound_at)}")]


def binding_from(account_number: str, item: Item) -> AccountBinding:
    """Return the binding of a broker account.

    Raises:
        JournalContradiction: the item cannot be read.
    """
    return parse_item({**item, "account_number": account_number}, _BINDING.validate_python)


def day_sk(day: date) -> str:
    """Return the sort key of a day's usage. The sort keys of the day's plans start with it."""
    return f"DAY#{day.isoformat()}"


def usage_item(account: str, reservation: Reservation) -> Item:
    """Return the day's usage including this reservation."""
    usage = reservation.after
    return make_item(
        account_pk(account),
        day_sk(usage.on),
        on=usage.on.isoformat(),
        plans=usage.plans,
        buys=format_decimal(usage.buys),
        sells=format_decimal(usage.sells),
        last_plan=reservation.plan.plan_id,
    )


def started_plan_item(account: str, day: date, plan: StartedPlan) -> Item:
    """Return the item of one plan that was started on this day; its orders are packed."""
    sk = f"{day_sk(day)}#{iso(plan.at)}#{plan.plan_id}"
    return make_item(account_pk(account), sk, plan_id=plan.plan_id, started_plan=pack(_STARTED.dump_json(plan)))


def kill_switch_items(account: str, switch: KillSwitchRecord, at: datetime) -> list[Item]:
    """Return the kill switch set at ``at`` as two items: the current setting and an entry of the history."""
    fields = _KILL_SWITCH.dump_python(switch, mode="json")
    return [make_item(account_pk(account), sk, **fields) for sk in (KILL_SWITCH, f"{KILL_SWITCH}#{iso(at)}")]


def kill_switch_from(item: Item | None) -> KillSwitchRecord:
    """Return the kill switch; ``NEVER_SET`` if there is no item.

    Raises:
        JournalContradiction: the item cannot be read.
    """
    return parse_item(item, _KILL_SWITCH.validate_python) if item is not None else NEVER_SET


def risk_state_from(day: date, items: Iterable[Item]) -> RiskState:
    """Return the risk state of a trading day from an account's items; items of later days are ignored.

    Raises:
        JournalContradiction: an item cannot be read.
    """
    by_sk = {str(item["sk"]): item for item in items}
    usage = by_sk.get(day_sk(day))
    plans = [item for sk, item in by_sk.items() if sk.startswith(f"{day_sk(day)}#")]
    return RiskState(
        kill_switch=kill_switch_from(by_sk.get(KILL_SWITCH)),
        usage=parse_item(usage, _USAGE.validate_python) if usage is not None else DailyUsage(day),
        plans=[parse_item(item, lambda item: _STARTED.validate_json(unpack([item["started_plan"]]))) for item in plans],
    )
