"""The local AWS account: tables, bucket and queues as the template makes them, and the environment that leads there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import boto3
import botocore.session
from botocore.config import Config

from rebalance_executor.adapters.dynamodb.plan_index import INDEX
from rebalance_executor.adapters.dynamodb.risk_store import DynamoRiskStore
from rebalance_executor.adapters.sqs import MAX_DELIVERIES
from rebalance_executor.execution.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import KeySchemaElementTypeDef
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

EXECUTION_TABLE = "rebalance-execution"
IDEMPOTENCY_TABLE = "rebalance-idempotency"
PLAN_BUCKET = "rebalance-plans"
PLAN_QUEUE = "rebalance-plans.fifo"
DEAD_LETTER_QUEUE = "rebalance-plans-dead-letters.fifo"
RESULT_BUS = "default"
REGION = "us-east-1"
_DUMMY = "local"
_ANY_AGE_MINUTES = 100 * 366 * 24 * 60
"""A century: sample events carry a fixed timestamp, and get older."""
_PLANS_BY_DAY: Any = {
    "IndexName": INDEX,
    "KeySchema": [{"AttributeName": "day", "KeyType": "HASH"}, {"AttributeName": "status", "KeyType": "RANGE"}],
    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["account", "plan_id"]},
}
_INVOCATION_SECONDS = 600

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
        "PLAN_BUCKET": PLAN_BUCKET,
        "RESULT_BUS": RESULT_BUS,
        "ALPACA_API_KEY": _DUMMY,
        "ALPACA_SECRET_KEY": _DUMMY,
        "ALPACA_PAPER": "true",
        "ALPACA_TRADING_URL": broker_url,
        "ALPACA_DATA_URL": broker_url,
    }


def function_environment(inherited: Mapping[str, str], servers: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a local invocation.

    Nothing of a real account gets through: other endpoints, credentials and profiles are left out.

    Args:
        inherited: this process's environment.
        servers: what ``server_variables`` gives.
    """
    kept = {
        name: value
        for name, value in inherited.items()
        if name not in _NOT_INHERITED and not name.startswith("AWS_ENDPOINT_URL")
    }
    return {
        **kept,
        **servers,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
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
    return json.dumps({"max_plan_age_minutes": _ANY_AGE_MINUTES, "duplicate_window_minutes": 0, **config})


class LocalAwsClient:
    """DynamoDB, S3 and SQS of the local AWS; a context manager.

    Args:
        url: where it listens.
    """

    def __init__(self, url: str) -> None:
        own = botocore.session.Session({"profile": (None, None, None, None)})  # not the user's AWS_PROFILE
        session = boto3.Session(_DUMMY, _DUMMY, region_name=REGION, botocore_session=own)
        config = Config(
            connect_timeout=3,
            read_timeout=10,
            retries={"total_max_attempts": 2},
            proxies={},
            s3={"addressing_style": "path"},
        )
        self._dynamodb: DynamoDBClient = session.client("dynamodb", endpoint_url=url, config=config)
        self._s3: S3Client = session.client("s3", endpoint_url=url, config=config)
        self._sqs: SQSClient = session.client("sqs", endpoint_url=url, config=config)

    def __enter__(self) -> Self:
        """The same."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the connections back."""
        for client in (self._dynamodb, self._s3, self._sqs):
            client.close()

    def provision(self) -> None:
        """Make what the template makes, if it is absent: tables, plan bucket, plan queue and its dead letters."""
        tables = self._dynamodb.list_tables()["TableNames"]
        if EXECUTION_TABLE not in tables:
            self._create_table(EXECUTION_TABLE, ("pk", "sk"), expires="expires_at")
        if IDEMPOTENCY_TABLE not in tables:
            self._create_table(IDEMPOTENCY_TABLE, ("id",), expires="expiration")
        if PLAN_BUCKET not in {bucket.get("Name") for bucket in self._s3.list_buckets().get("Buckets", [])}:
            self._s3.create_bucket(Bucket=PLAN_BUCKET)
            self._s3.put_bucket_versioning(Bucket=PLAN_BUCKET, VersioningConfiguration={"Status": "Enabled"})
        if not any(url.endswith(f"/{PLAN_QUEUE}") for url in self._sqs.list_queues().get("QueueUrls", [])):
            self._create_queues()

    def book(self, clock: Clock) -> DynamoRiskStore:
        """What the controls remember of the accounts: the kill switch among it."""
        return DynamoRiskStore(self._dynamodb, EXECUTION_TABLE, clock)

    def put_plan(self, key: str, document: bytes) -> None:
        """Put a plan document into the plan bucket."""
        self._s3.put_object(Bucket=PLAN_BUCKET, Key=key, Body=document)

    def _create_table(self, table: str, keys: tuple[str, ...], expires: str) -> None:
        schema: list[KeySchemaElementTypeDef] = [{"AttributeName": keys[0], "KeyType": "HASH"}]
        schema += [{"AttributeName": key, "KeyType": "RANGE"} for key in keys[1:]]
        self._dynamodb.create_table(
            TableName=table,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            KeySchema=schema,
            BillingMode="PAY_PER_REQUEST",
        )
        if table == EXECUTION_TABLE:
            self._dynamodb.update_table(
                TableName=table,
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in (*keys, "day", "status")],
                GlobalSecondaryIndexUpdates=[{"Create": _PLANS_BY_DAY}],
            )
        self._dynamodb.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": expires}
        )

    def _create_queues(self) -> None:
        dead = self._sqs.create_queue(QueueName=DEAD_LETTER_QUEUE, Attributes={"FifoQueue": "true"})["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self._sqs.create_queue(
            QueueName=PLAN_QUEUE,
            Attributes={
                "FifoQueue": "true",
                "ContentBasedDeduplication": "true",
                "VisibilityTimeout": str(6 * _INVOCATION_SECONDS),
                "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MAX_DELIVERIES}),
            },
        )
