"""Estimates per class of orders and place in the spread: how fast orders fill, and what is lost on those that do not.

Both are ratios: filled parts per second at risk, and half spreads of drift per second. The first is the estimate of a
constant hazard, in which an order that ended unfilled counts with its time. Orders of one plan see the same market, so
the variance is taken between plans, and never below that of independent orders.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from rebalance_cli.calibration.observations import Observation, OrderClass

MIN_ORDERS, MIN_FILLS, MIN_PLANS = 30, 10, 5
"""Fewer give no proposal. With 10 fills the 95 % interval of the rate is ± 62 % of it (1.96 / √10), with fewer it is no
longer nearly normal; orders of fewer than 5 plans show no variance between plans."""
MIN_DRIFTS = 10
"""Fewer unfilled orders with a next child give no drift."""
_COVERED = 10
"""Orders that must have rested for a time before a rate is applied to it."""
Z = 1.96
"""Standard errors of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A range of places in the spread, above ``low`` up to ``high``."""

    label: str
    high: float


BUCKETS = (
    Bucket("0", 0.05),
    Bucket("0.05–0.25", 0.25),
    Bucket("0.25–0.45", 0.45),
    Bucket("0.45–0.70", 0.70),
    Bucket("0.70–1", 0.999),
    Bucket("1", math.inf),
)
"""The near touch, a quarter, below and around the mid, beyond it, the far touch."""


def bucket_of(place: float) -> Bucket:
    """Return the bucket of a place in the spread."""
    return next(bucket for bucket in BUCKETS if place <= bucket.high)


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate per second with its variance and its 95 % interval."""

    value: float
    variance: float
    low: float
    high: float

    def within(self, seconds: float) -> tuple[float, float, float]:
        """Return the probability of at least one event within this time, and its interval."""
        value, low, high = (1 - math.exp(-rate * seconds) for rate in (self.value, self.low, self.high))
        return value, low, high


@dataclass(frozen=True, slots=True)
class RungEstimate:
    """Estimates of the orders of one class at one range of places."""

    bucket: Bucket
    orders: int
    plans: int
    fills: float
    """Sum of the filled parts."""
    seconds: float
    """Time at risk."""
    hazard: Rate | None
    """Fills per second; None without time at risk."""
    drift: Rate | None
    """Half spreads per second that the mid moves against an unfilled order; None without a next child."""
    drifts: int
    fill_cost: float | None
    """Mean fill price against the mid when the order was priced, in half spreads; None without fills."""
    covered_seconds: float
    """Time for which enough of its orders rested."""

    @property
    def missing(self) -> str | None:
        """Data that a proposal lacks; None if it lacks none."""
        has = ((self.orders, MIN_ORDERS, "orders"), (self.fills, MIN_FILLS, "fills"), (self.plans, MIN_PLANS, "plans"))
        short = [f"{math.floor(number)} of {least} {what}" for number, least, what in has if number < least]
        if not short and (self.drift is None or self.drifts < MIN_DRIFTS):
            short = [f"{self.drifts} of {MIN_DRIFTS} unfilled orders that another one followed"]
        if not short and self.hazard is None:
            short = ["no time at risk"]
        return f"place {self.bucket.label}: {', '.join(short)}" if short else None


@dataclass(frozen=True, slots=True)
class ClassEstimate:
    """Estimates of one class of orders."""

    order_class: OrderClass
    orders: int
    plans: int
    symbols: tuple[str, ...]
    """Symbols of which at least half of the orders are in this class."""
    half_spread_bps: float
    ticks: int
    """Median spread."""
    rungs: Mapping[Bucket, RungEstimate]


def estimate(observations: Sequence[Observation]) -> list[ClassEstimate]:
    """Return the estimates of every class that has orders, in the order of ``OrderClass``."""
    by_class = _grouped(observations, [one.order_class for one in observations])
    by_symbol = _grouped(observations, [one.symbol for one in observations])
    return [
        ClassEstimate(
            order_class=order_class,
            orders=len(members),
            plans=len({one.plan for one in members}),
            symbols=tuple(sorted(s for s, all_ in by_symbol.items() if 2 * _count(all_, order_class) >= len(all_))),
            half_spread_bps=fmean(one.half_spread_bps for one in members),
            ticks=round(median(one.ticks for one in members)),
            rungs=_rungs(members),
        )
        for order_class in OrderClass
        if (members := by_class.get(order_class))
    ]


