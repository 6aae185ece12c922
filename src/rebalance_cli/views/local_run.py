"""Outcome of ``rebalance local run`` for every kind of event, and the exit code of the command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from rebalance_cli.command_line import TargetOptions, display_path
from rebalance_cli.exit_codes import Exit, batch_exit_code, error_types_exit_code, result_exit_code
from rebalance_cli.formatting import counted
from rebalance_cli.views.progress import RunProgress
from rebalance_cli.views.result import Cash, result_facts, run_view
from rebalance_cli.views.tables import facts, plain_table, print_error
from rebalance_executor.domain.result import ExecutionResult
from rebalance_sandbox.event_files import EventFile, EventMessage
from rebalance_sandbox.invocation import InvocationResult

NEXT_STEPS = {
    Exit.BROKEN: "The log has the details.",
    Exit.USAGE: "Nothing was sent. Fix the problem above; retrying will not help.",
    Exit.IN_PROGRESS: "Run the same command again: it continues the plan, and sends nothing twice.",
    Exit.UNRESOLVED: "Check the orders at the broker and the log before anything else is done.",
}
"""Next step for each exit code of an error."""
_ID_WIDTH = 20


@dataclass(frozen=True, slots=True)
class LocalRun:
    """One event that was sent through the real handler, with its outcome."""

    event_file: EventFile
    invocation: InvocationResult
    progress: RunProgress
    cash: Cash
    orders_before: int
    """Orders of any status at the broker before the run."""
    orders_after: int
    log: Path
    options: TargetOptions
    """Options that select the servers of the run."""

    @property
    def response(self) -> dict[str, Any]:
        """The response, or the error, as Lambda would return it."""
        return self.invocation.response or dict(self.invocation.error or {})

    @property
    def results(self) -> list[ExecutionResult]:
        """Results of the event's plans; empty for a health request, and after an error."""
        documents = self.invocation.results
        if self.is_pending:
            return []
        if not self.is_batch and not self.event_file.is_health and self.invocation.response is not None:
            documents = [self.invocation.response]
        return [ExecutionResult.model_validate(document) for document in documents]

    @property
    def is_pending(self) -> bool:
        """True if the plan waits for an auction."""
        return self.response.get("status") == "in_progress"

    @property
    def is_batch(self) -> bool:
        """True if the response is that to a queue."""
        return "batchItemFailures" in (self.invocation.response or {})

    @property
    def failed_messages(self) -> set[str]:
        """IDs of the queue messages that are delivered again."""
        return {failure["itemIdentifier"] for failure in self.response.get("batchItemFailures", ())}


def exit_code_of(run: LocalRun) -> Exit:
    """Return the exit code of the command."""
    if run.invocation.response is None:
        return error_types_exit_code(run.invocation.error_types)
    if run.is_batch:
        return batch_exit_code(run.results, len(run.event_file.messages or ()), len(run.failed_messages))
    if run.is_pending:
        return Exit.IN_PROGRESS
    if run.event_file.is_health:
        return Exit.COMPLETE if run.response.get("healthy") is True else Exit.BROKEN
    return result_exit_code(run.results[0])


def print_run(run: LocalRun, out: Console) -> None:
    """Print the outcome as text."""
    out.print()
    if run.invocation.response is None or run.is_pending:
        error = run.response
        title = f"{error.get('code') or error.get('errorType')}  {error.get('errorMessage') or error.get('message')}"
        print_error(out, title, NEXT_STEPS[exit_code_of(run)])
        out.print()
        out.print(facts(_footer_rows(run)))
    elif run.is_batch:
        _print_batch(run, out)
    elif run.event_file.is_health:
        out.print(health_table(run.response))
        out.print()
        out.print(facts(_footer_rows(run)))
    else:
        (result,) = run.results
        _print_result(run, result, run.cash, out)
        rows = [*result_facts(result), *_footer_rows(run)]
        if result.plan_id not in run.progress.repeated:
            rows.append(("Again", "the same command returns the stored result and sends no order"))
        out.print(facts(rows))


