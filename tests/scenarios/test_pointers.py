"""Pointers to plans in S3: what the first delivery of an event reads is what its later deliveries execute."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from rebalance_executor.domain.errors import InvalidInput, LeaseHeld, PlanYielded
from tests.support.world import BUCKET, EXECUTION, HandlerWorld, a_world, buy, plan

POINTER = {"plan_s3": {"bucket": BUCKET, "key": "plans/today.json"}}


def upload(world: HandlerWorld, document: dict[str, Any]) -> str:
    """Replace the object; return its version, empty in a bucket without versions."""
    body = json.dumps(document)
    answer = world.session.client("s3").put_object(Bucket=BUCKET, Key="plans/today.json", Body=body)
    return str(answer.get("VersionId", ""))


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


# --- deleted objects -------------------------------------------------------------------------------------


def delete(world: HandlerWorld) -> None:
    """Delete the object; a bucket with versions keeps them behind a delete marker."""
    world.session.client("s3").delete_object(Bucket=BUCKET, Key="plans/today.json")


def without_versions(world: HandlerWorld) -> None:
    """Let the bucket keep no versions."""
    suspended: Any = {"Status": "Suspended"}
    world.session.client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=suspended)


def started(world: HandlerWorld) -> None:
    """Start the plan in a run that yields."""
    upload(world, FIRST)
    resting(world)
    with pytest.raises(PlanYielded):
        world.deliver(POINTER, seconds=3, request_id="event")


def test_retry_of_an_event_executes_its_version_behind_a_delete_marker() -> None:
    with a_world() as world:
        started(world)
        delete(world)

        assert world.deliver(POINTER, request_id="event")["status"] == "success"
        assert set(executed(world)) == {"AAA"}


@pytest.mark.parametrize("change", [delete, lambda world: upload(world, SECOND)], ids=["deleted", "replaced"])
def test_retry_of_an_event_resumes_the_journalled_plan_if_its_object_is_gone(
    change: Callable[[HandlerWorld], object],
) -> None:
    with a_world() as world:
        without_versions(world)
        started(world)
        change(world)

        result = world.deliver(POINTER, request_id="event")

        assert (result["plan_id"], result["status"]) == ("monday", "success")
        assert set(executed(world)) == {"AAA"}


def test_retry_of_an_event_gets_the_stored_result_if_its_object_is_gone() -> None:
    with a_world() as world:
        without_versions(world)
        upload(world, FIRST)
        result = world.deliver(POINTER, request_id="event")
        delete(world)

        assert world.deliver(POINTER, request_id="event") == result


def test_plan_that_never_started_is_refused_if_its_object_is_gone() -> None:
    with a_world() as world:
        without_versions(world)
        upload(world, FIRST)
        world.restart()
        world.service.journal.acquire("default", "another run", now=world.clock.now(), expires_at=world.in_seconds(60))
        with pytest.raises(LeaseHeld):
            world.deliver(POINTER, seconds=3, request_id="event")
        delete(world)

        with pytest.raises(InvalidInput) as raised:
            world.deliver(POINTER, request_id="event")

        assert raised.value.field == "plan_s3.key"
        assert executed(world) == []


def test_first_delivery_of_a_pointer_takes_two_requests_more_than_the_plan_itself() -> None:
    with a_world() as world:
        upload(world, FIRST)
        world.deliver(plan(buy("AAA", 1000), plan_id="inline"))
        inline = world.aws_requests.copy()
        world.aws_requests.clear()

        world.deliver(POINTER)

        assert world.aws_requests - inline == {"s3.GetObject": 1, "dynamodb.UpdateItem": 1}


def test_pointer_to_an_object_that_does_not_exist_is_refused() -> None:
    with a_world() as world, pytest.raises(InvalidInput):
        world.deliver(POINTER)


def test_pointer_with_a_version_is_read_as_it_says() -> None:
    with a_world() as world:
        version = upload(world, FIRST)
        upload(world, SECOND)

        result = world.deliver({"plan_s3": POINTER["plan_s3"] | {"version_id": version}})

        assert result["plan_id"] == "monday"
