"""The optimum of a market of the lab: dynamic programming over time, trend, spread and the order's place.

The optimum knows what the ladder does not: the model's parameters, the trend, and the quote without delay. Its value is
the expected price paid above the mid, in ticks. No program can beat this bound in the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    """Per step, by trend, spread and place of the former order: ticks above the bid at which to place the next one.

    The full spread means to cross.
    """
    keep: list[Floats]
    """Per step, by trend, spread and place: 1 to keep a resting order, 0 to cancel it."""

    def placed_at(self, step: int, trend: int, spread: int, before: int | None) -> int:
        """Return the ticks above the bid at which to place an order now; ``before`` is the place of the former one."""
        place = 0 if before is None else self._index(before)
        return int(self.place[step][trend + 1, self.spreads.index(spread), place])

    def keeps(self, step: int, trend: int, spread: int, above_bid: int) -> bool:
        """Return whether to keep the resting order."""
        return bool(self.keep[step][trend + 1, self.spreads.index(spread), self._index(above_bid)])

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
    crossing = np.repeat(np.array([[spread / 2 for spread in cell.spreads]] * 3)[:, :, None], len(above), axis=2)
    resting = free = crossing
    """Cost with an order at each place; cost without an order, by the place of the former one."""
    places: list[Ints] = []
    keeps: list[Floats] = []
    moves_by_state = _moves_by_state(cell, above)
    for left in range(1, steps + 1):
        rested, idle = _one_step(moves_by_state, resting, free)
        if left == 1:
            rested[:] = np.inf  # a resting order could not be canceled in time
        best, waiting = _best(rested, backs_away=backs_away)
        places.append(np.where(waiting < crossing, above[best], np.array(cell.spreads)[None, :, None]))
        keeps.append((rested <= idle).astype(np.float64))
        free = np.minimum(waiting, crossing)
        resting = np.minimum(rested, idle)
    return Optimum(cell.spreads, float(free[1, :, 0].mean()), places[::-1], keeps[::-1])


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


@dataclass(frozen=True, slots=True)
class _Move:
    """One way in which the market moves in a step, with what it means for an order at each place."""

    weight: float
    unfilled: Floats
    """Probability of the move without a fill."""
    moved: float
    """Change of the mid."""
    after: tuple[int, int]
    """Next trend and next spread, as indices."""
    then: Ints
    """Next place, as an index."""
    is_reached: NDArray[np.bool_]
    """True where the ask comes down to the order."""


@dataclass(frozen=True, slots=True)
class _State:
    """Trend and spread, as indices, with the costs of an order that fills at each place."""

    at: tuple[int, int]
    filled: Floats
    paid: Floats
    moves: list[_Move]


def _moves_by_state(cell: Cell, above: Ints) -> list[_State]:
    """Return every trend and spread with all moves; ``above`` has the places in ticks above the bid."""
    states = []
    for i, trend in enumerate((-1, 0, 1)):
        for j, spread in enumerate(cell.spreads):
            is_inside = above < spread
            fill = np.where(is_inside, cell.fill_probability(spread, above.astype(np.float64)), 1.0)
            paid = above.astype(np.float64) - spread / 2
            found = []
            for weight, unfilled, shift, k, m in _outcomes(cell, trend, j, fill):
                place = above - shift
                then = np.clip(place, -BEHIND, above[-1]) + BEHIND
                moved = shift + (cell.spreads[k] - spread) / 2
                open_ = np.where(is_inside, unfilled, 0.0)
                found.append(_Move(weight, open_, moved, (m, k), then, place >= cell.spreads[k]))
            filled = np.where(is_inside, fill * paid, np.inf)  # it would cross, which is the other choice
            states.append(_State((i, j), filled, paid, found))
    return states


def _one_step(states: list[_State], resting: Floats, free: Floats) -> tuple[Floats, Floats]:
    """Return the expected cost of a step with an order at each place, and without one by the former place."""
    rested, idle = np.zeros_like(resting), np.zeros_like(free)
    for state in states:
        cost, without = state.filled.copy(), idle[state.at]
        for move in state.moves:
            went = np.where(move.is_reached, state.paid, move.moved + resting[move.after][move.then])
            cost += move.unfilled * went
            without += move.weight * (move.moved + free[move.after][move.then])
        rested[state.at] = cost
    return rested, idle


def _outcomes(cell: Cell, trend: int, j: int, fill: Floats) -> list[tuple[float, Floats, int, int, int]]:
    """Return probability, probability without a fill at each place, move of the bid, next spread, next trend."""
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


def _trends(cell: Cell, trend: int) -> list[tuple[float, int]]:
    """Return probability and index of every next trend."""
    if trend:
        return [(1 - cell.trend_ends, trend + 1), (cell.trend_ends, 1)]
    starts = cell.trend_starts
    return [(1 - starts, 1), (starts / 2, 0), (starts / 2, 2)] if starts else [(1.0, 1)]
