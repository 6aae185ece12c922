"""``python -m benchmarks.replay.forecast --data DIR``: fit the cost model on some days, judge it on others."""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from math import sqrt
from pathlib import Path
from statistics import fmean

from benchmarks.replay.cases import Case, Sample, cases_of, is_hindsight, replay
from benchmarks.replay.fills import FillModel
from benchmarks.replay.sizes import Size
from benchmarks.replay.ticks import TickDataError, find
from rebalance_executor.domain.cost_model import FITTED, Parameters
from rebalance_executor.domain.plan import Urgency

_OF_MEANS = ("flow", "moves", "gain", "impact")
"""Parameters that the means decide; the coverage of the intervals decides ``step``."""
_STEPS = tuple(tenth / 10 for tenth in range(21))
_NORMAL_95 = 1.96
_MOST_ERROR, _LEAST_COVERED, _MOST_COVERED = 0.3, 0.85, 0.95
"""Basis points, and parts of the orders: bounds within which a cell counts as met."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One cell: a symbol, a size and an urgency. Costs in basis points of the mid at arrival."""

    symbol: str
    size: str
    urgency: str
    orders: int
    realised: float
    forecast: float
    error: float
    """Mean of realised less forecast."""
    noise: float
    """Half of the 95 % interval of the error: parents of the same half hour move together."""
    covered: float
    """Part of the orders within their interval."""
    below: float
    above: float

    @property
    def is_mean_met(self) -> bool:
        """True if the error is within the bound."""
        return abs(self.error) < _MOST_ERROR

    @property
    def is_interval_met(self) -> bool:
        """True if the coverage is within its bounds."""
        return _LEAST_COVERED <= self.covered <= _MOST_COVERED


def fit(cases: Sequence[Case]) -> Parameters:
    """Return the parameters with the smallest sum of squared mean errors over all cells, and most intervals met."""
    cells = _cells(cases)

    def loss(parameters: Parameters) -> float:
        """Return the sum of the squared mean errors."""
        return sum(fmean(case.cost - case.order.mean(parameters) for case in cell) ** 2 for cell in cells.values())

    best = _descend(replace(FITTED, flow=0.5, moves=1.0, gain=0.9, impact=0.2), loss)

    def met(step: float) -> int:
        """Return the number of cells whose coverage is within the bounds."""
        return sum(verdict.is_interval_met for verdict in judge(cases, replace(best, step=step)))

    return replace(best, step=max(_STEPS, key=met))


def _descend(start: Parameters, loss: Callable[[Parameters], float]) -> Parameters:
    """Return a local minimum: one parameter after the other is multiplied and divided by a shrinking factor."""
    best, lowest, factor = start, loss(start), 1.5
    while factor > 1.02:
        found = lowest
        for name in _OF_MEANS:
            for change in (factor, 1 / factor):
                tried = replace(best, **{name: getattr(best, name) * change})
                if tried.gain <= 1 and (error := loss(tried)) < lowest:
                    best, lowest = tried, error
        if lowest == found:
            factor = sqrt(factor)
    return best


def judge(cases: Sequence[Case], parameters: Parameters) -> list[Verdict]:
    """Return the verdict of every cell."""
    return [_verdict(cell, parameters) for _, cell in sorted(_cells(cases).items())]


def _cells(cases: Sequence[Case]) -> dict[tuple[str, str, str], list[Case]]:
    cells = defaultdict(list)
    for case in cases:
        cells[case.cell].append(case)
    return cells


def _verdict(cell: Sequence[Case], parameters: Parameters) -> Verdict:
    pairs = [(case, case.order.forecast(parameters)) for case in cell]
    ends = [(case.cost, float(one.low_bps or 0), float(one.high_bps or 0)) for case, one in pairs]
    errors = [case.cost - float(one.bps or 0) for case, one in pairs]
    error = fmean(errors)
    sums: dict[str, float] = defaultdict(float)
    for case, own in zip(cell, errors, strict=True):
        sums[case.half_hour] += own - error
    below = fmean(cost < low for cost, low, _ in ends)
    above = fmean(cost > high for cost, _, high in ends)
    return Verdict(
        *cell[0].cell,
        orders=len(cell),
        realised=fmean(case.cost for case in cell),
        forecast=fmean(float(one.bps or 0) for _, one in pairs),
        error=error,
        noise=_NORMAL_95 * sqrt(sum(total**2 for total in sums.values())) / len(cell),
        covered=1 - below - above,
        below=below,
        above=above,
    )


