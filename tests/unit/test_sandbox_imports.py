"""The sandbox's start-up code is imported only by commands that start something."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.processes import clean_environment

START_UP = ("aws", "handler_process", "kill_switch_button", "paper_broker", "seeding", "servers", "startup")


@pytest.mark.parametrize("module", ["rebalance_cli.context", "rebalance_cli.main"])
def test_commands_do_not_import_the_start_up_code_of_the_sandbox(module: str) -> None:
    """Otherwise ``rebalance status`` on AWS would load the code of the local servers."""
    program = (
        f"import sys, {module}; print(*sorted(name for name in sys.modules if name.startswith('rebalance_sandbox')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=clean_environment(), capture_output=True, text=True, check=True
    )
    imported = done.stdout.split()

    assert "rebalance_sandbox.environment" in imported
    assert not {f"rebalance_sandbox.{name}" for name in START_UP} & set(imported)


def test_sandbox_does_not_import_the_commands() -> None:
    modules = ", ".join(f"rebalance_sandbox.{name}" for name in (*START_UP, "invocation", "event_files"))
    program = f"import sys, {modules}; print(*(name for name in sys.modules if name.startswith('rebalance_cli')))"
    done = subprocess.run(
        [sys.executable, "-c", program], env=clean_environment(), capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == []
