"""The real handler in a process of its own, from both sides.

``invoke`` starts ``python -m rebalance_sandbox.handler_process EVENT SECONDS PLANS`` and reads what it prints: first what
CloudWatch would get, one JSON line each, and then one more line, ``{"invocation": …}``, with the answer or the error
as Lambda would return it, and for a queue's event the stored results of its plans.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rebalance_cli.exit_codes import CliError, Exit, error_exit_code
from rebalance_executor.domain.errors import RebalanceError
from rebalance_sandbox.event_files import EventFile, read_json

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from rebalance_executor.service import Service

_FUNCTION = "rebalance-executor-local"
_END_SECONDS = 10.0
"""Seconds a function has to start, or to give back what it holds."""
_STOP_SECONDS = 45.0
"""Seconds it has to stop safely: to cancel what rests, see that confirmed and journal it."""


@dataclass(frozen=True, slots=True)
class InvocationResult:
    """How one invocation ended: with an answer or with an error, as Lambda would return it."""

    code: Exit
    """The exit code that follows from the error; COMPLETE where there is an answer."""
    response: dict[str, Any] | None = None
    error: dict[str, str] | None = None
    results: list[dict[str, Any]] = field(default_factory=list)
    """For a queue's event: the stored results of its plans."""


# --- this side: the command ------------------------------------------------------------------------------


