"""The diagrams of the documentation: rendered from their sources, with the states of the code."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from rebalance_executor.domain.decisions import Concluding, Working, Yielding
from rebalance_executor.domain.orders import ChildPhase

DOCS = Path(__file__).resolve().parents[2] / "docs"
SOURCES = sorted((DOCS / "diagrams").glob("*.mmd"))


def states(name: str) -> set[str]:
    """Return the states of a state diagram, without its composite states."""
    text = (DOCS / "diagrams" / f"{name}.mmd").read_text(encoding="utf-8")
    composite = set(re.findall(r"state \"[^\"]+\" as (\w+)", text))
    named = {word for edge in re.findall(r"(\w+) --> (\w+)", text) for word in edge}
    return (named | set(re.findall(r"^ +([A-Z_]+)$", text, re.MULTILINE))) - composite


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_each_picture_is_rendered_from_its_source(source: Path) -> None:
    digest = hashlib.sha256(source.read_bytes()).hexdigest()

    rendered = source.with_suffix(".svg").read_text(encoding="utf-8")

    assert rendered.startswith(f"<!-- source {digest} -->"), "render it again: make diagrams"


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_each_picture_is_on_a_page(source: Path) -> None:
    pages = [page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md")]

    assert any(f"diagrams/{source.stem}.svg" in page for page in pages)


def test_diagram_of_phases_has_every_phase() -> None:
    assert states("child-phases") == {phase.value for phase in ChildPhase}


def test_diagram_of_modes_has_every_mode() -> None:
    assert states("run-modes") == {mode.__name__ for mode in (Working, Concluding, Yielding)}
