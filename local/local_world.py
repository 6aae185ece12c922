"""Entry point of ``sam local invoke``: starts a simulated broker and a local AWS in the function's container.

A container of sam cannot reach the loopback of this machine, and the function accepts plain http to its own loopback
only. Therefore both servers run in the container. They start with the state of ``events/world.json`` and end with the
container, so every invocation starts from the same state. ``make run`` keeps its state from run to run.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

_SAMPLES = Path(__file__).parents[1] / "samples"
_SCRATCH = Path(tempfile.gettempdir())
_LOOPBACK = "127.0.0.1"
_READY_TRIES = 600
_POLL_SECONDS = 0.05
_INDEX: Any = {
    "IndexName": "plans-by-day",
    "KeySchema": [{"AttributeName": "day", "KeyType": "HASH"}, {"AttributeName": "status", "KeyType": "RANGE"}],
    "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["account", "plan_id"]},
}


def _start() -> None:
    """Start both servers, wait until they answer, and create the resources that the template would create."""
    aws_port, broker_port = _free_port(), _free_port()
    settings = {
        "GATEWAY_PORT": str(aws_port),
        "BIND_HOST": _LOOPBACK,
        "SERVICES": "dynamodb,s3,events,secretsmanager",
        "S3_DATA_DIR": str(_SCRATCH / "s3"),
        "STATE_DIR": str(_SCRATCH / "state"),
        "LOG_LEVEL": "WARNING",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "DOCKER_HOST": "unix:///nonexistent",  # otherwise ministack removes containers of other instances at start
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    broker = ["-m", "paper_broker", "--port", str(broker_port), "--scenario", str(_SAMPLES / "world.json")]
    with (_SCRATCH / "servers.log").open("wb") as log:
        for arguments in (["-m", "ministack"], broker):
            subprocess.Popen(  # noqa: S603 - our own two servers; they end with the container
                [sys.executable, *arguments], env=os.environ | settings, stdout=log, stderr=subprocess.STDOUT
            )
    aws_url, broker_url = f"http://{_LOOPBACK}:{aws_port}", f"http://{_LOOPBACK}:{broker_port}"
    _wait_for(f"{aws_url}/_ministack/health")
    _wait_for(f"{broker_url}/admin/health")
    os.environ.update(
        AWS_ENDPOINT_URL=aws_url,
        AWS_ACCESS_KEY_ID="local",
        AWS_SECRET_ACCESS_KEY="local",  # noqa: S106 - not a real secret
        ALPACA_TRADING_URL=broker_url,
        ALPACA_DATA_URL=broker_url,
    )
    os.environ.pop("AWS_SESSION_TOKEN", None)
    _provision()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _wait_for(url: str) -> None:
    for _ in range(_READY_TRIES):
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - one of the two addresses above
                return
        except OSError:
            time.sleep(_POLL_SECONDS)
    log = (_SCRATCH / "servers.log").read_text(errors="replace")
    raise RuntimeError(f"The local servers did not start: {url} does not answer. End of their log: {log[-1000:]}")


def _provision() -> None:
    """Create tables, credentials, and a bucket with the plan documents of the sample pointers."""
    table = os.environ["EXECUTION_TABLE"]
    _create_table(table, HASH="pk", RANGE="sk")
    boto3.client("dynamodb").update_table(
        TableName=table,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk", "day", "status")],
        GlobalSecondaryIndexUpdates=[{"Create": _INDEX}],
    )
    _create_table(os.environ["IDEMPOTENCY_TABLE"], HASH="id")
    secret = os.environ["ALPACA_SECRET_NAME"].replace("{account}", os.environ["ACCOUNT"])
    credentials = json.dumps({"api_key": "local", "secret_key": "local"})
    boto3.client("secretsmanager").create_secret(Name=secret, SecretString=credentials)
    storage = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
    bucket = os.environ["PLAN_BUCKET"]
    storage.create_bucket(Bucket=bucket)
    for document in (_SAMPLES / "plans").glob("*.json"):
        storage.put_object(Bucket=bucket, Key=f"plans/{document.name}", Body=document.read_bytes())


def _create_table(name: str, **keys: str) -> None:
    boto3.client("dynamodb").create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys.values()],
        KeySchema=[{"AttributeName": key, "KeyType": kind} for kind, key in keys.items()],
        BillingMode="PAY_PER_REQUEST",
    )


_start()

from rebalance_executor.handler import lambda_handler  # noqa: E402 - reads the environment that _start has set

__all__ = ["lambda_handler"]
