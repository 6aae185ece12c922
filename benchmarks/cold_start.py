"""1. Cold start: a new process from its start to the end of the first plan, and its memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from benchmarks.row import Row
from benchmarks.stage import stage

_OURS, _NAIVE = "rebalance_executor.handler", "benchmarks.naive_handler"
_IMPORTS = {
    _OURS: "import rebalance_executor.handler",
    _NAIVE: "import alpaca.trading.client, boto3, aws_lambda_powertools.utilities.idempotency",
}
"""The imports that the goal compares."""
_ALONE = """
import sys, time
started = time.perf_counter()
{imports}
imported = time.perf_counter() - started
with open("/proc/self/status") as status:
    resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024
import json
print(json.dumps(dict(imported=imported, resident=resident, modules=len(sys.modules))))
"""
_WHOLE = """
import sys, time
started = time.perf_counter()
from {module} import lambda_handler
ready = time.perf_counter() - started
with open("/proc/self/status") as status:
    resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024
import json, os
from tests.support.lambda_context import FakeContext
lambda_handler(json.loads(sys.argv[1]), FakeContext(lambda: 600))
done = time.time()
sys.stderr.write(json.dumps(dict(ready=ready, initialised=resident, done=done)) + chr(10))
os._exit(0)
"""
_ALLOWED_SHARE = 0.55
_ALLOWED_MB = 75


def measure(pairs: int = 9) -> Iterator[Row]:
    """Measure the medians of our handler and the naive one, alternating, in new processes with byte code."""
    with tempfile.TemporaryDirectory() as cache, stage(["S0"]) as scene:
        scene.reset(1)
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = cache
        measured: dict[str, list[dict[str, float]]] = {_OURS: [], _NAIVE: []}
        for turn in range(pairs + 1):
            for module, samples in measured.items():
                scene.clear_daily_usage()
                alone = _run(environment, _ALONE.format(imports=_IMPORTS[module]))
                started, plan = time.time(), json.dumps(scene.plan(1))
                on_demand = environment | {"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand"}
                whole = _run(on_demand, _WHOLE.format(module=module), plan)
                if turn:  # the first turn compiles
                    samples.append(alone | whole | {"first": whole["done"] - started})

    def pair(name: str) -> tuple[float, float]:
        ours, naive = (statistics.median(sample[name] for sample in samples) for samples in measured.values())
        return ours, naive

    (ours, naive), point = pair("imported"), "1 cold start"
    yield Row(point, "import", ours, "s", naive, _ALLOWED_SHARE * naive)
    built = _without_byte_code(environment, pairs)
    yield Row(point, "import, naive handler as built by sam build", ours, "s", built, _ALLOWED_SHARE * built)
    ours, naive = pair("resident")
    yield Row(point, "resident after import", ours, "MB", naive, _ALLOWED_MB)
    for name, what, unit in (
        ("modules", "modules", ""),
        ("ready", "import and creation of clients", "s"),
        ("initialised", "resident after that", "MB"),
        ("first", "process start to end of first plan", "s"),
    ):
        ours, naive = pair(name)
        yield Row(point, what, ours, unit, naive)


def _without_byte_code(environment: dict[str, str], times: int) -> float:
    """Return the seconds of the naive import without byte code: ``sam build`` unzips wheels, which have only source.

    A function cannot write to its own directory, so every cold start compiles again.
    """
    with tempfile.TemporaryDirectory() as empty:
        no_byte_code = environment | {"PYTHONPYCACHEPREFIX": empty, "PYTHONDONTWRITEBYTECODE": "1"}
        samples = [_run(no_byte_code, _ALONE.format(imports=_IMPORTS[_NAIVE]))["imported"] for _ in range(times)]
    return statistics.median(samples)


def _run(environment: dict[str, str], program: str, *words: str) -> dict[str, float]:
    """Run the program and return the figures in its last line."""
    done = subprocess.run(
        [sys.executable, "-c", program, *words], env=environment, capture_output=True, text=True, check=True
    )
    figures: dict[str, float] = json.loads((done.stdout + done.stderr).splitlines()[-1])
    return figures
