"""Rows of a sheet. Every cell that is read is valid, and every line has one cell per column."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from rebalance_cli.formatting import percent
from rebalance_cli.sheets.columns import EXAMPLE, Column, read_header
from rebalance_cli.sheets.decoding import Lines, read_lines
from rebalance_cli.sheets.errors import Place, SheetError
from rebalance_cli.sheets.numbers import NumberError, parse_dollars, parse_priority, parse_weight
from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.portfolio import WEIGHT_TOLERANCE
from rebalance_executor.domain.values import format_decimal

CASH = "CASH"
"""Symbol of the row with the part of the portfolio that stays in cash."""
_SUMS = frozenset({"TOTAL", "TOTALS", "SUM", "SUBTOTAL", "GRAND TOTAL"})
_TICKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9./_-]{0,49}")
"""As a cell spells it: in upper case, letters such as the dotless i become those of another symbol."""
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a sheet."""

    place: Place
    symbol: str
    amount: Decimal
    """The cell of trade_amount in dollars, or that of target_weight as a fraction."""
    current_value: Decimal | None
    """Dollars; None if the cell is empty or the column is missing."""
    priority: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of trade amounts or of target weights."""

    path: Path
    kind: Column
    """``TRADE_AMOUNT`` or ``TARGET_WEIGHT``."""
    rows: tuple[Row, ...]
    cash_weight: Decimal | None
    """Weight of the CASH row; None without one."""
    notes: tuple[str, ...]
    """Parts of the sheet that are not in the plan."""


def read_sheet(path: Path) -> Sheet:
    """Read a CSV file with the columns symbol and trade_amount or target_weight.

    Raises:
        CliError: the file cannot be read, or a line or cell does not have exactly one meaning.
    """
    lines = read_lines(path)
    header = read_header(lines)
    kind = Column.TARGET_WEIGHT if Column.TARGET_WEIGHT in header.columns else Column.TRADE_AMOUNT
    rows: dict[str, Row] = {}
    for number, cells in lines.cells[1:]:
        place = Place(path, number)
        _check_length(place, cells, len(header.names))
        row = _row(place, kind, lines, {column: (name, cell) for column, name, cell in header.cells(cells)})
        if row.symbol in rows:
            problem = f"{row.symbol} is in line {rows[row.symbol].place.line} already"
            raise SheetError(place, problem, "Merge the two lines.")
        rows[row.symbol] = row
    notes = [f"{', '.join(header.unread[:_MOST_NAMED])}: not read"] if header.unread else []
    cash = _cash_row(rows, kind)
    if not rows:
        raise SheetError(path, "the sheet has no row with a symbol", EXAMPLE)
    if kind is Column.TARGET_WEIGHT:
        notes += _notes_on_the_sum(_sum(path, [*rows.values(), *([cash] if cash is not None else [])]), cash)
    return Sheet(path, kind, tuple(rows.values()), cash.amount if cash is not None else None, tuple(notes))


def _check_length(place: Place, cells: tuple[str, ...], expected: int) -> None:
    if len(cells) == expected:
        return
    problem = f"the line has {len(cells)} cells, the header has {expected}"
    if len(cells) > expected:
        raise SheetError(place, problem, "Write numbers without thousands separators, or quote a cell with a comma.")
    raise SheetError(place, problem, "Add a delimiter for each empty cell, or the missing cells.")


def _row(place: Place, kind: Column, lines: Lines, cells: dict[Column, tuple[str, str]]) -> Row:
    name, cell = cells[Column.SYMBOL]
    symbol = cell.upper()
    if symbol in _SUMS:
        raise SheetError(place, f"{cell} is a sum, not a symbol", "Delete the line.")
    if not _TICKER.fullmatch(cell):
        at = Place(place.path, place.line, name)
        raise SheetError(at, f"{cell!r} is not a symbol" if cell else "the symbol is missing", EXAMPLE)

    def dollars(text: str) -> Decimal:
        return parse_dollars(text, delimiter=lines.delimiter)

    amount = _parsed(place, cells[kind], parse_weight if kind is Column.TARGET_WEIGHT else dollars)
    if amount is None:
        at = Place(place.path, place.line, cells[kind][0])
        fix = "Write 0 to sell everything." if kind is Column.TARGET_WEIGHT else "Write 0 to trade nothing."
        raise SheetError(at, "the cell is empty", fix)
    value = _parsed(place, cells.get(Column.CURRENT_VALUE), dollars)
    if value is not None and value < 0:
        at = Place(place.path, place.line, cells[Column.CURRENT_VALUE][0])
        raise SheetError(at, "a negative value is a short position, which no plan can change", "Write dollars from 0.")
    return Row(place, symbol, amount, value, _parsed(place, cells.get(Column.PRIORITY), parse_priority) or 1)


def _parsed[T](place: Place, named: tuple[str, str] | None, parse: Callable[[str], T]) -> T | None:
    """Return the value of a cell; None if it is empty or has no column."""
    if named is None or not named[1]:
        return None
    name, cell = named
    try:
        return parse(cell)
    except NumberError as error:
        at = Place(place.path, place.line, name)
        raise SheetError(at, f"{cell!r} {error.problem}", error.fix) from None


def _cash_row(rows: dict[str, Row], kind: Column) -> Row | None:
    """Take the CASH row out of the rows and return it; None if there is none."""
    cash = rows.pop(CASH, None)
    if cash is not None and kind is Column.TRADE_AMOUNT:
        raise SheetError(cash.place, "cash is what the trades leave, and cannot be traded", "Delete the line.")
    return cash


def _notes_on_the_sum(total: Decimal, cash: Row | None) -> list[str]:
    """Say which part of the portfolio the sheet leaves in cash, or does not name."""
    notes = [f"{CASH}: {percent(cash.amount)} stays in cash; no order is sent for it"] if cash is not None else []
    if (rest := 1 - total) > WEIGHT_TOLERANCE:
        rest_stays = f"the other {percent(rest)} stays in cash, or in holdings that are not in the sheet"
        notes.append(f"the weights sum to {percent(total)}; {rest_stays}")
    return notes


def _sum(path: Path, rows: list[Row]) -> Decimal:
    total = sum((row.amount for row in rows), ZERO)
    if total <= 1 + WEIGHT_TOLERANCE:
        return total
    problem = f"the weights sum to {format_decimal(total)}, more than the portfolio"
    raise SheetError(path, problem, "Correct them: with the cash they are at most 100%.")
