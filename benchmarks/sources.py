"""Files with measured figures in the format of ``scripts/figures``, which fills the pages from them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Columns:
    """Heads of a table, and the alignment of its columns: one letter each, l or r."""

    heads: Sequence[str]
    align: str


def machine(libraries: Iterable[str]) -> str:
    """Return cores, architecture and versions of Python and of these packages."""
    cores = f"{os.cpu_count()} cores {platform.machine()}"
    return ", ".join([cores, f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in libraries)])


def write_source(
    path: Path, title: str, columns: Columns, rows: Iterable[Sequence[str]], **origin: str | Sequence[str]
) -> None:
    """Write a table that was measured today.

    Args:
        path: the file.
        title: head of its rows in a table of several sources.
        columns: heads and alignment.
        rows: cells as the page shows them.
        origin: ``machine``, ``command``, and ``code``: the paths of the measured code.
    """
    source: dict[str, object] = {"title": title, "date": f"{datetime.now(UTC):%Y-%m-%d}", **origin}
    source |= {"columns": list(columns.heads), "align": columns.align, "rows": [list(row) for row in rows]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(source, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
