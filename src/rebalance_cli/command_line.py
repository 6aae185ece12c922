"""Commands and paths as they are printed: they work in the shell that ran the current command."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

DATA_DIR = Path(".local")
DATA_DIR_VARIABLE = "REBALANCE_LOCAL_HOME"
CONFIG_FILE = Path("rebalance.toml")
CONFIG_VARIABLE = "REBALANCE_CONFIG"
_PROGRAM = "rebalance"


def command_line(*words: str) -> str:
    """Return a ``rebalance`` command, quoted for the shell.

    If the shell does not find the program by its name, the command starts with its path: in a checkout that is
    ``.venv/bin/rebalance``.
    """
    program = Path(sys.argv[0])
    has_path = program.name == _PROGRAM and shutil.which(_PROGRAM) is None
    return shlex.join([display_path(program) if has_path else _PROGRAM, *words])


def display_path(path: Path) -> str:
    """Return the path relative to the current directory if it is below it."""
    return os.path.relpath(path) if path.resolve().is_relative_to(Path.cwd()) else str(path)


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """Options of the current command that select its target."""

    data_dir: Path = DATA_DIR
    config_file: Path = CONFIG_FILE

    @property
    def is_config_named(self) -> bool:
        """True if an option or the environment names the configuration file: it must exist."""
        return self.config_file != CONFIG_FILE or CONFIG_VARIABLE in os.environ

    def command(self, *words: str) -> str:
        """Return a command on the same target; see ``command_line``."""
        data_dir = _typed("--data-dir", self.data_dir, DATA_DIR_VARIABLE, DATA_DIR)
        config = _typed("--config", self.config_file, CONFIG_VARIABLE, CONFIG_FILE)
        accepted = {"init": config, "local": data_dir}.get(words[0], [*data_dir, *config])
        return command_line(*words, *accepted)


def _typed(option: str, value: Path, variable: str, default: Path) -> list[str]:
    """Return the option with its value, or nothing if the environment or the default gives the same value."""
    return [] if str(value) == os.environ.get(variable, str(default)) else [option, str(value)]
