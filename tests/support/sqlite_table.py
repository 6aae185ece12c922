"""The SQLite journal behind DynamoDB's client interface, as a parameter of tests that also run on DynamoDB."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rebalance_executor.adapters.sqlite.client import SqliteDynamoDB
from rebalance_executor.adapters.sqlite.file import JournalFile, create

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class ScannedDynamoDB(SqliteDynamoDB):
    """The client with a scan, which only tests need."""

    def scan(self, *, TableName: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        """Return all items of a table."""
        with self.file.reading() as database:
            rows = database.execute("SELECT DISTINCT pk FROM items WHERE name = ? ORDER BY pk", (TableName,)).fetchall()
        condition = {"TableName": TableName, "KeyConditionExpression": "pk = :pk"}
        pages = [self.query(**condition, ExpressionAttributeValues={":pk": {"S": pk}}) for (pk,) in rows]
        items = [item for page in pages for item in page["Items"]]
        return {"Items": items, "Count": len(items)}


def sqlite_client(folder: Path) -> DynamoDBClient:
    """Return a client of an empty journal in this folder."""
    path = folder / "journal.sqlite"
    create(path)
    return cast("DynamoDBClient", ScannedDynamoDB(JournalFile(path)))
