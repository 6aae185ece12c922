"""A new version gets traffic only if its answer to the health request is healthy."""

from __future__ import annotations

import io
import json
from typing import Any

import boto3
import pytest

from rollout import pre_traffic

VERSION = "arn:aws:lambda:us-east-1:000000000000:function:f:7"
EVENT = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "hook-1"}


class Aws:
    """Lambda, which returns this answer, and CodeDeploy, which records the status it gets."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.invoked: list[dict[str, Any]] = []
        self.statuses: list[dict[str, Any]] = []

    def client(self, _name: str, config: object) -> Aws:
        return self

    def invoke(self, **request: Any) -> dict[str, Any]:
        self.invoked.append(request)
        return {"Payload": io.BytesIO(json.dumps(self.answer).encode())}

    def put_lifecycle_event_hook_execution_status(self, **request: Any) -> None:
        self.statuses.append(request)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"healthy": True, "checks": []}, "Succeeded"),
        ({"healthy": False, "checks": []}, "Failed"),
        ({"errorType": "ConfigurationError", "errorMessage": "EXECUTION_TABLE is not set"}, "Failed"),
    ],
)
def test_codedeploy_gets_the_health_of_the_new_version(
    answer: dict[str, Any], status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws = Aws(answer)
    monkeypatch.setattr(boto3, "client", aws.client)
    monkeypatch.setenv("NEW_VERSION", VERSION)

    pre_traffic.lambda_handler(EVENT, None)

    assert aws.invoked == [{"FunctionName": VERSION, "Payload": b'{"health": true}'}]
    assert aws.statuses == [{"deploymentId": "d-1", "lifecycleEventHookExecutionId": "hook-1", "status": status}]
