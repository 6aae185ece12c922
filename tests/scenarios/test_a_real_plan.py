"""A recorded plan of a portfolio system: 25 sells, 7 buys, values of 28 digits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.world import HandlerWorld, a_world

EVENT = Path(__file__).parents[3] / "shared" / "events" / "rebalance_planned.json"
CASH = Decimal(5000)
START = datetime(2026, 1, 26, 20, 50, tzinfo=UTC)
HALF_SPREAD = Decimal("0.05")
PRICE = Decimal(100)
pytestmark = pytest.mark.skipif(not EVENT.exists(), reason="the recorded event is not part of this repository")


@pytest.fixture
def event() -> dict[str, Any]:
    """Read the event with its numbers as written."""
    recorded: dict[str, Any] = json.loads(EVENT.read_text(encoding="utf-8"), parse_float=Decimal)
    return recorded


@contextmanager
def world_of(event: dict[str, Any], **scenario: Any) -> Iterator[HandlerWorld]:
    """Yield a world whose account holds the positions that the plan assumes, at $100 per share."""
    items = plan_of(event)["items"]
    held = {item["symbol"]: Decimal(str(item["current_value"])) / PRICE for item in items}
    positions = {symbol: str(qty.quantize(Decimal("1e-9"))) for symbol, qty in held.items() if qty > 0}
    prices = {item["symbol"]: str(PRICE) for item in items}
    with a_world(cash=str(CASH), positions=positions, prices=prices, at=START, **scenario) as world:
        yield world


def plan_of(event: dict[str, Any]) -> dict[str, Any]:
    """Return the plan in the event."""
    detail: dict[str, Any] = event["detail"]
    return dict(detail.get("rebalance_plan", detail))


def test_sums_of_the_result_match_the_broker(event: dict[str, Any]) -> None:
    with world_of(event) as world:
        result = world.deliver(event)

        sold = -sum(Decimal(o["trade_amount"]) for o in result["orders"] if o["action"] == "SELL")
        bought = sum(Decimal(o["trade_amount"]) for o in result["orders"] if o["action"] == "BUY")
        traded = sum(Decimal(o["filled_qty"]) * Decimal(o["filled_avg_price"]) for o in world.orders)
        cash = Decimal(world.broker.app.exchange.account()["cash"])

        assert len(result["orders"]) == len(plan_of(event)["items"]) == 32
        assert {order["outcome"] for order in result["orders"]} == {"FILLED"}
        assert result["orders_placed"] == result["orders_succeeded"] == 32
        assert sum(len(order["children"]) for order in result["orders"]) == len(world.orders)
        assert sold + bought == traded == Decimal(result["total_trade_value"])
        assert cash == CASH + sold - bought


def test_ladder_without_early_fills_stays_below_the_rate_limit(event: dict[str, Any]) -> None:
    symbols = [item["symbol"] for item in plan_of(event)["items"]]
    quotes = {symbol: {"bid": str(PRICE - HALF_SPREAD), "ask": str(PRICE + HALF_SPREAD)} for symbol in symbols}
    plan = plan_of(event) | {"execution_urgency": "LOW"}
    with world_of(event, config={"order_style": "ladder"}, quotes=quotes) as world:
        result = world.deliver(event | {"detail": plan})

        rungs = [len(order["children"]) for order in result["orders"]]
        assert {order["outcome"] for order in result["orders"]} == {"FILLED"}
        assert min(rungs) > 1
        assert round(Decimal(result["slippage_bps"]), 2) == HALF_SPREAD / PRICE * 10_000  # all at the far touch
        assert world.log_lines("broker.rate_limited") == []
