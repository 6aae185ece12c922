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


def failed(response: dict[str, Any]) -> list[str]:
    """Return the IDs of the messages to be redelivered."""
    return [entry["itemIdentifier"] for entry in response["batchItemFailures"]]


def test_one_plan_through_every_input_is_executed_once() -> None:
    document = plan(buy("AAA", 1000))
    event = {"source": "portfolio", "detail-type": "RebalancePlanned", "detail": document}
    with a_world() as world:
        world.session.client("s3").put_object(Bucket=BUCKET, Key="today.json", Body=json.dumps(document))
        pointer = {"plan_s3": {"bucket": BUCKET, "key": "today.json"}}

        direct = world.deliver(document)
        others = [world.deliver(request) for request in ({"rebalance_plan": document}, event, pointer)]
        queue = world.deliver(queued(document, event, pointer))

        assert all(other == direct for other in others)
        assert queue == {"batchItemFailures": []}
        assert len(world.orders) == 1


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
