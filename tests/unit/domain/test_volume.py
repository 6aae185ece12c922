"""The average daily volume: which days count, and when there is no average."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from rebalance_executor.domain.volume import AverageVolume, DailyBar, average_volume, volume_window

TODAY = date(2026, 1, 26)


def days_before(count: int, shares: str = "1000", *, latest: int = 1) -> list[DailyBar]:
    """Return the volumes of ``count`` consecutive days, the latest of them so many days before today."""
    return [DailyBar(TODAY - timedelta(days=latest + n), Decimal(shares)) for n in range(count)]


def test_average_is_the_mean_of_the_days_in_whole_shares() -> None:
    volumes = [*days_before(10), *days_before(5, "3001", latest=11)]

    average = average_volume("ABC", volumes, TODAY)

    assert average == AverageVolume("ABC", Decimal(1667), days=15, until=TODAY - timedelta(days=1))


def test_window_ends_on_the_day_before() -> None:
    first, last = volume_window(TODAY)

    assert (first, last) == (date(2025, 12, 27), date(2026, 1, 25))


@pytest.mark.parametrize("latest", [0, -5, 31], ids=["today", "the future", "long ago"])
def test_days_outside_of_the_window_do_not_count(latest: int) -> None:
    outside = days_before(1, "999999", latest=latest)

    average = average_volume("ABC", [*outside, *days_before(12)], TODAY)

    assert average is not None
    assert (average.shares, average.days) == (Decimal(1000), 12)


def test_day_counts_once() -> None:
    average = average_volume("ABC", [*days_before(12, "1"), *days_before(12)], TODAY)

    assert average is not None
    assert (average.shares, average.days) == (Decimal(1000), 12)


@pytest.mark.parametrize(
    ("volumes", "is_known"),
    [
        (days_before(10), True),
        (days_before(9), False),
        ([], False),
        (days_before(12, latest=7), True),
        (days_before(12, latest=8), False),
        (days_before(12, "0"), False),
        (days_before(12, "0.04"), False),
    ],
    ids=["ten days", "nine days", "none", "a week old", "stale", "no volume", "less than a share"],
)
def test_average_needs_enough_recent_days_with_trades(volumes: list[DailyBar], *, is_known: bool) -> None:
    assert (average_volume("ABC", volumes, TODAY) is not None) is is_known


def test_volatility_is_the_one_of_parkinson() -> None:
    bars = [DailyBar(bar.day, bar.shares, Decimal(102), Decimal(100)) for bar in days_before(12)]

    average = average_volume("ABC", bars, TODAY)

    assert average is not None
    assert average.volatility == Decimal("0.011893")  # ln 1.02 / √(4 ln 2)


@pytest.mark.parametrize(
    ("high", "low", "days"),
    [(None, 100, 12), (102, None, 12), (100, 102, 12), (102, 0, 12), (100, 100, 12), (102, 100, 9)],
    ids=["no high", "no low", "high below low", "low of zero", "no moves", "nine days with prices"],
)
def test_volatility_needs_enough_days_with_a_range(high: int | None, low: int | None, days: int) -> None:
    prices = [price if price is None else Decimal(price) for price in (high, low)]
    bars = [DailyBar(bar.day, bar.shares, *prices) for bar in days_before(days)]

    average = average_volume("ABC", [*days_before(3, latest=13), *bars], TODAY)

    assert average is not None
    assert average.volatility is None
