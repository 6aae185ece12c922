"""Ladders proposed from estimates: the candidates, their expected cost, and the comparison with the present ladder.

An order that rests at place ``p`` pays ``2p − 1`` half spreads if it fills; if not, it is at the next rung after the
mid has drifted. What no rung fills is paid for at the far touch. All costs are relative to the mid at arrival. The
interval follows from the variances of the rates that a ladder uses (delta method).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from enum import StrEnum
from statistics import NormalDist

from rebalance_cli.calibration.estimates import Bucket, ClassEstimate, RungEstimate, Z, bucket_of
from rebalance_cli.calibration.observations import OrderClass
from rebalance_executor.domain.styles import LadderSteps

_PATTERNS = (
    ("1",),
    ("0", "1"),
    ("0.5", "1"),
    ("0", "0.5", "1"),
    ("0.1", "0.3", "0.5", "1"),
    ("0", "0.25", "0.5", "0.75", "1"),
    ("0", "0.1", "0.3", "0.6", "1"),
)
"""Spread fractions of the candidates: few, because the best of many is the luckiest one."""
_PARTS = (Decimal(1), Decimal("0.5"))
"""Parts of the time of the present ladder that a candidate takes."""
_EXTRAPOLATION = 2
"""A rate is applied to a multiple of the covered time at most: it says nothing about orders that rest much longer."""
_HALF_SECOND = Decimal("0.5")
_SHORTEST_WAIT = Decimal(1)
"""Seconds per rung of a candidate: a cancel, a read and a submission take about one."""
_STEP = 1e-4
"""Step of the numerical derivatives, relative to a rate of at least ``_STEP``."""

type Rates = Mapping[Bucket, tuple[float, float]]
"""Hazard and drift per place."""


class Verdict(StrEnum):
    """Result of the comparison of the candidates with the present ladder."""

    PROPOSE = "propose"
    """A candidate is cheaper by more than its interval, which is widened for the number of candidates."""
    KEEP = "keep"
    """No candidate is cheaper beyond noise."""
    NOT_ENOUGH_DATA = "not_enough_data"
    """The present ladder, or every candidate, uses places without enough orders."""
    NOT_APPLICABLE = "not_applicable"
    """No ladder can help: the urgency crosses at once, or Alpaca fills the orders itself at the far touch."""


@dataclass(frozen=True, slots=True)
class Rest:
    """A place in the spread where a ladder rests, and how long."""

    place: float
    seconds: float

    @property
    def bucket(self) -> Bucket:
        """The bucket of the place."""
        return bucket_of(self.place)


@dataclass(frozen=True, slots=True)
class Expected:
    """An expected value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LadderCost:
    """A ladder with its expected cost in half spreads: 1 is a market order, −1 a fill at the near touch."""

    steps: LadderSteps
    cost: Expected
    seconds: float
    """Expected seconds until the fill."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """The present ladder of one urgency, and the best candidate for one class of orders."""

    verdict: Verdict
    reason: str
    present: LadderCost | None = None
    best: LadderCost | None = None
    saving: Expected | None = None
    """Cost of the present ladder less that of the best candidate; the interval is widened for the candidates."""
    candidates: int = 0
    """Candidates that the data can judge."""


def propose(estimate: ClassEstimate, present: LadderSteps, patience: Decimal) -> Proposal:
    """Return the proposal for one class and the present ladder of one urgency.

    Args:
        estimate: the class.
        present: the ladder that is configured.
        patience: total seconds of a candidate as a multiple of those of the present ladder.
    """
    if estimate.order_class is OrderClass.BELOW_ONE_SHARE:
        return Proposal(Verdict.NOT_APPLICABLE, "Alpaca fills these orders itself, at the far touch")
    if len(present.spread_fractions) == 1:
        return Proposal(Verdict.NOT_APPLICABLE, "it crosses the spread at once")
    missing = _missing(present, estimate)
    if missing is not None:
        return Proposal(Verdict.NOT_ENOUGH_DATA, missing)
    now = _ladder_cost(present, estimate)
    judged = [steps for steps in _candidates(present, patience, estimate.ticks) if _missing(steps, estimate) is None]
    if not judged:
        return Proposal(Verdict.NOT_ENOUGH_DATA, "every candidate rests at other places, or longer", now)
    best = min((_ladder_cost(steps, estimate) for steps in judged), key=lambda candidate: candidate.cost.value)
    saving = _saving(present, best.steps, estimate, len(judged))
    verdict = Verdict.PROPOSE if saving.low > 0 else Verdict.KEEP
    reason = "cheaper by more than its interval" if saving.low > 0 else "no candidate is cheaper beyond noise"
    return Proposal(verdict, reason, now, best, saving, len(judged))


def _candidates(present: LadderSteps, patience: Decimal, ticks: int) -> Iterator[LadderSteps]:
    """Yield the candidates that place orders elsewhere, or for another time, than the present ladder."""
    total = present.wait_seconds * (len(present.spread_fractions) - 1) * patience
    seen = {rests_of(present, ticks)}
    for pattern in _PATTERNS:
        for part in _PARTS:
            time = total * part / max(1, len(pattern) - 1)
            wait = (time / _HALF_SECOND).to_integral_value(ROUND_FLOOR) * _HALF_SECOND
            wait = wait if len(pattern) > 1 else present.wait_seconds  # a single rung has no next one to wait for
            if wait < _SHORTEST_WAIT:
                continue
            steps = LadderSteps(spread_fractions=tuple(Decimal(place) for place in pattern), wait_seconds=wait)
            rests = rests_of(steps, ticks)
            if rests not in seen:
                seen.add(rests)
                yield steps


def rests_of(steps: LadderSteps, ticks: int) -> tuple[Rest, ...]:
    """Return where and how long a ladder rests in a spread of this many ticks, before it crosses.

    Prices are rounded towards our own side; an order stays where it is while the next rung has the same price.
    """
    rests: list[Rest] = []
    for fraction in steps.spread_fractions[:-1]:
        place, wait = int(fraction * ticks) / ticks, float(steps.wait_seconds)
        if rests and rests[-1].place == place:
            wait += rests.pop().seconds
        rests.append(Rest(place, wait))
    return tuple(rests)


def _missing(steps: LadderSteps, estimate: ClassEstimate) -> str | None:
    """Return what is missing to judge a ladder; None if nothing is."""
    problems = []
    needed: dict[Bucket, float] = {}
    for rest in rests_of(steps, estimate.ticks):
        needed[rest.bucket] = max(needed.get(rest.bucket, 0.0), rest.seconds)
    for bucket, seconds in needed.items():
        rung = estimate.rungs.get(bucket)
        if rung is None:
            problems.append(f"place {bucket.label}: no orders")
        elif rung.missing is not None:
            problems.append(rung.missing)
        elif seconds > _EXTRAPOLATION * rung.covered_seconds:
            problems.append(f"place {bucket.label}: orders rested {rung.covered_seconds:.0f} s, not {seconds:.0f} s")
    return "; ".join(problems) or None


# --- expected cost ---------------------------------------------------------------------------------------


def _ladder_cost(steps: LadderSteps, estimate: ClassEstimate) -> LadderCost:
    rests = rests_of(steps, estimate.ticks)
    cost = _expected(lambda rates: expected_cost(rests, rates), estimate.rungs, Z)
    return LadderCost(steps, cost, expected_seconds(rests, _rates(estimate.rungs)))


def _saving(present: LadderSteps, best: LadderSteps, estimate: ClassEstimate, candidates: int) -> Expected:
    """Return the saving with an interval for the best of so many candidates (Bonferroni).

    Both ladders use the same rates, so the interval of their difference is narrower than those of the two costs.
    """
    now, new = rests_of(present, estimate.ticks), rests_of(best, estimate.ticks)
    z = NormalDist().inv_cdf(1 - 0.025 / candidates)
    return _expected(lambda rates: expected_cost(now, rates) - expected_cost(new, rates), estimate.rungs, z)


def expected_cost(rests: Sequence[Rest], rates: Rates) -> float:
    """Return the expected cost of a ladder in half spreads against the mid at arrival.

    Args:
        rests: the rests before the far touch; what they do not fill is filled there.
        rates: hazard and drift per bucket.
    """
    cost, drift, unfilled = 0.0, 0.0, 1.0
    for rest in rests:
        hazard, drift_rate = rates[rest.bucket]
        fills = unfilled * (1 - math.exp(-hazard * rest.seconds))
        cost += fills * (drift + 2 * rest.place - 1)
        unfilled -= fills
        drift += drift_rate * rest.seconds
    return cost + unfilled * (drift + 1)


def expected_seconds(rests: Sequence[Rest], rates: Rates) -> float:
    """Return the expected seconds until the fill; the far touch takes none."""
    total, unfilled = 0.0, 1.0
    for rest in rests:
        hazard = rates[rest.bucket][0]
        survives = math.exp(-hazard * rest.seconds)
        total += unfilled * ((1 - survives) / hazard if hazard > 0 else rest.seconds)
        unfilled *= survives
    return total


def _rates(rungs: Mapping[Bucket, RungEstimate]) -> dict[Bucket, tuple[float, float]]:
    return {
        bucket: (rung.hazard.value, rung.drift.value)
        for bucket, rung in rungs.items()
        if rung.hazard is not None and rung.drift is not None
    }


def _expected(function: Callable[[Rates], float], rungs: Mapping[Bucket, RungEstimate], z: float) -> Expected:
    """Return a function of the rates with its interval of ``z`` standard errors."""
    rates = _rates(rungs)
    variance = 0.0
    for bucket, (hazard, drift) in rates.items():
        rung = rungs[bucket]
        if rung.hazard is None or rung.drift is None:
            continue
        step = _STEP * max(hazard, _STEP)
        by_hazard = _slope(function, rates, bucket, (hazard + step, drift), (hazard - step, drift))
        step = _STEP * max(abs(drift), _STEP)
        by_drift = _slope(function, rates, bucket, (hazard, drift + step), (hazard, drift - step))
        variance += by_hazard**2 * rung.hazard.variance + by_drift**2 * rung.drift.variance
    value, error = function(rates), z * math.sqrt(variance)
    return Expected(value, value - error, value + error)


def _slope(
    function: Callable[[Rates], float],
    rates: Rates,
    bucket: Bucket,
    above: tuple[float, float],
    below: tuple[float, float],
) -> float:
    step = (above[0] - below[0]) + (above[1] - below[1])
    return (function({**rates, bucket: above}) - function({**rates, bucket: below})) / step
