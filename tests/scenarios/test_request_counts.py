"""Requests of a plan of immediately filled orders: counts, which do not depend on time."""

from __future__ import annotations

import pytest

from benchmarks import write_units
from benchmarks.request_counts import SIZES, count, count_new_symbols


@pytest.mark.parametrize("orders", SIZES)
def test_plan_takes_one_broker_request_per_order_and_at_most_ten_more(orders: int) -> None:
    counted = count(orders)

    assert counted.broker <= orders + 10
    assert counted.database <= 14
    assert counted.filling_the_cache <= orders + 1  # the asset flags, and the daily bars of all symbols


@pytest.mark.parametrize("orders", SIZES)
def test_symbols_that_are_not_held_take_one_more_request_for_all_of_them(orders: int) -> None:
    assert count_new_symbols(orders) == 1


@pytest.mark.parametrize(("orders", "most"), [(8, 9), (32, 6)])
def test_plan_takes_few_write_units_per_order(orders: int, most: int) -> None:
    written = write_units.count(orders)

    assert written.units_per_order <= most
    assert written.bytes_per_order <= 2000
