"""Dollars per 1,000 plans, by memory size and component."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from benchmarks import cost
from benchmarks.row import Row
from benchmarks.stage import LATENCY, stage

_ORDERS = 8
_WHOLE_CORE_MB = 1769
"""Memory size at which Lambda provides one full vCPU; below it, a proportional share."""
_SIZES_MB = (256, 512, 1024, 1769, 3008)


def measure(rounds: int = 5) -> Iterator[Row]:
    """Measure the wait and the CPU time of one plan here, and scale the CPU time by the vCPU share of each size.

    Nothing here runs on AWS; a core there may be faster or slower than this one.
    """
    cpu, waited = _taken(rounds)
    point = "dollars"
    per_size = {}
    for memory in _SIZES_MB:
        seconds = waited + cpu / min(1, memory / _WHOLE_CORE_MB)
        lambda_dollars = 1000 * seconds * memory / 1024 * cost.PRICES["Lambda, GB-seconds (arm64)"]
        per_size[memory] = (lambda_dollars, seconds)
        yield Row(point, f"Lambda at {memory} MB, 1,000 plans", lambda_dollars, "$", note=f"{seconds:.2f} s per plan")
    best = min(per_size, key=lambda memory: per_size[memory][0])
    yield Row(point, "cheapest size", best, "MB", note=f"of {', '.join(map(str, _SIZES_MB))}")
    used = cost.units(_ORDERS, per_size[best][1] * best / 1024 / cost.MEMORY_GB)
    dollars = {name: 1000 * used[name] * price for name, price in cost.PRICES.items()}
    for name, amount in sorted(dollars.items(), key=lambda pair: -pair[1])[:5]:
        yield Row(point, f"{name}, 1,000 plans", amount, "$")
    yield Row(point, f"total, 1,000 plans of {_ORDERS} orders", sum(dollars.values()), "$")


def _taken(rounds: int) -> tuple[float, float]:
    """Return the median CPU and waiting seconds of one warm plan, with 40 ms per broker request."""
    cpus, waits = [], []
    with stage([f"S{i}" for i in range(_ORDERS)]) as scene:
        scene.warm(_ORDERS)
        for _ in range(rounds):
            scene.reset(_ORDERS, faults=[{"kind": "latency", "seconds": LATENCY, "count": None}])
            cpu, wall = time.process_time(), time.perf_counter()
            scene.execute(scene.plan(_ORDERS))
            cpus.append(time.process_time() - cpu)
            waits.append(time.perf_counter() - wall - cpus[-1])
    return statistics.median(cpus), statistics.median(waits)
