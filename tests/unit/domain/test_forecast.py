"""The forecast of a plan, from those of its items."""

from __future__ import annotations

from decimal import Decimal

from rebalance_executor.domain.forecast import CostForecast, Weighted, of_plan
from rebalance_executor.domain.market import Side

FOUR = CostForecast.of(4, 1, 9)
UNKNOWN = CostForecast(reason="no volume")


def an_item(forecast: CostForecast | None, dollars: str = "1000", side: Side = Side.BUY) -> Weighted:
    return Weighted("AAA", side, Decimal(dollars), forecast)


def test_plan_of_one_item_has_its_forecast() -> None:
    assert of_plan([an_item(FOUR), an_item(None)]) == FOUR


def test_mean_is_weighted_by_dollars() -> None:
    plan = of_plan([an_item(FOUR, "3000"), an_item(CostForecast.of(8, 8, 8), "1000")])

    assert plan is not None
    assert plan.bps == 5


def test_items_of_one_side_diversify_a_part_and_the_other_side_more() -> None:
    """Two equal items: √((1 − 0.3) / 2 + 0.3) of the width on one side, √((1 − 0.3) / 2) on both sides."""
    same, opposite = (of_plan([an_item(FOUR), an_item(FOUR, side=side)]) for side in Side)

    assert same == CostForecast(Decimal("4.00"), Decimal("1.58"), Decimal("8.03"))
    assert opposite == CostForecast(Decimal("4.00"), Decimal("2.23"), Decimal("6.96"))


def test_plan_with_an_unknown_item_is_unknown() -> None:
    plan = of_plan([an_item(FOUR), an_item(UNKNOWN)])

    assert plan is not None
    assert (plan.bps, plan.low_bps, plan.high_bps) == (None, None, None)
    assert plan.reason == "the cost of AAA is unknown: no volume"


def test_plan_without_orders_has_no_forecast() -> None:
    assert of_plan([]) is None
    assert of_plan([an_item(None), an_item(FOUR, "0")]) is None
