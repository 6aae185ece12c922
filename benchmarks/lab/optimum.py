"""The optimum of a market of the lab: dynamic programming over time, trend, spread and the order's place.

The optimum knows what the ladder does not: the model's parameters, the trend, and the quote without delay. Its value is
the expected price paid above the mid, in ticks. No program can beat this bound in the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.lab.market import Cell, moves
from benchmarks.lab.work import Action, Cancel, Floats, Ints, Now, Place

BEHIND = 40
"""Ticks behind the bid from which a resting order counts as left behind; its place no longer changes."""


@dataclass(frozen=True, slots=True)
class Optimum:
    """Values and decisions of one market and horizon."""

    spreads: tuple[int, ...]
    value: float
    """Expected cost at the start, in ticks above the mid."""
    place: list[Ints]
    """Per step, by trend (0, 1, −1), spread and place of the former order: ticks above the bid of the next order.

    The full spread means to cross.
    """
    keep: list[Floats]
    """Per step, by trend, spread and place: 1 to keep a resting order, 0 to cancel it."""

    def placed_at(self, step: int, trend: int, spread: int, before: int | None) -> int:
        """Return the ticks above the bid at which to place an order now; ``before`` is the place of the former one."""
        place = 0 if before is None else self._index(before)
        return int(self.place[step][trend, self.spreads.index(spread), place])

    def keeps(self, step: int, trend: int, spread: int, above_bid: int) -> bool:
        """Return whether to keep the resting order."""
        return bool(self.keep[step][trend, self.spreads.index(spread), self._index(above_bid)])

    def _index(self, above_bid: int) -> int:
        return min(max(above_bid, -BEHIND), max(self.spreads) - 1) + BEHIND


@dataclass(slots=True)
class Best:
    """The decisions of the optimum."""

    optimum: Optimum
    sees_trend: bool = True
    _before: int | None = None
    """Price of the former order."""

    def act(self, now: Now) -> Action:
        """Return the decision of the table; cross at the end."""
        if now.step >= len(self.optimum.place):
            return Place(now.ask, 1.0)
        trend = now.trend if self.sees_trend else 0
        if now.resting is not None:
            return None if self.optimum.keeps(now.step, trend, now.spread, now.resting - now.bid) else Cancel()
        before = None if self._before is None else self._before - now.bid
        above = self.optimum.placed_at(now.step, trend, now.spread, before)
        self._before = now.bid + above
        return Place(self._before, above / now.spread)


def solve(cell: Cell, steps: int, *, backs_away: bool = True) -> Optimum:
    """Return the optimum of an order that must cross after ``steps`` steps like the ladder; the last one is a cancel.

    Without ``backs_away``, each order must be nearer to the ask than the former one, as on the ladder: it must not
    step back when the market falls towards it.
    """
    above = np.arange(-BEHIND, max(cell.spreads))
    crossing = np.repeat(
        np.array([[spread / 2 for spread in cell.spreads]] * len(_trends(cell)))[:, :, None], len(above), axis=2
    )
    resting = free = crossing
    """Cost with an order at each place; cost without an order, by the place of the former one."""
    places: list[Ints] = []
    keeps: list[Floats] = []
    step = _Step(cell, above)
    for left in range(1, steps + 1):
        rested, idle = step.costs(resting, free)
        if left == 1:
            rested[:] = np.inf  # a resting order could not be canceled in time
        best, waiting = _best(rested, backs_away=backs_away)
        places.append(np.where(waiting < crossing, above[best], np.array(cell.spreads)[None, :, None]))
        keeps.append((rested <= idle).astype(np.float64))
        free = np.minimum(waiting, crossing)
        resting = np.minimum(rested, idle)
    return Optimum(cell.spreads, float(free[0, :, 0].mean()), places[::-1], keeps[::-1])


def _best(rested: Floats, *, backs_away: bool) -> tuple[Ints, Floats]:
    """Return the place of the best next order and its cost, by the place of the former order."""
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


class _Step:
    """One step as linear maps of the costs after it, with an order at each place and without one."""

    def __init__(self, cell: Cell, above: Ints) -> None:
        trends = _trends(cell)
        self._shape = (len(trends), len(cell.spreads), len(above))
        states = np.arange(np.prod(self._shape)).reshape(self._shape)
        self._paid, self._moved = np.zeros(states.size), np.zeros(states.size)
        self._resting, self._free = np.zeros((states.size,) * 2), np.zeros((states.size,) * 2)
        for trend in trends:
            for j, spread in enumerate(cell.spreads):
                here, is_inside = states[trend, j], above < spread
                fill = np.where(is_inside, cell.fill_probability(spread, above.astype(np.float64)), 1.0)
                paid = above.astype(np.float64) - spread / 2
                self._paid[here] = np.where(is_inside, fill * paid, np.inf)  # it would cross: the other choice
                for weight, unfilled, shift, k, m in _outcomes(cell, trend, j, fill):
                    place = above - shift
                    there = states[m, k, np.clip(place, -BEHIND, above[-1]) + BEHIND]
                    moved = shift + (cell.spreads[k] - spread) / 2
                    is_reached = place >= cell.spreads[k]  # the ask comes down to the order
                    self._paid[here] += unfilled * np.where(is_reached, paid, moved)
                    self._resting[here, there] += np.where(is_reached, 0.0, unfilled)
                    self._moved[here] += weight * moved
                    self._free[here, there] += weight

    def costs(self, resting: Floats, free: Floats) -> tuple[Floats, Floats]:
        """Return the expected cost of a step with an order at each place, and without one by the former place."""
        rested = self._paid + self._resting @ resting.ravel()
        idle = self._moved + self._free @ free.ravel()
        return rested.reshape(self._shape), idle.reshape(self._shape)


def _outcomes(cell: Cell, trend: int, j: int, fill: Floats) -> list[tuple[float, Floats, int, int, int]]:
    """Return probability, probability without a fill at each place, move of the bid, next spread, next trend."""
    share = cell.informed_share
    zones = [(0.0, share, -1), (share, 1 - share, 0), (1 - share, 1.0, 1)]
    result = []
    for low, high, side in zones:
        left = np.maximum(high - np.maximum(low, fill), 0.0)  # the draw falls here and does not fill
        for p, jump, push in moves(cell, trend):
            for q, k, by_bid in _spreads(cell, j):
                for r, m in _next_trends(cell, trend):
                    weight = p * q * r
                    result.append(((high - low) * weight, left * weight, jump + side * push + by_bid, k, m))
    return _merged(result)


def _merged(outcomes: list[tuple[float, Floats, int, int, int]]) -> list[tuple[float, Floats, int, int, int]]:
    """Return the outcomes with those that lead to the same state added up."""
    merged: dict[tuple[int, int, int], tuple[float, Floats]] = {}
    for weight, left, shift, k, m in outcomes:
        former = merged.get((shift, k, m))
        merged[shift, k, m] = (weight, left) if former is None else (former[0] + weight, former[1] + left)
    return [(weight, left, *key) for key, (weight, left) in merged.items() if weight > 0]


def _spreads(cell: Cell, j: int) -> list[tuple[float, int, int]]:
    """Return probability, index and move of the bid of every next spread."""
    each = cell.respread / len(cell.spreads)
    stays = [(1 - cell.respread, j, 0)]
    return stays + [
        (each / 2, k, by_bid) for k, spread in enumerate(cell.spreads) for by_bid in (0, cell.spreads[j] - spread)
    ]


def _trends(cell: Cell) -> tuple[int, ...]:
    """Return the trends of a market; each is also its index, −1 the last."""
    return (0, 1, -1) if cell.momentum else (0,)


def _next_trends(cell: Cell, trend: int) -> list[tuple[float, int]]:
    """Return probability and value of every next trend."""
    if trend:
        return [(1 - cell.trend_ends, trend), (cell.trend_ends, 0)]
    starts = cell.trend_starts
    return [(1 - starts, 0), (starts / 2, -1), (starts / 2, 1)] if starts else [(1.0, 0)]
