"""A market in discrete time, seen by one buyer: quotes on ticks, volatility, spread, momentum, liquidity arrivals.

A step is half a second, the executor's tick. Prices are whole ticks of a cent. The market does not react to the order:
it is small. A sell is the same with signs changed.

In each step one uniform draw says how strongly liquidity arrives. A resting order fills when the draw is below
``fill_probability``, which falls with its distance behind the mid. Strong arrivals are informed: they push the quote
the way they trade, so that what fills passively fills, on average, before the price falls, and what does not is left
behind. An order that the ask comes down to is filled at its own limit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

STEP_SECONDS = 0.5
PRICE = 5_000
"""Ticks of a cent: the bid at the beginning, $50."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of market."""

    name: str
    spreads: tuple[int, ...]
    """Ticks; equally likely."""
    respread: float
    """Probability a step that the spread is drawn anew; bid or ask moves, equally likely."""
    jump: int
    """Ticks of a plain move, …"""
    volatility: float
    """… and its probability a step, up and down alike."""
    fills_a_minute: float
    """Fills a minute of an order that rests at the mid."""
    patience: float
    """How fast fills decay with the distance behind the mid, in half spreads: exp(−patience × distance)."""
    informed: float
    """Probability that an informed arrival moves the quote by a jump."""
    momentum: float = 0.0
    """Probability a step that a trend pushes the quote by a jump, while there is one."""
    trend_begins: float = 0.0
    trend_ends: float = 0.05

    def fill_probability(self, spread: Floats | float, behind_bid: Floats) -> Floats:
        """Probability a step that an order ``behind_bid`` ticks above the bid (negative: below) is filled."""
        half = np.asarray(spread) / 2
        distance = np.maximum((half - behind_bid) / half, -1.0)
        rate = self.fills_a_minute * STEP_SECONDS / 60 * np.exp(-self.patience * distance)
        result: Floats = 1 - np.exp(-rate)
        return result

    @property
    def informed_share(self) -> float:
        """Share of the steps with a strong arrival on one side: a tenth, as at the near touch of a busy book."""
        return 0.1

    def without_trend(self) -> Cell:
        """The same market to one who cannot see the trend: its pushes are moves like others."""
        if not self.momentum:
            return self
        trending = self.trend_begins / (self.trend_begins + self.trend_ends)
        return replace(self, momentum=0.0, trend_begins=0.0, volatility=self.volatility + trending * self.momentum / 2)


CELLS = (
    Cell("calm, wide", (8, 10, 12), 0.02, 1, 0.06, 6.0, 1.2, 0.3),
    Cell("calm, tight", (2, 3), 0.05, 1, 0.05, 10.0, 1.2, 0.3),
    Cell("fast", (4, 6, 8), 0.05, 2, 0.20, 10.0, 1.2, 0.5, momentum=0.2, trend_begins=0.02, trend_ends=0.1),
    Cell("illiquid", (24, 30, 36), 0.01, 2, 0.05, 1.5, 0.9, 0.4),
)


@dataclass(frozen=True, slots=True)
class Paths:
    """Many ways of one market: a row a path, a column a step."""

    bid: Ints
    spread: Ints
    trend: Ints
    draw: Floats
    """How strongly liquidity arrives in the step that follows; small means strong selling."""


def paths(cell: Cell, count: int, steps: int, seed: int) -> Paths:
    """``count`` paths of ``steps`` steps; the same seed gives the same paths."""
    rng = np.random.default_rng([seed, *cell.name.encode()])
    draw = rng.random((count, steps))
    spread = np.empty((count, steps + 1), dtype=np.int64)
    trend = np.zeros((count, steps + 1), dtype=np.int64)
    bid = np.empty((count, steps + 1), dtype=np.int64)
    values = np.asarray(cell.spreads)
    spread[:, 0], bid[:, 0] = rng.choice(values, count), PRICE
    share = cell.informed_share
    for t in range(steps):
        plain = cell.jump * _signed(rng, cell.volatility, count)
        pushed = cell.jump * trend[:, t] * (rng.random(count) < cell.momentum)
        side = (draw[:, t] > 1 - share).astype(np.int64) - (draw[:, t] < share)
        informed = cell.jump * side * (rng.random(count) < cell.informed)
        spread[:, t + 1] = np.where(rng.random(count) < cell.respread, rng.choice(values, count), spread[:, t])
        by_bid = (rng.random(count) < 0.5) * (spread[:, t] - spread[:, t + 1])
        bid[:, t + 1] = bid[:, t] + plain + pushed + informed + by_bid
        begun = rng.choice((-1, 1), count) * (rng.random(count) < cell.trend_begins)
        goes_on = rng.random(count) >= cell.trend_ends
        trend[:, t + 1] = np.where(trend[:, t] == 0, begun, trend[:, t] * goes_on)
    return Paths(bid, spread, trend, draw)


def _signed(rng: np.random.Generator, probability: float, count: int) -> Ints:
    """−1 or 1, each with this probability, else 0."""
    u = rng.random(count)
    return (u < probability).astype(np.int64) - (u > 1 - probability).astype(np.int64)


def moves(cell: Cell, trend: int) -> list[tuple[float, int, int]]:
    """Probability, jump and informed side of what may happen to the quote in one step, the spread apart."""
    plain = [(cell.volatility, 1), (cell.volatility, -1), (1 - 2 * cell.volatility, 0)]
    pushed = [(cell.momentum, trend), (1 - cell.momentum, 0)] if trend else [(1.0, 0)]
    informed = [(cell.informed, 1), (1 - cell.informed, 0)]
    return [(p * q * r, cell.jump * (a + b), cell.jump * c) for p, a in plain for q, b in pushed for r, c in informed]
