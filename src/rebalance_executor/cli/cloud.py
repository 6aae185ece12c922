"""The local AWS account: tables and bucket as the template makes them, and the environment that leads there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import KeySchemaElementTypeDef
    from mypy_boto3_s3 import S3Client

EXECUTION_TABLE = "rebalance-execution"
IDEMPOTENCY_TABLE = "rebalance-idempotency"
PLAN_BUCKET = "rebalance-plans"
REGION = "us-east-1"
_DUMMY = "local"
_ANY_AGE_MINUTES = 100 * 366 * 24 * 60
"""Sample events carry a fixed timestamp."""

_NOT_INHERITED = (
    "ALPACA_SECRET_NAME",
    "LIVE_TRADING",
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "POWERTOOLS_IDEMPOTENCY_DISABLED",
)


def server_variables(aws_url: str, broker_url: str) -> dict[str, str]:
    """The variables that lead everything — function, commands, AWS tools — to the servers of this machine."""
    return {
        "AWS_ENDPOINT_URL": aws_url,
        "AWS_ACCESS_KEY_ID": _DUMMY,
        "AWS_SECRET_ACCESS_KEY": _DUMMY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "EXECUTION_TABLE": EXECUTION_TABLE,
        "IDEMPOTENCY_TABLE": IDEMPOTENCY_TABLE,
        "ALPACA_API_KEY": _DUMMY,
        "ALPACA_SECRET_KEY": _DUMMY,
        "ALPACA_PAPER": "true",
        "ALPACA_TRADING_URL": broker_url,
        "ALPACA_DATA_URL": broker_url,
    }


def function_environment(
    inherited: Mapping[str, str], aws_url: str, broker_url: str, plan_bucket: str
) -> dict[str, str]:
    """The whole environment of a local invocation.

    Nothing of a real account gets through: other endpoints, credentials and profiles are left out.
    """
    kept = {
        name: value
        for name, value in inherited.items()
        if name not in _NOT_INHERITED and not name.startswith("AWS_ENDPOINT_URL")
    }
    return {
        **kept,
        **server_variables(aws_url, broker_url),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PLAN_BUCKET": plan_bucket,
        "EXECUTION_CONFIG": execution_config(inherited.get("EXECUTION_CONFIG", "")),
        "POWERTOOLS_TRACE_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "PYTHONUNBUFFERED": "1",
    }


def execution_config(own: str) -> str:
    """The user's configuration with plans of any age allowed, unless it says an age itself."""
    try:
        config = json.loads(own) if own.strip() else {}
    except ValueError:
        return own  # the function says what is wrong with it
    if not isinstance(config, dict):
        return own
    return json.dumps({"max_plan_age_minutes": _ANY_AGE_MINUTES, **config})


class Cloud:
    """DynamoDB and S3 of the local AWS."""

    def __init__(self, url: str) -> None:
        session = boto3.Session(aws_access_key_id=_DUMMY, aws_secret_access_key=_DUMMY, region_name=REGION)
        config = Config(
            connect_timeout=3,
            read_timeout=10,
            retries={"total_max_attempts": 2},
            proxies={},
            s3={"addressing_style": "path"},
        )
        self._dynamodb: DynamoDBClient = session.client("dynamodb", endpoint_url=url, config=config)
        self._s3: S3Client = session.client("s3", endpoint_url=url, config=config)

    def close(self) -> None:
        """Give the connections back."""
        self._dynamodb.close()
        self._s3.close()

    def create_tables(self) -> None:
        """Create the two tables if they are absent, with their times to live."""
        present = self._dynamodb.list_tables()["TableNames"]
        if EXECUTION_TABLE not in present:
            self._create(EXECUTION_TABLE, ("pk", "sk"), expires="expires_at")
        if IDEMPOTENCY_TABLE not in present:
            self._create(IDEMPOTENCY_TABLE, ("id",), expires="expiration")

    def put_plan(self, bucket: str, key: str, document: bytes) -> None:
        """Put a plan document where a pointer says, in a bucket that is made for it."""
        if bucket not in {known.get("Name") for known in self._s3.list_buckets().get("Buckets", [])}:
            self._s3.create_bucket(Bucket=bucket)
        self._s3.put_object(Bucket=bucket, Key=key, Body=document)

    def _create(self, table: str, keys: tuple[str, ...], expires: str) -> None:
        schema: list[KeySchemaElementTypeDef] = [{"AttributeName": keys[0], "KeyType": "HASH"}]
        schema += [{"AttributeName": key, "KeyType": "RANGE"} for key in keys[1:]]
        self._dynamodb.create_table(
            TableName=table,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            KeySchema=schema,
            BillingMode="PAY_PER_REQUEST",
        )
        self._dynamodb.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": expires}
        )
