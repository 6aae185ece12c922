"""3. Warm plans: CPU time by number of orders, CPU time of the bare requests, and memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from typing import Any, cast

import boto3
import requests

from benchmarks.row import Row, orders_of
from benchmarks.stage import CONTEXT, Stage, stage
from rebalance_executor.adapters.aws import client_config
from tests.support.local_aws import EXECUTION_TABLE

SIZES = (1, 8, 32, 128, 500)
_LARGE = 10_000_000
"""Dollars of portfolio value, so large that the purchases of earlier plans are no drift."""
_ALLOWED_MS, _ALLOWED_MS_AN_ITEM = 5, 0.5


def measure(rounds: int = 5, sizes: tuple[int, ...] = SIZES) -> Iterator[Row]:
    """Measure the CPU time of this process: the median of ``rounds`` plans per size, with an immediate broker."""
    symbols = [f"S{i}" for i in range(max(sizes))]
    with stage(symbols) as scene:
        with redirect_stdout(cast("Any", scene.output)):  # its logger keeps the current stream
            naive = _naive()
        each = _bare_requests(scene)
        ours: list[tuple[int, float]] = []
        for orders in sizes:
            scene.reset(orders)
            scene.execute(scene.plan(orders))  # fills the cache of asset flags
            taken, wall = _median(rounds, scene, orders, scene.execute)
            bare = scene.broker.request_count() * each[0] + scene.use.database_requests * each[1]
            with redirect_stdout(cast("Any", scene.output)):
                other, _ = _median(3, scene, orders, lambda plan: naive(plan, CONTEXT))
            ours.append((orders, taken))
            goal = _ALLOWED_MS + _ALLOWED_MS_AN_ITEM * orders
            note = f"{wall:.0f} ms wall time"
            yield Row("3 warm plan", f"CPU, {orders_of(orders)}", taken, "ms", other, goal, note)
            yield Row("3 warm plan", f"of it beyond the bare requests, {orders_of(orders)}", taken - bare, "ms")
        an_item = (ours[-1][1] - ours[0][1]) / (ours[-1][0] - ours[0][0])
        yield Row("3 warm plan", "each additional order", an_item, "ms", goal=_ALLOWED_MS_AN_ITEM)


def measure_memory(plans: int = 10_000) -> Iterator[Row]:
    """Measure the resident memory after a tenth of the plans and after all of them."""
    with stage(["S0"]) as scene:
        scene.reset(1)
        for number in range(1, plans + 1):
            _reset(scene, number)
            scene.execute(scene.plan(1, total_portfolio_value=_LARGE))
            if number == plans // 10:
                early = _resident()
        late = _resident()
    yield Row(
        "3 warm plan", f"resident after {plans:,} plans", late, "MB", early, note=f"against {plans // 10:,} plans"
    )


def _reset(scene: Stage, number: int) -> None:
    """Reset the broker now and then, so that its own growth is not measured."""
    if number % 250 == 0:
        scene.reset(1)
    else:
        scene.clear_daily_usage()


def _median(rounds: int, scene: Stage, orders: int, work: Callable[[dict[str, Any]], object]) -> tuple[float, float]:
    """Return the median CPU and wall time in milliseconds of a plan of this size, always the first of its day."""
    taken, walls = [], []
    for _ in range(rounds):
        scene.reset(orders)
        scene.use.clear()
        plan = scene.plan(orders)
        cpu, wall = time.process_time(), time.perf_counter()
        work(plan)
        taken.append(1000 * (time.process_time() - cpu))
        walls.append(1000 * (time.perf_counter() - wall))
    return statistics.median(taken), statistics.median(walls)


def _bare_requests(scene: Stage, times: int = 300) -> tuple[float, float]:
    """Return the CPU time in milliseconds of one request to the broker and to DynamoDB, with the same libraries."""
    session = requests.Session()
    session.trust_env = False
    session.headers.update({"APCA-API-KEY-ID": "local", "APCA-API-SECRET-KEY": "local"})
    database = boto3.client("dynamodb", config=client_config(validated=False))
    key = {"pk": {"S": "nothing"}, "sk": {"S": "nothing"}}
    measured = []
    requests_to_time: tuple[Callable[[], object], ...] = (
        lambda: session.get(f"{scene.broker.url}/v2/clock", timeout=5).json(),
        lambda: database.get_item(TableName=EXECUTION_TABLE, Key=key),
    )
    for request in requests_to_time:
        cpu = time.process_time()
        for _ in range(times):
            request()
        measured.append(1000 * (time.process_time() - cpu) / times)
    return measured[0], measured[1]


def _naive() -> Any:
    from benchmarks.naive_handler import lambda_handler  # imported here because it reads the stage's environment

    return lambda_handler


def _resident() -> float:
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - a kernel file
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024
