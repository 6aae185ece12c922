"""One DynamoDB table behind typed errors: what a request can come to, and how often it is tried.

Rows are flat mappings of texts, whole numbers and bytes. Decimals travel as text, so that they stay exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from rebalance_executor.adapters.aws import error_code, error_text
from rebalance_executor.domain.errors import JournalUnavailable
from rebalance_executor.execution.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Value = str | int | bytes
Item = dict[str, Value]
AttributeMap = dict[str, Any]
"""A row in DynamoDB's own notation: ``{"pk": {"S": "…"}}``."""

_WAITS = tuple(timedelta(milliseconds=ms) for ms in (50, 100, 200, 400))
"""Between two tries of a request that met another one on the same row."""

_BUSY = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
"""Reasons for which DynamoDB cancels a whole transaction, without effect; boto3 does not try these again."""

_BATCH_GET = 100
_BATCH_WRITE = 25


class ConditionFailed(Exception):
    """A write had no effect because a condition did not hold. Never leaves the adapters.

    Args:
        failed: positions of the actions whose conditions did not hold.
        row: the row as it is, where it was asked for.
    """

    def __init__(self, failed: frozenset[int], row: Item | None = None) -> None:
        super().__init__(f"conditions of actions {sorted(failed)} did not hold")
        self.failed = failed
        self.item = row


def to_attributes(row: Mapping[str, Value]) -> AttributeMap:
    """A row in DynamoDB's notation."""
    return {name: _to_attribute(value) for name, value in row.items()}


def from_attributes(item: Mapping[str, Any]) -> Item:
    """A row from DynamoDB's notation; attributes of other types, which this program never writes, are left out."""
    row: Item = {}
    for name, attribute in item.items():
        if "S" in attribute:
            row[name] = str(attribute["S"])
        elif "N" in attribute:
            row[name] = int(attribute["N"])
        elif "B" in attribute:
            row[name] = bytes(attribute["B"])
    return row


def _to_attribute(value: Value) -> dict[str, Any]:
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int):
        return {"N": str(value)}
    return {"B": value}


class Table:
    """Requests to one table. Everything but a failed condition becomes ``JournalUnavailable``."""

    def __init__(self, client: DynamoDBClient, name: str, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self.name = name

    def update(self, key: Item, change: str, condition: str, values: Mapping[str, Value]) -> Item:
        """Change one row if ``condition`` holds, and give it back as it is then.

        Raises:
            ConditionFailed: with the row as it is.
        """
        answer = self._ask(
            lambda: self._client.update_item(
                TableName=self.name,
                Key=to_attributes(key),
                UpdateExpression=change,
                ConditionExpression=condition,
                ExpressionAttributeValues=to_attributes(values),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        )
        return from_attributes(answer["Attributes"])

    def query(self, pk: str, prefix: str = "") -> Iterator[Item]:
        """The rows of one partition whose sort key begins with ``prefix``, in its order, read consistently."""
        if not prefix:
            return self._query("pk = :pk", {":pk": pk})
        return self._query("pk = :pk AND begins_with(sk, :prefix)", {":pk": pk, ":prefix": prefix})

    def between(self, pk: str, first: str, last: str) -> Iterator[Item]:
        """The rows of one partition from one sort key to another, both included, read consistently."""
        return self._query("pk = :pk AND sk BETWEEN :first AND :last", {":pk": pk, ":first": first, ":last": last})

    def _query(self, condition: str, values: Mapping[str, Value]) -> Iterator[Item]:
        request: dict[str, Any] = {
            "TableName": self.name,
            "ConsistentRead": True,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": to_attributes(values),
        }
        while True:
            page = self._ask(lambda: self._client.query(**request))
            yield from (from_attributes(item) for item in page["Items"])
            if not page.get("LastEvaluatedKey"):
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def transact(self, actions: Sequence[Mapping[str, Any]]) -> None:
        """All of these actions or none.

        boto3 gives every call a token of its own, which its retries repeat: an attempt that arrives late, after
        a newer write, has no effect.

        Raises:
            ConditionFailed: with the positions of the actions that did not hold.
        """
        request: Any = list(actions)
        self._ask(lambda: self._client.transact_write_items(TransactItems=request))

    def get_many(self, keys: Sequence[Item]) -> list[Item]:
        """Those of the rows that exist. Rows that the table does not give in time are missing, too."""
        found: list[Item] = []
        for chunk in _chunks([to_attributes(key) for key in keys], _BATCH_GET):
            wanted: Any = {self.name: {"Keys": chunk}}
            for wait in (*_WAITS, None):
                answer = self._ask(lambda: self._client.batch_get_item(RequestItems=wanted))  # noqa: B023 - called at once
                found += [from_attributes(item) for item in answer.get("Responses", {}).get(self.name, [])]
                wanted = answer.get("UnprocessedKeys")
                if not wanted or wait is None:
                    break
                self._clock.sleep(wait)
        return found

    def put_many(self, rows: Sequence[Item]) -> None:
        """Write the rows, each for itself and without any condition."""
        for chunk in _chunks([{"PutRequest": {"Item": to_attributes(row)}} for row in rows], _BATCH_WRITE):
            wanted: Any = {self.name: chunk}
            for wait in (*_WAITS, None):
                answer = self._ask(lambda: self._client.batch_write_item(RequestItems=wanted))  # noqa: B023 - called at once
                wanted = answer.get("UnprocessedItems")
                if not wanted:
                    break
                if wait is None:
                    raise JournalUnavailable(
                        f"{self.name} did not take all rows of a batch; it is busy", table=self.name
                    )
                self._clock.sleep(wait)

    def _ask[T](self, request: Callable[[], T]) -> T:
        """The answer to one request; what met another request on the same row is tried again, bounded."""
        for wait in (*_WAITS, None):
            try:
                return request()
            except ClientError as error:
                code, failed, busy = _judge(error)
                if failed:
                    old: Any = error.response.get("Item")
                    raise ConditionFailed(failed, from_attributes(old) if old else None) from None
                if wait is None or not busy:
                    text = f"{self.name} refused a request: {code}: {error_text(error)}"
                    raise JournalUnavailable(text, table=self.name, aws_code=code) from error
            except BotoCoreError as error:  # time-outs, broken connections, no credentials to ask with
                text = f"{self.name} did not answer: {error}"
                raise JournalUnavailable(text, table=self.name, aws_code=type(error).__name__) from error
            self._clock.sleep(wait)
        raise AssertionError("unreachable: the last try returns or raises")  # pragma: no cover


def _judge(error: ClientError) -> tuple[str, frozenset[int], bool]:
    """AWS's code, the actions whose conditions failed, and whether the same request may go through at once."""
    code = error_code(error)
    if code == "ConditionalCheckFailedException":
        return code, frozenset({0}), False
    if code != "TransactionCanceledException":
        return code, frozenset(), code == "TransactionConflictException"
    given: Any = error.response.get("CancellationReasons", [])
    reasons = [str(reason.get("Code") or "None") for reason in given]
    failed = frozenset(i for i, reason in enumerate(reasons) if reason == "ConditionalCheckFailed")
    causes = {reason for reason in reasons if reason != "None"}
    return f"{code} ({', '.join(sorted(causes))})", failed, bool(causes) and causes <= _BUSY


def _chunks[T](values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (values[start : start + size] for start in range(0, len(values), size))
