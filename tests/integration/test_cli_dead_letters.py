"""``rebalance dlq``: dead letters are listed, shown, replayed and discarded, and nothing is lost in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.terminal import Terminal
from tests.support.world import HandlerWorld, a_world, buy, plan


@pytest.fixture
def world() -> Iterator[HandlerWorld]:
    with a_world() as world:
        yield world


@pytest.fixture
def desk(world: HandlerWorld, tmp_path: Path) -> Terminal:
    sqs = world.session.client("sqs")
    fifo = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    urls = {
        name: sqs.create_queue(QueueName=f"{name.lower()}.fifo", Attributes=fifo)["QueueUrl"]
        for name in ("PLAN_QUEUE_URL", "PLAN_DEAD_LETTER_QUEUE_URL")
    }
    urls["EVENT_DEAD_LETTER_QUEUE_URL"] = sqs.create_queue(QueueName="events")["QueueUrl"]
    return Terminal(world, tmp_path, urls)


def bury(desk: Terminal, *bodies: object, queue: str = "PLAN_DEAD_LETTER_QUEUE_URL") -> None:
    sqs, url = desk.world.session.client("sqs"), desk.variables[queue]
    group = {"MessageGroupId": "default"} if queue.startswith("PLAN") else {}
    for body in bodies:
        text = body if isinstance(body, str) else json.dumps(body)
        sqs.send_message(QueueUrl=url, MessageBody=text, **group)


def listed(desk: Terminal) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = desk.json("cli/dlq-list", "dlq", "list")["messages"]
    return messages


def listed_events(desk: Terminal) -> list[dict[str, Any]]:
    told = desk.json("cli/dlq-list", "dlq", "list", "--queue", "events")
    messages: list[dict[str, Any]] = told["messages"]
    return messages


def test_every_dead_letter_is_listed_and_stays(desk: Terminal) -> None:
    bury(desk, plan(buy("AAA", "100")), "this is no plan")

    first, second = listed(desk), listed(desk)

    assert [(m["plan_id"], m["problem"] is None) for m in first] == [("plan-1", True), (None, False)]
    assert [m["message_id"] for m in first] == [m["message_id"] for m in second]
    assert "plan-1" in desk.type("dlq", "list").stdout


def test_an_empty_queue_is_good_news(desk: Terminal) -> None:
    assert listed(desk) == []
    assert "No dead letters" in desk.type("dlq", "list").stdout


def test_the_doctor_counts_the_dead_letters_of_every_hop(desk: Terminal) -> None:
    def dead_letters(*, code: int) -> dict[str, Any]:
        checks = desk.json("cli/doctor", "doctor", code=code)["checks"]
        return next(check for check in checks if check["name"] == "dead letters")

    desk.world.broker.change({"quotes": {"SPY": {"bid": "499.99", "ask": "500.01"}}})  # the doctor asks for it
    assert dead_letters(code=0)["detail"] == "none of plans, events"
    bury(desk, plan(buy("AAA", "100")))
    bury(desk, "one", "two", queue="EVENT_DEAD_LETTER_QUEUE_URL")

    found = dead_letters(code=1)
    assert (found["ok"], found["detail"]) == (False, "ERROR: 1 of plans, 2 of events")
    assert "rebalance dlq list" in found["mend"]


def test_an_event_that_the_bus_could_not_hand_over_is_replayed_as_a_plan(desk: Terminal) -> None:
    bury(desk, {"source": "portfolio", "detail": plan(buy("AAA", "100"))}, queue="EVENT_DEAD_LETTER_QUEUE_URL")
    (letter,) = listed_events(desk)
    desk.json("cli/dlq-done", "dlq", "replay", letter["message_id"], "--queue", "events")

    assert listed_events(desk) == []
    sqs, url = desk.world.session.client("sqs"), desk.variables["PLAN_QUEUE_URL"]
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert json.loads(message["Body"])["detail"]["plan_id"] == "plan-1"


def test_a_message_is_shown_whole(desk: Terminal) -> None:
    bury(desk, "this is no plan")
    (message,) = listed(desk)
    assert "this is no plan" in desk.type("dlq", "show", message["message_id"][:8]).stdout


def test_a_replayed_plan_is_in_the_plan_queue_and_no_longer_dead(desk: Terminal) -> None:
    bury(desk, plan(buy("AAA", "100"), account="growth"))
    (message,) = listed(desk)

    done = desk.json("cli/dlq-done", "dlq", "replay", message["message_id"])

    assert (done["plan_id"], done["done"]) == ("plan-1", "replayed")
    assert listed(desk) == []
    (sent,) = desk.world.session.client("sqs").receive_message(
        QueueUrl=desk.variables["PLAN_QUEUE_URL"], AttributeNames=["All"]
    )["Messages"]
    assert json.loads(sent["Body"])["plan_id"] == "plan-1"
    assert desk.world.deliver(json.loads(sent["Body"]) | {"account": "default"})["status"] == "success"


def test_what_holds_no_plan_is_not_replayed(desk: Terminal) -> None:
    bury(desk, "this is no plan")
    (message,) = listed(desk)

    refused = desk.type("dlq", "replay", message["message_id"])

    assert refused.exit_code == 2
    assert "discard" in refused.stderr
    assert len(listed(desk)) == 1


def test_a_message_is_discarded_only_when_somebody_says_so(desk: Terminal) -> None:
    bury(desk, "this is no plan")
    (message,) = listed(desk)

    assert desk.type("dlq", "discard", message["message_id"], answers="n\n").exit_code == 2
    assert len(listed(desk)) == 1
    done = desk.json("cli/dlq-done", "dlq", "discard", message["message_id"], "--yes")

    assert done["done"] == "discarded"
    assert listed(desk) == []


def test_an_id_that_no_message_has_changes_nothing(desk: Terminal) -> None:
    bury(desk, "this is no plan")
    assert desk.type("dlq", "discard", "zzz", "--yes").exit_code == 2
    assert len(listed(desk)) == 1


@pytest.mark.parametrize(
    ("queue", "variable"),
    [
        ("plans", "PLAN_DEAD_LETTER_QUEUE_URL"),
        ("events", "EVENT_DEAD_LETTER_QUEUE_URL"),
        ("schedules", "SCHEDULE_DEAD_LETTER_QUEUE_URL"),
        ("failures", "FAILURE_QUEUE_URL"),
    ],
)
def test_a_queue_that_is_not_named_says_which_variable(
    world: HandlerWorld, tmp_path: Path, queue: str, variable: str
) -> None:
    refused = Terminal(world, tmp_path, {}).type("dlq", "list", "--queue", queue)
    assert refused.exit_code == 2
    assert variable in refused.stderr
