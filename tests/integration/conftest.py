"""Fixtures of the tests that use the journal's table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.aws import Tampered, dynamodb, execution_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(scope="module")
def account() -> Iterator[DynamoDBClient]:
    """Yield a client of an empty DynamoDB."""
    with dynamodb() as made:
        yield made


@pytest.fixture
def client(account: DynamoDBClient) -> Iterator[DynamoDBClient]:
    """Yield the client while an empty execution table exists."""
    with execution_table(account):
        yield account


@pytest.fixture
def tampered(client: DynamoDBClient) -> Tampered:
    """Return the client with requests that a test may disturb."""
    return Tampered(client)
