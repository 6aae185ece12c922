"""What is shown after a local run, for every way in, and the exit code that goes with it."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from rebalance_cli.exit_codes import Exit, batch_exit_code, result_exit_code
from rebalance_cli.views.progress import RunProgress
from rebalance_cli.views.result import (
    Cash,
    MessageLine,
    batch_summary,
    batch_table,
    counted,
    error_view,
    facts,
    health_table,
    plan_view,
    result_facts,
)
from rebalance_executor.domain.result import ExecutionResult
from rebalance_sandbox.event_files import EventFile, EventMessage
from rebalance_sandbox.handler_process import InvocationResult

NEXT_STEPS = {
    Exit.BROKEN: "The log holds the details.",
    Exit.USAGE: "Mend what the message names; the event cannot succeed as it stands. Nothing was sent.",
    Exit.IN_PROGRESS: "Run the same command again: the plan goes on where it stopped, and nothing is sent twice.",
    Exit.UNRESOLVED: "Look at the broker's orders and at the log before anything else is done.",
}


@dataclass(frozen=True, slots=True)
class LocalRun:
    """Everything to be shown of one run."""

    event_file: EventFile
    invocation: InvocationResult
    progress: RunProgress
    cash: Cash
    orders_before: int
    """Orders that the broker held before the run, in any status."""
    orders_after: int
    log: Path
    data_dir: Path

    @property
    def response(self) -> dict[str, Any]:
        """The answer, or the error, as Lambda returns it."""
        return self.invocation.response or dict(self.invocation.error or {})

    @property
    def results(self) -> list[ExecutionResult]:
        """The results of the event's plans, as far as there are any."""
        found = self.invocation.results
        if not self.is_batch and not self.event_file.is_health and self.invocation.response is not None:
            found = [self.invocation.response]
        return [ExecutionResult.model_validate(result) for result in found]

    @property
    def is_batch(self) -> bool:
        """Whether the answer is a queue's."""
        return "batchItemFailures" in (self.invocation.response or {})

    @property
    def failed_messages(self) -> set[str]:
        """Ids of the queue's messages that are delivered again."""
        return {failure["itemIdentifier"] for failure in self.response.get("batchItemFailures", ())}


def exit_code_of(report: LocalRun) -> Exit:
    """The exit code of the whole command."""
    if report.invocation.response is None:
        return report.invocation.code
    if report.is_batch:
        return batch_exit_code(report.results, len(report.event_file.messages or ()), len(report.failed_messages))
    if report.event_file.is_health:
        return Exit.COMPLETE if report.response.get("healthy") is True else Exit.BROKEN
    return result_exit_code(report.results[0])


def print_run(report: LocalRun, out: Console) -> None:
    """Print the answer for a person."""
    out.print()
    if report.invocation.response is None:
        error = report.response
        title = f"{error.get('code') or error.get('errorType')}  {error.get('errorMessage')}"
        out.print(error_view(title, NEXT_STEPS[report.invocation.code]))
        out.print()
        out.print(facts(_around(report)))
    elif report.is_batch:
        _show_batch(report, out)
    elif report.event_file.is_health:
        out.print(health_table(report.response))
        out.print()
        out.print(facts(_around(report)))
    else:
        (result,) = report.results
        _show_result(report, result, report.cash, out)
        rows = [*result_facts(result), *_around(report)]
        if result.plan_id not in report.progress.repeated:
            rows.append(("Again", "the same command is answered from the record: no order twice"))
        out.print(facts(rows))


def _show_result(report: LocalRun, result: ExecutionResult, cash: Cash | None, out: Console) -> None:
    repeated = result.plan_id in report.progress.repeated
    if repeated:
        when = f"{result.execution_timestamp:%Y-%m-%d at %H:%M:%S} UTC"
        out.print(Text.assemble(("Already executed", "bold"), f" on {when}: this is the stored result.", style="cyan"))
        out.print()
    in_this_run = not repeated and result.runs == 1  # else the cash before is not the plan's
    out.print(plan_view(result, out.width, cash if in_this_run else None))
    out.print()


def _show_batch(report: LocalRun, out: Console) -> None:
    results = {result.plan_id: result for result in report.results}
    for result in results.values():
        _show_result(report, result, report.cash if len(results) == 1 else None, out)
        out.print(facts(result_facts(result)))
        out.print()
    messages, failed = report.event_file.messages or (), report.failed_messages
    out.print(batch_table(_message_line(message, results, failed) for message in messages))
    out.print()
    out.print(batch_summary(len(failed), len(messages)))
    out.print()
    out.print(facts(_around(report)))


def _message_line(message: EventMessage, results: dict[str, ExecutionResult], failed: set[str]) -> MessageLine:
    result = results.get(message.plan.plan_id) if message.plan is not None else None
    if message.message_id not in failed:
        what = f"{result.plan_id}: {result.status}" if result is not None else "answered"
    else:
        what = message.problem or "see the log; another delivery can help"
    return MessageLine(message.message_id, message.message_id in failed, what)


def _around(report: LocalRun) -> list[tuple[str, RenderableType]]:
    """What lies around the answer: the broker's count of orders, where log and data are."""
    before, after = report.orders_before, report.orders_after
    new = counted(after - before, "new order") if after > before else "no new order"
    requests = report.progress.broker_requests
    asked = f", {counted(requests, 'request')}" if requests else ""
    return [
        ("Broker", Text.assemble((new, "bold"), f" ({before} before, {after} after){asked}")),
        ("Log", display_path(report.log)),
        ("Data", f"{display_path(report.data_dir)}  (kept; {_command()} local reset deletes it)"),
    ]


def _command() -> str:
    """How this command can be typed: with its path, unless the shell finds it."""
    typed = Path(sys.argv[0])
    return display_path(typed) if typed.name == "rebalance" and shutil.which("rebalance") is None else "rebalance"


def display_path(path: Path) -> str:
    """The path as seen from here, if it lies below."""
    return os.path.relpath(path) if path.resolve().is_relative_to(Path.cwd()) else str(path)
