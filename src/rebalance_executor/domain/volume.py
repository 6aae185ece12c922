"""Volume and volatility of a symbol from its daily bars: shares per day, and price moves within a session.

The volatility is Parkinson's (1980), the mean squared logarithm of high / low over 4 ln 2. It is that of the session
alone, as an order needs it; closes would add the night, and need five times as many days.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from math import log, sqrt

from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.session import LONGEST_CLOSURE

_WINDOW = timedelta(days=30)
"""Calendar days before the trading day whose volumes are averaged: about twenty trading days."""
MIN_DAYS = 10
"""Fewest days of an average. A day without a trade has no volume at all, so fewer would say much too much."""
_SHARE_STEP = Decimal(1)
_VOLATILITY_STEP = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class DailyBar:
    """One day of one symbol, on all venues."""

    day: date
    shares: Decimal
    high: Decimal | None = None
    """Highest price of the day in dollars; None if it is unknown."""
    low: Decimal | None = None

    @property
    def squared_range(self) -> float | None:
        """Squared logarithm of high / low; None if they are unknown or impossible."""
        if self.high is None or self.low is None or not ZERO < self.low <= self.high:
            return None
        return log(self.high / self.low) ** 2


@dataclass(frozen=True, slots=True)
class AverageVolume:
    """Average daily volume of one symbol in whole shares per day, and its volatility."""

    symbol: str
    shares: Decimal
    """Shares per day; more than zero."""
    days: int
    """Number of days in the average."""
    until: date
    """The latest of these days."""
    volatility: Decimal | None = None
    """Standard deviation of a session's return, as a fraction; None if the prices are unknown or do not move."""


def volume_window(today: date) -> tuple[date, date]:
    """Return the first and the last day of the volumes that are averaged on this trading day.

    The trading day itself is not one of them: its volume is not complete, and the market data of its last minutes is
    not part of every subscription.
    """
    return today - _WINDOW, today - timedelta(days=1)


def average_volume(symbol: str, bars: Iterable[DailyBar], today: date) -> AverageVolume | None:
    """Return the averages of the daily bars before this trading day.

    Args:
        symbol: the symbol.
        bars: its daily bars in any order. Those outside of the window are ignored; of one day the last counts.
        today: the trading day.

    Returns:
        None if there are fewer than ``MIN_DAYS`` of them, if the latest is more than a week old, or if nothing traded.
    """
    first, last = volume_window(today)
    by_day = {bar.day: bar for bar in bars if first <= bar.day <= last}
    if len(by_day) < MIN_DAYS or today - max(by_day) > LONGEST_CLOSURE:
        return None
    shares = (sum((bar.shares for bar in by_day.values()), ZERO) / len(by_day)).quantize(_SHARE_STEP)
    if shares <= 0:
        return None
    return AverageVolume(symbol, shares, len(by_day), max(by_day), _volatility(by_day.values()))


def _volatility(bars: Iterable[DailyBar]) -> Decimal | None:
    ranges = [squared for bar in bars if (squared := bar.squared_range) is not None]
    if len(ranges) < MIN_DAYS or not any(ranges):
        return None
    return Decimal(sqrt(sum(ranges) / len(ranges) / (4 * log(2)))).quantize(_VOLATILITY_STEP)
