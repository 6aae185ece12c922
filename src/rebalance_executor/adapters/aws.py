"""Configuration and error details shared by all AWS clients."""

from __future__ import annotations

import logging
from typing import Any

import boto3
import botocore
from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from botocore.config import Config
from botocore.exceptions import ClientError

from rebalance_executor.adapters.bounded_http import BoundedResponse

CONNECT_SECONDS = 2
READ_SECONDS = 3
ATTEMPTS = 3

USER_AGENT = f"rebalance-executor Boto3/{boto3.__version__} Botocore/{botocore.__version__}"
"""botocore makes its own header again for every request, from 20 parts: 4 to 6 % of the processor time of a plan of one
order. With this one, AWS support does not see operating system, Python version, retry mode and used features."""

logging.getLogger("botocore").setLevel(logging.INFO)  # at DEBUG it logs whole responses, also those with secrets


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
        user_agent=USER_AGENT,
    )


class _Connection(AWSHTTPConnection):
    response_class = BoundedResponse  # type: ignore[assignment]


class _SecureConnection(AWSHTTPSConnection):
    response_class = BoundedResponse  # type: ignore[assignment]


class _Pool(AWSHTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(AWSHTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def bound_responses(client: Any) -> Any:
    """Return the boto3 client; its read timeout now bounds each response as a whole, not each read of it.

    botocore has no setting for this, so its classes of connections are replaced.
    """
    manager = client._endpoint.http_session._manager  # noqa: SLF001 - see above
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return client


def error_code(error: ClientError) -> str:
    """Return AWS's error code (``ConditionalCheckFailedException``, ``NoSuchKey``, …)."""
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


def error_text(error: ClientError) -> str:
    """Return AWS's error message."""
    return str(error.response.get("Error", {}).get("Message", "no message"))
