"""Runs every command of the README, the tutorial and the library page in sequence, and compares the output.

The commands run in one shell, in a copy of the repository that uses this environment: nothing is installed, and no
command waits for input.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebalance_sandbox.servers import Servers
from tests.support.documents import FILE_LANGUAGES, OutputDiffers, blocks, commands, compare, run_all, shell
from tests.support.processes import clean_environment

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "docs" / "tutorial.md", ROOT / "docs" / "library.md"]
_CHECKOUT = ("Makefile", "pyproject.toml", "requirements", "scripts", "events", "examples")
_SKIPPED_COMMAND = "make test"
"""The command that runs this test."""


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """Provide a copy of the repository after ``make setup``; stop the servers that its commands left running."""
    folder = tmp_path / "rebalance-executor"
    folder.mkdir()
    for name in _CHECKOUT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    venv = folder / ".venv"
    venv.mkdir()
    for part in Path(sys.prefix).iterdir():
        if part.name != ".installed":
            (venv / part.name).symlink_to(part)
    (venv / ".installed").touch()
    yield folder
    for data_dir in tmp_path.rglob(".local"):
        Servers.of(data_dir).stop()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_succeeds_and_prints_what_is_shown(document: Path, checkout: Path) -> None:
    data = str(checkout.parent / "data")  # no journal of the user of this machine
    environment = clean_environment(PYTHONPATH=str(ROOT / "src"), NO_COLOR="1", COLUMNS="92", XDG_DATA_HOME=data)
    with shell(checkout, environment) as terminal:
        run_all(document, terminal, skipped=(_SKIPPED_COMMAND,))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_are_only_in_blocks_that_are_run(document: Path) -> None:
    all_blocks = blocks(document)

    assert {block.language for block in all_blocks} <= {"console", "text", "python", *FILE_LANGUAGES}
    assert any(commands(block) for block in all_blocks if block.language == "console")


def test_shown_programs_equal_the_files_in_examples() -> None:
    shown = [block for document in DOCUMENTS for block in blocks(document) if block.language == "python"]

    assert {block.title for block in shown} == {f"examples/{path.name}" for path in (ROOT / "examples").glob("*.py")}
    assert [block.title for block in shown if block.text != (ROOT / str(block.title)).read_text("utf-8")] == []


def test_ci_runs_the_command_that_is_skipped_here() -> None:
    assert f"exec {_SKIPPED_COMMAND}" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "shown",
    [
        ["Filled  $10.00, 1 of 1 orders"],
        ["…", "Hash  a70086e3ab5b"],
        ["Filled  $3,000.02, 3 of 3 orders", "…", "Next  rebalance status"],
        ["Filled  … orders", "…"],
    ],
)
def test_output_may_differ_in_numbers_and_ids_and_in_omitted_lines(shown: list[str]) -> None:
    printed = "\nFilled   $7.5, 2 of 2 orders   \nHash   0123456789ab\nNext   rebalance status\n"

    compare([*shown, "…"], printed)


@pytest.mark.parametrize(
    "shown",
    [
        ["Filled  $10.00, 1 of 1 orders"],
        ["Hash  a70086e3ab5b", "…"],
        ["…", "Next  rebalance explain"],
        ["…", "Next  rebalance status", "Filled  …"],
    ],
)
def test_output_that_is_missing_or_not_shown_differs(shown: list[str]) -> None:
    with pytest.raises(OutputDiffers):
        compare(shown, "Filled   $7.5, 2 of 2 orders\nHash   0123456789ab\nNext   rebalance status\n")


def test_shown_id_maps_to_the_printed_id() -> None:
    assert compare(["Hash  a70086e3ab5b"], "Hash  0123456789ab\n") == {"a70086e3ab5b": "0123456789ab"}
