"""What all AWS clients of this program share: bounded requests, and the name of what went wrong."""

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
    """Time-outs and retries for a boto3 client.

    boto3's own defaults wait a minute for an answer and would use up the margin that a run keeps for stopping.
    One request takes at most ``connect_seconds + read_seconds``, which must not exceed what the lease outlasts
    the invocation by.

    Args:
        connect_seconds: seconds to connect.
        read_seconds: seconds to wait for the next bytes of an answer.
        attempts: requests for one call, the first one included; only transient errors are tried again.
        validated: whether boto3 checks the shape of every request before the service does. It costs a third of the
            processor time of a large DynamoDB transaction; the table's rows have one shape each, made in one place.
    """
    return Config(
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": attempts},
        tcp_keepalive=True,
        parameter_validation=validated,
    )


def error_code(error: ClientError) -> str:
    """AWS's own name of the error (``ConditionalCheckFailedException``, ``NoSuchKey``, …)."""
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


def error_text(error: ClientError) -> str:
    """AWS's own sentence about the error."""
    return str(error.response.get("Error", {}).get("Message", "no message"))