def _print_result(run: LocalRun, result: ExecutionResult, cash: Cash | None, out: Console) -> None:
    is_repeated = result.plan_id in run.progress.repeated
    is_whole_plan = not is_repeated and result.runs == 1  # after a resume, cash.before is not that of the whole plan
    out.print(run_view(result, out.width, cash if is_whole_plan else None, is_repeated=is_repeated))
    out.print()


def _footer_rows(run: LocalRun) -> list[tuple[str, RenderableType]]:
    """Return the rows about new orders at the broker, the log and the data."""
    before, after = run.orders_before, run.orders_after
    new = counted(after - before, "new order") if after > before else "no new order"
    requests = run.progress.broker_requests
    requests_text = f", {counted(requests, 'request')}" if requests else ""
    return [
        ("Broker", Text.assemble((new, "bold"), f" ({before} before, {after} after){requests_text}")),
        ("Log", display_path(run.log)),
        ("Data", f"{display_path(run.options.data_dir)}  (kept; {run.options.command('local', 'reset')} deletes it)"),
    ]


# --- queue batches ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message of a queue batch with its outcome."""

    message_id: str
    failed: bool
    detail: str


def _print_batch(run: LocalRun, out: Console) -> None:
    results = {result.plan_id: result for result in run.results}
    for result in results.values():
        _print_result(run, result, run.cash if len(results) == 1 else None, out)
        out.print(facts(result_facts(result)))
        out.print()
    messages, failed = run.event_file.messages or (), run.failed_messages
    out.print(batch_table(_message_row(message, results, failed) for message in messages))
    out.print()
    out.print(batch_summary(len(failed), len(messages)))
    out.print()
    out.print(facts(_footer_rows(run)))


def _message_row(message: EventMessage, results: Mapping[str, ExecutionResult], failed: set[str]) -> MessageRow:
    result = results.get(message.plan.plan_id) if message.plan is not None else None
    if message.message_id in failed:
        return MessageRow(message.message_id, True, message.problem or "not finished; see the log")
    return MessageRow(message.message_id, False, f"{result.plan_id}: {result.status}" if result else "answered")


def batch_table(rows: Iterable[MessageRow]) -> Table:
    """Return one row per message of a batch."""
    table = plain_table(gap=3)
    table.add_column("Message", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("Detail")
    for row in rows:
        state = Text("failed", "red") if row.failed else Text("done", "green")
        table.add_row(_short_id(row.message_id), state, Text(row.detail))
    return table


def _short_id(message_id: str) -> str:
    """Return both ends of a long ID: message IDs of one batch often start alike."""
    return message_id if len(message_id) <= _ID_WIDTH else f"{message_id[:8]}…{message_id[-8:]}"


def batch_summary(failed: int, messages: int) -> Text:
    """Return what the queue does after this response."""
    if not failed:
        return Text(f"batchItemFailures is empty: the queue deletes {counted(messages, 'message')}.", "green")
    return Text(
        f"batchItemFailures lists {failed} of {messages}: the queue delivers these again, and moves a message to the "
        "dead-letter queue after maxReceiveCount deliveries. It deletes the other messages.",
        "yellow",
    )


# --- health ----------------------------------------------------------------------------------------------


def health_table(answer: Mapping[str, Any]) -> Group:
    """Return the state of each dependency, and whether plans can be executed."""
    table = plain_table(gap=3)
    for name in ("Dependency", "State"):
        table.add_column(name, no_wrap=True)
    table.add_column("Detail", overflow="fold")
    for check in answer.get("checks", ()):
        state = Text("ok", "green") if check["ok"] else Text("failing", "red")
        table.add_row(Text(check["name"], "bold"), state, Text(check["detail"]))
    verdict = Text("Healthy: plans can be executed.", "bold green")
    if answer.get("healthy") is not True:
        verdict = Text("Not healthy: fix the failing dependencies first.", "bold red")
    return Group(table, "", verdict)
