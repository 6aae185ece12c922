"""AWS in this process with moto: the template's tables, dummy credentials and no network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from rebalance_executor.adapters.aws import client_config
from rebalance_executor.adapters.dynamodb.plan_index import INDEX

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "execution"
REGION = "us-east-1"
_NOT_INHERITED = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE")


@contextmanager
def aws() -> Iterator[boto3.Session]:
    """Yield a session of an empty AWS account."""
    with pytest.MonkeyPatch.context() as environment:
        for name in _NOT_INHERITED:
            environment.delenv(name, raising=False)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, "test")
        environment.setenv("AWS_DEFAULT_REGION", REGION)
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with mock_aws():
            yield boto3.Session(region_name=REGION)


@contextmanager
def dynamodb() -> Iterator[DynamoDBClient]:
    """Yield a client of an empty account, configured as in the function."""
    with aws() as session:
        client = session.client("dynamodb", config=client_config())
        yield client
        client.close()


@contextmanager
def execution_table(client: DynamoDBClient) -> Iterator[str]:
    """Create an empty execution table for the block and yield its name."""
    create_execution_table(client, TABLE)
    yield TABLE
    client.delete_table(TableName=TABLE)


def create_execution_table(client: DynamoDBClient, name: str) -> None:
    """Create the execution table as the template defines it."""
    client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk", "day", "status")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": INDEX,
                "KeySchema": [
                    {"AttributeName": "day", "KeyType": "HASH"},
                    {"AttributeName": "status", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["account", "plan_id"]},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )


def create_idempotency_table(client: DynamoDBClient, name: str) -> None:
    """Create the idempotency table as the template defines it."""
    client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )


def client_error(code: str, message: str = "raised by the test", **more: Any) -> ClientError:
    """Build an error as boto3 raises it."""
    response: Any = {"Error": {"Code": code, "Message": message}, **more}
    return ClientError(response, "Operation")


def canceled(*reasons: str) -> ClientError:
    """Build the error of a canceled transaction, with a reason for each of its actions."""
    return client_error("TransactionCanceledException", CancellationReasons=[{"Code": reason} for reason in reasons])


class Tampered:
    """A boto3 client that counts its calls and lets a test raise errors around them.

    ``before`` and ``after`` get the operation's name and request, before and after the real client is called. The
    caller sees the error that they raise: one from ``after`` loses the response of a request that took effect.
    """

    def __init__(self, client: object) -> None:
        self._client = client
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        self.before: Callable[[str, Mapping[str, Any]], None] = lambda _name, _request: None
        self.after: Callable[[str, Mapping[str, Any]], None] = lambda _name, _request: None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            self.calls.append((name, request))
            self.before(name, request)
            response = getattr(self._client, name)(**request)
            self.after(name, request)
            return response

        return call

    def count(self, name: str) -> int:
        """Return the number of calls of this operation."""
        return sum(called == name for called, _ in self.calls)


def once(error: Exception, operation: str, *, times: int = 1) -> Callable[[str, Mapping[str, Any]], None]:
    """Return a hook for ``before`` or ``after`` that raises ``error`` in the first ``times`` calls of ``operation``."""
    left = [times]

    def hook(name: str, _request: Mapping[str, Any]) -> None:
        if name == operation and left[0] > 0:
            left[0] -= 1
            raise error

    return hook
