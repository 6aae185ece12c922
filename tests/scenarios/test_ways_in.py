"""Every input of a plan leads to the same execution; one invalid message never stops another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rebalance_executor.domain.errors import InvalidInput
from tests.support.world import BUCKET, a_world, buy, outcomes, plan


def queued(*bodies: object, group: str | None = None) -> dict[str, Any]:
    """Build an SQS event with these bodies; with a group, of a FIFO queue."""
    attributes = {"MessageGroupId": group} if group else {}
    return {
        "Records": [
            {"messageId": str(n), "body": json.dumps(body), "attributes": attributes, "eventSource": "aws:sqs"}
            for n, body in enumerate(bodies)
        ]
    }


def notified(document: object) -> dict[str, Any]:
    """Build the SNS notification that a queue gets without raw delivery."""
    return {"Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:1:plans", "Message": json.dumps(document)}


def created(key: str, bucket: str = BUCKET, **fields: str) -> dict[str, Any]:
    """Build the event of a new object that S3 sends to EventBridge."""
    detail = {"bucket": {"name": bucket}, "object": {"key": key, **fields}}
    return {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}


def failed(response: dict[str, Any]) -> list[str]:
    """Return the IDs of the messages to be redelivered."""
    return [entry["itemIdentifier"] for entry in response["batchItemFailures"]]


def test_one_plan_through_every_input_is_executed_once() -> None:
    document = plan(buy("AAA", 1000))
    event = {"source": "portfolio", "detail-type": "RebalancePlanned", "detail": document}
    with a_world() as world:
        world.session.client("s3").put_object(Bucket=BUCKET, Key="today.json", Body=json.dumps(document))
        pointer = {"plan_s3": {"bucket": BUCKET, "key": "today.json"}}

        requests = (
            *({"rebalance_plan": document}, event, pointer, created("today.json"), {"Input": document}),
            *(notified(inner) for inner in (document, event, pointer, created("today.json"))),
        )
        direct = world.deliver(document)
        others = [world.deliver(request) for request in requests]
        queues = [world.deliver(queued(document, *requests, group=group)) for group in (None, "default")]

        assert all(other == direct for other in others)
        assert queues == [{"batchItemFailures": []}] * 2
        assert len(world.orders) == 1


def test_s3_event_executes_the_version_that_it_names() -> None:
    first, second = (plan(buy(symbol, 1000), plan_id=symbol) for symbol in ("AAA", "BBB"))
    with a_world() as world:
        s3 = world.session.client("s3")
        version = s3.put_object(Bucket=BUCKET, Key="week 5/a+b.json", Body=json.dumps(first))["VersionId"]
        s3.put_object(Bucket=BUCKET, Key="week 5/a+b.json", Body=json.dumps(second))

        result = world.deliver(created("week 5/a+b.json", **{"version-id": version}))

        assert result["plan_id"] == "AAA"


def test_s3_event_of_another_bucket_is_invalid() -> None:
    with a_world() as world:
        world.session.client("s3").create_bucket(Bucket="others")
        world.session.client("s3").put_object(Bucket="others", Key="a.json", Body=json.dumps(plan(buy("AAA", 1000))))

        with pytest.raises(InvalidInput, match="others"):
            world.deliver(created("a.json", bucket="others"))
        assert world.orders == []


@pytest.mark.parametrize(
    "wrap",
    [
        lambda result: {"source": "rebalance-executor", "detail-type": "RebalanceExecuted", "detail": result},
        lambda result: result,
        lambda result: {"requestContext": {"condition": "Success"}, "requestPayload": result["request"]},
    ],
    ids=["result event", "result", "destination"],
)
@pytest.mark.parametrize("around", [lambda event: event, notified, lambda event: {"Input": event}])
def test_result_never_leads_to_another_run(wrap: Any, around: Any) -> None:
    """Production failure 32: through any chain of services, the program must not answer its own output."""
    document = plan(buy("AAA", 1000))
    with a_world() as world:
        result = world.deliver(document)
        lines = len(world.log)

        with pytest.raises(InvalidInput):
            world.deliver(around(wrap({**result, "request": document})))
        assert not [line for line in world.log[lines:] if line["message"] == "plan.received"]


def test_message_without_an_id_lets_lambda_deliver_the_batch_again() -> None:
    """The answer cannot name the message: an empty identifier fails the whole batch, and the other plan ran once."""
    with a_world() as world:
        event = queued(plan(buy("AAA", 1000)), plan(buy("BBB", 1000), plan_id="other"))
        del event["Records"][1]["messageId"]

        answers = [world.deliver(event) for _ in range(2)]

        assert [failed(answer) for answer in answers] == [[""], [""]]
        assert [order["symbol"] for order in world.orders] == ["AAA"]


def test_malformed_message_holds_the_rest_of_its_group() -> None:
    with a_world() as world:
        event = queued(plan(buy("AAA", 1000)), plan(buy("BBB", 1000), plan_id="later"), group="default")
        event["Records"][0]["attributes"] = {"MessageGroupId": "default", "ApproximateReceiveCount": "many"}

        assert failed(world.deliver(event)) == ["0", "1"]
        assert world.orders == []


def test_invalid_message_in_a_batch_fails_alone() -> None:
    with a_world() as world:
        response = world.deliver(queued({"not": "a plan"}, plan(buy("AAA", 1000))))

        assert failed(response) == ["0"]
        assert [order["symbol"] for order in world.orders] == ["AAA"]


def test_messages_of_one_group_stay_in_order() -> None:
    with a_world() as world:
        later = plan(buy("BBB", 1000), plan_id="later")

        assert failed(world.deliver(queued({"not": "a plan"}, later, group="default"))) == ["0", "1"]
        assert world.orders == []


@pytest.mark.parametrize("body", [{"plan_s3": {"bucket": BUCKET, "key": "b.json"}}, {"health": True}])
def test_pointer_to_anything_but_a_plan_is_invalid(body: dict[str, Any]) -> None:
    with a_world() as world:
        world.session.client("s3").put_object(Bucket=BUCKET, Key="a.json", Body=json.dumps(body))

        with pytest.raises(InvalidInput, match="plan_s3"):
            world.deliver({"plan_s3": {"bucket": BUCKET, "key": "a.json"}})


def test_every_log_line_of_a_plan_contains_its_identity() -> None:
    with a_world() as world:
        result = world.deliver(plan(buy("AAA", 1000), correlation_id="corr-7", causation_id="cause-7"))

        lines = [line for line in world.log if line.get("plan_id")]
        assert len(lines) > 5
        assert {(line["correlation_id"], line["causation_id"], line["account"]) for line in lines} == {
            ("corr-7", "cause-7", "default")
        }
        assert len({line["run"] for line in lines}) == 1
        assert (result["correlation_id"], result["causation_id"]) == ("corr-7", "cause-7")
        assert outcomes(result) == {"AAA": ("FILLED", None)}


def test_health_request_checks_every_dependency_and_trades_nothing() -> None:
    with a_world(prices={"SPY": "600"}) as world:
        report = world.deliver({"health": True})

        assert report["healthy"] is True
        assert {check["name"] for check in report["checks"]} >= {"idempotency", "journal", "account", "clock", "quotes"}
        assert world.orders == []


def test_health_request_names_the_failing_check() -> None:
    with a_world(prices={"SPY": "600"}, account={"trading_blocked": True}) as world:
        report = world.deliver({"health": True})

        assert report["healthy"] is False
        assert [check["name"] for check in report["checks"] if not check["ok"]] == ["account"]
