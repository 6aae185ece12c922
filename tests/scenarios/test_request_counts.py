"""Requests of a plan of immediately filled orders: counts, which do not depend on time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from benchmarks import write_units
from benchmarks.request_counts import AFTER_WEEKEND, NEXT_DAY, SIZES, WARM, count, count_new_symbols
from rebalance_executor.execution.symbol_data import SINGLE_REQUESTS


@pytest.mark.parametrize("apart", [WARM, NEXT_DAY, AFTER_WEEKEND], ids=["warm", "next day", "after a weekend"])
@pytest.mark.parametrize("orders", SIZES)
def test_plan_takes_one_broker_request_per_order_and_few_more(orders: int, apart: timedelta) -> None:
    counted = count(orders, apart)

    daily_bars = 0 if apart == WARM else 1
    assert counted.broker == orders + 8 + daily_bars
    assert counted.database <= 14


@pytest.mark.parametrize("orders", [SINGLE_REQUESTS, SINGLE_REQUESTS + 1, 128])
def test_flags_of_many_new_symbols_take_one_request(orders: int) -> None:
    counted = count(orders)

    flags = orders if orders <= SINGLE_REQUESTS else 1
    assert counted.first_ever == counted.broker + flags + 1  # and the daily bars of all symbols


@pytest.mark.parametrize("orders", SIZES)
def test_symbols_that_are_not_held_take_no_more_requests(orders: int) -> None:
    assert count_new_symbols(orders) == 0  # the answer with the quotes has their previous closes


@pytest.mark.parametrize(("orders", "most"), [(8, 9), (32, 6)])
def test_plan_takes_few_write_units_per_order(orders: int, most: int) -> None:
    written = write_units.count(orders)

    assert written.units_per_order <= most
    assert written.bytes_per_order <= 2000
