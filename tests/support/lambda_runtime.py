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
    """The emulator that AWS SAM brings along for this machine; None where there is none."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return None
    return next((ROOT / ".venv-sam").glob(_EMULATOR + _MACHINES[platform.machine()]), None)


def needed_emulator() -> Path:
    """The emulator; without it the test is skipped, but fails in CI, where no check may go missing unseen."""
    binary = emulator()
    if binary is not None:
        return binary
    if os.environ.get("CI") and sys.platform == "linux":
        pytest.fail("The runtime interface emulator is missing. It comes with AWS SAM: make sam")
    pytest.skip("the runtime interface emulator comes with AWS SAM (make sam), and runs on Linux")


@dataclass(frozen=True, slots=True)
class LambdaRuntime:
    """A function that waits for invocations, as in Lambda: one process, warm after the first."""

    url: str
    log: Path
    session: requests.Session

    def invoke(self, event: object, seconds: float = 60) -> Any:
        """The function's answer; for an error, the object with ``errorType`` and ``errorMessage``."""
        return self.session.post(self.url, json=event, timeout=seconds).json()

    def log_lines(self) -> list[dict[str, Any]]:
        """The JSON lines that the function has written so far."""
        found = []
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue  # the emulator's own words
            if isinstance(record, dict):
                found.append(record)
        return found


@contextmanager
def lambda_runtime(
    binary: Path, variables: Mapping[str, str], folder: Path, *, handler: str = HANDLER, seconds: int = 60
) -> Iterator[LambdaRuntime]:
    """The handler behind the emulator, with what is deployed and nothing else, until the end of the block.

    Args:
        binary: from :func:`emulator`.
        variables: the function's environment.
        folder: for its log.
        handler: what is invoked.
        seconds: the function's time-out.
    """
    port, runtime_port = free_port(), free_port()
    command = [
        str(binary),
        "--log-level=error",
        f"--runtime-interface-emulator-address={LOOPBACK}:{port}",
        f"--runtime-api-address={LOOPBACK}:{runtime_port}",
        sys.executable,
        "-S",  # the packages of the artefact and no others
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
