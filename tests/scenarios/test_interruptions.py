"""Runs that end before their plan: deadlines, kills, an unavailable broker, a market that closes."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from rebalance_executor.adapters.alpaca.broker import AlpacaBroker
from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.domain.errors import BrokerUnavailable, ConfigurationError, LeaseHeld, PlanYielded
from tests.support.builders import NOW
from tests.support.world import HandlerWorld, Killed, a_world, buy, exit_of, kill, outcomes, plan

NEVER = {"symbol": "AAA", "nth": 1, "behaviour": "never"}


def test_run_near_its_deadline_cancels_and_yields_and_the_next_delivery_resumes() -> None:
    with a_world(fills=[NEVER], config={"child_wait_seconds": 30}) as world:
        with pytest.raises(PlanYielded):
            world.deliver(plan(buy("AAA", 1000)), seconds=10)
        assert [order["status"] for order in world.orders] == ["canceled"]

        result = world.deliver(plan(buy("AAA", 1000)), seconds=10)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert result["runs"] == 2
        assert world.filled("AAA") == Decimal(result["orders"][0]["shares"])


def test_killed_run_is_resumed_with_its_open_order() -> None:
    with a_world(fills=[NEVER], config={"child_wait_seconds": 60}) as world:
        world.deliver_and_kill(plan(buy("AAA", 1000)))

        result = world.deliver(plan(buy("AAA", 1000)), seconds=60)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert [order["status"] for order in world.orders] == ["canceled", "filled"]


def kill_at_the_next_cancel(world: HandlerWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deliver the plan and kill the process when it has journalled a cancel and not sent it."""
    with monkeypatch.context() as patches:
        patches.setattr(AlpacaBroker, "cancel", kill)
        with pytest.raises(Killed):
            world.deliver(plan(buy("AAA", 1000)), seconds=60)
    world.replace_killed()


def test_cancel_lost_with_its_run_is_sent_by_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_world(fills=[NEVER]) as world:
        kill_at_the_next_cancel(world, monkeypatch)

        result = world.deliver(plan(buy("AAA", 1000)), seconds=60)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert [order["status"] for order in world.orders] == ["canceled", "filled"]


def test_cancel_lost_with_every_earlier_run_is_sent_by_the_last_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_world(fills=[NEVER], config={"max_runs": 6}) as world:
        for _ in range(5):
            kill_at_the_next_cancel(world, monkeypatch)

        result = world.deliver(plan(buy("AAA", 1000)), seconds=60)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert [order["status"] for order in world.orders] == ["canceled", "filled"]


def test_unavailable_broker_is_queried_again_by_the_next_delivery() -> None:
    down = {"kind": "status", "status": 503, "method": "GET", "path": "/v2/orders", "count": 4}
    with a_world(positions={"AAA": "10"}, fills=[NEVER], faults=[down | {"nth": 2}]) as world:
        with pytest.raises(BrokerUnavailable):
            world.deliver(plan(exit_of("AAA"), buy("BBB", 1000)))

        assert outcomes(world.deliver(plan(exit_of("AAA"), buy("BBB", 1000))))["BBB"] == ("FILLED", None)


def test_plan_is_not_resumed_on_another_account() -> None:
    with a_world(fills=[NEVER], config={"child_wait_seconds": 30}) as world:
        with pytest.raises(PlanYielded):
            world.deliver(plan(buy("AAA", 1000)), seconds=10)
        world.broker.change({"account": {"account_number": "PA9999999999"}})

        with pytest.raises(ConfigurationError, match="account_number"):
            world.deliver(plan(buy("AAA", 1000)), seconds=10)


def test_market_close_between_runs_finishes_the_plan_with_its_fills() -> None:
    parts = {"symbol": "AAA", "behaviour": "parts", "parts": [{"fraction": "0.5"}]}
    with a_world(fills=[parts], whole_shares=["AAA"], config={"child_wait_seconds": 30}) as world:
        with pytest.raises(PlanYielded):
            world.deliver(plan(buy("AAA", 1005)), seconds=10)
        world.broker.change({"clock": {"sessions": "always_closed"}})

        result = world.deliver(plan(buy("AAA", 1005)), seconds=10)

        assert outcomes(result) == {"AAA": ("PARTIALLY_FILLED", "MARKET_CLOSED")}
        assert result["orders"][0]["shares"] == "5"


@pytest.mark.parametrize(
    ("account", "code"),
    [({"account_blocked": True}, "ACCOUNT_BLOCKED"), ({"trade_suspended_by_user": True}, "ACCOUNT_BLOCKED")],
)
def test_blocked_account_sends_nothing(account: dict[str, object], code: str) -> None:
    with a_world(account=account) as world:
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("DENIED", code)}
        assert (result["success"], world.orders) == (False, [])


def test_closed_market_sends_nothing() -> None:
    with a_world(sessions="always_closed") as world:
        assert outcomes(world.deliver(plan(buy("AAA", 1000)))) == {"AAA": ("DENIED", "MARKET_CLOSED")}
        assert world.orders == []


def test_run_that_yields_before_the_proceeds_arrive_resumes_with_the_buys() -> None:
    lag = {"proceeds_lag_seconds": 12}
    with a_world(cash="0", positions={"AAA": "10"}, account=lag) as world:
        with pytest.raises(PlanYielded):
            world.deliver(plan(exit_of("AAA"), buy("BBB", 900)), seconds=10)

        result = world.deliver(plan(exit_of("AAA"), buy("BBB", 900)), seconds=10)

        assert outcomes(result) == {"AAA": ("FILLED", None), "BBB": ("FILLED", None)}


@pytest.mark.parametrize("timeout", [300, 900])
@pytest.mark.parametrize("killed_after", [0.1, 20])
def test_event_whose_invocation_was_killed_finishes_within_lambdas_two_retries(
    timeout: float, killed_after: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda retries an event one and two minutes after a failure. The killed run holds its lease for longer."""
    event = plan(buy("AAA", 1000))
    with a_world(fills=[NEVER], config={"child_wait_seconds": 60}) as world:
        world.after(killed_after, kill)
        with monkeypatch.context() as patches:
            patches.setattr(DynamoJournal, "release", kill)  # a killed process releases nothing
            with pytest.raises(Killed):
                world.deliver(event, seconds=timeout)
        world.restart()
        world.advance(60)
        with pytest.raises(LeaseHeld):
            world.deliver(event, seconds=timeout)
        world.advance(120)

        result = world.deliver(event, seconds=timeout)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert world.in_seconds(0) <= NOW + timedelta(seconds=timeout + 120)


def test_lost_acknowledgement_of_the_claim_does_not_delay_the_plan() -> None:
    """DynamoDB answers 500 after the claim took effect; the SDK's repeat of the put fails its condition."""
    with a_world() as world:
        world.lost_acknowledgements["PutItem"] = 1

        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert len(world.log_lines("idempotency.bypassed")) == 1
