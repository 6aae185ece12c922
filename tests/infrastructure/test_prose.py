"""``scripts/check-prose`` finds words and docstrings that are not plain English, and nothing in names and code."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.infrastructure.templates import ROOT

PROSE = SimpleNamespace(**runpy.run_path(str(ROOT / "scripts" / "check-prose")))


def problems(folder: Path, name: str, text: str) -> list[str]:
    """Return the problems of a file with this text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    found: list[str] = PROSE.problems(path)
    return found


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("The log\nis told everything.\n", 2, "told"),
        ("Refused by the broker.\n", 1, "Refused"),
        ("```\ncode\n```\n\nIt is sent anew.\n", 5, "anew"),
        ("| what became of it |\n", 1, "became of"),
        ("Somebody must look.\n", 1, "Somebody"),
    ],
)
def test_word_in_a_page_is_found_with_its_line(tmp_path: Path, text: str, line: int, word: str) -> None:
    (found,) = problems(tmp_path, "page.md", text)

    assert found.startswith(f'{line}: "{word}": write ')


@pytest.mark.parametrize("text", ["Use `told` here.\n", "```\nnobody\n```\n", "A renewed, mendable total.\n"])
def test_names_blocks_and_parts_of_words_are_no_words_of_a_page(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, "page.md", text) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# Whoever calls this.\n", 1),
        ('x = 1\nprint(f"{x} goes on")\n', 2),
        ('raise ValueError("the broker refused it")\n', 1),
        ('"""Noun.\n\nThe fate of an order.\n"""\n', 3),
        ('def f():\n    """Whether it is open."""\n', 2),
        ('class A:\n    x = 1\n    """What it holds."""\n', 3),
    ],
)
def test_word_and_opening_in_a_program_are_found_with_their_line(tmp_path: Path, text: str, line: int) -> None:
    (found,) = problems(tmp_path, "program.py", text)

    assert found.startswith(f"{line}: ")


def test_identifiers_and_other_docstrings_are_no_problem(tmp_path: Path) -> None:
    text = 'def refused(told):\n    """Return whether it is open."""\n    return told\n'

    assert problems(tmp_path, "program.py", text) == []
