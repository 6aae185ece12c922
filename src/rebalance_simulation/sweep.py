"""Exhaustive sweeps: one story of three sells and three buys, interrupted at every call of the program to the outside.

``singles`` kills the program before and after every call of every run, ``pairs`` does it twice in every combination,
``yields`` lets the deadline come at every call, and once more at every later one, or the kill in the middle of a
yield. ``interruptions`` delivers the plan once more at every call, while the run waits or is frozen until another
took its lease, with nothing left at the front door to stop it. ``answers`` lets each call have every answer but the
right one: none, late, lost, busy, repeated, refused, unreadable. However it is interrupted, the story must end like the
undisturbed one: same positions, same cash, same result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from rebalance_executor.domain.errors import LeaseHeld, OverfillGuard, PlanInProgress
from rebalance_executor.domain.orders import Outcome
from rebalance_simulation.config_generator import steady_config
from rebalance_simulation.faults import KILLS, Fault, FaultInjector, possible
from rebalance_simulation.generators import item, plan
from rebalance_simulation.invariants import Violation
from rebalance_simulation.queue import APART, LEASE_LASTS, MOST_DELIVERIES
from rebalance_simulation.world import World

Script = Mapping[int, Fault]
"""Number of the call, over all runs → what happens there."""

_SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF")


class Sweep(StrEnum):
    """What is tried."""

    SINGLES = "singles"
    PAIRS = "pairs"
    YIELDS = "yields"
    INTERRUPTIONS = "interruptions"
    ANSWERS = "answers"


class Story(StrEnum):
    """How the broker fills the six orders."""

    AT_ONCE = "at-once"
    RESTS = "rests"
    """The first order of each symbol fills in part and rests: it is cancelled and priced anew."""
    LADDER = "ladder"
    """Every order climbs its ladder from its own side of the spread to the other one."""


_PARTLY = [{"symbol": symbol, "nth": 1, "behaviour": "parts", "parts": [{"fraction": 0.4}]} for symbol in _SYMBOLS]


def world_of(story: Story, script: Script) -> World:
    """The story's world as it begins, with these interruptions to come."""
    style = "ladder" if story is Story.LADDER else "marketable_limit"
    return World(_scenario(story), steady_config(style), FaultInjector(script=script))


def live_through(story: Story, script: Script, world: World | None = None) -> World:
    """The story with these interruptions, delivered again until it has its result.

    Raises:
        Violation: a promise was broken, or it took too many deliveries.
    """
    world = world or world_of(story, script)
    event = plan("plan-1", [item(s, "SELL" if n < 3 else "BUY", 1000) for n, s in enumerate(_SYMBOLS)])

    def deliver_again() -> None:
        world.records.stored.clear()
        delivery = world.deliver(event)
        if delivery.answer is not None:
            world.checker.answered(delivery.answer)

    world.between = deliver_again
    for _ in range(MOST_DELIVERIES):
        delivery = world.deliver(event)
        if delivery.answer is not None:
            world.checker.answered(delivery.answer)
            world.checker.end()
            return world
        if isinstance(delivery.error, OverfillGuard):
            raise Violation(f"the program had to stop itself: {delivery.error}")
        # what a run took and got no answer to is held until its invocation would have ended
        is_held = delivery.was_killed or isinstance(delivery.error, PlanInProgress | LeaseHeld)
        world.clock.sleep(LEASE_LASTS if is_held else APART)
    raise Violation(f"not finished after {MOST_DELIVERIES} deliveries")


def _scenario(story: Story) -> dict[str, Any]:
    return {
        "account": {"cash": "500"},
        "clock": {"sessions": "always_open"},
        "assets": [{"symbol": symbol} for symbol in _SYMBOLS],
        "quotes": {symbol: {"bid": "99.99", "ask": "100.01"} for symbol in _SYMBOLS},
        "positions": [{"symbol": symbol, "qty": "40"} for symbol in _SYMBOLS[:3]],
        "fills": _PARTLY if story is Story.RESTS else [],
    }


_FIRST = {
    Sweep.YIELDS: (Fault.DEADLINE,),
    Sweep.INTERRUPTIONS: (Fault.INTERRUPT, Fault.ZOMBIE),
    Sweep.ANSWERS: (
        Fault.NO_ANSWER,
        Fault.LOST_ANSWER,
        Fault.THROTTLED,
        Fault.REPEATED,
        Fault.LATE,
        Fault.HIDDEN,
        Fault.RATE_LIMIT,
        Fault.SERVER_ERROR,
        Fault.HTML,
        Fault.GARBLED,
        Fault.UNAUTHORIZED,
    ),
}


@dataclass(frozen=True, slots=True)
class Ending:
    """What a story leaves behind."""

    names: tuple[str, ...]
    """Its calls, in order."""
    positions: Mapping[str, str]
    cash: str
    outcomes: tuple[Outcome, ...]

    @classmethod
    def of(cls, world: World) -> Ending:
        """How this one ended."""
        (result,) = world.checker.results.values()
        held = {position["symbol"]: position["qty"] for position in world.exchange.positions()}
        outcomes = tuple(order.outcome for order in result.orders)
        return cls(tuple(world.faults.names), held, world.exchange.account()["cash"], outcomes)


@cache
def undisturbed(story: Story) -> Ending:
    """How the story ends when nothing interrupts it."""
    ending = Ending.of(live_through(story, {}))
    if set(ending.outcomes) != {Outcome.FILLED}:
        raise Violation(f"undisturbed, the story ends as {ending.outcomes}")
    return ending


def check(story: Story, script: Script, world: World | None = None) -> World:
    """Live through it and compare its end with the undisturbed one."""
    world = live_through(story, script, world)
    ending, wanted = Ending.of(world), undisturbed(story)
    if (ending.positions, ending.cash, ending.outcomes) != (wanted.positions, wanted.cash, wanted.outcomes):
        raise Violation(f"ended as {ending}, undisturbed as {wanted}")
    return world


def firsts(sweep: Sweep, story: Story) -> Iterator[Script]:
    """Every single interruption of the first run."""
    kinds = _FIRST.get(sweep, KILLS)
    for number, name in enumerate(undisturbed(story).names, 1):
        for kind in kinds:
            if kind in possible(name):
                yield {number: kind}


def seconds(sweep: Sweep, first: Script, calls: int) -> Iterator[Script]:
    """Every second interruption after a first one, whose story took so many calls; none for single ones."""
    if sweep not in (Sweep.PAIRS, Sweep.YIELDS):
        return
    kinds = (Fault.DEADLINE, *KILLS) if sweep is Sweep.YIELDS else KILLS
    for number in range(max(first) + 1, calls + 1):
        for kind in kinds:
            yield {**first, number: kind}