def invoke(
    event_file: EventFile,
    environment: Mapping[str, str],
    log: Path,
    seconds: float,
    on_record: Callable[[dict[str, Any]], None],
) -> InvocationResult:
    """Run the handler on an event; every log line goes to ``log`` and, decoded, to ``on_record``.

    As Lambda does, the function is ended some time after its ``seconds`` are over.

    Raises:
        CliError: the process ended without an answer.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    plans = [(plan.account, plan.plan_id) for plan in event_file.plans if event_file.messages is not None]
    arguments = [str(event_file.path), str(seconds), json.dumps(plans)]
    command = [sys.executable, "-m", "rebalance_sandbox.handler_process", *arguments]
    told: dict[str, Any] | None = None
    errors = log.with_suffix(".stderr")
    with log.open("w", encoding="utf-8") as kept, errors.open("w", encoding="utf-8") as noise:
        child = subprocess.Popen(
            command,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=noise,
            text=True,
            start_new_session=True,  # Ctrl-C is for the command, which passes it on once
        )
        try:
            with _killed_after(child, seconds + _END_SECONDS):
                told = _follow(child, kept.write, on_record)
        except KeyboardInterrupt:
            told = _stop(child, kept.write, on_record)
            if told is None:
                raise
        finally:
            child.kill()
            code = child.wait()
            if child.stdout is not None:
                child.stdout.close()
    said = errors.read_text(encoding="utf-8", errors="replace").splitlines()
    if not said:
        errors.unlink()
    if told is None:
        raise _without_answer(code, said, log)
    return InvocationResult(Exit(code), **told)


def _stop(
    child: subprocess.Popen[str], keep: Callable[[str], object], on_record: Callable[[dict[str, Any]], None]
) -> dict[str, Any] | None:
    """Pass Ctrl-C on: once to stop safely, twice to stop at once. Returns what the function told at its end."""
    child.send_signal(signal.SIGINT)
    try:
        with _killed_after(child, _STOP_SECONDS):
            return _follow(child, keep, on_record)
    except KeyboardInterrupt:
        child.send_signal(signal.SIGINT)
        with _killed_after(child, _END_SECONDS):
            return _follow(child, keep, on_record)


def _follow(
    child: subprocess.Popen[str], keep: Callable[[str], object], on_record: Callable[[dict[str, Any]], None]
) -> dict[str, Any] | None:
    """Pass on what the child prints until it ends; returns what it told at the end."""
    told = None
    for line in child.stdout or ():
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            record = {"message": line.rstrip("\n")}
        if "invocation" in record:
            told = record["invocation"]
        else:
            keep(line)
            on_record(record)
    child.wait()
    return told


@contextmanager
def _killed_after(child: subprocess.Popen[str], seconds: float) -> Iterator[None]:
    """What hangs is ended, as Lambda does."""
    timer = threading.Timer(seconds, child.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _without_answer(code: int, said: list[str], log: Path) -> CliError:
    if code < 0:
        return CliError(
            "The function was ended at its time-out, as Lambda would have done.",
            "Run the same command again: it goes on from the journal once the lease has run out.",
            Exit.IN_PROGRESS,
        )
    words = f" It said: {said[-1]}" if said else ""
    problem = f"The function ended without an answer (exit code {code}).{words}"
    return CliError(problem, f"Look at {log.with_suffix('.stderr')}.", Exit.BROKEN)


# --- the other side: the function's process --------------------------------------------------------------


class Interrupted(Exception):
    """Ctrl-C, as an error that ends the invocation: claim and lease are given back at once.

    Not one of the program's own: after those it journals what it has certainly not sent, and here it cannot know.
    """


@dataclass(frozen=True, slots=True)
class LocalContext:
    """What Lambda tells a function of its invocation, for one that runs here."""

    deadline: float
    """On ``time.monotonic()``."""
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    function_name: str = _FUNCTION
    function_version: str = "$LATEST"
    invoked_function_arn: str = f"arn:aws:lambda:us-east-1:000000000000:function:{_FUNCTION}"
    memory_limit_in_mb: int = 512
    log_group_name: str = f"/aws/lambda/{_FUNCTION}"
    log_stream_name: str = "local"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation would be ended."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))


def main(arguments: list[str]) -> int:
    """Invoke the handler with an event file, for some seconds; then read the results of these plans."""
    path, seconds, plans = arguments
    stop = _Stop()
    signal.signal(signal.SIGINT, stop.ask)
    context = LocalContext(deadline=time.monotonic() + float(seconds))
    code, told = _invoke(read_json(Path(path)), context, stop)
    if "answer" in told:
        told["results"] = _stored_results(json.loads(plans))
    print(json.dumps({"invocation": told}), flush=True)
    return code


@dataclass(slots=True)
class _Stop:
    """Ctrl-C: the first asks the run to stop safely, the second ends it as it stands."""

    asked: bool = False

    def ask(self, number: int, _frame: object) -> None:
        """Take the signal in."""
        if self.asked:
            signal.signal(number, signal.SIG_IGN)  # once: what is done at the end is not interrupted again
            raise Interrupted("interrupted")
        self.asked = True


def _invoke(event: object, context: LocalContext, stop: _Stop) -> tuple[int, dict[str, Any]]:
    from rebalance_executor import bootstrap  # here: they read the environment of the function's process
    from rebalance_executor.handler import handle
    from rebalance_executor.settings import load_settings

    telemetry = bootstrap.telemetry()

    def service() -> Service:
        return bootstrap.build(load_settings(), telemetry, stop_requested=lambda: stop.asked)

    try:
        answer = handle(event, cast("LambdaContext", context), telemetry, service)
    except Exception as error:  # noqa: BLE001 - Lambda turns every error into an answer, so here
        known = {"code": error.code} if isinstance(error, RebalanceError) else {}
        told = {"errorType": type(error).__name__, "errorMessage": str(error), **known}
        return error_exit_code(error), {"error": told}
    return Exit.COMPLETE, {"answer": answer}


def _stored_results(plans: Sequence[tuple[str | None, str]]) -> list[dict[str, Any]]:
    """The journal's results of these plans: a queue's answer names failed messages only."""
    if not plans:
        return []
    from rebalance_executor import bootstrap

    service = bootstrap.service()
    found = (service.journal.result(account or service.account, plan_id) for account, plan_id in plans)
    return [result.model_dump(mode="json") for result in found if result is not None]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
