"""Requests of a plan of immediately filled orders: counts, which do not depend on time."""

from __future__ import annotations

import pytest

from benchmarks.request_counts import SIZES, count


@pytest.mark.parametrize("orders", SIZES)
def test_plan_takes_one_broker_request_per_order_and_at_most_ten_more(orders: int) -> None:
    counted = count(orders)

    assert counted.broker <= orders + 10
    assert counted.database <= 14
    assert counted.filling_the_cache <= orders + 1  # the asset flags, and the daily bars of all symbols
