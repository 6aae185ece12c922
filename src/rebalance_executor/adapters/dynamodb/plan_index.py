"""The plans of a day by status, from the execution table's index. Only plan items have a ``day``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from rebalance_executor.adapters.dynamodb.table import Table
from rebalance_executor.execution.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

INDEX = "plans-by-day"
"""Keys ``day`` (UTC date on which the plan started) and ``status`` (``in_progress``, or the result's status)."""


@dataclass(frozen=True, slots=True)
class ListedPlan:
    """One entry of the index, which is eventually consistent with the table."""

    account: str
    plan_id: str
    status: str


class DynamoPlanIndex:
    """Implementation of ``PlanIndex``.

    Args:
        client: a DynamoDB client with ``aws.client_config``.
        table: the execution table's name.
        clock: waits between retries.
    """

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._table = Table(client, table, clock)

    def plans_of(self, day: date, status: str | None = None) -> Iterator[ListedPlan]:
        """Yield the plans started on this day (UTC), with this status or with any.

        Raises:
            JournalUnavailable: the table did not answer.
        """
        keys = {"day": day.isoformat()} | ({"status": status} if status is not None else {})
        for item in self._table.query_index(INDEX, keys):
            yield ListedPlan(str(item["account"]), str(item["plan_id"]), str(item["status"]))
