"""Writes: DynamoDB write units and bytes, and bytes of the log, per order."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import cost
from benchmarks.row import Row, orders_of
from benchmarks.stage import stage

POINT = "writes"
SIZES = (1, 8, 32, 128, 500)
_GOALS = {32: 6}
"""Most write units per order."""


def measure(sizes: tuple[int, ...] = SIZES) -> Iterator[Row]:
    """Count for plans of which every order fills at once."""
    with stage([f"S{i}" for i in range(max(sizes))]) as scene:
        for orders in sizes:
            what = orders_of(orders)
            units = cost.units(orders, seconds=0)["DynamoDB, write units"]
            yield Row(
                POINT,
                f"write units per order, {what}",
                units / orders,
                "",
                goal=_GOALS.get(orders),
                note=f"{units:,.0f} per plan",
            )
            scene.warm(orders)
            lines, characters = scene.output.lines, scene.output.characters
            scene.execute(scene.plan(orders))
            written, log = sum(scene.use.item_sizes), scene.output.characters - characters
            note = f"{scene.output.lines - lines:,} lines per plan"
            yield Row(
                POINT,
                f"DynamoDB bytes per order, {what}",
                written / orders,
                "",
                note=f"largest item {max(scene.use.item_sizes):,} bytes",
            )
            yield Row(POINT, f"log bytes per order, {what}", log / orders, "", note=note)
