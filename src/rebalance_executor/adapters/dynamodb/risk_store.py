"""The control book on DynamoDB: kill switch and reservations, in the account's own partition."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from rebalance_executor.adapters.dynamodb import risk_items
from rebalance_executor.adapters.dynamodb.table import Table, to_attributes
from rebalance_executor.domain.risk_state import KillSwitchRecord, RiskState
from rebalance_executor.execution.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoRiskStore:
    """Implements ``RiskStore``.

    Args:
        client: a DynamoDB client with ``aws.client_config``.
        table: the table's name, the journal's.
        clock: waits between tries.
    """

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._table = Table(client, table, clock)

    def load(self, account: str, day: date) -> RiskState:
        """Kill switch and reservations of that trading day.

        Raises:
            JournalContradiction: a row cannot be read.
        """
        found = self._table.between(risk_items.account_pk(account), risk_items.day_sk(day), risk_items.KILL_SWITCH)
        return risk_items.risk_state_from(day, found)

    def kill_switch(self, account: str) -> KillSwitchRecord:
        """The kill switch as it is now.

        Raises:
            JournalContradiction: its row cannot be read.
        """
        found = self._table.between(risk_items.account_pk(account), risk_items.KILL_SWITCH, risk_items.KILL_SWITCH)
        return risk_items.kill_switch_from(next(iter(found), None))

    def set_kill_switch(self, account: str, switch: KillSwitchRecord) -> None:
        """Set the kill switch, and keep the setting among the earlier ones."""
        puts = risk_items.kill_switch_items(account, switch, switch.at or datetime.min.replace(tzinfo=UTC))
        self._table.transact([{"Put": {"TableName": self._table.name, "Item": to_attributes(row)}} for row in puts])
