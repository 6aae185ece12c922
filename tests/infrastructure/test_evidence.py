"""The tables of situations: every test and every name of the simulation in them exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from rebalance_simulation import faults
from rebalance_simulation.invariants import InvariantChecker
from rebalance_simulation.invariants_account import AccountInvariants
from rebalance_simulation.invariants_evidence import EvidenceInvariants
from rebalance_simulation.invariants_requests import RequestInvariants
from rebalance_simulation.invariants_working import WorkingInvariants

ROOT = Path(__file__).parents[2]
EVIDENCE = ROOT / "docs" / "evidence"
PAGE = "\n".join((EVIDENCE / name).read_text(encoding="utf-8") for name in ("situations.md", "use.md"))
ROWS = {match[1]: match[0] for match in re.finditer(r"^\| ([A-HU]\d+) \|.*$", PAGE, re.MULTILINE)}
TESTS = sorted(set(re.findall(r"`([a-z_0-9/]+\.py)::(test_[a-z_0-9]+)`", PAGE)))
CLASSES = {
    cls.__name__: cls
    for cls in (
        faults.Fault,
        faults.EnvironmentEvent,
        faults.Trait,
        InvariantChecker,
        AccountInvariants,
        EvidenceInvariants,
        RequestInvariants,
        WorkingInvariants,
    )
}
NAMES = sorted(set(re.findall(rf"`({'|'.join(CLASSES)})\.([A-Za-z_]+)`", PAGE)))
NUMBERS = {"A": 5, "B": 15, "C": 5, "D": 8, "E": 4, "F": 3, "G": 4, "H": 28, "U": 28}
"""Number of rows by letter."""


def test_every_situation_has_its_row() -> None:
    assert list(ROWS) == [f"{letter}{number + 1}" for letter, count in NUMBERS.items() for number in range(count)]


@pytest.mark.parametrize("row", [row for row in ROWS if not row.startswith("H")])
def test_every_situation_names_a_test(row: str) -> None:
    assert "::test_" in ROWS[row]


@pytest.mark.parametrize(("path", "name"), TESTS)
def test_named_test_exists(path: str, name: str) -> None:
    module = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))

    assert name in [node.name for node in module.body if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize(("owner", "name"), NAMES)
def test_named_part_of_the_simulation_exists(owner: str, name: str) -> None:
    assert hasattr(CLASSES[owner], name)
