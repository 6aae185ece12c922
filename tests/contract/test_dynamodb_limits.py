"""The limits of DynamoDB. The simulated table and the SQLite file check them as moto does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError

from rebalance_simulation.dynamodb import SimulatedDynamoDB
from tests.support.aws import TABLE, dynamodb, execution_table
from tests.support.sqlite_table import sqlite_client

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(params=["simulated", "sqlite", "moto"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DynamoDBClient]:
    if request.param == "simulated":
        yield cast("DynamoDBClient", SimulatedDynamoDB())
        return
    if request.param == "sqlite":
        yield sqlite_client(tmp_path)
        return
    with dynamodb() as account, execution_table(account):
        yield account


def an_item(number: int = 0, text: str = "", **more: Any) -> Any:
    return {"pk": {"S": "P"}, "sk": {"S": f"{number:03d}"}, "text": {"S": text}} | more


def put(item: Any, **more: Any) -> Any:
    return {"Put": {"TableName": TABLE, "Item": item, **more}}


def update(client: DynamoDBClient, expression: str, condition: str, **values: Any) -> Any:
    key: Any = {"pk": {"S": "P"}, "sk": {"S": "000"}}
    return client.update_item(
        TableName=TABLE,
        Key=key,
        UpdateExpression=expression,
        ConditionExpression=condition,
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
        ReturnValues="ALL_NEW",
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )


def error_of(call: Callable[[], object]) -> Any:
    with pytest.raises(ClientError) as raised:
        call()
    return raised.value.response


@pytest.mark.parametrize(
    "actions",
    [
        [put(an_item(number)) for number in range(101)],
        [put(an_item()), put(an_item())],
        [put(an_item(text="x" * 410_000))],
    ],
    ids=["101 actions", "an item twice", "an item of 410 KB"],
)
def test_transaction_beyond_the_limits_writes_nothing(client: DynamoDBClient, actions: list[Any]) -> None:
    error = error_of(lambda: client.transact_write_items(TransactItems=actions))

    assert error["Error"]["Code"] == "ValidationException"
    assert all_items(client) == []


@pytest.mark.parametrize(
    "actions",
    [
        [put(an_item(number, "x" * 390_000)) for number in range(11)],
        [put(an_item(), ConditionExpression="attribute_not_exists(pk)", ExpressionAttributeValues={":x": {"S": "x"}})],
    ],
    ids=["4.3 MB", "an unused value"],
)
def test_simulation_checks_limits_that_moto_does_not(actions: list[Any]) -> None:
    client = cast("DynamoDBClient", SimulatedDynamoDB())
    error = error_of(lambda: client.transact_write_items(TransactItems=actions))

    assert error["Error"]["Code"] == "ValidationException"
    assert all_items(client) == []


def test_transaction_of_100_items_is_read_in_order(client: DynamoDBClient) -> None:
    client.transact_write_items(TransactItems=[put(an_item(number)) for number in reversed(range(100))])

    assert all_items(client) == [an_item(number) for number in range(100)]


def test_failed_condition_has_its_position_and_writes_nothing(client: DynamoDBClient) -> None:
    client.transact_write_items(TransactItems=[put(an_item(1))])
    actions = [put(an_item(0)), put(an_item(1, "new"), ConditionExpression="attribute_not_exists(pk)")]
    error = error_of(lambda: client.transact_write_items(TransactItems=actions))

    assert error["Error"]["Code"] == "TransactionCanceledException"
    assert [reason["Code"] for reason in error["CancellationReasons"]] == ["None", "ConditionalCheckFailed"]
    assert all_items(client) == [an_item(1)]


def test_failed_update_returns_the_stored_item(client: DynamoDBClient) -> None:
    count = "SET epoch = if_not_exists(epoch, :none) + :one"
    numbers = {"none": {"N": "0"}, "one": {"N": "1"}}
    for expected in ("1", "2"):
        answer = update(client, count, "attribute_not_exists(epoch) OR epoch < :two", **numbers, two={"N": "2"})
        assert answer["Attributes"]["epoch"] == {"N": expected}

    error = error_of(lambda: update(client, count, "epoch < :two", **numbers, two={"N": "2"}))

    assert error["Error"]["Code"] == "ConditionalCheckFailedException"
    assert error["Item"]["epoch"] == {"N": "2"}


def all_items(client: DynamoDBClient) -> list[Any]:
    """Return all items, page by page."""
    request: Any = {
        "TableName": TABLE,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": {"S": "P"}},
    }
    found: list[Any] = []
    while True:
        page = client.query(**request)
        found += page["Items"]
        if "LastEvaluatedKey" not in page:
            return found
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
