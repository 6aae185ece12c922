"""Runs the operator's commands against a ``HandlerWorld``, in the test's process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from jsonschema import Draft202012Validator
from typer.testing import CliRunner, Result

from rebalance_cli import context
from rebalance_cli.main import app
from tests.support.world import HandlerWorld

CONFIG = 'target = "aws"\n'
SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


@dataclass(frozen=True, slots=True)
class Terminal:
    """Terminal that types ``rebalance …`` with the clock and the settings of the world's function."""

    world: HandlerWorld
    folder: Path
    variables: dict[str, str]

    def __post_init__(self) -> None:
        """Write a configuration that names a target and sets nothing."""
        self.config.write_text(CONFIG)

    @property
    def config(self) -> Path:
        """Path of the configuration file."""
        return self.folder / "target.toml"

    def type(self, *words: str, answers: str | None = None) -> Result:
        """Run a command and return its output and exit code."""
        with patch.object(context, "SystemClock", lambda: self.world.clock):
            return CliRunner().invoke(app, list(words), input=answers, env=self._environment())

    def json(self, schema: str, *words: str, code: int = 0) -> Any:
        """Run a command with ``--json``, check its answer against the published schema and return it."""
        done = self.type(*words, "--json")
        assert done.exit_code == code, (done.exit_code, done.stdout, done.stderr, done.exception)
        answer = json.loads(done.stdout)
        Draft202012Validator(json.loads((SCHEMAS / f"{schema}.schema.json").read_text())).validate(answer)
        return answer

    def file(self, document: object, name: str = "plan.json") -> str:
        """Write a JSON file and return its path."""
        path = self.folder / name
        path.write_text(json.dumps(document))
        return str(path)

    def _environment(self) -> dict[str, str]:
        settings = self.world.settings
        return {
            "EXECUTION_TABLE": settings.execution_table,
            "IDEMPOTENCY_TABLE": settings.idempotency_table,
            "ALPACA_SECRET_NAME": settings.alpaca_secret_name or "",
            "ALPACA_TRADING_URL": settings.trading_url,
            "ALPACA_DATA_URL": settings.alpaca_data_url,
            "EXECUTION_CONFIG": settings.execution_config,
            "PLAN_BUCKET": settings.plan_bucket or "",
            "RESULT_BUS": settings.result_bus or "",
            "REBALANCE_LOCAL_HOME": str(self.folder / "home"),
            "REBALANCE_CONFIG": str(self.config),
            "NO_COLOR": "1",
            "COLUMNS": "80",
        } | self.variables


def terminal(folder: Path, **variables: str) -> Callable[[HandlerWorld], Terminal]:
    """Return a function that makes a terminal for a world."""
    return lambda world: Terminal(world, folder, variables)
