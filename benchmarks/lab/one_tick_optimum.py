"""The optimum of a market whose spread is one tick: dynamic programming over time, both sizes and the order's place.

The optimum decides when to join the bid, how long to keep the place, and when to cross. It knows what the program does
not: the parameters, the lots ahead of it, and the quote without delay. Its value is the expected price paid above the
mid, in ticks. No program can beat this bound in the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.lab.one_tick import OneTick
from benchmarks.lab.work import Action, Cancel, Floats, Ints, Now, Place

BEHIND = 8
"""Ticks behind the bid from which a resting order counts as left behind; its place no longer changes."""
_FIRST = BEHIND + 1
"""Place of the former order, in ticks behind the bid, if there was none: every price is better."""
_HALF = 0.5

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class OneTickOptimum:
    """Values and decisions of one market and horizon."""

    lot: int
    value: float
    """Expected cost at the start, in ticks above the mid."""
    place: list[Ints]
    """Per step, by place of the former order and both sizes: ticks behind the bid at which to place the next one.

    Minus one means to cross.
    """
    keep_at_bid: list[Bools]
    """Per step, by lots at the bid, lots ahead and lots at the ask: whether to keep an order at the bid."""
    keep_behind: list[Bools]
    """Per step, by ticks behind the bid and both sizes: whether to keep an order there."""

    def placed_at(self, now: Now, before: int | None) -> int:
        """Return the ticks behind the bid at which to place an order; ``before`` is the limit of the former one."""
        bid, ask = self._sizes(now)
        behind = _FIRST if before is None else min(max(now.bid - before, 0), BEHIND)
        return int(self.place[now.step][behind, bid, ask])

    def keeps(self, now: Now, resting: int) -> bool:
        """Return whether to keep the resting order."""
        bid, ask = self._sizes(now)
        if now.ahead is not None:
            return bool(self.keep_at_bid[now.step][bid, now.ahead, ask])
        return bool(self.keep_behind[now.step][min(now.bid - resting, BEHIND), bid, ask])

    def _sizes(self, now: Now) -> tuple[int, int]:
        return now.sizes[0] // self.lot - 1, now.sizes[1] // self.lot - 1


@dataclass(slots=True)
class BestOneTick:
    """The decisions of the optimum."""

    optimum: OneTickOptimum
    _before: int | None = None
    """Limit of the former order."""

    def act(self, now: Now) -> Action:
        """Return the decision of the table; cross at the end."""
        if now.step >= len(self.optimum.place):
            return Place(now.ask, 1.0)
        if now.resting is not None:
            return None if self.optimum.keeps(now, now.resting) else Cancel()
        behind = self.optimum.placed_at(now, self._before)
        self._before = now.bid - behind
        return Place(self._before, 1.0 if behind < 0 else float(-behind))


def solve(cell: OneTick, steps: int, *, backs_away: bool = True) -> OneTickOptimum:
    """Return the optimum of an order that must cross after ``steps`` steps like the ladder; the last one is a cancel.

    Without ``backs_away``, each order must be nearer to the ask than the former one, as on the ladder.
    """
    n = cell.largest
    step = _Step(cell)
    queued = np.full((n, n + 1, n), _HALF)
    behind = np.full((BEHIND + 1, n, n), _HALF)
    free = np.full((_FIRST + 1, n, n), _HALF)
    places: list[Ints] = []
    at_bid: list[Bools] = []
    farther: list[Bools] = []
    for left in range(1, steps + 1):
        rested, rested_behind = step.at_bid(queued, behind), step.behind(queued, behind)
        idle = step.without(free)
        if left == 1:
            rested[:] = rested_behind[1:] = np.inf  # a resting order could not be canceled in time
        rested_behind[0] = rested[range(n), range(1, n + 1)]  # an order that joins stands behind all lots
        place, free = _best(rested_behind, backs_away=backs_away)
        places.append(place)
        at_bid.append(rested <= idle[0][:, None])
        farther.append(rested_behind <= idle[:_FIRST])
        queued = np.minimum(rested, idle[0][:, None])
        behind = np.minimum(rested_behind, idle[:_FIRST])
    value = float((free[_FIRST] * cell.start).sum())
    return OneTickOptimum(cell.lot, value, places[::-1], at_bid[::-1], farther[::-1])


def _best(rested: Floats, *, backs_away: bool) -> tuple[Ints, Floats]:
    """Return the place of the best next order and its cost, by the place of the former order and both sizes."""
    places, costs = [], []
    for former in range(_FIRST + 1):
        allowed = rested[: _FIRST if backs_away else former]
        choices = np.concatenate([np.full((1, *rested.shape[1:]), _HALF), allowed])
        places.append(choices.argmin(axis=0) - 1)
        costs.append(choices.min(axis=0))
    return np.array(places), np.array(costs)


class _Step:
    """The expected cost of one step, given the costs after it."""

    def __init__(self, cell: OneTick) -> None:
        n = cell.largest
        side = np.zeros((n, n + 1))
        self._queue = np.zeros((n, n + 1, n, n + 1))
        """Probability of each size and number of lots ahead after a step without a fill, by those before it."""
        for size in range(1, n + 1):
            for probability, after, taken in cell.events(size):
                side[size - 1, after] += probability
                is_cancel = after < size and not taken
                for ahead in range(size + 1):
                    if not after or taken > ahead:
                        continue
                    nearer = probability * ahead / size if is_cancel else 0.0
                    self._queue[size - 1, ahead, after - 1, ahead - taken] += probability - nearer
                    if is_cancel:
                        self._queue[size - 1, ahead, after - 1, ahead - 1] += nearer
        self._left, self._gone = side[:, 1:], side[:, 0]
        self._new = range(n), range(1, n + 1)
        stays = 1 - self._gone
        self._up, self._down = np.outer(stays, self._gone), np.outer(self._gone, stays)
        self._both = np.outer(self._gone, self._gone)

    def at_bid(self, queued: Floats, behind: Floats) -> Floats:
        """Return the cost of an order at the bid, by lots at the bid, lots ahead and lots at the ask."""
        unfilled = self._queue.sum(axis=(2, 3))
        stayed = np.tensordot(self._queue, queued, axes=2) @ self._left.T
        left_behind = unfilled[:, :, None] * self._gone * (1 + behind[1].mean())
        result: Floats = (unfilled[:, :, None] - 1) * _HALF + stayed + left_behind
        return result

    def behind(self, queued: Floats, behind: Floats) -> Floats:
        """Return the cost of an order by ticks behind the bid and both sizes; at the bid it is left open."""
        fresh = [float(queued[self._new].mean()), *(float(cost.mean()) for cost in behind[1:])]
        result = np.zeros_like(behind)
        for place in range(1, BEHIND + 1):
            farther = fresh[min(place + 1, BEHIND)]
            result[place] = self._moved(behind[place], farther, fresh[place - 1], fresh[place])
        return result

    def without(self, free: Floats) -> Floats:
        """Return the cost of a step without an order, by the place of the former one and both sizes."""
        fresh = [float(cost.mean()) for cost in free]
        result = np.zeros_like(free)
        for former in range(_FIRST + 1):
            up, down = min(former + 1, BEHIND), max(former - 1, 0)
            if former == _FIRST:
                up = down = former
            result[former] = self._moved(free[former], fresh[up], fresh[down], fresh[former])
        return result

    def _moved(self, stayed: Floats, up: float, down: float, both: float) -> Floats:
        """Return the cost if nothing fills, given the costs where the touch stays, moves, or is drawn again."""
        result: Floats = (
            self._left @ stayed @ self._left.T + self._up * (1 + up) + self._down * (down - 1) + self._both * both
        )
        return result
