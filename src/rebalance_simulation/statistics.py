"""Counts of what was simulated, and the pieces of work that give them; pieces run in several processes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from rebalance_simulation import sweep
from rebalance_simulation.history import History, timeline
from rebalance_simulation.sweep import Script, Story, Sweep
from rebalance_simulation.workload import Cases
from rebalance_simulation.world import World

COMMAND = "python -m rebalance_simulation"
_MOST_TOLD = 10


@dataclass(frozen=True, slots=True)
class Failure:
    """One history in which a promise was broken."""

    replay: str
    """The command that plays it again."""
    problem: str
    timeline: str = ""
    """Of the first failure of each piece of work."""


@dataclass(slots=True)
class RunStats:
    """What some histories were like."""

    histories: int = 0
    happened: Counter[str] = field(default_factory=Counter)
    points: set[tuple[str, str]] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    deliveries: int = 0
    orders: int = 0
    seconds: float = 0.0
    """Of processor time."""
    failures: list[Failure] = field(default_factory=list)
    failed: int = 0

    def add(self, other: RunStats) -> None:
        """Take another tally in."""
        self.histories += other.histories
        self.happened += other.happened
        self.points |= other.points
        self.outcomes += other.outcomes
        self.calls += other.calls
        self.deliveries += other.deliveries
        self.orders += other.orders
        self.seconds += other.seconds
        self.failed += other.failed
        self.failures = [*self.failures, *other.failures][:_MOST_TOLD]

    def take(self, world: World) -> None:
        """Count what happened in one world."""
        self.histories += 1
        self.happened += world.faults.happened
        self.points |= world.faults.points
        self.calls += world.faults.calls
        self.deliveries += world.invocations
        self.orders += len(list(world.checker.orders()))
        for result in world.checker.results.values():
            self.outcomes.update(order.outcome.value for order in result.orders)

    def fail(self, replay: str, error: BaseException, world: World) -> None:
        """Count a broken promise."""
        self.failed += 1
        told = timeline(world) if not self.failures else ""
        self.failures.append(Failure(replay, f"{type(error).__name__}: {error}", told))


def _timed(work: Callable[[RunStats], None]) -> RunStats:
    tally, begun = RunStats(), time.process_time()
    work(tally)
    tally.seconds = time.process_time() - begun
    return tally


def play_seeds(first: int, count: int, cases: Cases | None = None) -> RunStats:
    """Histories of consecutive seeds: of what they draw, or of somebody's own plans."""

    def work(tally: RunStats) -> None:
        for seed in range(first, first + count):
            history = History(seed, cases)
            try:
                history.run()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told with the way to see it again
                replay = f"{COMMAND} --seed {seed}" if cases is None else f"History({seed}, cases).run()"
                tally.fail(replay, error, history.world)
            tally.take(history.world)
            tally.happened += history.environment.happened + Counter(history.traits)

    return _timed(work)


def play_sweep(kind: Sweep, story: Story, first: Script) -> RunStats:
    """One first interruption, and all second ones after it."""

    def work(tally: RunStats) -> None:
        world = _check(tally, story, first)
        if world is None:
            return
        for script in sweep.seconds(kind, first, world.faults.calls):
            _check(tally, story, script)

    return _timed(work)


def _check(tally: RunStats, story: Story, script: Script) -> World | None:
    world = sweep.world_of(story, script)
    try:
        sweep.check(story, script, world)
    except Exception as error:  # noqa: BLE001 - as above
        tally.histories += 1
        tally.fail(f"{COMMAND} --story {story} --script {spelled(script)}", error, world)
        return None
    tally.take(world)
    return world


def spelled(script: Script) -> str:
    """A script as the command line takes it: ``12:KILL_BEFORE,30:DEADLINE``."""
    return ",".join(f"{number}:{fault.name}" for number, fault in script.items())
