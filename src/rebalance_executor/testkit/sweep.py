"""Exhaustive: one plan of three sells and three buys, interrupted at every single call, and at every pair of calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import InvalidInput, Redeliver
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.testkit.faults import Crossing, Fault
from rebalance_executor.testkit.history import MOST_DELIVERIES, item, plan
from rebalance_executor.testkit.invariants import Violation
from rebalance_executor.testkit.world import World

KILLS = (Fault.KILL_BEFORE, Fault.KILL_AFTER)
SELLS, BUYS = ("AAA", "BBB", "CCC"), ("DDD", "EEE", "FFF")
PLAN = plan("swept", [item(s, "SELL", "500", "1000") for s in SELLS] + [item(s, "BUY", "400", "0") for s in BUYS])
_SCENARIO: dict[str, Any] = {
    "account": {"cash": "100"},
    "clock": {"sessions": "always_open"},
    "quotes": {symbol: {"bid": "99.99", "ask": "100.01"} for symbol in (*SELLS, *BUYS)},
    "positions": [{"symbol": symbol, "qty": "10"} for symbol in SELLS],
    # One rests and is cancelled half filled, one fills late, the others at once: every kind of step is in the story.
    "fills": [
        {"symbol": "AAA", "nth": 1, "behaviour": "parts", "parts": [{"fraction": 0.5}], "cancel_seconds": 1},
        {"symbol": "DDD", "behaviour": "later", "after_seconds": 3},
    ],
}
_CONFIG = ExecutionConfig.model_validate(
    {
        "order_style": "marketable_limit",
        "child_wait_seconds": 4,
        "tick_seconds": 2,
        "max_plan_age_minutes": 600,
        "arrival_horizon_seconds": 40,
        "previous_close_collar": "10",
    }
)


@dataclass(frozen=True, slots=True)
class Swept:
    """One way through the plan."""

    calls: list[str]
    result: ExecutionResult


def live(script: Mapping[int, Fault], *, seconds: float = 600) -> Swept:
    """The plan from its first delivery to its result, with these faults at these calls.

    Raises:
        Violation: a promise was broken, or more deliveries were needed than two kills explain.
    """
    crossing = Crossing(None, script=script or {-1: Fault.KILL_BEFORE})
    world = World(_SCENARIO, _CONFIG, crossing)
    world.between = lambda: _come_again(world)
    allowed = MOST_DELIVERIES + len(script)
    for _ in range(allowed):
        delivery = world.deliver(PLAN, seconds)
        if delivery.answer is not None:
            result = ExecutionResult.model_validate(delivery.answer)
            world.watch.answered(result)
            again = world.deliver(PLAN, seconds)
            if again.answer is not None:
                world.watch.answered(ExecutionResult.model_validate(again.answer))
            return Swept(crossing.names, result)
        if delivery.error is not None and (
            isinstance(delivery.error, InvalidInput) or not isinstance(delivery.error, Redeliver)
        ):
            raise Violation(f"{script}: {delivery.error}")
        world.clock.sleep(timedelta(seconds=seconds + 30))
    raise Violation(f"{script}: not finished after {allowed} deliveries")


def _come_again(world: World) -> None:
    """The same plan once more while a run of it is under way, with nothing left at the front door to stop it."""
    world.records.stored.clear()
    delivery = world.deliver(PLAN)
    if delivery.answer is not None:
        world.watch.answered(ExecutionResult.model_validate(delivery.answer))


def interruptions() -> Iterator[dict[int, Fault]]:
    """Another delivery of the same plan at every call: while the run waits, and while it is frozen until others took
    over. A submission under way is left out for the latter: that one lands late, and the lease outlasts it."""
    for call, name in enumerate(live({}).calls, start=1):
        yield {call: Fault.INTERRUPT}
        if name != "broker.submit":
            yield {call: Fault.ZOMBIE}


def singles() -> Iterator[dict[int, Fault]]:
    """A kill before and after every call."""
    for call in range(1, len(live({}).calls) + 1):
        for kill in KILLS:
            yield {call: kill}


def pairs() -> Iterator[dict[int, Fault]]:
    """Every pair of kills: the second at every call of the runs that follow the first."""
    for first in singles():
        (call,) = first
        for second in range(call + 1, len(live(first).calls) + 1):
            for kill in KILLS:
                yield first | {second: kill}


def yields() -> Iterator[float]:
    """Every deadline at which a run stops safely, a fifth of a second apart: seconds of each invocation."""
    whole = 30
    for tenths in range(20, whole * 10, 2):
        yield tenths / 10


def check_yield(seconds: float) -> Swept:
    """The plan with invocations of ``seconds`` until it is done, and only then with long ones."""
    crossing = Crossing(None, script={-1: Fault.KILL_BEFORE})
    world = World(_SCENARIO, _CONFIG, crossing)
    for attempt in range(MOST_DELIVERIES + 2):
        delivery = world.deliver(PLAN, seconds if attempt < MOST_DELIVERIES else 600)
        if delivery.answer is not None:
            result = ExecutionResult.model_validate(delivery.answer)
            world.watch.answered(result)
            return Swept(crossing.names, result)
        world.clock.sleep(timedelta(seconds=700))
    raise Violation(f"invocations of {seconds} s: not finished")
