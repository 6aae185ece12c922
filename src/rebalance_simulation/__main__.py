"""``python -m rebalance_simulation``: run histories by seed, sweeps, or deliberate bugs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from rebalance_simulation import bugs, report, sweep
from rebalance_simulation.bug_detection import detect
from rebalance_simulation.faults import Fault
from rebalance_simulation.history import History, timeline
from rebalance_simulation.statistics import play_seeds, play_sweep
from rebalance_simulation.sweep import Story, Sweep

_BATCH = 50
"""Seeds per batch."""
_out = Console()
app = typer.Typer(add_completion=False)


@app.command()
def main(  # noqa: PLR0913 - each is an option
    *,
    seed: Annotated[int | None, typer.Option(help="Run the history of this seed and print its timeline.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of histories to run.")] = None,
    first: Annotated[int, typer.Option(help="First seed, for --seeds.")] = 0,
    jobs: Annotated[int, typer.Option(help="Number of processes.")] = os.cpu_count() or 1,
    sweep_kind: Annotated[Sweep | None, typer.Option("--sweep", help="Interrupt a story at every call.")] = None,
    story: Annotated[Story | None, typer.Option(help="Story for --sweep and --script.")] = None,
    script: Annotated[str | None, typer.Option(help="Faults by call: 12:KILL_BEFORE,30:DEADLINE.")] = None,
    with_bugs: Annotated[bool, typer.Option("--bugs", help="Enable every deliberate bug in turn.")] = False,
) -> None:
    """Simulate the whole program under faults. Exit with 1 if an invariant is broken or a bug is not caught."""
    if seed is not None:
        history = History(seed)
        raise typer.Exit(_print_one(history.run, history.timeline))
    if script is not None:
        raise typer.Exit(_run_script(story or Story.AT_ONCE, script))
    if with_bugs:
        raise typer.Exit(_run_bugs(seeds or 5000))
    if sweep_kind is not None:
        raise typer.Exit(_run_sweep(sweep_kind, [story] if story else list(Story), jobs))
    if seeds is None:
        raise typer.BadParameter("use one of --seed, --seeds, --sweep, --script or --bugs")
    end = first + seeds
    batches = [(play_seeds, (start, min(_BATCH, end - start))) for start in range(first, end, _BATCH)]
    raise typer.Exit(_run_batches(batches, jobs, f"Seeds {first} to {end - 1}"))


def _run_batches(batches: list[report.Batch], jobs: int, title: str) -> int:
    started = time.monotonic()
    stats = report.play(batches, jobs, title)
    report.show(stats, _out, title, time.monotonic() - started)
    return 1 if stats.failed else 0


def _run_sweep(kind: Sweep, stories: list[Story], jobs: int) -> int:
    batches: list[report.Batch] = [
        (play_sweep, (kind, story, first)) for story in stories for first in sweep.firsts(kind, story)
    ]
    return _run_batches(batches, jobs, f"Sweep {kind} of {', '.join(stories)}")


def _run_script(story: Story, text: str) -> int:
    parts = (part.split(":") for part in text.split(","))
    faults = {int(number): Fault[name] for number, name in parts}
    world = sweep.world_of(story, faults)
    return _print_one(lambda: sweep.check(story, faults, world), lambda: timeline(world))


def _print_one(run: Callable[[], object], lines: Callable[[], str]) -> int:
    """Run one history, print its timeline, and return the exit code."""
    try:
        run()
    except Exception as error:  # noqa: BLE001 - the timeline is printed whatever the error is
        typer.echo(lines())
        typer.echo(f"\n{type(error).__name__}: {error}")
        return 1
    typer.echo(lines())
    typer.echo("\nevery invariant held")
    return 0


def _run_bugs(limit: int) -> int:
    table = Table(title="Deliberate bugs", title_justify="left")
    for column in ("bug", "caught by history", "broken invariant"):
        table.add_column(column)
    missed = 0
    for bug in bugs.BUGS:
        detection = detect(bug, limit)
        missed += detection is None
        table.add_row(bug, *((str(detection.histories), detection.problem[:100]) if detection else ("never", "")))
        report.errors.print(f"{bug}: {detection.histories if detection else 'never'}")
    _out.print(table)
    return 1 if missed else 0


if __name__ == "__main__":
    app()
