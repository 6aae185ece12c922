"""``python -m benchmarks``, or ``make bench``: what the program takes, beside a naive handler and other programs.

``--only start time`` measures some points; the file of ``--json`` keeps the figures of the others. ``--write FILE``
writes all figures of that file as a table into a document, between two markers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import artefact, changes, completion, counts, dollars, peers, start, throughput, warm, writes
from benchmarks.row import Row

_BEGIN, _END = "<!-- table: begin -->", "<!-- table: end -->"
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
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    console = Console(width=_WIDTH if not sys.stdout.isatty() else None)
    for point in arguments.only:
        rows: list[Row] = []
        for measure in POINTS[point]:
            with Console(stderr=True).status(f"{point} …"):
                rows += measure()
        console.print(_table(rows))
        _store(arguments.json, point, rows)  # now, because a later point may fail
    if arguments.write is not None:
        _write(arguments.write, _load(arguments.json))


def _store(path: Path, point: str, rows: Sequence[Row]) -> None:
    """Replace the figures of the point in the file."""
    stored = _load(path) if path.exists() else {}
    figures = {"on": _machine(), "rows": [asdict(row) | {"ratio": row.ratio, "met": row.met} for row in rows]}
    path.parent.mkdir(parents=True, exist_ok=True)
    stored |= {point: figures}
    ordered = {name: stored[name] for name in POINTS if name in stored}
    path.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")


def _load(path: Path) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return stored


def _machine() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    cores = os.cpu_count()
    machine = f"{cores} cores {platform.machine()}, Python {platform.python_version()}"
    return f"{datetime.now(UTC):%Y-%m-%d}, {machine}, {libraries}"


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


_HEADS = ("", "ratio", "goal", "", "measured", "compared", "note")
_GOALS = {"most": "≤", "least": "≥", "ratio": "ratio ≤"}


def _table(rows: Sequence[Row]) -> Table:
    table = Table(title=rows[0].point, title_justify="left", title_style="bold", expand=True)
    for name in _HEADS:
        table.add_column(name, justify="right" if name in ("ratio", "measured", "compared") else "left")
    for row in rows:
        table.add_row(*_cells(row), style="red" if row.met is False else None)
    return table


def _write(path: Path, stored: dict[str, Any]) -> None:
    names = [field.name for field in fields(Row)]
    lines = [*dict.fromkeys(f"{point['on']}." for point in stored.values())]
    lines += ["", f"| {' | '.join(_HEADS)} |", "|---|---:|---|---|---:|---:|---|"]
    for point in stored.values():
        rows = [Row(**{name: row[name] for name in names}) for row in point["rows"]]
        lines.append(f"| **{rows[0].point}** | | | | | | |")
        lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
    text = path.read_text(encoding="utf-8")
    before, after = text[: text.index(_BEGIN)], text[text.index(_END) :]
    path.write_text(f"{before}{_BEGIN}\n\n" + "\n".join(lines) + f"\n\n{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
