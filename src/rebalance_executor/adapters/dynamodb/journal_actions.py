"""The actions of the journal's transactions: their expressions, conditions and values.

Every transaction starts with an action on the lease item, which makes it conditional on the run's epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from rebalance_executor.adapters.dynamodb import journal_items, risk_items
from rebalance_executor.adapters.dynamodb.table import Item, TransactionAction, Value, to_attributes
from rebalance_executor.adapters.dynamodb.write_units import transaction_units
from rebalance_executor.domain.journal import PlanPhase, PlanState, RunEnd
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.domain.risk_state import Reservation
from rebalance_executor.execution.ports import Lease

LEASE, PLAN, DAY = "lease", "plan", "day"
"""Names of the actions in a transaction. The name of the action whose condition failed selects the error."""

_NAMES = {"#day": "day", "#status": "status"}
"""Reserved words of DynamoDB, which expressions must not contain."""

ACQUIRE = "SET epoch = if_not_exists(epoch, :none) + :one, run_id = :run_id, held_until = :until, taken_at = :now"
RELEASE = "SET run_id = :released"
LEASE_IS_FREE = "attribute_not_exists(epoch) OR held_until < :now OR run_id = :released"
LEASE_IS_OURS = "epoch = :epoch AND run_id = :run_id"
NO_OTHER_PLAN = f"{LEASE_IS_OURS} AND (attribute_not_exists(plan_id) OR plan_id = :plan)"
SET_UNFINISHED = "SET plan_id = :plan, account = :account, #day = :unfinished, #status = :since"
SET_UNPUBLISHED = f"{SET_UNFINISHED}, result_at = :result_at"
FINISH = f"{RELEASE} REMOVE plan_id, account, #day, #status, result_at"
IS_FINISHED = "phase = :finished"
PLAN_IS_WRITABLE = "attribute_not_exists(pk) OR (content_hash = :hash AND phase <> :finished)"
IS_ABSENT = "attribute_not_exists(pk)"
HAS_RESULT = f"content_hash = :hash AND {IS_FINISHED}"
COSTS_ARE_INCOMPLETE = f"{IS_ABSENT} OR is_complete = :incomplete"


class JournalActions:
    """Methods that return the actions of a transaction.

    Args:
        table: the table's name.
    """

    def __init__(self, table: str) -> None:
        self._table_name = table

    def check_lease(self, lease: Lease) -> TransactionAction:
        """Check that the run still holds the lease."""
        key = {"Key": to_attributes(journal_items.lease_key(lease.account))}
        return self._action(LEASE, "ConditionCheck", key, LEASE_IS_OURS, _lease_values(lease))

    def set_unfinished(self, lease: Lease, plan: PlanState) -> TransactionAction:
        """Check the lease, and name the plan as the account's unfinished one unless another plan is."""
        return self._update_lease(lease, SET_UNFINISHED, _unfinished_values(lease, plan))

    def set_unpublished(self, lease: Lease, plan: PlanState, result: ExecutionResult) -> TransactionAction:
        """Do the same as ``set_unfinished``, and record that only the publication of the result is missing."""
        result_at = journal_items.iso(result.execution_timestamp)
        return self._update_lease(lease, SET_UNPUBLISHED, {":result_at": result_at, **_unfinished_values(lease, plan)})

    def finish_plan(self, lease: Lease, plan_id: str) -> TransactionAction:
        """Release the lease, and remove the plan from it."""
        return self._update_lease(lease, FINISH, {":plan": plan_id, **release_values(lease)})

    def _update_lease(self, lease: Lease, expression: str, values: Mapping[str, Value]) -> TransactionAction:
        update = {
            "Key": to_attributes(journal_items.lease_key(lease.account)),
            "UpdateExpression": expression,
            "ExpressionAttributeNames": _NAMES,
        }
        return self._action(LEASE, "Update", update, NO_OTHER_PLAN, values)

    def check_plan(self, plan: PlanState) -> TransactionAction:
        """Check that the plan has no other content and no result."""
        key = {"Key": to_attributes(journal_items.plan_key(plan.account, plan.plan_id))}
        return self._action(PLAN, "ConditionCheck", key, PLAN_IS_WRITABLE, _plan_values(plan))

    def put_plan(self, plan: PlanState, item: Item) -> TransactionAction:
        """Put the plan's item unless the plan has other content or a result."""
        return self._put(PLAN, item, PLAN_IS_WRITABLE, _plan_values(plan))

    def mark_published(self, account: str, plan_id: str, channels: Collection[str], at: datetime) -> TransactionAction:
        """Record in the plan's item, if the plan is finished, that these channels accepted the result."""
        update = {
            "Key": to_attributes(journal_items.plan_key(account, plan_id)),
            "UpdateExpression": journal_items.published_update(channels),
        }
        values: dict[str, Value] = {":at": journal_items.iso(at), ":finished": PlanPhase.FINISHED.value}
        return self._action(PLAN, "Update", update, IS_FINISHED, values)

    def reserve(self, lease: Lease, reservation: Reservation) -> list[TransactionAction]:
        """Put the day's usage, if it is unchanged or if this plan was the last to change it, and the started plan."""
        unchanged = "plans = :plans" if reservation.before.plans else IS_ABSENT
        values: dict[str, Value] = {":plan": reservation.plan.plan_id}
        if reservation.before.plans:
            values[":plans"] = reservation.before.plans
        usage = risk_items.usage_item(lease.account, reservation)
        started = risk_items.started_plan_item(lease.account, reservation.after.on, reservation.plan)
        return [
            self._put(DAY, usage, f"{unchanged} OR last_plan = :plan", values),
            self.put("started plan", started),
        ]

    def put_parent(self, item: Item) -> TransactionAction:
        """Put a parent's item."""
        return self.put("parent", item)

    def put_result(self, item: Item) -> TransactionAction:
        """Put one piece of the result unless it exists: a result is never overwritten."""
        return self._put("result", item, IS_ABSENT, {})

    def check_finished(self, plan: PlanState) -> TransactionAction:
        """Check that the plan has this content and its result."""
        key = {"Key": to_attributes(journal_items.plan_key(plan.account, plan.plan_id))}
        return self._action(PLAN, "ConditionCheck", key, HAS_RESULT, _plan_values(plan))

    def put_costs(self, item: Item) -> TransactionAction:
        """Put the benchmarks of one order unless they exist: they are written once."""
        return self._put("costs", item, IS_ABSENT, {})

    def end_costs(self, item: Item) -> TransactionAction:
        """Put the end of the reading of a plan's market data, unless it was complete before."""
        return self._put("costs", item, COSTS_ARE_INCOMPLETE, {":incomplete": 0})

    def put(self, name: str, item: Item) -> TransactionAction:
        """Put an item, whatever is stored."""
        return self._put(name, item, None, {})

    def complete_run(self, lease: Lease, plan: PlanState, result: ExecutionResult) -> TransactionAction:
        """Complete the run's record, or create it if the run wrote nothing before its result."""
        key: Item = {"pk": journal_items.plan_pk(plan.account, plan.plan_id), "sk": journal_items.run_sk(lease.epoch)}
        values: dict[str, Value] = {
            **_lease_values(lease),
            ":ended": journal_items.iso(result.execution_timestamp),
            ":end": RunEnd.COMPLETED.value,
        }
        expression = (
            "SET epoch = :epoch, run_id = :run_id, started_at = if_not_exists(started_at, :ended), "
            "ended_at = :ended, #end = :end"
        )
        names = {"#end": "end"}  # a reserved word of DynamoDB
        update = {"Key": to_attributes(key), "UpdateExpression": expression, "ExpressionAttributeNames": names}
        return self._action("run", "Update", update, None, values)

    def _put(self, name: str, item: Item, condition: str | None, values: Mapping[str, Value]) -> TransactionAction:
        action = self._action(name, "Put", {"Item": to_attributes(item)}, condition, values)
        return replace(action, units=transaction_units(item))

    def _action(
        self, name: str, kind: str, request: Mapping[str, Any], condition: str | None, values: Mapping[str, Value]
    ) -> TransactionAction:
        fields: dict[str, Any] = {"TableName": self._table_name, **request}
        if condition is not None:
            fields["ConditionExpression"] = condition
        if values:
            fields["ExpressionAttributeValues"] = to_attributes(values)
        return TransactionAction(name, {kind: fields})


def _lease_values(lease: Lease) -> dict[str, Value]:
    return {":epoch": lease.epoch, ":run_id": lease.run_id}


def _unfinished_values(lease: Lease, plan: PlanState) -> dict[str, Value]:
    return {
        ":plan": plan.plan_id,
        ":account": plan.account,
        ":unfinished": journal_items.UNFINISHED,
        ":since": journal_items.iso(plan.started_at),
        **_lease_values(lease),
    }


def release_values(lease: Lease) -> dict[str, Value]:
    """Return the values of ``RELEASE`` and ``LEASE_IS_OURS``."""
    return {":released": journal_items.RELEASED, **_lease_values(lease)}


def _plan_values(plan: PlanState) -> dict[str, Value]:
    return {":hash": plan.content_hash, ":finished": PlanPhase.FINISHED.value}
