"""``python -m benchmarks``, or ``make bench``: what the program takes, beside a naive handler and other programs.

``--only start time`` measures some points. ``--write FOLDER`` stores each measured point as a file, from which
``scripts/figures write`` fills the table of docs/performance.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from benchmarks import artefact, changes, completion, counts, dollars, peers, start, throughput, warm, writes
from benchmarks.row import Row
from benchmarks.sources import Columns, machine, write_source

_WIDTH = 150
"""Columns of the output without a terminal."""
_LIBRARIES = ("alpaca-py", "boto3", "aws-lambda-powertools", "pydantic")


POINTS: dict[str, Sequence[Callable[[], Iterator[Row]]]] = {
    "start": [start.measure],
    "artefact": [artefact.measure],
    "time": [completion.measure, completion.measure_window],
    "earlier": [completion.measure_earlier],
    "requests": [counts.measure],
    "processor": [warm.measure, warm.measure_memory],
    "writes": [writes.measure],
    "peers": [peers.measure],
    "throughput": [throughput.measure],
    "dollars": [dollars.measure],
    "optimizations": [changes.measure],
}
"""What measures each point, in the order of the table."""


def main() -> None:
    """Measure, print and store the figures."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=POINTS, default=list(POINTS), metavar="POINT")
    parser.add_argument("--write", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    console = Console(width=_WIDTH if not sys.stdout.isatty() else None)
    for point in arguments.only:
        rows: list[Row] = []
        for measure in POINTS[point]:
            with Console(stderr=True).status(f"{point} …"):
                rows += measure()
        console.print(_table(rows))
        if arguments.write is not None:
            _store(arguments.write, point, rows)  # now, because a later point may fail


def _store(folder: Path, point: str, rows: Sequence[Row]) -> None:
    modules = dict.fromkeys(measure.__module__ for measure in POINTS[point])
    write_source(
        folder / f"bench-{point}.json",
        rows[0].point,
        _COLUMNS,
        [_cells(row) for row in rows],
        machine=machine(_LIBRARIES),
        command="make bench",
        code=["src/rebalance_executor", *(f"{module.replace('.', '/')}.py" for module in modules)],
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    digits = 0 if value == int(value) or abs(value) >= 100 else 4 if abs(value) < 0.1 else 2
    return f"{value:,.{digits}f}"


def _cells(row: Row) -> tuple[str, ...]:
    goal = "" if row.goal is None else f"{_GOALS[row.goal_is]} {_number(row.goal)}"
    met = {None: "", True: "met", False: "missed"}[row.met]
    measured = f"{_number(row.value)} {row.unit}".strip()
    return row.what, _number(row.ratio), goal, met, measured, _number(row.compared), row.note


_COLUMNS = Columns(("", "ratio", "goal", "", "measured", "compared", "note"), "lrllrrl")
_JUSTIFY: Mapping[str, Literal["left", "right"]] = {"l": "left", "r": "right"}
_GOALS = {"most": "≤", "least": "≥", "ratio": "ratio ≤"}


def _table(rows: Sequence[Row]) -> Table:
    table = Table(title=rows[0].point, title_justify="left", title_style="bold", expand=True)
    for name, align in zip(_COLUMNS.heads, _COLUMNS.align, strict=True):
        table.add_column(name, justify=_JUSTIFY[align])
    for row in rows:
        table.add_row(*_cells(row), style="red" if row.met is False else None)
    return table


if __name__ == "__main__":
    main()
