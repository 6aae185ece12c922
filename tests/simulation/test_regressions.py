"""Defects that the simulation found, each as its shortest history."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest

from rebalance_simulation import sweep
from rebalance_simulation.config_generator import steady_config
from rebalance_simulation.environment import Environment
from rebalance_simulation.faults import Fault, FaultInjector
from rebalance_simulation.generators import Message, item, plan
from rebalance_simulation.queue import MessageQueue
from rebalance_simulation.sweep import Story
from rebalance_simulation.world import World

CANCEL = "broker DELETE /orders/{id}"


def numbers_of_calls(story: Story, name: str) -> list[int]:
    """Return the numbers of all calls of this name in the story without faults."""
    names = sweep.run_story(story, {}).faults.call_names
    return [number for number, call in enumerate(names, 1) if call == name]


@pytest.mark.parametrize("nth", [0, -1])
def test_next_run_sends_a_cancel_that_a_killed_run_journalled_and_never_sent(nth: int) -> None:
    """The next run used to wait for a cancel that was never sent, and left a live order behind as UNRESOLVED."""
    number = numbers_of_calls(Story.RESTS, CANCEL)[nth]

    sweep.check(Story.RESTS, {number: Fault.KILL_BEFORE})


def test_next_run_spends_only_the_cash_that_is_left_after_a_kill_within_a_write() -> None:
    """A plan too large for one transaction: its buys were journalled and not sent. The next run used to send these
    buys unchanged, although their cash had been spent elsewhere."""
    names = large_plan_world({}).faults.call_names
    second_batch = names.index("journal.write_batch") + 1
    world = large_plan_world({second_batch: Fault.KILL_AFTER})
    assert not list(world.checker.orders())
    world.exchange.merge({"account": {"cash": "150"}})  # another user spends the rest
    world.clock.advance(timedelta(seconds=700))

    answer = world.deliver(LARGE_PLAN).answer  # raises Violation if an invariant is broken

    assert answer is not None
    bought = sum(Decimal(order["trade_amount"]) for order in answer["orders"] if order["action"] == "BUY")
    assert Decimal(200) < bought <= Decimal(150) + 100  # the cash that is left, and the proceeds


def test_an_invalid_plan_delivered_during_an_interruption_does_not_end_the_interrupted_delivery() -> None:
    """Seed 14311: the queue of the simulation used to take the log line of the nested delivery for the outer one."""
    world = large_plan_world({})
    changed = Message("large", plan("large", [item("AAA", "BUY", 300)]), "sqs")
    interrupted = Message("next", plan("next", [item("AAA", "BUY", 100)]), "sqs")
    queue = MessageQueue(world, Environment(world, Random(0), []))  # noqa: S311 - reproducible on purpose
    script = world.faults.script = {len(world.faults.call_names) + 1: Fault.INTERRUPT}

    def interrupt() -> None:
        queue.deliver(changed, 60)
        script[len(world.faults.call_names) + 1] = Fault.THROTTLED  # ends the interrupted delivery

    world.on_interrupt = interrupt

    queue.deliver(interrupted, 60)

    assert changed.done
    assert not interrupted.done


LARGE_PLAN = plan("large", [item("DDD", "SELL", 100), *(item(symbol, "BUY", 300) for symbol in ("AAA", "BBB", "CCC"))])


def large_plan_world(script: dict[int, Fault]) -> World:
    """Return the world after the plan's first delivery: four parent orders, two per transaction."""
    scenario = {
        "account": {"cash": "1000"},
        "clock": {"sessions": "always_open"},
        "quotes": {symbol: {"bid": "99.99", "ask": "100.01"} for symbol in ("AAA", "BBB", "CCC", "DDD")},
        "positions": [{"symbol": "DDD", "qty": "5"}],
    }
    world = World(scenario, steady_config(), FaultInjector(script=script))
    world.deliver(LARGE_PLAN)
    return world
