"""The page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rebalance_executor.cli.ledger import Entry


def write_page(path: Path, title: str, entries: Sequence[Entry], unfinished: Sequence[str]) -> None:
    """Write the page."""
    raise NotImplementedError
