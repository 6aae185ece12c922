"""Start: a new process until the handler is ready, and until the end of its first plan, as Lambda runs it.

Every process has the variables of Lambda and of the deployed function, tracing included, and only the packages of its
built folder. Our artefact and the naive handler take turns.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import built
from benchmarks.row import Row
from benchmarks.stage import Stage, stage

POINT = "start"
_PROGRAM = """
import importlib, json, sys, time
started, cpu = time.perf_counter(), time.process_time()
sys.path.insert(0, sys.argv[1])
{before}
for module in sys.argv[2].split():
    module = importlib.import_module(module)
ready = dict(ready=time.perf_counter() - started, cpu=time.process_time() - cpu, modules=len(sys.modules))
with open("/proc/self/status") as status:
    ready["resident"] = next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024
if len(sys.argv) > 3:
    from types import SimpleNamespace
    context = SimpleNamespace(
        aws_request_id="start", function_name="rebalance", function_version="1", memory_limit_in_mb=512,
        invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:rebalance",
        get_remaining_time_in_millis=lambda: 600_000,
    )
    module.lambda_handler(json.loads(sys.argv[3]), context)
ready["done"] = time.time()
sys.stderr.write(json.dumps(ready) + chr(10))
"""
OURS, NAIVE = "rebalance_executor.handler", "naive_handler"
_REQUIRED = (
    "boto3 requests pydantic aws_lambda_powertools aws_lambda_powertools.utilities.idempotency alpaca.common.rest"
    " tenacity pybreaker jmespath aws_xray_sdk.core"
)
"""The libraries that the program must use: what a program without any code of its own would import."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A folder, and the modules to import from it."""

    folder: Path
    modules: str
    runs_plan: bool = True


def measure(pairs: int = 9) -> Iterator[Row]:
    """Measure medians of alternating processes."""
    contenders = {
        "ours": Contender(built.ours(), OURS),
        "compiled": Contender(built.naive_compiled(), NAIVE),
        "as built": Contender(built.naive(), NAIVE),
        "libraries": Contender(built.ours(), _REQUIRED, runs_plan=False),
    }
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    with stage(["S0"]) as scene:
        scene.warm(1)
        for turn in range(pairs + 1):
            for name, contender in contenders.items():
                figures = _start(scene, contender)
                if turn:  # the first turn reads the files into the page cache
                    samples[name].append(figures)
    yield from _rows({name: _medians(taken) for name, taken in samples.items()})


def _rows(found: Mapping[str, Mapping[str, float]]) -> Iterator[Row]:
    ours, compiled, built_as_is = found["ours"], found["compiled"], found["as built"]
    yield Row(POINT, "handler ready, as in Lambda", ours["ready"], "s", compiled["ready"], 0.5, "ratio")
    what = "handler ready, naive as sam build leaves it"
    yield Row(POINT, what, ours["ready"], "s", built_as_is["ready"], 0.12, "ratio", "no byte code")
    floor = found["libraries"]["ready"]
    yield Row(POINT, "the required libraries alone", floor, "s", compiled["ready"], note="the floor of the rows above")
    yield Row(POINT, "processor time until ready", 1000 * ours["cpu"], "ms", 1000 * compiled["cpu"])
    yield Row(POINT, "resident when ready", ours["resident"], "MB", compiled["resident"])
    yield Row(POINT, "modules", ours["modules"], "", compiled["modules"])
    yield Row(POINT, "process start to end of first plan", ours["done"], "s", compiled["done"])


def _start(scene: Stage, contender: Contender) -> dict[str, float]:
    scene.clear_daily_usage()
    words = [json.dumps(scene.plan(1))] if contender.runs_plan else []
    started = time.time()
    figures = run(contender.folder, contender.modules, scene.environment, words=words)
    return figures | {"done": figures["done"] - started}


def run(
    folder: Path, modules: str, environment: Mapping[str, str], *, before: str = "", words: list[str] | None = None
) -> dict[str, float]:
    """Import the modules from this folder in a new process and return its figures.

    Args:
        folder: the built folder.
        modules: names separated by spaces.
        environment: the variables of the deployed function.
        before: a statement to execute before the imports.
        words: a plan to execute, as JSON, or nothing.
    """
    command = [sys.executable, "-I", "-S", "-B", "-c", _PROGRAM.format(before=before), str(folder), modules]
    done = subprocess.run(
        [*command, *(words or [])], env=as_in_lambda(folder, environment), capture_output=True, text=True, check=True
    )
    figures: dict[str, float] = json.loads(done.stderr.splitlines()[-1])
    return figures


def as_in_lambda(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return these variables with those that Lambda sets. X-Ray's SDK creates a client unless it finds them."""
    return {name: value for name, value in environment.items() if name != "POWERTOOLS_TRACE_DISABLED"} | {
        "PATH": os.defpath,
        "LAMBDA_TASK_ROOT": str(folder),
        "AWS_LAMBDA_FUNCTION_NAME": "rebalance",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
        "_X_AMZN_TRACE_ID": "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0",
    }


def _medians(samples: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(sample[name] for sample in samples) for name in samples[0]}
