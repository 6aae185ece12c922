"""The market data of finished plans in the journal's table, beside their results.

Items in the partition of a plan: ``COSTS#<symbol>`` with the benchmarks of one order, written once, and ``COSTS`` when
the reading of the plan has ended. Neither changes what the plan's run has stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from rebalance_executor.adapters.dynamodb import journal_actions, journal_items
from rebalance_executor.adapters.dynamodb.journal_actions import JournalActions
from rebalance_executor.adapters.dynamodb.table import ConditionFailed, Item, Table, TransactionAction
from rebalance_executor.domain.benchmarks import Benchmarks, CostsRead
from rebalance_executor.domain.errors import JournalContradiction
from rebalance_executor.domain.journal import PlanState
from rebalance_executor.execution.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@cache
def _adapter() -> TypeAdapter[Benchmarks]:
    """Return what converts benchmarks. It is built on first use: no plan needs it, and its building takes time."""
    return TypeAdapter(Benchmarks)


def benchmarks_item(plan: PlanState, benchmarks: Benchmarks) -> Item:
    """Return the item of what was read for one order."""
    return journal_items.make_item(
        journal_items.plan_pk(plan.account, plan.plan_id),
        f"{journal_items.COSTS}#{benchmarks.symbol}",
        symbol=benchmarks.symbol,
        read_at=journal_items.iso(benchmarks.read_at),
        benchmarks=_adapter().dump_json(benchmarks).decode(),
    )


def benchmarks_from(items: Iterable[Item]) -> dict[str, Benchmarks]:
    """Return the benchmarks among a plan's items, by symbol.

    Raises:
        JournalContradiction: an item cannot be read.
    """
    stored = [
        journal_items.parse_item(item, lambda item: _adapter().validate_json(str(item["benchmarks"])))
        for item in items
        if str(item["sk"]).startswith(f"{journal_items.COSTS}#")
    ]
    return {one.symbol: one for one in stored}


class DynamoCostStore:
    """Implementation of ``CostStore``.

    Args:
        client: a DynamoDB client.
        table: the table's name.
        clock: waits between retries.
    """

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._table = Table(client, table, clock)
        self._actions = JournalActions(table)

    def unread(self, plans: Sequence[tuple[str, str]], *, retry: bool) -> list[tuple[str, str]]:
        """Return those of these plans whose reading has not ended; with ``retry``, also those that were given up.

        Raises:
            JournalUnavailable: the table did not answer.
        """
        items = self._table.get_many([_key(*plan) for plan in plans])
        ended = {str(item["pk"]) for item in items if item.get("is_complete") == 1 or not retry}
        return [plan for plan in plans if journal_items.plan_pk(*plan) not in ended]

    def put(self, plan: PlanState, benchmarks: Benchmarks) -> None:
        """Store what was read for one order, unless it is stored already.

        Raises:
            JournalContradiction: the plan is not finished, or has other content.
            JournalUnavailable: the table did not answer.
        """
        self._write(plan, self._actions.put_costs(benchmarks_item(plan, benchmarks)))

    def end(self, plan: PlanState, read: CostsRead) -> None:
        """Store that the reading of the plan has ended, unless it was complete before.

        Raises:
            JournalContradiction, JournalUnavailable: as for ``put``.
        """
        item = journal_items.make_item(
            journal_items.plan_pk(plan.account, plan.plan_id),
            journal_items.COSTS,
            read_at=journal_items.iso(read.read_at),
            is_complete=int(read.is_complete),
            reason=read.reason,
        )
        self._write(plan, self._actions.end_costs(item))

    def _write(self, plan: PlanState, action: TransactionAction) -> None:
        try:
            self._table.transact([self._actions.check_finished(plan), action])
        except ConditionFailed as failure:
            if journal_actions.PLAN in failure.failed:
                raise JournalContradiction(
                    f"plan {plan.plan_id} of account {plan.account} is not finished, or has other content; "
                    "its costs were not stored",
                    plan_content_hash=plan.content_hash,
                ) from None


def _key(account: str, plan_id: str) -> Item:
    return {"pk": journal_items.plan_pk(account, plan_id), "sk": journal_items.COSTS}
