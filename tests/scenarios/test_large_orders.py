"""Orders larger than their market shows, below one share, and in one-tick spreads (M1 to M4)."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from rebalance_executor.domain.errors import PlanYielded
from tests.support.world import HandlerWorld, a_world, buy, exit_of, outcomes, plan, sell

LADDER = {"order_style": "ladder", "slice_minutes": 4}
QUOTES: dict[str, dict[str, object]] = {"AAA": {"bid": "99.95", "ask": "100.05", "volume": 10_000_000}}
"""100 shares are displayed at each touch; the volume of a day limits nothing."""
LARGE = plan(buy("AAA", 100_000))
"""1,000 shares at the mid: ten times the display."""


def sizes(world: HandlerWorld) -> list[Decimal]:
    """Return the shares of the orders that were filled, in their order."""
    return [Decimal(order["filled_qty"]) for order in world.orders if Decimal(order["filled_qty"])]


def sent_at(world: HandlerWorld) -> list[datetime]:
    return [datetime.fromisoformat(order["submitted_at"]) for order in world.orders if Decimal(order["filled_qty"])]


def test_large_order_is_worked_in_slices_over_its_horizon() -> None:
    with a_world(cash="200000", quotes=QUOTES, config=LADDER) as world:
        result = world.deliver(LARGE, seconds=900)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert sizes(world) == [100] * 10
        between = [(b - a) / timedelta(seconds=1) for a, b in pairwise(sent_at(world))]
        assert all(23 <= seconds <= 26 for seconds in between)
        assert world.log_lines("broker.rate_limited") == []


def test_large_sell_is_worked_in_slices_and_its_buy_waits_for_proceeds() -> None:
    quotes = QUOTES | {"BBB": {"bid": "99.95", "ask": "100.05", "ask_size": 1000}}
    with a_world(cash="0", positions={"AAA": "1000"}, quotes=quotes, config=LADDER) as world:
        result = world.deliver(plan(exit_of("AAA", 100_000, current_value="100000"), buy("BBB", 50_000)), seconds=900)

        assert outcomes(result) == {"AAA": ("FILLED", None), "BBB": ("FILLED", None)}
        assert world.filled("AAA") == 1000
        assert Decimal(world.broker.app.exchange.account()["cash"]) >= 0


def test_large_order_continues_in_the_next_run_where_its_schedule_is() -> None:
    with a_world(cash="200000", quotes=QUOTES, config=LADDER) as world:
        with pytest.raises(PlanYielded):
            world.deliver(LARGE, seconds=150)
        first = world.filled("AAA")
        result = world.deliver(LARGE, seconds=900)

        assert 200 <= first <= 600
        assert outcomes(result)["AAA"][0] == "FILLED"
        assert world.filled("AAA") == 1000


@pytest.mark.parametrize("after", [12.5, 40, 75])
def test_kill_between_two_slices_loses_and_repeats_nothing(after: float) -> None:
    with a_world(cash="200000", quotes=QUOTES, config=LADDER) as world:
        world.deliver_and_kill(LARGE, after=after, seconds=900)
        result = world.deliver(LARGE, seconds=900)

        assert outcomes(result)["AAA"][0] == "FILLED"
        assert world.filled("AAA") == 1000
        ids = [order["client_order_id"] for order in world.orders]
        assert len(ids) == len(set(ids))


def test_run_that_ends_before_the_horizon_shortens_it_and_says_so() -> None:
    config = LADDER | {"plan_time_limit_minutes": 4}
    with a_world(cash="200000", quotes=QUOTES, config=config) as world:
        result = world.deliver(LARGE, seconds=900)
        assert outcomes(result) == {"AAA": ("FILLED", "HORIZON_SHORTENED")}


def test_order_that_keeps_filling_is_not_given_up() -> None:
    """M1: it was given up 30 seconds after it was sent, with the message that nothing came."""
    parts = [{"fraction": part, "after_seconds": at} for part, at in (("0.3", 0), ("0.3", 25), ("0.4", 50))]
    fills = [{"symbol": "AAA", "behaviour": "parts", "parts": parts}]
    config = LADDER | {"slice_over_displayed": None}
    with a_world(cash="200000", quotes=QUOTES, config=config, fills=fills) as world:
        result = world.deliver(LARGE | {"execution_urgency": "URGENT"}, seconds=900)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert len(world.orders) == 1


def test_order_that_stops_filling_ends_with_a_message_that_counts_its_fills() -> None:
    parts = [{"fraction": "0.3", "after_seconds": 0}, {"fraction": "0.3", "after_seconds": 25}]
    fills = [{"symbol": "AAA", "behaviour": "parts", "parts": parts}]
    config = LADDER | {"slice_over_displayed": None}
    with a_world(cash="200000", quotes=QUOTES, config=config, fills=fills) as world:
        result = world.deliver(LARGE | {"execution_urgency": "URGENT"}, seconds=900)

        assert outcomes(result) == {"AAA": ("PARTIALLY_FILLED", "ATTEMPTS_EXHAUSTED")}
        (order,) = result["orders"]
        assert "600 of 1000 shares filled, then no more at 100.05 within 30 seconds" in order["error_message"]


@pytest.mark.parametrize("urgency", ["PATIENT", "LOW", "NORMAL", "HIGH", "URGENT"])
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_order_below_one_share_is_one_order_at_the_far_touch(side: str, urgency: str) -> None:
    """M2: it rested at the bid before, and took three to four orders."""
    item = buy("AAA", 50) if side == "buy" else sell("AAA", 50)
    with a_world(cash="1000", positions={"AAA": "5"}, quotes=QUOTES, config=LADDER) as world:
        result = world.deliver(plan(item, execution_urgency=urgency))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert [order["limit_price"] for order in world.orders] == ["100.05" if side == "buy" else "99.95"]


def test_one_tick_spread_is_joined_and_then_crossed() -> None:
    """M3: LOW crossed 13.99/14.00 at once."""
    with a_world(quotes={"AAA": {"bid": "13.99", "ask": "14.00"}}, config=LADDER) as world:
        result = world.deliver(plan(buy("AAA", 700), execution_urgency="LOW"))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert [(o["limit_price"], o["status"]) for o in world.orders] == [("13.99", "canceled"), ("14", "filled")]
        times = [datetime.fromisoformat(order["submitted_at"]) for order in world.orders]
        assert 24 <= (times[1] - times[0]).total_seconds() <= 26


def test_patient_order_waits_for_minutes_across_two_runs() -> None:
    """M4: the most patient ladder took 24 seconds."""
    patient = plan(buy("AAA", 1000), execution_urgency="PATIENT")
    with a_world(quotes=QUOTES, config=LADDER) as world:
        with pytest.raises(PlanYielded):
            world.deliver(patient, seconds=150)
        result = world.deliver(patient, seconds=600)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        times = [datetime.fromisoformat(order["submitted_at"]) for order in world.orders]
        assert (times[-1] - times[0]).total_seconds() > 150
        assert world.orders[-1]["limit_price"] == "100.05"
