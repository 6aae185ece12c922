"""AWS's own Lambda runtime on this machine: the runtime interface emulator in front of the real runtime client."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.deployed import deployed_packages
from tests.support.processes import LOOPBACK, clean_environment, free_port, listens, server

ROOT = Path(__file__).parents[2]
HANDLER = "rebalance_executor.handler.lambda_handler"
_MACHINES = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
_EMULATOR = "lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-"


def emulator() -> Path | None:
    """Return the emulator that AWS SAM installs for this machine, or None."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return None
    return next((ROOT / ".venv-sam").glob(_EMULATOR + _MACHINES[platform.machine()]), None)


def needed_emulator() -> Path:
    """Return the emulator; without it, skip the test, or fail it in CI, where no check may be skipped silently."""
    binary = emulator()
    if binary is not None:
        return binary
    if os.environ.get("CI") and sys.platform == "linux":
        pytest.fail("The runtime interface emulator is missing. It comes with AWS SAM: make sam")
    pytest.skip("the runtime interface emulator comes with AWS SAM (make sam), and runs on Linux")


@dataclass(frozen=True, slots=True)
class LambdaRuntime:
    """A function that waits for invocations, as in Lambda: one process, warm after the first invocation."""

    url: str
    log: Path
    session: requests.Session

    def invoke(self, event: object, seconds: float = 60) -> Any:
        """Return the function's response; for an error, the object with ``errorType`` and ``errorMessage``."""
        return self.session.post(self.url, json=event, timeout=seconds).json()

    def log_lines(self) -> list[dict[str, Any]]:
        """Return the JSON lines that the function has written so far."""
        records = []
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue  # a line of the emulator
            if isinstance(record, dict):
                records.append(record)
        return records


@contextmanager
def lambda_runtime(
    binary: Path, variables: Mapping[str, str], folder: Path, *, handler: str = HANDLER, seconds: int = 60
) -> Iterator[LambdaRuntime]:
    """Run the handler behind the emulator for the block, with only the deployed packages.

    Args:
        binary: from :func:`emulator`.
        variables: the function's environment.
        folder: where its log is written.
        handler: the module and function to invoke.
        seconds: the function's timeout.
    """
    port, runtime_port = free_port(), free_port()
    command = [
        str(binary),
        "--log-level=error",
        f"--runtime-interface-emulator-address={LOOPBACK}:{port}",
        f"--runtime-api-address={LOOPBACK}:{runtime_port}",
        sys.executable,
        "-S",  # only the packages of the artefact
        "-m",
        "awslambdaric",
        handler,
    ]
    paths = [variables.get("PYTHONPATH", ""), str(ROOT / "src"), str(_packages(folder))]
    environment = clean_environment(
        AWS_LAMBDA_FUNCTION_NAME="rebalance-executor",
        AWS_LAMBDA_FUNCTION_VERSION="$LATEST",
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE="512",
        AWS_LAMBDA_FUNCTION_TIMEOUT=str(seconds),
        POWERTOOLS_TRACE_DISABLED="true",  # there is no X-Ray daemon here
        **{**variables, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    log = folder / "function.log"
    with server(command, environment, log, lambda: listens(port)), requests.Session() as session:
        session.trust_env = False
        yield LambdaRuntime(f"http://{LOOPBACK}:{port}/2015-03-31/functions/function/invocations", log, session)


def _packages(folder: Path) -> Path:
    packages = folder / "packages"
    packages.mkdir()
    return deployed_packages(packages)
