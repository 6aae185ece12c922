"""9. Optimizations: the same work with and without each of them."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import boto3
from alpaca.common.rest import RESTClient

from benchmarks.row import Row
from benchmarks.stage import Stage, stage
from rebalance_executor.adapters.alpaca.client import AlpacaApi
from rebalance_executor.adapters.aws import client_config
from tests.support.local_aws import EXECUTION_TABLE

_POINT = "9 optimizations"
_KEY = ("local", "local")
_LEFT_OUT = ("pandas", "numpy", "pytz", "msgpack", "sseclient-py")
_LATENCY, _READS = 0.04, 5
_ITEMS = 34
"""Items written for a plan of 32 orders."""


def measure(pairs: int = 9, times: int = 300) -> Iterator[Row]:
    """Measure medians of alternating turns: imports in new processes, requests in this one."""
    sdk = "import rebalance_executor.adapters.alpaca.client"
    everything = "import alpaca.trading.client, alpaca.data.historical.stock"
    ours, without = _imports(pairs, sdk, everything)
    yield Row(_POINT, "base client of the SDK, without models and streams: import", ours, "ms", without)
    handler = "import rebalance_executor.handler"
    ours, without = _imports(pairs, handler, handler, second_compiles=True)
    yield Row(_POINT, "byte code in the artefact: import of the handler", ours, "ms", without)
    with stage(["S0"]) as scene:
        scene.reset(1)
        yield Row(_POINT, "our own session: CPU per broker request", *_sessions(scene, times))
        scene.reset(1, faults=[{"kind": "latency", "seconds": _LATENCY, "count": None}])
        yield Row(_POINT, f"{_READS} reads of 40 ms sent together: time", *_reads(scene, times // 10))
        scene.reset(1)
        yield Row(_POINT, f"items not validated twice: CPU per write of {_ITEMS}", *_writes(times))
    models = _size_of("botocore", "data/")
    yield Row(_POINT, "models of used services only: uncompressed", _used_models(), "MB", models)
    yield Row(_POINT, "unused packages left out: uncompressed", 0, "MB", sum(map(_size_of, _LEFT_OUT)))


def _imports(pairs: int, first: str, second: str, *, second_compiles: bool = False) -> tuple[float, float]:
    samples: tuple[list[float], list[float]] = ([], [])
    with tempfile.TemporaryDirectory() as cache:
        for turn in range(pairs + 1):
            for program, taken, compiles in ((first, samples[0], False), (second, samples[1], second_compiles)):
                environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
                if compiles:  # as in a function without byte code, which cannot write any
                    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": "/nonexistent"}
                else:
                    environment["PYTHONPYCACHEPREFIX"] = cache
                text = f"import time; started = time.perf_counter(); {program}; print(time.perf_counter() - started)"
                done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, check=True)
                if turn:
                    taken.append(1000 * float(done.stdout))
    return statistics.median(samples[0]), statistics.median(samples[1])


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
    used = ("dynamodb", "events", "s3", "secretsmanager", "sns", "sqs")
    return sum(_size_of("botocore", f"botocore/data/{name}/") for name in used)
