"""Asks a new version for its health before it gets any traffic, and tells CodeDeploy.

Deployed by itself (``template.yaml``, ``PreTrafficCheck``): it must not depend on the code that it judges.
"""

from __future__ import annotations

import json
import os
from typing import Any

import boto3
from botocore.config import Config

_BOUNDED = Config(read_timeout=45, retries={"total_max_attempts": 1})


def lambda_handler(event: dict[str, str], _context: object) -> dict[str, Any]:
    """Invoke the new version with a health request; anything but a healthy report stops the deployment."""
    report = health(os.environ["NEW_VERSION"])
    healthy = report.get("healthy") is True
    print(json.dumps({"message": "rollout.checked", "healthy": healthy, "report": report}))  # noqa: T201 - its log
    boto3.client("codedeploy", config=_BOUNDED).put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"],
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status="Succeeded" if healthy else "Failed",
    )
    return report


def health(version: str) -> dict[str, Any]:
    """The version's own report, or what its invocation came to instead."""
    answer = boto3.client("lambda", config=_BOUNDED).invoke(FunctionName=version, Payload=b'{"health": true}')
    report: dict[str, Any] = json.loads(answer["Payload"].read())
    return report
