"""Numbers as text for people: rounded to what a reader can use."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from rebalance_executor.domain.session import new_york
from rebalance_executor.domain.values import format_decimal, format_time

NONE = "–"
"""Placeholder for a missing value in a table."""

_PRICE_DECIMALS = 4


def dollars(amount: Decimal | None, *, sign: bool = False) -> str:
    """Format an amount with thousands separators and cents."""
    if amount is None:
        return NONE
    text = f"{amount:+,.2f}" if sign else f"{amount:,.2f}"
    return text.replace("-0.00", "0.00").replace("+0.00", "0.00")


def price(amount: Decimal | None, decimals: int = _PRICE_DECIMALS) -> str:
    """Format a price with cents, or with up to ``decimals`` decimals if it is not in whole cents."""
    if amount is None:
        return NONE
    rounded = round(amount, decimals)
    return f"{rounded:,.2f}" if rounded == round(rounded, 2) else f"{rounded:,.{decimals}f}".rstrip("0")


def shares(quantity: Decimal, decimals: int) -> str:
    """Format a quantity of shares with up to ``decimals`` decimals."""
    return format_decimal(round(quantity, decimals))


def percent(fraction: Decimal) -> str:
    """Format a fraction as a percentage with up to two decimals: ``0.105`` → ``10.5%``."""
    return f"{format_decimal(round(fraction * 100, 2))}%"


def basis_points(amount: Decimal | None, *, sign: bool = False) -> str:
    """Format basis points with one decimal. A value that rounds to zero has no sign."""
    if amount is None:
        return NONE
    rounded = round(amount, 1)
    return "0.0" if not rounded else f"{rounded:+.1f}" if sign else f"{rounded:.1f}"


def fixed(amount: Decimal | int, decimals: int) -> str:
    """Format a number with thousands separators and this many decimals. A value that rounds to zero has no sign."""
    rounded = round(Decimal(amount), decimals)
    return f"{rounded or abs(rounded):,.{decimals}f}"


def counted(number: int, noun: str) -> str:
    """Format a number with its noun: ``1 order``, ``2 orders``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def date_and_time(at: datetime | None) -> str:
    """Format a time as ``2026-01-26 20:45:00 UTC (15:45:00 New York)``."""
    return format_time(at) if at is not None else NONE


def utc_time(at: datetime) -> str:
    """Format a time for a column whose title names UTC: ``2026-01-26 20:45:00``."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def new_york_time(at: datetime) -> str:
    """Format a time for a column whose title names New York: ``15:45:00``."""
    return f"{new_york(at):%H:%M:%S}"


def duration(seconds: float) -> str:
    """Format a duration in seconds, or in minutes from 90 seconds on."""
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
