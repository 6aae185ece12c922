"""AWS on this machine: ministack, with the tables, bucket and result bus that the template defines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from tests.support.aws import create_execution_table, create_idempotency_table
from tests.support.processes import LOOPBACK, answers, clean_environment, free_port, server

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

EXECUTION_TABLE = "execution"
IDEMPOTENCY_TABLE = "idempotency"
PLAN_BUCKET = "rebalance-plans"
RESULT_BUS = "results"
RESULT_QUEUE = "results"
"""A queue that receives every event of the result bus, so that tests can read them."""
REGION = "us-east-1"
CREDENTIALS = "test"


@dataclass(frozen=True, slots=True)
class LocalAws:
    """A running ministack and its clients."""

    url: str
    dynamodb: DynamoDBClient
    s3: S3Client
    secrets: SecretsManagerClient
    sqs: SQSClient
    events: EventBridgeClient

    def environment(self) -> dict[str, str]:
        """Return the environment variables that point a function to this AWS and its resources."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": CREDENTIALS,
            "AWS_SECRET_ACCESS_KEY": CREDENTIALS,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "EXECUTION_TABLE": EXECUTION_TABLE,
            "IDEMPOTENCY_TABLE": IDEMPOTENCY_TABLE,
            "PLAN_BUCKET": PLAN_BUCKET,
            "RESULT_BUS": RESULT_BUS,
        }

    def provision(self) -> None:
        """Create the tables, the plan bucket, and the result bus with a queue as its target."""
        create_execution_table(self.dynamodb, EXECUTION_TABLE)
        create_idempotency_table(self.dynamodb, IDEMPOTENCY_TABLE)
        self.s3.create_bucket(Bucket=PLAN_BUCKET)
        self.events.create_event_bus(Name=RESULT_BUS)
        queue_url = self.sqs.create_queue(QueueName=RESULT_QUEUE)["QueueUrl"]
        queue = self.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        pattern = json.dumps({"detail-type": ["RebalanceExecuted"]})
        self.events.put_rule(Name="results", EventBusName=RESULT_BUS, EventPattern=pattern)
        self.events.put_targets(Rule="results", EventBusName=RESULT_BUS, Targets=[{"Id": "queue", "Arn": queue}])

    def put_secret(self, name: str, **values: str) -> None:
        """Store broker credentials as an operator does."""
        self.secrets.create_secret(Name=name, SecretString=json.dumps(values))

    def published_plan_ids(self) -> list[str]:
        """Return the plan IDs of the result events since the last call, in any order."""
        url = self.sqs.get_queue_url(QueueName=RESULT_QUEUE)["QueueUrl"]
        plan_ids: list[str] = []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                plan_ids.append(json.loads(message["Body"])["detail"]["plan_id"])
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return plan_ids


@contextmanager
def local_aws(folder: Path) -> Iterator[LocalAws]:
    """Run a provisioned ministack for the block; it keeps nothing."""
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    environment = clean_environment(
        GATEWAY_PORT=str(port),
        BIND_HOST=LOOPBACK,
        PERSIST_STATE="0",
        S3_PERSIST="0",
        S3_DATA_DIR=str(folder / "s3"),
        STATE_DIR=str(folder / "state"),
        TMPDIR=str(folder),
        SERVICES="dynamodb,s3,events,secretsmanager,sqs",
        LOG_LEVEL="WARNING",
        SFTP_ENABLED="0",
        IOT_MTLS_ENABLED="0",
        DOCKER_HOST="unix:///nonexistent",  # without it, ministack removes containers of other instances at startup
    )
    with server(
        [sys.executable, "-m", "ministack"],
        environment,
        folder / "ministack.log",
        lambda: answers(f"{url}/_ministack/health"),
    ):
        session = boto3.Session(aws_access_key_id=CREDENTIALS, aws_secret_access_key=CREDENTIALS, region_name=REGION)
        config = Config(proxies={}, s3={"addressing_style": "path"}, retries={"total_max_attempts": 2})
        aws = LocalAws(
            url,
            session.client("dynamodb", endpoint_url=url, config=config),
            session.client("s3", endpoint_url=url, config=config),
            session.client("secretsmanager", endpoint_url=url, config=config),
            session.client("sqs", endpoint_url=url, config=config),
            session.client("events", endpoint_url=url, config=config),
        )
        try:
            aws.provision()
            yield aws
        finally:
            for client in (aws.dynamodb, aws.s3, aws.secrets, aws.sqs, aws.events):
                client.close()
