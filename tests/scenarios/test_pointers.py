"""Pointers to plans in S3: what the first delivery of an event reads is what its later deliveries execute."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rebalance_executor.domain.errors import PlanYielded
from tests.support.world import BUCKET, EXECUTION, HandlerWorld, a_world, buy, plan

POINTER = {"plan_s3": {"bucket": BUCKET, "key": "plans/today.json"}}


def upload(world: HandlerWorld, document: dict[str, Any]) -> str:
    """Replace the object; return its version."""
    body = json.dumps(document)
    answer = world.session.client("s3").put_object(Bucket=BUCKET, Key="plans/today.json", Body=body)
    return str(answer["VersionId"])


def message(message_id: str, event: object, delivery_id: str | None = None) -> dict[str, Any]:
    """Build an SQS event with one message, which may replay another one."""
    attribute = {"delivery_id": {"stringValue": delivery_id, "dataType": "String"}} if delivery_id else {}
    record = {"messageId": message_id, "body": json.dumps(event), "eventSource": "aws:sqs"}
    return {"Records": [record | {"messageAttributes": attribute}]}


def executed(world: HandlerWorld) -> list[str]:
    """Return the symbols of the orders at the broker, in order."""
    return [order["symbol"] for order in world.orders]


def resting(world: HandlerWorld) -> None:
    """Let orders of AAA rest, so that a short invocation yields."""
    world.broker.change({"fills": [{"symbol": "AAA", "nth": 1, "behaviour": "never"}]})


FIRST = plan(buy("AAA", 1000), plan_id="monday")
SECOND = plan(buy("BBB", 1000), plan_id="tuesday")


def test_retry_of_an_event_executes_the_version_of_its_first_delivery() -> None:
    with a_world() as world:
        version = upload(world, FIRST)
        resting(world)
        with pytest.raises(PlanYielded):
            world.deliver(POINTER, seconds=3, request_id="event")
        upload(world, SECOND)

        result = world.deliver(POINTER, request_id="event")

        assert result["plan_id"] == "monday"
        assert set(executed(world)) == {"AAA"}
        (warning,) = world.log_lines("plan.version_pinned")
        assert version in warning["source"]


def test_journal_names_the_version() -> None:
    with a_world() as world:
        version = upload(world, FIRST)
        world.deliver(POINTER)

        item = (
            world.session.resource("dynamodb")
            .Table(EXECUTION)
            .get_item(Key={"pk": "PLAN#default#monday", "sk": "PLAN"})["Item"]
        )
        assert item["source"] == f"s3://{BUCKET}/plans/today.json?versionId={version}"


def test_next_event_with_the_same_pointer_executes_the_new_object() -> None:
    with a_world() as world:
        upload(world, FIRST)
        world.deliver(POINTER)
        upload(world, SECOND)

        assert world.deliver(POINTER)["plan_id"] == "tuesday"


def test_redelivered_and_replayed_messages_execute_the_version_of_the_first_delivery() -> None:
    with a_world() as world:
        upload(world, FIRST)
        resting(world)
        world.deliver(message("m-1", POINTER), seconds=3)
        upload(world, SECOND)

        world.deliver(message("m-2", POINTER, delivery_id="m-1"))

        assert set(executed(world)) == {"AAA"}


def test_replayed_record_of_a_failed_invocation_executes_the_version_of_its_first_delivery() -> None:
    with a_world() as world:
        upload(world, FIRST)
        resting(world)
        with pytest.raises(PlanYielded):
            world.deliver(POINTER, seconds=3, request_id="event")
        upload(world, SECOND)

        record = {"requestContext": {"requestId": "event"}, "requestPayload": POINTER}
        world.deliver(message("m-1", record))

        assert set(executed(world)) == {"AAA"}


def test_pointer_with_a_version_is_read_as_it_says() -> None:
    with a_world() as world:
        version = upload(world, FIRST)
        upload(world, SECOND)

        result = world.deliver({"plan_s3": POINTER["plan_s3"] | {"version_id": version}})

        assert result["plan_id"] == "monday"
