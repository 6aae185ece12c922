"""Prices of the market around an order's fills: which minutes, which days and which quotes count."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.benchmarks import (
    DayClose,
    Horizon,
    MinuteBar,
    closes,
    fill_time,
    interval,
    interval_vwap,
    markout,
    quote_times,
)
from rebalance_executor.domain.market import Side
from rebalance_executor.domain.orders import ChildState
from tests.support.builders import BUY, NOW, SELL, a_child, a_filled_child, a_parent, later

TUESDAY, MONDAY, FRIDAY = date(2026, 1, 27), date(2026, 1, 26), date(2026, 1, 23)


def bar(minutes: int, vwap: str, shares: int) -> MinuteBar:
    return MinuteBar(NOW + timedelta(minutes=minutes), Decimal(vwap), Decimal(shares))


def day(on: date, price: str, adjusted: str | None = None) -> DayClose:
    return DayClose(on, Decimal(price), Decimal(adjusted or price))


def test_vwap_weighs_the_minutes_that_the_order_was_worked_in_and_no_others() -> None:
    bars = [bar(-1, "90", 500), bar(0, "100", 300), bar(1, "101", 100), bar(2, "200", 900)]

    assert interval_vwap(bars, later(20), later(119)) == Decimal("100.25")
    assert interval_vwap(bars, later(0), later(59)) == 100


@pytest.mark.parametrize("bars", [[], [bar(9, "100", 10)], [bar(0, "100", 0)]], ids=["none", "later", "no shares"])
def test_interval_without_trades_has_no_vwap(bars: list[MinuteBar]) -> None:
    assert interval_vwap(bars, later(0), later(60)) is None


def test_interval_is_from_the_first_submission_to_the_last_fill() -> None:
    canceled = a_child(ChildState.CANCELED, submitted_at=later(3), closed_at=later(9))
    filled = a_filled_child(attempt=2, submitted_at=later(10), filled_at=later(14), closed_at=later(15))
    never_sent = a_child(ChildState.NOT_SENT, attempt=3, intended_at=later(1))

    assert interval(a_parent(canceled, filled, never_sent)) == (later(3), later(14))
    assert interval(a_parent(canceled)) is None


def test_fill_without_the_brokers_time_has_that_of_its_first_report() -> None:
    known: dict[str, Any] = {"fill_seen_at": later(5), "closed_at": later(9)}
    assert fill_time(a_filled_child(filled_at=later(4), **known)) == later(4)
    assert fill_time(a_filled_child(**known)) == later(5)
    assert fill_time(a_filled_child(closed_at=later(9))) == later(9)
    assert fill_time(a_child(ChildState.CANCELED, **known)) is None


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ([day(MONDAY, "101"), day(FRIDAY, "99")], ("101", "99")),
        ([day(TUESDAY, "105"), day(MONDAY, "101"), day(FRIDAY, "99")], ("101", "99")),
        ([day(MONDAY, "50.5", "25.25"), day(FRIDAY, "99", "24.75")], ("50.5", "49.5")),  # 2 for 1, and again later
        ([day(MONDAY, "101")], ("101", None)),
        ([day(FRIDAY, "99")], (None, None)),
        ([], (None, None)),
    ],
    ids=["two days", "a later day", "split on the day", "first day", "no trade on the day", "nothing"],
)
def test_close_of_the_day_and_of_the_day_before_in_shares_of_the_day(
    days: list[DayClose], expected: tuple[str | None, str | None]
) -> None:
    assert closes(days, MONDAY) == tuple(Decimal(one) if one is not None else None for one in expected)


def test_quotes_after_the_close_are_not_asked_for() -> None:
    close = datetime(2026, 1, 26, 21, tzinfo=UTC)
    before = close - timedelta(seconds=10)

    assert set(quote_times(NOW)) == {Horizon.ONE_SECOND, Horizon.THIRTY_SECONDS, Horizon.FIVE_MINUTES}
    assert quote_times(before) == {Horizon.ONE_SECOND: before + timedelta(seconds=1)}
    assert quote_times(close) == {}


@pytest.mark.parametrize(
    ("side", "later_price", "expected"), [(BUY, "10.03", "0.2"), (BUY, "10", "-0.1"), (SELL, "10", "0.1")]
)
def test_markout_is_positive_if_the_market_moved_in_our_favour(side: Side, later_price: str, expected: str) -> None:
    assert markout(side, Decimal("10.01"), Decimal(10), Decimal(later_price)) == Decimal(expected)
