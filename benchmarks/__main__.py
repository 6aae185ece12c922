"""``python -m benchmarks``, or ``make bench``: eight points beside their goals, and what each change won.

``--only 1 5`` takes some of them, ``--json FILE`` keeps the figures, ``--write FILE`` puts the table into a document
between its two markers. ``--plans`` says over how many plans the memory is watched.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import artefact, changes, cold_start, completion, counts, dollars, throughput, warm
from benchmarks.row import Row

_BEGIN, _END = "<!-- table: begin -->", "<!-- table: end -->"
_LIBRARIES = ("alpaca-py", "boto3", "aws-lambda-powertools", "pydantic")


def main() -> None:
    """Measure, show, keep."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", default=list("123456789"), metavar="POINT")
    parser.add_argument("--plans", type=int, default=10_000)
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    points: dict[str, Sequence[Callable[[], Iterator[Row]]]] = {
        "1": [cold_start.measure],
        "2": [artefact.measure],
        "3": [warm.measure, lambda: warm.measure_memory(asked.plans)],
        "4": [counts.measure],
        "5": [completion.measure],
        "6": [completion.measure_earlier],
        "7": [throughput.measure],
        "8": [dollars.measure],
        "9": [changes.measure],
    }
    console, rows = Console(), []
    for point in asked.only:
        for measure in points[point]:
            with Console(stderr=True).status(f"Point {point} …"):
                rows += list(measure())
    console.print(_table(rows))
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps({"on": _machine(), "rows": [_as_json(row) for row in rows]}, indent=2) + "\n")
    if asked.write is not None:
        _write(asked.write, rows)


def _as_json(row: Row) -> dict[str, object]:
    return asdict(row) | {"ratio": row.ratio, "met": row.met}


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
    goal = "" if row.goal is None else f"≤ {_number(row.goal)}"
    met = {None: "", True: "met", False: "missed"}[row.met]
    return (
        row.what,
        f"{_number(row.value)} {row.unit}".strip(),
        _number(row.compared),
        _number(row.ratio),
        goal,
        met,
        row.note,
    )


_HEADS = ("", "measured", "compared", "ratio", "goal", "", "note")


def _table(rows: Sequence[Row]) -> Table:
    table = Table(title=_machine(), title_justify="left")
    for name in _HEADS:
        table.add_column(name, justify="right" if name in _HEADS[1:5] else "left")
    for n, row in enumerate(rows):
        if n == 0 or rows[n - 1].point != row.point:
            table.add_section()
            table.add_row(f"[bold]{row.point}")
        table.add_row(*_cells(row), style="red" if row.met is False else None)
    return table


def _write(path: Path, rows: Sequence[Row]) -> None:
    lines = [f"{_machine()}.", "", f"| {' | '.join(_HEADS)} |", "|---|---:|---:|---:|---:|---|---|"]
    for n, row in enumerate(rows):
        if n == 0 or rows[n - 1].point != row.point:
            lines.append(f"| **{row.point}** | | | | | | |")
        lines.append(f"| {' | '.join(_cells(row))} |")
    text = path.read_text(encoding="utf-8")
    before, after = text[: text.index(_BEGIN)], text[text.index(_END) :]
    path.write_text(f"{before}{_BEGIN}\n\n" + "\n".join(lines) + f"\n\n{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
