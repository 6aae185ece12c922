"""The journal on DynamoDB: one table, every write conditional on the account's lease.

Items (``journal_items``): ``ACCOUNT#<account>/LEASE``, and per plan the partition ``PLAN#<account>#<plan_id>`` with
the sort keys ``PLAN``, ``DOCUMENT#<number>``, ``PARENT#<symbol>``, ``RUN#<epoch>`` and ``RESULT#<number>``, and
those of ``cost_store``. None of them expires. The lease item names the account's unfinished plan, from the plan's first
write until its result is published.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NoReturn

from rebalance_executor.adapters.dynamodb import journal_actions, journal_items
from rebalance_executor.adapters.dynamodb.cost_store import benchmarks_from
from rebalance_executor.adapters.dynamodb.journal_actions import JournalActions
from rebalance_executor.adapters.dynamodb.table import (
    ConditionFailed,
    Item,
    Table,
)
from rebalance_executor.domain.errors import DayChanged, Fenced, JournalContradiction, LeaseHeld
from rebalance_executor.domain.journal import (
    PlanJournal,
    PlanStart,
    PlanState,
    RunRecord,
    UnfinishedPlan,
)
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.domain.values import format_time
from rebalance_executor.execution.ports import Clock, Lease

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PARENTS_PER_TRANSACTION = 88
"""A transaction is limited to 100 actions; lease, plan, run and result or document take up to 11 of them."""


class DynamoJournal:
    """Implementation of ``Journal``.

    A write is one transaction for up to 88 parents. A write with more parents takes several transactions; the last
    one contains the plan item and the result. Until then a plan that is being started does not exist, and a plan that
    was started before can be resumed, because each parent is complete in its own item.

    Args:
        client: a DynamoDB client with ``aws.client_config``.
        table: the table's name.
        clock: waits between retries of a conflicting transaction.
        parents_per_transaction: parents per transaction. The simulation uses fewer, to interrupt a write halfway.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        clock: Clock,
        *,
        parents_per_transaction: int = PARENTS_PER_TRANSACTION,
    ) -> None:
        self._table = Table(client, table, clock)
        self._actions = JournalActions(table)
        self._parents_per_transaction = parents_per_transaction

    # --- lease -------------------------------------------------------------------------------------------

    def acquire(self, account: str, run_id: str, *, now: datetime, expires_at: datetime) -> Lease:
        """Acquire the account's lease with a new, higher epoch.

        Args:
            account: the account's name.
            run_id: unique per call. If the response was lost, a repeated call recognizes its own lease by it.
            now: the current time; a lease that expired before it is free.
            expires_at: the time until which no other run can acquire the lease.

        Raises:
            LeaseHeld: another run holds the lease; ``held_by`` and ``held_until`` name the run and the expiry.
            JournalUnavailable: the lease may or may not have been acquired.
        """
        try:
            item = self._table.update(
                journal_items.lease_key(account),
                journal_actions.ACQUIRE,
                journal_actions.LEASE_IS_FREE,
                {
                    ":none": 0,
                    ":one": 1,
                    ":run_id": run_id,
                    ":until": journal_items.iso(expires_at),
                    ":now": journal_items.iso(now),
                    ":released": journal_items.RELEASED,
                },
            )
        except ConditionFailed as failure:
            item = failure.item or {}
            holder, until = str(item.get("run_id")), str(item.get("held_until"))
            if holder != run_id:
                expiry = format_time(datetime.fromisoformat(until))
                raise LeaseHeld(
                    f"run {holder} holds account {account} until {expiry} at the latest; the plan is redelivered",
                    held_by=holder,
                    held_until=until,
                ) from None
        unfinished = item.get("plan_id")
        return Lease(
            account=account,
            epoch=int(item["epoch"]),
            run_id=run_id,
            expires_at=datetime.fromisoformat(str(item["held_until"])),
            unfinished_plan_id=str(unfinished) if unfinished is not None else None,
            has_result="result_at" in item,
        )

    def release(self, lease: Lease) -> None:
        """Release the lease. Do nothing if it was released before or if another run has taken it over."""
        try:
            self._table.update(
                journal_items.lease_key(lease.account),
                journal_actions.RELEASE,
                journal_actions.LEASE_IS_OURS,
                journal_actions.release_values(lease),
            )
        except ConditionFailed:
            return

    # --- reading -----------------------------------------------------------------------------------------

    def load(self, account: str, plan_id: str) -> PlanJournal | None:
        """Return everything journalled for the plan, or None if it was never started. Consistent read.

        Raises:
            JournalContradiction: an item cannot be read.
            JournalUnavailable: the table did not answer.
        """
        items = list(self._table.query(journal_items.plan_pk(account, plan_id)))
        plan_item = next((item for item in items if item["sk"] == journal_items.PLAN), None)
        if plan_item is None:
            return None
        plan = journal_items.plan_from(plan_item)
        parents = [
            journal_items.parent_from(item)
            for item in items
            if _has_prefix(item, journal_items.PARENT) and item.get("content_hash") == plan.content_hash
        ]
        result = journal_items.result_from([item for item in items if _has_prefix(item, journal_items.RESULT)])
        pieces = [item for item in items if _has_prefix(item, journal_items.DOCUMENT)] if result is None else []
        return PlanJournal(
            plan=plan,
            parents={parent.symbol: parent for parent in parents},
            document=journal_items.document_from(pieces),
            result=result,
            published=journal_items.published_channels(plan_item),
            benchmarks=benchmarks_from(items),
        )

    def result(self, account: str, plan_id: str) -> ExecutionResult | None:
        """Return the stored result of a finished plan, or None. Consistent read.

        Raises:
            JournalContradiction: the result is incomplete or cannot be read.
            JournalUnavailable: the table did not answer.
        """
        return journal_items.result_from(
            list(self._table.query(journal_items.plan_pk(account, plan_id), journal_items.RESULT))
        )

    def unfinished(self, account: str) -> UnfinishedPlan | None:
        """Return the account's plan that was started and is not finished, or None. Consistent read.

        Only the operators' commands read it: a run gets the plan's ID with its lease.

        Raises:
            JournalUnavailable: the table did not answer.
        """
        key = journal_items.lease_key(account)
        lease = next(self._table.between(str(key["pk"]), journal_items.LEASE, journal_items.LEASE), None)
        return journal_items.unfinished_from(lease) if lease is not None and "plan_id" in lease else None

    def runs(self, account: str, plan_id: str) -> list[RunRecord]:
        """Return the plan's runs, oldest first. Only the operators' commands read them.

        Raises:
            JournalContradiction: an item cannot be read.
            JournalUnavailable: the table did not answer.
        """
        return [
            journal_items.run_from(item)
            for item in self._table.query(journal_items.plan_pk(account, plan_id), journal_items.RUN)
        ]

    # --- writing -----------------------------------------------------------------------------------------

    def write(
        self,
        lease: Lease,
        plan: PlanState,
        *,
        parents: Iterable[ParentOrder] = (),
        run: RunRecord | None = None,
        start: PlanStart | None = None,
    ) -> None:
        """Write the plan's state with these parents, the run and, with a plan's first write, its start.

        Raises:
            Fenced: the lease is no longer ours, or another plan of the account is unfinished; nothing (more) was
                written.
            DayChanged: the day's usage has changed since the reservation was calculated; the plan's state was not
                written.
            JournalContradiction: the plan was started with other content, or is finished.
            JournalUnavailable: the write may or may not have taken effect; repeating it is harmless.
        """
        *before, last = journal_items.parent_batches(plan, parents, self._parents_per_transaction)
        reservation = start.reservation if start is not None else None
        actions = [
            self._actions.set_unfinished(lease, plan),
            self._actions.put_plan(plan, journal_items.plan_item(plan, lease.epoch)),
        ]
        if start is not None:
            pieces = journal_items.document_items(plan, start.document)
            actions += [self._actions.put("document", piece) for piece in pieces]
        if reservation is not None:
            actions += self._actions.reserve(lease, reservation)
        if run is not None:
            actions.append(self._actions.put("run", journal_items.run_item(plan, run)))
        try:
            self._write_parents(lease, plan, before)
            self._table.transact([*actions, *map(self._actions.put_parent, last)])
        except ConditionFailed as failure:
            if reservation is not None and failure.failed == {journal_actions.DAY}:
                raise DayChanged(
                    f"another plan of account {lease.account} started at the same time; this plan is redelivered",
                    day=reservation.before.on,
                ) from None
            _raise_typed(lease, plan, failure)

    def finish(
        self,
        lease: Lease,
        plan: PlanState,
        *,
        parents: Iterable[ParentOrder],
        result: ExecutionResult,
        to_publish: bool = False,
    ) -> None:
        """Write the final state and the result, and complete the run's record, atomically.

        Args:
            lease: the account's lease. It is released, unless the result is to be published.
            plan: the final state.
            parents: the parents that changed since the last write.
            result: the result.
            to_publish: keep the lease, and name the plan in it, until ``mark_published``.

        Raises:
            Fenced: the lease is no longer ours.
            JournalContradiction: the plan was started with other content, or has another result.
            JournalUnavailable: the write may or may not have taken effect; the next run reads the journal.
        """
        *before, last = journal_items.parent_batches(plan, parents, self._parents_per_transaction)
        if to_publish:
            actions = [self._actions.set_unpublished(lease, plan, result)]
        else:
            actions = [self._actions.finish_plan(lease, plan.plan_id)]
        actions += [
            self._actions.put_plan(plan, journal_items.plan_item(plan, lease.epoch, result)),
            self._actions.complete_run(lease, plan, result),
            *map(self._actions.put_result, journal_items.result_items(plan, result)),
        ]
        try:
            self._write_parents(lease, plan, before)
            self._table.transact([*actions, *map(self._actions.put_parent, last)])
        except ConditionFailed as failure:
            stored = self.result(plan.account, plan.plan_id)
            if stored is None or not journal_items.same_result(stored, result):
                _raise_typed(lease, plan, failure)
            if not to_publish:
                self.release(lease)  # an earlier request wrote this result, and its response was lost

    def mark_published(self, lease: Lease, plan_id: str, channels: Collection[str], at: datetime) -> None:
        """Record that the result was published on these channels at ``at``, and release the lease, atomically.

        Do nothing if the lease is no longer ours, or if the plan has no result.

        Raises:
            JournalUnavailable: the record may or may not have been written.
        """
        actions = [self._actions.finish_plan(lease, plan_id)]
        if channels:
            actions.append(self._actions.mark_published(lease.account, plan_id, channels, at))
        try:
            self._table.transact(actions)
        except ConditionFailed:
            return

    def _write_parents(self, lease: Lease, plan: PlanState, batches: Iterable[Sequence[Item]]) -> None:
        for batch in batches:
            self._table.transact(
                [
                    self._actions.check_lease(lease),
                    self._actions.check_plan(plan),
                    *map(self._actions.put_parent, batch),
                ]
            )


def _raise_typed(lease: Lease, plan: PlanState, failure: ConditionFailed) -> NoReturn:
    """Raise the error of a write whose condition was false. A lost lease comes first: its run must write nothing."""
    if journal_actions.LEASE in failure.failed:
        raise Fenced(
            f"epoch {lease.epoch} no longer holds account {lease.account}: another run took over",
            epoch=lease.epoch,
        ) from None
    raise JournalContradiction(
        f"the journal has plan {plan.plan_id} of account {plan.account} with other content or another result; "
        "nothing was overwritten. Compare the plan with the stored one.",
        plan_content_hash=plan.content_hash,
        phase=plan.phase,
    ) from None


def _has_prefix(item: Item, prefix: str) -> bool:
    return str(item["sk"]).startswith(prefix)
