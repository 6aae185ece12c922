"""Tables and other parts that all views are made of."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from io import StringIO

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text


def facts(rows: Iterable[tuple[str, RenderableType]]) -> Table:
    """Return a table of names and values, one per line. Consecutive tables line up."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True, min_width=8)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


def next_row(next_step: str | None) -> list[tuple[str, RenderableType]]:
    """Return the row with the next step for ``facts``; no row if there is none."""
    return [("Next", next_step)] if next_step is not None else []


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
    """Print a problem and the next step. The next step is not wrapped, so that a command in it can be copied."""
    console.print(Text(problem, "red"))
    console.print(Text.assemble(("→ ", "bold"), next_step), soft_wrap=True)
