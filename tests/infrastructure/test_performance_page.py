"""The summary of the page on performance shows the figures of the table that ``make bench`` writes below it."""

from __future__ import annotations

import re

import pytest

from tests.infrastructure.templates import ROOT

PAGE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
SUMMARY = re.findall(r"^\| ([^|]+) \| ([^|]+) \| (\*[^|`]+) \|$", PAGE.split("\n## ")[0], re.MULTILINE)
"""Rows of the summary: subject, figures, and the rows of the table that have them."""
_ROW = re.compile(r"^\| ([^|]+) \|(?:[^|]*\|){3} ([\d.,]+)[^|]*\|[^|]*\|[^|]*\|$", re.MULTILINE)
MEASURED = _ROW.findall(PAGE)
"""Name and measured figure of each row of the table."""


def test_summary_and_table_are_found() -> None:
    assert len(SUMMARY) == 4
    assert len(MEASURED) > 100


@pytest.mark.parametrize(("subject", "figures", "rows"), SUMMARY)
def test_summary_shows_the_figures_of_the_table(subject: str, figures: str, rows: str) -> None:
    names = tuple(re.findall(r"\*([^*]+)\*", rows))
    measured = {figure for name, figure in MEASURED if name.startswith(names)}

    assert set(re.findall(r"\d[\d.,]*\d|\d", figures)) <= measured, subject
