"""Requests: to the broker and to DynamoDB, by the number of orders and the age of the caches."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.row import Row, orders_of
from benchmarks.stage import WEEKEND, Stage, stage

POINT = "requests"
SIZES = (1, 8, 32, 128, 500)
_MORE_ONE_SIDED, _MORE_TWO_SIDED = 8, 10
"""Broker requests allowed beyond one per order."""
_AFTER_WEEKEND = 32


def measure(sizes: tuple[int, ...] = SIZES) -> Iterator[Row]:
    """Count requests of plans of which every order fills at once; compared is the naive handler."""
    with stage([f"S{i}" for i in range(max(sizes))]) as scene:
        for orders in sizes:
            scene.reset(orders)
            scene.naive(scene.plan(orders))
            naive = scene.broker.request_count()
            for sides, sells, more in (
                ("buys only", 0, _MORE_ONE_SIDED),
                ("sells and buys", orders // 3, _MORE_TWO_SIDED),
            ):
                if sides == "buys only" or sells:
                    what = f"{orders_of(orders)}, {sides}"
                    scene.first_of_day(orders)
                    broker, database = _count(scene, orders, sells)
                    yield Row(POINT, f"{what}, first plan of a day", broker, "", naive, orders + more)
                    scene.warm(orders)
                    broker, second = _count(scene, orders, sells)
                    yield Row(POINT, f"{what}, second plan", broker, "", naive)
            yield Row(
                POINT, f"DynamoDB, {orders_of(orders)}, first plan of a day", database, "", note=f"second {second}"
            )
        if _AFTER_WEEKEND in sizes:
            scene.first_of_day(_AFTER_WEEKEND, WEEKEND)
            broker, _ = _count(scene, _AFTER_WEEKEND, 0)
            goal = _AFTER_WEEKEND + _MORE_ONE_SIDED
            yield Row(POINT, f"{orders_of(_AFTER_WEEKEND)}, buys only, after a weekend", broker, "", goal=goal)


def _count(scene: Stage, orders: int, sells: int) -> tuple[int, int]:
    scene.execute(scene.plan(orders, sells=sells))
    return scene.broker.request_count(), scene.use.database_requests
