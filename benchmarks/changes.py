"""Optimizations: the same work with and without each of them."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import boto3
from alpaca.common.rest import RESTClient

from benchmarks import built, start
from benchmarks.row import Row
from benchmarks.stage import LATENCY, Stage, stage
from rebalance_executor.adapters.alpaca.client import AlpacaApi
from rebalance_executor.adapters.aws import client_config
from tests.support.local_aws import EXECUTION_TABLE

_POINT = "optimizations"
_KEY = ("local", "local")
_SERVICES = ("dynamodb", "events", "s3", "secretsmanager", "sns", "sqs")
_SHARED_DATA = ("data/endpoints", "data/partitions", "data/sdk-default", "data/_retry")
_READS = 5
_ITEMS = 34
"""Items written for a plan of 32 orders."""


def measure(pairs: int = 9, times: int = 300) -> Iterator[Row]:
    """Measure medians of alternating turns: starts in new processes, requests in this one."""
    with stage(["S0"]) as scene:
        yield from _starts(scene, pairs)
        scene.reset(1)
        yield Row(_POINT, "our own session: CPU per broker request", *_sessions(scene, times))
        scene.reset(1, faults=[{"kind": "latency", "seconds": LATENCY, "count": None}])
        yield Row(_POINT, f"{_READS} reads of 40 ms sent together: time", *_reads(scene, times // 10))
        scene.reset(1)
        yield Row(_POINT, f"items not validated twice: CPU per write of {_ITEMS}", *_writes(times))
    models = _size_of("botocore", "data/")
    yield Row(_POINT, "models of used services only: uncompressed", _used_models(), "MB", models)
    yield Row(_POINT, "unused packages left out: uncompressed", 0, "MB", sum(map(_size_of, built.LEFT_OUT)))


def _starts(scene: Stage, pairs: int) -> Iterator[Row]:
    """Measure what each change of the artefact and of the imports wins, as Lambda runs them."""
    ours = built.ours()
    whole, source, naive = _with_whole_data(ours), _without_byte_code(ours), built.naive_compiled()
    base, clients = "alpaca.common.rest", "alpaca.trading.client alpaca.data.historical.stock"
    collecting = "import gc; gc.disable = gc.freeze = lambda: None"
    for what, first, second in (
        ("garbage collection off during import", (ours, start.OURS, ""), (ours, start.OURS, collecting)),
        ("service data of six services, without documentation", (ours, start.OURS, ""), (whole, start.OURS, "")),
        ("byte code in the artefact", (ours, start.OURS, ""), (source, start.OURS, "")),
        ("base client of the SDK, without models and streams", (naive, base, ""), (naive, clients, "")),
    ):
        taken: tuple[list[float], list[float]] = ([], [])
        for turn in range(pairs + 1):
            for (folder, modules, before), samples in zip((first, second), taken, strict=True):
                cpu = start.run(folder, modules, scene.environment, before=before)["cpu"]
                if turn:
                    samples.append(1000 * cpu)
        yield Row(_POINT, f"{what}: CPU of the start", *_row_of(taken))


def _row_of(taken: tuple[list[float], list[float]]) -> tuple[float, str, float]:
    return statistics.median(taken[0]), "ms", statistics.median(taken[1])


def _with_whole_data(folder: Path) -> Path:
    """Return a copy of the artefact with botocore's data as it was installed, of the same services."""
    copy = built.copy_of(folder, "whole-data")
    data = copy / "botocore" / "data"
    shutil.rmtree(data)
    for part in (*(f"botocore/data/{name}/" for name in _SERVICES), *_SHARED_DATA):
        built.copy_package("botocore", copy, part)
    return copy


def _without_byte_code(folder: Path) -> Path:
    copy = built.copy_of(folder, "no-byte-code")
    for compiled in copy.rglob("__pycache__"):
        shutil.rmtree(compiled)
    return copy


def _sessions(scene: Stage, times: int) -> tuple[float, str, float]:
    ours = AlpacaApi(_KEY, scene.broker.url, lambda: (2.0, 5.0), lambda _: None)
    sdk = RESTClient(base_url=scene.broker.url, api_key=_KEY[0], secret_key=_KEY[1], api_version="v2", raw_data=True)
    first, second = _by_turns(times, lambda: ours.get("/clock"), lambda: sdk.get("/clock"))
    return first, "ms", second


def _reads(scene: Stage, times: int) -> tuple[float, str, float]:
    api = AlpacaApi(_KEY, scene.broker.url, lambda: (2.0, 5.0), lambda _: None)
    reads = [("GET", "/clock", None)] * _READS
    taken: list[tuple[float, float]] = []
    for _ in range(times):
        started = time.perf_counter()
        api.ask(reads)()
        together = time.perf_counter()
        for _, path, query in reads:
            api.get(path, query)
        taken.append((1000 * (together - started), 1000 * (time.perf_counter() - together)))
    api.close()
    return statistics.median(first for first, _ in taken), "ms", statistics.median(second for _, second in taken)


def _writes(times: int) -> tuple[float, str, float]:
    clients = [boto3.client("dynamodb", config=client_config(validated=validated)) for validated in (False, True)]

    attributes = {f"a{n}": {"S": "x"} for n in range(20)}

    def write(client: Any) -> None:
        items = [{"pk": {"S": "changes"}, "sk": {"S": str(n)}} | attributes for n in range(_ITEMS)]
        client.transact_write_items(
            TransactItems=[{"Put": {"TableName": EXECUTION_TABLE, "Item": item}} for item in items]
        )

    first, second = _by_turns(times // 3, lambda: write(clients[0]), lambda: write(clients[1]))
    return first, "ms", second


def _by_turns(times: int, *works: Callable[[], object]) -> tuple[float, float]:
    """Return the median CPU time in milliseconds of each work, in ten alternating turns."""
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(10):
        for work, samples in zip(works, taken, strict=True):
            started = time.process_time()
            for _ in range(times // 10):
                work()
            samples.append(1000 * (time.process_time() - started) / (times // 10))
    return statistics.median(taken[0]), statistics.median(taken[1])


def _size_of(package: str, part: str = "") -> float:
    """Return the size of an installed package in megabytes, without byte code."""
    files = [f for f in distribution(package).files or () if part in str(f) and f.suffix != ".pyc"]
    return sum(Path(str(f.locate())).stat().st_size for f in files) / 1e6


def _used_models() -> float:
    return sum(path.stat().st_size for path in (built.ours() / "botocore" / "data").rglob("*.json")) / 1e6
