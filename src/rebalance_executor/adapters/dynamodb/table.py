"""A client for one DynamoDB table: typed items in, typed errors out, bounded retries.

Items are flat mappings of strings, integers and bytes. Decimals are stored as strings, which keeps them exact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from rebalance_executor.adapters.aws import error_code, error_text
from rebalance_executor.adapters.dynamodb.write_units import WritePace
from rebalance_executor.domain.errors import JournalUnavailable
from rebalance_executor.execution.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Value = str | int | bytes
Item = dict[str, Value]
AttributeMap = dict[str, Any]
"""An item in DynamoDB's JSON: ``{"pk": {"S": "…"}}``."""

_BACKOFF = tuple(timedelta(milliseconds=ms) for ms in (50, 100, 200, 400, 800))
"""Delays between retries of a conflicting or throttled transaction or of an incomplete batch. Together they outlast the
second to which a partition's limit applies."""

_RETRYABLE_REASONS = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
"""Reasons for which DynamoDB cancels a whole transaction without effect. boto3 does not retry these."""

_BATCH_GET_LIMIT = 100
_BATCH_WRITE_LIMIT = 25


@dataclass(frozen=True, slots=True)
class TransactionAction:
    """One action of a transaction.

    Args:
        name: identifies the action in ``ConditionFailed``.
        request: the action in DynamoDB's JSON: ``{"Put": {…}}``, ``{"Update": {…}}`` or ``{"ConditionCheck": {…}}``.
        units: the write units of its item. An updated or checked item is a lease, a run or a plan, below 1 KB unless
            its names are very long.
    """

    name: str
    request: Mapping[str, Any]
    units: int = 2


class ConditionFailed(Exception):
    """A write had no effect because a condition was false. Caught within the adapters.

    Args:
        failed: names of the transaction's actions whose conditions were false; empty for a single update.
        item: the stored item, if the request asked for it and it exists.
    """

    def __init__(self, failed: frozenset[str] = frozenset(), item: Item | None = None) -> None:
        super().__init__(f"conditions failed: {', '.join(sorted(failed)) or 'update'}")
        self.failed = failed
        self.item = item


def to_attributes(item: Mapping[str, Value]) -> AttributeMap:
    """Return an item in DynamoDB's JSON."""
    return {name: _to_attribute_value(value) for name, value in item.items()}


def from_attributes(attributes: Mapping[str, Any]) -> Item:
    """Return an item from DynamoDB's JSON, without attributes of types that this program never writes."""
    item: Item = {}
    for name, attribute in attributes.items():
        if "S" in attribute:
            item[name] = str(attribute["S"])
        elif "N" in attribute and re.fullmatch(r"-?[0-9]{1,38}", attribute["N"]):
            item[name] = int(attribute["N"])
        elif "B" in attribute:
            item[name] = bytes(attribute["B"])
    return item


def _to_attribute_value(value: Value) -> dict[str, Any]:
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int):
        return {"N": str(value)}
    return {"B": value}


