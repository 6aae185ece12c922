"""The best that can be had in a market of the lab: dynamic programming over time, trend, spread and the order's place.

The optimum knows everything that the ladder does not: the model's parameters, the trend, and the quote without delay.
Its value is the expected price paid above the mid, in ticks; it is a bound that no program can beat in this model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.lab.market import Cell, Floats, Ints, moves

BEHIND = 40
"""Ticks behind the bid at which a resting order is taken for lost; it stays there."""


@dataclass(frozen=True, slots=True)
class Optimum:
    """Values and decisions of one market and horizon."""

    spreads: tuple[int, ...]
    value: float
    """Expected cost at the beginning, in ticks above the mid."""
    place: list[Ints]
    """A step → (trend, spread, place of the order before) → ticks above the bid at which to place; the spread itself
    is to cross."""
    keep: list[Floats]
    """A step → (trend, spread, place) → whether a resting order is better kept than cancelled."""

    def placed_at(self, step: int, trend: int, spread: int, before: int | None) -> int:
        """Ticks above the bid at which to place an order now; ``before`` is where the one before it stands."""
        place = 0 if before is None else self._index(before)
        return int(self.place[step][trend + 1, self.spreads.index(spread), place])

    def keeps(self, step: int, trend: int, spread: int, above_bid: int) -> bool:
        """Whether the resting order is kept."""
        return bool(self.keep[step][trend + 1, self.spreads.index(spread), self._index(above_bid)])

    def _index(self, above_bid: int) -> int:
        return min(max(above_bid, -BEHIND), max(self.spreads) - 1) + BEHIND


def solve(cell: Cell, steps: int, *, backs_away: bool = True) -> Optimum:
    """The optimum of an order that has crossed after ``steps`` steps, as the ladder has: the last is a cancel's.

    Without ``backs_away`` each order must stand nearer to the ask than the one before, as the ladder's must: it may
    not step back when the market falls towards it.
    """
    above = np.arange(-BEHIND, max(cell.spreads))
    crossing = np.repeat(np.array([[spread / 2 for spread in cell.spreads]] * 3)[:, :, None], len(above), axis=2)
    resting = free = crossing
    """With an order at each place; without one, after one that stood at each place."""
    places: list[Ints] = []
    keeps: list[Floats] = []
    for left in range(1, steps + 1):
        rested, idle = _one_step(cell, above, resting, free)
        if left == 1:
            rested[:] = np.inf  # what rests now could not be cancelled in time
        best, waiting = _best(rested, backs_away=backs_away)
        places.append(np.where(waiting < crossing, above[best], np.array(cell.spreads)[None, :, None]))
        keeps.append((rested <= idle).astype(np.float64))
        free = np.minimum(waiting, crossing)
        resting = np.minimum(rested, idle)
    return Optimum(cell.spreads, float(free[1, :, 0].mean()), places[::-1], keeps[::-1])


def _best(rested: Floats, *, backs_away: bool) -> tuple[Ints, Floats]:
    """By the place of the order before: the place of the best next order, and its cost."""
    last = rested.shape[2] - 1
    best = np.empty(rested.shape, dtype=np.int64)
    cost = np.full(rested.shape, np.inf)
    best[:, :, last] = last
    for before in reversed(range(last)):
        is_better = rested[:, :, before + 1] < cost[:, :, before + 1]
        best[:, :, before] = np.where(is_better, before + 1, best[:, :, before + 1])
        cost[:, :, before] = np.where(is_better, rested[:, :, before + 1], cost[:, :, before + 1])
    if backs_away:
        best, cost = np.repeat(best[:, :, :1], last + 1, axis=2), np.repeat(cost[:, :, :1], last + 1, axis=2)
    return best, cost


def _one_step(cell: Cell, above: Ints, resting: Floats, free: Floats) -> tuple[Floats, Floats]:
    """Expected cost of a step with an order resting at each place, and with none after one at each place."""
    rested, idle = np.zeros_like(resting), np.zeros_like(free)
    for i, trend in enumerate((-1, 0, 1)):
        for j, spread in enumerate(cell.spreads):
            fill = np.where(above < spread, cell.fill_probability(spread, above.astype(np.float64)), 1.0)
            paid = above - spread / 2
            rested[i, j] = fill * paid
            rested[i, j, above >= spread] = np.inf  # would cross: that is the other choice
            for weight, unfilled, shift, k, m in _outcomes(cell, trend, j, fill):
                moved = shift + (cell.spreads[k] - spread) / 2
                place = above - shift
                then = np.clip(place, -BEHIND, above[-1]) + BEHIND
                went = np.where(place >= cell.spreads[k], paid, moved + resting[m, k, then])
                rested[i, j] += np.where(above < spread, unfilled * went, 0.0)
                idle[i, j] += weight * (moved + free[m, k, then])
    return rested, idle


def _outcomes(cell: Cell, trend: int, j: int, fill: Floats) -> list[tuple[float, Floats, int, int, int]]:
    """Probability, probability with an unfilled order at each place, bid's move, next spread, next trend."""
    share = cell.informed_share
    zones = [(0.0, share, -1), (share, 1 - share, 0), (1 - share, 1.0, 1)]
    result = []
    for low, high, side in zones:
        left = np.maximum(high - np.maximum(low, fill), 0.0)  # the draw falls here and does not fill
        for p, jump, push in moves(cell, trend):
            for q, k, by_bid in _spreads(cell, j):
                for r, m in _trends(cell, trend):
                    weight = p * q * r
                    result.append(((high - low) * weight, left * weight, jump + side * push + by_bid, k, m))
    return _merged(result)


def _merged(outcomes: list[tuple[float, Floats, int, int, int]]) -> list[tuple[float, Floats, int, int, int]]:
    """Outcomes that lead to the same place, together."""
    found: dict[tuple[int, int, int], tuple[float, Floats]] = {}
    for weight, left, shift, k, m in outcomes:
        former = found.get((shift, k, m))
        found[shift, k, m] = (weight, left) if former is None else (former[0] + weight, former[1] + left)
    return [(weight, left, *key) for key, (weight, left) in found.items() if weight > 0]


def _spreads(cell: Cell, j: int) -> list[tuple[float, int, int]]:
    """Probability, index and the bid's move of the next spread."""
    each = cell.respread / len(cell.spreads)
    stays = [(1 - cell.respread, j, 0)]
    return stays + [
        (each / 2, k, by_bid) for k, spread in enumerate(cell.spreads) for by_bid in (0, cell.spreads[j] - spread)
    ]


def _trends(cell: Cell, trend: int) -> list[tuple[float, int]]:
    """Probability and index of the next trend."""
    if trend:
        return [(1 - cell.trend_ends, trend + 1), (cell.trend_ends, 1)]
    begins = cell.trend_begins
    return [(1 - begins, 1), (begins / 2, 0), (begins / 2, 2)] if begins else [(1.0, 1)]