def _count(observations: Iterable[Observation], order_class: OrderClass) -> int:
    return sum(one.order_class is order_class for one in observations)


def _grouped[K](observations: Iterable[Observation], keys: Iterable[K]) -> dict[K, list[Observation]]:
    groups: dict[K, list[Observation]] = defaultdict(list)
    for key, one in zip(keys, observations, strict=True):
        groups[key].append(one)
    return groups


def _rungs(observations: Sequence[Observation]) -> dict[Bucket, RungEstimate]:
    groups = _grouped(observations, [bucket_of(one.place) for one in observations])
    return {bucket: _rung(bucket, groups[bucket]) for bucket in BUCKETS if bucket in groups}


def _rung(bucket: Bucket, observations: Sequence[Observation]) -> RungEstimate:
    drifts = [(one.plan, one.drift, 1 - one.filled) for one in observations if one.drift is not None]
    costs = [one.fill_cost for one in observations if one.fill_cost is not None]
    rests = sorted((one.seconds for one in observations), reverse=True)
    return RungEstimate(
        bucket=bucket,
        orders=len(observations),
        plans=len({one.plan for one in observations}),
        fills=sum(one.filled for one in observations),
        seconds=sum(one.seconds for one in observations),
        hazard=hazard([(one.plan, one.filled, one.seconds) for one in observations]),
        drift=drift([(plan, weight * d.half_spreads, weight * d.seconds) for plan, d, weight in drifts]),
        drifts=len(drifts),
        fill_cost=fmean(costs) if costs else None,
        covered_seconds=rests[_COVERED - 1] if len(rests) >= _COVERED else 0.0,
    )


def hazard(terms: Sequence[tuple[str, float, float]]) -> Rate | None:
    """Return the fills per second at risk; None without time at risk.

    Args:
        terms: plan, filled part and seconds at risk of each order.
    """
    fills, seconds = sum(term[1] for term in terms), sum(term[2] for term in terms)
    if seconds <= 0:
        return None
    independent = max(fills, 0.5) / seconds**2  # half a fill, so that no fills are not certainty
    dispersion = max(1.0, _variance(terms, fills / seconds) / independent)
    low, high = poisson_interval(fills / dispersion)
    effective_seconds = seconds / dispersion
    return Rate(fills / seconds, dispersion * independent, low / effective_seconds, high / effective_seconds)


def drift(terms: Sequence[tuple[str, float, float]]) -> Rate | None:
    """Return the move per second; None without orders.

    Args:
        terms: plan, move and seconds of each unfilled order.
    """
    seconds = sum(term[2] for term in terms)
    if seconds <= 0:
        return None
    value = sum(term[1] for term in terms) / seconds
    independent = sum((move - value * time) ** 2 for _, move, time in terms) / seconds**2
    variance = max(independent, _variance(terms, value))
    return Rate(value, variance, value - Z * math.sqrt(variance), value + Z * math.sqrt(variance))


def poisson_interval(events: float) -> tuple[float, float]:
    """Return the 95 % interval of a mean of which this number of events was seen, which may be a fraction.

    Byar's approximation of the exact (Garwood) interval, by the cube root of chi-squared: within 1 % from five events,
    and wider below.
    """
    low = events * (1 - 1 / (9 * events) - Z / (3 * math.sqrt(events))) ** 3 if events > 0 else 0.0
    above = events + 1
    return max(0.0, low), above * (1 - 1 / (9 * above) + Z / (3 * math.sqrt(above))) ** 3


def _variance(terms: Sequence[tuple[str, float, float]], rate: float) -> float:
    """Return the variance of a ratio from the residuals summed by plan; 0 for a single plan, which shows none."""
    residuals: dict[str, float] = defaultdict(float)
    for plan, amount, seconds in terms:
        residuals[plan] += amount - rate * seconds
    plans = len(residuals)
    if plans < 2:
        return 0.0
    total = sum(term[2] for term in terms)
    return plans / (plans - 1) * sum(residual**2 for residual in residuals.values()) / total**2
