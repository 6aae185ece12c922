"""Ladder orders, executed by the whole program on the simulated broker."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from rebalance_executor.domain.errors import PlanYielded
from tests.support.world import HandlerWorld, a_world, buy, exit_of, outcomes, plan, sell

LADDER = {
    "order_style": "ladder",
    "ladder": {
        "LOW": {"aims": [0, 0.5, 1], "wait_seconds": 10},
        "NORMAL": {"aims": [0.5, 0.75, 1], "wait_seconds": 10},
    },
}
WIDE = {"AAA": {"bid": "10.00", "ask": "10.10"}}


def quoted(bid: str, ask: str) -> dict[str, Any]:
    return {"quotes": {"AAA": {"bid": bid, "ask": ask}}}


def limits(world: HandlerWorld) -> list[str]:
    return [order["limit_price"] for order in world.orders]


def seconds_between(world: HandlerWorld) -> list[float]:
    """Return the seconds between consecutive submissions."""
    times = [datetime.fromisoformat(order["submitted_at"]) for order in world.orders]
    return [(b - a) / timedelta(seconds=1) for a, b in pairwise(times)]


def test_passive_rung_fills_when_the_market_reaches_it() -> None:
    with a_world(quotes=WIDE, config=LADDER) as world:
        world.change_after(6, quoted("9.95", "10.00"))
        result = world.deliver(plan(buy("AAA", 1000), execution_urgency="LOW"))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert limits(world) == ["10"]
        assert Decimal(result["slippage_bps"]) < 0


def test_ladder_without_fills_ends_at_the_far_touch() -> None:
    with a_world(quotes=WIDE, config=LADDER) as world:
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert limits(world) == ["10.05", "10.07", "10.1"]
        assert [order["status"] for order in world.orders] == ["canceled", "canceled", "filled"]


def test_sell_walks_down_to_the_bid() -> None:
    with a_world(quotes=WIDE, config=LADDER, positions={"AAA": "7.5"}) as world:
        result = world.deliver(plan(exit_of("AAA", 75)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert limits(world) == ["10.05", "10.03", "10"]
        assert world.filled("AAA") == Decimal("7.5")


def test_each_rung_is_priced_from_a_fresh_quote() -> None:
    with a_world(quotes=WIDE, config=LADDER) as world:
        world.change_after(5, quoted("10.04", "10.14"))
        world.change_after(15, quoted("10.05", "10.15"))
        world.deliver(plan(buy("AAA", 1000)))

        assert limits(world) == ["10.05", "10.11", "10.15"]


def test_rungs_are_short_when_the_market_moves_away() -> None:
    with a_world(quotes=WIDE, config=LADDER) as world:
        world.change_after(1, quoted("10.12", "10.22"))
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert limits(world)[0] == "10.05"
        assert seconds_between(world)[0] < 5


def test_next_rung_takes_the_remainder_of_a_partial_fill() -> None:
    part = {"symbol": "AAA", "nth": 1, "behaviour": "parts", "parts": [{"fraction": "0.4", "after_seconds": 3}]}
    with a_world(quotes=WIDE, fills=[part], whole_shares=["AAA"], config=LADDER) as world:
        result = world.deliver(plan(buy("AAA", 1010)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert [(order["qty"], order["filled_qty"]) for order in world.orders][:2] == [("100", "40"), ("60", "0")]
        assert world.filled("AAA") == 100


def test_15_open_order_at_the_far_touch_is_not_sent_again() -> None:
    """The earlier system canceled it and sent it again at the same price."""
    with a_world(quotes=WIDE, default_fill={"behaviour": "never"}, config=LADDER) as world:
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("UNFILLED", "ATTEMPTS_EXHAUSTED")}
        assert limits(world) == ["10.05", "10.07", "10.1"]


def test_short_invocation_has_short_rungs_and_completes() -> None:
    quotes = WIDE | {"BBB": {"bid": "20.00", "ask": "20.10"}}
    with a_world(quotes=quotes, positions={"AAA": "100"}, cash="0", config=LADDER) as world:
        result = world.deliver(plan(sell("AAA", 500), buy("BBB", 400)), seconds=8)

        assert outcomes(result) == {"AAA": ("FILLED", None), "BBB": ("FILLED", None)}
        assert result["runs"] == 1


def test_rungs_that_elapsed_while_no_process_ran_are_skipped() -> None:
    with a_world(quotes=WIDE, config=LADDER) as world:
        world.deliver_and_kill(plan(buy("AAA", 1000)), after=0.8, seconds=30)  # after the first look
        assert [order["status"] for order in world.orders] == ["new"]

        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert limits(world) == ["10.05", "10.1"]
        assert result["runs"] == 2


def test_run_that_yields_leaves_the_next_rung_to_the_next_run() -> None:
    slow = {"behaviour": "never", "cancel_seconds": 4}
    with a_world(quotes=WIDE, default_fill=slow, config=LADDER) as world:
        with pytest.raises(PlanYielded):
            world.deliver(plan(buy("AAA", 1000)), seconds=20)
        sent = limits(world)
        world.broker.change({"default_fill": {"behaviour": "marketable"}})
        world.advance(10)
        world.restart()
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert limits(world)[: len(sent)] == sent
        assert limits(world)[-1] == "10.1"


def test_fractional_order_waits_until_two_minutes_after_the_open() -> None:
    at = "2026-01-26T14:30:20Z"
    quotes = WIDE | {"BBB": {"bid": "10.00", "ask": "10.10"}}
    with a_world(quotes=quotes, at=datetime.fromisoformat(at), whole_shares=["BBB"], config=LADDER) as world:
        result = world.deliver(plan(buy("AAA", 1000), buy("BBB", 1000), timestamp=at))

        assert outcomes(result) == {"AAA": ("FILLED", None), "BBB": ("FILLED", None)}
        first = {order["symbol"]: order["submitted_at"] for order in reversed(world.orders)}
        assert first["BBB"] < "2026-01-26T14:31"
        assert first["AAA"] >= "2026-01-26T14:32"


@pytest.mark.parametrize(
    ("allowed", "at", "outcome"),
    [
        (True, "2026-01-26T13:00:00Z", ("FILLED", None)),
        (False, "2026-01-26T13:00:00Z", ("DENIED", "MARKET_CLOSED")),
        (True, "2026-01-26T08:59:00Z", ("DENIED", "MARKET_CLOSED")),
        (True, "2026-01-25T15:00:00Z", ("DENIED", "MARKET_CLOSED")),
    ],
    ids=["allowed", "not allowed", "before four", "on a Sunday"],
)
def test_limits_are_sent_before_the_open_if_configured(
    at: str, outcome: tuple[str, str | None], *, allowed: bool
) -> None:
    config = LADDER | {"extended_hours": allowed}
    with a_world(quotes=WIDE, at=datetime.fromisoformat(at), sessions="nyse", config=config) as world:
        result = world.deliver(plan(buy("AAA", 1000), timestamp=at))

        assert outcomes(result) == {"AAA": outcome}
        assert {(order["type"], order["extended_hours"]) for order in world.orders} <= {("limit", True)}


def test_half_day_ends_the_plan_at_one_o_clock() -> None:
    at = "2026-11-27T17:55:00Z"
    config = LADDER | {"last_rung_seconds": 3600}
    with a_world(
        quotes=WIDE, at=datetime.fromisoformat(at), sessions="nyse", default_fill={"behaviour": "never"}, config=config
    ) as world:
        result = world.deliver(plan(buy("AAA", 1000), timestamp=at), seconds=900)

        assert outcomes(result) == {"AAA": ("UNFILLED", "MARKET_CLOSED")}
        assert f"{world.clock.now():%H:%M}" == "18:00"
        assert limits(world)[-1] == "10.1"  # the last rung was sent in time


def test_holiday_denies_the_plan_and_names_the_next_open() -> None:
    at = "2026-11-26T16:00:00Z"
    with a_world(at=datetime.fromisoformat(at), sessions="nyse") as world:
        result = world.deliver(plan(buy("AAA", 1000), timestamp=at))

        assert outcomes(result) == {"AAA": ("DENIED", "MARKET_CLOSED")}
        assert "2026-11-27 14:30" in result["orders"][0]["error_message"]


def test_fractional_orders_wait_during_the_blackout_window_of_the_opening_auction() -> None:
    """Alpaca rejects them from 09:27 to 09:31, and ten consecutive rejects would halt the account."""
    at, symbols = "2026-01-26T14:28:00Z", [f"S{number}" for number in range(10)]
    window = {"from": "09:27", "until": "09:31", "fractional": True, "message": "not during the auction"}
    quotes = {symbol: {"bid": "10.00", "ask": "10.10"} for symbol in symbols}
    config = LADDER | {"extended_hours": True}
    with a_world(
        quotes=quotes, at=datetime.fromisoformat(at), sessions="nyse", blackout_windows=[window], config=config
    ) as world:
        result = world.deliver(plan(*(buy(symbol, 1001) for symbol in symbols), timestamp=at))

        assert set(outcomes(result).values()) == {("FILLED", None)}
        assert min(order["submitted_at"] for order in world.orders) >= "2026-01-26T14:32"


@pytest.mark.parametrize(("seconds", "orders"), [(600, 300), (300, 200)], ids=["all rungs fit", "one does not"])
def test_plan_of_100_items_has_the_rungs_that_fit_below_the_rate_limit(seconds: float, orders: int) -> None:
    symbols = [f"S{n:02d}" for n in range(100)]
    quotes = {symbol: {"bid": "10.00", "ask": "10.10"} for symbol in symbols}
    with a_world(quotes=quotes, config=LADDER, rate_limit={"trading": 200, "data": 200}) as world:
        result = world.deliver(plan(*(buy(symbol, 100) for symbol in symbols)), seconds=seconds)

        assert {outcome for outcome, _ in outcomes(result).values()} == {"FILLED"}
        assert not world.log_lines("broker.rate_limited")
        assert 100 < len(world.orders) <= orders
