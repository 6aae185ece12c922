"""Writes: DynamoDB write units and bytes, and bytes of the log, per order."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import write_units
from benchmarks.row import Row, orders_of
from benchmarks.stage import stage

POINT = "writes"
SIZES = (1, 8, 32, 128, 500)


def measure(sizes: tuple[int, ...] = SIZES) -> Iterator[Row]:
    """Count for the second plan of a day, of which every order fills at once."""
    with stage([f"S{i}" for i in range(max(sizes))]) as scene:
        for orders in sizes:
            what, written = orders_of(orders), write_units.count(orders)
            units, goal = written.units_per_order, write_units.GOALS.get(orders)
            note = f"{written.units:,} per plan, {written.most_in_second:,} in the busiest second"
            yield Row(POINT, f"write units per order, {what}", units, "", goal=goal, note=note)
            yield Row(POINT, f"DynamoDB bytes per order, {what}", written.bytes_per_order, "")
            scene.warm(orders)
            lines, characters = scene.output.lines, scene.output.characters
            scene.execute(scene.plan(orders))
            log, note = scene.output.characters - characters, f"{scene.output.lines - lines:,} lines per plan"
            yield Row(POINT, f"log bytes per order, {what}", log / orders, "", note=note)
