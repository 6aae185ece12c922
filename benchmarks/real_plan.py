"""A plan with ladder orders: requests, time and shortfall by urgency, in the best and the worst market.

Run with ``python -m benchmarks.real_plan EVENT.json``. Every symbol is quoted ten cents wide around $100; orders are
filled immediately at their limit, or not before they reach the far touch. Time is simulated, and the broker allows its
usual 200 requests per minute.
"""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from datetime import datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

from rebalance_executor.domain.plan import Urgency
from tests.support.world import a_world

MARKETS: dict[str, dict[str, Any]] = {
    "immediately": {"default_fill": {"behaviour": "immediate"}},
    "at the far touch only": {},
}
_PRICE = Decimal(100)
_HALF_SPREAD = Decimal("0.05")
_CASH = "5000"
_LINE = "{:<30}{:<8}{:>8}{:>18}{:>16}{:>9}{:>15}"


def world_of(event: dict[str, Any]) -> dict[str, Any]:
    """Return the positions that the plan assumes, at $100 per share, and quotes of all its symbols."""
    items = plan_of(event)["items"]
    values = {item["symbol"]: Decimal(str(item["current_value"])) for item in items}
    return {
        "cash": _CASH,
        "positions": {name: str(round(value / _PRICE, 9)) for name, value in values.items() if value > 0},
        "prices": dict.fromkeys(values, str(_PRICE)),
        "quotes": {name: {"bid": str(_PRICE - _HALF_SPREAD), "ask": str(_PRICE + _HALF_SPREAD)} for name in values},
    }


def plan_of(event: dict[str, Any]) -> dict[str, Any]:
    """Return the plan in an EventBridge event."""
    detail: dict[str, Any] = event["detail"]
    return dict(detail.get("rebalance_plan", detail))


def main(path: str) -> None:
    """Print a line for each market and urgency."""
    event = json.loads(Path(path).read_text(encoding="utf-8"), parse_float=Decimal)
    print(
        _LINE.format(
            "orders fill", "urgency", "orders", "trading requests", "quote requests", "seconds", "shortfall, bps"
        )
    )
    for market, scenario in MARKETS.items():
        for urgency in Urgency:
            document = plan_of(event) | {"execution_urgency": urgency.value}
            at = datetime.fromisoformat(document["timestamp"])
            with a_world(config={"order_style": "ladder"}, at=at, **world_of(event), **scenario) as world:
                with redirect_stdout(StringIO()):  # Powertools prints metrics
                    result = world.deliver(event | {"detail": document})
                requests = world.broker.app.totals
                children = sum(len(order["children"]) for order in result["orders"])
                waited = f"{world.slept:.1f}"
                figures = (children, requests["trading"], requests["data"], waited, result["slippage_bps"])
                print(_LINE.format(market, urgency, *figures))


if __name__ == "__main__":
    main(sys.argv[1])
