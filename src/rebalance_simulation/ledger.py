"""Access to the simulated table without external calls, for the invariants and for events outside the program."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from rebalance_executor.adapters.dynamodb import journal_items, risk_items
from rebalance_executor.adapters.dynamodb.table import Item, from_attributes, to_attributes
from rebalance_executor.domain.journal import PlanJournal, UnfinishedPlan
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.domain.risk_state import KillSwitchRecord, RiskState
from rebalance_executor.execution.ports import Lease
from rebalance_simulation.dynamodb import SimulatedDynamoDB


class Ledger:
    """Access to the simulated table without faults.

    Args:
        table: the simulated table.
    """

    def __init__(self, table: SimulatedDynamoDB) -> None:
        self._table = table
        self._parents: dict[tuple[str, str], tuple[Mapping[str, Any], Item, ParentOrder]] = {}
        """Cache by keys: attributes as last read, item and parent order. Unchanged attributes are not parsed again."""
        self._results: dict[str, tuple[list[Mapping[str, Any]], ExecutionResult | None]] = {}
        """Cache by partition: attributes of the result's items, and the result."""

    def plan(self, pk: str) -> PlanJournal | None:
        """Return the plan journalled in this partition, or None if its plan item does not exist."""
        partition = self._table.partition(pk)
        if journal_items.PLAN not in partition:
            return None
        plan_item = from_attributes(partition[journal_items.PLAN])
        state = journal_items.plan_from(plan_item)
        parents = {}
        for sk in partition:
            if sk.startswith(journal_items.PARENT):
                item, parent = self._parent(pk, sk, partition[sk])
                if item.get("content_hash") == state.content_hash:
                    parents[parent.symbol] = parent
        result = self._result(pk, partition)
        return PlanJournal(state, parents, result=result, published=journal_items.published_channels(plan_item))

    def document(self, pk: str) -> RebalancePlan | None:
        """Return the plan as it is stored in this partition, or None if it is not."""
        partition = self._table.partition(pk)
        pieces = [partition[sk] for sk in sorted(partition) if sk.startswith(journal_items.DOCUMENT)]
        return journal_items.document_from([*map(from_attributes, pieces)])

    def run_started_at(self, pk: str, run_id: str) -> datetime | None:
        """Return when this run started, by the program's clock, or None if the plan's partition lacks it."""
        partition = self._table.partition(pk)
        runs = (
            journal_items.run_from(from_attributes(partition[sk]))
            for sk in partition
            if sk.startswith(journal_items.RUN)
        )
        return next((run.started_at for run in runs if run.run_id == run_id), None)

    def lease(self, account: str) -> Lease | None:
        """Return the account's lease, expired or not; None if no run holds it."""
        attributes = self._table.partition(risk_items.account_pk(account)).get(journal_items.LEASE)
        if attributes is None:
            return None
        item = from_attributes(attributes)
        until = datetime.fromisoformat(str(item["held_until"]))
        lease = Lease(account, int(item["epoch"]), str(item["run_id"]), until)
        return lease if lease.run_id else None

    def unfinished(self, account: str) -> UnfinishedPlan | None:
        """Return the plan that the index of unfinished plans lists for this account, or None."""
        attributes = self._table.partition(risk_items.account_pk(account)).get(journal_items.LEASE, {})
        item = from_attributes(attributes)
        return journal_items.unfinished_from(item) if item.get("day") == journal_items.UNFINISHED else None

    def kill_switch(self, account: str) -> KillSwitchRecord:
        """Return the account's kill switch."""
        attributes = self._table.partition(risk_items.account_pk(account)).get(risk_items.KILL_SWITCH)
        return risk_items.kill_switch_from(from_attributes(attributes) if attributes is not None else None)

    def set_kill_switch(self, account: str, switch: KillSwitchRecord) -> None:
        """Set the kill switch, as an operator does."""
        items = risk_items.kill_switch_items(account, switch, switch.at or datetime.min.replace(tzinfo=UTC))
        self._table.put(map(to_attributes, items))

    def risk_states(self, account: str) -> list[RiskState]:
        """Return the risk state of each trading day, with the plans that reserved amounts."""
        partition = self._table.partition(risk_items.account_pk(account))
        items = [from_attributes(partition[sk]) for sk in sorted(partition)]
        days = {date.fromisoformat(str(item["on"])) for item in items if "on" in item}
        return [risk_items.risk_state_from(day, items) for day in sorted(days)]

    def _result(self, pk: str, partition: Mapping[str, Mapping[str, Any]]) -> ExecutionResult | None:
        chunks = [partition[sk] for sk in sorted(partition) if sk.startswith(journal_items.RESULT)]
        cached = self._results.get(pk)
        if cached is None or [*map(id, cached[0])] != [*map(id, chunks)]:
            cached = self._results[pk] = (chunks, journal_items.result_from([*map(from_attributes, chunks)]))
        return cached[1]

    def _parent(self, pk: str, sk: str, attributes: Mapping[str, Any]) -> tuple[Item, ParentOrder]:
        cached = self._parents.get((pk, sk))
        if cached is None or cached[0] is not attributes:
            item = from_attributes(attributes)
            cached = self._parents[pk, sk] = (attributes, item, journal_items.parent_from(item))
        return cached[1], cached[2]
