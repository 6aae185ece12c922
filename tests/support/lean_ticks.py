"""Small tick files in Lean's format."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

QuoteRow = tuple[int, int, int, int, int]
"""Milliseconds after midnight, bid and its size, ask and its size; prices in ten-thousandths of a dollar."""
TradeRow = tuple[int, int, int]
"""Milliseconds after midnight, price and size."""


def write_rows(path: Path, rows: Sequence[str]) -> Path:
    """Write a zip of one CSV file with these rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{path.stem}.csv", "".join(f"{row}\n" for row in rows))
    return path


def write_day(folder: Path, name: str, quotes: Sequence[QuoteRow], trades: Sequence[TradeRow]) -> None:
    """Write ``SYMBOL/YYYYMMDD_quote.zip`` and ``_trade.zip``; ``name`` is SYMBOL/YYYYMMDD."""
    quote_rows = [",".join(map(str, [*row, "Z", 1, 0])) for row in quotes]
    write_rows(folder / f"{name}_quote.zip", quote_rows)
    write_rows(folder / f"{name}_trade.zip", [",".join(map(str, [*row, "N", 1, 0])) for row in trades])
