"""Decision records: each has all sections and an entry in the overview, and names rows of the benchmark that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.infrastructure.templates import ROOT

DOCS = ROOT / "docs"
RECORDS = sorted(path for path in (DOCS / "decisions").glob("*.md") if path.name != "index.md")
BENCHMARK = re.findall(r"^\| ([^|]+) \|", (DOCS / "performance.md").read_text(encoding="utf-8"), re.MULTILINE)
"""First cell of each row in the tables of the page that ``make bench`` writes."""


def named_rows(text: str) -> list[str]:
    """Return the rows that a page names, as in ``row *total*`` or ``rows *one*, *two*``."""
    lists = re.findall(r"\brows? (\*[^*]+\*(?:(?:, | and )\*[^*]+\*)*)", " ".join(text.split()))
    return [name for listed in lists for name in re.findall(r"\*([^*]+)\*", listed)]


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_record_has_status_date_and_all_sections(record: Path) -> None:
    text = record.read_text(encoding="utf-8")

    assert re.search(r"^Status: .+\. Date: \d{4}-\d\d-\d\d\.", text, re.MULTILINE)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Options", "Decision", "Consequences"]


def test_overview_lists_every_record_once_under_its_title() -> None:
    overview = (DOCS / "decisions" / "index.md").read_text(encoding="utf-8")

    titles = {path.name: path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") for path in RECORDS}
    listed = re.findall(r"^\| \[([^]]+)\]\(([\w-]+\.md)\)", overview, re.MULTILINE)
    assert sorted(listed) == sorted((title, name) for name, title in titles.items())


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_named_rows_of_the_benchmark_exist(record: Path) -> None:
    names = named_rows(record.read_text(encoding="utf-8"))

    assert [name for name in names if not any(row.startswith(name) for row in BENCHMARK)] == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("(`make bench`, row *total*)", ["total"]),
        ("rows *one\norder* and *two*, in *italics*", ["one order", "two"]),
        ("*italics* in a row", []),
    ],
)
def test_rows_are_found_in_the_text(text: str, names: list[str]) -> None:
    assert named_rows(text) == names
