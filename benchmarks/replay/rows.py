"""Figures of a cell: means with intervals that allow for parents of the same half hour moving together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, pstdev

from benchmarks.replay.fills import FillModel
from benchmarks.replay.measure import MARKOUT_SECONDS, Cell, Parent
from benchmarks.replay.strategies import MARKET, MID

_NORMAL_95 = 1.96
_SHOWN = 0.005
"""Basis points: half of the last digit in the tables."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean, and half of its 95 % confidence interval."""

    mean: float
    interval: float

    @property
    def is_above_zero(self) -> bool:
        """True if the mean is above zero beyond noise, and by more than is shown."""
        return self.mean - self.interval > _SHOWN


@dataclass(frozen=True, slots=True)
class Row:
    """One strategy for one symbol under one fill model. Costs in basis points of the mid at arrival."""

    symbol: str
    model: FillModel
    strategy: str
    parents: int
    cost: Mean
    """What is left at the end is paid at the far touch."""
    half_spreads: float
    """The cost as a multiple of the mean half spread at arrival."""
    fill_cost: float | None
    """Cost per filled share, without what was left; None without fills."""
    beyond: dict[str, Mean]
    """Cost above that of other strategies on the same arrivals, by name."""
    worst: float
    """Mean cost of the worst 1 %."""
    deviation: float
    """Standard deviation of the cost of one parent."""
    filled: float
    """Mean part of the shares that were filled."""
    complete: float
    """Part of the parents that were filled completely."""
    seconds: float
    """Mean time to the last fill, or to the end if shares were left."""
    orders: float
    requests: float
    """Mean requests for orders: one per order, two per cancel."""
    markouts: dict[int, float]
    """By seconds after the end: change of the mid in our favour, against the average price."""
    reasons: dict[str, int]
    """Codes with which the parents ended, and how many did."""


def rows_of(cells: Sequence[Cell]) -> list[Row]:
    """Return the figures of all cells; every strategy is compared with its references on the same arrivals."""
    by_key = {(cell.symbol, cell.model, cell.strategy): cell for cell in cells}
    found = []
    for cell in cells:
        names = [name for name in (MARKET, MID, cell.rival) if name is not None and name != cell.strategy]
        others = {name: by_key[cell.symbol, cell.model, name] for name in names}
        found.append(_row(cell, others))
    return found


def _row(cell: Cell, others: dict[str, Cell]) -> Row:
    parents = cell.parents
    costs = [parent.cost for parent in parents]
    filled = sum(parent.filled for parent in parents)
    of_fills = sum(parent.fill_cost * parent.filled for parent in parents if parent.fill_cost is not None)
    markouts = zip(*(parent.markouts for parent in parents), strict=True)
    return Row(
        symbol=cell.symbol,
        model=cell.model,
        strategy=cell.strategy,
        parents=len(parents),
        cost=clustered(costs, parents),
        half_spreads=fmean(costs) / fmean(parent.half_spread for parent in parents),
        fill_cost=of_fills / filled if filled else None,
        beyond={name: _beyond(cell, other) for name, other in others.items()},
        worst=fmean(sorted(costs)[-max(1, len(costs) // 100) :]),
        deviation=pstdev(costs),
        filled=filled / len(parents),
        complete=fmean(parent.filled == 1 for parent in parents),
        seconds=fmean(parent.seconds for parent in parents),
        orders=fmean(parent.orders for parent in parents),
        requests=fmean(parent.requests for parent in parents),
        markouts={after: fmean(changes) for after, changes in zip(MARKOUT_SECONDS, markouts, strict=True)},
        reasons=dict(Counter(parent.reason for parent in parents).most_common()),
    )


def _beyond(cell: Cell, other: Cell) -> Mean:
    pairs = zip(cell.parents, other.parents, strict=True)
    return clustered([one.cost - that.cost for one, that in pairs], cell.parents)


def clustered(values: Sequence[float], parents: Sequence[Parent]) -> Mean:
    """Return the mean of ``values``, one per parent, with an interval from the sums of each day's half hours."""
    mean = fmean(values)
    sums: dict[str, float] = {}
    for value, parent in zip(values, parents, strict=True):
        sums[parent.half_hour] = sums.get(parent.half_hour, 0.0) + value - mean
    return Mean(mean, _NORMAL_95 * sqrt(sum(total**2 for total in sums.values())) / len(values))
