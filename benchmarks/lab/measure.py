"""Costs of every strategy on the same paths, as means with confidence intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import numpy as np

from benchmarks.lab.market import PRICE, Cell, Floats, Paths, paths
from benchmarks.lab.optimum import solve
from benchmarks.lab.ours import Ours, ladder_seconds
from benchmarks.lab.strategies import Best, Done, Market, Path, Static, Worker, in_steps, work
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.plan import Urgency

_SLACK_SECONDS = 30
"""Seconds beyond the ladder's time, for cancels and for a last rung that follows the quote."""
IMPROVED = 1 / 3
"""Part of the half spread that the second benchmark returns to a market order."""
_NORMAL_95 = 1.96


@dataclass(frozen=True, slots=True)
class Row:
    """One strategy in one cell. Costs in basis points of arrival mid; positive is a cost."""

    cell: str
    strategy: str
    cost: float
    interval: float
    """Half of the 95 % confidence interval of the cost."""
    captured: float | None
    """Part of the saving over the market order that the optimum of the same time reaches; None if it saves nothing."""
    captured_interval: float | None
    captured_of_ladders: float | None
    """Like ``captured``, against the best strategy that never steps back from a price, like the ladder."""
    beyond_market: float
    """Mean cost above that of the market order on the same path."""
    beyond_market_interval: float
    """Half of its 95 % confidence interval."""
    worst: float
    """Mean cost of the worst 1 %."""
    seconds: float
    """Mean time to the fill."""
    orders: float
    """Mean number of orders sent."""
    rungs: dict[str, tuple[float, float]]
    """By rung: part of the orders that were placed there, and part of these that filled there."""
    bound: float | None = None
    """Exact value of a bound, which its simulation must match; None for other strategies."""


@dataclass(frozen=True, slots=True)
class _Strategy:
    name: str
    make: Callable[[], Worker]
    seconds: float
    """Available time, also that of the optimum for comparison."""
    improved: float = 0.0
    bound: float | None = None
    """Exact value in ticks above the mid, if it is known."""


_KINDS = ("optimum", "optimum, blind to the trend", "best ladder", "best ladder, blind to the trend")


def _by_kind(strategy: _Strategy) -> int:
    return _KINDS.index(strategy.name.rpartition(", ")[0])


def measure(cell: Cell, count: int, seed: int, config: ExecutionConfig) -> list[Row]:
    """Return the figures of every strategy in one cell."""
    times = {urgency: ladder_seconds(config, urgency) for urgency in Urgency}
    horizon = in_steps(max(times.values()) + _SLACK_SECONDS)
    market = paths(cell, count, horizon + 1, seed)
    arrival = market.bid[:, 0] + market.spread[:, 0] / 2
    each_path = _each_path(market)
    fills = {s: [float(p) for p in cell.fill_probability(s, np.arange(-200.0, s))] for s in cell.spreads}

    def costs(strategy: _Strategy) -> tuple[Floats, list[Done]]:
        done = [work(strategy.make(), path, fills, horizon) for path in each_path]
        paid = np.array([one.price for one in done]) - arrival
        paid = paid - strategy.improved * market.spread[:, 0] / 2
        return paid / arrival * 10_000, done

    at_market, _ = costs(_Strategy("market", Market, 0))
    bounds = [_bounds(cell, urgency, seconds) for urgency, seconds in times.items() if seconds]
    of_bounds = {bound.name: costs(bound) for bound in chain.from_iterable(bounds)}
    saved = {
        free.seconds: [at_market - of_bounds[one.name][0] for one in (free, ladder)] for free, ladder, *_ in bounds
    }

    def row(strategy: _Strategy, cost: Floats, done: list[Done]) -> Row:
        return _row(cell, strategy, (cost, at_market), saved.get(strategy.seconds), done)

    rows = [row(strategy, *costs(strategy)) for strategy in _strategies(times, config)]
    return rows + [row(bound, *of_bounds[bound.name]) for bound in sorted(chain.from_iterable(bounds), key=_by_kind)]


