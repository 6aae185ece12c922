"""The strategies that are compared: what each does in every step, and the rules that are the same for all.

A cancel takes a step, in which nothing rests; then the next order may be placed. A limit at the ask or above is filled
at the ask. What is left at the end crosses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.lab.market import STEP_SECONDS
from benchmarks.lab.optimum import Optimum


@dataclass(frozen=True, slots=True)
class Now:
    """One step as a strategy sees it; prices in ticks."""

    step: int
    bid: int
    spread: int
    trend: int
    resting: int | None
    """The limit of the resting order."""

    @property
    def ask(self) -> int:
        """The far touch."""
        return self.bid + self.spread


@dataclass(frozen=True, slots=True)
class Place:
    """Send a limit at this price; ``rung`` names it in the statistics."""

    price: int
    rung: float


@dataclass(frozen=True, slots=True)
class Cancel:
    """Take the resting order away."""


Action = Place | Cancel | None


class Worker(Protocol):
    """One order on its way."""

    def act(self, now: Now) -> Action:
        """What to do in this step."""
        ...


@dataclass(frozen=True, slots=True)
class Done:
    """How an order ended: price in ticks, step, the rungs it was placed at; the last of them was filled."""

    price: float
    step: int
    rungs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """One path as lists: quick to read one by one."""

    bid: Sequence[int]
    spread: Sequence[int]
    trend: Sequence[int]
    draw: Sequence[float]


def work(worker: Worker, way: Way, fills: dict[int, list[float]], steps: int) -> Done:
    """Work one order to its end. ``fills`` is the fill probability by spread and ticks above the bid, from −200."""
    resting: int | None = None
    rungs: list[float] = []
    for t in range(steps):
        bid, spread = way.bid[t], way.spread[t]
        action = worker.act(Now(t, bid, spread, way.trend[t], resting))
        if isinstance(action, Cancel):
            resting = None
        elif isinstance(action, Place):
            rungs.append(action.rung)
            if action.price >= bid + spread:
                return Done(bid + spread, t, tuple(rungs))
            resting = action.price
        if resting is None:
            continue
        if way.draw[t] < fills[spread][max(resting - bid, -200) + 200] or resting >= way.bid[t + 1] + way.spread[t + 1]:
            return Done(resting, t + 1, tuple(rungs))
    return Done(way.bid[steps] + way.spread[steps], steps, (*rungs, 1.0))


@dataclass(slots=True)
class Market:
    """A market order: the whole half spread, at once."""

    def act(self, now: Now) -> Action:
        """Cross."""
        return Place(now.ask, 1.0)


@dataclass(slots=True)
class Static:
    """Prices fixed by the arrival quote, one after the other, then the far touch."""

    aims: tuple[float, ...]
    wait: int
    """Steps."""
    _prices: list[int] = field(default_factory=list)
    _placed: int = 0
    _at: int = 0

    def act(self, now: Now) -> Action:
        """Place the next price when the last had its time."""
        if not self._prices:
            self._prices = [now.bid + int(now.spread * aim) for aim in self.aims]
        if now.resting is not None:
            return Cancel() if now.step - self._at >= self.wait else None
        if self._placed == len(self.aims):
            return Place(now.ask, 1.0)
        aim, price = self.aims[self._placed], self._prices[self._placed]
        self._placed, self._at = self._placed + 1, now.step
        return Place(price, aim)


@dataclass(slots=True)
class Best:
    """The optimum's own decisions."""

    optimum: Optimum
    sees_trend: bool = True
    _before: int | None = None
    """The price of the order before."""

    def act(self, now: Now) -> Action:
        """As the table says; at the end, cross."""
        if now.step >= len(self.optimum.place):
            return Place(now.ask, 1.0)
        trend = now.trend if self.sees_trend else 0
        if now.resting is not None:
            return None if self.optimum.keeps(now.step, trend, now.spread, now.resting - now.bid) else Cancel()
        before = None if self._before is None else self._before - now.bid
        above = self.optimum.placed_at(now.step, trend, now.spread, before)
        self._before = now.bid + above
        return Place(self._before, above / now.spread)


def in_steps(seconds: float) -> int:
    """Seconds as steps."""
    return round(seconds / STEP_SECONDS)
