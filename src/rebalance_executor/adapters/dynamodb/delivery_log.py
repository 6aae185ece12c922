"""The delivery log on DynamoDB: which version of a plan document the deliveries of an event execute.

One item per delivery chain of a pointer without a version, ``DELIVERY#<id>`` with the sort key ``POINTER``, in the
journal's table. It expires when no delivery can follow any more.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rebalance_executor.adapters.dynamodb.table import ConditionFailed, Item, Table, Value
from rebalance_executor.execution.ports import Clock
from rebalance_executor.triggers import PlanVersion

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_EXPIRES_AFTER = timedelta(days=45)
"""The queue (4 days) and its dead-letter queue (14 days) keep a message up to 36 days if it is replayed once."""
_PIN = "SET bucket_name = :bucket, object_key = :key, version_id = :version, etag = :etag, expires_at = :expires"
_IS_FIRST = "attribute_not_exists(pk)"


class DynamoDeliveryLog:
    """Implementation of ``DeliveryLog``.

    Args:
        client: a DynamoDB client with ``aws.client_config``.
        table: the name of the journal's table.
        clock: waits between retries.
    """

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._table = Table(client, table, clock)

    def pin(self, delivery_id: str, version: PlanVersion, at: datetime) -> PlanVersion:
        """Record the version that the first delivery read; return the recorded one.

        Raises:
            JournalUnavailable: the table did not answer; the version may or may not have been recorded.
        """
        values: dict[str, Value] = {
            ":bucket": version.bucket,
            ":key": version.key,
            ":version": version.version_id or "",
            ":etag": version.etag or "",
            ":expires": int((at + _EXPIRES_AFTER).timestamp()),
        }
        try:
            item = self._table.update({"pk": f"DELIVERY#{delivery_id}", "sk": "POINTER"}, _PIN, _IS_FIRST, values)
        except ConditionFailed as failure:
            item = failure.item or {}
        return _version_from(item)


def _version_from(item: Item) -> PlanVersion:
    return PlanVersion(
        bucket=str(item["bucket_name"]),
        key=str(item["object_key"]),
        version_id=str(item["version_id"]) or None,
        etag=str(item["etag"]) or None,
    )
