"""What stands in the table, read from outside: for the promises, and for what happens in the world."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from rebalance_executor.adapters.dynamodb import journal_items, risk_items
from rebalance_executor.adapters.dynamodb.table import Item, from_attributes, to_attributes
from rebalance_executor.domain.journal import PlanJournal
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.domain.risk_state import KillSwitchRecord, RiskState
from rebalance_executor.execution.ports import Lease
from rebalance_simulation.dynamodb import SimulatedDynamoDB


class Ledger:
    """Reads the simulated table past every fault.

    Args:
        table: what is read.
    """

    def __init__(self, table: SimulatedDynamoDB) -> None:
        self._table = table
        self._parents: dict[tuple[str, str], tuple[Mapping[str, Any], Item, ParentOrder]] = {}
        """By keys: the row as it was read last, and what it says. The same row says the same."""
        self._results: dict[str, tuple[list[Mapping[str, Any]], ExecutionResult | None]] = {}
        """By partition: its result's rows, likewise."""

    def plan(self, pk: str) -> PlanJournal | None:
        """Everything journalled of the plan in this partition; None where its own row is not there."""
        partition = self._table.partition(pk)
        own = partition.get(journal_items.PLAN)
        if own is None:
            return None
        found = from_attributes(own)
        state = journal_items.plan_from(found)
        parents = {}
        for sk in partition:
            if sk.startswith(journal_items.PARENT):
                row, parent = self._parent(pk, sk, partition[sk])
                if row.get("content_hash") == state.content_hash:
                    parents[parent.symbol] = parent
        return PlanJournal(state, parents, self._result(pk, partition), journal_items.published_channels(found))

    def holder(self, account: str) -> Lease | None:
        """Who holds the account's lease, whether or not it has run out."""
        item = self._table.partition(risk_items.account_pk(account)).get(journal_items.LEASE)
        if item is None:
            return None
        row = from_attributes(item)
        until = datetime.fromisoformat(str(row["held_until"]))
        lease = Lease(account, int(row["epoch"]), str(row["run_id"]), until)
        return lease if lease.run_id else None

    def switch(self, account: str) -> KillSwitchRecord:
        """The account's kill switch as it is."""
        item = self._table.partition(risk_items.account_pk(account)).get(risk_items.KILL_SWITCH)
        return risk_items.kill_switch_from(from_attributes(item) if item is not None else None)

    def set_kill_switch(self, account: str, switch: KillSwitchRecord) -> None:
        """Set the kill switch, as a person elsewhere does."""
        rows_of_it = risk_items.kill_switch_items(account, switch, switch.at or datetime.min.replace(tzinfo=UTC))
        self._table.put(map(to_attributes, rows_of_it))

    def reserved(self, account: str) -> list[RiskState]:
        """Each trading day's reservations with the plans that made them."""
        partition = self._table.partition(risk_items.account_pk(account))
        found = [from_attributes(partition[sk]) for sk in sorted(partition)]
        days = {date.fromisoformat(str(row["on"])) for row in found if "on" in row}
        return [risk_items.risk_state_from(day, found) for day in sorted(days)]

    def _result(self, pk: str, partition: Mapping[str, Mapping[str, Any]]) -> ExecutionResult | None:
        pieces = [partition[sk] for sk in sorted(partition) if sk.startswith(journal_items.RESULT)]
        known = self._results.get(pk)
        if known is None or [*map(id, known[0])] != [*map(id, pieces)]:
            known = self._results[pk] = (pieces, journal_items.result_from([*map(from_attributes, pieces)]))
        return known[1]

    def _parent(self, pk: str, sk: str, item: Mapping[str, Any]) -> tuple[Item, ParentOrder]:
        known = self._parents.get((pk, sk))
        if known is None or known[0] is not item:
            row = from_attributes(item)
            known = self._parents[pk, sk] = (item, row, journal_items.parent_from(row))
        return known[1], known[2]
