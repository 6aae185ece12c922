"""A market in discrete time for one buyer: quotes on ticks, volatility, spread, momentum, liquidity arrivals.

A step is half a second, the executor's tick. Prices are whole ticks of a cent. The order is too small to move the
market. A sell is the same with reversed signs.

In each step, one uniform draw gives the strength of arriving liquidity. A resting order fills if the draw is below
``fill_probability``, which falls with the order's distance behind the mid. Strong arrivals are informed: they push the
quote in the direction of their trade. So a passive fill comes, on average, before the price falls, and an order
without a fill is left behind. An order fills at its own limit when the ask comes down to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.lab.work import STEP_SECONDS, Cancel, Done, Floats, Ints, Now, Place, Worker

_DISPLAYED = 1_000
"""Shares at each touch: more than the order."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of market."""

    name: str
    spreads: tuple[int, ...]
    """Ticks; equally likely."""
    respread: float
    """Probability per step that the spread is drawn again; bid or ask moves, equally likely."""
    jump: int
    """Ticks of a plain move."""
    volatility: float
    """Probability per step of a plain move up, and of one down."""
    fills_per_minute: float
    """Fills per minute of an order resting at the mid."""
    patience: float
    """Decay of fills with the distance behind the mid, in half spreads: exp(−patience × distance)."""
    informed: float
    """Probability that an informed arrival moves the quote by a jump."""
    momentum: float = 0.0
    """Probability per step that an existing trend pushes the quote by a jump."""
    trend_starts: float = 0.0
    trend_ends: float = 0.05
    price: int = 5_000
    """The first bid in ticks of a cent: $50."""

    is_mirrored = False
    """Informed arrivals and fills are those of a buyer."""

    @property
    def widest(self) -> int:
        """The widest spread in ticks."""
        return max(self.spreads)

    def draw(self, count: int, steps: int, seed: int) -> Iterator[SpreadPath]:
        """Return ``count`` paths of ``steps`` steps; the same seed gives the same paths."""
        drawn = paths(self, count, steps, seed)
        fills = {s: [float(p) for p in self.fill_probability(s, np.arange(-200.0, s))] for s in self.spreads}
        for row in zip(drawn.bid, drawn.spread, drawn.trend, drawn.draw, strict=True):
            yield SpreadPath(fills, *row)

    def fill_probability(self, spread: Floats | float, above_bid: Floats) -> Floats:
        """Return the fill probability per step of an order ``above_bid`` ticks above the bid (negative: below)."""
        half = np.asarray(spread) / 2
        distance = np.maximum((half - above_bid) / half, -1.0)
        rate = self.fills_per_minute * STEP_SECONDS / 60 * np.exp(-self.patience * distance)
        result: Floats = 1 - np.exp(-rate)
        return result

    @property
    def informed_share(self) -> float:
        """Share of the steps with a strong arrival on one side: a tenth, as at the near touch of a busy order book."""
        return 0.1

    def without_trend(self) -> Cell:
        """Return this market as it looks without knowledge of the trend: its pushes are plain moves."""
        if not self.momentum:
            return self
        trending = self.trend_starts / (self.trend_starts + self.trend_ends)
        return replace(self, momentum=0.0, trend_starts=0.0, volatility=self.volatility + trending * self.momentum / 2)


CELLS = (
    Cell("calm, wide", (8, 10, 12), 0.02, 1, 0.06, 6.0, 1.2, 0.3),
    Cell("calm, tight", (2, 3), 0.05, 1, 0.05, 10.0, 1.2, 0.3),
    Cell("fast", (4, 6, 8), 0.05, 2, 0.20, 10.0, 1.2, 0.5, momentum=0.2, trend_starts=0.02, trend_ends=0.1),
    Cell("illiquid", (24, 30, 36), 0.01, 2, 0.05, 1.5, 0.9, 0.4),
)


@dataclass(frozen=True, slots=True)
class Paths:
    """Many paths of one market: one row per path, one column per step."""

    bid: Ints
    spread: Ints
    trend: Ints
    draw: Floats
    """Strength of the liquidity that arrives in the next step; small means strong selling."""


