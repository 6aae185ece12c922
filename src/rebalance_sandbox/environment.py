"""Names and environment variables of the local AWS account. Imports nothing that starts a server."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from rebalance_executor.domain.config import ExecutionConfig

EXECUTION_TABLE = "rebalance-execution"
IDEMPOTENCY_TABLE = "rebalance-idempotency"
PLAN_BUCKET = "rebalance-plans"
PLAN_QUEUE = "rebalance-plans.fifo"
DEAD_LETTER_QUEUE = "rebalance-plans-dead-letters.fifo"
RESULT_BUS = "default"
REGION = "us-east-1"
DUMMY_KEY = "local"
"""Access key, secret key and broker keys: the local servers accept any."""
_ACCOUNT_ID = "000000000000"
_ANY_AGE_MINUTES = 100 * 366 * 24 * 60
"""A century. Sample events carry a fixed timestamp and get older every day."""

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
    """Return the variables that point the function, the commands and AWS tools to the local servers."""
    return {
        "AWS_ENDPOINT_URL": aws_url,
        "AWS_ACCESS_KEY_ID": DUMMY_KEY,
        "AWS_SECRET_ACCESS_KEY": DUMMY_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "EXECUTION_TABLE": EXECUTION_TABLE,
        "IDEMPOTENCY_TABLE": IDEMPOTENCY_TABLE,
        "PLAN_BUCKET": PLAN_BUCKET,
        "RESULT_BUS": RESULT_BUS,
        "ALPACA_API_KEY": DUMMY_KEY,
        "ALPACA_SECRET_KEY": DUMMY_KEY,
        "ALPACA_PAPER": "true",
        "ALPACA_TRADING_URL": broker_url,
        "ALPACA_DATA_URL": broker_url,
    }


def queue_variables(aws_url: str) -> dict[str, str]:
    """Return the queue addresses that only commands use."""
    queues = {"PLAN_QUEUE_URL": PLAN_QUEUE, "PLAN_DEAD_LETTER_QUEUE_URL": DEAD_LETTER_QUEUE}
    return {name: f"{aws_url}/{_ACCOUNT_ID}/{queue}" for name, queue in queues.items()}


def function_environment(inherited: Mapping[str, str], servers: Mapping[str, str]) -> dict[str, str]:
    """Return the complete environment of a local invocation.

    Endpoints, credentials and profiles of real accounts are left out.

    Args:
        inherited: environment of this process.
        servers: result of ``server_variables``.
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


def relaxed_controls(config: ExecutionConfig) -> tuple[str, ...]:
    """Return the names of the controls that ``execution_config`` has turned off."""
    is_off = {
        "max_plan_age_minutes": config.max_plan_age_minutes >= _ANY_AGE_MINUTES,
        "duplicate_window_minutes": config.duplicate_window_minutes == 0,
    }
    return tuple(name for name, off in is_off.items() if off)


def execution_config(configured: str) -> str:
    """Return the user's ``EXECUTION_CONFIG`` with other defaults: plans of any age, and duplicates, are allowed."""
    try:
        config = json.loads(configured) if configured.strip() else {}
    except ValueError:
        return configured  # the function reports what is wrong with it
    if not isinstance(config, dict):
        return configured
    return json.dumps({"max_plan_age_minutes": _ANY_AGE_MINUTES, "duplicate_window_minutes": 0, **config})
