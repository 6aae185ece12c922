"""Visibility timeouts that the real handler sets on SQS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from rebalance_executor.adapters.sqs import MAX_DELIVERIES, redelivery_delay
from rebalance_executor.domain.errors import AuctionPending, BrokerUnavailable, InvalidInput, PlanYielded
from rebalance_executor.domain.plan import RebalancePlan
from tests.support.builders import NOW
from tests.support.world import HandlerWorld, a_world, buy, plan


class RecordingSqs:
    """An SQS client that records visibility timeouts, in seconds."""

    def __init__(self) -> None:
        self.timeouts: list[int] = []

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:  # noqa: N803
        assert (QueueUrl, ReceiptHandle) == ("https://queue/plans.fifo", "receipt")
        self.timeouts.append(VisibilityTimeout)


@pytest.fixture
def world() -> Iterator[HandlerWorld]:
    with a_world(config={"lease_wait_seconds": 0}) as world:
        yield world


@pytest.fixture
def sqs(world: HandlerWorld, monkeypatch: pytest.MonkeyPatch) -> RecordingSqs:
    """Return the SQS client of a world with a queue."""
    sqs = RecordingSqs()
    client = HandlerWorld._client
    monkeypatch.setattr(HandlerWorld, "_client", lambda self, name: sqs if name == "sqs" else client(self, name))
    world.settings = world.settings.model_copy(update={"plan_queue_url": "https://queue/plans.fifo"})
    world.restart()
    return sqs


def delivery(body: object, deliveries: int = 1) -> dict[str, Any]:
    record = {
        "messageId": "m-1",
        "receiptHandle": "receipt",
        "body": body if isinstance(body, str) else json.dumps(body),
        "attributes": {"MessageGroupId": "default", "ApproximateReceiveCount": str(deliveries)},
        "eventSource": "aws:sqs",
    }
    return {"Records": [record]}


def test_message_is_hidden_until_its_lease_expires(world: HandlerWorld, sqs: RecordingSqs) -> None:
    """If the function is killed, the message is redelivered then and not after the queue's timeout of an hour."""
    answer = world.deliver(delivery(plan(buy("AAA", 100))), seconds=600)

    assert answer == {"batchItemFailures": []}
    assert sqs.timeouts == [600 + 15]


def test_delay_of_a_waiting_plan_doubles(world: HandlerWorld, sqs: RecordingSqs) -> None:
    world.service.journal.acquire("default", "other", now=world.clock.now(), expires_at=world.in_seconds(900))

    for deliveries in (1, 2, 5):
        answer = world.deliver(delivery(plan(buy("AAA", 100)), deliveries))
        assert answer["batchItemFailures"] == [{"itemIdentifier": "m-1"}]

    assert sqs.timeouts[1::2] == [30, 60, 480]


def test_invalid_message_is_redelivered_at_once(world: HandlerWorld, sqs: RecordingSqs) -> None:
    """Six deliveries with an hour between them would delay the account's other plans by six hours."""
    answer = world.deliver(delivery("not a plan"))

    assert answer["batchItemFailures"] == [{"itemIdentifier": "m-1"}]
    assert sqs.timeouts[-1] == 0


@pytest.mark.parametrize("body", ['{"a": 1e9999999999999999999}', '{"items": [{"priority": 1e10000000}]}'])
def test_message_with_an_immense_number_is_redelivered_at_once(
    world: HandlerWorld, sqs: RecordingSqs, body: str
) -> None:
    answer = world.deliver(delivery(body))

    assert answer["batchItemFailures"] == [{"itemIdentifier": "m-1"}]
    assert sqs.timeouts[-1] == 0


def test_defect_in_one_message_leaves_the_other_messages_their_answers(
    world: HandlerWorld, sqs: RecordingSqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [delivery(plan(buy("AAA", 100), plan_id=name))["Records"][0] for name in ("bad", "next", "other")]
    for record, group in zip(records, "aab", strict=True):
        record |= {"messageId": f"m-{len(record['body'])}-{group}", "attributes": {"MessageGroupId": group}}
    ids = [record["messageId"] for record in records]
    parse = RebalancePlan.parse

    def parse_with_a_defect(document: dict[str, Any]) -> RebalancePlan:
        if document["plan_id"] == "bad":
            raise ZeroDivisionError("a defect")
        return parse(document)

    monkeypatch.setattr(RebalancePlan, "parse", parse_with_a_defect)
    answer = world.deliver({"Records": records})

    assert answer["batchItemFailures"] == [{"itemIdentifier": name} for name in ids[:2]]
    assert world.log_lines("plan.failed")[-1]["error"] == "ZeroDivisionError"
    assert sqs.timeouts[1] == 30


def test_message_after_its_last_delivery_is_visible_at_once(world: HandlerWorld, sqs: RecordingSqs) -> None:
    world.service.journal.acquire("default", "other", now=world.clock.now(), expires_at=world.in_seconds(900))

    answer = world.deliver(delivery(plan(buy("AAA", 100)), MAX_DELIVERIES))

    assert answer["batchItemFailures"] == [{"itemIdentifier": "m-1"}]
    assert sqs.timeouts[-1] == 0


@pytest.mark.parametrize(
    ("error", "deliveries", "seconds"),
    [
        (PlanYielded("deadline"), 1, 30),
        (BrokerUnavailable("down"), 3, 120),
        (PlanYielded("deadline"), MAX_DELIVERIES - 1, 480),
        (InvalidInput("plan_id", "is missing"), 1, 0),
        (RuntimeError("a defect"), 2, 60),
    ],
)
def test_delay_depends_on_error_and_deliveries(error: Exception, deliveries: int, seconds: int) -> None:
    assert redelivery_delay(error, deliveries, NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("minutes", "deliveries", "delay"),
    [
        (15, 1, timedelta(minutes=16)),
        (15, MAX_DELIVERIES - 1, timedelta(minutes=16)),
        (-5, 2, timedelta(0)),
        (20 * 60, 1, timedelta(hours=11, minutes=30)),
        (15, MAX_DELIVERIES, timedelta(0)),
    ],
)
def test_message_of_a_plan_that_waits_for_an_auction_comes_back_after_it(
    minutes: int, deliveries: int, delay: timedelta
) -> None:
    error = AuctionPending.at(NOW + timedelta(minutes=minutes))

    assert redelivery_delay(error, deliveries, NOW) == delay
