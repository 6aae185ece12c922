"""Exhaustive sweeps: one story of three sells and three buys, interrupted at every call of the program to the outside.

``singles`` kills the program before and after every call of every run, ``pairs`` does it twice in every combination,
``yields`` lets the deadline come at every call, and once more at every later one, or the kill in the middle of a
yield. However it is interrupted, the story must end like the undisturbed one: same positions, same cash, same result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from rebalance_executor.domain.errors import OverfillGuard
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.testkit.draw import item, plan, steady_config
from rebalance_executor.testkit.faults import KILLS, Crossing, Fault
from rebalance_executor.testkit.invariants import Violation
from rebalance_executor.testkit.world import World

Script = Mapping[int, Fault]
"""Number of the call, over all runs → what happens there."""

_SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF")
_MOST_DELIVERIES = 6
_LEASE_LASTS = timedelta(seconds=700)
_APART = timedelta(seconds=1.5)


class Sweep(StrEnum):
    """What is tried."""

    SINGLES = "singles"
    PAIRS = "pairs"
    YIELDS = "yields"


class Story(StrEnum):
    """How the broker fills the six orders."""

    AT_ONCE = "at-once"
    RESTS = "rests"
    """The first order of each symbol fills in part and rests: it is cancelled and priced anew."""


_PARTLY = [{"symbol": symbol, "nth": 1, "behaviour": "parts", "parts": [{"fraction": 0.4}]} for symbol in _SYMBOLS]


def live_through(story: Story, script: Script) -> World:
    """The story with these interruptions, delivered again until it has its result.

    Raises:
        Violation: a promise was broken, or it took too many deliveries.
    """
    world = World(_scenario(story), steady_config(), Crossing(script=script))
    event = plan("plan-1", [item(s, "SELL" if n < 3 else "BUY", 1000) for n, s in enumerate(_SYMBOLS)])
    for _ in range(_MOST_DELIVERIES):
        delivery = world.deliver(event)
        if delivery.answer is not None:
            world.watch.answered(delivery.answer)
            world.watch.end()
            return world
        if isinstance(delivery.error, OverfillGuard):
            raise Violation(f"the program had to stop itself: {delivery.error}")
        world.clock.sleep(_LEASE_LASTS if delivery.was_killed else _APART)
    raise Violation(f"not finished after {_MOST_DELIVERIES} deliveries")


def _scenario(story: Story) -> dict[str, Any]:
    return {
        "account": {"cash": "500"},
        "clock": {"sessions": "always_open"},
        "assets": [{"symbol": symbol} for symbol in _SYMBOLS],
        "quotes": {symbol: {"bid": "99.99", "ask": "100.01"} for symbol in _SYMBOLS},
        "positions": [{"symbol": symbol, "qty": "40"} for symbol in _SYMBOLS[:3]],
        "fills": _PARTLY if story is Story.RESTS else [],
    }


@dataclass(frozen=True, slots=True)
class Ending:
    """What a story leaves behind."""

    calls: int
    positions: Mapping[str, str]
    cash: str
    outcomes: tuple[Outcome, ...]

    @classmethod
    def of(cls, world: World) -> Ending:
        """How this one ended."""
        (result,) = world.watch.results.values()
        held = {position["symbol"]: position["qty"] for position in world.exchange.positions()}
        outcomes = tuple(order.outcome for order in result.orders)
        return cls(world.crossing.calls, held, world.exchange.account()["cash"], outcomes)


@cache
def undisturbed(story: Story) -> Ending:
    """How the story ends when nothing interrupts it."""
    ending = Ending.of(live_through(story, {}))
    if set(ending.outcomes) != {Outcome.FILLED}:
        raise Violation(f"undisturbed, the story ends as {ending.outcomes}")
    return ending


def check(story: Story, script: Script) -> World:
    """Live through it and compare its end with the undisturbed one."""
    world = live_through(story, script)
    ending, wanted = Ending.of(world), undisturbed(story)
    if (ending.positions, ending.cash, ending.outcomes) != (wanted.positions, wanted.cash, wanted.outcomes):
        raise Violation(f"ended as {ending}, undisturbed as {wanted}")
    return world


def firsts(sweep: Sweep, story: Story) -> Iterator[Script]:
    """Every single interruption of the first run."""
    kinds = (Fault.DEADLINE,) if sweep is Sweep.YIELDS else KILLS
    for number in range(1, undisturbed(story).calls + 1):
        for kind in kinds:
            yield {number: kind}


def seconds(sweep: Sweep, first: Script, calls: int) -> Iterator[Script]:
    """Every second interruption after a first one, whose story took so many calls; none for single ones."""
    if sweep is Sweep.SINGLES:
        return
    kinds = (Fault.DEADLINE, *KILLS) if sweep is Sweep.YIELDS else KILLS
    for number in range(max(first) + 1, calls + 1):
        for kind in kinds:
            yield {**first, number: kind}
