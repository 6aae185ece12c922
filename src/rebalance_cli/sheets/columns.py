"""Columns of a sheet: their names, other spellings of them, and those that this program does not read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from rebalance_cli.sheets.decoding import Lines
from rebalance_cli.sheets.errors import Place, SheetError


class Column(StrEnum):
    """A column that is read."""

    SYMBOL = "symbol"
    TRADE_AMOUNT = "trade_amount"
    TARGET_WEIGHT = "target_weight"
    CURRENT_VALUE = "current_value"
    PRIORITY = "priority"


_SYNONYMS = {
    "ticker": Column.SYMBOL,
    "weight": Column.TARGET_WEIGHT,
    "market_value": Column.CURRENT_VALUE,
}
_INSTRUCTIONS = frozenset(
    {
        *("action", "side", "buy_sell", "quantity", "qty", "shares", "order_type", "type", "time_in_force"),
        *("limit", "limit_price", "stop", "stop_price", "execution_style", "style", "urgency", "target_value"),
    }
)
"""Columns that ask for something. Their author relies on them, so none of them may be left unread."""
EXAMPLE = "The first line names the columns, as in symbol,target_weight; each following line is like AAPL,0.25."


@dataclass(frozen=True, slots=True)
class Header:
    """First line of a sheet."""

    names: tuple[str, ...]
    """Names as the sheet spells them."""
    columns: tuple[Column | None, ...]
    """Meaning of each column; None for one that is not read."""

    @property
    def unread(self) -> tuple[str, ...]:
        """Names of the columns that are not read."""
        return tuple(name for name, column in zip(self.names, self.columns, strict=True) if name and column is None)

    def cells(self, cells: tuple[str, ...]) -> Iterator[tuple[Column, str, str]]:
        """Yield column, name and cell of the columns that are read."""
        for column, name, cell in zip(self.columns, self.names, cells, strict=True):
            if column is not None:
                yield column, name, cell


def read_header(lines: Lines) -> Header:
    """Return the header of a sheet.

    Raises:
        SheetError: a column is missing or there twice, or one asks for something that a sheet cannot ask for.
    """
    number, names = lines.cells[0]
    place = Place(lines.path, number)
    keys = [re.sub(r"[\s_-]+", "_", name.lower()) for name in names]
    columns = [_SYNONYMS.get(key) or (Column(key) if key in set(Column) else None) for key in keys]
    found = ", ".join(name for name in names if name)
    _check_once(place, names, keys, columns)
    if Column.SYMBOL not in columns or not {Column.TRADE_AMOUNT, Column.TARGET_WEIGHT} & set(columns):
        problem = f"the sheet needs the columns symbol and trade_amount or target_weight; it has {found}"
        raise SheetError(place, problem, EXAMPLE)
    if {Column.TRADE_AMOUNT, Column.TARGET_WEIGHT} <= set(columns):
        problem = "the sheet has both trade_amount and target_weight"
        raise SheetError(place, problem, "Keep the one that says what to trade, and delete the other column.")
    for name, key in zip(names, keys, strict=True):
        if key in _INSTRUCTIONS:
            fix = "Delete the column. A plan in JSON has more fields: docs/reference.md#schemas."
            raise SheetError(place, f"the column {name} is not read, so it would have no effect", fix)
    return Header(names, tuple(columns))


def _check_once(place: Place, names: tuple[str, ...], keys: list[str], columns: list[Column | None]) -> None:
    """Check that no column is there twice, under one name or under two."""
    meanings = [str(column) if column is not None else key for key, column in zip(keys, columns, strict=True)]
    for number, meaning in enumerate(meanings):
        if meaning and meaning in meanings[:number]:
            first = names[meanings.index(meaning)]
            same = "" if first == names[number] else f", as {first} and as {names[number]}"
            raise SheetError(place, f"the column {meaning} is there more than once{same}", "Keep one of them.")
