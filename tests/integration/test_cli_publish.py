"""``rebalance publish``: a stored result reaches the channels that have not received it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rebalance_executor.domain.errors import PlanYielded
from tests.support.terminal import Terminal
from tests.support.world import HandlerWorld, a_world, buy, plan

PLAN = plan(buy("AAA", "1000"))


@pytest.fixture
def world() -> Iterator[HandlerWorld]:
    with a_world() as world:
        yield world


@pytest.fixture
def terminal(world: HandlerWorld, tmp_path: Path) -> Terminal:
    """Return a terminal with a topic, which the function did not have: its notices were not published."""
    topic = world.session.client("sns").create_topic(Name="results")["TopicArn"]
    return Terminal(world, tmp_path, {"RESULT_TOPIC": topic})


def test_result_is_published_on_the_missing_channel_only_and_once(world: HandlerWorld, terminal: Terminal) -> None:
    world.deliver(PLAN)

    first = terminal.json("cli/publish", "publish", "plan-1")
    second = terminal.json("cli/publish", "publish", "plan-1")
    again = terminal.json("cli/publish", "publish", "plan-1", "--again")

    assert (first["published"], first["earlier"], first["failed"]) == (["notice"], ["event"], {})
    assert (second["published"], second["earlier"]) == ([], ["event", "notice"])
    assert (again["published"], again["earlier"]) == (["event", "notice"], [])
    assert terminal.json("cli/status", "status", "--day", "2026-01-26")["lease"] is None


def test_channel_that_fails_is_named_with_its_reason_and_keeps_no_lease(
    world: HandlerWorld, terminal: Terminal, tmp_path: Path
) -> None:
    world.deliver(PLAN)
    broken = Terminal(world, tmp_path, {"RESULT_TOPIC": terminal.variables["RESULT_TOPIC"] + "-gone"})

    answer = broken.json("cli/publish", "publish", "plan-1", code=1)
    shown = broken.type("publish", "plan-1")

    assert "the topic did not accept the message" in answer["failed"]["notice"]
    assert "rebalance publish plan-1" in shown.stdout
    assert terminal.json("cli/publish", "publish", "plan-1")["published"] == ["notice"]


def test_plan_without_a_result_is_not_published(world: HandlerWorld, terminal: Terminal) -> None:
    world.broker.change({"fills": [{"symbol": "AAA", "behaviour": "never"}]})
    with pytest.raises(PlanYielded):
        world.deliver(PLAN, seconds=8)

    done = terminal.type("publish", "plan-1")

    assert done.exit_code == 5
    assert "rebalance watch plan-1" in done.stderr


def test_result_is_not_published_while_another_plan_of_the_account_is_unfinished(
    world: HandlerWorld, terminal: Terminal
) -> None:
    world.deliver(PLAN)
    world.broker.change({"fills": [{"symbol": "BBB", "behaviour": "never"}]})
    with pytest.raises(PlanYielded):
        world.deliver(plan(buy("BBB", "1000"), plan_id="plan-2"), seconds=8)

    done = terminal.type("publish", "plan-1")

    assert done.exit_code == 2
    assert "Plan plan-2 of account default must be finished first" in " ".join(done.stderr.split())
    assert terminal.json("cli/status", "status")["lease"] is None


def test_publish_needs_a_channel(world: HandlerWorld, tmp_path: Path) -> None:
    world.deliver(PLAN)

    done = Terminal(world, tmp_path, {"RESULT_BUS": ""}).type("publish", "plan-1")

    assert done.exit_code == 2
    assert "RESULT_BUS" in done.stderr
