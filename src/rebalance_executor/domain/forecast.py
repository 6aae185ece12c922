"""Forecasts of implementation shortfall as values: of one parent order, and of a plan. ``cost_model`` makes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import sqrt

from rebalance_executor.domain.market import Side

SAME_SIDE_CORRELATION = 0.3
"""Assumed correlation of the costs of two items of one side; of a buy and a sell it is the negative of that."""
_STEP = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class CostForecast:
    """Expected implementation shortfall in basis points of the arrival value, or the reason why it is unknown.

    Positive is a cost. The numbers are None together.
    """

    bps: Decimal | None = None
    low_bps: Decimal | None = None
    """Low end of the 90 % interval of this one order."""
    high_bps: Decimal | None = None
    reason: str | None = None
    """Reason why it is unknown; None if it is known."""

    @classmethod
    def of(cls, bps: float, low: float, high: float) -> CostForecast:
        """Return a known forecast."""
        return cls(_bps(bps), _bps(low), _bps(high))


@dataclass(frozen=True, slots=True)
class Weighted:
    """The forecast of one item of a plan, with the dollars of its order."""

    symbol: str
    side: Side
    dollars: Decimal
    forecast: CostForecast | None


def of_plan(items: Iterable[Weighted]) -> CostForecast | None:
    """Return the forecast of a plan: the dollar-weighted mean. None if no item has a forecast.

    The ends of the interval allow for ``SAME_SIDE_CORRELATION``; buys and sells partly cancel.
    """
    known = [item for item in items if item.forecast is not None and item.dollars > 0]
    total = sum(item.dollars for item in known)
    if not total:
        return None
    unknown = [(item.symbol, one.reason) for item in known if (one := item.forecast) is not None and one.bps is None]
    if unknown:
        symbols = ", ".join(symbol for symbol, _ in unknown)
        return CostForecast(reason=f"the cost of {symbols} is unknown: {unknown[0][1]}")
    mean, below, above = 0.0, [], []
    for item in known:
        one, part = item.forecast, float(item.dollars / total)
        if one is None or one.bps is None or one.low_bps is None or one.high_bps is None:
            raise AssertionError("a known forecast has an interval")
        sign = 1 if item.side is Side.BUY else -1
        mean += part * float(one.bps)
        below.append((part * float(one.bps - one.low_bps), sign))
        above.append((part * float(one.high_bps - one.bps), sign))
    return CostForecast.of(mean, mean - _joint(below), mean + _joint(above))


def _bps(number: float) -> Decimal:
    return Decimal(number).quantize(_STEP)


def _joint(widths: Sequence[tuple[float, int]]) -> float:
    own = sum(width**2 for width, _ in widths)
    return sqrt((1 - SAME_SIDE_CORRELATION) * own + SAME_SIDE_CORRELATION * sum(w * sign for w, sign in widths) ** 2)
