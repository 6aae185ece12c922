"""Moments at which a plan could be lost or doubled, each closed: what is known of one place and not of another."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.errors import LeaseHeld, PlanExpired, PlanInProgress, PlanYielded, RebalanceError
from tests.support.builders import NOW
from tests.support.world import HandlerWorld, a_world, buy, exit_of, outcomes, plan

LATE = [{"symbol": "AAA", "behaviour": "later", "after_seconds": 40}]


class Killed(BaseException):
    """The process is gone: nothing of it runs on."""


def kill_after(world: HandlerWorld, seconds: float, event: dict[str, Any]) -> None:
    """Deliver; so many seconds later the process is killed, and a minute and a half later nobody holds its lease."""

    def die() -> None:
        raise Killed

    world.after(seconds, die)
    with pytest.raises(Killed):
        world.deliver(event, seconds=60)
    world.restart()
    world.delete_idempotency_records()  # its claim runs out by the machine's clock, which tests do not wait for
    world.advance(90)


def test_a_plan_that_becomes_too_old_while_it_is_half_executed_is_finished() -> None:
    """Its sells are done; its buys must follow, whatever its age. A plan that was never begun is refused."""
    until = (NOW + timedelta(minutes=10)).isoformat()
    event = plan(exit_of("AAA", 1000), buy("BBB", 1000), valid_until=until)
    config = {"child_wait_seconds": 60, "max_plan_age_minutes": 5}
    rests = [{"symbol": "BBB", "nth": 1, "behaviour": "never"}]
    with a_world(positions={"AAA": "10"}, fills=rests, config=config) as world:
        with pytest.raises(PlanYielded):
            world.deliver(event, seconds=20)
        assert world.filled("AAA") == 10
        world.advance(900)

        result = world.deliver(event)

        assert outcomes(result) == {"AAA": ("FILLED", None), "BBB": ("FILLED", None)}
        with pytest.raises(PlanExpired):
            world.deliver({**event, "plan_id": "never-begun"})


def test_a_retry_with_the_very_same_request_id_goes_on_and_does_not_begin_anew() -> None:
    """As Lambda repeats an asynchronous invocation: in the tests' world every invocation has the same request id."""
    event = plan(buy("AAA", 1000))
    with a_world(fills=LATE, config={"child_wait_seconds": 60}) as world:
        kill_after(world, 2, event)

        result = world.deliver(event, seconds=60)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert len(world.orders) == 1
        assert world.log_lines("plan.resumed")


@pytest.mark.parametrize("record_is_lost", [False, True])
def test_a_retry_with_the_very_same_request_id_while_the_first_still_runs_is_kept_out(*, record_is_lost: bool) -> None:
    """By the front door's record; and where that is lost, by the lease, though both runs have one id."""
    event = plan(buy("AAA", 1000))
    refused: list[type[RebalanceError]] = []

    def again(world: HandlerWorld) -> None:
        if record_is_lost:
            world.delete_idempotency_records()
        with pytest.raises(RebalanceError) as caught:
            world.deliver(event)
        refused.append(caught.type)

    with a_world(fills=LATE, config={"child_wait_seconds": 60, "lease_wait_seconds": 0}) as world:
        world.after(2, lambda: again(world))
        result = world.deliver(event)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert refused == [LeaseHeld if record_is_lost else PlanInProgress]
        assert len(world.orders) == 1


def test_a_finished_plan_whose_record_was_never_completed_is_answered() -> None:
    """The run died between the journal and the front door; then the record is gone altogether."""
    event = plan(buy("AAA", 1000))
    with a_world() as world:
        first = world.deliver(event)
        table = world.session.resource("dynamodb").Table("idempotency")
        (record,) = table.scan()["Items"]
        ran_out = int((NOW - timedelta(days=400)).timestamp())
        table.put_item(Item={**record, "status": "INPROGRESS", "in_progress_expiration": ran_out * 1000})

        assert world.deliver(event) == first
        world.delete_idempotency_records()
        assert world.deliver(event) == first
        assert world.filled("AAA") == Decimal(first["orders"][0]["shares"])
        assert len(world.orders) == 1
