"""A dry run sizes and prices a plan through the handler, and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from rebalance_executor.domain.errors import InvalidInput, UnknownAccount
from rebalance_executor.domain.risk_state import TradingState
from tests.support.world import EXECUTION, HandlerWorld, a_world, buy, plan, sell


def stored(world: HandlerWorld) -> list[dict[str, Any]]:
    """Return everything in the execution table."""
    items: list[dict[str, Any]] = world.session.resource("dynamodb").Table(EXECUTION).scan()["Items"]
    return items


def events(world: HandlerWorld) -> set[str]:
    return {line["message"] for line in world.log}


def test_dry_run_names_the_first_orders_and_sends_and_stores_nothing() -> None:
    with a_world(positions={"AAA": "50"}) as world:
        answer = world.deliver({"dry_run": plan(sell("AAA", 1000), buy("BBB", 500))})

        assert [(item["symbol"], item["side"], item["qty"]) for item in answer["items"]] == [
            ("AAA", "sell", "10"),
            ("BBB", "buy", "5"),
        ]
        assert all(item["limit_price"] for item in answer["items"])
        assert (world.orders, stored(world)) == ([], [])
        assert events(world) == {"dry_run.completed", "broker.requests"}


def test_dry_run_sizes_items_while_the_market_is_closed() -> None:
    """A deployment is outside trading hours."""
    with a_world(sessions="always_closed") as world:
        (item,) = world.deliver({"dry_run": plan(buy("BBB", 500))})["items"]

        assert item.get("code") != "MARKET_CLOSED"


def test_dry_run_says_what_a_control_denies_and_counts_no_denial() -> None:
    with a_world() as world:
        world.set_kill_switch(TradingState.HALTED)
        before = stored(world)
        (item,) = world.deliver({"dry_run": plan(buy("BBB", 500))})["items"]

        assert (item["outcome"], item["code"]) == ("DENIED", "HALTED")
        assert stored(world) == before
        assert events(world) == {"dry_run.completed", "broker.requests"}


def test_plan_after_its_dry_run_is_executed() -> None:
    with a_world() as world:
        document = plan(buy("BBB", 500))
        world.deliver({"dry_run": document})

        assert world.deliver(document)["status"] == "success"


@pytest.mark.parametrize(
    ("body", "error"), [({"plan_id": "no plan"}, InvalidInput), (plan(buy("BBB", 5), account="none"), UnknownAccount)]
)
def test_dry_run_fails_where_the_plan_would(body: dict[str, Any], error: type[Exception]) -> None:
    with a_world() as world, pytest.raises(error):
        world.deliver({"dry_run": body})
