"""Figures of the pages equal their sources in ``docs/figures``, which say when, where and how they were measured."""

from __future__ import annotations

import re
import runpy
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.sources import Columns, machine, write_source
from tests.infrastructure.templates import ROOT

FIGURES = SimpleNamespace(**runpy.run_path(str(ROOT / "scripts" / "figures")))
SOURCES: dict[str, dict[str, Any]] = FIGURES.sources(ROOT / "docs" / "figures")
PAGES = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").rglob("*.md"))}
USED = {path: FIGURES.used(text) for path, text in PAGES.items()}


def source(**changed: object) -> dict[str, Any]:
    """Return a source with one row."""
    fields = {"title": "start", "date": "2026-11-29", "machine": "2 cores", "command": "make bench", "code": ["src"]}
    return fields | {"columns": ["", "time"], "align": "lr", "rows": [["ready", "1 s"]]} | changed


@pytest.mark.parametrize("path", [path for path, names in USED.items() if names], ids=lambda path: path.name)
def test_blocks_of_a_page_equal_their_sources(path: Any) -> None:
    assert FIGURES.filled(PAGES[path], SOURCES) == PAGES[path], "run: scripts/figures write"


def test_every_source_is_shown() -> None:
    assert set(SOURCES) - set().union(*USED.values()) == set()


@pytest.mark.parametrize("name", SOURCES)
def test_source_says_when_where_how_and_of_which_code(name: str) -> None:
    one = SOURCES[name]

    assert set(one) == set(FIGURES.FIELDS)
    assert date.fromisoformat(one["date"])
    assert one["machine"]
    assert all((ROOT / path).exists() for path in one["code"])
    assert all(len(row) == len(one["columns"]) == len(one["align"]) for row in one["rows"])


@pytest.mark.parametrize("name", SOURCES)
def test_command_of_a_source_exists(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"\bmake ([a-z0-9-]+)", SOURCES[name]["command"])

    assert targets
    assert [target for target in targets if f"\n{target}:" not in makefile] == []


def test_benchmarks_write_complete_sources(tmp_path: Path) -> None:
    columns = Columns(("", "time"), "lr")
    origin = {"machine": machine(["pytest"]), "command": "make bench", "code": ["src"]}
    write_source(tmp_path / "new" / "a.json", "start", columns, [("ready", "1 s")], **origin)

    (one,) = FIGURES.sources(tmp_path / "new").values()
    assert set(one) == set(FIGURES.FIELDS)
    assert "pytest" in one["machine"]
    assert FIGURES.block(["a"], {"a": one}).endswith("|  | time |\n|---|---:|\n| ready | 1 s |\n\n")


def test_block_shows_its_sources_as_one_table() -> None:
    known = {"a": source(), "b": source(title="end", date="2026-11-30", rows=[["done", "2 s"]])}
    page = "Before.\n\n<!-- figures: a b -->\nold\n<!-- /figures -->\n\nAfter.\n"

    assert FIGURES.filled(page, known) == (
        "Before.\n\n<!-- figures: a b -->\n\n"
        "2026-11-29, 2 cores: `make bench`.\n2026-11-30, 2 cores: `make bench`.\n\n"
        "|  | time |\n|---|---:|\n"
        "| **start** | |\n| ready | 1 s |\n"
        "| **end** | |\n| done | 2 s |\n\n"
        "<!-- /figures -->\n\nAfter.\n"
    )


def test_filling_twice_changes_nothing() -> None:
    page = FIGURES.filled("<!-- figures: a -->\n<!-- /figures -->\n", {"a": source()})

    assert "ready" in page
    assert FIGURES.filled(page, {"a": source()}) == page


def test_changed_figure_is_found() -> None:
    page = FIGURES.filled("<!-- figures: a -->\n<!-- /figures -->\n", {"a": source()})

    assert FIGURES.filled(page.replace("1 s", "0.9 s"), {"a": source()}) == page


@pytest.mark.parametrize("known", [{}, {"a": source()}, {"a": source(), "b": source(columns=["", "size"])}])
def test_unknown_source_and_different_columns_are_errors(known: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="b"):
        FIGURES.filled("<!-- figures: a b -->\n<!-- /figures -->\n", known)


@pytest.mark.parametrize(
    ("changed", "stale"), [("2026-11-30", ["a"]), ("2026-11-29", []), ("2026-11-28", []), ("", [])]
)
def test_source_older_than_its_code_is_stale(changed: str, stale: list[str]) -> None:
    asked: list[Sequence[str]] = []

    def last_change(paths: Sequence[str]) -> str:
        asked.append(paths)
        return changed

    found = list(FIGURES.stale({"a": source()}, last_change))

    assert [name for name, _ in found] == stale
    assert all("make bench" in reason for _, reason in found)
    assert asked == [["src"]]


FIGURE = re.compile(r"(?<![\w.])\d[\d,.]*\s?(?:ms|s|minutes|hours|MB|KB|MiB|GiB|bps|%)(?!\w)")
SOURCE = re.compile(
    r"make [a-z0-9-]+`|`time |::test_|-m (?:benchmarks|rebalance_simulation|rebalance_cli)|pytest|-X importtime"
    r"|^\$ |Sources?:|\]\([./]*(?:evidence|performance)",
    re.MULTILINE,
)
"""What names the origin of figures: a command that prints them, a source, or a link to the page that measures them."""
MEASURED = [
    path
    for path in PAGES
    if path.parent.name in ("evidence", "decisions")
    or path.name
    in ("performance.md", "costs.md", "calibration.md", "execution.md", "whole-stack.md", "dependencies.md")
]


def sections_without_source(page: str) -> list[str]:
    """Return the headings of sections whose tables have figures, without a source there or in a section above."""
    parts = re.split(r"^(#+ .*)$", page, flags=re.MULTILINE)[1:]
    above: dict[int, str] = {}
    found = []
    for heading, body in zip(parts[::2], parts[1::2], strict=True):
        level = len(heading) - len(heading.lstrip("#"))
        above = {depth: text for depth, text in above.items() if depth < level} | {level: body}
        has_figures = any(line.startswith("|") and FIGURE.search(line) for line in body.splitlines())
        if has_figures and not any(SOURCE.search(text) for text in above.values()):
            found.append(heading)
    return found


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.stem)
def test_every_table_of_figures_names_its_source(path: Path) -> None:
    assert sections_without_source(PAGES[path]) == []


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("# A\n\n| 5 s |\n", ["# A"]),
        ("# A\n\n`make bench` prints:\n\n## B\n\n| 1.5 % |\n", []),
        ("# A\n\n## B\n\nUse `make bench`.\n\n## C\n\n| 3 MB |\n", ["## C"]),
        ("# A\n\nIt takes 5 s. `make` is a program.\n\n| 3 orders |\n", []),
    ],
)
def test_a_table_of_figures_without_a_source_is_found(page: str, found: list[str]) -> None:
    assert sections_without_source(page) == found
