"""Costs of every strategy on the same paths, as means with confidence intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from benchmarks.lab.market import PRICE, Cell, Floats, Paths, paths
from benchmarks.lab.optimum import solve
from benchmarks.lab.ours import Ours, ladder_seconds
from benchmarks.lab.strategies import Best, Done, Market, Static, Way, Worker, in_steps, work
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.plan import Urgency

_SLACK_SECONDS = 30
"""Beyond the ladder's own time, for cancels and for a last rung that follows the quote."""
IMPROVED = 1 / 3
"""Part of the half spread that a market order is given back in the second benchmark."""
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
    """Part of what the optimum of the same time saves over the market order; None where it saves nothing."""
    captured_interval: float | None
    captured_of_ladders: float | None
    """The same against the optimum among strategies that, like the ladder, never step back from a price."""
    captured_of_longest: float
    """The same against the optimum of the most patient time."""
    beyond_market: float
    """Mean cost beyond the market order's on the same path, …"""
    beyond_market_interval: float
    """… and half of its 95 % confidence interval."""
    worst: float
    """Mean of the worst 1 %."""
    seconds: float
    """Mean time to the fill."""
    orders: float
    """Mean number of orders sent."""
    rungs: dict[str, tuple[float, float]]
    """By rung: part of the orders that were placed there, and the part of those that were filled there."""
    bound: float | None = None
    """For the optimum: its exact value, which its simulation must meet."""


@dataclass(frozen=True, slots=True)
class _Strategy:
    name: str
    make: Callable[[], Worker]
    seconds: float
    """Time it has; the optimum that it is compared with has the same."""
    improved: float = 0.0


def measure(cell: Cell, count: int, seed: int, config: ExecutionConfig) -> list[Row]:
    """Every strategy in one cell."""
    times = {urgency: ladder_seconds(config, urgency) for urgency in Urgency}
    longest = max(times.values())
    horizon = in_steps(longest + _SLACK_SECONDS)
    market = paths(cell, count, horizon + 1, seed)
    steady = {s: solve(cell, in_steps(s), backs_away=False).value for s in {*times.values()} if s}
    optima = {seconds: solve(cell, in_steps(seconds)) for seconds in {*times.values()} if seconds}
    arrival = market.bid[:, 0] + market.spread[:, 0] / 2
    ways = _ways(market)
    fills = {s: [float(p) for p in cell.fill_probability(s, np.arange(-200.0, s))] for s in cell.spreads}

    def costs(strategy: _Strategy) -> tuple[Floats, list[Done]]:
        done = [work(strategy.make(), way, fills, horizon) for way in ways]
        paid = np.array([one.price for one in done]) - arrival
        paid = paid - strategy.improved * market.spread[:, 0] / 2
        return paid / arrival * 10_000, done

    at_market, _ = costs(_Strategy("market", Market, 0))
    best = {
        seconds: costs(_Strategy("", partial(Best, optimum, in_steps(seconds)), seconds))
        for seconds, optimum in optima.items()
    }
    rows = []
    for strategy in _strategies(times, config):
        cost, done = costs(strategy)
        saved = at_market - best[strategy.seconds][0] if strategy.seconds in best else None
        row = _row(cell, strategy.name, (cost, at_market, saved, at_market - best[longest][0]), done)
        rows.append(replace(row, captured_of_ladders=_of_ladders(cell, row, steady.get(strategy.seconds))))
    for urgency, seconds in times.items():
        if seconds in best and cell.momentum:
            blind = partial(Best, solve(cell.without_trend(), in_steps(seconds)), in_steps(seconds), sees_trend=False)
            cost, done = costs(_Strategy("", blind, seconds))
            figures = (cost, at_market, at_market - best[seconds][0], at_market - best[longest][0])
            rows.append(_row(cell, f"optimum blind to the trend, {urgency}'s time", figures, done))
        if seconds in best:
            cost, done = best[seconds]
            figures = (cost, at_market, at_market - cost, at_market - best[longest][0])
            rows.append(_row(cell, f"optimum, {urgency}'s time", figures, done, optima[seconds].value))
    return rows


def _strategies(times: dict[Urgency, float], config: ExecutionConfig) -> list[_Strategy]:
    normal = times[Urgency.NORMAL]
    third = in_steps(normal / 3)
    return [
        _Strategy("market order", Market, normal),
        _Strategy("market, a third of the spread improved", Market, normal, improved=IMPROVED),
        _Strategy("static 50/75/95, then market", lambda: Static((0.5, 0.75, 0.95), third), normal),
        _Strategy("mid, then cross", lambda: Static((0.5,), in_steps(normal)), normal),
        *(_Strategy(f"ours, {urgency}", partial(Ours, config, urgency), times[urgency]) for urgency in Urgency),
    ]


def _ways(market: Paths) -> list[Way]:
    columns = (market.bid.tolist(), market.spread.tolist(), market.trend.tolist(), market.draw.tolist())
    return [Way(*row) for row in zip(*columns, strict=True)]


def _row(
    cell: Cell,
    name: str,
    figures: tuple[Floats, Floats, Floats | None, Floats],
    done: list[Done],
    bound: float | None = None,
) -> Row:
    cost, at_market, saved, most = figures
    captured = _ratio(at_market - cost, saved) if saved is not None else None
    beyond = cost - at_market
    tail = np.sort(cost)[-max(1, len(cost) // 100) :]
    return Row(
        cell=cell.name,
        strategy=name,
        cost=float(cost.mean()),
        interval=_interval(cost),
        captured=captured[0] if captured else None,
        captured_interval=captured[1] if captured else None,
        captured_of_ladders=None,
        captured_of_longest=_ratio(at_market - cost, most)[0],
        beyond_market=float(beyond.mean()),
        beyond_market_interval=_interval(beyond),
        worst=float(tail.mean()),
        seconds=float(np.mean([one.step for one in done])) / 2,
        orders=float(np.mean([len(one.rungs) for one in done])),
        rungs=_rungs(done),
        bound=bound / PRICE * 10_000 if bound is not None else None,
    )


def _of_ladders(cell: Cell, row: Row, value: float | None) -> float | None:
    """Part of what the best of all ladders saves, by its exact value in ticks above the mid."""
    if value is None:
        return None
    saved = sum(cell.spreads) / len(cell.spreads) / 2 - value
    return -row.beyond_market / (saved / PRICE * 10_000)


def _interval(values: Floats) -> float:
    return float(_NORMAL_95 * values.std(ddof=1) / np.sqrt(len(values)))


def _ratio(part: Floats, whole: Floats) -> tuple[float, float]:
    """Ratio of two means on the same paths, with half of its 95 % confidence interval (delta method)."""
    mean = float(whole.mean())
    ratio = float(part.mean()) / mean
    return ratio, _interval(part - ratio * whole) / abs(mean)


def _rungs(done: list[Done]) -> dict[str, tuple[float, float]]:
    """By rung: part of the orders that came there, and the part of those that were filled there."""
    placed = Counter(rung for one in done for rung in {_name(r) for r in one.rungs})
    filled = Counter(_name(one.rungs[-1]) for one in done)
    return {rung: (placed[rung] / len(done), filled[rung] / placed[rung]) for rung in sorted(placed)}


def _name(rung: float) -> str:
    return f"{rung:.2f}"
