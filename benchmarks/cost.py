"""The AWS cost of a plan in dollars by component: units counted here, times list prices.

Run with ``python -m benchmarks.cost [--orders 8] [--seconds 3] [--json]``.

The units are those of one queued plan of immediately filled orders: writes and reads of DynamoDB (each rounded up to
its unit, doubled in a transaction), bytes of the log, and events. The duration depends on Alpaca, so pass it as
``--seconds``.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from benchmarks.write_units import INDEX_UNITS, request_units
from tests.support.world import HandlerWorld, a_world, buy, plan, sell

PRICES = {
    "Lambda, GB-seconds (arm64)": 0.0000133334,
    "Lambda, requests": 0.20e-6,
    "DynamoDB, write units": 0.625e-6,
    "DynamoDB, read units": 0.125e-6,
    "SQS FIFO, requests": 0.50e-6,
    "EventBridge, events": 1.00e-6,
    "SNS, publications": 0.50e-6,
    "SNS, mails": 20e-6,
    "CloudWatch, log bytes": 0.50 / 1e9,
    "X-Ray, traces": 5.00e-6,
    "Secrets Manager, requests": 5.00e-6,
    "KMS, requests": 3.00e-6,
}
"""Dollars per unit: list prices of us-east-1. Check the current prices before you rely on them."""
MEMORY_GB = 0.5
_APART = 15 * 60
"""Seconds between the two plans; within ten minutes the orders of the second would be duplicates."""


def units(orders: int, seconds: float) -> dict[str, float]:
    """Return the units of each component that one plan uses."""
    symbols = [f"S{i:02d}" for i in range(orders)]
    sells = symbols[: orders // 3]
    used: Counter[str] = Counter()
    with a_world(prices=dict.fromkeys(symbols, "100"), positions=dict.fromkeys(symbols, "50")) as world:
        items = [(sell if s in sells else buy)(s, 500, current_value=5000) for s in symbols]
        _deliver(world, plan(*items, plan_id="fills the cache"), orders)
        world.advance(_APART)
        world.restart()
        world.lines.truncate(0)
        world.lines.seek(0)
        client = world.service.journal._table._client  # type: ignore[attr-defined] # noqa: SLF001
        client.meta.events.register(
            "provide-client-params.dynamodb.*", lambda params, **_: used.update(_dynamodb(params))
        )
        _deliver(world, plan(*items, plan_id="counted"), orders)
        log = len(world.lines.getvalue().encode())
    return {
        "Lambda, GB-seconds (arm64)": seconds * MEMORY_GB,
        "Lambda, requests": 1,
        "DynamoDB, write units": used["write"] + INDEX_UNITS,
        "DynamoDB, read units": used["read"],
        "SQS FIFO, requests": 4,  # send, receive, extend the visibility timeout, delete
        "EventBridge, events": 2,  # the plan, if it arrives as an event, and the result
        "SNS, publications": 1,
        "SNS, mails": 1,
        "CloudWatch, log bytes": log,
        "X-Ray, traces": 0.05,  # one invocation per second, then 5 %
        "Secrets Manager, requests": 1,  # at most; a warm container caches a secret for five minutes
        "KMS, requests": 0.1,  # DynamoDB requests the table's key every few minutes, not per item
    }


def _deliver(world: HandlerWorld, document: dict[str, Any], orders: int) -> None:
    with redirect_stdout(StringIO()):  # Powertools prints metrics
        result = world.deliver(document)
    if result["orders_succeeded"] != orders:
        raise AssertionError(f"not every order was filled, so the cost is unknown: {result['status']}")


def _dynamodb(request: dict[str, Any]) -> dict[str, int]:
    """Return the units of one request by its parameters; a read counts as one small item, a query as two."""
    if units := request_units(request):
        return {"write": units}
    if "RequestItems" in request:
        return {"read": sum(len(table["Keys"]) for table in request["RequestItems"].values() if "Keys" in table)}
    return {"read": 2 if "KeyConditionExpression" in request else 1}


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    used = units(arguments.orders, arguments.seconds)
    dollars = {name: used[name] * price for name, price in PRICES.items()}
    if arguments.json:
        print(json.dumps({"units": used, "dollars": dollars, "total": sum(dollars.values())}, indent=2))
        return
    for name, cost in dollars.items():
        print(f"{name:<28}{used[name]:>12,.2f}  ${cost * 1_000_000:>8.2f} per million plans")
    print(f"{'total':<40}  ${sum(dollars.values()) * 1_000_000:>8.2f} per million plans")


if __name__ == "__main__":
    main()
