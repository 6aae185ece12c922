"""The page of dependencies lists what the project names, and every limit of a version has its reason beside it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable

import pytest

from tests.infrastructure.templates import ROOT

REQUIREMENTS = ROOT / "requirements"


def page(section: str) -> list[str]:
    """Return the packages in the first column of one section's table."""
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    (body,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| (`[^|]*) \|", body, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def names(requirements: Iterable[str]) -> set[str]:
    """Return the packages of lines as in a requirements file, without versions, extras and comments."""
    found = (re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line) for line in requirements)
    return {match.group() for match in found if match}


def lines(name: str) -> list[str]:
    return (REQUIREMENTS / f"{name}.in").read_text(encoding="utf-8").splitlines()


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
COMMANDS = names(PROJECT["optional-dependencies"]["cli"])
SANDBOX = names(PROJECT["optional-dependencies"]["local"]) - names([PROJECT["name"]])
DECLARED = {
    "Function": names(PROJECT["dependencies"]),
    "Commands": COMMANDS,
    "Development": names(lines("dev")) - COMMANDS,
    "Tools in environments of their own": names([*lines("sam"), *lines("scan"), *lines("sbom"), *lines("local")]),
}


@pytest.mark.parametrize("section", DECLARED)
def test_page_lists_every_declared_package_once(section: str) -> None:
    assert sorted(page(section)) == sorted(DECLARED[section])


def test_packages_of_the_extras_are_installed_for_development() -> None:
    assert names(lines("dev")) >= COMMANDS | SANDBOX


def limits(text: str) -> list[str]:
    """Return the lines with an exact version or an upper limit that have no comment."""
    return [
        line.strip() for line in text.splitlines() if re.search(r"==|<|~=|!=", line.split("#")[0]) and "#" not in line
    ]


@pytest.mark.parametrize("path", sorted(REQUIREMENTS.glob("*.in")), ids=lambda path: path.name)
def test_every_limit_of_a_version_has_its_reason_beside_it(path: object) -> None:
    assert limits((REQUIREMENTS / str(path)).read_text(encoding="utf-8")) == []


def test_every_limit_of_the_project_has_its_reason_beside_it() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    declared = re.findall(r"^(?:dependencies|local) = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)

    assert [limits(block) for block in declared] == [[], []]


@pytest.mark.parametrize("line", ["a==1.0", "b<16", "c>=1,<2", "d~=1.4"])
def test_a_limit_without_a_reason_is_found(line: str) -> None:
    assert limits(line) == [line]
    assert limits(f"{line}  # why") == []
