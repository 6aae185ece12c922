"""Tests of the repository: portable to any machine, with documents whose links and paths exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.infrastructure.templates import ROOT

HOSTS = ["pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "debian" + ".org/debian"]
MACHINE = ["/wo" + "rk/", "/ro" + "ot/", "/opt/" + "wheels"]


def tracked() -> list[Path]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_contains_a_registry_host_or_a_path_of_one_machine() -> None:
    matches = [
        (str(path.relative_to(ROOT)), word)
        for path in tracked()
        for text in [path.read_text(encoding="utf-8", errors="ignore")]
        for word in (*HOSTS, *MACHINE)
        if word in text
    ]

    assert matches == []


@pytest.mark.parametrize("script", [".ci/run", *sorted(f"scripts/{p.name}" for p in (ROOT / "scripts").iterdir())])
def test_script_is_executable(script: str) -> None:
    path = ROOT / script

    assert os.access(path, os.X_OK)
    assert path.read_text(encoding="utf-8").startswith(("#!/bin/sh\n", "#!/usr/bin/env python3\n"))


def test_find_python_without_a_python_says_what_to_install(tmp_path: Path) -> None:
    """Skipped on machines with a Python in a well-known place, which the script finds even if it is not on the PATH."""
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path), "PYENV_ROOT": str(tmp_path)}

    completed = subprocess.run(
        ["/bin/sh", str(ROOT / "scripts" / "find-python")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    if completed.returncode == 0:
        pytest.skip(f"this machine has {completed.stdout.strip()}")
    assert "Python 3.12 or newer was not found: install it" in completed.stderr
    assert completed.stderr.count("\n") == 1


def test_find_python_skips_a_candidate_that_fails(tmp_path: Path) -> None:
    """pyenv has shims for versions that are not selected."""
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\necho 'pyenv: version not selected' >&2\nexit 127\n")
    shim.chmod(0o755)

    completed = subprocess.run(
        ["/bin/sh", str(ROOT / "scripts" / "find-python")],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert Path(completed.stdout.strip()) != shim
    assert os.access(completed.stdout.strip(), os.X_OK)


def find_python(version: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "scripts" / "find-python"), version]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_find_python_of_a_version_returns_an_interpreter_of_this_version() -> None:
    completed = find_python(f"{sys.version_info.major}.{sys.version_info.minor}")

    assert completed.returncode == 0, completed.stderr
    program = "import sys; print(*sys.version_info[:2])"
    answer = subprocess.run([completed.stdout.strip(), "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == [str(part) for part in sys.version_info[:2]]


def test_find_python_of_a_version_that_is_missing_fails_instead_of_taking_another() -> None:
    completed = find_python("3.99")

    assert (completed.returncode, completed.stdout) == (1, "")
    assert "3.99" in completed.stderr


@pytest.mark.parametrize("name", ["LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "README.md"])
def test_standard_document_exists(name: str) -> None:
    assert (ROOT / name).stat().st_size > 0


DOCUMENTS = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_has_a_target(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    linked = re.findall(r"\]\((?!https?:)([^)#]*)", text)

    assert [target for target in linked if not ((ROOT / document).parent / target).exists()] == []


def _pages(entry: Any) -> Iterator[str]:
    """Return the pages of the site's navigation, or of a part of it."""
    if isinstance(entry, str):
        yield entry
    else:
        for part in entry.values() if isinstance(entry, dict) else entry:
            yield from _pages(part)


def test_every_page_is_in_the_navigation_of_the_site_once() -> None:
    """The generator of the site reports neither a page that is not in the navigation nor an entry without a page."""
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]

    pages = sorted(path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md"))
    assert sorted(_pages(navigation)) == pages


PLACES = [ROOT, ROOT / "src", ROOT / "src" / "rebalance_executor", ROOT / "tests", ROOT / "docs"]
"""Pages shorten paths: ``domain/orders.py`` is below the deployed package, ``unit/test_health.py`` below ``tests``."""


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_in_a_document_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    paths = re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|md|yaml|toml))`", text)
    modules = re.findall(r"python -m ([\w.]+)", text)

    missing = {path for path in paths if not any((place / path).exists() for place in PLACES)}
    missing |= {name for name in modules if not _is_module(name)}
    assert missing == set()


def _is_module(name: str) -> bool:
    path = name.replace(".", "/")
    ours = {child.name for place in (ROOT, ROOT / "src") for child in place.iterdir()}
    if path.split("/")[0] not in ours:
        return True  # a tool
    return any((place / f"{path}{end}").exists() for place in (ROOT, ROOT / "src") for end in (".py", "/__main__.py"))
