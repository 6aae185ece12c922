"""A plan of 100 items, ten of them many times the displayed size: within the rate limit, and finished."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_simulation.faults import Fault, FaultInjector, Situation
from rebalance_simulation.generators import item, plan
from rebalance_simulation.queue import LEASE_EXPIRY
from rebalance_simulation.world import World

SYMBOLS = [f"S{number:02d}" for number in range(100)]
LARGE = SYMBOLS[::10]
SOLD = LARGE[:5]
ONE_TICK = {"bid": "100.00", "ask": "100.01", "bid_size": 1000, "ask_size": 1000, "volume": 1_000_000}
SMALL = ONE_TICK | {"bid_size": 10, "ask_size": 10}
"""A large order has 200 shares: 20 times the displayed size."""
ITEMS = [
    item(s, "SELL", 20_000, is_exit=True) if s in SOLD else item(s, "BUY", 20_000 if s in LARGE else 500)
    for s in SYMBOLS
]
PLAN = plan("plan-1", ITEMS, total_portfolio_value="1000000")


def large_world(minutes: int, faults: FaultInjector | None = None) -> World:
    """Return a world with one-tick spreads, whose broker keeps the program's default rate limit and tick."""
    scenario = {
        "account": {"cash": "200000"},
        "clock": {"sessions": "always_open"},
        "quotes": {symbol: SMALL if symbol in LARGE else ONE_TICK for symbol in SYMBOLS},
        "positions": [{"symbol": symbol, "qty": "200"} for symbol in SOLD],
    }
    config = ExecutionConfig(slice_minutes=Decimal(minutes))
    return World(scenario, config, faults or FaultInjector(), parents_per_transaction=40)


def outcomes(world: World) -> Counter[str]:
    (result,) = world.checker.results.values()
    return Counter(order.outcome for order in result.orders)


@pytest.mark.parametrize("minutes", [3, 10])
def test_plan_of_100_items_with_10_large_ones_keeps_the_rate_limit_and_finishes(minutes: int) -> None:
    """More than 200 requests within a minute would be a violation."""
    world = large_world(minutes)
    while world.deliver(PLAN, seconds=900).answer is None:
        assert world.deliveries < 3

    assert outcomes(world) == {"FILLED": 100}
    assert world.event_counts[Situation.SLICE] >= 3 * len(LARGE)
    assert world.event_counts[Situation.JOIN] >= 80
    world.checker.check_end()


def test_plan_of_100_items_finishes_after_a_kill_between_its_slices() -> None:
    world = large_world(3, FaultInjector(script={400: Fault.KILL_BEFORE}))
    assert world.deliver(PLAN, seconds=600).was_killed
    world.clock.advance(LEASE_EXPIRY)
    while world.deliver(PLAN, seconds=900).answer is None:
        assert world.deliveries < 4

    assert outcomes(world) == {"FILLED": 100}
    world.checker.check_end()
