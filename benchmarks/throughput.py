"""7. Throughput: plans of many accounts and histories of the simulation."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks import accounts
from benchmarks.row import Row
from rebalance_simulation.history import History


def measure(plans: int = 100, histories: int = 200) -> Iterator[Row]:
    """Measure per CPU second, because consumers and emulators share this machine."""
    point = "7 throughput"
    measured = accounts.measure(plans, consumers=2)
    what = f"{accounts.ORDERS} orders each, {plans} accounts"
    yield Row(point, f"plans per second and core, {what}", measured.plans_per_core_second, "", note="more is better")
    yield Row(point, "duplicate orders", measured.duplicate_orders, "", goal=0)
    started = time.process_time()
    for seed in range(histories):
        History(seed).run()
    rate = histories / (time.process_time() - started)
    yield Row(point, "histories per second and core", rate, "", note="more is better; the goal was 200")
