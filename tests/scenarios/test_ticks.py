"""Symbols with a half-cent tick (P7), executed by the whole program on the simulated broker."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.world import HandlerWorld, a_world, buy, exit_of, outcomes, plan

LADDER = {"order_style": "ladder", "ladder": {"NORMAL": {"aims": [0, 0.5, 1], "wait_seconds": 10}}}
HALF_CENTS = {"AAA": {"bid": "13.985", "ask": "13.995"}}
CENTS = {"AAA": {"bid": "13.98", "ask": "14.00"}}
HALF_CENT_ASSET = [{"symbol": "AAA", "tick_size": "0.005"}, {"symbol": "SPY"}]
CENT_ASSET = [{"symbol": "AAA"}, {"symbol": "SPY"}]


def limits(world: HandlerWorld) -> list[str]:
    return [order["limit_price"] for order in world.orders]


@pytest.mark.parametrize(
    ("item", "expected"),
    [(buy("AAA", 1000), ["13.985", "13.99", "13.995"]), (exit_of("AAA", 105), ["13.995", "13.99", "13.985"])],
    ids=["buy", "sell"],
)
def test_spread_of_two_half_cents_has_a_rung_inside_and_ends_at_its_far_touch(
    item: dict[str, Any], expected: list[str]
) -> None:
    with a_world(quotes=HALF_CENTS, assets=HALF_CENT_ASSET, positions={"AAA": "7.5"}, config=LADDER) as world:
        result = world.deliver(plan(item))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert limits(world) == expected
        assert Decimal(result["orders"][0]["price"]) == Decimal(expected[-1])


def test_half_cent_tick_stays_when_the_quote_moves_to_full_cents() -> None:
    with a_world(quotes=HALF_CENTS, assets=HALF_CENT_ASSET, config=LADDER) as world:
        world.change_after(5, {"quotes": {"AAA": {"bid": "13.98", "ask": "13.99"}}})
        world.change_after(15, {"quotes": {"AAA": {"bid": "13.98", "ask": "14.01"}}})
        world.deliver(plan(buy("AAA", 1000)))

        assert limits(world) == ["13.985", "13.995", "14.01"]


def test_configured_half_cent_is_used_without_a_quote_that_shows_it() -> None:
    config = LADDER | {"per_symbol": {"AAA": {"tick_size": "0.005"}}}
    quotes = {"AAA": {"bid": "13.98", "ask": "13.99"}}
    with a_world(quotes=quotes, assets=HALF_CENT_ASSET, config=config) as world:
        world.deliver(plan(buy("AAA", 1000)))

        assert limits(world) == ["13.98", "13.985", "13.99"]


def test_later_run_that_knows_only_the_cent_continues_on_full_cents() -> None:
    with a_world(quotes=HALF_CENTS, assets=HALF_CENT_ASSET, config=LADDER) as world:
        world.deliver_and_kill(plan(buy("AAA", 1000)), after=0.8, seconds=30)  # after the first look
        world.change_after(0, {"quotes": CENTS})
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert limits(world) == ["13.985", "14"]


@pytest.mark.parametrize("style", ["ladder", "marketable_limit"])
def test_limit_that_the_broker_rejects_for_its_increment_ends_the_item(style: str) -> None:
    with a_world(quotes=HALF_CENTS, assets=CENT_ASSET, config=LADDER | {"order_style": style}) as world:
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("REJECTED", "REJECTED")}
        assert "sub-penny" in result["orders"][0]["error_message"]
        assert len(result["orders"][0]["children"]) == 1


def test_configured_cent_lets_the_item_trade_where_the_broker_rejects_half_cents() -> None:
    config = LADDER | {"per_symbol": {"AAA": {"tick_size": "0.01"}}}
    with a_world(quotes=HALF_CENTS, assets=CENT_ASSET, config=config) as world:
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert limits(world) == ["13.98", "13.99", "14"]
