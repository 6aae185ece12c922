"""The forecast of what an order will cost, made when its plan starts."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class CostForecast:
    """Expected cost of one order in basis points of its arrival value, with a 90 % interval; positive is a cost."""

    bps: Decimal | None
    """None, as the interval, if it is unknown."""
    low_bps: Decimal | None
    high_bps: Decimal | None
    reason: str | None = None
    """Why it is unknown; None if it is known."""
