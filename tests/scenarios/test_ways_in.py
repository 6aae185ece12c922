"""Every way a plan can come in leads to the same execution; one bad message never stops another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rebalance_executor.domain.errors import InvalidInput
from tests.support.world import BUCKET, a_world, buy, outcomes, plan


def queued(*bodies: object, group: str | None = None) -> dict[str, Any]:
    """An SQS event with these bodies; FIFO with a group."""
    attributes = {"MessageGroupId": group} if group else {}
    return {
        "Records": [
            {"messageId": str(n), "body": json.dumps(body), "attributes": attributes, "eventSource": "aws:sqs"}
            for n, body in enumerate(bodies)
        ]
    }


def failed(answer: dict[str, Any]) -> list[str]:
    """Ids of the messages to be delivered again."""
    return [entry["itemIdentifier"] for entry in answer["batchItemFailures"]]


def test_one_plan_through_every_door_is_one_execution() -> None:
    document = plan(buy("AAA", 1000))
    announced = {"source": "portfolio", "detail-type": "RebalancePlanned", "detail": document}
    with a_world() as world:
        world.session.client("s3").put_object(Bucket=BUCKET, Key="today.json", Body=json.dumps(document))
        pointer = {"plan_s3": {"bucket": BUCKET, "key": "today.json"}}

        direct = world.deliver(document)
        others = [world.deliver(event) for event in ({"rebalance_plan": document}, announced, pointer)]
        queue = world.deliver(queued(document, announced, pointer))

        assert all(other == direct for other in others)
        assert queue == {"batchItemFailures": []}
        assert len(world.orders) == 1


def test_a_bad_message_in_a_batch_fails_alone() -> None:
    with a_world() as world:
        answer = world.deliver(queued({"not": "a plan"}, plan(buy("AAA", 1000))))

        assert failed(answer) == ["0"]
        assert [order["symbol"] for order in world.orders] == ["AAA"]


def test_messages_of_one_group_stay_in_order() -> None:
    with a_world() as world:
        later = plan(buy("BBB", 1000), plan_id="later")

        assert failed(world.deliver(queued({"not": "a plan"}, later, group="default"))) == ["0", "1"]
        assert world.orders == []


@pytest.mark.parametrize("body", [{"plan_s3": {"bucket": BUCKET, "key": "b.json"}}, {"health": True}])
def test_a_pointer_leads_to_a_plan_and_to_nothing_else(body: dict[str, Any]) -> None:
    with a_world() as world:
        world.session.client("s3").put_object(Bucket=BUCKET, Key="a.json", Body=json.dumps(body))

        with pytest.raises(InvalidInput, match="plan_s3"):
            world.deliver({"plan_s3": {"bucket": BUCKET, "key": "a.json"}})


def test_every_line_of_a_plan_carries_its_identity() -> None:
    with a_world() as world:
        result = world.deliver(plan(buy("AAA", 1000), correlation_id="corr-7", causation_id="cause-7"))

        told = [line for line in world.log if line.get("plan_id")]
        assert len(told) > 5
        assert {(line["correlation_id"], line["causation_id"], line["account"]) for line in told} == {
            ("corr-7", "cause-7", "default")
        }
        assert len({line["run"] for line in told}) == 1
        assert (result["correlation_id"], result["causation_id"]) == ("corr-7", "cause-7")
        assert outcomes(result) == {"AAA": ("FILLED", None)}


def test_a_health_request_looks_at_every_dependency_and_trades_nothing() -> None:
    with a_world(prices={"SPY": "600"}) as world:
        report = world.deliver({"health": True})

        assert report["healthy"] is True
        assert {check["name"] for check in report["checks"]} >= {"front door", "journal", "account", "clock", "quotes"}
        assert world.orders == []


def test_a_health_request_names_what_is_wrong() -> None:
    with a_world(prices={"SPY": "600"}, account={"trading_blocked": True}) as world:
        report = world.deliver({"health": True})

        assert report["healthy"] is False
        assert [check["name"] for check in report["checks"] if not check["ok"]] == ["account"]
