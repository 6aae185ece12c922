"""The forecast of a plan's cost, through the whole program: journalled when it starts, and in its result."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.errors import PlanYielded
from tests.support.world import HandlerWorld, a_world, buy, outcomes, plan, sell

FIELDS = ("forecast_bps", "forecast_low_bps", "forecast_high_bps", "forecast_reason")
HALF_SPREAD = Decimal(1)
"""Basis points of 99.99 / 100.01."""


def forecasts(world: HandlerWorld, *items: dict[str, Any], **fields: Any) -> dict[str, list[Any]]:
    """Deliver a plan; return the forecast fields of its orders and, under "plan", of the plan."""
    result = world.deliver(plan(*items, **fields))
    assert result["success"], outcomes(result)
    rows = {order["symbol"]: order for order in result["orders"]} | {"plan": result}
    return {symbol: [row[name] for name in FIELDS] for symbol, row in rows.items()}


def test_result_has_the_forecast_of_each_order_and_of_the_plan() -> None:
    with a_world(positions={"AAA": "50"}, config={"order_style": "ladder"}) as world:
        found = forecasts(world, sell("AAA", 500, current_value=5000), buy("BBB", 500))

    for bps, low, high, reason in found.values():
        assert Decimal(low) < Decimal(bps) < Decimal(high)
        assert 0 < Decimal(bps) < HALF_SPREAD
        assert reason is None
    (mean, low, _), *items = ([Decimal(number) for number in found[name][:3]] for name in ("plan", "AAA", "BBB"))
    assert min(one[0] for one in items) <= mean <= max(one[0] for one in items)
    assert low > max(one[1] for one in items)  # a buy and a sell diversify


def test_order_that_crosses_at_once_is_forecast_to_cost_half_the_spread() -> None:
    with a_world(config={"order_style": "ladder"}) as world:
        found = forecasts(world, buy("BBB", 500), execution_urgency="URGENT")

    assert Decimal(found["BBB"][0]) == HALF_SPREAD


@pytest.mark.parametrize(
    ("quote", "reason"),
    [({"volume": None}, "volume is unknown"), ({"bid_size": 0}, "displayed sizes")],
    ids=["no bars", "no size"],
)
def test_what_is_not_known_is_said(quote: dict[str, Any], reason: str) -> None:
    with a_world() as world:
        world.broker.change({"quotes": {"BBB": quote}})
        found = forecasts(world, buy("BBB", 500))

    assert found["BBB"][:3] == found["plan"][:3] == [None, None, None]
    assert reason in found["BBB"][3]
    assert found["plan"][3] == f"the cost of BBB is unknown: {found['BBB'][3]}"


def test_forecast_is_the_one_of_the_start_in_every_later_run() -> None:
    with a_world() as world:
        undisturbed = forecasts(world, buy("BBB", 500))
    with a_world(fills=[{"symbol": "BBB", "nth": 1, "behaviour": "never"}]) as world:
        document = plan(buy("BBB", 500))
        with pytest.raises(PlanYielded):
            world.deliver(document, seconds=5)
        world.broker.change({"quotes": {"BBB": {"bid": "99.90", "ask": "100.10"}}})
        result = world.deliver(document)

    assert result["runs"] == 2
    assert [result[name] for name in FIELDS] == undisturbed["plan"]
