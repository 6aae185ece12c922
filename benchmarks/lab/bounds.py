"""What is the best that any strategy reaches in a market: all markets of the lab, and their optima."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.lab import one_tick_optimum, optimum
from benchmarks.lab.market import CELLS, Cell
from benchmarks.lab.one_tick import ONE_TICK_CELLS, OneTick
from benchmarks.lab.work import Worker

OPTIMUM = "optimum"
BEST_LADDER = "best ladder"
KINDS = (OPTIMUM, BEST_LADDER, "optimum, blind to the trend", "best ladder, blind to the trend")

AnyCell = Cell | OneTick
ALL_CELLS: tuple[AnyCell, ...] = (*CELLS, *ONE_TICK_CELLS)


@dataclass(frozen=True, slots=True)
class Bound:
    """The best of all strategies, or of all ladders, in one market within some steps."""

    kind: str
    make: Callable[[], Worker]
    value: float | None = None
    """Expected cost in ticks above the mid, which its simulation must match; None without an exact value."""


def bounds(cell: AnyCell, steps: int) -> list[Bound]:
    """Return the optimum and the best ladder for orders that cross after ``steps`` steps; in a trend also blind ones.

    The best ladder is the best of all strategies that, like ours, never step back from a price they have shown.
    """
    if isinstance(cell, OneTick):
        found = [one_tick_optimum.solve(cell, steps, backs_away=backs_away) for backs_away in (True, False)]
        return [
            Bound(kind, partial(one_tick_optimum.BestOneTick, best), best.value)
            for kind, best in zip(KINDS, found, strict=False)
        ]
    result: list[Bound] = []
    for known in (cell, cell.without_trend()) if cell.momentum else (cell,):
        for backs_away in (True, False):
            best = optimum.solve(known, steps, backs_away=backs_away)
            make = partial(optimum.Best, best, sees_trend=known is cell)
            result.append(Bound(KINDS[len(result)], make, best.value if known is cell else None))
    return result
