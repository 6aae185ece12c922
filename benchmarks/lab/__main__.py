"""``python -m benchmarks.lab [--paths N] [--seed N] [--markdown] [--plot FILE] [--replay FILE]``: run the lab."""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks.lab.bounds import ALL_CELLS
from benchmarks.lab.measure import measure
from benchmarks.lab.report import as_json, as_markdown, plot, savings_of, show
from rebalance_executor.domain.config import ExecutionConfig


def main(arguments: list[str]) -> int:
    """Measure every cell and show the figures.

    Return 1 if an urgency costs more than the market order beyond noise.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lab", description="The execution lab.")
    parser.add_argument("--paths", type=int, default=4_000, help="paths per cell (default: 4000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same figures (default: 1)")
    parser.add_argument("--json", action="store_true", help="every figure as JSON")
    parser.add_argument("--markdown", action="store_true", help="the tables of docs/evidence/execution-lab.md")
    parser.add_argument("--plot", type=Path, help="write the plot to this file (needs matplotlib)")
    parser.add_argument("--replay", type=Path, help="JSON of benchmarks.replay: its savings beside those of the lab")
    parser.add_argument("--config", default="", help="JSON object of EXECUTION_CONFIG to measure")
    options = parser.parse_args(arguments)
    replayed = savings_of(options.replay) if options.replay else {}
    one = partial(measure, count=options.paths, seed=options.seed, config=ExecutionConfig.from_json(options.config))
    with ProcessPoolExecutor() as pool:
        rows = [row for cell in pool.map(one, ALL_CELLS) for row in cell]
    if options.json:
        sys.stdout.write(as_json(rows) + "\n")
    elif options.markdown:
        sys.stdout.write(as_markdown(rows, replayed) + "\n")
    else:
        show(rows, Console())
    if options.plot is not None:
        plot(rows, options.plot)
    return int(any(row.is_ours and row.beyond_market > row.beyond_market_interval for row in rows))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
