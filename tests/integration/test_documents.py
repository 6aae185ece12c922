"""Every command of the README and of the tutorial is typed here, in order, and prints what the document shows.

They are typed into one shell, in a checkout whose environment is this one: nothing is installed and nobody is asked.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebalance_sandbox.servers import Servers
from tests.support.documents import Command, Differs, Shell, blocks, commands, compare, shell
from tests.support.processes import clean_environment

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "docs" / "tutorial.md", ROOT / "docs" / "library.md"]
_CHECKOUT = ("Makefile", "pyproject.toml", "requirements", "scripts", "events", "examples")
_WHAT_THIS_IS_PART_OF = "make test"
_WRITTEN = ("csv",)
"""Languages of the files that a reader writes."""


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A checkout whose ``make setup`` is done; the servers that its commands left are stopped."""
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
    for home in tmp_path.rglob(".local"):
        Servers.of(home).stop()


def type_all(document: Path, terminal: Shell) -> None:
    """Write the document's files and type its commands; each must end well and print what is shown."""
    ids: dict[str, str] = {}
    for block in blocks(document):
        if block.language in _WRITTEN:
            terminal.type(f"cat > {block.title} <<'END'\n{block.text}END")
        for command in commands(block) if block.language == "console" else ():
            if command.typed != _WHAT_THIS_IS_PART_OF:
                ids |= _typed(command, terminal, ids, f"{document.name}:{command.line}")


def _typed(command: Command, terminal: Shell, ids: dict[str, str], where: str) -> dict[str, str]:
    typed = command.typed
    for shown, real in ids.items():  # as its reader would, who copies the hash from the screen
        typed = typed.replace(shown, real)
    done = terminal.type(typed)
    told = f"{where}: $ {typed}\n{done.output}"
    assert done.code == 0, told
    try:
        return compare(command.shown, done.output)
    except Differs as error:
        raise Differs(f"{error}\n{told}") from None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_ends_well_and_prints_what_is_shown(document: Path, checkout: Path) -> None:
    environment = clean_environment(PYTHONPATH=str(ROOT / "src"), NO_COLOR="1", COLUMNS="92")
    with shell(checkout, environment) as terminal:
        type_all(document, terminal)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_command_stands_where_it_is_not_typed(document: Path) -> None:
    found = blocks(document)

    assert {block.language for block in found} <= {"console", "text", "python", *_WRITTEN}
    assert any(commands(block) for block in found if block.language == "console")


def test_every_program_that_is_shown_is_the_one_that_is_run() -> None:
    shown = [block for document in DOCUMENTS for block in blocks(document) if block.language == "python"]

    assert {block.title for block in shown} == {f"examples/{path.name}" for path in (ROOT / "examples").glob("*.py")}
    assert [block.title for block in shown if block.text != (ROOT / str(block.title)).read_text("utf-8")] == []


def test_the_one_command_that_is_not_typed_is_what_ci_runs() -> None:
    assert f"exec {_WHAT_THIS_IS_PART_OF}" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "shown",
    [
        ["Filled  $10.00, 1 of 1 orders"],
        ["…", "Hash  a70086e3ab5b"],
        ["Filled  $3,000.02, 3 of 3 orders", "…", "Next  rebalance status"],
        ["Filled  … orders", "…"],
    ],
)
def test_output_that_differs_in_numbers_and_ids_or_is_left_out_is_as_shown(shown: list[str]) -> None:
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
def test_output_that_is_not_shown_or_not_printed_differs(shown: list[str]) -> None:
    with pytest.raises(Differs):
        compare(shown, "Filled   $7.5, 2 of 2 orders\nHash   0123456789ab\nNext   rebalance status\n")


def test_a_shown_id_stands_for_the_printed_one() -> None:
    assert compare(["Hash  a70086e3ab5b"], "Hash  0123456789ab\n") == {"a70086e3ab5b": "0123456789ab"}
