"""Configuration and error details shared by all AWS clients."""

from __future__ import annotations

from botocore.config import Config
from botocore.exceptions import ClientError

CONNECT_SECONDS = 2
READ_SECONDS = 3
ATTEMPTS = 3


def client_config(
    *,
    connect_seconds: float = CONNECT_SECONDS,
    read_seconds: float = READ_SECONDS,
    attempts: int = ATTEMPTS,
    validated: bool = True,
) -> Config:
    """Return timeouts and retries for a boto3 client.

    boto3's defaults wait a minute for a response, which would use up the time that a run reserves for stopping. One
    request takes up to ``connect_seconds + read_seconds``. That sum must not exceed the time by which the lease
    outlasts the invocation.

    Args:
        connect_seconds: connect timeout in seconds.
        read_seconds: read timeout in seconds.
        attempts: requests per call, including the first; only transient errors are retried.
        validated: whether boto3 validates each request before it is sent. Validation takes a third of the processor
            time of a large DynamoDB transaction, whose items are all made by this program.
    """
    return Config(
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
        tcp_keepalive=True,
        parameter_validation=validated,
    )


def error_code(error: ClientError) -> str:
    """Return AWS's error code (``ConditionalCheckFailedException``, ``NoSuchKey``, …)."""
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


def error_text(error: ClientError) -> str:
    """Return AWS's error message."""
    return str(error.response.get("Error", {}).get("Message", "no message"))