@dataclass(frozen=True, slots=True)
class SpreadPath:
    """One path: one entry per step."""

    fills: dict[int, list[float]]
    """Fill probabilities by spread, in a list by ticks above the bid that starts at −200."""
    bid: Ints
    spread: Ints
    trend: Ints
    draw: Floats

    @property
    def half_spread(self) -> float:
        """Half of the first spread in ticks."""
        return float(self.spread[0]) / 2

    @property
    def arrival(self) -> float:
        """The first mid in ticks."""
        return float(self.bid[0]) + self.half_spread

    def work(self, worker: Worker, steps: int) -> Done:
        """Work one order to its end."""
        bids, spreads = self.bid.tolist(), self.spread.tolist()  # faster than arrays for single values
        trends, draws = self.trend.tolist(), self.draw.tolist()
        resting: int | None = None
        rungs: list[float] = []
        for t in range(steps):
            bid, spread = bids[t], spreads[t]
            action = worker.act(Now(t, bid, spread, resting, (_DISPLAYED, _DISPLAYED), trends[t]))
            if isinstance(action, Cancel):
                resting = None
            elif isinstance(action, Place):
                rungs.append(action.rung)
                if action.price >= bid + spread:
                    return Done(bid + spread, t, tuple(rungs))
                resting = action.price
            if resting is None:
                continue
            is_filled = draws[t] < self.fills[spread][max(resting - bid, -200) + 200]
            if is_filled or resting >= bids[t + 1] + spreads[t + 1]:
                return Done(resting, t + 1, tuple(rungs))
        return Done(bids[steps] + spreads[steps], steps, (*rungs, 1.0))


def paths(cell: Cell, count: int, steps: int, seed: int) -> Paths:
    """Return ``count`` paths of ``steps`` steps; the same seed gives the same paths."""
    rng = np.random.default_rng([seed, *cell.name.encode()])
    draw = rng.random((count, steps))
    spread = np.empty((count, steps + 1), dtype=np.int64)
    trend = np.zeros((count, steps + 1), dtype=np.int64)
    bid = np.empty((count, steps + 1), dtype=np.int64)
    values = np.asarray(cell.spreads)
    spread[:, 0], bid[:, 0] = rng.choice(values, count), cell.price
    share = cell.informed_share
    for t in range(steps):
        plain = cell.jump * _signed(rng, cell.volatility, count)
        pushed = cell.jump * trend[:, t] * (rng.random(count) < cell.momentum)
        side = (draw[:, t] > 1 - share).astype(np.int64) - (draw[:, t] < share)
        informed = cell.jump * side * (rng.random(count) < cell.informed)
        spread[:, t + 1] = np.where(rng.random(count) < cell.respread, rng.choice(values, count), spread[:, t])
        by_bid = (rng.random(count) < 0.5) * (spread[:, t] - spread[:, t + 1])
        bid[:, t + 1] = bid[:, t] + plain + pushed + informed + by_bid
        started = rng.choice((-1, 1), count) * (rng.random(count) < cell.trend_starts)
        continues = rng.random(count) >= cell.trend_ends
        trend[:, t + 1] = np.where(trend[:, t] == 0, started, trend[:, t] * continues)
    return Paths(bid, spread, trend, draw)


def _signed(rng: np.random.Generator, probability: float, count: int) -> Ints:
    """Return −1 or 1, each with this probability, or 0."""
    u = rng.random(count)
    return (u < probability).astype(np.int64) - (u > 1 - probability).astype(np.int64)


def moves(cell: Cell, trend: int) -> list[tuple[float, int, int]]:
    """Return probability, jump and informed side of every move of the quote in one step, apart from its spread."""
    plain = [(cell.volatility, 1), (cell.volatility, -1), (1 - 2 * cell.volatility, 0)]
    pushed = [(cell.momentum, trend), (1 - cell.momentum, 0)] if trend else [(1.0, 0)]
    informed = [(cell.informed, 1), (1 - cell.informed, 0)]
    return [(p * q * r, cell.jump * (a + b), cell.jump * c) for p, a in plain for q, b in pushed for r, c in informed]
