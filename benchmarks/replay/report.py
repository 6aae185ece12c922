"""The replay's figures as tables, as JSON and as a plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.replay.fills import FillModel
from benchmarks.replay.measure import MARKOUT_SECONDS
from benchmarks.replay.rows import Mean, Row
from benchmarks.replay.strategies import MARKET, MID

_OURS = ("ours", "rival")
_JUDGED = (FillModel.TOUCH, FillModel.STRICT, FillModel.QUEUE)
"""Fill models under which no urgency may cost more than the market order; the other one is a bound."""
_AFTER = " / ".join(f"{after} s" for after in MARKOUT_SECONDS)


def as_json(rows: Sequence[Row]) -> str:
    """Return every figure of every row as JSON."""
    return json.dumps([asdict(row) for row in rows], indent=1)


def worse_than_market(rows: Sequence[Row]) -> list[str]:
    """Return where one of our urgencies costs more than the market order beyond noise."""
    return [
        f"{row.symbol}, {row.model}: {row.strategy} {_signed(row.beyond[MARKET])}"
        for row in rows
        if row.strategy.startswith(_OURS) and row.model in _JUDGED and row.beyond[MARKET].is_above_zero
    ]


def show(rows: Sequence[Row], console: Console) -> None:
    """Print one table per symbol and fill model, and where an urgency is worse than the market order."""
    for symbol, model in dict.fromkeys((row.symbol, row.model) for row in rows):
        console.print(_table([row for row in rows if (row.symbol, row.model) == (symbol, model)]))
        console.print()
    worse = worse_than_market(rows) or ["nowhere"]
    console.print("Worse than the market order beyond noise (touch, strict, queue):", *worse, sep="\n  ")


def _table(rows: Sequence[Row]) -> Table:
    first = rows[0]
    title = f"{first.symbol}, {first.model}: {first.parents} parents"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("strategy", no_wrap=True)
    has_rival = any(_rival(row) is not None for row in rows)
    names = ["cost, bps", "half spreads", "beyond market", "beyond mid", *["beyond ours"] * has_rival]
    names += [
        "of fills",
        "worst 1 %",
        "s.d.",
        "filled",
        "complete",
        "seconds",
        "orders",
        "requests",
        f"markout {_AFTER}",
    ]
    for name in names:
        table.add_column(name, justify="right")
    for row in rows:
        means = [row.beyond.get(MARKET), row.beyond.get(MID), *[_rival(row)] * has_rival]
        table.add_row(
            row.strategy,
            _plain(row.cost),
            f"{row.half_spreads:.2f}",
            *("–" if mean is None else _signed(mean) for mean in means),
            *_details(row),
            style="bold" if row.strategy.startswith(_OURS) else None,
        )
    return table


def _rival(row: Row) -> Mean | None:
    return next((mean for name, mean in row.beyond.items() if name not in (MARKET, MID)), None)


def _details(row: Row) -> list[str]:
    return [
        "–" if row.fill_cost is None else f"{row.fill_cost:.2f}".replace("-", "−"),
        f"{row.worst:.1f}",
        f"{row.deviation:.1f}",
        f"{row.filled:.1%}",
        f"{row.complete:.1%}",
        f"{row.seconds:.1f}",
        f"{row.orders:.1f}",
        f"{row.requests:.1f}",
        " / ".join(f"{change:+.2f}" for change in row.markouts.values()).replace("-", "−"),
    ]


def as_markdown(rows: Sequence[Row]) -> str:
    """Return the tables of the documentation: costs by fill model, and the details of the most plausible one."""
    models = list(dict.fromkeys(row.model for row in rows))
    parts = [part for model in models for part in (f"Fill model `{model}`:", _costs(rows, model))]
    main = _main_model(rows)
    return "\n\n".join([*parts, f"Details, fill model `{main}`:", _details_table(rows, main)])


def _costs(rows: Sequence[Row], model: FillModel) -> str:
    symbols = list(dict.fromkeys(row.symbol for row in rows))
    by_name = {(row.strategy, row.symbol): row for row in rows if row.model is model}
    lines = [f"| strategy | {' | '.join(symbols)} |", "|---" + "|---:" * len(symbols) + "|"]
    for name in dict.fromkeys(row.strategy for row in rows):
        texts = (_cost(by_name[name, symbol]) for symbol in symbols)
        lines.append(f"| {name} | {' | '.join(texts)} |")
    return "\n".join(lines)


def _cost(row: Row) -> str:
    cost = f"{_plain(row.cost)}, {row.half_spreads:.2f}"
    beyond = row.beyond.get(MARKET)
    return cost if beyond is None else f"{cost} ({_signed(beyond)})"


def _details_table(rows: Sequence[Row], model: FillModel) -> str:
    names = "of fills | worst 1 % | s.d. | filled | complete | seconds | orders | requests"
    lines = [f"| symbol | strategy | {names} | markout {_AFTER} |", "|---|---" + "|---:" * 9 + "|"]
    lines += [f"| {row.symbol} | {row.strategy} | {' | '.join(_details(row))} |" for row in rows if row.model is model]
    return "\n".join(lines)


def _main_model(rows: Sequence[Row]) -> FillModel:
    models = [row.model for row in rows]
    return FillModel.QUEUE if FillModel.QUEUE in models else models[0]


def _plain(mean: Mean) -> str:
    return f"{mean.mean:.2f} ± {mean.interval:.2f}".replace("-", "−")


def _signed(mean: Mean) -> str:
    return f"{mean.mean:+.2f} ± {mean.interval:.2f}".replace("-", "−")


_COLOURS = {"ours": "#1f5fa8", "rival": "#2f8f4e", "other": "#9a9a9a"}
_MARKERS = {FillModel.TOUCH: "^", FillModel.STRICT: "s", FillModel.QUEUE: "o", FillModel.QUEUE3: "x"}


def plot(rows: Sequence[Row], target: Path) -> None:
    """Plot the cost of every strategy for every symbol: bars for the main fill model, markers for the others."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "replay", "svg.fonttype": "path", "font.size": 9})
    from matplotlib import pyplot as plt

    main = _main_model(rows)
    symbols = list(dict.fromkeys(row.symbol for row in rows))
    names = list(dict.fromkeys(row.strategy for row in rows))
    size = (3.1 * len(symbols) + 2.6, 0.34 * len(names) + 1.7)
    figure, axes = plt.subplots(1, len(symbols), figsize=size, sharey=True, squeeze=False)
    for axis, symbol in zip(axes[0], symbols, strict=True):
        for row in (row for row in rows if row.symbol == symbol):
            place = names.index(row.strategy)
            if row.model is not main:
                axis.plot(row.cost.mean, place, _MARKERS[row.model], color="black", ms=3.5, mew=0.8, fillstyle="none")
                continue
            colour = _COLOURS.get(row.strategy.partition(",")[0], _COLOURS["other"])
            bars = {"color": colour, "height": 0.66, "error_kw": {"lw": 0.9, "capsize": 2}}
            axis.barh(place, row.cost.mean, xerr=row.cost.interval, **bars)
            if row.strategy == MARKET:
                axis.axvline(row.cost.mean, color="#b03030", lw=0.9, ls="--")
        axis.axvline(0, color="black", lw=0.6)
        axis.set_title(symbol, fontsize=10)
        axis.set_xlabel("bps above arrival mid")
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
    axes[0][0].set_yticks(range(len(names)), names)
    axes[0][0].invert_yaxis()
    words = {"^": "triangle", "s": "square", "o": "circle", "x": "cross"}
    others = [
        f"{words[_MARKERS[model]]} {model}" for model in dict.fromkeys(row.model for row in rows) if model != main
    ]
    legend = f"; markers: {', '.join(others)}" if others else ""
    title = f"Bars: fill model {main}, with 95 % intervals{legend}; dashed: the market order"
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    figure.tight_layout()
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Date": None, "Creator": None} if target.suffix == ".svg" else None)
    plt.close(figure)
