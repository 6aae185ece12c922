"""Cost of a library's import on top of the handler's: processor time, modules and memory in new processes.

    python -m benchmarks.imports
    python -m benchmarks.imports opentelemetry.sdk.trace

Every process imports the handler first, with the variables of Lambda, so that only what the library adds is counted.
The least of the processes is taken: other programs on the machine can only add to it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.start import as_in_lambda

ROOT = Path(__file__).parents[1]
MODULES = (
    "aws_lambda_powertools.utilities.batch",
    "aws_lambda_powertools.utilities.data_classes",
    "aws_lambda_powertools.utilities.parser",
    "aws_lambda_powertools.utilities.circuit_breaker",
    "aws_lambda_powertools.utilities.feature_flags",
    "pybreaker",
    "aws_xray_sdk.core",
)
"""Libraries of the decision records. The last two are in use: they are taken out of the handler's import."""
_PROGRAM = """
import importlib, json, sys, time
def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024
{before}
before = time.process_time(), len(sys.modules), resident()
importlib.import_module(sys.argv[1])
after = time.process_time(), len(sys.modules), resident()
print(json.dumps([late - early for early, late in zip(before, after)]))
"""
_HANDLER = "import rebalance_executor.handler"
_LIBRARIES = "import boto3, requests, pydantic, aws_lambda_powertools, aws_lambda_powertools.utilities.idempotency"
"""What the handler's import needs at least, without the libraries that are measured."""
_IN_USE = ("pybreaker", "aws_xray_sdk.core")


def measure(module: str, processes: int = 15) -> list[float]:
    """Return milliseconds, modules and megabytes that this import adds.

    Raises:
        subprocess.CalledProcessError: the module is not installed.
    """
    before = _LIBRARIES if module in _IN_USE else _HANDLER
    command = [sys.executable, "-c", _PROGRAM.format(before=before), module]
    runs = [
        json.loads(subprocess.run(command, env=_environment(), capture_output=True, text=True, check=True).stdout)
        for _ in range(processes + 1)  # the first one reads the files into the page cache
    ]
    seconds, modules, megabytes = (min(column) for column in zip(*runs, strict=True))
    return [1000 * seconds, modules, megabytes]


def _environment() -> dict[str, str]:
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return as_in_lambda(ROOT / "src", {"PYTHONPATH": os.pathsep.join(paths), "AWS_DEFAULT_REGION": "us-east-1"})


def main() -> None:
    """Print one line per module."""
    for module in sys.argv[1:] or MODULES:
        milliseconds, modules, megabytes = measure(module)
        print(f"{module:50} {milliseconds:6.1f} ms  {modules:4.0f} modules  {megabytes:5.1f} MB")


if __name__ == "__main__":
    main()
