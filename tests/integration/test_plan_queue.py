"""When the queue delivers a message again: the real handler on SQS, whose clock is asked and never waited for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from rebalance_executor.adapters.sqs import MAX_DELIVERIES, redelivery_delay
from rebalance_executor.domain.errors import BrokerUnavailable, InvalidInput, PlanYielded, RebalanceError
from tests.support.world import HandlerWorld, a_world, buy, plan


class Shown:
    """An SQS client that remembers when messages are to be shown again."""

    def __init__(self) -> None:
        self.seconds: list[int] = []

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:  # noqa: N803
        assert (QueueUrl, ReceiptHandle) == ("https://queue/plans.fifo", "receipt")
        self.seconds.append(VisibilityTimeout)


@pytest.fixture
def world() -> Iterator[HandlerWorld]:
    with a_world(config={"lease_wait_seconds": 0}) as world:
        yield world


@pytest.fixture
def shown(world: HandlerWorld, monkeypatch: pytest.MonkeyPatch) -> Shown:
    """The queue's address is set, and its client is this one."""
    shown = Shown()
    client = HandlerWorld._client
    monkeypatch.setattr(HandlerWorld, "_client", lambda self, name: shown if name == "sqs" else client(self, name))
    world.settings = world.settings.model_copy(update={"plan_queue_url": "https://queue/plans.fifo"})
    world.restart()
    return shown


def delivery(body: object, deliveries: int = 1) -> dict[str, Any]:
    record = {
        "messageId": "m-1",
        "receiptHandle": "receipt",
        "body": body if isinstance(body, str) else json.dumps(body),
        "attributes": {"MessageGroupId": "default", "ApproximateReceiveCount": str(deliveries)},
        "eventSource": "aws:sqs",
    }
    return {"Records": [record]}


def test_a_message_is_hidden_as_long_as_its_lease_may_last(world: HandlerWorld, shown: Shown) -> None:
    """If the function is killed, the next delivery comes then, and not after the queue's hour."""
    answer = world.deliver(delivery(plan(buy("AAA", 100))), seconds=600)

    assert answer == {"batchItemFailures": []}
    assert shown.seconds == [600 + 15]


def test_a_plan_that_must_wait_comes_again_soon_and_each_time_later(world: HandlerWorld, shown: Shown) -> None:
    world.service.journal.acquire("default", "other", now=world.clock.now(), expires_at=world.in_seconds(900))

    for deliveries in (1, 2, 5):
        answer = world.deliver(delivery(plan(buy("AAA", 100)), deliveries))
        assert answer["batchItemFailures"] == [{"itemIdentifier": "m-1"}]

    assert shown.seconds[1::2] == [30, 60, 480]


def test_what_can_never_succeed_is_out_of_the_way_at_once(world: HandlerWorld, shown: Shown) -> None:
    """Six deliveries an hour apart would keep the account's other plans waiting all day."""
    answer = world.deliver(delivery("this is no plan"))

    assert answer["batchItemFailures"] == [{"itemIdentifier": "m-1"}]
    assert shown.seconds[-1] == 0


def test_what_failed_for_the_last_time_makes_way_for_the_accounts_next_plan(world: HandlerWorld, shown: Shown) -> None:
    world.service.journal.acquire("default", "other", now=world.clock.now(), expires_at=world.in_seconds(900))

    answer = world.deliver(delivery(plan(buy("AAA", 100)), MAX_DELIVERIES))

    assert answer["batchItemFailures"] == [{"itemIdentifier": "m-1"}]
    assert shown.seconds[-1] == 0


@pytest.mark.parametrize(
    ("error", "deliveries", "seconds"),
    [
        (PlanYielded("deadline"), 1, 30),
        (BrokerUnavailable("down"), 3, 120),
        (PlanYielded("deadline"), MAX_DELIVERIES - 1, 480),
        (InvalidInput("plan_id", "is missing"), 1, 0),
    ],
)
def test_the_delay_follows_from_the_error_and_the_deliveries(
    error: RebalanceError, deliveries: int, seconds: int
) -> None:
    assert redelivery_delay(error, deliveries) == timedelta(seconds=seconds)
