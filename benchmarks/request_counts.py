"""Requests to the broker and to DynamoDB for plans of immediately filled orders.

Run with ``python -m benchmarks.request_counts [--json]``.
The broker counts the requests that it receives, boto3 those that it sends. Asset flags are in the cache, as after the
first plan of a day; filling it takes one request per symbol, shown separately.
"""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from io import StringIO

from tests.support.world import HandlerWorld, a_world, buy, plan, sell

SIZES = (1, 8, 32)
MORE_THAN_ORDERS = 10
"""Broker requests allowed in addition to one per order."""
DATABASE_REQUESTS = 14
"""DynamoDB requests allowed, for any number of orders."""

_APART = 15 * 60
"""Seconds between the two plans; within ten minutes the orders of the second would be duplicates."""


@dataclass(frozen=True, slots=True)
class Count:
    """Requests of one plan."""

    orders: int
    broker: int
    broker_allowed: int
    database: int
    database_allowed: int
    filling_the_cache: int
    """Additional broker requests of the first plan."""

    @property
    def is_within(self) -> bool:
        """True if neither limit is exceeded."""
        return self.broker <= self.broker_allowed and self.database <= self.database_allowed


def count(orders: int) -> Count:
    """Count the requests of a plan with this many orders, a third of them sells."""
    symbols = [f"S{i:02d}" for i in range(orders)]
    sells = symbols[: orders // 3]
    with a_world(prices=dict.fromkeys(symbols, "100"), positions=dict.fromkeys(symbols, "50")) as world:
        items = [(sell if s in sells else buy)(s, 500, current_value=5000) for s in symbols]
        first, _ = _requests(world, plan(*items, plan_id="fills the cache"), orders)
        world.advance(_APART)
        broker, database = _requests(world, plan(*items, plan_id="counted"), orders)
    return Count(orders, broker, orders + MORE_THAN_ORDERS, database, DATABASE_REQUESTS, first - broker)


def _requests(world: HandlerWorld, document: dict[str, object], orders: int) -> tuple[int, int]:
    """Execute the plan and return its requests to the broker and to DynamoDB."""
    broker, database = world.broker.app.totals.total(), _database(world)
    with redirect_stdout(StringIO()):  # Powertools prints metrics
        result = world.deliver(document)
    if result["orders_succeeded"] != orders:
        raise AssertionError(f"not every order was filled: {result['status']}")
    return world.broker.app.totals.total() - broker, _database(world) - database


def _database(world: HandlerWorld) -> int:
    return sum(n for name, n in world.aws_requests.items() if name.startswith("dynamodb."))


def main(arguments: list[str]) -> int:
    """Print the counts; return 1 if a limit is exceeded."""
    counts = [count(orders) for orders in SIZES]
    if "--json" in arguments:
        print(json.dumps([asdict(c) for c in counts]))
    else:
        print("orders   broker requests   DynamoDB requests   filling the cache")
        for c in counts:
            print(
                f"{c.orders:6d} {c.broker:8d} of {c.broker_allowed:3d} {c.database:12d} of {c.database_allowed:3d} "
                f"{c.filling_the_cache:16d}"
            )
    return 0 if all(c.is_within for c in counts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
