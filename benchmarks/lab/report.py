"""The lab's figures as a table, as JSON and as a plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.lab.measure import IMPROVED_MARKET, MARKET, OURS, Row

Savings = dict[tuple[str, str], float]
"""Saving over the market order as a part of its cost, by strategy and market."""


def as_json(rows: Sequence[Row]) -> str:
    """Return every figure of every row as JSON."""
    return json.dumps([asdict(row) for row in rows], indent=1)


def savings_of(path: Path) -> Savings:
    """Return the savings of a replay under the fill model ``queue``, from the JSON that it has written."""
    queue = [row for row in json.loads(path.read_text(encoding="utf-8")) if row["model"] == "queue"]
    market = {row["symbol"]: row["cost"]["mean"] for row in queue if row["strategy"] == MARKET}
    return {(row["strategy"], row["symbol"]): 1 - row["cost"]["mean"] / market[row["symbol"]] for row in queue}


def as_markdown(rows: Sequence[Row], replayed: Savings) -> str:
    """Return the tables of the documentation: cost with the captured saving, level, worst 1 %, fills at each rung."""
    costs = {(row.strategy, row.cell): _cost(row) for row in rows}
    known = [row for row in rows if row.bound is None and "blind" not in row.strategy]
    savings = {(row.strategy, row.cell): row.saving for row in known} | replayed
    names = {row.strategy for row in known if row.strategy not in (MARKET, IMPROVED_MARKET)}
    levels = {of: f"{round(saving, 2) + 0.0:.0%}" for of, saving in savings.items() if of[0] in names}
    worst = {(row.strategy, row.cell): f"{row.worst:.1f}" for row in known if row.strategy != IMPROVED_MARKET}
    rungs = {
        (f"{row.strategy.removeprefix(OURS)}, {rung}", row.cell): f"{filled:.0%} of {placed:.0%}"
        for row in rows
        if row.is_ours
        for rung, (placed, filled) in row.rungs.items()
    }
    tables = {"strategy": costs, "saving": levels, "worst 1 %": worst, "filled at": rungs}
    return "\n\n".join(_pivot(title, texts) for title, texts in tables.items())


def _pivot(title: str, texts: dict[tuple[str, str], str]) -> str:
    """Return a table of the texts by row and column, in the order of their first appearance."""
    columns = list(dict.fromkeys(column for _, column in texts))
    lines = [f"| {title} | {' | '.join(columns)} |", "|---" + "|---:" * len(columns) + "|"]
    for name in dict.fromkeys(name for name, _ in texts):
        lines.append(f"| {name} | {' | '.join(texts.get((name, column), '') for column in columns)} |")
    return "\n".join(lines)


def _cost(row: Row) -> str:
    cost = f"{row.cost:.2f} ± {row.interval:.2f}"
    if row.captured is None or row.captured_of_ladders is None or row.strategy == MARKET:
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
            style="bold" if row.is_ours else None,
        )
    return table


def _rung_table(rows: Sequence[Row]) -> Table:
    ours = [row for row in rows if row.is_ours]
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
_COLUMNS = 3
"""Markets beside each other in the plot."""


def plot(rows: Sequence[Row], target: Path) -> None:
    """Plot the cost of every strategy in every cell, with its confidence interval."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "lab", "svg.fonttype": "path", "font.size": 9})
    from matplotlib import pyplot as plt

    cells = list(dict.fromkeys(row.cell for row in rows))
    names = list(dict.fromkeys(row.strategy for row in rows if "blind" not in row.strategy))
    height = 0.3 * len(names) + 0.8
    figure, axes = plt.subplots(-(-len(cells) // _COLUMNS), _COLUMNS, figsize=(13, 2 * height), sharey=True)
    for axis, cell in zip(axes.flat, cells, strict=False):
        mine = {row.strategy: row for row in rows if row.cell == cell}
        for place, name in enumerate(names):
            if (row := mine.get(name)) is None:
                continue
            colour = _COLOURS.get(name.replace(",", " ").split()[0], _COLOURS["other"])
            axis.barh(place, row.cost, xerr=row.interval, color=colour, height=0.66, error_kw={"lw": 0.9, "capsize": 2})
        axis.axvline(mine[MARKET].cost, color="#b03030", lw=0.9, ls="--")
        axis.axvline(0, color="black", lw=0.6)
        axis.set_title(cell, fontsize=10)
        axis.set_xlabel("bps above arrival mid")
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
    for axis in axes[:, 0]:
        axis.set_yticks(range(len(names)), names)
    axes[0, 0].invert_yaxis()
    figure.suptitle(
        "Implementation shortfall by strategy, with 95 % intervals; dashed: the market order",
        x=0.01,
        ha="left",
        fontsize=11,
    )
    figure.tight_layout(rect=(0, 0, 1, 0.98))
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Date": None, "Creator": None} if target.suffix == ".svg" else None)
    plt.close(figure)
