"""Write units and bytes that one plan takes in DynamoDB, by its number of orders.

Run with ``python -m benchmarks.write_units [--orders 1 8 32 128 500] [--json]``.

The requests of boto3 are counted for a plan of immediately filled orders, a third of them sells. Prices, quantities,
times and IDs differ as those of real orders do, because equal ones would be packed better. A write takes a unit per
started KB of its item, and two in a transaction.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from datetime import timedelta
from io import StringIO
from random import Random
from typing import Any

from tests.support.world import HandlerWorld, a_world, buy, plan, sell

SIZES = (1, 8, 32, 128, 500)
GOALS = {32: 6}
"""Write units per order, at most."""

INDEX_UNITS = 3
"""Of the index, per plan: one at the start, and two when the status changes."""
_APART = timedelta(minutes=15)
"""Time between the two plans; within ten minutes the orders of the second would be duplicates."""
_LATENCY = 0.040517
"""Seconds per broker request; the microseconds make every time differ."""


@dataclass(slots=True)
class Written:
    """What one plan wrote."""

    orders: int
    units: int = INDEX_UNITS
    bytes: int = 0
    """Bytes of the items that it put."""
    requests: int = 0
    most_in_second: int = 0
    """Units of the busiest second."""

    @property
    def units_per_order(self) -> float:
        """Write units divided by the number of orders."""
        return self.units / self.orders

    @property
    def bytes_per_order(self) -> float:
        """Bytes divided by the number of orders."""
        return self.bytes / self.orders


def request_units(request: Mapping[str, Any]) -> int:
    """Return the write units of a request by its parameters; 0 for a read.

    The item of an update or a condition is not in its request; it counts as 1 KB at most.
    """
    if "TransactItems" in request:
        return sum(2 * max(map(item_units, _items(action.values())), default=1) for action in request["TransactItems"])
    if "Item" in request or "UpdateExpression" in request:
        return max(map(item_units, _items([request])), default=1)
    tables = request.get("RequestItems", {}).values()
    return sum(map(item_units, _items(put["PutRequest"] for table in tables if "Keys" not in table for put in table)))


def item_bytes(attributes: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the size of an item in DynamoDB's JSON: its names and values."""
    values = [(name, value) for name, attribute in attributes.items() for value in attribute.values()]
    return sum(len(name) + len(value if isinstance(value, bytes) else value.encode()) for name, value in values)


def item_units(attributes: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the write units of an item, outside of transactions."""
    return -(-item_bytes(attributes) // 1024)


def _items(bodies: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [body["Item"] for body in bodies if "Item" in body]


def count(orders: int) -> Written:
    """Count what the second plan of a day with this many orders writes."""
    numbers = Random(orders)  # noqa: S311 - not for security
    symbols = [f"S{i:03d}" for i in range(orders)]
    prices = {symbol: f"{numbers.randrange(2_000, 50_000) / 100:.2f}" for symbol in symbols}
    positions = {symbol: f"{numbers.uniform(2_000, 9_000) / float(prices[symbol]):.9f}" for symbol in symbols}
    latency = [{"kind": "latency", "seconds": _LATENCY, "count": None}]
    with a_world(cash="1000000", prices=prices, positions=positions, faults=latency) as world:
        amounts = [numbers.randrange(20_000, 90_000) / 100 for _ in symbols]
        sold = orders // 3
        items = [
            (sell if n < sold else buy)(symbol, amount, current_value=float(prices[symbol]) * float(positions[symbol]))
            for n, (symbol, amount) in enumerate(zip(symbols, amounts, strict=True))
        ]
        _deliver(world, plan(*items, plan_id="fills-the-caches"), orders)
        world.advance(_APART.total_seconds())
        world.restart()
        written = Written(orders)
        seconds: dict[int, int] = {}

        def add(params: Mapping[str, Any], **_: object) -> None:
            units = request_units(params)
            second = int(world.clock.now().timestamp())
            seconds[second] = seconds.get(second, 0) + units
            written.units += units
            written.requests += 1
            bodies = [body for action in params.get("TransactItems", ()) for body in action.values()]
            written.bytes += sum(map(item_bytes, _items(bodies)))

        client = world.service.journal._table._client  # type: ignore[attr-defined] # noqa: SLF001
        client.meta.events.register("provide-client-params.dynamodb.*", add)
        _deliver(world, plan(*items, plan_id="rebalance-2026-01-26-counted"), orders)
        written.most_in_second = max(seconds.values())
    return written


def _deliver(world: HandlerWorld, document: dict[str, Any], orders: int) -> None:
    with redirect_stdout(StringIO()):  # Powertools prints metrics
        result = world.deliver(document)
    if result["orders_succeeded"] != orders:
        raise AssertionError(f"not every order was filled, so the units are unknown: {result['status']}")


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, nargs="+", default=SIZES)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    counted = [count(orders) for orders in arguments.orders]
    if arguments.json:
        print(json.dumps([asdict(one) for one in counted], indent=2))
        return
    print("orders   write units   per order   bytes per order   requests   busiest second")
    for one in counted:
        print(
            f"{one.orders:6d} {one.units:13d} {one.units_per_order:11.2f} {one.bytes_per_order:17.0f} "
            f"{one.requests:10d} {one.most_in_second:16d}"
        )


if __name__ == "__main__":
    main()
