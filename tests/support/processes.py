"""Server processes on loopback: started, polled until ready, and stopped with their process group."""

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
"""30 seconds in total, enough for a cold machine under load."""
_STOP_SECONDS = 10
_NOT_INHERITED = ("AWS_", "ALPACA_", "POWERTOOLS_", "EXECUTION_", "ACCOUNT", "LIVE_TRADING", "COV_", "MAKE", "MFLAGS")
"""Prefixes. The last two keep a ``make`` that a test runs independent of the ``make test`` that runs the test."""


def free_port() -> int:
    """Return a port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Return whether a server accepts connections on this port."""
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def answers(url: str) -> bool:
    """Return whether a GET of this URL succeeds."""
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
    """Run a server for the block, from when it is ready; its output goes to ``log``.

    Raises:
        RuntimeError: the server exited, or was not ready in time; the message has the end of its log.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # its own process group, so that _stop also ends its children
        )
    try:
        _wait(process, is_ready, log)
        yield process
    finally:
        _stop(process)


def clean_environment(**variables: str) -> dict[str, str]:
    """Return this environment without variables for a real account or a proxy, with ``variables`` added."""
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
    raise RuntimeError(f"{process.args!r} was not ready in time:\n{log.read_text(errors='replace')[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, signal_number)
            process.wait(timeout=_STOP_SECONDS)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait(timeout=_STOP_SECONDS)
