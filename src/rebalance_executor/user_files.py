"""Default places of a user's journals and keys, by the number of the broker account they belong to.

One account has one journal on a machine, whatever the directory of a command is. So a second configuration of the same
account continues the same journal.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_FOLDER = "rebalance"
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


def default_journal(account_number: str) -> Path:
    """Return the path of an account's journal, below ``XDG_DATA_HOME`` or ``~/.local/share``."""
    return _base("XDG_DATA_HOME", ".local/share") / f"{_file_name(account_number)}.sqlite"


def default_keys_file(account_number: str) -> Path:
    """Return the path of an account's keys, below ``XDG_CONFIG_HOME`` or ``~/.config``."""
    return _base("XDG_CONFIG_HOME", ".config") / f"{_file_name(account_number)}.json"


def _base(variable: str, default: str) -> Path:
    configured = Path(os.environ.get(variable, ""))
    return (configured if configured.is_absolute() else Path.home() / default) / _FOLDER


def _file_name(account_number: str) -> str:
    return _UNSAFE.sub("_", account_number) or "account"
