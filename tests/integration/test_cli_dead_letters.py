"""``rebalance dlq``: list, show, replay and discard dead letters without losing any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rebalance_executor.domain.errors import PlanYielded
from tests.support.terminal import Terminal
from tests.support.world import HandlerWorld, a_world, buy, plan


@pytest.fixture
def world() -> Iterator[HandlerWorld]:
    with a_world() as world:
        yield world


@pytest.fixture
def terminal(world: HandlerWorld, tmp_path: Path) -> Terminal:
    sqs = world.session.client("sqs")
    fifo = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    urls = {
        name: sqs.create_queue(QueueName=f"{name.lower()}.fifo", Attributes=fifo)["QueueUrl"]
        for name in ("PLAN_QUEUE_URL", "PLAN_DEAD_LETTER_QUEUE_URL")
    }
    urls["EVENT_DEAD_LETTER_QUEUE_URL"] = sqs.create_queue(QueueName="events")["QueueUrl"]
    return Terminal(world, tmp_path, urls)


def bury(
    terminal: Terminal, *bodies: object, queue: str = "PLAN_DEAD_LETTER_QUEUE_URL", group: str = "default"
) -> None:
    sqs, url = terminal.world.session.client("sqs"), terminal.variables[queue]
    groups = {"MessageGroupId": group} if queue.startswith("PLAN") else {}
    for body in bodies:
        text = body if isinstance(body, str) else json.dumps(body)
        sqs.send_message(QueueUrl=url, MessageBody=text, **groups)


def listed(terminal: Terminal) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = terminal.json("cli/dlq-list", "dlq", "list")["messages"]
    return messages


def listed_events(terminal: Terminal) -> list[dict[str, Any]]:
    answer = terminal.json("cli/dlq-list", "dlq", "list", "--queue", "events")
    messages: list[dict[str, Any]] = answer["messages"]
    return messages


def test_list_shows_every_dead_letter_and_removes_none(terminal: Terminal) -> None:
    bury(terminal, plan(buy("AAA", "100")), "this is no plan")

    first, second = listed(terminal), listed(terminal)

    assert [(m["plan_id"], m["problem"] is None) for m in first] == [("plan-1", True), (None, False)]
    assert [m["message_id"] for m in first] == [m["message_id"] for m in second]
    shown = terminal.type("dlq", "list").stdout
    assert "plan-1" in shown
    assert f"rebalance dlq show {first[0]['message_id'][:8]}" in shown


UNREADABLE = [
    '{"a": 1e9999999999999999999}',
    '{"plan_id": "\\ud800"}',
    '{"plan_id": "p", "account": "\\ud800"}',
    '{"plan_id": "p", "plan_id": "q"}',
    '{"plan_id": ["p"]}',
    "[" * 50_000,
    "\ufeff",
]


@pytest.mark.parametrize("body", UNREADABLE, ids=lambda body: body[:30])
def test_message_that_cannot_be_read_hides_no_other_and_can_be_discarded(terminal: Terminal, body: str) -> None:
    bury(terminal, body, plan(buy("AAA", "100")))

    bad, good = listed(terminal)

    assert (bad["problem"] is None, good["plan_id"]) == (False, "plan-1")
    terminal.json("cli/dlq-done", "dlq", "discard", bad["message_id"], "--yes")
    assert [message["plan_id"] for message in listed(terminal)] == ["plan-1"]


def test_control_characters_of_a_message_do_not_reach_the_terminal(terminal: Terminal) -> None:
    bury(terminal, "\x85no \u202eplan")
    (message,) = listed(terminal)

    shown = terminal.type("dlq", "show", message["message_id"]).stdout

    assert "\ufffdno \ufffdplan" in shown


def test_list_of_an_empty_queue_is_empty(terminal: Terminal) -> None:
    assert listed(terminal) == []
    assert "No dead letters" in terminal.type("dlq", "list").stdout


def test_doctor_counts_the_dead_letters_of_every_queue(terminal: Terminal) -> None:
    def dead_letters(*, code: int) -> dict[str, Any]:
        checks = terminal.json("cli/doctor", "doctor", code=code)["checks"]
        return next(check for check in checks if check["name"] == "dead letters")

    terminal.world.broker.change({"quotes": {"SPY": {"bid": "499.99", "ask": "500.01"}}})  # for the doctor
    assert dead_letters(code=0)["detail"] == "empty (plans, events)"
    bury(terminal, plan(buy("AAA", "100")))
    bury(terminal, "one", "two", queue="EVENT_DEAD_LETTER_QUEUE_URL")

    check = dead_letters(code=1)
    detail = "1 message in the plan dead-letter queue, 2 messages in the event dead-letter queue"
    assert (check["ok"], check["detail"]) == (False, detail)
    assert check["fix"] == "rebalance dlq list --queue plans"


def test_undelivered_event_is_replayed_as_a_plan(terminal: Terminal) -> None:
    bury(terminal, {"source": "portfolio", "detail": plan(buy("AAA", "100"))}, queue="EVENT_DEAD_LETTER_QUEUE_URL")
    (letter,) = listed_events(terminal)
    terminal.json("cli/dlq-done", "dlq", "replay", letter["message_id"], "--queue", "events")

    assert listed_events(terminal) == []
    sqs, url = terminal.world.session.client("sqs"), terminal.variables["PLAN_QUEUE_URL"]
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert json.loads(message["Body"])["detail"]["plan_id"] == "plan-1"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (plan(buy("AAA", "-5")), "invalid plan: items.0.trade_amount"),
        (plan(buy("AAA", "100"), timestamp="2026-01-24T15:00:00Z"), "too old: the plan is of 2026-01-24 15:00:00 UTC"),
        (plan(buy("AAA", "100"), valid_until="2026-01-26T14:00:00Z"), "too old: the plan was valid until"),
        ({"health": True}, "contains no plan"),
        ("this is no plan", "no plan"),
    ],
    ids=["invalid", "old", "not valid any more", "health request", "text"],
)
def test_a_message_that_would_fail_again_is_shown_with_its_reason_and_not_sent(
    terminal: Terminal, body: object, problem: str
) -> None:
    bury(terminal, body)
    (message,) = listed(terminal)

    rejected = terminal.type("dlq", "replay", message["message_id"])
    shown = " ".join(terminal.type("dlq", "list").stdout.split())

    if problem != "no plan":
        assert message["reason"].startswith(problem)
    assert message["reason"] in shown
    assert rejected.exit_code == 2
    assert "would fail again" in rejected.stderr
    assert len(listed(terminal)) == 1
    assert terminal.type("dlq", "replay", message["message_id"], "--anyway").exit_code == 0
    assert listed(terminal) == []


def test_reason_of_a_plan_that_started_is_that_of_the_journal(terminal: Terminal) -> None:
    document = plan(buy("AAA", "100"))
    terminal.world.deliver(document)
    bury(terminal, document)

    assert listed(terminal)[0]["reason"] == "the plan has its result by now: success"


@pytest.mark.parametrize("started", [True, False])
def test_old_plan_is_replayed_only_if_it_has_started(terminal: Terminal, *, started: bool) -> None:
    """A started plan is resumed at any age: its orders may be open."""
    if started:
        terminal.world.broker.change({"fills": [{"symbol": "AAA", "behaviour": "never"}]})
        with pytest.raises(PlanYielded):
            terminal.world.deliver(plan(buy("AAA", "100")), seconds=8)
    terminal.world.advance(3600)
    bury(terminal, plan(buy("AAA", "100")))

    (letter,) = listed(terminal)
    done = terminal.type("dlq", "replay", letter["message_id"])

    assert (letter["problem"] is None) is started
    assert done.exit_code == (0 if started else 2)
    assert len(listed(terminal)) == (0 if started else 1)


def test_attempts_are_those_of_the_function_and_not_the_looks_of_an_operator(terminal: Terminal) -> None:
    bury(terminal, plan(buy("AAA", "100")))
    sqs = terminal.world.session.client("sqs")
    sqs.send_message(
        QueueUrl=terminal.variables["EVENT_DEAD_LETTER_QUEUE_URL"],
        MessageBody="{}",
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value}
            for name, value in {
                "ERROR_CODE": "NO_PERMISSIONS",
                "ERROR_MESSAGE": "denied by the policy",
                "RETRY_ATTEMPTS": "3",
            }.items()
        },
    )

    for _ in range(8):
        (letter,) = listed(terminal)
        (event,) = listed_events(terminal)

    assert letter["attempts"] == 6  # a plan is given up after six deliveries
    assert (event["attempts"], event["reason"]) == (4, "NO_PERMISSIONS: denied by the policy")


def test_show_prints_the_whole_message(terminal: Terminal) -> None:
    bury(terminal, "this is no plan")
    (message,) = listed(terminal)
    start = message["message_id"][:8]
    shown = terminal.type("dlq", "show", start).stdout
    assert "this is no plan" in shown
    assert f"rebalance dlq discard {start}" in shown


def test_replay_moves_a_plan_to_the_plan_queue(terminal: Terminal) -> None:
    bury(terminal, plan(buy("AAA", "100"), account="growth"))
    (message,) = listed(terminal)

    done = terminal.json("cli/dlq-done", "dlq", "replay", message["message_id"])

    assert (done["plan_id"], done["done"]) == ("plan-1", "replayed")
    assert listed(terminal) == []
    (sent,) = terminal.world.session.client("sqs").receive_message(
        QueueUrl=terminal.variables["PLAN_QUEUE_URL"], AttributeNames=["All"]
    )["Messages"]
    assert json.loads(sent["Body"])["plan_id"] == "plan-1"
    assert terminal.world.deliver(json.loads(sent["Body"]) | {"account": "default"})["status"] == "success"


def test_account_of_a_pointer_is_its_message_group(terminal: Terminal) -> None:
    bury(terminal, {"plan_s3": {"bucket": "plans", "key": "plans/today.json"}}, group="growth")
    (message,) = listed(terminal)

    done = terminal.type("dlq", "replay", message["message_id"])

    assert "on account growth" in done.stdout


def test_message_without_a_plan_is_not_replayed(terminal: Terminal) -> None:
    bury(terminal, "this is no plan")
    (message,) = listed(terminal)

    rejected = terminal.type("dlq", "replay", message["message_id"])

    assert rejected.exit_code == 2
    assert "discard" in rejected.stderr
    assert len(listed(terminal)) == 1


def test_discard_needs_confirmation(terminal: Terminal) -> None:
    bury(terminal, "this is no plan")
    (message,) = listed(terminal)

    assert terminal.type("dlq", "discard", message["message_id"], answers="n\n").exit_code == 2
    assert len(listed(terminal)) == 1
    done = terminal.json("cli/dlq-done", "dlq", "discard", message["message_id"], "--yes")

    assert done["done"] == "discarded"
    assert listed(terminal) == []


def test_unknown_message_id_changes_nothing(terminal: Terminal) -> None:
    bury(terminal, "this is no plan")
    assert terminal.type("dlq", "discard", "zzz", "--yes").exit_code == 2
    assert len(listed(terminal)) == 1


@pytest.mark.parametrize(
    ("queue", "variable"),
    [
        ("plans", "PLAN_DEAD_LETTER_QUEUE_URL"),
        ("events", "EVENT_DEAD_LETTER_QUEUE_URL"),
        ("schedules", "SCHEDULE_DEAD_LETTER_QUEUE_URL"),
        ("failures", "FAILURE_QUEUE_URL"),
    ],
)
def test_missing_queue_address_names_the_variable(
    world: HandlerWorld, tmp_path: Path, queue: str, variable: str
) -> None:
    rejected = Terminal(world, tmp_path, {}).type("dlq", "list", "--queue", queue)
    assert rejected.exit_code == 2
    assert variable in rejected.stderr
