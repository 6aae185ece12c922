"""Check of a new version before it gets any traffic: its health, then a dry run of a plan.

A separate function (``template.yaml``, ``PreTrafficCheck``), because it must not depend on the code that it checks.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config

_INVOKE = Config(read_timeout=75, retries={"mode": "standard", "total_max_attempts": 3})
"""Both requests change nothing, so also one without an answer is repeated. A throttled one is, too."""
_REPORT = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 5})


class CheckFailed(Exception):
    """The new version did not answer as a working one would."""


def lambda_handler(event: dict[str, str], _context: object) -> dict[str, Any]:
    """Check the new version and report the status to CodeDeploy, whatever happens.

    CodeDeploy stops the deployment unless the status is ``Succeeded``. Without a status it would wait for an hour.

    Raises:
        CheckFailed: the version is not healthy, or the dry run failed; after the report.
        Exception: the version could not be invoked; after the report.
    """
    status = "Failed"
    try:
        report = check(os.environ["NEW_VERSION"], event["DeploymentId"])
        status = "Succeeded"
    finally:
        boto3.client("codedeploy", config=_REPORT).put_lifecycle_event_hook_execution_status(
            deploymentId=event["DeploymentId"],
            lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
            status=status,
        )
        print(json.dumps({"message": "rollout.checked", "status": status}))  # noqa: T201 - its log
    return report


def check(version: str, deployment: str) -> dict[str, Any]:
    """Return the answers of a new version to a health request and to a dry run.

    Raises:
        CheckFailed: an answer is not that of a working version; the message contains it.
    """
    health = invoke(version, {"health": True})
    if health.get("healthy") is not True:
        raise CheckFailed(f"not healthy: {json.dumps(health)}")
    dry_run = invoke(version, {"dry_run": sample_plan(f"rollout-{deployment}", datetime.now(UTC))})
    if not dry_run.get("items"):
        raise CheckFailed(f"no item in the dry run: {json.dumps(dry_run)}")
    return {"health": health, "dry_run": dry_run}


def invoke(version: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return a version's answer to a request.

    Raises:
        CheckFailed: the function raised an error, or the answer is not an object.
    """
    client = boto3.client("lambda", config=_INVOKE)
    response = client.invoke(FunctionName=version, Payload=json.dumps(request).encode())
    answer = json.loads(response["Payload"].read())
    if response.get("FunctionError") or not isinstance(answer, dict):
        raise CheckFailed(f"{', '.join(request)}: {json.dumps(answer)}")
    return answer


def sample_plan(plan_id: str, now: datetime) -> dict[str, Any]:
    """Return a plan that buys SPY for $100; its weights suit every ``size_by``."""
    item = {
        "symbol": "SPY",
        "action": "BUY",
        "trade_amount": "100",
        "current_weight": "0",
        "target_weight": "0.01",
        "weight_diff": "0.01",
        "current_value": "0",
        "target_value": "100",
        "priority": 1,
    }
    return {
        "plan_id": plan_id,
        "correlation_id": plan_id,
        "causation_id": plan_id,
        "timestamp": now.isoformat(),
        "total_portfolio_value": "10000",
        "total_trade_value": "100",
        "items": [item],
    }
