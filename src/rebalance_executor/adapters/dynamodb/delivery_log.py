"""The delivery log on DynamoDB: which version of a plan document the deliveries of an event execute.

One item per delivery chain of a pointer without a version, ``DELIVERY#<id>`` with the sort key ``POINTER``, in the
journal's table. It expires when no delivery can follow any more.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from rebalance_executor.adapters.dynamodb.table import ConditionFailed, Item, TableAdapter, Value
from rebalance_executor.triggers import DeliveredPlan, PlanVersion

_EXPIRES_AFTER = timedelta(days=45)
"""The queue (4 days) and its dead-letter queue (14 days) keep a message up to 36 days if it is replayed once."""
_POINTER = "POINTER"
_PIN = (
    "SET bucket_name = :bucket, object_key = :key, version_id = :version, etag = :etag, expires_at = :expires, "
    "account = :account, plan_id = :plan"
)
_IS_FIRST = "attribute_not_exists(pk)"


class DynamoDeliveryLog(TableAdapter):
    """Implementation of ``DeliveryLog``."""

    def pin(self, delivery_id: str, delivered: DeliveredPlan, at: datetime) -> DeliveredPlan:
        """Record what the first delivery read; return what is recorded.

        Raises:
            JournalUnavailable: the table did not answer; the version may or may not have been recorded.
        """
        version = delivered.version
        values: dict[str, Value] = {
            ":bucket": version.bucket,
            ":key": version.key,
            ":version": version.version_id or "",
            ":etag": version.etag or "",
            ":expires": int((at + _EXPIRES_AFTER).timestamp()),
            ":account": delivered.account or "",
            ":plan": delivered.plan_id or "",
        }
        try:
            item = self._table.update({"pk": _pk(delivery_id), "sk": _POINTER}, _PIN, _IS_FIRST, values)
        except ConditionFailed as failure:
            item = failure.item or {}
        return _delivered_from(item)

    def pinned(self, delivery_id: str) -> DeliveredPlan | None:
        """Return what the first delivery read, or None if none has read anything. Consistent read.

        Raises:
            JournalUnavailable: the table did not answer.
        """
        item = next(self._table.query(_pk(delivery_id)), None)
        return _delivered_from(item) if item is not None else None


def _pk(delivery_id: str) -> str:
    return f"DELIVERY#{delivery_id}"


def _delivered_from(item: Item) -> DeliveredPlan:
    version = PlanVersion(
        bucket=str(item["bucket_name"]),
        key=str(item["object_key"]),
        version_id=str(item["version_id"]) or None,
        etag=str(item["etag"]) or None,
    )
    return DeliveredPlan(version, str(item["account"]) or None, str(item["plan_id"]) or None)
