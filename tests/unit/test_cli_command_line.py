"""Printed commands: they work in the shell that ran the current command."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import typer

from rebalance_cli.command_line import TargetOptions, command_line, display_path
from rebalance_cli.main import app


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("REBALANCE_LOCAL_HOME", "REBALANCE_CONFIG"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("typed", "on_path", "shown"),
    [
        ("/checkout/.venv/bin/rebalance", None, "/checkout/.venv/bin/rebalance"),
        ("/usr/bin/rebalance", "/usr/bin/rebalance", "rebalance"),
        ("/usr/bin/pytest", None, "rebalance"),
    ],
)
def test_command_has_the_path_of_a_program_that_the_shell_does_not_find(
    monkeypatch: pytest.MonkeyPatch, typed: str, on_path: str | None, shown: str
) -> None:
    monkeypatch.setattr("sys.argv", [typed])
    monkeypatch.setattr(shutil, "which", lambda _: on_path)

    assert command_line("status", "a plan") == f"{shown} status 'a plan'"


def test_path_below_the_current_directory_is_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert display_path(tmp_path / ".venv" / "bin") == ".venv/bin"
    assert display_path(Path("/elsewhere")) == "/elsewhere"


def test_command_repeats_the_options_that_select_the_target() -> None:
    options = TargetOptions(Path("my data"), Path("paper.toml"))

    assert options.command("status") == "rebalance status --data-dir 'my data' --config paper.toml"
    assert options.command("local", "reset") == "rebalance local reset --data-dir 'my data'"
    assert options.command("init", "--local") == "rebalance init --local --config paper.toml"


def test_command_omits_options_that_the_environment_or_the_default_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TargetOptions().command("status") == "rebalance status"
    monkeypatch.setenv("REBALANCE_CONFIG", "paper.toml")
    assert TargetOptions(config_file=Path("paper.toml")).command("status") == "rebalance status"
    assert TargetOptions().command("status") == "rebalance status --config rebalance.toml"


def test_options_of_a_target_are_accepted_by_the_commands_that_get_them() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    accepted = {
        name: {option for parameter in command.params for option in parameter.opts} & {"--data-dir", "--config"}
        for name, command in (commands | {"local": commands["local"].commands["reset"]}).items()
    }

    assert accepted["local"] == {"--data-dir"}
    assert accepted["init"] == {"--config"}
    assert all(
        accepted[name] == {"--data-dir", "--config"}
        for name in commands.keys() - {"local", "init", "validate", "plan", "dlq"}
    )
