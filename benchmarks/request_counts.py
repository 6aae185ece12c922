"""Requests to the broker and to DynamoDB: for plans of immediately filled orders, and for orders that are replaced.

Run with ``python -m benchmarks.request_counts [--json]``.
The broker counts the requests that it receives, boto3 those that it sends. Asset flags are in the cache from an
earlier day, or from minutes ago; the first plan of a day also reads the daily bars of all symbols. The second table
shows what it costs to read cash and positions again before later orders.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from datetime import timedelta
from io import StringIO

from tests.support.world import HandlerWorld, a_world, buy, plan, sell

SIZES = (1, 8, 32)
MORE_THAN_ORDERS = 10
"""Broker requests allowed in addition to one per order."""
DATABASE_REQUESTS = 14
"""DynamoDB requests allowed, for any number of orders."""

WARM = timedelta(minutes=15)
"""Time between two plans of one day; within ten minutes the orders of the second would be duplicates."""
NEXT_DAY = timedelta(days=1)
AFTER_WEEKEND = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Count:
    """Requests of one plan."""

    orders: int
    broker: int
    broker_allowed: int
    database: int
    database_allowed: int
    first_ever: int
    """Broker requests of the plan before, which found no asset flags in the cache."""

    @property
    def is_within(self) -> bool:
        """True if neither limit is exceeded."""
        return self.broker <= self.broker_allowed and self.database <= self.database_allowed


def count(orders: int, apart: timedelta = WARM) -> Count:
    """Count the requests of a plan with this many orders, a third of them sells, so long after the same one."""
    symbols = [f"S{i:02d}" for i in range(orders)]
    sells = symbols[: orders // 3]
    with a_world(prices=dict.fromkeys(symbols, "100"), positions=dict.fromkeys(symbols, "50")) as world:
        items = [(sell if s in sells else buy)(s, 500, current_value=5000) for s in symbols]
        first, _ = _requests(world, plan(*items, plan_id="fills the cache"), orders)
        world.advance(apart.total_seconds())
        at = world.clock.now().isoformat()
        broker, database = _requests(world, plan(*items, plan_id="counted", timestamp=at), orders)
    return Count(orders, broker, orders + MORE_THAN_ORDERS, database, DATABASE_REQUESTS, first)


def count_readings(*, again: bool) -> Counter[str]:
    """Count the broker requests by path of two sells and six buys, each replaced twice before it is filled.

    ``again`` reads cash and positions again before later orders, as by default; otherwise a reading never expires.
    """
    symbols = [f"S{i:02d}" for i in range(8)]
    fills = [{"symbol": symbol, "nth": nth, "behaviour": "never"} for symbol in symbols for nth in (1, 2)]
    config = {} if again else {"account_refresh_seconds": 86_400}
    prices, positions = dict.fromkeys(symbols, "100"), dict.fromkeys(symbols, "50")
    with a_world(prices=prices, positions=positions, config=config, fills=fills) as world:
        before = Counter(world.broker.app.totals)
        items = [(sell if s in symbols[:2] else buy)(s, 500, current_value=5000) for s in symbols]
        _requests(world, plan(*items), len(items))
        return Counter(world.broker.app.totals) - before


def count_new_symbols(orders: int) -> int:
    """Count how many more broker requests a plan of buys takes if none of its symbols is held."""
    symbols = [f"S{i:02d}" for i in range(orders)]

    def requests(positions: dict[str, str]) -> int:
        value = 5000 if positions else 0
        with a_world(prices=dict.fromkeys(symbols, "100"), positions=positions) as world:
            return _requests(world, plan(*(buy(s, 500, current_value=value) for s in symbols)), orders)[0]

    return requests({}) - requests(dict.fromkeys(symbols, "50"))


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
    counts = [count(orders, NEXT_DAY) for orders in SIZES]
    if "--json" in arguments:
        print(json.dumps([asdict(c) for c in counts]))
    else:
        print("first plan of a day\norders   broker requests   DynamoDB requests   without cached flags")
        for c in counts:
            print(
                f"{c.orders:6d} {c.broker:8d} of {c.broker_allowed:3d} {c.database:12d} of {c.database_allowed:3d} "
                f"{c.first_ever:22d}"
            )
        more = ", ".join(f"{count_new_symbols(size)} for {size}" for size in SIZES)
        print(f"\nmore broker requests if no symbol is held, by orders: {more}")
        _print_readings(count_readings(again=False), count_readings(again=True))
    return 0 if all(c.is_within for c in counts) else 1


def _print_readings(once: Counter[str], again: Counter[str]) -> None:
    print("\ntwo sells and six buys, each replaced twice    read once   read again")
    for path in sorted(again):
        print(f"{path:44s} {once[path]:11d} {again[path]:12d}")
    print(f"{'all requests':44s} {once.total():11d} {again.total():12d}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
