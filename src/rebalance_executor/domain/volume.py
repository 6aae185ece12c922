"""The average daily volume of a symbol: how much of it trades per day. Shares are ``Decimal``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.session import LONGEST_CLOSURE

_WINDOW = timedelta(days=30)
"""Calendar days before the trading day whose volumes are averaged: about twenty trading days."""
MIN_DAYS = 10
"""Fewest days of an average. A day without a trade has no volume at all, so fewer would say much too much."""
_SHARE_STEP = Decimal(1)


@dataclass(frozen=True, slots=True)
class DailyVolume:
    """Shares of one symbol that traded on one day, on all venues."""

    day: date
    shares: Decimal


@dataclass(frozen=True, slots=True)
class AverageVolume:
    """Average daily volume of one symbol, in whole shares per day."""

    symbol: str
    shares: Decimal
    """Shares per day; more than zero."""
    days: int
    """Number of days in the average."""
    until: date
    """The latest of these days."""


def volume_window(today: date) -> tuple[date, date]:
    """Return the first and the last day of the volumes that are averaged on this trading day.

    The trading day itself is not one of them: its volume is not complete, and the market data of its last minutes is
    not part of every subscription.
    """
    return today - _WINDOW, today - timedelta(days=1)


def average_volume(symbol: str, volumes: Iterable[DailyVolume], today: date) -> AverageVolume | None:
    """Return the average of the daily volumes before this trading day.

    Args:
        symbol: the symbol.
        volumes: its daily volumes in any order. Those outside of the window are ignored; of one day the last counts.
        today: the trading day.

    Returns:
        None if there are fewer than ``MIN_DAYS`` of them, if the latest is more than a week old, or if nothing traded.
    """
    first, last = volume_window(today)
    by_day = {volume.day: volume.shares for volume in volumes if first <= volume.day <= last}
    if len(by_day) < MIN_DAYS or today - max(by_day) > LONGEST_CLOSURE:
        return None
    shares = (sum(by_day.values(), ZERO) / len(by_day)).quantize(_SHARE_STEP)
    return AverageVolume(symbol, shares, len(by_day), max(by_day)) if shares > 0 else None
