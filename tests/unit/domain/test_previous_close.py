"""Which daily bar has the previous close: its date decides."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from rebalance_executor.domain.previous_close import NO_PREVIOUS_CLOSE, DailyClose, PreviousClose, previous_close

MONDAY = date(2026, 1, 26)
"""The trading day."""


def bars(**prices: int) -> list[DailyClose]:
    """Build daily bars of January by day (``d26``)."""
    return [DailyClose(date(2026, 1, int(day[1:])), Decimal(price)) for day, price in prices.items()]


@pytest.mark.parametrize(
    ("closes", "price"),
    [
        (bars(d26=100, d23=90), 90),  # in the session
        (bars(d23=90, d22=80), 90),  # before the open, and for a symbol that has not traded today
        (bars(d22=80, d23=90), 90),
        (bars(d23=90), 90),
        (bars(d26=100, d19=70), 70),
        (bars(d27=110, d26=100, d23=90), 90),
    ],
    ids=["in session", "before the open", "other order", "one", "a week old", "of the future"],
)
def test_latest_close_before_the_trading_day_counts(closes: list[DailyClose], price: int) -> None:
    assert previous_close(closes, MONDAY) == PreviousClose(Decimal(price))


def test_symbol_whose_only_bar_is_of_the_trading_day_was_listed_today() -> None:
    assert previous_close(bars(d26=100), MONDAY) == NO_PREVIOUS_CLOSE


@pytest.mark.parametrize(
    "closes", [[], bars(d26=100, d18=70), bars(d18=70), bars(d27=110)], ids=["none", "stale", "only stale", "future"]
)
def test_close_is_unknown_without_a_recent_bar(closes: list[DailyClose]) -> None:
    assert previous_close(closes, MONDAY) is None
