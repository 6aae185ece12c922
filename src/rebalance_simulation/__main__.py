"""``python -m rebalance_simulation``: play histories by seed, sweeps, or deliberate bugs."""

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

_EACH = 50
"""Seeds in one piece of work."""
_out = Console()
app = typer.Typer(add_completion=False)


@app.command()
def main(  # noqa: PLR0913 - each is an option
    *,
    seed: Annotated[int | None, typer.Option(help="Play one history and show it line by line.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Play so many histories.")] = None,
    first: Annotated[int, typer.Option(help="The first of the seeds.")] = 0,
    jobs: Annotated[int, typer.Option(help="Processes.")] = os.cpu_count() or 1,
    sweeping: Annotated[Sweep | None, typer.Option("--sweep", help="Interrupt one story at every call.")] = None,
    story: Annotated[Story | None, typer.Option(help="Only this story, for --sweep and --script.")] = None,
    script: Annotated[str | None, typer.Option(help="Play one interrupted story: 12:KILL_BEFORE,30:DEADLINE.")] = None,
    with_bugs: Annotated[bool, typer.Option("--bugs", help="Switch every deliberate bug on in turn.")] = False,
) -> None:
    """Simulate the whole program on ports that fail. Ends with 1 where a promise was broken, or a bug not caught."""
    if seed is not None:
        raise typer.Exit(_one(seed))
    if script is not None:
        raise typer.Exit(_scripted(story or Story.AT_ONCE, script))
    if with_bugs:
        raise typer.Exit(_bugs(seeds or 5000))
    if sweeping is not None:
        raise typer.Exit(_sweep(sweeping, [story] if story else list(Story), jobs))
    if seeds is None:
        raise typer.BadParameter("say what to play: --seed, --seeds, --sweep, --script or --bugs")
    pieces = [(play_seeds, (start, min(_EACH, first + seeds - start))) for start in range(first, first + seeds, _EACH)]
    raise typer.Exit(_play(pieces, jobs, f"Seeds {first} to {first + seeds - 1}"))


def _play(pieces: list[report.Piece], jobs: int, what: str) -> int:
    begun = time.monotonic()
    tally = report.play(pieces, jobs, what)
    report.show(tally, _out, what, time.monotonic() - begun)
    return 1 if tally.failed else 0


def _sweep(kind: Sweep, stories: list[Story], jobs: int) -> int:
    pieces: list[report.Piece] = [
        (play_sweep, (kind, story, first)) for story in stories for first in sweep.firsts(kind, story)
    ]
    return _play(pieces, jobs, f"Sweep {kind} of {', '.join(stories)}")


def _one(seed: int) -> int:
    history = History(seed)
    return _told(history.run, history.timeline)


def _told(live: Callable[[], object], told: Callable[[], str]) -> int:
    """Live through it, tell it line by line, and say whether every promise held."""
    try:
        live()
    except Exception as error:  # noqa: BLE001 - whatever it is, its history is shown
        typer.echo(told())
        typer.echo(f"\n{type(error).__name__}: {error}")
        return 1
    typer.echo(told())
    typer.echo("\nevery promise held")
    return 0


def _scripted(story: Story, text: str) -> int:
    parts = (part.split(":") for part in text.split(","))
    faults = {int(number): Fault[name] for number, name in parts}
    world = sweep.world_of(story, faults)
    return _told(lambda: sweep.check(story, faults, world), lambda: timeline(world))


def _bugs(most: int) -> int:
    table = Table(title="Deliberate bugs", title_justify="left")
    for name in ("bug", "caught by history", "as"):
        table.add_column(name)
    escaped = 0
    for bug in bugs.BUGS:
        caught = detect(bug, most)
        escaped += caught is None
        table.add_row(bug, *((str(caught.histories), caught.problem[:100]) if caught else ("never", "")))
        report.errors.print(f"{bug}: {caught.histories if caught else 'never'}")
    _out.print(table)
    return 1 if escaped else 0


if __name__ == "__main__":
    app()
