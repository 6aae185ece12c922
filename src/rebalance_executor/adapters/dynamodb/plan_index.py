"""The plans of a day by status, and the unfinished plans of all days, from the execution table's index."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from rebalance_executor.adapters.dynamodb.journal_items import UNFINISHED, unfinished_from
from rebalance_executor.adapters.dynamodb.table import TableAdapter
from rebalance_executor.domain.journal import ListedPlan, UnfinishedPlan

INDEX = "plans-by-day"
"""Keys ``day`` and ``status``: of a plan, its UTC date of start and ``in_progress`` or the result's status; of a lease
whose account has an unfinished plan, ``unfinished`` and the time at which that plan started."""


class DynamoPlanIndex(TableAdapter):
    """Implementation of ``PlanIndex``."""

    def plans_of(self, day: date, status: str | None = None) -> Iterator[ListedPlan]:
        """Yield the plans started on this day (UTC), with this status or with any.

        Raises:
            JournalUnavailable: the table did not answer.
        """
        keys = {"day": day.isoformat()} | ({"status": status} if status is not None else {})
        for item in self._table.query_index(INDEX, keys):
            yield ListedPlan(str(item["account"]), str(item["plan_id"]), str(item["status"]))

    def unfinished_plans(self) -> Iterator[UnfinishedPlan]:
        """Yield every plan of any account that was started and is not finished, the oldest first.

        Raises:
            JournalUnavailable: the table did not answer.
        """
        for item in self._table.query_index(INDEX, {"day": UNFINISHED}):
            yield unfinished_from(item)
