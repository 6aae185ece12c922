"""Runs that end before their plan: deadlines, kills, a silent broker, doors that close meanwhile."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from rebalance_executor.adapters.alpaca.broker import AlpacaBroker
from rebalance_executor.domain.errors import (
    BrokerUnavailable,
    ConfigurationError,
    PlanYielded,
)
from rebalance_simulation.clock import SimulatedClock
from tests.support.world import HandlerWorld, a_world, buy, exit_of, outcomes, plan

NEVER = {"symbol": "AAA", "nth": 1, "behaviour": "never"}


class Killed(BaseException):
    """The process is gone: nothing of it runs on."""


def killed_when_it_waits(world: HandlerWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next time the program waits, it is killed."""

    def kill(_clock: SimulatedClock, _span: timedelta) -> None:
        raise Killed

    with monkeypatch.context() as context:
        context.setattr(SimulatedClock, "sleep", kill)
        with pytest.raises(Killed):
            world.deliver(plan(buy("AAA", 1000)), seconds=60)
    world.restart()
    world.delete_idempotency_records()  # its claim runs out by the machine's clock, which tests do not wait for


def test_a_run_near_its_deadline_cancels_yields_and_the_next_delivery_goes_on() -> None:
    with a_world(fills=[NEVER], config={"child_wait_seconds": 30}) as world:
        with pytest.raises(PlanYielded):
            world.deliver(plan(buy("AAA", 1000)), seconds=10)
        assert [order["status"] for order in world.orders] == ["canceled"]

        result = world.deliver(plan(buy("AAA", 1000)), seconds=10)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert result["runs"] == 2
        assert world.filled("AAA") == Decimal(result["orders"][0]["shares"])


def test_a_killed_run_is_resumed_and_what_rests_is_worked_further(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_world(fills=[NEVER], config={"child_wait_seconds": 60}) as world:
        killed_when_it_waits(world, monkeypatch)
        world.advance(90)

        result = world.deliver(plan(buy("AAA", 1000)), seconds=60)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert [order["status"] for order in world.orders] == ["canceled", "filled"]


def killed_when_it_cancels(world: HandlerWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next cancel is journalled, and never sent; a minute and a half pass."""

    def kill(_broker: AlpacaBroker, _order_id: str) -> None:
        raise Killed

    with monkeypatch.context() as context:
        context.setattr(AlpacaBroker, "cancel", kill)
        with pytest.raises(Killed):
            world.deliver(plan(buy("AAA", 1000)), seconds=60)
    world.restart()
    world.delete_idempotency_records()
    world.advance(90)


def test_a_cancel_that_died_with_its_run_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_world(fills=[NEVER]) as world:
        killed_when_it_cancels(world, monkeypatch)

        result = world.deliver(plan(buy("AAA", 1000)), seconds=60)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert [order["status"] for order in world.orders] == ["canceled", "filled"]


def test_a_cancel_that_died_with_every_earlier_run_is_carried_out_by_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_world(fills=[NEVER], config={"max_runs": 6}) as world:
        for _ in range(5):
            killed_when_it_cancels(world, monkeypatch)

        result = world.deliver(plan(buy("AAA", 1000)), seconds=60)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert [order["status"] for order in world.orders] == ["canceled", "filled"]


def test_what_was_filled_while_nobody_looked_is_not_bought_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_world(fills=[{"symbol": "AAA", "behaviour": "later", "after_seconds": 40}]) as world:
        killed_when_it_waits(world, monkeypatch)
        world.advance(90)

        result = world.deliver(plan(buy("AAA", 1000)), seconds=60)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert len(world.orders) == 1
        assert world.log_lines("plan.resumed")


def test_a_broker_that_falls_silent_is_asked_again_by_the_next_delivery() -> None:
    down = {"kind": "status", "status": 503, "method": "GET", "path": "/v2/orders", "count": 4}
    with a_world(positions={"AAA": "10"}, fills=[NEVER], faults=[down | {"nth": 2}]) as world:
        with pytest.raises(BrokerUnavailable):
            world.deliver(plan(exit_of("AAA"), buy("BBB", 1000)))

        assert outcomes(world.deliver(plan(exit_of("AAA"), buy("BBB", 1000))))["BBB"] == ("FILLED", None)


def test_a_plan_is_not_resumed_on_another_account() -> None:
    with a_world(fills=[NEVER], config={"child_wait_seconds": 30}) as world:
        with pytest.raises(PlanYielded):
            world.deliver(plan(buy("AAA", 1000)), seconds=10)
        world.broker.change({"account": {"account_number": "PA9999999999"}})

        with pytest.raises(ConfigurationError, match="account_number"):
            world.deliver(plan(buy("AAA", 1000)), seconds=10)


def test_a_market_that_closes_meanwhile_ends_the_plan_with_what_it_has() -> None:
    parts = {"symbol": "AAA", "behaviour": "parts", "parts": [{"fraction": "0.5"}]}
    with a_world(fills=[parts], whole_shares=["AAA"], config={"child_wait_seconds": 30}) as world:
        with pytest.raises(PlanYielded):
            world.deliver(plan(buy("AAA", 1005)), seconds=10)
        world.broker.change({"clock": {"sessions": "always_closed"}})

        result = world.deliver(plan(buy("AAA", 1005)), seconds=10)

        assert outcomes(result) == {"AAA": ("PARTIALLY_FILLED", "MARKET_CLOSED")}
        assert result["orders"][0]["shares"] == "5"


def test_runs_are_counted_and_end() -> None:
    with a_world(
        default_fill={"behaviour": "never"}, config={"child_wait_seconds": 30, "max_runs": 6, "max_children": 50}
    ) as world:
        for _ in range(6):
            with pytest.raises(PlanYielded):
                world.deliver(plan(buy("AAA", 1000)), seconds=10)

        result = world.deliver(plan(buy("AAA", 1000)), seconds=10)

        assert outcomes(result) == {"AAA": ("UNFILLED", "TOO_MANY_RUNS")}
        assert {order["status"] for order in world.orders} == {"canceled"}


@pytest.mark.parametrize(
    ("account", "code"),
    [({"account_blocked": True}, "ACCOUNT_BLOCKED"), ({"trade_suspended_by_user": True}, "ACCOUNT_BLOCKED")],
)
def test_nothing_is_sent_for_an_account_that_may_not_trade(account: dict[str, object], code: str) -> None:
    with a_world(account=account) as world:
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("DENIED", code)}
        assert (result["success"], world.orders) == (False, [])


def test_nothing_is_sent_while_the_market_is_closed() -> None:
    with a_world(sessions="always_closed") as world:
        assert outcomes(world.deliver(plan(buy("AAA", 1000)))) == {"AAA": ("DENIED", "MARKET_CLOSED")}
        assert world.orders == []


def test_a_stop_between_sells_and_buys_waits_for_the_proceeds_once() -> None:
    lag = {"proceeds_lag_seconds": 12}
    with a_world(cash="0", positions={"AAA": "10"}, account=lag) as world:
        with pytest.raises(PlanYielded, match="proceeds"):
            world.deliver(plan(exit_of("AAA"), buy("BBB", 900)), seconds=10)

        result = world.deliver(plan(exit_of("AAA"), buy("BBB", 900)), seconds=10)

        assert outcomes(result) == {"AAA": ("FILLED", None), "BBB": ("FILLED", None)}
