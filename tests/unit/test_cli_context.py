"""Selection of a command's target: the configuration file, the environment, and which of them wins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from rebalance_cli import context
from rebalance_cli.command_line import TargetOptions
from rebalance_sandbox.running import RunningServer, Sandbox


@contextmanager
def _sandbox(data_dir: Path, _: Console) -> Iterator[Sandbox]:
    aws, broker = (RunningServer(name, 1, 1, "") for name in ("aws", "broker"))  # nothing connects to them
    yield Sandbox(data_dir, aws, broker, started=())


@pytest.mark.parametrize("target", ["local", "aws"])
def test_variable_in_the_environment_overrides_the_configuration_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.setattr(context, "_shared_sandbox", _sandbox)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("ACCOUNT", raising=False)
    names = ("EXECUTION_TABLE", "IDEMPOTENCY_TABLE", "ALPACA_SECRET_NAME")
    variables = {"ACCOUNT": "of-the-file"} | dict.fromkeys(names, "any")
    lines = [f'target = "{target}"', "[environment]", *(f'{name} = "{value}"' for name, value in variables.items())]
    options = TargetOptions(tmp_path / "data", tmp_path / "rebalance.toml")
    options.config_file.write_text("\n".join(lines))

    def account() -> str:
        with context.cli_context(options, Console()) as ctx:
            return ctx.settings.account

    assert account() == "of-the-file"
    monkeypatch.setenv("ACCOUNT", "of-the-environment")
    assert account() == "of-the-environment"


def test_command_names_the_account_unless_it_is_the_configured_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "_shared_sandbox", _sandbox)
    monkeypatch.setenv("REBALANCE_LOCAL_HOME", str(tmp_path))
    monkeypatch.setenv("REBALANCE_CONFIG", str(tmp_path / "rebalance.toml"))
    options = TargetOptions(tmp_path, tmp_path / "rebalance.toml")
    options.config_file.write_text('target = "local"\n[environment]\nACCOUNT = "main"\n')

    with context.cli_context(options, Console()) as ctx:
        assert ctx.command("watch", "plan-1", account="main") == "rebalance watch plan-1"
        assert ctx.command("watch", "plan-1", account="growth") == "rebalance watch plan-1 --account growth"


@pytest.mark.parametrize("name", context.KEY_VARIABLES)
def test_simulated_broker_names_the_keys_that_it_ignores_and_how_to_switch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setattr(context, "_shared_sandbox", _sandbox)
    for variable in context.KEY_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    options = TargetOptions(tmp_path, tmp_path / "rebalance.toml")
    options.config_file.write_text('target = "local"\n')

    def printed(value: str) -> str:
        monkeypatch.setenv(name, value)
        with context.cli_context(options, Console(stderr=True, width=1000)) as ctx:
            assert ctx.environment["ALPACA_API_KEY"] == "local"
        return capsys.readouterr().err

    assert printed("local") == printed("") == ""  # what ``rebalance local up`` exports
    (line,) = printed("PK-own").splitlines()
    assert line.startswith(f"{name} ignored: this target is the simulated broker.")
    assert "rebalance init --alpaca-paper --force" in line
    assert "PK-own" not in line
