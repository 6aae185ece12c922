"""Costs of every strategy on the same paths, as means with confidence intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.lab.bounds import BEST_LADDER, KINDS, OPTIMUM, AnyCell, bounds
from benchmarks.lab.ours import Ours, seconds_to_cross
from benchmarks.lab.strategies import Market, Peg, Static
from benchmarks.lab.work import STEP_SECONDS, Done, Floats, Path, Worker, in_steps
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.plan import Urgency

MARKET = "market order"
IMPROVED_MARKET = "market, a third of the spread improved"
OURS = "ours, "
_SLACK_SECONDS = 30
"""Seconds beyond the ladder's time, for cancels and for a last rung that follows the quote."""
IMPROVED = 1 / 3
"""Part of the half spread that the second benchmark returns to a market order."""
_MID_SECONDS, _PEG_SECONDS, _LONG_PEG_SECONDS = 13.5, 26.0, 60.0
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
    saving: float
    """Saving over the market order, as a part of its cost."""
    bound: float | None = None
    """Exact value of a bound, which its simulation must match; None for other strategies."""

    @property
    def is_ours(self) -> bool:
        """True for the program's own decisions."""
        return self.strategy.startswith(OURS)


@dataclass(frozen=True, slots=True)
class _Strategy:
    name: str
    make: Callable[[], Worker]
    seconds: float
    """Time until it crosses, also that of the optimum for comparison."""
    improved: float = 0.0
    bound: float | None = None
    """Exact value in ticks above the mid, if it is known."""

    @property
    def is_ours(self) -> bool:
        return self.name.startswith(OURS)


@dataclass(frozen=True, slots=True)
class _Orders:
    """The orders of one strategy, one per path."""

    strategy: _Strategy
    cost: Floats
    """Basis points of arrival mid."""
    done: list[Done]
    sides: int
    """2 if the second half of the paths mirrors the first."""

    @property
    def independent(self) -> Floats:
        """Costs that do not depend on each other: with mirrored paths, the mean of both sides."""
        result: Floats = self.cost.reshape(self.sides, -1).mean(axis=0)
        return result


def measure(cell: AnyCell, count: int, seed: int, config: ExecutionConfig) -> list[Row]:
    """Return the figures of every strategy in one cell."""
    strategies = _strategies(cell, config)
    horizon = in_steps(max(one.seconds for one in strategies) + _SLACK_SECONDS)
    each_path: list[Path] = list(cell.draw(count, horizon + 1, seed))
    arrival = np.array([path.arrival for path in each_path])
    half_spread = np.array([path.half_spread for path in each_path])

    def orders(strategy: _Strategy) -> _Orders:
        done = [path.work(strategy.make(), horizon) for path in each_path]
        paid = np.array([one.price for one in done]) - arrival - strategy.improved * half_spread
        return _Orders(strategy, paid / arrival * 10_000, done, 2 if cell.is_mirrored else 1)

    market = orders(strategies[0])
    of_bounds = {(bound.name, bound.seconds): orders(bound) for bound in _bounds(cell, strategies)}

    def row(mine: _Orders, name: str) -> Row:
        best = [of_bounds.get((kind, mine.strategy.seconds)) for kind in (OPTIMUM, BEST_LADDER)]
        return _row((cell, name), mine, market, [one for one in best if one is not None])

    rows = [row(orders(one), one.name) for one in strategies]
    for kind in KINDS:
        for name, seconds in _times(strategies):
            if (bound := of_bounds.get((kind, seconds))) is not None:
                rows.append(row(bound, f"{kind}, {name}"))
    return rows


def _bounds(cell: AnyCell, strategies: list[_Strategy]) -> list[_Strategy]:
    """Return the bounds for the time of each strategy; each bears the name of its kind."""
    return [
        _Strategy(bound.kind, bound.make, seconds, bound=bound.value)
        for seconds in sorted({one.seconds for one in strategies if one.seconds})
        for bound in bounds(cell, in_steps(seconds))
    ]


def _times(strategies: list[_Strategy]) -> list[tuple[str, float]]:
    """Return the times of the bounds, in seconds: that of each urgency by its name, then the others."""
    ours = [(one.name.removeprefix(OURS), one.seconds) for one in strategies if one.is_ours]
    others = sorted({one.seconds for one in strategies} - {seconds for _, seconds in ours})
    return ours + [(f"{seconds:g} s", seconds) for seconds in others]


def _strategies(cell: AnyCell, config: ExecutionConfig) -> list[_Strategy]:
    """Return all strategies, the market order first. A cancel takes a step, half a second."""
    rested = in_steps(4)
    found = [
        _Strategy(MARKET, Market, 0),
        _Strategy(IMPROVED_MARKET, Market, 0, improved=IMPROVED),
        _Strategy("static 50/75/95, then market", lambda: Static((0.5, 0.75, 0.95), rested), _MID_SECONDS),
        _Strategy("mid, then cross", lambda: Static((0.5,), in_steps(_MID_SECONDS) - 1), _MID_SECONDS),
        _Strategy("peg 26 s, then market", lambda: Peg(in_steps(_PEG_SECONDS), rested), _PEG_SECONDS),
        _Strategy("peg 60 s, then market", lambda: Peg(in_steps(_LONG_PEG_SECONDS), in_steps(6)), _LONG_PEG_SECONDS),
    ]
    for urgency in Urgency:
        seconds = _time_of_bound(seconds_to_cross(config, urgency, cell.widest))
        found.append(_Strategy(f"{OURS}{urgency}", partial(Ours, config, urgency), seconds))
    return found


def _time_of_bound(seconds: float) -> float:
    """Return the time of the optimum for comparison: that of a simple strategy if it is at most a second longer.

    The program's rungs are up to a second shorter than configured, because of the age of its quotes.
    """
    longer = (known for known in (_MID_SECONDS, _PEG_SECONDS, _LONG_PEG_SECONDS) if 0 <= known - seconds <= 1)
    return next(longer, seconds)


def _row(of: tuple[AnyCell, str], mine: _Orders, market: _Orders, best: Sequence[_Orders]) -> Row:
    (cell, name), bound, done = of, mine.strategy.bound, mine.done
    beyond = mine.independent - market.independent
    captured = [_ratio(-beyond, market.independent - one.independent) for one in best]
    return Row(
        cell=cell.name,
        strategy=name,
        cost=float(mine.cost.mean()),
        interval=_interval(mine.independent),
        captured=captured[0][0] if captured else None,
        captured_interval=captured[0][1] if captured else None,
        captured_of_ladders=captured[1][0] if captured else None,
        beyond_market=float(beyond.mean()),
        beyond_market_interval=_interval(beyond),
        worst=float(np.sort(mine.cost)[-max(1, len(mine.cost) // 100) :].mean()),
        seconds=float(np.mean([one.step for one in done])) * STEP_SECONDS,
        orders=float(np.mean([len(one.rungs) for one in done])),
        rungs=_rungs(done),
        saving=1 - float(mine.cost.mean() / market.cost.mean()),
        bound=bound / cell.price * 10_000 if bound is not None else None,
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
