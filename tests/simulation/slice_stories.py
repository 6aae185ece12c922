"""Stories of orders that are worked in slices, keep filling, are below one share, or are displayed in part."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import Destination
from rebalance_simulation.config_generator import steady_config
from rebalance_simulation.faults import SUBMIT, Fault
from rebalance_simulation.generators import item, plan
from rebalance_simulation.queue import LEASE_EXPIRY
from rebalance_simulation.world import World
from tests.simulation.bug_stories import margin_world

_TEN_DISPLAYED = {"bid": "99.99", "ask": "100.01", "bid_size": 2, "ask_size": 2, "volume": 10_000_000}


def config(style: str = "marketable_limit", **changes: Any) -> ExecutionConfig:
    """Return steady settings with four slices of half a minute each, and these changes."""
    slices = {"slice_minutes": Decimal(2), "slice_seconds": Decimal(30), "last_rung_seconds": Decimal(4)}
    return steady_config(style).model_copy(update=slices | changes)


def large_sell(settings: ExecutionConfig, seconds: float = 600, **scenario: Any) -> World:
    """Return a world before a sell of 20 shares, ten times the displayed size, with the first delivery of its plan."""
    market = {"quotes": {"AAA": _TEN_DISPLAYED}, "positions": [{"symbol": "AAA", "qty": "20"}]}
    world = margin_world(config=settings, **(market | scenario))
    deliver(world, seconds)
    return world


def deliver(world: World, seconds: float = 600) -> None:
    """Deliver the plan that sells all of AAA."""
    world.deliver(plan("plan-1", [item("AAA", "SELL", 2000, is_exit=True)]), seconds)


def run_yields_between_two_slices() -> World:
    """End the first run between two slices; the second one starts when all of them are due."""
    world = large_sell(config(slice_seconds=Decimal(10)), seconds=60)
    world.clock.advance(LEASE_EXPIRY)
    deliver(world)
    return world


def run_is_killed_as_it_sends_a_slice() -> World:
    """Kill the first run as it has sent the second slice."""
    world = margin_world(config=config(), quotes={"AAA": _TEN_DISPLAYED}, positions=[{"symbol": "AAA", "qty": "20"}])
    kill = {SUBMIT: [Fault.KILL_AFTER]}
    world.clock.call_later(timedelta(seconds=20), lambda: world.faults.queued.update(kill))
    deliver(world)
    world.clock.advance(LEASE_EXPIRY)
    deliver(world)
    return world


def order_fills_in_pieces() -> World:
    """Fill an order that is not large in pieces, with pauses shorter than the last rung."""
    quote = _TEN_DISPLAYED | {"bid_size": 4, "ask_size": 4}
    pieces = {"behaviour": "marketable", "displayed_seconds": 4}
    return large_sell(config("ladder", last_rung_seconds=Decimal(10)), quotes={"AAA": quote}, default_fill=pieces)


def order_is_below_one_share() -> World:
    """Buy half a share in a wide spread."""
    quotes = {"AAA": {"bid": "99.50", "ask": "100.50"}}
    world = margin_world(config=config("ladder"), quotes=quotes)
    world.deliver(plan("plan-1", [item("AAA", "BUY", 50)]))
    return world


def limit_is_displayed_in_part() -> World:
    """Sell 150 shares, of which the exchange displays 100, and then the rest of a part fill."""
    display = {"display_qty": Decimal(100), "display_destination": Destination.NASDAQ}
    parts = {"symbol": "AAA", "nth": 1, "behaviour": "parts", "parts": [{"fraction": 0.5}]}
    held = [{"symbol": "AAA", "qty": "150"}]
    quotes = {"AAA": {"bid": "99.99", "ask": "100.01"}}
    world = margin_world(config=config("ladder", **display), positions=held, quotes=quotes, fills=[parts])
    world.deliver(plan("plan-1", [item("AAA", "SELL", 15000, is_exit=True)]))
    return world


def large_order_climbs_in_every_slice() -> World:
    """Let the ladder of every slice end at the far touch, with few child orders per slice."""
    return large_sell(config("ladder", max_children=2))


def volume_is_small() -> World:
    """Sell 20 shares where a tenth of the average volume is a share in ten seconds."""
    return large_sell(config(), quotes={"AAA": _TEN_DISPLAYED | {"volume": 23_400}})


SLICE_STORIES: dict[str, Callable[[], World]] = {
    "all slices are due at once": lambda: large_sell(config()),
    "slices start again in every run": run_yields_between_two_slices,
    "a slice is sent again after a kill": run_is_killed_as_it_sends_a_slice,
    "a horizon is shortened without a remark": lambda: large_sell(config(), seconds=60),
    "the participation limit is ignored": volume_is_small,
    "a large order has the child orders of a small one": large_order_climbs_in_every_slice,
    "an order that keeps filling is overdue": order_fills_in_pieces,
    "an order below one share rests at the near side": order_is_below_one_share,
    "more is displayed than the order has": limit_is_displayed_in_part,
}
"""By name of the bug: a story that the program without bugs survives."""
