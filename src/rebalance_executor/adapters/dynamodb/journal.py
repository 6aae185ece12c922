"""The journal on DynamoDB: one table, every write conditional on the account's lease.

Rows (``journal_rows``): ``ACCOUNT#<account>/LEASE``, and for each plan ``PLAN#<account>#<plan_id>`` with the sort
keys ``PLAN``, ``PARENT#<symbol>``, ``RUN#<epoch>`` and ``RESULT#<number>``. None of them ever expires.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from rebalance_executor.adapters.dynamodb import journal_items, risk_items
from rebalance_executor.adapters.dynamodb.table import ConditionFailed, Item, Table, Value, to_attributes
from rebalance_executor.domain.errors import DayChanged, Fenced, JournalContradiction, LeaseHeld
from rebalance_executor.domain.journal import PlanJournal, PlanPhase, PlanState, RunEnd, RunRecord
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.domain.risk_state import Reservation
from rebalance_executor.execution.ports import Clock, Lease

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_RELEASED = ""
"""The lease's run id after it was given back."""

PARENTS_PER_TRANSACTION = 88
"""Parents in one transaction: it may have 100 actions, and lease, plan, run and a result take up to 11."""

_RESERVATION = 2
"""Where the day stands among the actions of a write that reserves: after lease and plan."""

_PARENT_BYTES_EACH = 1_000_000
"""A transaction may have 4 MB, of which a result takes up to 2.8."""

_ACQUIRE = "SET epoch = if_not_exists(epoch, :none) + :one, run_id = :run_id, held_until = :until, taken_at = :now"
_LEASE_IS_FREE = "attribute_not_exists(epoch) OR held_until < :now OR run_id = :nobody"
_LEASE_IS_OURS = "epoch = :epoch AND run_id = :run_id"
_PLAN_IS_WRITABLE = "attribute_not_exists(pk) OR (content_hash = :hash AND phase <> :finished)"
_IS_ABSENT = "attribute_not_exists(pk)"


