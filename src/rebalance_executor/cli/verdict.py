"""What is shown after a local run, for every way in, and the exit code that goes with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from rebalance_executor.cli.bench import Bench
from rebalance_executor.cli.documents import Message
from rebalance_executor.cli.exits import Exit, of_batch, of_status
from rebalance_executor.cli.rehearsal import Rehearsal
from rebalance_executor.cli.render import (
    Cash,
    MessageLine,
    batch_meaning,
    batch_table,
    error_view,
    facts,
    health_table,
    plan_view,
    result_facts,
)
from rebalance_executor.domain.result import ExecutionResult

_NEXT_AFTER_ERROR = {
    Exit.USAGE: "Mend what the message names; the event cannot succeed as it stands. Nothing was sent.",
    Exit.DEFERRED: "Run the same command again: the plan goes on where it stopped, and nothing is sent twice.",
    Exit.UNRESOLVED: "Look at the broker's orders and at the log before anything else is done.",
    Exit.FAILED: "The log holds the details.",
    Exit.INTERRUPTED: "Run the same command again: the plan goes on where it stopped.",
}


def raw_answer(rehearsal: Rehearsal) -> dict[str, Any]:
    """The answer, or the error, as Lambda returns it."""
    return rehearsal.invocation.answer or dict(rehearsal.invocation.error or {})


def code_of(rehearsal: Rehearsal) -> Exit:
    """The exit code of the whole command."""
    invocation, answer = rehearsal.invocation, rehearsal.invocation.answer
    if answer is None:
        return invocation.code
    if "batchItemFailures" in answer:
        statuses = [result.status for result in _stored(rehearsal)]
        return of_batch(statuses, len(rehearsal.event_file.messages or ()), len(answer["batchItemFailures"]))
    if rehearsal.event_file.is_health:
        return Exit.COMPLETE if answer.get("healthy") is True else Exit.FAILED
    return of_status(ExecutionResult.model_validate(answer).status)


def show(rehearsal: Rehearsal, bench: Bench, out: Console) -> None:
    """Print the answer for a person."""
    answer = rehearsal.invocation.answer
    if answer is None:
        error = rehearsal.invocation.error or {}
        kind = error.get("code") or error.get("errorType")
        out.print(error_view(f"{kind}  {error.get('errorMessage')}", _NEXT_AFTER_ERROR[rehearsal.invocation.code]))
        out.print(facts(_around(rehearsal, bench)))
    elif "batchItemFailures" in answer:
        _show_batch(rehearsal, answer, bench, out)
    elif rehearsal.event_file.is_health:
        out.print(health_table(answer))
        out.print(facts(_around(rehearsal, bench)))
    else:
        result = ExecutionResult.model_validate(answer)
        _show_result(rehearsal, result, rehearsal.cash, out)
        out.print(facts([*result_facts(result), *_around(rehearsal, bench), _next(rehearsal)]))


def _show_result(rehearsal: Rehearsal, result: ExecutionResult, cash: Cash | None, out: Console) -> None:
    repeated = result.plan_id in rehearsal.story.repeated
    if repeated:
        out.print(
            Text.assemble(
                ("Already executed", "bold"),
                f" on {result.execution_timestamp:%Y-%m-%d at %H:%M:%S} UTC with status {result.status}. "
                "This is the stored result; nothing was sent.",
                style="cyan",
            )
        )
    out.print(plan_view(result, out.width, None if repeated else cash))
    out.print()


def _show_batch(rehearsal: Rehearsal, answer: dict[str, Any], bench: Bench, out: Console) -> None:
    failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
    messages = rehearsal.event_file.messages or ()
    results = {result.plan_id: result for result in _stored(rehearsal)}
    for result in results.values():
        out.print(facts([("Plan", result.plan_id)]))
        _show_result(rehearsal, result, None, out)
    out.print(batch_table([_message_line(message, results, failed) for message in messages]))
    out.print(batch_meaning(len(failed), len(messages)))
    out.print()
    out.print(facts(_around(rehearsal, bench)))


def _message_line(message: Message, results: dict[str, ExecutionResult], failed: set[str]) -> MessageLine:
    result = results.get(message.plan.plan_id) if message.plan is not None else None
    if message.message_id not in failed:
        what = f"{result.plan_id}: {result.status}" if result is not None else "answered"
    else:
        what = message.problem or "see the log; another delivery can help"
    return MessageLine(message.message_id, message.message_id in failed, what)


def _stored(rehearsal: Rehearsal) -> list[ExecutionResult]:
    return [ExecutionResult.model_validate(result) for result in rehearsal.invocation.results]


def _around(rehearsal: Rehearsal, bench: Bench) -> list[tuple[str, RenderableType]]:
    """What lies around the answer: the broker's count of orders, where log and data are."""
    before, after = rehearsal.orders_before, rehearsal.orders_after
    new = after - before
    sent = "no new order" if not new else ("1 new order" if new == 1 else f"{new} new orders")
    return [
        ("Broker", f"{rehearsal.story.broker_requests} requests; {sent} ({before} before, {after} after)"),
        ("Log", _short(rehearsal.log)),
        ("Data", f"{_short(bench.home)}  (kept; rebalance local reset deletes it)"),
    ]


def _next(rehearsal: Rehearsal) -> tuple[str, RenderableType]:
    command = f"rebalance local run {_short(rehearsal.event_file.path)}"
    return "Next", Text.assemble((command, "bold"), "  answers from the record, sends nothing")


def _short(path: Path) -> str:
    """The path as seen from here, if it lies below."""
    return os.path.relpath(path) if path.resolve().is_relative_to(Path.cwd()) else str(path)
