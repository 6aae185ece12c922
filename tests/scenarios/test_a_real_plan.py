"""A plan as a portfolio system really made it: 25 sells, 7 buys, values of 28 digits. Every number is accounted for."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.world import a_world

EVENT = Path(__file__).parents[3] / "shared" / "events" / "rebalance_planned.json"
CASH = Decimal(5000)
CLOCK = {"mode": "virtual", "now": "2026-01-26T20:50:00Z", "sessions": "always_open"}


@pytest.mark.skipif(not EVENT.exists(), reason="the recorded event is not part of this repository")
def test_every_number_of_a_real_plan_is_accounted_for() -> None:
    event = json.loads(EVENT.read_text(encoding="utf-8"), parse_float=Decimal)
    document = event["detail"].get("rebalance_plan", event["detail"])
    items = document["items"]
    held = {i["symbol"]: Decimal(str(i["current_value"])) / 100 for i in items if Decimal(str(i["current_value"])) > 0}
    positions = {symbol: str(qty.quantize(Decimal("1e-9"))) for symbol, qty in held.items()}
    prices = dict.fromkeys((item["symbol"] for item in items), "100")
    with a_world(cash=str(CASH), positions=positions, prices=prices, clock=CLOCK) as world:
        result = world.deliver(event)

        sold = -sum(Decimal(o["trade_amount"]) for o in result["orders"] if o["action"] == "SELL")
        bought = sum(Decimal(o["trade_amount"]) for o in result["orders"] if o["action"] == "BUY")
        at_the_broker = sum(Decimal(o["filled_qty"]) * Decimal(o["filled_avg_price"]) for o in world.orders)
        cash = Decimal(world.broker.venue.exchange.account()["cash"])

        assert len(result["orders"]) == len(items) == 32
        assert {order["outcome"] for order in result["orders"]} == {"FILLED"}
        assert result["orders_placed"] == result["orders_succeeded"] == len(world.orders) == 32
        assert sold + bought == at_the_broker == Decimal(result["total_trade_value"])
        assert cash == CASH + sold - bought
