"""7. Throughput: plans of many accounts, and histories of the simulation."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks import accounts
from benchmarks.row import Row
from rebalance_simulation.history import History


def measure(plans: int = 100, histories: int = 200) -> Iterator[Row]:
    """Processor time: consumers and emulators share this machine, so that the wall says less."""
    point = "7 throughput"
    found = accounts.measure(plans, consumers=2)
    what = f"{accounts.ORDERS} orders each, {plans} accounts"
    yield Row(point, f"plans per second and core, {what}", found.plans_a_core_second, "", note="more is better")
    yield Row(point, "duplicate orders", found.orders_twice, "", goal=0)
    begun = time.process_time()
    for seed in range(histories):
        History(seed).run()
    rate = histories / (time.process_time() - begun)
    yield Row(point, "histories per second and core", rate, "", note="more is better; the goal was 200")
