"""5 and 6. Time to complete with a broker that takes 40 ms per request, and compared with the earlier system."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.row import Row, orders_of
from benchmarks.stage import Stage, stage

_LATENCY = 0.04
_SLOW = [{"kind": "latency", "seconds": _LATENCY, "count": None}]
_SYMBOLS = [f"S{i}" for i in range(32)]
_EARLIER = {"immediate": (8, 25.2), "never": (20, 75.2)}
"""Requests and seconds of the earlier system: one order that fills immediately, limits that never fill."""
_LADDER_WAITS = 12
"""Seconds of the three passive rungs of NORMAL, four each."""


def measure() -> Iterator[Row]:
    """Measure the wall time of one plan per size."""
    with stage(_SYMBOLS) as scene:
        for orders in (1, 8, 32):
            _prepare(scene, orders)
            taken, _ = _timed(scene, orders)
            yield Row(
                "5 time to complete",
                f"{orders_of(orders)}, filled immediately",
                taken,
                "s",
                goal=1.2 * (orders + 5) * _LATENCY,
            )
    with stage(_SYMBOLS, order_style="ladder") as scene:
        _prepare(scene, 1)
        taken, _ = _timed(scene, 1, total_portfolio_value=10_000)
        yield Row("5 time to complete", "1 order, whole ladder", taken, "s", goal=1.2 * (_LADDER_WAITS + 6 * _LATENCY))


def measure_earlier() -> Iterator[Row]:
    """Measure the two cases of the earlier system; only the first one changes the default order style."""
    point = "6 earlier system"
    for case, style, behaviour in (
        ("immediate", "marketable_limit", "immediate"),
        ("never", "ladder", "never"),
    ):
        with stage(_SYMBOLS[:1], order_style=style) as scene:
            _prepare(scene, 1, default_fill={"behaviour": behaviour})
            taken, result = _timed(scene, 1, filled=case == "immediate")
            request_count, seconds = _EARLIER[case]
            what = "one order that fills immediately" if case == "immediate" else "limits that never fill"
            yield Row(point, f"{what}: requests", scene.broker.request_count(), "", request_count)
            yield Row(point, f"{what}: time to the result", taken, "s", seconds, note=str(result["status"]))


def _prepare(scene: Stage, orders: int, **scenario: Any) -> None:
    """Fill the asset cache and open the connections; then give every request its latency."""
    scene.reset(orders)
    scene.execute(scene.plan(orders))
    scene.reset(orders, faults=_SLOW, **scenario)


def _timed(scene: Stage, orders: int, *, filled: bool = True, **fields: object) -> tuple[float, dict[str, Any]]:
    plan = scene.plan(orders, **fields)
    started = time.perf_counter()
    result = scene.execute(plan) if filled else scene.invoke(plan)
    return time.perf_counter() - started, result
