"""Exhaustive sweeps: one plan of sells and buys, interrupted at every external call.

``singles`` kills the program before and after every call of every run. ``pairs`` does so twice, in every combination.
``yields`` reaches the deadline at every call, and again, or a kill, at every later one. ``interruptions`` delivers the
plan once more at every call, while the run waits or is frozen until another run takes its lease, with the idempotency
records deleted. ``answers`` gives every call every wrong answer: none, lost, late, throttled, repeated, rejected,
unreadable. After every interruption the story must end like the uninterrupted one: same positions, same cash, same
outcomes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any

from rebalance_executor.domain.errors import LeaseHeld, OverfillGuard
from rebalance_executor.domain.orders import Outcome
from rebalance_simulation.clock import START
from rebalance_simulation.config_generator import steady_config
from rebalance_simulation.faults import KILLS, WRONG_ANSWERS, Fault, FaultInjector, possible_faults
from rebalance_simulation.generators import item, plan
from rebalance_simulation.invocation import Delivery
from rebalance_simulation.queue import DELIVERY_GAP, LEASE_EXPIRY, MAX_DELIVERIES
from rebalance_simulation.violation import Violation
from rebalance_simulation.world import World

Script = Mapping[int, Fault]
"""Faults by number of the call, counted over all runs."""

_SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF")


class Sweep(StrEnum):
    """The kind of interruptions that a sweep tries."""

    SINGLES = "singles"
    PAIRS = "pairs"
    YIELDS = "yields"
    INTERRUPTIONS = "interruptions"
    ANSWERS = "answers"


class Story(StrEnum):
    """A variant of how large the orders are, and how the broker fills them."""

    AT_ONCE = "at-once"
    """Immediate fills."""
    RESTS = "rests"
    """A first order per symbol that fills in part and rests until its cancel; a second one that fills the remainder."""
    LADDER = "ladder"
    """A climb on the ladder per order, from the near touch to the far touch."""
    SLICES = "slices"
    """A sell and a buy many times the displayed size, worked in slices over two short runs, and two whole ones."""
    CLOSE = "close"
    """Sells and buys in the closing auction, with enough cash, and a sell that is worked before it."""


_SLICED = ("AAA", "FFF")
_WHOLE = ("BBB", "EEE")
_SHORT_RUN = 60
"""Seconds of the invocations of ``Story.SLICES``."""
_IN_SLICES: Mapping[str, object] = {"slice_minutes": Decimal(1), "slice_seconds": Decimal(12)}
_PARTLY = [{"symbol": symbol, "nth": 1, "behaviour": "parts", "parts": [{"fraction": 0.4}]} for symbol in _SYMBOLS]


def world_of(story: Story, script: Script) -> World:
    """Return the story's world before its first delivery, with these faults to come."""
    style = "ladder" if story is Story.LADDER else "marketable_limit"
    config = steady_config(style).model_copy(update=_IN_SLICES if story is Story.SLICES else {})
    return World(_scenario(story), config, FaultInjector(script=script), _start(story))


def _start(story: Story) -> datetime:
    """Return when the story starts: two hours before the close, so that every delivery is before the cut-off."""
    return START + timedelta(hours=4) if story is Story.CLOSE else START


def run_story(story: Story, script: Script, world: World | None = None) -> World:
    """Run the story with these faults: deliver its plan until it has its result.

    Raises:
        Violation: an invariant was broken, or the plan took too many deliveries.
    """
    world = world or world_of(story, script)
    symbols = (*_SLICED, *_WHOLE) if story is Story.SLICES else _SYMBOLS
    items = [item(s, "SELL" if s in _SYMBOLS[:3] else "BUY", 1000) for s in sorted(symbols)]
    event = plan("plan-1", items, _start(story))
    if story is Story.CLOSE:
        items[0]["execution_style"] = "work"
        event["execution_style"] = "market_on_close"
    timeout = _SHORT_RUN if story is Story.SLICES else 600

    def deliver_again() -> None:
        world.records.stored.clear()
        delivery = world.deliver(event, timeout)
        if delivery.answer is not None and not _awaits_auction(delivery):
            world.checker.check_answer(delivery.answer)

    world.on_interrupt = deliver_again
    for _ in range(MAX_DELIVERIES):
        delivery = world.deliver(event, timeout)
        if delivery.answer is not None and _awaits_auction(delivery):
            retry_at = datetime.fromisoformat(delivery.answer["retry_at"])
            world.clock.advance(max(DELIVERY_GAP, retry_at - world.clock.now()))
            continue
        if delivery.answer is not None:
            world.checker.check_answer(delivery.answer)
            world.checker.check_end()
            return world
        if isinstance(delivery.error, OverfillGuard):
            raise Violation(f"the overfill guard stopped the program: {delivery.error}")
        # a killed run, or one whose release got no answer, holds the lease until its invocation would have ended
        is_held = delivery.was_killed or isinstance(delivery.error, LeaseHeld)
        world.records.keep_claims()
        world.clock.advance(LEASE_EXPIRY if is_held else DELIVERY_GAP)
    raise Violation(f"not finished after {MAX_DELIVERIES} deliveries")