class Table:
    """Requests to one table. They raise ``JournalUnavailable`` for every error except a failed condition.

    Args:
        client: a DynamoDB client.
        name: the table's name.
        clock: waits between retries.
    """

    def __init__(self, client: DynamoDBClient, name: str, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._pace = WritePace(clock)
        self.name = name

    def update(self, key: Item, expression: str, condition: str, values: Mapping[str, Value]) -> Item:
        """Update one item if ``condition`` is true; return the updated item.

        Raises:
            ConditionFailed: the condition is false; ``item`` is the stored item.
        """
        response = self._call(
            lambda: self._client.update_item(
                TableName=self.name,
                Key=to_attributes(key),
                UpdateExpression=expression,
                ConditionExpression=condition,
                ExpressionAttributeValues=to_attributes(values),
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        )
        return from_attributes(response["Attributes"])

    def query(self, pk: str, prefix: str = "") -> Iterator[Item]:
        """Yield the items of one partition whose sort key starts with ``prefix``, in order. Consistent read."""
        if not prefix:
            return self._query("pk = :pk", {":pk": pk})
        return self._query("pk = :pk AND begins_with(sk, :prefix)", {":pk": pk, ":prefix": prefix})

    def between(self, pk: str, first: str, last: str) -> Iterator[Item]:
        """Yield the items of one partition from sort key ``first`` to ``last``, both included. Consistent read."""
        return self._query("pk = :pk AND sk BETWEEN :first AND :last", {":pk": pk, ":first": first, ":last": last})

    def query_index(self, index: str, keys: Mapping[str, str]) -> Iterator[Item]:
        """Yield the items of a global secondary index with these keys. The index is eventually consistent.

        Args:
            index: the index's name.
            keys: values by key attribute: the partition key, optionally the sort key.
        """
        condition = " AND ".join(f"#{name} = :{name}" for name in keys)
        values = {f":{name}": value for name, value in keys.items()}
        names = {f"#{name}": name for name in keys}  # day and status are reserved words
        options = {"IndexName": index, "ExpressionAttributeNames": names}
        return self._pages(condition, values, options)

    def _query(self, condition: str, values: Mapping[str, Value]) -> Iterator[Item]:
        return self._pages(condition, values, {"ConsistentRead": True})

    def _pages(self, condition: str, values: Mapping[str, Value], options: Mapping[str, Any]) -> Iterator[Item]:
        request: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": to_attributes(values),
            **options,
        }
        while True:
            page = self._call(lambda: self._client.query(**request))
            yield from (from_attributes(item) for item in page["Items"])
            if not page.get("LastEvaluatedKey"):
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def transact(self, actions: Sequence[TransactionAction]) -> None:
        """Apply all of these actions or none.

        boto3 sends an idempotency token with every call and repeats it on its retries. A retry that arrives late,
        after a newer write, therefore has no effect.

        Raises:
            ConditionFailed: a condition is false; ``failed`` names the actions.
        """
        request: Any = [action.request for action in actions]
        names = [action.name for action in actions]
        self._pace.wait(sum(action.units for action in actions))
        self._call(lambda: self._client.transact_write_items(TransactItems=request), names)

    def get_many(self, keys: Sequence[Item]) -> list[Item]:
        """Return the items that exist. Items that the table does not return within the retries are missing too."""
        items: list[Item] = []
        for chunk in _chunks([to_attributes(key) for key in keys], _BATCH_GET_LIMIT):
            pending: Any = {self.name: {"Keys": chunk}}
            for wait in (*_BACKOFF, None):
                response = self._call(lambda: self._client.batch_get_item(RequestItems=pending))  # noqa: B023 - called at once
                items += [from_attributes(item) for item in response.get("Responses", {}).get(self.name, [])]
                pending = response.get("UnprocessedKeys")
                if not pending or wait is None:
                    break
                self._clock.sleep(wait)
        return items

    def put_many(self, items: Sequence[Item]) -> None:
        """Write the items independently of each other, without conditions.

        Raises:
            JournalUnavailable: the table did not accept all of them within the retries.
        """
        for chunk in _chunks([{"PutRequest": {"Item": to_attributes(item)}} for item in items], _BATCH_WRITE_LIMIT):
            pending: Any = {self.name: chunk}
            for wait in (*_BACKOFF, None):
                response = self._call(lambda: self._client.batch_write_item(RequestItems=pending))  # noqa: B023 - called at once
                pending = response.get("UnprocessedItems")
                if not pending:
                    break
                if wait is None:
                    raise JournalUnavailable(
                        f"table {self.name} is throttled and did not accept all items of a batch", table=self.name
                    )
                self._clock.sleep(wait)

    def _call[T](self, request: Callable[[], T], names: Sequence[str] = ()) -> T:
        """Send one request; retry it, within bounds, while it conflicts with another one or is throttled."""
        for wait in (*_BACKOFF, None):
            try:
                return request()
            except ClientError as error:
                code, reasons = error_code(error), _cancellation_reasons(error)
                if code == "ConditionalCheckFailedException" or "ConditionalCheckFailed" in reasons:
                    raise _condition_failed(error, names, reasons) from None
                if wait is None or not _is_conflict(code, reasons):
                    causes = ", ".join(sorted({*reasons} - {"None"}))
                    text = f"table {self.name}: {code}{f' ({causes})' if causes else ''}: {error_text(error)}"
                    raise JournalUnavailable(text, table=self.name, aws_code=code) from error
            except BotoCoreError as error:  # timeout, broken connection, no AWS credentials
                text = f"table {self.name} did not answer: {error}"
                raise JournalUnavailable(text, table=self.name, aws_code=type(error).__name__) from error
            self._clock.sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")  # pragma: no cover


class TableAdapter:
    """An adapter that needs nothing but the table.

    Args:
        client: a DynamoDB client with ``aws.client_config``.
        table: the name of the execution table.
        clock: waits between retries.
    """

    def __init__(self, client: DynamoDBClient, table: str, clock: Clock) -> None:
        self._table = Table(client, table, clock)


def _cancellation_reasons(error: ClientError) -> list[str]:
    """Return why a transaction was canceled, one reason per action: ``None`` if the action is not the cause."""
    if error_code(error) != "TransactionCanceledException":
        return []
    reasons: Any = error.response.get("CancellationReasons", [])
    return [str(reason.get("Code") or "None") for reason in reasons]


def _condition_failed(error: ClientError, names: Sequence[str], reasons: Sequence[str]) -> ConditionFailed:
    failed = (name for name, reason in zip(names, reasons, strict=False) if reason == "ConditionalCheckFailed")
    stored: Any = error.response.get("Item")
    return ConditionFailed(frozenset(failed), from_attributes(stored) if stored else None)


def _is_conflict(code: str, reasons: Sequence[str]) -> bool:
    """Return whether the same request may succeed if it is sent again."""
    causes = {*reasons} - {"None"}
    return code == "TransactionConflictException" or (bool(causes) and causes <= _RETRYABLE_REASONS)


def _chunks[T](values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (values[start : start + size] for start in range(0, len(values), size))
