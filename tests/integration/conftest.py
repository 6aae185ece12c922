"""Fixtures of the tests that use the journal's table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.aws import Tampered, dynamodb, execution_table
from tests.support.sqlite_table import sqlite_client

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture(scope="module")
def account() -> Iterator[DynamoDBClient]:
    """Yield a client of an empty DynamoDB."""
    with dynamodb() as made:
        yield made


@pytest.fixture(params=["moto", "sqlite"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DynamoDBClient]:
    """Yield a client while an empty execution table exists: of DynamoDB, and of the SQLite journal."""
    if request.param == "sqlite":
        yield sqlite_client(tmp_path)
        return
    account: DynamoDBClient = request.getfixturevalue("account")
    with execution_table(account):
        yield account


@pytest.fixture
def tampered(client: DynamoDBClient) -> Tampered:
    """Return the client with requests that a test may disturb."""
    return Tampered(client)
