"""The plans of a day by their status, from the execution table's index. Only a plan's own row has a ``day``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from rebalance_executor.adapters.aws import error_code, error_text
from rebalance_executor.domain.errors import JournalUnavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

INDEX = "plans-by-day"
"""Keys ``day`` (UTC date of the plan's begin) and ``status`` (``in_progress``, or the result's)."""


@dataclass(frozen=True, slots=True)
class ListedPlan:
    """One entry of the index. It follows the table within a moment, not at once."""

    account: str
    plan_id: str
    status: str


class DynamoPlanIndex:
    """Implements ``PlanIndex``.

    Args:
        client: a DynamoDB client with ``aws.client_config``.
        table: the execution table's name.
    """

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def plans_of(self, day: date, status: str | None = None) -> Iterator[ListedPlan]:
        """The plans begun on that day (UTC), of one status or of all.

        Raises:
            JournalUnavailable: the table did not answer.
        """
        request: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": INDEX,
            "KeyConditionExpression": "#day = :day" + (" AND #status = :status" if status else ""),
            "ExpressionAttributeNames": {"#day": "day"} | ({"#status": "status"} if status else {}),
            "ExpressionAttributeValues": {":day": {"S": day.isoformat()}}
            | ({":status": {"S": status}} if status else {}),
        }
        while True:
            page = self._page(request)
            for item in page["Items"]:
                yield ListedPlan(item["account"]["S"], item["plan_id"]["S"], item["status"]["S"])
            if not page.get("LastEvaluatedKey"):
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _page(self, request: dict[str, Any]) -> Any:
        try:
            return self._client.query(**request)
        except ClientError as error:
            code = error_code(error)
            text = f"{self._table} refused a request: {code}: {error_text(error)}"
            raise JournalUnavailable(text, table=self._table, aws_code=code) from error
        except BotoCoreError as error:
            text = f"{self._table} did not answer: {error}"
            raise JournalUnavailable(text, table=self._table, aws_code=type(error).__name__) from error