class DynamoJournal:
    """Implements ``Journal``.

    A write is one transaction for up to 88 parents. More of them go in several, the plan's own row and the result
    in the last: until then a plan that is being begun does not exist, and one that goes on is resumable, because
    every parent is complete in its own row.

    Args:
        client: a DynamoDB client with ``aws.client_config``.
        table: the table's name.
        clock: waits between tries of a transaction that met another one.
        parents_each: parents in one transaction; a simulation takes fewer to cut a write in the middle.
    """

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock, *, parents_per_transaction: int = PARENTS_PER_TRANSACTION) -> None:
        self._table = Table(client, table, clock)
        self._parents_each = parents_per_transaction

    # --- lease -------------------------------------------------------------------------------------------

    def acquire(self, account: str, run_id: str, *, now: datetime, expires_at: datetime) -> Lease:
        """Take the account's lease with a new, higher epoch.

        Args:
            account: the account's name.
            run_id: unique for each call: by it a repeat of a request whose answer was lost finds its own lease.
            now: the time by which the former holder's right is judged.
            expires_at: until when nobody else may take it.

        Raises:
            LeaseHeld: ``held_by`` and ``held_until`` say who has it and how long.
            JournalUnavailable: whether it was taken may be unknown.
        """
        try:
            row = self._table.update(
                journal_items.lease_key(account),
                _ACQUIRE,
                _LEASE_IS_FREE,
                {
                    ":none": 0,
                    ":one": 1,
                    ":run_id": run_id,
                    ":until": journal_items.iso(expires_at),
                    ":now": journal_items.iso(now),
                    ":nobody": _RELEASED,
                },
            )
        except ConditionFailed as failure:
            row = failure.item or {}
            holder, until = str(row.get("run_id")), str(row.get("held_until"))
            if holder != run_id:
                raise LeaseHeld(
                    f"account {account} is worked on by run {holder} until {until} at the latest; "
                    "this delivery comes again",
                    held_by=holder,
                    held_until=until,
                ) from None
        held_until = datetime.fromisoformat(str(row["held_until"]))
        return Lease(account=account, epoch=int(row["epoch"]), run_id=run_id, expires_at=held_until)

    def release(self, lease: Lease) -> None:
        """Give the lease back; one that another run has taken over, or that was given back, is left alone."""
        try:
            self._table.update(
                journal_items.lease_key(lease.account),
                "SET run_id = :nobody",
                _LEASE_IS_OURS,
                {":nobody": _RELEASED, **_ours(lease)},
            )
        except ConditionFailed:
            return

    # --- reading -----------------------------------------------------------------------------------------

    def load(self, account: str, plan_id: str) -> PlanJournal | None:
        """Everything journalled of that plan, read consistently; None where it was never begun.

        Raises:
            JournalContradiction: a row cannot be read.
        """
        found = list(self._table.query(journal_items.plan_pk(account, plan_id)))
        own = next((row for row in found if row["sk"] == journal_items.PLAN), None)
        if own is None:
            return None
        plan = journal_items.plan_from(own)
        parents = [
            journal_items.parent_from(row)
            for row in found
            if _kind(row, journal_items.PARENT) and row.get("content_hash") == plan.content_hash
        ]
        return PlanJournal(
            plan=plan,
            parents={parent.symbol: parent for parent in parents},
            result=journal_items.result_from([row for row in found if _kind(row, journal_items.RESULT)]),
            published=journal_items.published_channels(own),
        )

    def result(self, account: str, plan_id: str) -> ExecutionResult | None:
        """The stored result of a finished plan, read consistently; None where there is none.

        Raises:
            JournalContradiction: it is incomplete or cannot be read.
        """
        return journal_items.result_from(
            list(self._table.query(journal_items.plan_pk(account, plan_id), journal_items.RESULT))
        )

    def runs(self, account: str, plan_id: str) -> list[RunRecord]:
        """The plan's runs in their order, for an operator; execution does not need them.

        Raises:
            JournalContradiction: a row cannot be read.
        """
        return [
            journal_items.run_from(row)
            for row in self._table.query(journal_items.plan_pk(account, plan_id), journal_items.RUN)
        ]

    # --- writing -----------------------------------------------------------------------------------------

    def write(
        self,
        lease: Lease,
        plan: PlanState,
        *,
        parents: Iterable[ParentOrder] = (),
        run: RunRecord | None = None,
        reservation: Reservation | None = None,
    ) -> None:
        """Write the plan's state with these parents, the run and the plan's share of the day.

        Raises:
            Fenced: the lease is no longer ours; nothing (more) was written.
            DayChanged: the day is not what the reservation was made from; the plan's state was not written.
            JournalContradiction: the plan was begun with other content, or is finished.
            JournalUnavailable: whether it was written may be unknown; writing the same again is harmless.
        """
        *before, last = _batches(plan, parents, self._parents_each)
        actions = [self._check_lease(lease), self._put_plan(plan, journal_items.plan_item(plan, lease.epoch))]
        if reservation is not None:
            actions += self._reserve(lease, reservation)
        if run is not None:
            actions.append(self._put(journal_items.run_item(plan, run)))
        try:
            self._write_parents(lease, plan, before)
            self._table.transact([*actions, *map(self._put, last)])
        except ConditionFailed as failure:
            if reservation is not None and failure.failed == {_RESERVATION}:
                raise DayChanged(
                    f"another plan of account {lease.account} was begun meanwhile; this delivery comes again",
                    day=reservation.before.on,
                ) from None
            self._refuse(lease, plan, failure)

    def finish(self, lease: Lease, plan: PlanState, *, parents: Iterable[ParentOrder], result: ExecutionResult) -> None:
        """Write the last state and the result, close the run's record and give the lease back, all at once.

        Raises:
            Fenced: the lease is no longer ours.
            JournalContradiction: the plan was begun with other content, or has another result.
            JournalUnavailable: whether it was written may be unknown; the next run finds out.
        """
        *before, last = _batches(plan, parents, self._parents_each)
        actions = [
            self._give_back(lease),
            self._put_plan(plan, journal_items.plan_item(plan, lease.epoch, result)),
            self._close_run(lease, plan, result),
            *(self._put(row, _IS_ABSENT) for row in journal_items.result_items(plan, result)),
        ]
        try:
            self._write_parents(lease, plan, before)
            self._table.transact([*actions, *map(self._put, last)])
        except ConditionFailed as failure:
            stored = self.result(plan.account, plan.plan_id)
            if stored is None or not journal_items.same_result(stored, result):
                self._refuse(lease, plan, failure)
            self.release(lease)  # it was written before, and only the answer was lost

    def mark_published(self, account: str, plan_id: str, channels: Collection[str], at: datetime) -> None:
        """Remember that these channels got the result at ``at``; a plan that is not finished is left alone.

        Raises:
            JournalUnavailable: whether it is remembered may be unknown.
        """
        key = journal_items.plan_key(account, plan_id)
        values: dict[str, Value] = {":at": journal_items.iso(at), ":finished": PlanPhase.FINISHED.value}
        try:
            self._table.update(key, journal_items.published_change(channels), "phase = :finished", values)
        except ConditionFailed:
            return

    def _write_parents(self, lease: Lease, plan: PlanState, batches: Iterable[Sequence[Item]]) -> None:
        for batch in batches:
            self._table.transact([self._check_lease(lease), self._check_plan(plan), *map(self._put, batch)])

    def _refuse(self, lease: Lease, plan: PlanState, failure: ConditionFailed) -> NoReturn:
        """Say why a write was refused. In every transaction the lease comes first and the plan second."""
        if 0 in failure.failed:
            raise Fenced(
                f"account {lease.account} is no longer held by epoch {lease.epoch}: another run took over",
                epoch=lease.epoch,
            ) from None
        raise JournalContradiction(
            f"the journal holds plan {plan.plan_id} of {plan.account} with other content or with another result; "
            "nothing was overwritten: compare the plan with what is stored",
            plan_content_hash=plan.content_hash,
            phase=plan.phase,
        ) from None

    # --- actions of a transaction ------------------------------------------------------------------------

    def _check_lease(self, lease: Lease) -> Mapping[str, Any]:
        key = journal_items.lease_key(lease.account)
        return {"ConditionCheck": self._action({"Key": to_attributes(key)}, _LEASE_IS_OURS, _ours(lease))}

    def _give_back(self, lease: Lease) -> Mapping[str, Any]:
        change = {"Key": to_attributes(journal_items.lease_key(lease.account)), "UpdateExpression": "SET run_id = :nobody"}
        return {"Update": self._action(change, _LEASE_IS_OURS, {":nobody": _RELEASED, **_ours(lease)})}

    def _check_plan(self, plan: PlanState) -> Mapping[str, Any]:
        key = journal_items.plan_key(plan.account, plan.plan_id)
        return {"ConditionCheck": self._action({"Key": to_attributes(key)}, _PLAN_IS_WRITABLE, _same(plan))}

    def _put_plan(self, plan: PlanState, row: Item) -> Mapping[str, Any]:
        return {"Put": self._action({"Item": to_attributes(row)}, _PLAN_IS_WRITABLE, _same(plan))}

    def _reserve(self, lease: Lease, reservation: Reservation) -> list[Mapping[str, Any]]:
        """The day with this plan in it, if it is as it was read, or has this plan as its last one already."""
        unchanged = "plans = :plans" if reservation.before.plans else _IS_ABSENT
        values: dict[str, Value] = {":plan": reservation.plan.plan_id}
        if reservation.before.plans:
            values[":plans"] = reservation.before.plans
        day = {"Item": to_attributes(risk_items.usage_item(lease.account, reservation))}
        return [
            {"Put": self._action(day, f"{unchanged} OR last_plan = :plan", values)},
            self._put(risk_items.started_plan_item(lease.account, reservation.after.on, reservation.plan)),
        ]

    def _put(self, row: Item, condition: str | None = None) -> Mapping[str, Any]:
        return {"Put": self._action({"Item": to_attributes(row)}, condition, {})}

    def _close_run(self, lease: Lease, plan: PlanState, result: ExecutionResult) -> Mapping[str, Any]:
        """The run's record, completed; made here where the run had nothing to write before its result."""
        key: Item = {"pk": journal_items.plan_pk(plan.account, plan.plan_id), "sk": journal_items.run_sk(lease.epoch)}
        ended = journal_items.iso(result.execution_timestamp)
        values: dict[str, Value] = {
            ":epoch": lease.epoch,
            ":run_id": lease.run_id,
            ":ended": ended,
            ":end": RunEnd.COMPLETED.value,
        }
        change = (
            "SET epoch = :epoch, run_id = :run_id, started_at = if_not_exists(started_at, :ended), "
            "ended_at = :ended, #end = :end"
        )
        named = {"ExpressionAttributeNames": {"#end": "end"}}  # a reserved word of DynamoDB
        return {"Update": self._action({"Key": to_attributes(key), "UpdateExpression": change, **named}, None, values)}

    def _action(self, what: Mapping[str, Any], condition: str | None, values: Mapping[str, Value]) -> dict[str, Any]:
        action = {"TableName": self._table.name, **what}
        if condition is not None:
            action["ConditionExpression"] = condition
        if values:
            action["ExpressionAttributeValues"] = to_attributes(values)
        return action


def _ours(lease: Lease) -> dict[str, Value]:
    return {":epoch": lease.epoch, ":run_id": lease.run_id}


def _same(plan: PlanState) -> dict[str, Value]:
    return {":hash": plan.content_hash, ":finished": PlanPhase.FINISHED.value}


def _kind(row: Item, prefix: str) -> bool:
    return str(row["sk"]).startswith(prefix)


def _batches(plan: PlanState, parents: Iterable[ParentOrder], most: int) -> list[list[Item]]:
    """The parents' rows in portions of one transaction each; at least one portion, the last may be empty."""
    latest = {parent.symbol: parent for parent in parents}  # a transaction may not name a row twice
    batches: list[list[Item]] = [[]]
    size = 0
    for row, weight in _weighed(plan, latest.values()):
        if len(batches[-1]) == most or size + weight > _PARENT_BYTES_EACH:
            batches.append([])
            size = 0
        batches[-1].append(row)
        size += weight
    return batches


def _weighed(plan: PlanState, parents: Iterable[ParentOrder]) -> Iterator[tuple[Item, int]]:
    for parent in parents:
        row = journal_items.parent_item(plan, parent)
        yield row, sum(len(name) + len(str(value).encode()) for name, value in row.items())
