"""A new version gets traffic only if it is healthy and its dry run works, and CodeDeploy always gets an answer."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from rebalance_executor.domain.plan import RebalancePlan
from rollout import pre_traffic

VERSION = "arn:aws:lambda:us-east-1:000000000000:function:f:7"
EVENT = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "hook-1"}
HEALTHY = {"healthy": True, "checks": []}
DRY = {"dry_run": True, "items": [{"symbol": "SPY", "qty": "0.16"}]}
ERROR = {"errorType": "ConfigurationError", "errorMessage": "EXECUTION_TABLE is not set"}


class Aws:
    """Lambda, which gives these answers in turn or raises them, and CodeDeploy, which records the status it gets."""

    def __init__(self, *answers: object, function_error: bool = False) -> None:
        self._answers = list(answers)
        self._function_error = function_error
        self.requests: list[dict[str, Any]] = []
        self.statuses: list[dict[str, Any]] = []

    def client(self, _name: str, config: object) -> Aws:
        return self

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - as boto3 names them
        assert FunctionName == VERSION
        self.requests.append(json.loads(Payload))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        error = {"FunctionError": "Unhandled"} if self._function_error else {}
        return error | {"Payload": io.BytesIO(json.dumps(answer).encode())}

    def put_lifecycle_event_hook_execution_status(self, **request: Any) -> None:
        self.statuses.append(request)


Use = Callable[[Aws], Aws]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Return a function that puts these AWS services in place of the real ones."""
    monkeypatch.setenv("NEW_VERSION", VERSION)

    def replace(aws: Aws) -> Aws:
        monkeypatch.setattr(boto3, "client", aws.client)
        return aws

    return replace


def status(word: str) -> list[dict[str, str]]:
    return [{"deploymentId": "d-1", "lifecycleEventHookExecutionId": "hook-1", "status": word}]


def test_version_that_is_healthy_and_sizes_a_plan_gets_traffic(use: Use) -> None:
    aws = use(Aws(HEALTHY, DRY))

    pre_traffic.lambda_handler(EVENT, None)

    health, dry_run = aws.requests
    assert health == {"health": True}
    assert dry_run.keys() == {"dry_run"}
    assert dry_run["dry_run"]["plan_id"] == "rollout-d-1"
    assert aws.statuses == status("Succeeded")


@pytest.mark.parametrize(
    "answers",
    [
        [{"healthy": False, "checks": []}],
        [None],
        ["text"],
        [ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke")],
        [ClientError({"Error": {"Code": "AccessDeniedException"}}, "Invoke")],
        [ReadTimeoutError(endpoint_url="https://lambda")],
        [HEALTHY, {"dry_run": True, "items": []}],
        [HEALTHY, None],
        [HEALTHY, ReadTimeoutError(endpoint_url="https://lambda")],
    ],
    ids=[
        *("unhealthy", "null", "no object", "throttled", "denied", "timeout"),
        *("empty dry run", "no dry run", "timeout of the dry run"),
    ],
)
def test_codedeploy_gets_every_failure(use: Use, answers: list[object]) -> None:
    """Without an answer it would wait for an hour."""
    aws = use(Aws(*answers))

    with pytest.raises((pre_traffic.CheckFailed, ClientError, ReadTimeoutError)):
        pre_traffic.lambda_handler(EVENT, None)

    assert aws.statuses == status("Failed")


def test_codedeploy_gets_an_error_of_the_function(use: Use) -> None:
    aws = use(Aws(ERROR, function_error=True))

    with pytest.raises(pre_traffic.CheckFailed, match="EXECUTION_TABLE is not set"):
        pre_traffic.lambda_handler(EVENT, None)

    assert aws.statuses == status("Failed")


def test_codedeploy_gets_a_failure_of_the_check_itself(use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    aws = use(Aws())
    monkeypatch.delenv("NEW_VERSION")

    with pytest.raises(KeyError):
        pre_traffic.lambda_handler(EVENT, None)

    assert aws.statuses == status("Failed")


@pytest.mark.parametrize("size_by", ["trade_amount", "target_value", "target_weight"])
def test_sample_plan_is_valid_however_plans_are_sized(size_by: str) -> None:
    sample = pre_traffic.sample_plan("rollout-d-1", datetime(2026, 1, 26, tzinfo=UTC))

    plan = RebalancePlan.parse(sample | {"size_by": size_by})
    assert [item.symbol for item in plan.trades] == ["SPY"]
