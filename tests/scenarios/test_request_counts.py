"""What a plan of immediately filled orders costs in requests. Counts, so that nothing here depends on time."""

from __future__ import annotations

import pytest

from benchmarks.request_counts import SIZES, count


@pytest.mark.parametrize("orders", SIZES)
def test_a_plan_costs_one_broker_request_an_order_and_few_more(orders: int) -> None:
    counted = count(orders)

    assert counted.broker <= orders + 10
    assert counted.database <= 14
    assert counted.filling_the_cache <= orders
