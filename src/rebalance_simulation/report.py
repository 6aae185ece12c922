"""How a simulation is shown: a progress bar while it runs, tables at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from rebalance_simulation.statistics import RunStats

Piece = tuple[Callable[..., RunStats], tuple[Any, ...]]
"""A function of ``tally`` and its arguments."""

errors = Console(stderr=True)
_WAITING = 4
"""Pieces that wait for each process: enough to keep it busy, few enough to stop soon."""


def play(pieces: Sequence[Piece], jobs: int, what: str) -> RunStats:
    """Run all pieces in so many processes, with a progress bar on stderr."""
    total = RunStats()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(what, total=len(pieces), told="")

        def take(tally: RunStats) -> None:
            total.add(tally)
            told = f"{total.histories} histories, {total.failed} violations"
            progress.update(task, advance=1, told=told)

        if jobs == 1:
            for work, arguments in pieces:
                take(work(*arguments))
            return total
        with ProcessPoolExecutor(jobs) as pool:
            left, running = iter(pieces), set[Future[RunStats]]()
            for work, arguments in left:
                running.add(pool.submit(work, *arguments))
                if len(running) >= jobs * _WAITING:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for one in done:
                        take(one.result())
            for one in running:
                take(one.result())
    return total


def show(tally: RunStats, console: Console, what: str, wall_seconds: float) -> None:
    """The tables at the end."""
    table = Table(title=what, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in _figures(tally, wall_seconds):
        table.add_row(name, value)
    console.print(table)
    kinds = Table(title="What happened", title_justify="left")
    kinds.add_column("kind")
    kinds.add_column("times", justify="right")
    for kind, times in sorted(tally.happened.items(), key=lambda one: (-one[1], one[0])):
        kinds.add_row(str(kind), f"{times:,}")
    console.print(kinds)
    for failure in tally.failures[:1]:
        console.print(failure.timeline, markup=False, highlight=False, soft_wrap=True)
    for failure in tally.failures:
        console.print(f"[red]{escape(failure.problem)}[/red]\n    {failure.replay}", highlight=False, soft_wrap=True)


def _figures(tally: RunStats, wall_seconds: float) -> list[tuple[str, str]]:
    rate = tally.histories / tally.seconds if tally.seconds else 0.0
    outcomes = ", ".join(f"{name} {count:,}" for name, count in sorted(tally.outcomes.items()))
    return [
        ("histories", f"{tally.histories:,}"),
        ("deliveries", f"{tally.deliveries:,}"),
        ("calls to the outside", f"{tally.calls:,}"),
        ("orders at the broker", f"{tally.orders:,}"),
        ("outcomes of items", outcomes),
        ("distinct crash points", f"{len(tally.points)}"),
        ("violations", f"[bold red]{tally.failed:,}[/]" if tally.failed else "[green]0[/]"),
        ("histories per second and core", f"{rate:,.0f}"),
        ("seconds", f"{wall_seconds:,.1f}, of processor time {tally.seconds:,.1f}"),
    ]
