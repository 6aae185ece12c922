"""Tables and other parts that all views are made of."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from io import StringIO

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

_NAME_WIDTH, _GAP = 8, 2
"""Minimum width of the names of facts, and the spaces between names and values."""


def facts(rows: Iterable[tuple[str, RenderableType]]) -> Table:
    """Return a table of names and values, one per line. Consecutive tables line up."""
    table = Table.grid(padding=(0, _GAP, 0, 0))
    table.add_column(style="bold", no_wrap=True, min_width=_NAME_WIDTH)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


def plain_table(gap: int) -> Table:
    """Return an empty table without a frame, with ``gap`` spaces between its columns."""
    return Table(box=box.SIMPLE, padding=(0, gap - 1, 0, 0), show_edge=False, pad_edge=False, header_style="bold")


def first_fitting(variants: Iterable[Table], width: int) -> Table:
    """Return the first of these tables that fits into ``width`` columns, or the last one if none does."""
    table = Table()
    for table in variants:
        if natural_width(table) <= width:
            break
    return table


def natural_width(table: Table) -> int:
    """Return the number of columns that a table needs if nothing is cut off."""
    console = Console(width=1000, file=StringIO(), markup=False, emoji=False)
    return console.measure(table).maximum


def cost(amount: Decimal | None, text: str) -> Text:
    """Return a text in the color of a cost (red), of a gain (green) or of neither (dimmed)."""
    style = "dim" if not amount else ("red" if amount > 0 else "green")
    return Text(text, style)


def print_error(console: Console, problem: str, next_step: str) -> None:
    """Print a problem and the next step."""
    console.print(Text(problem, "red"))
    _print_step(console, "→ ", next_step)


def print_next(console: Console, next_step: str) -> None:
    """Print the next step as a fact, below those of the answer."""
    _print_step(console, "Next".ljust(_NAME_WIDTH + _GAP), next_step)


def _print_step(console: Console, name: str, next_step: str) -> None:
    # not wrapped: a line break in a command would be copied with it
    console.print(Text.assemble((name, "bold"), next_step), soft_wrap=True)
