"""Execution of batches of histories in several processes, with a progress bar, and the tables of their statistics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from rebalance_simulation.statistics import RunStats

Batch = tuple[Callable[..., RunStats], tuple[Any, ...]]
"""A function that runs some histories, and its arguments."""

errors = Console(stderr=True)
_QUEUED = 4
"""Batches submitted per process: enough to keep it busy, few enough to stop soon."""


def play(batches: Sequence[Batch], jobs: int, title: str) -> RunStats:
    """Run all batches in ``jobs`` processes, with a progress bar on stderr."""
    total = RunStats()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(title, total=len(batches), counts="")

        def merge(stats: RunStats) -> None:
            total.merge(stats)
            progress.update(task, advance=1, counts=f"{total.histories} histories, {total.failed} violations")

        if jobs == 1:
            for run, arguments in batches:
                merge(run(*arguments))
            return total
        with ProcessPoolExecutor(jobs) as pool:
            running = set[Future[RunStats]]()
            for run, arguments in batches:
                running.add(pool.submit(run, *arguments))
                if len(running) >= jobs * _QUEUED:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        merge(future.result())
            for future in running:
                merge(future.result())
    return total


def show(stats: RunStats, console: Console, title: str, wall_seconds: float) -> None:
    """Print the statistics, and the failures with the commands that repeat them."""
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    for name, value in _figures(stats, wall_seconds):
        table.add_row(name, value)
    console.print(table)
    kinds = Table(title="Faults, events and traits", title_justify="left")
    kinds.add_column("kind")
    kinds.add_column("count", justify="right")
    for kind, count in sorted(stats.event_counts.items(), key=lambda entry: (-entry[1], entry[0])):
        kinds.add_row(str(kind), f"{count:,}")
    console.print(kinds)
    for failure in stats.failures[:1]:
        console.print(failure.timeline, markup=False, highlight=False, soft_wrap=True)
    for failure in stats.failures:
        console.print(f"[red]{escape(failure.problem)}[/red]\n    {failure.replay}", highlight=False, soft_wrap=True)


def _figures(stats: RunStats, wall_seconds: float) -> list[tuple[str, str]]:
    rate = stats.histories / stats.seconds if stats.seconds else 0.0
    outcomes = ", ".join(f"{name} {count:,}" for name, count in sorted(stats.outcomes.items()))
    return [
        ("histories", f"{stats.histories:,}"),
        ("deliveries", f"{stats.deliveries:,}"),
        ("external calls", f"{stats.calls:,}"),
        ("orders at the broker", f"{stats.orders:,}"),
        ("outcomes of items", outcomes),
        ("distinct crash points", f"{len(stats.crash_points)}"),
        ("violations", f"[bold red]{stats.failed:,}[/]" if stats.failed else "[green]0[/]"),
        ("histories per second and core", f"{rate:,.0f}"),
        ("seconds", f"{wall_seconds:,.1f} ({stats.seconds:,.1f} of processor time)"),
    ]
