"""Health check of a new version before it gets any traffic.

A separate function (``template.yaml``, ``PreTrafficCheck``), because it must not depend on the code that it checks.
"""

from __future__ import annotations

import json
import os
from typing import Any

import boto3
from botocore.config import Config

_BOUNDED = Config(read_timeout=45, retries={"total_max_attempts": 1})


def lambda_handler(event: dict[str, str], _context: object) -> dict[str, Any]:
    """Send the new version a health request and report the status to CodeDeploy.

    CodeDeploy stops the deployment unless the answer says healthy.
    """
    answer = health(os.environ["NEW_VERSION"])
    healthy = answer.get("healthy") is True
    print(json.dumps({"message": "rollout.checked", "healthy": healthy, "report": answer}))  # noqa: T201 - its log
    boto3.client("codedeploy", config=_BOUNDED).put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"],
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status="Succeeded" if healthy else "Failed",
    )
    return answer


def health(version: str) -> dict[str, Any]:
    """Return the version's answer to a health request, or the error payload of its invocation."""
    response = boto3.client("lambda", config=_BOUNDED).invoke(FunctionName=version, Payload=b'{"health": true}')
    answer: dict[str, Any] = json.loads(response["Payload"].read())
    return answer