def _awaits_auction(delivery: Delivery) -> bool:
    return delivery.answer is not None and delivery.answer["status"] == "in_progress"


def _scenario(story: Story) -> dict[str, Any]:
    displayed = {"bid_size": 1, "ask_size": 1} if story is Story.SLICES else {}
    return {
        "account": {"cash": "5000" if story is Story.CLOSE else "500"},
        "clock": {"sessions": "nyse" if story is Story.CLOSE else "always_open"},
        "assets": [{"symbol": symbol} for symbol in _SYMBOLS],
        "quotes": {
            symbol: {"bid": "99.99", "ask": "100.01", **(displayed if symbol in _SLICED else {})} for symbol in _SYMBOLS
        },
        "positions": [{"symbol": symbol, "qty": "40"} for symbol in _SYMBOLS[:3]],
        "default_fill": {"behaviour": "marketable", **({"displayed_seconds": 1} if displayed else {})},
        "fills": _PARTLY if story is Story.RESTS else [],
    }


_FIRST_FAULTS = {
    Sweep.YIELDS: (Fault.DEADLINE,),
    Sweep.INTERRUPTIONS: (Fault.INTERRUPT, Fault.ZOMBIE),
    Sweep.ANSWERS: (
        Fault.NO_ANSWER,
        Fault.LOST_ANSWER,
        Fault.THROTTLED,
        Fault.REPEATED,
        Fault.LATE,
        Fault.HIDDEN,
        *WRONG_ANSWERS,
        Fault.BAD_ASSET,
        Fault.NO_CANCEL,
        Fault.CACHE_DENIED,
    ),
}


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a story."""

    call_names: tuple[str, ...]
    """All external calls, in order."""
    positions: Mapping[str, str]
    cash: str
    outcomes: tuple[Outcome, ...]

    @classmethod
    def of(cls, world: World) -> Ending:
        """Return the end of the story that ran in this world."""
        (result,) = world.checker.results.values()
        positions = {position["symbol"]: position["qty"] for position in world.exchange.positions()}
        outcomes = tuple(order.outcome for order in result.orders)
        return cls(tuple(world.faults.call_names), positions, world.exchange.account()["cash"], outcomes)


@cache
def undisturbed(story: Story) -> Ending:
    """Return the end of the story without faults.

    Raises:
        Violation: an item is not filled.
    """
    ending = Ending.of(run_story(story, {}))
    if set(ending.outcomes) != {Outcome.FILLED}:
        raise Violation(f"without faults the story ends as {ending.outcomes}")
    return ending


def check(story: Story, script: Script, world: World | None = None) -> World:
    """Run the story with these faults and compare its end with the one without faults.

    Raises:
        Violation: an invariant was broken, or the ends differ.
    """
    world = run_story(story, script, world)
    ending, expected = Ending.of(world), undisturbed(story)
    if (ending.positions, ending.cash, ending.outcomes) != (expected.positions, expected.cash, expected.outcomes):
        raise Violation(f"ended as {ending}, without faults as {expected}")
    return world


def firsts(sweep: Sweep, story: Story) -> Iterator[Script]:
    """Yield one script for every possible first interruption of the story."""
    kinds = _FIRST_FAULTS.get(sweep, KILLS)
    for number, name in enumerate(undisturbed(story).call_names, 1):
        for kind in kinds:
            if kind in possible_faults(name):
                yield {number: kind}


def second_interruptions(sweep: Sweep, first: Script, calls: int) -> Iterator[Script]:
    """Yield one script for every second interruption after a first one. Only pairs and yields have a second one.

    Args:
        sweep: the kind of sweep.
        first: script of the first interruption.
        calls: number of calls that the story took with ``first``.
    """
    if sweep not in (Sweep.PAIRS, Sweep.YIELDS):
        return
    kinds = (Fault.DEADLINE, *KILLS) if sweep is Sweep.YIELDS else KILLS
    for number in range(max(first) + 1, calls + 1):
        for kind in kinds:
            yield {**first, number: kind}
