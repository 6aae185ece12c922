"""Plans with auctions over their runs and days: beside other items, on a reducing account, carried, checked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rebalance_executor.domain.risk_state import TradingState
from tests.scenarios.test_auctions import AT_0900, AT_1540, OPEN, a_day, a_plan, deliver_until_result
from tests.support.world import buy, exit_of, outcomes


def test_reducing_account_leaves_the_sells_in_the_auction_without_a_run() -> None:
    with a_day(AT_1540, positions={"AAA": "10"}) as world:
        event = a_plan(world, exit_of("AAA", 1000), buy("BBB", 500))
        world.deliver(event)
        world.set_kill_switch(TradingState.REDUCING)

        for _ in range(25):
            assert world.deliver(event)["code"] == "AUCTION_PENDING"

        result = deliver_until_result(world, event)
        assert outcomes(result) == {"AAA": ("FILLED", None), "BBB": ("UNFILLED", "REDUCING_ONLY")}
        assert result["runs"] == 3


def test_halt_after_the_cut_off_starts_no_run_before_the_auction() -> None:
    with a_day(AT_1540, positions={"AAA": "10"}) as world:
        event = a_plan(world, exit_of("AAA", 1000))
        world.deliver(event)
        world.advance(11 * 60)
        world.set_kill_switch(TradingState.HALTED)

        for _ in range(25):
            assert world.deliver(event)["code"] == "AUCTION_PENDING"

        result = deliver_until_result(world, event)
        assert (outcomes(result), result["runs"]) == ({"AAA": ("FILLED", None)}, 2)


def test_item_that_is_worked_after_the_open_outlasts_a_run_before_it() -> None:
    """The account may only reduce since the plan started, so that a run withdraws the buy before the open."""
    with a_day(AT_0900, positions={"AAA": "10"}, auctions=[{"accepts": False}]) as world:
        items = exit_of("AAA", 1000, execution_style="work"), buy("BBB", 500), buy("CCC", 500, execution_style="work")
        event = a_plan(world, *items, style=OPEN)
        world.deliver(event)
        world.set_kill_switch(TradingState.REDUCING)

        result = deliver_until_result(world, event)

        assert outcomes(result) == {
            "AAA": ("FILLED", None),
            "BBB": ("REJECTED", "AUCTION_REJECTED"),
            "CCC": ("DENIED", "REDUCING_ONLY"),
        }


def test_patient_item_has_its_time_after_the_open() -> None:
    wide = {"AAA": {"bid": "99.90", "ask": "100.10", "volume": 1_000_000}}
    config = {"order_style": "ladder", "auction_remainder": "work"}
    with a_day(AT_0900, positions={"AAA": "10"}, auctions=[{"accepts": False}], quotes=wide, config=config) as world:
        event = a_plan(world, exit_of("AAA", 1000), style=OPEN, execution_urgency="PATIENT")

        deliver_until_result(world, event)

        worked = [order["limit_price"] for order in world.orders if order["time_in_force"] == "day"]
        assert worked == ["100.1", "100.08", "100.04", "99.98", "99.9"]


@pytest.mark.parametrize("item", [exit_of("AAA", 50), buy("BBB", 50)])
def test_item_below_a_share_is_worked_after_the_open(item: dict[str, object]) -> None:
    with a_day(AT_0900, positions={"AAA": "0.5"}) as world:
        event = a_plan(world, item, style=OPEN)

        first = world.deliver(event)
        result = deliver_until_result(world, event)

        assert (first["code"], first["retry_at"]) == ("AUCTION_PENDING", "2026-01-26T14:31:00+00:00")
        assert [(o["time_in_force"], o["filled_qty"]) for o in world.orders] == [("day", "0.5")]
        assert result["status"] == "success"


SUNDAY_AT_1930 = datetime(2026, 7, 5, 23, 30, tzinfo=UTC)
"""In New York, in summer: not yet Monday in UTC."""


def test_plan_of_the_evening_before_counts_on_its_trading_day_only() -> None:
    with a_day(SUNDAY_AT_1930, positions={"AAA": "10"}) as world:
        result = deliver_until_result(world, a_plan(world, exit_of("AAA", 1000), style=OPEN))
        world.advance(6 * 3_600)

        monday = world.deliver({"watch": True})
        world.advance(24 * 3_600)
        tuesday = world.deliver({"watch": True})

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert (monday["overdue"], monday["plans"]) == (False, {"success": 1})
        assert (tuesday["overdue"], tuesday["plans"]) == (True, {})


def test_rest_of_the_open_is_carried_to_the_next_open() -> None:
    config = {"auction_remainder": "carry"}
    with a_day(AT_0900, positions={"AAA": "10"}, auctions=[{"fill_fraction": 0.4}], config=config) as world:
        result = deliver_until_result(world, a_plan(world, exit_of("AAA", 1000), style=OPEN))
        world.broker.change({"auctions": []})
        world.advance((AT_0900 + timedelta(hours=23, minutes=35) - world.clock.now()).total_seconds())

        started = world.deliver({"resume": True})["carried"]
        world.advance(3_600)
        world.deliver({"resume": True})

        assert result["carried_plan"]["timestamp"] == "2026-01-27T13:30:00Z"
        assert [(one["plan_id"], one["code"]) for one in started] == [("plan-1-carried", "AUCTION_PENDING")]
        assert [(o["time_in_force"], o["filled_qty"]) for o in world.orders] == [("opg", "4"), ("opg", "6")]
        assert outcomes(world.deliver(result["carried_plan"] | {"account": "default"})) == {"AAA": ("FILLED", None)}
