"""The local AWS account: tables, bucket and queues as in ``template.yaml``."""

from __future__ import annotations

import json
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import boto3
import botocore.session
from botocore.config import Config

from rebalance_executor.adapters.dynamodb.plan_index import INDEX
from rebalance_executor.adapters.dynamodb.risk_store import DynamoRiskStore
from rebalance_executor.adapters.sqs import MAX_DELIVERIES
from rebalance_executor.execution.ports import Clock
from rebalance_sandbox.environment import (
    DEAD_LETTER_QUEUE,
    DUMMY_KEY,
    EXECUTION_TABLE,
    IDEMPOTENCY_TABLE,
    PLAN_BUCKET,
    PLAN_QUEUE,
    REGION,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import KeySchemaElementTypeDef
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_PLANS_BY_DAY: Any = {
    "IndexName": INDEX,
    "KeySchema": [{"AttributeName": "day", "KeyType": "HASH"}, {"AttributeName": "status", "KeyType": "RANGE"}],
    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["account", "plan_id"]},
}
_GENERATION = "sandbox-generation"
"""Key of the item with the ID of the last start; no plan has such a key."""
_INVOCATION_SECONDS = 600
"""Timeout of ``rebalance apply``. The queue's visibility timeout is six times as long, as AWS recommends."""


class LocalAwsClient:
    """DynamoDB, S3 and SQS of the local AWS; a context manager.

    Args:
        url: address of the local AWS.
    """

    def __init__(self, url: str) -> None:
        core = botocore.session.Session({"profile": (None, None, None, None)})  # ignore the user's AWS_PROFILE
        session = boto3.Session(DUMMY_KEY, DUMMY_KEY, region_name=REGION, botocore_session=core)
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
        """Return self."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        for client in (self._dynamodb, self._s3, self._sqs):
            client.close()

    def provision(self) -> None:
        """Create the tables, the plan bucket, the plan queue and its dead-letter queue if they do not exist."""
        tables = self._dynamodb.list_tables()["TableNames"]
        if EXECUTION_TABLE not in tables:
            self._create_table(EXECUTION_TABLE, ("pk", "sk"), ttl_attribute="expires_at")
        if IDEMPOTENCY_TABLE not in tables:
            self._create_table(IDEMPOTENCY_TABLE, ("id",), ttl_attribute="expiration")
        if PLAN_BUCKET not in {bucket.get("Name") for bucket in self._s3.list_buckets().get("Buckets", [])}:
            self._s3.create_bucket(Bucket=PLAN_BUCKET)
            self._s3.put_bucket_versioning(Bucket=PLAN_BUCKET, VersioningConfiguration={"Status": "Enabled"})
        if not any(url.endswith(f"/{PLAN_QUEUE}") for url in self._sqs.list_queues().get("QueueUrls", [])):
            self._create_queues()

    def generation(self) -> str | None:
        """Return the ID of the last start that this state has seen; None if there was none."""
        key = {"id": {"S": _GENERATION}}
        item = self._dynamodb.get_item(TableName=IDEMPOTENCY_TABLE, Key=key, ConsistentRead=True).get("Item", {})
        return item["start"]["S"] if item else None

    def set_generation(self, generation: str) -> None:
        """Store the ID of this start."""
        self._dynamodb.put_item(
            TableName=IDEMPOTENCY_TABLE, Item={"id": {"S": _GENERATION}, "start": {"S": generation}}
        )

    def risk_store(self, clock: Clock) -> DynamoRiskStore:
        """Return the store of the kill switch and the daily usage."""
        return DynamoRiskStore(self._dynamodb, EXECUTION_TABLE, clock)

    def put_plan(self, key: str, document: bytes) -> None:
        """Upload a plan document to the plan bucket."""
        self._s3.put_object(Bucket=PLAN_BUCKET, Key=key, Body=document)

    def _create_table(self, table: str, keys: tuple[str, ...], ttl_attribute: str) -> None:
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
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": ttl_attribute}
        )

    def _create_queues(self) -> None:
        url = self._sqs.create_queue(QueueName=DEAD_LETTER_QUEUE, Attributes={"FifoQueue": "true"})["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self._sqs.create_queue(
            QueueName=PLAN_QUEUE,
            Attributes={
                "FifoQueue": "true",
                "ContentBasedDeduplication": "true",
                "VisibilityTimeout": str(6 * _INVOCATION_SECONDS),
                "RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MAX_DELIVERIES}),
            },
        )
