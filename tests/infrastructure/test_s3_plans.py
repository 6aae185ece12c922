"""The optional stack that executes uploaded plans: what its rule matches, and who may invoke the function."""

from __future__ import annotations

import json
from typing import Any

import pytest
from moto.events.models import EventPattern  # EventBridge's pattern language, as moto implements it

from tests.infrastructure.templates import attribute, read, reference

PARAMETERS = {"PlanBucketName": "plans"}


@pytest.fixture(scope="module")
def uploads() -> dict[str, Any]:
    return read("examples/s3-plans.yaml")


def resolved(value: Any, parameters: dict[str, str]) -> Any:
    """Return a value with the parameters in the places of their references."""
    if isinstance(value, dict):
        return parameters[value["Ref"]] if "Ref" in value else {k: resolved(v, parameters) for k, v in value.items()}
    return [resolved(one, parameters) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("bucket", "key", "detail_type", "matches"),
    [
        ("plans", "execute/2026-01-26.json", "Object Created", True),
        ("plans", "plans/2026-01-26.json", "Object Created", False),
        ("others", "execute/2026-01-26.json", "Object Created", False),
        ("plans", "execute/2026-01-26.json", "Object Deleted", False),
    ],
)
def test_rule_matches_new_objects_below_the_prefix_of_the_plan_bucket(
    uploads: dict[str, Any], bucket: str, key: str, detail_type: str, *, matches: bool
) -> None:
    defaults = {name: p["Default"] for name, p in uploads["Parameters"].items() if "Default" in p}
    pattern = resolved(uploads["Resources"]["PlanUploaded"]["Properties"]["EventPattern"], defaults | PARAMETERS)
    detail = {"bucket": {"name": bucket}, "object": {"key": key}}
    event: Any = {"source": "aws.s3", "detail-type": detail_type, "detail": detail}

    assert EventPattern(raw_pattern=json.dumps(pattern), pattern=pattern).matches_event(event) is matches


def test_schedule_of_the_function_does_not_wait_for_an_object_that_is_executed_at_once(
    uploads: dict[str, Any], template: dict[str, Any]
) -> None:
    scheduled = template["Parameters"]["ScheduledPlanKey"]["Default"]

    assert not scheduled.startswith(uploads["Parameters"]["KeyPrefix"]["Default"])


def test_only_the_rule_may_invoke_the_function(uploads: dict[str, Any]) -> None:
    permission = uploads["Resources"]["InvokePermission"]["Properties"]

    assert permission["Principal"] == "events.amazonaws.com"
    assert permission["SourceArn"] == attribute("PlanUploaded")


def test_undelivered_events_are_kept(uploads: dict[str, Any]) -> None:
    resources = uploads["Resources"]
    (target,) = resources["PlanUploaded"]["Properties"]["Targets"]
    denied, allowed = resources["UndeliveredEventsPolicy"]["Properties"]["PolicyDocument"]["Statement"]

    assert target["Arn"] == reference("FunctionAlias")
    assert target["DeadLetterConfig"]["Arn"] == attribute("UndeliveredEvents")
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": attribute("PlanUploaded")}}
    assert (denied["Effect"], denied["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
