"""Runs histories: ``python -m rebalance_executor.testkit --seeds 1000``. A violation prints how to see it again."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from rebalance_executor.testkit import sweep
from rebalance_executor.testkit.bugs import BUGS, switched_on
from rebalance_executor.testkit.history import History
from rebalance_executor.testkit.invariants import Violation

_CHUNK = 50
SWEEPS = {"singles": sweep.singles, "pairs": sweep.pairs, "interruptions": sweep.interruptions}
_AGAIN = "python -m rebalance_executor.testkit"


@dataclass(slots=True)
class Tally:
    """What some histories came to."""

    histories: int = 0
    calls: int = 0
    happened: Counter[str] = field(default_factory=Counter)
    points: set[tuple[str, str]] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[str, str]] = field(default_factory=list)
    """How to see it again, and what was broken."""
    cpu_seconds: float = 0.0

    def add(self, other: Tally) -> None:
        """Take in what others came to."""
        self.histories += other.histories
        self.calls += other.calls
        self.happened += other.happened
        self.points |= other.points
        self.outcomes += other.outcomes
        self.violations += other.violations
        self.cpu_seconds += other.cpu_seconds


def live_through(seeds: Iterable[int]) -> Tally:
    """These histories, one after the other."""
    tally, began = Tally(), time.process_time()
    for seed in seeds:
        history = History(seed)
        try:
            history.run()
        except Violation as violation:
            tally.violations.append((f"{_AGAIN} --seed {seed}", str(violation)))
        crossing = history.world.crossing
        tally.histories += 1
        tally.calls += crossing.calls
        tally.happened.update({str(name): number for name, number in history.happened.items()})
        tally.points |= {(name, str(fault)) for name, fault in crossing.points}
        tally.outcomes.update({str(outcome): number for outcome, number in history.outcomes().items()})
    tally.cpu_seconds = time.process_time() - began
    return tally


def sweep_through(scripts: list[dict[int, Any]]) -> Tally:
    """The swept plan with each of these scripts."""
    tally, began = Tally(), time.process_time()
    for script in scripts:
        tally.histories += 1
        try:
            swept = sweep.live(script)
        except Violation as violation:
            tally.violations.append((str(script), str(violation)))
            continue
        tally.calls += len(swept.calls)
        tally.happened.update(str(fault) for fault in script.values())
        tally.points |= {(swept.calls[call - 1], str(fault)) for call, fault in script.items()}
        tally.outcomes.update(order.outcome.value for order in swept.result.orders)
        if any(not order.success for order in swept.result.orders):
            ended = {order.symbol: order.error_code for order in swept.result.orders if not order.success}
            tally.violations.append((str(script), f"not everything was filled: {ended}"))
    tally.cpu_seconds = time.process_time() - began
    return tally


def _chunks(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]


def _spread(work: Callable[[Any], Tally], items: list[Any], jobs: int, errors: Console) -> Tally:
    tally = Tally()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as bar, multiprocessing.Pool(jobs) as pool:
        task = bar.add_task("histories", total=len(items))
        for part in pool.imap_unordered(work, list(_chunks(items))):
            tally.add(part)
            bar.advance(task, part.histories)
    return tally


def _report(tally: Tally, seconds: float, out: Console) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_row("histories", f"{tally.histories:,}")
    table.add_row("calls to the outside", f"{tally.calls:,}")
    table.add_row("distinct crash points", f"{len(tally.points):,}")
    table.add_row("violations", f"{len(tally.violations):,}", style="green" if not tally.violations else "bold red")
    table.add_row("seconds", f"{seconds:.1f}")
    table.add_row("histories a second and core", f"{tally.histories / max(tally.cpu_seconds, 1e-9):.0f}")
    for title, counted in (("faults and events", tally.happened), ("orders", tally.outcomes)):
        table.add_row("")
        table.add_row(title)
        for name, number in counted.most_common():
            table.add_row(f"  {name}", f"{number:,}", style="dim")
    out.print(table)
    for again, what in tally.violations[:10]:
        out.print(f"\n[bold red]violated[/]  {what}\nsee it again: {again}", highlight=False)


def _one(seed: int, out: Console) -> int:
    history, violated = History(seed), None
    try:
        history.run()
    except Violation as violation:
        violated = str(violation)
    out.print(history.timeline(), highlight=False, markup=False, soft_wrap=True)
    out.print(f"\nviolated: {violated}" if violated else "\nevery promise held", markup=False)
    return 1 if violated else 0


def _bugs(most: int, out: Console) -> int:
    table = Table("bug", "caught by history", "what was broken", box=None, pad_edge=False)
    missed = 0
    for name in BUGS:
        caught = _caught(name, most)
        missed += caught is None
        number, what = caught if caught is not None else ("[bold red]never[/]", f"in {most} histories")
        table.add_row(name, str(number), str(what)[:90])
    out.print(table)
    return 1 if missed else 0


def _caught(name: str, most: int) -> tuple[int, str] | None:
    with switched_on(name):
        for seed in range(most):
            try:
                History(seed).run()
            except Violation as violation:
                return seed + 1, str(violation)
    return None


def main(arguments: list[str]) -> int:
    """Run what is asked for; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog=_AGAIN, description="Histories of the whole program under faults.")
    parser.add_argument("--seeds", type=int, default=1000, help="how many histories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="one history, with its timeline")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--sweep", choices=tuple(SWEEPS), help="at every call: kill once, kill twice, interrupt")
    parser.add_argument("--bugs", action="store_true", help="switch deliberate bugs on and see each caught")
    asked = parser.parse_args(arguments)
    out, errors = Console(), Console(stderr=True)
    if asked.seed is not None:
        return _one(asked.seed, out)
    if asked.bugs:
        return _bugs(max(asked.seeds, 3000), out)
    began = time.perf_counter()
    if asked.sweep:
        scripts = list(SWEEPS[asked.sweep]())
        tally = _spread(sweep_through, scripts, asked.jobs, errors)
    else:
        seeds = list(range(asked.first, asked.first + asked.seeds))
        tally = _spread(live_through, seeds, asked.jobs, errors)
    _report(tally, time.perf_counter() - began, out)
    return 1 if tally.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
