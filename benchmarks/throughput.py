"""Throughput: plans of many accounts and histories of the simulation."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import accounts
from benchmarks.row import Row
from rebalance_simulation.statistics import play_seeds

POINT = "throughput"
_FIRST = 300_000
"""The first seed; tests and simulations use others."""
_HISTORIES_GOAL = 180


def measure(plans: int = 100, histories: int = 200) -> Iterator[Row]:
    """Measure per CPU second, because consumers and emulators share this machine."""
    measured = accounts.measure(plans, consumers=2)
    what = f"{accounts.ORDERS} orders each, {plans} accounts"
    yield Row(POINT, f"plans per second and core, {what}", measured.plans_per_core_second, "", note="more is better")
    yield Row(POINT, "duplicate orders", measured.duplicate_orders, "", goal=0)
    play_seeds(_FIRST + histories, 5)  # loads what histories load when they need it
    played = play_seeds(_FIRST, histories)
    note = f"{played.calls / histories:.0f} calls and {played.deliveries / histories:.1f} deliveries each"
    rate = histories / played.seconds
    yield Row(POINT, "histories per second and core", rate, "", goal=_HISTORIES_GOAL, goal_is="least", note=note)
    yield Row(POINT, "simulated calls per second and core", played.calls / played.seconds, "", note="more is better")
