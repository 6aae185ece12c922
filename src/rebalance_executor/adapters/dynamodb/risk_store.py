"""The risk store on DynamoDB: kill switch and reservations, in the account's partition of the journal's table."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from rebalance_executor.adapters.dynamodb import risk_items
from rebalance_executor.adapters.dynamodb.table import Table, TransactionAction, to_attributes
from rebalance_executor.domain.risk_state import KillSwitchRecord, RiskState
from rebalance_executor.execution.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoRiskStore:
    """Implementation of ``RiskStore``.

    Args:
        client: a DynamoDB client with ``aws.client_config``.
        table: the name of the journal's table.
        clock: waits between retries.
    """

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._table = Table(client, table, clock)

    def load(self, account: str, day: date) -> RiskState:
        """Return the kill switch and the reservations of this trading day.

        Raises:
            JournalContradiction: an item cannot be read.
            JournalUnavailable: the table did not answer.
        """
        pk = risk_items.account_pk(account)
        return risk_items.risk_state_from(day, self._table.between(pk, risk_items.day_sk(day), risk_items.KILL_SWITCH))

    def kill_switch(self, account: str) -> KillSwitchRecord:
        """Return the current kill switch.

        Raises:
            JournalContradiction: its item cannot be read.
            JournalUnavailable: the table did not answer.
        """
        pk = risk_items.account_pk(account)
        items = self._table.between(pk, risk_items.KILL_SWITCH, risk_items.KILL_SWITCH)
        return risk_items.kill_switch_from(next(iter(items), None))

    def set_kill_switch(self, account: str, switch: KillSwitchRecord) -> None:
        """Set the kill switch and add the setting to its history.

        Raises:
            JournalUnavailable: the setting may or may not have been written.
        """
        items = risk_items.kill_switch_items(account, switch, switch.at or datetime.min.replace(tzinfo=UTC))
        self._table.transact(
            [
                TransactionAction("kill switch", {"Put": {"TableName": self._table.name, "Item": to_attributes(item)}})
                for item in items
            ]
        )
