"""Each channel gets a result once, and a failing channel never fails the plan. The daily check counts results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from rebalance_executor.domain.errors import PlanYielded, PublishFailed
from tests.support.fake_publisher import FakePublisher
from tests.support.world import HandlerWorld, a_world, buy, outcomes, plan


@dataclass
class TwoChannels:
    """A world whose results are published on two channels."""

    world: HandlerWorld
    event: FakePublisher = field(default_factory=lambda: FakePublisher("event"))
    notice: FakePublisher = field(default_factory=lambda: FakePublisher("notice"))

    def deliver(self) -> dict[str, object]:
        """Deliver the plan to a new container with both channels, without idempotency records."""
        self.world.restart()
        self.world.delete_idempotency_records()
        manager = self.world.service.manager
        manager._ports = replace(manager._ports, publishers=(self.event, self.notice))
        return self.world.deliver(plan(buy("AAA", 1000)))

    def channels(self, event: str) -> Counter[str]:
        """Count the log lines of an event by channel."""
        return Counter(line["channel"] for line in self.world.log_lines(event))


@pytest.fixture
def channels() -> Iterator[TwoChannels]:
    with a_world() as world:
        yield TwoChannels(world)


def test_redelivered_plan_is_published_once_per_channel(channels: TwoChannels) -> None:
    first = channels.deliver()

    assert channels.deliver() == first
    assert len(channels.event.published) == len(channels.notice.published) == 1
    assert channels.channels("result.published") == {"event": 1, "notice": 1}


def test_redelivery_publishes_only_on_the_channel_that_failed(channels: TwoChannels) -> None:
    channels.notice.errors = [PublishFailed("the topic is unavailable")]
    assert channels.deliver()["success"] is True
    assert channels.channels("result.publish_failed") == {"notice": 1}

    channels.deliver()

    assert len(channels.event.published) == len(channels.notice.published) == 1


def test_defect_in_one_channel_fails_neither_the_plan_nor_the_other_channel(channels: TwoChannels) -> None:
    channels.event.errors = [KeyError("a defect in the publisher")]

    assert channels.deliver()["success"] is True
    assert len(channels.notice.published) == 1
    (line,) = channels.world.log_lines("result.publish_failed")
    assert (line["channel"], line["error"]) == ("event", "KeyError")


def test_day_is_overdue_until_a_plan_is_completed(channels: TwoChannels) -> None:
    channels.world.restart()
    assert channels.world.deliver({"watch": True})["overdue"] is True
    assert len(channels.world.log_lines("daily_check.overdue")) == 1

    channels.deliver()

    report = channels.world.deliver({"watch": True})
    assert (report["overdue"], report["plans"]) == (False, {"success": 1})


def test_day_with_closed_market_is_not_overdue() -> None:
    with a_world(sessions="always_closed") as world:
        report = world.deliver({"watch": True})

    assert (report["trading_day"], report["overdue"]) == (False, False)


def test_daily_check_finishes_a_plan_of_an_earlier_day_that_no_delivery_finishes() -> None:
    event = plan(buy("AAA", 500))
    with a_world() as world:
        world.broker.change({"default_fill": {"behaviour": "never"}})
        with pytest.raises(PlanYielded):
            world.deliver(event, seconds=5)
        assert world.deliver({"watch": True})["unfinished"][0]["abandoned"] is False

        world.advance(86_400)
        assert world.deliver({"watch": True})["unfinished"] == []
        assert outcomes(world.deliver(event)) == {"AAA": ("UNFILLED", "MARKET_CLOSED")}


def test_daily_check_names_a_plan_of_an_earlier_day_that_it_cannot_finish() -> None:
    with a_world() as world:
        world.broker.change({"default_fill": {"behaviour": "never"}})
        with pytest.raises(PlanYielded):
            world.deliver(plan(buy("AAA", 500)), seconds=5)
        world.advance(86_400)
        down = {"kind": "status", "status": 503, "method": "GET", "path": "/v2/account", "count": None}
        world.broker.change({"faults": [down]})

        report = world.deliver({"watch": True})

        assert (report["healthy"], report["unfinished"][0]["plan_id"]) == (False, "plan-1")
        (line,) = world.log_lines("daily_check.plan_unfinished")
        assert (line["account"], line["plan_id"]) == ("default", "plan-1")
