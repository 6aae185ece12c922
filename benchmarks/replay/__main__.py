"""``python -m benchmarks.replay --data DIR``: replay the program's decisions on recorded quotes and trades."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks.replay.fills import FillModel
from benchmarks.replay.measure import Cell, Setup, joined, measure
from benchmarks.replay.ours import Schedule
from benchmarks.replay.report import as_json, as_markdown, plot, show
from benchmarks.replay.rows import Row, rows_of
from benchmarks.replay.sizes import Size
from benchmarks.replay.ticks import Source, TickDataError, find
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import ConfigurationError


def main(arguments: list[str]) -> int:
    """Replay every selected day and show the figures. Return 2 if the data or an option is wrong."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        rows = _rows(options)
    except (TickDataError, ConfigurationError, ValueError) as error:
        parser.error(str(error))
    if options.json:
        sys.stdout.write(as_json(rows) + "\n")
    elif options.markdown:
        sys.stdout.write(as_markdown(rows) + "\n")
    else:
        show(rows, Console())
    if options.plot is not None:
        plot(rows, options.plot)
    return 0


def _rows(options: argparse.Namespace) -> list[Row]:
    setup = Setup(
        config=ExecutionConfig.from_json(options.config),
        rival=ExecutionConfig.from_json(options.rival) if options.rival else None,
        size=Size.parse(options.size),
        arrivals=options.arrivals,
        seed=options.seed,
        seconds=options.seconds,
        schedule=Schedule(options.slices, options.slice_seconds),
        models=tuple(options.models),
    )
    sources = find(options.data, options.symbols, options.days)
    one = partial(measure, setup=setup)
    if options.jobs == 1:
        return rows_of(joined(_noted(sources, map(one, sources))))
    with ProcessPoolExecutor(options.jobs) as pool:
        return rows_of(joined(_noted(sources, pool.map(one, sources))))


def _noted(sources: Sequence[Source], days: Iterable[list[Cell]]) -> list[list[Cell]]:
    """Return the cells of all days; tell on stderr which day is done."""
    found = []
    for number, (source, cells) in enumerate(zip(sources, days, strict=True), 1):
        sys.stderr.write(f"{source.symbol} {source.day}: {number} of {len(sources)} done\n")
        found.append(cells)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description="The execution replay.")
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with SYMBOL/YYYYMMDD_quote.zip and _trade.zip")
    add("--symbols", nargs="+", default=[], help="only these symbols")
    add("--days", nargs="+", default=[], help="only these days, YYYYMMDD")
    add("--size", default="100", help="size of a parent: 100 shares, 20x the display, 0.5%% of the day's volume")
    add("--arrivals", type=_positive, default=100, help="arrivals per symbol and day (default: 100)")
    add("--seed", type=int, default=1, help="the same seed gives the same arrivals (default: 1)")
    add("--seconds", type=_positive, default=900, help="time limit of a parent (default: 900)")
    add("--slices", type=_positive, default=20, help="number of equal slices (default: 20)")
    add("--slice-seconds", type=_positive, default=600, help="seconds over which the slices start (default: 600)")
    models = list(FillModel)
    add("--models", nargs="+", type=FillModel, choices=models, default=models, help="fill models (default: all)")
    add("--config", default="", help="JSON object of EXECUTION_CONFIG to measure")
    add("--rival", default="", help="JSON object of EXECUTION_CONFIG to compare with it on the same arrivals")
    add("--jobs", type=_positive, help="processes (default: one per core)")
    add("--json", action="store_true", help="every figure as JSON")
    add("--markdown", action="store_true", help="the tables of docs/evidence/execution-replay.md")
    add("--plot", type=Path, help="write the plot to this file (needs matplotlib)")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
