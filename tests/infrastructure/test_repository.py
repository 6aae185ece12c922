"""The repository itself: it says nothing of the machine it was written on, and starts on any other."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.infrastructure.templates import ROOT

HOSTS = ["pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "debian" + ".org/debian"]
MACHINE = ["/wo" + "rk/", "/ro" + "ot/", "/opt/" + "wheels"]


def tracked() -> list[Path]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_registrys_host_or_a_path_of_one_machine() -> None:
    found = [
        (str(path.relative_to(ROOT)), word)
        for path in tracked()
        for text in [path.read_text(encoding="utf-8", errors="ignore")]
        for word in (*HOSTS, *MACHINE)
        if word in text
    ]

    assert found == []


@pytest.mark.parametrize("script", [".ci/run", *sorted(f"scripts/{p.name}" for p in (ROOT / "scripts").iterdir())])
def test_scripts_can_be_run(script: str) -> None:
    path = ROOT / script

    assert os.access(path, os.X_OK)
    assert path.read_text(encoding="utf-8").startswith("#!/bin/sh\n")


def test_a_missing_python_gets_a_sentence_that_says_what_to_install(tmp_path: Path) -> None:
    """Only where no Python lies at a well-known place: there the script finds it, PATH or not."""
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path), "PYENV_ROOT": str(tmp_path)}

    done = subprocess.run(
        ["/bin/sh", str(ROOT / "scripts" / "find-python")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    if done.returncode == 0:
        pytest.skip(f"this machine has {done.stdout.strip()}")
    assert "Python 3.12 or newer was not found: install it" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_python_is_found_where_the_first_name_on_the_path_fails(tmp_path: Path) -> None:
    """As with pyenv, whose shims exist for versions that are not selected."""
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\necho 'pyenv: version not selected' >&2\nexit 127\n")
    shim.chmod(0o755)

    done = subprocess.run(
        ["/bin/sh", str(ROOT / "scripts" / "find-python")],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert Path(done.stdout.strip()) != shim
    assert os.access(done.stdout.strip(), os.X_OK)


@pytest.mark.parametrize("name", ["LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "README.md"])
def test_the_usual_documents_are_there(name: str) -> None:
    assert (ROOT / name).stat().st_size > 0


DOCUMENTS = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    linked = re.findall(r"\]\((?!https?:)([^)#]*)", text)

    assert [target for target in linked if not ((ROOT / document).parent / target).exists()] == []


def test_every_file_the_audit_names_is_there() -> None:
    text = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_/]+\.(?:py|yaml|toml))`", text))
    places = [ROOT, ROOT / "src" / "rebalance_executor", ROOT / "tests"]

    assert [name for name in sorted(named) if not any((place / name).exists() for place in places)] == []
