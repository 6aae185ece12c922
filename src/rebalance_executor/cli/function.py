"""The deployed function as a child process: its log lines as they come, its answer at the end."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rebalance_executor.cli.exits import CliError, Exit

_LAST_WORDS = 3


@dataclass(frozen=True, slots=True)
class Invocation:
    """How one invocation ended: with an answer or with an error, as Lambda would return it."""

    code: Exit
    """The exit code that follows from the error; COMPLETE where there is an answer."""
    answer: dict[str, Any] | None = None
    error: dict[str, str] | None = None
    results: list[dict[str, Any]] = field(default_factory=list)
    """For a queue's event: the stored results of its plans."""


def invoke(
    event: Path,
    environment: Mapping[str, str],
    log: Path,
    seconds: float,
    on_record: Callable[[dict[str, Any]], None],
) -> Invocation:
    """Run the handler on an event file; every JSON line goes to ``log`` and to ``on_record``.

    As Lambda does, the function is ended when its time is over.

    Raises:
        CliError: the process ended without an answer.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "rebalance_executor.cli.invoke", str(event), str(seconds)]
    told: dict[str, Any] | None = None
    errors = log.with_suffix(".stderr")
    with log.open("w", encoding="utf-8") as kept, errors.open("w+", encoding="utf-8") as noise:
        child = subprocess.Popen(command, env=dict(environment), stdout=subprocess.PIPE, stderr=noise, text=True)
        timer = threading.Timer(seconds + 1, child.kill)
        timer.daemon = True
        timer.start()
        try:
            for record in _records(child, kept.write):
                if "invocation" in record:
                    told = record["invocation"]
                else:
                    on_record(record)
            code = child.wait()
        finally:
            timer.cancel()
            _end(child)
    said = errors.read_text(encoding="utf-8", errors="replace").splitlines()
    if not said:
        errors.unlink()
    if told is None:
        raise _without_answer(code, said, log)
    return Invocation(Exit(code), **told)


def _records(child: subprocess.Popen[str], keep: Callable[[str], object]) -> Any:
    assert child.stdout is not None  # noqa: S101 - asked for above
    for line in child.stdout:
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            record = {"message": line.rstrip("\n")}
        if "invocation" not in record:
            keep(line)
        yield record


def _end(child: subprocess.Popen[str]) -> None:
    """Wait for the child; after Ctrl-C it has been told already, and gets the time to give its lease back."""
    try:
        child.wait(timeout=10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()


def _without_answer(code: int, said: list[str], log: Path) -> CliError:
    if code < 0:
        return CliError(
            "The function was ended at its time-out, as Lambda would have done.",
            "Run the same command again: it goes on from the journal once the lease has run out.",
            Exit.DEFERRED,
        )
    words = " | ".join(said[-_LAST_WORDS:])
    return CliError(f"The function ended without an answer (exit code {code}): {words}", f"Look at {log}.", Exit.FAILED)
