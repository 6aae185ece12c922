"""The control book on DynamoDB: kill switch and reservations, in the account's own partition."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from rebalance_executor.adapters.dynamodb import risk_items
from rebalance_executor.adapters.dynamodb.table import Table, to_item
from rebalance_executor.domain.risk_state import Book, Switch
from rebalance_executor.execution.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoControlBook:
    """Implements ``ControlBook``.

    Args:
        client: a DynamoDB client with ``aws.client_config``.
        table: the table's name, the journal's.
        clock: waits between tries.
    """

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._table = Table(client, table, clock)

    def book(self, account: str, day: date) -> Book:
        """Kill switch and reservations of that trading day.

        Raises:
            JournalContradiction: a row cannot be read.
        """
        found = self._table.between(risk_items.account_pk(account), risk_items.day_sk(day), risk_items.SWITCH)
        return risk_items.book_from(day, found)

    def switch(self, account: str) -> Switch:
        """The kill switch as it is now.

        Raises:
            JournalContradiction: its row cannot be read.
        """
        found = self._table.between(risk_items.account_pk(account), risk_items.SWITCH, risk_items.SWITCH)
        return risk_items.switch_from(next(iter(found), None))

    def set_switch(self, account: str, switch: Switch) -> None:
        """Set the kill switch, and keep the setting among the earlier ones."""
        puts = risk_items.switch_rows(account, switch, switch.at or datetime.min.replace(tzinfo=UTC))
        self._table.transact([{"Put": {"TableName": self._table.name, "Item": to_item(row)}} for row in puts])
