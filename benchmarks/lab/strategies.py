"""The strategies under comparison, and the rules that apply to all of them.

A cancel takes one step without a resting order; after it the next order may be placed. A limit at or above the ask
fills at the ask. An order that is still open at the end crosses.
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
    """Limit to send at this price; ``rung`` names it in the statistics."""

    price: int
    rung: float


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel of the resting order."""


Action = Place | Cancel | None


class Worker(Protocol):
    """Strategy that works one order."""

    def act(self, now: Now) -> Action:
        """Return the action of this step."""
        ...


@dataclass(frozen=True, slots=True)
class Done:
    """End of an order: fill price in ticks, step, and the rungs of its orders; the last of them filled."""

    price: float
    step: int
    rungs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Path:
    """One path as lists, which are faster than arrays for single values."""

    bid: Sequence[int]
    spread: Sequence[int]
    trend: Sequence[int]
    draw: Sequence[float]


def work(worker: Worker, path: Path, fills: dict[int, list[float]], steps: int) -> Done:
    """Work one order to its end.

    ``fills`` has the fill probabilities by spread, in a list by ticks above the bid that starts at −200.
    """
    resting: int | None = None
    rungs: list[float] = []
    for t in range(steps):
        bid, spread = path.bid[t], path.spread[t]
        action = worker.act(Now(t, bid, spread, path.trend[t], resting))
        if isinstance(action, Cancel):
            resting = None
        elif isinstance(action, Place):
            rungs.append(action.rung)
            if action.price >= bid + spread:
                return Done(bid + spread, t, tuple(rungs))
            resting = action.price
        if resting is None:
            continue
        if (
            path.draw[t] < fills[spread][max(resting - bid, -200) + 200]
            or resting >= path.bid[t + 1] + path.spread[t + 1]
        ):
            return Done(resting, t + 1, tuple(rungs))
    return Done(path.bid[steps] + path.spread[steps], steps, (*rungs, 1.0))


@dataclass(slots=True)
class Market:
    """A market order, which pays the half spread at once."""

    def act(self, now: Now) -> Action:
        """Cross the spread."""
        return Place(now.ask, 1.0)


@dataclass(slots=True)
class Static:
    """Prices fixed at the arrival quote, one after the other, then the far touch."""

    fractions: tuple[float, ...]
    wait: int
    """Steps."""
    _prices: list[int] = field(default_factory=list)
    _placed: int = 0
    _at: int = 0

    def act(self, now: Now) -> Action:
        """Place the next price after the last one rested its time."""
        if not self._prices:
            self._prices = [now.bid + int(now.spread * fraction) for fraction in self.fractions]
        if now.resting is not None:
            return Cancel() if now.step - self._at >= self.wait else None
        if self._placed == len(self.fractions):
            return Place(now.ask, 1.0)
        fraction, price = self.fractions[self._placed], self._prices[self._placed]
        self._placed, self._at = self._placed + 1, now.step
        return Place(price, fraction)


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


def in_steps(seconds: float) -> int:
    """Return the number of steps in ``seconds``."""
    return round(seconds / STEP_SECONDS)
