"""What the simulation found in the program, each as its shortest history."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from rebalance_simulation import sweep
from rebalance_simulation.config_generator import steady_config
from rebalance_simulation.faults import Fault, FaultInjector
from rebalance_simulation.generators import item, plan
from rebalance_simulation.sweep import Story
from rebalance_simulation.world import World

CANCEL = "broker DELETE /orders/{id}"


def calls_of(story: Story, name: str) -> list[int]:
    """The numbers of these calls in the undisturbed story."""
    names = sweep.live_through(story, {}).faults.names
    return [number for number, told in enumerate(names, 1) if told == name]


@pytest.mark.parametrize("nth", [0, -1])
def test_given_a_run_killed_between_journalling_a_cancel_and_asking_for_it_then_the_next_run_asks(nth: int) -> None:
    """It used to wait for a cancel that nobody had asked for, and left a live order behind as UNRESOLVED."""
    before = calls_of(Story.RESTS, CANCEL)[nth]

    sweep.check(Story.RESTS, {before: Fault.KILL_BEFORE})


def test_given_a_run_killed_while_it_journals_its_gate_then_the_next_one_spends_only_what_is_left() -> None:
    """A plan too large for one transaction: its buys were journalled, the gate's budget was not. They used to be sent
    as they stood, though their money had gone elsewhere meanwhile."""
    undisturbed = large_plan({})
    second = [n for n, told in enumerate(undisturbed.faults.names, 1) if told == "journal.write_batch"][1]
    world = large_plan({second: Fault.KILL_AFTER})
    world.exchange.merge({"account": {"cash": "150"}})  # somebody else spends it
    world.clock.sleep(timedelta(seconds=700))

    answer = world.deliver(LARGE_PLAN).answer  # no promise is broken on the way

    assert answer is not None
    bought = sum(Decimal(order["trade_amount"]) for order in answer["orders"] if order["action"] == "BUY")
    assert Decimal(100) < bought <= Decimal(150)


LARGE_PLAN = plan("large", [item("DDD", "SELL", 100), *(item(symbol, "BUY", 300) for symbol in ("AAA", "BBB", "CCC"))])


def large_plan(script: dict[int, Fault]) -> World:
    """The world after its first delivery: four orders, two of which fit into a transaction."""
    scenario = {
        "account": {"cash": "1000"},
        "clock": {"sessions": "always_open"},
        "quotes": {symbol: {"bid": "99.99", "ask": "100.01"} for symbol in ("AAA", "BBB", "CCC", "DDD")},
        "positions": [{"symbol": "DDD", "qty": "5"}],
    }
    world = World(scenario, steady_config(), FaultInjector(script=script))
    world.deliver(LARGE_PLAN)
    return world
