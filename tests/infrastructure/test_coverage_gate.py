"""``scripts/check-coverage`` fails for a package below its minimum, and every package of ``src`` has one."""

from __future__ import annotations

import json
import runpy
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.infrastructure.templates import ROOT

GATE = SimpleNamespace(**runpy.run_path(str(ROOT / "scripts" / "check-coverage")))
TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
PACKAGES = {path.parent.name for path in ROOT.glob("src/*/__init__.py")}


def report(**files: tuple[int, int, int, int]) -> dict[str, Any]:
    """Return a report with covered and all lines, covered and all branches by file; ``__`` stands for a slash."""
    names = ("covered_lines", "num_statements", "covered_branches", "num_branches")
    by_path = {f"src/{name.replace('__', '/')}.py": numbers for name, numbers in files.items()}
    return {"files": {path: {"summary": dict(zip(names, n, strict=True))} for path, n in by_path.items()}}


def test_every_package_has_a_minimum_and_is_measured() -> None:
    assert set(TOOLS["rebalance"]["coverage"]) == PACKAGES
    assert TOOLS["coverage"]["run"]["source"] == ["src"]


def test_percentage_counts_lines_and_branches_of_all_files_of_a_package() -> None:
    measured = GATE.percentages(report(one__a=(8, 10, 1, 2), one__b__c=(0, 4, 0, 0), two__a=(5, 5, 0, 0)))

    assert measured == {"one": pytest.approx(100 * 9 / 16), "two": 100.0}


def test_package_without_code_is_covered() -> None:
    assert GATE.percentages(report(one__a=(0, 0, 0, 0))) == {"one": 100.0}


@pytest.mark.parametrize(
    ("measured", "minima", "expected"),
    [
        ({"one": 90.0}, {"one": 90}, []),
        ({"one": 89.9}, {"one": 90}, ["one has 89.9 %, its minimum is 90 %"]),
        ({"one": 99.0, "two": 50.0}, {"one": 90}, ["two has no minimum"]),
        ({"one": 99.0}, {"one": 90, "two": 0}, ["two was not measured"]),
    ],
)
def test_gate(measured: dict[str, float], minima: dict[str, float], expected: list[str]) -> None:
    assert GATE.problems(measured, minima) == expected


def test_output_has_a_line_per_package_and_the_minimum_that_it_can_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "coverage.json"
    path.write_text(json.dumps(report(**{f"{package}__a": (1000, 1000, 0, 0) for package in PACKAGES})))

    assert GATE.main(path) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == sorted(PACKAGES)
    assert all("the minimum can be 100 %" in line for line in printed)


def test_make_test_measures_and_checks() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert "--cov --cov-report=json:build/coverage.json" in makefile
    assert "scripts/check-coverage build/coverage.json" in makefile
