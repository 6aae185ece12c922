"""The lab's figures as a table, as JSON and as a plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.lab.measure import Row


def as_json(rows: Sequence[Row]) -> str:
    """Return every figure of every row as JSON."""
    return json.dumps([asdict(row) for row in rows], indent=1)


def as_markdown(rows: Sequence[Row]) -> str:
    """Return the table of the documentation: cost, and the captured part of the optimum's saving."""
    cells = list(dict.fromkeys(row.cell for row in rows))
    by_name = {(row.strategy, row.cell): row for row in rows}
    lines = [f"| strategy | {' | '.join(cells)} |", "|---" + "|---:" * len(cells) + "|"]
    for name in dict.fromkeys(row.strategy for row in rows):
        texts = (_markdown(by_name.get((name, cell))) for cell in cells)
        lines.append(f"| {name} | {' | '.join(texts)} |")
    return "\n".join(lines)


def _markdown(row: Row | None) -> str:
    if row is None:
        return ""
    cost = f"{row.cost:.2f} ± {row.interval:.2f}"
    if row.captured is None or row.captured_of_ladders is None or row.strategy == "market order":
        return cost
    if row.bound is not None or "blind" in row.strategy:
        return f"{cost} ({row.captured:.0%})"
    return f"{cost} ({row.captured:.0%} / {row.captured_of_ladders:.0%})"


def show(rows: Sequence[Row], console: Console) -> None:
    """Print one table per cell, and the fills at the ladder's rungs."""
    for cell in dict.fromkeys(row.cell for row in rows):
        mine = [row for row in rows if row.cell == cell]
        console.print(_table(cell, mine))
        console.print(_rung_table(mine))
        console.print()


def _table(cell: str, rows: Sequence[Row]) -> Table:
    table = Table(title=cell, title_justify="left", title_style="bold")
    table.add_column("strategy")
    for name in (
        "cost, bps",
        "beyond market",
        "captured",
        "of ladders",
        "worst 1 %",
        "seconds",
        "orders",
    ):
        table.add_column(name, justify="right")
    for row in rows:
        captured = "–" if row.captured is None else f"{row.captured:.0%} ± {row.captured_interval:.0%}"
        table.add_row(
            row.strategy,
            f"{row.cost:.2f} ± {row.interval:.2f}",
            f"{row.beyond_market:+.2f} ± {row.beyond_market_interval:.2f}",
            captured,
            "–" if row.captured_of_ladders is None else f"{row.captured_of_ladders:.0%}",
            f"{row.worst:.1f}",
            f"{row.seconds:.1f}",
            f"{row.orders:.1f}",
            style="bold" if row.strategy.startswith("ours") else None,
        )
    return table


def _rung_table(rows: Sequence[Row]) -> Table:
    ours = [row for row in rows if row.strategy.startswith("ours")]
    rungs = sorted({rung for row in ours for rung in row.rungs})
    table = Table(
        title="filled at each rung, of the orders that reached it (share that reached it)", title_justify="left"
    )
    table.add_column("strategy")
    for rung in rungs:
        table.add_column(rung, justify="right")
    for row in ours:
        cells = [row.rungs.get(rung) for rung in rungs]
        table.add_row(row.strategy, *("" if cell is None else f"{cell[1]:.0%} ({cell[0]:.0%})" for cell in cells))
    return table


_COLOURS = {"ours": "#1f5fa8", "optimum": "#2f8f4e", "best": "#8cc7a0", "other": "#9a9a9a"}


def plot(rows: Sequence[Row], target: Path) -> None:
    """Plot the cost of every strategy in every cell, with its confidence interval."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "lab", "svg.fonttype": "path", "font.size": 9})
    from matplotlib import pyplot as plt

    cells = list(dict.fromkeys(row.cell for row in rows))
    names = list(dict.fromkeys(row.strategy for row in rows if "blind" not in row.strategy))
    figure, axes = plt.subplots(1, len(cells), figsize=(3.1 * len(cells) + 2.6, 0.34 * len(names) + 1.5), sharey=True)
    for axis, cell in zip(axes, cells, strict=True):
        mine = {row.strategy: row for row in rows if row.cell == cell}
        for place, name in enumerate(names):
            if (row := mine.get(name)) is None:
                continue
            colour = _COLOURS.get(name.replace(",", " ").split()[0], _COLOURS["other"])
            axis.barh(place, row.cost, xerr=row.interval, color=colour, height=0.66, error_kw={"lw": 0.9, "capsize": 2})
        axis.axvline(mine["market order"].cost, color="#b03030", lw=0.9, ls="--")
        axis.axvline(0, color="black", lw=0.6)
        axis.set_title(cell, fontsize=10)
        axis.set_xlabel("bps above arrival mid")
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    figure.suptitle(
        "Implementation shortfall by strategy, with 95 % intervals; dashed: the market order",
        x=0.01,
        ha="left",
        fontsize=11,
    )
    figure.tight_layout()
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Date": None, "Creator": None} if target.suffix == ".svg" else None)
    plt.close(figure)
