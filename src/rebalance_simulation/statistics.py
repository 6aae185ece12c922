"""Statistics of simulated histories, and the functions that run histories and collect them."""

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
_MAX_FAILURES = 10
"""Failures that are kept; more are only counted."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One history in which an invariant was broken."""

    replay: str
    """Command or expression that runs it again."""
    problem: str
    timeline: str = ""
    """Empty, except for the first failure of each batch."""


@dataclass(slots=True)
class RunStats:
    """Counts of some histories."""

    histories: int = 0
    event_counts: Counter[str] = field(default_factory=Counter)
    """Faults, events and traits by kind."""
    crash_points: set[tuple[str, str]] = field(default_factory=set)
    """Calls at which the program was killed, each with ``before`` or ``after``."""
    outcomes: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    deliveries: int = 0
    orders: int = 0
    """Orders at the broker."""
    seconds: float = 0.0
    """Processor time."""
    failures: list[Failure] = field(default_factory=list)
    failed: int = 0
    """Histories in which an invariant was broken."""

    def merge(self, other: RunStats) -> None:
        """Add the counts of other histories."""
        self.histories += other.histories
        self.event_counts += other.event_counts
        self.crash_points |= other.crash_points
        self.outcomes += other.outcomes
        self.calls += other.calls
        self.deliveries += other.deliveries
        self.orders += other.orders
        self.seconds += other.seconds
        self.failed += other.failed
        self.failures = [*self.failures, *other.failures][:_MAX_FAILURES]

    def add(self, world: World) -> None:
        """Count one history by the state of its world at the end."""
        self.histories += 1
        self.event_counts += world.faults.fault_counts + world.event_counts
        self.crash_points |= world.faults.crash_points
        self.calls += world.faults.calls
        self.deliveries += world.deliveries
        self.orders += len(list(world.checker.orders()))
        for result in world.checker.results.values():
            self.outcomes.update(order.outcome.value for order in result.orders)

    def add_failure(self, replay: str, error: BaseException, world: World) -> None:
        """Count a history in which an invariant was broken."""
        self.failed += 1
        lines = timeline(world) if not self.failures else ""
        self.failures.append(Failure(replay, f"{type(error).__name__}: {error}", lines))


def _timed(work: Callable[[RunStats], None]) -> RunStats:
    stats, started = RunStats(), time.process_time()
    work(stats)
    stats.seconds = time.process_time() - started
    return stats


def play_seeds(first: int, count: int, cases: Cases | None = None) -> RunStats:
    """Run the histories of consecutive seeds and return their statistics.

    Args:
        first: the first seed.
        count: the number of histories.
        cases: makes the user's own plans and market for each history; by default both are drawn.
    """

    def work(stats: RunStats) -> None:
        for seed in range(first, first + count):
            history = History(seed, cases)
            try:
                history.run()
            except Exception as error:  # noqa: BLE001 - every error is reported with the command that repeats it
                replay = f"{COMMAND} --seed {seed}" if cases is None else f"History({seed}, cases).run()"
                stats.add_failure(replay, error, history.world)
            stats.add(history.world)
            stats.event_counts += Counter(history.traits)

    return _timed(work)


def play_sweep(kind: Sweep, story: Story, first: Script) -> RunStats:
    """Run the story with one first interruption, alone and with every second one, and return the statistics."""

    def work(stats: RunStats) -> None:
        world = _check(stats, story, first)
        if world is None:
            return
        for script in sweep.second_interruptions(kind, first, world.faults.calls):
            _check(stats, story, script)

    return _timed(work)


def _check(stats: RunStats, story: Story, script: Script) -> World | None:
    world = sweep.world_of(story, script)
    try:
        sweep.check(story, script, world)
    except Exception as error:  # noqa: BLE001 - every error is reported with the command that repeats it
        stats.histories += 1
        stats.add_failure(f"{COMMAND} --story {story} --script {format_script(script)}", error, world)
        return None
    stats.add(world)
    return world


def format_script(script: Script) -> str:
    """Return a script as the command line accepts it, for example ``12:KILL_BEFORE,30:DEADLINE``."""
    return ",".join(f"{number}:{fault.name}" for number, fault in script.items())
