"""Processor: time of warm plans by the number of orders, against the naive handler, and memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.row import Row, orders_of
from benchmarks.stage import Stage, stage

POINT = "processor"
SIZES = (1, 8, 32, 128, 500)
_GOALS = {1: 1.9, 32: 0.58, 128: 0.42}
"""Most of the naive handler's time."""
_GOAL_MS_AN_ORDER = 0.9
_LARGE = 10_000_000
"""Dollars of portfolio value, so large that the purchases of earlier plans are no drift."""


def measure(rounds: int = 5, sizes: tuple[int, ...] = SIZES) -> Iterator[Row]:
    """Measure the CPU time of this process, in alternating turns, with an immediate broker."""
    ours: dict[int, float] = {}
    with stage([f"S{i}" for i in range(max(sizes))]) as scene:
        scene.use.is_on = False
        for orders in sizes:
            scene.warm(orders)
            taken: tuple[list[float], list[float]] = ([], [])
            for _ in range(rounds):
                taken[0].append(_cpu(scene, orders, scene.execute))
                taken[1].append(_cpu(scene, orders, scene.naive))
            ours[orders], naive = map(statistics.median, taken)
            goal = _GOALS.get(orders)
            yield Row(POINT, f"second plan, {orders_of(orders)}", ours[orders], "ms", naive, goal, "ratio")
    an_order = (ours[max(sizes)] - ours[min(sizes)]) / (max(sizes) - min(sizes))
    yield Row(POINT, "each further order", an_order, "ms", goal=_GOAL_MS_AN_ORDER)


def measure_memory(plans: int = 1_000) -> Iterator[Row]:
    """Measure the resident memory after a tenth of the plans and after all of them."""
    with stage(["S0"]) as scene:
        scene.reset(1)
        for number in range(1, plans + 1):
            if number % 250 == 0:  # so that the broker's own growth is not measured
                scene.reset(1)
            scene.clear_daily_usage()
            scene.execute(scene.plan(1, total_portfolio_value=_LARGE))
            if number == plans // 10:
                early = _resident()
        late = _resident()
    note = f"compared with {plans // 10:,} plans"
    yield Row(POINT, f"resident after {plans:,} plans", late, "MB", early, note=note)


def _cpu(scene: Stage, orders: int, work: Callable[[dict[str, Any]], object]) -> float:
    """Return the CPU time of one plan in milliseconds, always the first of its day."""
    scene.reset(orders)
    plan = scene.plan(orders)
    started = time.process_time()
    work(plan)
    return 1000 * (time.process_time() - started)


def _resident() -> float:
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - a kernel file
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024
