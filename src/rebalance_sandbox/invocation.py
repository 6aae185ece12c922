"""Invocation of the real handler in a child process, as by Lambda, with its log lines and its response."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import IO, Any

from rebalance_sandbox import stop_signals
from rebalance_sandbox.errors import SandboxError, SandboxFailed, SandboxUnfinished
from rebalance_sandbox.event_files import EventFile

_END_SECONDS = 10.0
"""Seconds that the process has beyond the timeout of the invocation: to start, and to release its lease."""
_STOP_SECONDS = 45.0
"""Seconds that the process has to stop safely: cancel open orders, confirm the cancels, journal the state."""

type OnRecord = Callable[[dict[str, Any]], None]
"""Receives each log line, decoded."""


@dataclass(frozen=True, slots=True)
class InvocationResult:
    """The response or the error of one invocation, as Lambda would return it."""

    response: dict[str, Any] | None = None
    error: dict[str, str] | None = None
    error_types: Sequence[str] = ()
    """Names of the error's class and of its base classes."""
    results: Sequence[dict[str, Any]] = field(default_factory=list)
    """Stored results of the plans of a queue event, whose response names only the failed messages."""


def new_log(folder: Path, name: str) -> Path:
    """Create the log file of a run, named by its time. Two runs that start in the same second have one each."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{name}"
    for number in count(1):
        path = folder / (f"{stem}.jsonl" if number == 1 else f"{stem}-{number}.jsonl")
        with suppress(FileExistsError):
            path.touch(exist_ok=False)
            return path
    raise AssertionError("unreachable: count never ends")


def invoke(
    event_file: EventFile, environment: Mapping[str, str], log: Path, seconds: float, on_record: OnRecord
) -> InvocationResult:
    """Run the handler on an event.

    Like Lambda, this kills the process after the timeout, with some seconds for its start. Ctrl-C, SIGTERM, SIGHUP and
    an output that its reader has closed (a ``BrokenPipeError`` of ``on_record``) stop it safely.

    Args:
        event_file: the event.
        environment: complete environment of the process.
        log: file that receives every log line.
        seconds: timeout of the invocation.
        on_record: receives every log line, decoded.

    Raises:
        SandboxUnfinished: the process was killed at the timeout, or stopped safely as the log cannot be written.
        SandboxFailed: the process ended without a response.
        KeyboardInterrupt: Ctrl-C or a signal, and the process ended without a response.
        BrokenPipeError: the output is closed, and the process ended without a response.
    """
    plans = [(plan.account, plan.plan_id) for plan in event_file.plans if event_file.messages is not None]
    arguments = [str(seconds), json.dumps(plans)]
    error_path = log.with_suffix(".stderr")
    with (
        log.open("w", encoding="utf-8") as log_file,
        error_path.open("w", encoding="utf-8") as error_file,
        _event_input(event_file) as event,
    ):
        child = subprocess.Popen(
            [sys.executable, "-m", "rebalance_sandbox.handler_process", *arguments],
            env=dict(environment),
            stdin=event,
            stdout=subprocess.PIPE,
            stderr=error_file,
            text=True,
            start_new_session=True,  # Ctrl-C must reach only the command, which forwards it
        )
        payload, code = _wait(child, seconds + _END_SECONDS, log_file.write, on_record)
    errors = error_path.read_text(encoding="utf-8", errors="replace").splitlines()
    if not errors:
        error_path.unlink()
    if payload is None:
        raise _no_response(code, errors, error_path)
    return InvocationResult(**payload)


@contextmanager
def _event_input(event_file: EventFile) -> Iterator[IO[bytes]]:
    """Provide the event as it was read and confirmed: the file may contain another plan by now."""
    with tempfile.TemporaryFile() as event:
        event.write(json.dumps(event_file.event).encode())
        event.seek(0)
        yield event


def _wait(
    child: subprocess.Popen[str], seconds: float, write: Callable[[str], object], on_record: OnRecord
) -> tuple[dict[str, Any] | None, int]:
    """Wait until the process ends, or kill it after ``seconds``; return its payload, if any, and its exit code."""
    try:
        with stop_signals.as_interrupt():
            payload = _read_or_stop(child, seconds, write, on_record)
    finally:
        child.kill()
        code = child.wait()
        if child.stdout is not None:
            child.stdout.close()
    return payload, code


def _read_or_stop(
    child: subprocess.Popen[str], seconds: float, write: Callable[[str], object], on_record: OnRecord
) -> dict[str, Any] | None:
    try:
        with _killed_after(child, seconds):
            return _read_output(child, write, on_record)
    except (KeyboardInterrupt, BrokenPipeError):
        stop_signals.ignore()
        payload = _stop(child, write, on_record)
        if payload is None:
            raise
        return payload
    except Exception as error:  # killed at once, the process would leave its orders open
        stop_signals.ignore()
        _stop(child, lambda _line: None, lambda _record: None)
        if isinstance(error, OSError):
            problem = f"The log of the run cannot be written: {error.strerror}. The run was stopped."
            raise SandboxUnfinished(problem, "Free some space, then run the same command again to continue.") from error
        raise


def _stop(child: subprocess.Popen[str], write: Callable[[str], object], on_record: OnRecord) -> dict[str, Any] | None:
    """Forward Ctrl-C: once to stop safely, twice to stop at once. Return the invocation's payload, if any."""

    def show(record: dict[str, Any]) -> None:
        with suppress(BrokenPipeError):  # the log file has the line
            on_record(record)

    child.send_signal(signal.SIGINT)
    try:
        with _killed_after(child, _STOP_SECONDS):
            return _read_output(child, write, show)
    except KeyboardInterrupt:
        child.send_signal(signal.SIGINT)
        with _killed_after(child, _END_SECONDS):
            return _read_output(child, write, show)


def _read_output(
    child: subprocess.Popen[str], write: Callable[[str], object], on_record: OnRecord
) -> dict[str, Any] | None:
    """Pass on the log lines until the process ends; return the payload of its last line, if any."""
    payload = None
    for line in child.stdout or ():
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            record = {"message": line.rstrip("\n")}
        if "invocation" in record:
            payload = record["invocation"]
        else:
            write(line)
            on_record(record)
    child.wait()
    return payload


@contextmanager
def _killed_after(child: subprocess.Popen[str], seconds: float) -> Iterator[None]:
    """Kill the process if the block takes longer."""
    timer = threading.Timer(seconds, child.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _no_response(code: int, errors: list[str], error_path: Path) -> SandboxError:
    if code < 0:
        return SandboxUnfinished(
            "The function was killed at its timeout, as in Lambda.",
            "Run the same command again: the plan continues when the lease of this run has expired.",
        )
    last_line = f" Its last line: {errors[-1]}" if errors else ""
    return SandboxFailed(f"The function ended without a response (exit code {code}).{last_line}", f"Read {error_path}.")
