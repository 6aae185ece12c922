"""What DynamoDB does not take: the simulated one refuses it as moto does, so that no history relies on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError

from rebalance_simulation.dynamodb import SimulatedDynamoDB
from tests.support.aws import TABLE, dynamodb, execution_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(params=["simulated", "moto"])
def client(request: pytest.FixtureRequest) -> Iterator[DynamoDBClient]:
    if request.param == "simulated":
        yield cast("DynamoDBClient", SimulatedDynamoDB())
        return
    with dynamodb() as account, execution_table(account):
        yield account


def row(number: int = 0, text: str = "", **more: Any) -> Any:
    return {"pk": {"S": "P"}, "sk": {"S": f"{number:03d}"}, "text": {"S": text}} | more


def put(item: Any, **more: Any) -> Any:
    return {"Put": {"TableName": TABLE, "Item": item, **more}}


def update(client: DynamoDBClient, change: str, condition: str, **values: Any) -> Any:
    key: Any = {"pk": {"S": "P"}, "sk": {"S": "000"}}
    return client.update_item(
        TableName=TABLE,
        Key=key,
        UpdateExpression=change,
        ConditionExpression=condition,
        ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
        ReturnValues="ALL_NEW",
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )


def refusal(call: Callable[[], object]) -> Any:
    with pytest.raises(ClientError) as raised:
        call()
    return raised.value.response


@pytest.mark.parametrize(
    "actions",
    [
        [put(row(number)) for number in range(101)],
        [put(row()), put(row())],
        [put(row(text="x" * 410_000))],
    ],
    ids=["101 actions", "a row twice", "a row of 410 KB"],
)
def test_a_transaction_beyond_the_limits_is_refused_and_nothing_is_written(
    client: DynamoDBClient, actions: list[Any]
) -> None:
    error = refusal(lambda: client.transact_write_items(TransactItems=actions))

    assert error["Error"]["Code"] == "ValidationException"
    assert everything(client) == []


@pytest.mark.parametrize(
    "actions",
    [
        [put(row(number, "x" * 390_000)) for number in range(11)],
        [put(row(), ConditionExpression="attribute_not_exists(pk)", ExpressionAttributeValues={":x": {"S": "x"}})],
    ],
    ids=["4.3 MB", "a value that nobody names"],
)
def test_what_moto_lets_through_and_dynamodb_does_not_is_refused_too(actions: list[Any]) -> None:
    client = cast("DynamoDBClient", SimulatedDynamoDB())
    error = refusal(lambda: client.transact_write_items(TransactItems=actions))

    assert error["Error"]["Code"] == "ValidationException"
    assert everything(client) == []


def test_a_transaction_of_100_rows_is_written_and_read_in_order(client: DynamoDBClient) -> None:
    client.transact_write_items(TransactItems=[put(row(number)) for number in reversed(range(100))])

    assert everything(client) == [row(number) for number in range(100)]


def test_a_condition_that_fails_is_told_by_its_place_and_nothing_is_written(client: DynamoDBClient) -> None:
    client.transact_write_items(TransactItems=[put(row(1))])
    actions = [put(row(0)), put(row(1, "new"), ConditionExpression="attribute_not_exists(pk)")]
    error = refusal(lambda: client.transact_write_items(TransactItems=actions))

    assert error["Error"]["Code"] == "TransactionCanceledException"
    assert [reason["Code"] for reason in error["CancellationReasons"]] == ["None", "ConditionalCheckFailed"]
    assert everything(client) == [row(1)]


def test_an_update_counts_from_nothing_and_tells_the_row_where_its_condition_fails(client: DynamoDBClient) -> None:
    count = "SET epoch = if_not_exists(epoch, :none) + :one"
    numbers = {"none": {"N": "0"}, "one": {"N": "1"}}
    for expected in ("1", "2"):
        answer = update(client, count, "attribute_not_exists(epoch) OR epoch < :two", **numbers, two={"N": "2"})
        assert answer["Attributes"]["epoch"] == {"N": expected}

    error = refusal(lambda: update(client, count, "epoch < :two", **numbers, two={"N": "2"}))

    assert error["Error"]["Code"] == "ConditionalCheckFailedException"
    assert error["Item"]["epoch"] == {"N": "2"}


def everything(client: DynamoDBClient) -> list[Any]:
    """All rows, page by page."""
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
