"""What a strategy sees and does in the lab, and how an order ends.

The rules of every market: a cancel takes one step without a resting order; after it the next order may be placed. A
limit at or above the ask fills at the ask. An order that is still open at the end crosses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

STEP_SECONDS = 0.5
"""The executor's tick."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Now:
    """One step as a strategy sees it; prices in ticks."""

    step: int
    bid: int
    spread: int
    resting: int | None
    """The limit of the resting order."""
    sizes: tuple[int, int]
    """Displayed shares at the bid and at the ask."""
    trend: int = 0
    ahead: int | None = None
    """Lots ahead of the order at the bid; only the optimum looks at it."""

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


class Path(Protocol):
    """One path of a market."""

    @property
    def arrival(self) -> float:
        """The first mid in ticks."""
        ...

    @property
    def half_spread(self) -> float:
        """Half of the first spread in ticks."""
        ...

    def work(self, worker: Worker, steps: int) -> Done:
        """Work one order to its end."""
        ...


def in_steps(seconds: float) -> int:
    """Return the number of steps in ``seconds``."""
    return round(seconds / STEP_SECONDS)
