"""Time: plans at a broker that takes 40 ms per request and allows 200 requests per minute.

The first plan of a day, a second one and the naive handler take turns. The same plans show how old the quote behind a
submitted limit is: from the request of the quotes before a limit was computed to the broker's answer to the order.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from benchmarks.row import Row, orders_of
from benchmarks.stage import LATENCY, Stage, stage

POINT = "time"
SLOW = [{"kind": "latency", "seconds": LATENCY, "count": None}]
_GOALS = {1: 0.25, 32: 1.7, 128: 6.5}
_OLDEST_SECONDS = 2
_NAIVE_UP_TO = 32
"""Orders; more would meet the rate limit, which the naive handler ignores."""
_EARLIER = {"immediate": (8, 25.2), "never": (20, 75.2)}
"""Requests and seconds of the earlier system: one order that fills immediately, limits that never fill."""
_WITH_QUOTES = ("/quotes/latest", "/snapshots")
"""Ends of the paths whose answers contain quotes."""
_LADDER_REQUESTS, _LADDER_SECONDS = 70, 46


def measure(sizes: tuple[int, ...] = (1, 8, 32, 128, 500)) -> Iterator[Row]:
    """Measure the wall time of plans of which every order fills at once."""
    oldest: dict[int, float] = {}
    with stage([f"S{i}" for i in range(max(sizes))], limited=True) as scene:
        for orders in sizes:
            firsts, warms, naives = [], [], []
            for _ in range(3 if orders <= _NAIVE_UP_TO else 1):
                scene.first_of_day(orders, faults=SLOW)
                seconds, age = _timed(scene, orders)
                firsts.append(seconds)
                oldest[orders] = max(age, oldest.get(orders, 0))
                if orders < max(sizes):
                    scene.warm(orders, faults=SLOW)
                    warms.append(_timed(scene, orders)[0])
                if orders <= _NAIVE_UP_TO:
                    naives.append(_naive(scene, orders))
            naive = statistics.median(naives) if naives else None
            goal, what = _GOALS.get(orders), f"{orders_of(orders)} at once"
            yield Row(POINT, f"{what}, first plan of a day", statistics.median(firsts), "s", naive, goal)
            if warms:
                yield Row(POINT, f"{what}, second plan", statistics.median(warms), "s", naive)
    for orders, age in oldest.items():
        yield Row(POINT, f"oldest quote behind a limit, {orders_of(orders)}", age, "s", goal=_OLDEST_SECONDS)


def measure_window(orders: int = 32, window: int = 4, rounds: int = 3) -> Iterator[Row]:
    """Measure a wave whose orders are sent together, against one whose orders are sent one after the other."""
    taken: tuple[list[float], list[float]] = ([], [])
    with stage([f"S{i}" for i in range(orders)], limited=True) as scene:
        for _ in range(rounds):
            for size, samples in ((window, taken[0]), (1, taken[1])):
                scene.configure(submission_window=size)
                scene.warm(orders, faults=SLOW)
                samples.append(_timed(scene, orders)[0])
    first, second = map(statistics.median, taken)
    what = f"{orders_of(orders)} at once, submission_window {window}, second plan"
    yield Row(POINT, what, first, "s", second, note="compared with 1, the default")


def measure_earlier() -> Iterator[Row]:
    """Measure the two cases of the earlier system."""
    for case, style, what in (
        ("immediate", "marketable_limit", "one order that fills at once"),
        ("never", "ladder", "limits that never fill"),
    ):
        with stage(["S0"], limited=True, order_style=style) as scene:
            scene.first_of_day(1, faults=SLOW, default_fill={"behaviour": case})
            started = time.perf_counter()
            result = scene.invoke(scene.plan(1))
            taken = time.perf_counter() - started
            requests, seconds = _EARLIER[case]
            goals = (_LADDER_REQUESTS, _LADDER_SECONDS) if case == "never" else (None, None)
            point, count = "earlier system", scene.broker.request_count()
            yield Row(point, f"{what}: requests", count, "", requests, goals[0])
            yield Row(point, f"{what}: time", taken, "s", seconds, goals[1], note=str(result["status"]))


def _timed(scene: Stage, orders: int) -> tuple[float, float]:
    """Return the seconds of a plan, and the age of the oldest quote behind one of its limits."""
    plan, kept = scene.plan(orders), scene.output.keep()
    started = time.perf_counter()
    scene.execute(plan)
    taken = time.perf_counter() - started
    lines = [json.loads(line) for line in "".join(kept).splitlines() if '"order.intended"' in line]
    return taken, max(quote_ages(lines, scene.broker.request_log()))


def quote_ages(intended: list[dict[str, Any]], requests: list[dict[str, Any]]) -> list[float]:
    """Return the age of the quote behind each submitted limit, when the broker received the order.

    Args:
        intended: log lines, written when a limit is computed.
        requests: the broker's list of requests, oldest first.
    """
    readings = [
        (_time(request["at"]), set(str(request["query"].get("symbols", "")).split(",")))
        for request in requests
        if request["path"].endswith(_WITH_QUOTES)
    ]
    ages = []
    for request in requests:
        if request["method"] == "POST" and request["path"] == "/v2/orders":
            sent, name = _time(request["at"]), request["client_order_id"]
            symbol, computed = next(
                (line["symbol"], _time(line["timestamp"]))
                for line in reversed(intended)
                if line["client_order_id"] == name
            )
            ages.append(sent - max(read for read, symbols in readings if symbol in symbols and read <= computed))
    return ages


def _time(text: str) -> float:
    """Return a time of the log or of the broker as seconds since the epoch."""
    return datetime.fromisoformat(text.replace(",", ".")).timestamp()


def _naive(scene: Stage, orders: int) -> float:
    scene.reset(orders, faults=SLOW)
    plan = scene.plan(orders)
    started = time.perf_counter()
    scene.naive(plan)
    return time.perf_counter() - started