def as_markdown(title: str, verdicts: Sequence[Verdict]) -> str:
    """Return a table of all cells, and how many of them are within the bounds."""
    urgencies = list(dict.fromkeys(urgency for urgency in Urgency if any(one.urgency == urgency for one in verdicts)))
    by_cell = {(one.symbol, one.size, one.urgency): one for one in verdicts}
    lines = [f"{title}:", "", f"| | {' | '.join(urgencies)} |", "|---" + "|---" * len(urgencies) + "|"]
    for symbol, size in dict.fromkeys((one.symbol, one.size) for one in verdicts):
        cells = (by_cell.get((symbol, size, urgency)) for urgency in urgencies)
        lines.append(f"| {symbol} {size} | {' | '.join('–' if one is None else _text(one) for one in cells)} |")
    orders = sum(one.orders for one in verdicts)
    mean_error = sum(one.error * one.orders for one in verdicts) / orders
    mean_covered = sum(one.covered * one.orders for one in verdicts) / orders
    met = sum(one.is_mean_met for one in verdicts), sum(one.is_interval_met for one in verdicts)
    means = f"mean error {mean_error:+.2f} bps, {mean_covered:.1%} covered"
    bounds = (
        f"error below {_MOST_ERROR} bps in {met[0]}, {_LEAST_COVERED:.0%} to {_MOST_COVERED:.0%} covered in {met[1]}"
    )
    lines += ["", f"{len(verdicts)} cells, {orders:,} orders: {means}; {bounds} of them."]
    return "\n".join(lines).replace(" -", " −")


def _text(one: Verdict) -> str:
    """Return realised cost, error and coverage; what misses its bound is marked."""
    error = f"{one.error:+.2f} ± {one.noise:.2f}{'' if one.is_mean_met else ' ✗'}"
    return f"{one.realised:.2f}, {error}, {one.covered:.0%}{'' if one.is_interval_met else ' ✗'}"


def main(arguments: list[str]) -> int:
    """Fit and judge, and print parameters and tables. Return 2 if the data or an option is wrong."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        cases = _cases(options)
    except (TickDataError, ValueError) as error:
        parser.error(str(error))
    judged = [case for case in cases if f"{case.day:%Y%m%d}" not in options.fit_days]
    fitted = [case for case in cases if f"{case.day:%Y%m%d}" in options.fit_days]
    parameters = fit(fitted) if options.fit else FITTED
    tables = {"Judged days": judge(judged, parameters)} if judged else {}
    if fitted:
        tables["Days of the fit"] = judge(fitted, parameters)
    if options.leave_out:
        for symbol in sorted({case.symbol for case in cases}):
            others = fit([case for case in fitted if case.symbol != symbol])
            tables[f"{symbol}, fitted without it"] = judge([c for c in judged if c.symbol == symbol], others)
    if options.json:
        found = {title: [asdict(one) for one in verdicts] for title, verdicts in tables.items()}
        sys.stdout.write(json.dumps({"parameters": asdict(parameters), "tables": found}, indent=1) + "\n")
        return 0
    texts = [f"{field.name}={getattr(parameters, field.name):.2f}" for field in fields(parameters)]
    hindsight = sorted({f"{case.day}" for case in cases if options.bars is None and is_hindsight(case.day, cases)})
    sys.stdout.write(f"Parameters: {', '.join(texts)}\n")
    if hindsight:
        sys.stdout.write(f"Volume and volatility in hindsight: {', '.join(hindsight)}\n")
    sys.stdout.writelines(f"\n{as_markdown(title, verdicts)}\n" for title, verdicts in tables.items())
    return 0


def _cases(options: argparse.Namespace) -> list[Case]:
    sample = Sample(
        tuple(Size.parse(size) for size in options.sizes),
        options.arrivals,
        options.large_arrivals,
        options.seed,
        options.model,
    )
    sources = find(options.data, options.symbols, options.days)
    with ProcessPoolExecutor(options.jobs) as pool:
        parents = [parent for day in pool.map(partial(replay, sample=sample), sources) for parent in day]
    return cases_of(parents, options.bars)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay.forecast", description="Judge the forecast.")
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with SYMBOL/YYYYMMDD_quote.zip and _trade.zip")
    add("--bars", type=Path, help="folder with Lean's daily bars, SYMBOL.zip, for volume and volatility")
    add("--symbols", nargs="+", default=[], help="only these symbols")
    add("--days", nargs="+", default=[], help="only these days, YYYYMMDD")
    add("--fit-days", nargs="+", default=["20131007"], help="days that are not judged (default: 20131007)")
    add("--fit", action="store_true", help="fit the parameters on --fit-days instead of using the program's")
    add("--leave-out", action="store_true", help="also judge each symbol with parameters fitted on the others")
    add("--sizes", nargs="+", default=["100", "1x", "3x", "20x"], help="sizes of the parents (default: 100 1x 3x 20x)")
    add("--arrivals", type=int, default=150, help="arrivals per symbol, day and size (default: 150)")
    add("--large-arrivals", type=int, default=30, help="the same for sizes that are sliced (default: 30)")
    add("--seed", type=int, default=1, help="the same seed gives the same arrivals (default: 1)")
    add("--model", type=FillModel, choices=list(FillModel), default=FillModel.QUEUE, help="fill model (default: queue)")
    add("--jobs", type=int, help="processes (default: one per core)")
    add("--json", action="store_true", help="every figure as JSON")
    return parser


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
