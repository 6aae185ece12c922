"""A result is told once on each channel, and nothing that goes wrong there fails what was executed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from rebalance_executor.domain.errors import PublishFailed
from rebalance_executor.domain.result import ExecutionResult
from tests.support.world import HandlerWorld, a_world, buy, plan


@dataclass
class Channel:
    """A channel that remembers what it got, and fails as long as it is told to."""

    channel: str
    fails: Exception | None = None
    got: list[str] = field(default_factory=list)

    def publish(self, result: ExecutionResult) -> None:
        if self.fails is not None:
            raise self.fails
        self.got.append(result.plan_id)


@dataclass
class Reported:
    """A world with two channels."""

    world: HandlerWorld
    event: Channel
    notice: Channel

    def deliver(self) -> dict[str, object]:
        """The plan, to a container that has the channels and no front door record."""
        self.world.restart()
        self.world.delete_idempotency_records()
        manager = self.world.service.manager
        manager._ports = replace(manager._ports, publishers=(self.event, self.notice))
        return self.world.deliver(plan(buy("AAA", 1000)))


@pytest.fixture
def reported() -> Iterator[Reported]:
    with a_world() as world:
        yield Reported(world, Channel("event"), Channel("notice"))


def test_given_a_finished_plan_when_delivered_again_then_each_channel_got_it_once(reported: Reported) -> None:
    first = reported.deliver()

    assert reported.deliver() == first
    assert len(reported.event.got) == len(reported.notice.got) == 1
    assert Counter(line["channel"] for line in reported.world.log_lines("result.published")) == {
        "event": 1,
        "notice": 1,
    }


def test_given_a_channel_that_failed_when_delivered_again_then_only_that_one_gets_it_late(reported: Reported) -> None:
    reported.notice.fails = PublishFailed("the topic is away")
    assert reported.deliver()["success"] is True
    assert [line["channel"] for line in reported.world.log_lines("result.publish_failed")] == ["notice"]

    reported.notice.fails = None
    reported.deliver()

    assert len(reported.event.got) == len(reported.notice.got) == 1


def test_given_a_report_that_crashes_when_executed_then_the_plan_is_a_success_and_the_other_channel_has_it(
    reported: Reported,
) -> None:
    reported.event.fails = KeyError("a mistake in a report")

    assert reported.deliver()["success"] is True
    assert len(reported.notice.got) == 1
    (line,) = reported.world.log_lines("result.publish_failed")
    assert (line["channel"], line["error"]) == ("event", "KeyError")


def test_given_no_plan_today_when_watched_then_the_day_is_overdue_until_one_is_completed(reported: Reported) -> None:
    reported.world.restart()
    assert reported.world.deliver({"watch": True})["overdue"] is True
    assert len(reported.world.log_lines("daily_check.overdue")) == 1

    reported.deliver()

    report = reported.world.deliver({"watch": True})
    assert (report["overdue"], report["plans"]) == (False, {"success": 1})


def test_given_a_closed_market_when_watched_then_nothing_is_due() -> None:
    with a_world() as world:
        world.broker.change({"clock": {"sessions": "always_closed"}})
        world.restart()

        report = world.deliver({"watch": True})

    assert (report["trading_day"], report["overdue"]) == (False, False)
