"""Moments at which one store knows of a plan and another does not, so that it could be lost or executed twice."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from rebalance_executor.domain.errors import LeaseHeld, PlanExpired, PlanYielded, RebalanceError
from tests.support.builders import NOW
from tests.support.world import HandlerWorld, a_world, buy, exit_of, outcomes, plan

FILLS_LATE = [{"symbol": "AAA", "behaviour": "later", "after_seconds": 40}]


def test_plan_that_expires_after_its_start_is_finished() -> None:
    """Its sells are filled, so its buys must follow, whatever its age. A plan that has not started expires."""
    until = (NOW + timedelta(minutes=10)).isoformat()
    event = plan(exit_of("AAA", 1000), buy("BBB", 1000), valid_until=until)
    config = {"child_wait_seconds": 60, "max_plan_age_minutes": 5}
    never = [{"symbol": "BBB", "nth": 1, "behaviour": "never"}]
    with a_world(positions={"AAA": "10"}, fills=never, config=config) as world:
        with pytest.raises(PlanYielded):
            world.deliver(event, seconds=20)
        assert world.filled("AAA") == 10
        world.advance(900)

        result = world.deliver(event)

        assert outcomes(result) == {"AAA": ("FILLED", None), "BBB": ("FILLED", None)}
        with pytest.raises(PlanExpired):
            world.deliver({**event, "plan_id": "not-started"})


def test_retry_with_the_same_request_id_resumes_the_plan() -> None:
    """Lambda retries an asynchronous invocation with its request ID; here every invocation has the same one."""
    event = plan(buy("AAA", 1000))
    with a_world(fills=FILLS_LATE, config={"child_wait_seconds": 60}) as world:
        world.deliver_and_kill(event, after=2)

        result = world.deliver(event, seconds=60)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert len(world.orders) == 1
        assert world.log_lines("plan.resumed")


@pytest.mark.parametrize("record_is_lost", [False, True])
def test_retry_with_the_same_request_id_during_the_first_run_is_redelivered(*, record_is_lost: bool) -> None:
    """The lease prevents a second run, with and without the idempotency record, although both have one ID."""
    event = plan(buy("AAA", 1000))
    raised: list[type[RebalanceError]] = []

    def retry(world: HandlerWorld) -> None:
        if record_is_lost:
            world.delete_idempotency_records()
        with pytest.raises(RebalanceError) as caught:
            world.deliver(event)
        raised.append(caught.type)

    with a_world(fills=FILLS_LATE, config={"child_wait_seconds": 60, "lease_wait_seconds": 0}) as world:
        world.after(2, lambda: retry(world))
        result = world.deliver(event)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert raised == [LeaseHeld]
        assert len(world.orders) == 1


def test_finished_plan_without_completed_record_gets_its_stored_result() -> None:
    """The run was killed between journal and idempotency record; later the record is deleted as well."""
    event = plan(buy("AAA", 1000))
    with a_world() as world:
        first = world.deliver(event)
        table = world.session.resource("dynamodb").Table("idempotency")
        (record,) = table.scan()["Items"]
        expired = int((NOW - timedelta(days=400)).timestamp())
        table.put_item(Item={**record, "status": "INPROGRESS", "in_progress_expiration": expired * 1000})

        assert world.deliver(event) == first
        world.delete_idempotency_records()
        assert world.deliver(event) == first
        assert world.filled("AAA") == Decimal(first["orders"][0]["shares"])
        assert len(world.orders) == 1
