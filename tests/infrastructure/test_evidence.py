"""The table of situations on the reliability page: every row is there, and its tests exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = {match[1]: match[0] for match in re.finditer(r"^\| ([A-G]\d+) \|.*$", PAGE, re.MULTILINE)}
TESTS = sorted(set(re.findall(r"`([a-z_0-9/]+\.py)::(test_[a-z_0-9]+)`", PAGE)))
NUMBERS = {"A": 5, "B": 15, "C": 5, "D": 8, "E": 4, "F": 3, "G": 4}
"""Number of rows by letter."""


def test_every_situation_has_its_row() -> None:
    assert list(ROWS) == [f"{letter}{number + 1}" for letter, count in NUMBERS.items() for number in range(count)]


@pytest.mark.parametrize("row", ROWS)
def test_every_situation_names_a_test(row: str) -> None:
    assert "::test_" in ROWS[row]


@pytest.mark.parametrize(("path", "name"), TESTS)
def test_named_test_exists(path: str, name: str) -> None:
    module = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))

    assert name in [node.name for node in module.body if isinstance(node, ast.FunctionDef)]
