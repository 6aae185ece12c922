"""Errors of a sheet: the place, the problem and the fix."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rebalance_cli.exit_codes import CliError


@dataclass(frozen=True, slots=True)
class Place:
    """Place of a cell or a line in a file."""

    path: Path
    line: int
    column: str | None = None
    """Name of the column as the sheet spells it; None for the whole line."""

    def __str__(self) -> str:
        column = f", column {self.column}" if self.column is not None else ""
        return f"{self.path}, line {self.line}{column}"


class SheetError(CliError):
    """A sheet that cannot be read as it is written.

    Args:
        place: the file, or a place in it.
        problem: what is wrong, without a full stop.
        fix: what to change.
    """

    def __init__(self, place: Place | Path, problem: str, fix: str) -> None:
        super().__init__(f"{place}: {problem}.", fix)
