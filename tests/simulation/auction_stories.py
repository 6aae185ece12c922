"""Stories of plans that wait for an auction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from rebalance_executor.domain.risk_state import KillSwitchRecord, TradingState
from rebalance_simulation.clock import START
from rebalance_simulation.config_generator import steady_config
from rebalance_simulation.faults import FaultInjector
from rebalance_simulation.generators import item, plan
from rebalance_simulation.world import World

_BEFORE_CLOSE = START + timedelta(minutes=340)
"""20 minutes before the close."""


def sell_at_the_close(**scenario: Any) -> World:
    """Return a world 20 minutes before the close, after the first delivery of a plan that sells in the auction."""
    market = {
        "account": {"cash": "5000"},
        "clock": {"sessions": "nyse"},
        "quotes": {"AAA": {"bid": "99.99", "ask": "100.01"}},
        "positions": [{"symbol": "AAA", "qty": "20"}],
    }
    world = World(market | scenario, steady_config(), FaultInjector(), _BEFORE_CLOSE)
    deliver(world)
    return world


def deliver(world: World) -> None:
    """Deliver the plan."""
    sale = item("AAA", "SELL", 2000, is_exit=True)
    world.deliver(plan("plan-1", [sale], _BEFORE_CLOSE, execution_style="market_on_close"))


def account_is_halted_after_the_cut_off() -> World:
    """Halt the account between the cut-off and the auction, and deliver the plan again."""
    world = sell_at_the_close()
    world.clock.advance(timedelta(minutes=12))
    record = KillSwitchRecord(TradingState.HALTED, by="Ada", reason="drill", at=world.clock.now())
    world.ledger.set_kill_switch("default", record)
    deliver(world)
    world.clock.advance(timedelta(minutes=9))
    deliver(world)
    return world


AUCTION_STORIES: dict[str, Callable[[], World]] = {
    "orders for an auction are canceled after its cut-off": account_is_halted_after_the_cut_off,
}
"""By name of the bug: a story that the program without bugs survives."""