def _bounds(cell: Cell, urgency: Urgency, seconds: float) -> list[_Strategy]:
    """Return the optima of a duration: over all strategies, over ladders, and over those that do not see a trend."""
    steps = in_steps(seconds)
    kinds = [("optimum", cell, True), ("best ladder", cell, False)]
    if cell.momentum:
        blind = cell.without_trend()
        kinds += [("optimum, blind to the trend", blind, True), ("best ladder, blind to the trend", blind, False)]
    bounds = []
    for name, known, backs_away in kinds:
        optimum = solve(known, steps, backs_away=backs_away)
        make = partial(Best, optimum, sees_trend=known is cell)
        bounds.append(_Strategy(f"{name}, {urgency}", make, seconds, bound=optimum.value if known is cell else None))
    return bounds


def _strategies(times: dict[Urgency, float], config: ExecutionConfig) -> list[_Strategy]:
    normal = times[Urgency.NORMAL]
    steps = in_steps(normal)  # a cancel takes one
    return [
        _Strategy("market order", Market, normal),
        _Strategy("market, a third of the spread improved", Market, normal, improved=IMPROVED),
        _Strategy("static 50/75/95, then market", lambda: Static((0.5, 0.75, 0.95), steps // 3 - 1), normal),
        _Strategy("mid, then cross", lambda: Static((0.5,), steps - 1), normal),
        *(_Strategy(f"ours, {urgency}", partial(Ours, config, urgency), times[urgency]) for urgency in Urgency),
    ]


def _each_path(market: Paths) -> list[Path]:
    columns = (market.bid.tolist(), market.spread.tolist(), market.trend.tolist(), market.draw.tolist())
    return [Path(*row) for row in zip(*columns, strict=True)]


def _row(
    cell: Cell, strategy: _Strategy, costs: tuple[Floats, Floats], saved: Sequence[Floats] | None, done: list[Done]
) -> Row:
    cost, at_market = costs
    beyond = cost - at_market
    captured = [_ratio(-beyond, possible) for possible in saved] if saved else None
    tail = np.sort(cost)[-max(1, len(cost) // 100) :]
    return Row(
        cell=cell.name,
        strategy=strategy.name,
        cost=float(cost.mean()),
        interval=_interval(cost),
        captured=captured[0][0] if captured else None,
        captured_interval=captured[0][1] if captured else None,
        captured_of_ladders=captured[1][0] if captured else None,
        beyond_market=float(beyond.mean()),
        beyond_market_interval=_interval(beyond),
        worst=float(tail.mean()),
        seconds=float(np.mean([one.step for one in done])) / 2,
        orders=float(np.mean([len(one.rungs) for one in done])),
        rungs=_rungs(done),
        bound=strategy.bound / PRICE * 10_000 if strategy.bound is not None else None,
    )


def _interval(values: Floats) -> float:
    return float(_NORMAL_95 * values.std(ddof=1) / np.sqrt(len(values)))


def _ratio(part: Floats, whole: Floats) -> tuple[float, float]:
    """Return the ratio of two means on the same paths, with half of its 95 % confidence interval (delta method)."""
    mean = float(whole.mean())
    ratio = float(part.mean()) / mean
    return ratio, _interval(part - ratio * whole) / abs(mean)


def _rungs(done: list[Done]) -> dict[str, tuple[float, float]]:
    """Return by rung the part of the orders that reached it, and the part of these that filled there."""
    placed = Counter(rung for one in done for rung in {_name(r) for r in one.rungs})
    filled = Counter(_name(one.rungs[-1]) for one in done)
    return {rung: (placed[rung] / len(done), filled[rung] / placed[rung]) for rung in sorted(placed)}


def _name(rung: float) -> str:
    return f"{rung:.2f}"
