"""The risk store on DynamoDB: kill switch and reservations, in the account's partition of the journal's table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from rebalance_executor.adapters.dynamodb import journal_items, risk_items
from rebalance_executor.adapters.dynamodb.table import (
    ConditionFailed,
    TableAdapter,
    TransactionAction,
    Value,
    to_attributes,
)
from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.risk_state import AccountBinding, KillSwitchRecord, RiskState

_BIND = "SET account = :account, bound_at = if_not_exists(bound_at, :at)"
_IS_UNBOUND_OR_OURS = "attribute_not_exists(pk) OR account = :account"
_IS_IDLE = "attribute_not_exists(plan_id) AND (attribute_not_exists(epoch) OR held_until < :now OR run_id = :released)"
"""Condition on a lease: no run holds it, and no plan of the account is unfinished."""


class DynamoRiskStore(TableAdapter):
    """Implementation of ``RiskStore``."""

    def load(self, account: str, day: date) -> RiskState:
        """Return the kill switch and the reservations of this trading day.

        Raises:
            JournalContradiction: an item cannot be read.
            JournalUnavailable: the table did not answer.
        """
        pk = risk_items.account_pk(account)
        return risk_items.risk_state_from(day, self._table.between(pk, risk_items.day_sk(day), risk_items.KILL_SWITCH))

    def kill_switch(self, account: str) -> KillSwitchRecord:
        """Return the current kill switch.

        Raises:
            JournalContradiction: its item cannot be read.
            JournalUnavailable: the table did not answer.
        """
        pk = risk_items.account_pk(account)
        items = self._table.between(pk, risk_items.KILL_SWITCH, risk_items.KILL_SWITCH)
        return risk_items.kill_switch_from(next(iter(items), None))

    def set_kill_switch(self, account: str, switch: KillSwitchRecord) -> None:
        """Set the kill switch and add the setting to its history.

        Raises:
            JournalUnavailable: the setting may or may not have been written.
        """
        items = risk_items.kill_switch_items(account, switch, switch.at or datetime.min.replace(tzinfo=UTC))
        self._table.transact([self._action("kill switch", "Put", {"Item": to_attributes(item)}) for item in items])

    def bind_account(self, account: str, account_number: str, at: datetime) -> AccountBinding:
        """Bind a broker account to this account name unless it is bound; return its binding.

        Raises:
            JournalContradiction: its item cannot be read.
            JournalUnavailable: the table did not answer; the binding may or may not have been written.
        """
        values: dict[str, Value] = {":account": account, ":at": journal_items.iso(at)}
        try:
            item = self._table.update(risk_items.binding_key(account_number), _BIND, _IS_UNBOUND_OR_OURS, values)
        except ConditionFailed as failure:
            item = failure.item or {}
        return risk_items.binding_from(account_number, item)

    def binding(self, account_number: str) -> AccountBinding | None:
        """Return the account name that a broker account is bound to, or None. Only the operators' commands read it.

        Raises:
            JournalContradiction: its item cannot be read.
            JournalUnavailable: the table did not answer.
        """
        pk = str(risk_items.binding_key(account_number)["pk"])
        item = next(self._table.between(pk, risk_items.BINDING, risk_items.BINDING), None)
        return risk_items.binding_from(account_number, item) if item is not None else None

    def move_binding(self, binding: AccountBinding, former: str | None) -> None:
        """Bind a broker account to another account name, and add the change to its history, in one transaction.

        Args:
            binding: the new binding.
            former: the account name that the broker account is bound to; None if it is not bound.

        Raises:
            InvalidInput: the broker account is not bound to ``former``, or a run or an unfinished plan of ``former``
                uses it.
            JournalUnavailable: the binding may or may not have been moved.
        """
        current, entry = risk_items.binding_items(binding)
        condition = {"ConditionExpression": "attribute_not_exists(pk)"} if former is None else _is_bound_to(former)
        actions = [
            self._action("binding", "Put", {"Item": to_attributes(current)} | condition),
            self._action("history", "Put", {"Item": to_attributes(entry)}),
        ]
        if former is not None:
            actions.append(self._action("lease", "ConditionCheck", _is_idle(former, binding.bound_at)))
        try:
            self._table.transact(actions)
        except ConditionFailed as failure:
            if "binding" in failure.failed:
                now_bound = f"account {former}" if former is not None else "no account"
                text = f"{binding.account_number} is not bound to {now_bound} any more; look again"
                raise InvalidInput("account_number", text) from None
            text = f"account {former} has a run or an unfinished plan; move its broker account when that is finished"
            raise InvalidInput("account", text) from None

    def _action(self, name: str, kind: str, request: Mapping[str, Any]) -> TransactionAction:
        return TransactionAction(name, {kind: {"TableName": self._table.name, **request}})


def _is_bound_to(account: str) -> dict[str, Any]:
    values = to_attributes({":former": account})
    return {"ConditionExpression": "account = :former", "ExpressionAttributeValues": values}


def _is_idle(account: str, now: datetime) -> dict[str, Any]:
    values = to_attributes({":now": journal_items.iso(now), ":released": journal_items.RELEASED})
    return {
        "Key": to_attributes(journal_items.lease_key(account)),
        "ConditionExpression": _IS_IDLE,
        "ExpressionAttributeValues": values,
    }
