"""Servers for tests: started on loopback, awaited by bounded polling, ended by their own process group."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests

LOOPBACK = "127.0.0.1"
_POLL_SECONDS = 0.02
_READY_TRIES = 1500
"""Thirty seconds: a cold machine under load, not what is usual."""
_STOP_SECONDS = 10
_NOT_INHERITED = ("AWS_", "ALPACA_", "POWERTOOLS_", "EXECUTION_", "ACCOUNT", "LIVE_TRADING", "COV_", "MAKE", "MFLAGS")
"""The last two: a ``make`` in a test is nobody's part, though ``make test`` runs it."""


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something accepts connections on this port."""
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def answers(url: str) -> bool:
    """Whether a GET of this address succeeds."""
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy on the way to this machine
            return session.get(url, timeout=2).ok
    except requests.RequestException:
        return False


@contextmanager
def server(
    command: Sequence[str], environment: Mapping[str, str], log: Path, is_ready: Callable[[], bool]
) -> Iterator[subprocess.Popen[bytes]]:
    """A server that is ready, until the end of the block; what it prints goes to ``log``.

    Raises:
        RuntimeError: it ended, or was not ready in time; shows the end of its log.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # one group with all its children, so that none is left behind
        )
    try:
        _wait(process, is_ready, log)
        yield process
    finally:
        _stop(process)


def clean_environment(**variables: str) -> dict[str, str]:
    """This process's environment without anything that leads to a real account or proxy, and these on top."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_NOT_INHERITED) and not name.lower().endswith("_proxy")
    }
    return inherited | {"PYTHONUNBUFFERED": "1", "AWS_EC2_METADATA_DISABLED": "true"} | variables


def _wait(process: subprocess.Popen[bytes], is_ready: Callable[[], bool], log: Path) -> None:
    for _ in range(_READY_TRIES):
        if process.poll() is not None:
            break
        if is_ready():
            return
        time.sleep(_POLL_SECONDS)
    raise RuntimeError(f"{process.args!r} did not get ready:\n{log.read_text(errors='replace')[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=_STOP_SECONDS)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait(timeout=_STOP_SECONDS)
