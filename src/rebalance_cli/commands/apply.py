"""``rebalance apply``: execute a plan on this machine and show its progress."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from rebalance_cli.command_line import display_path
from rebalance_cli.commands.plan import (
    check_hash,
    confirm_live,
    note_relaxed_controls,
    preview_answer,
    read_single_plan,
    seed_paper_account,
)
from rebalance_cli.console import confirm, failure
from rebalance_cli.context import CliContext
from rebalance_cli.exit_codes import CliError, Exit, error_types_exit_code, result_exit_code
from rebalance_cli.formatting import counted, dollars
from rebalance_cli.options import AccountDigits, CommandSession, Hash, NewWorld, PlanFile, Yes, target_command
from rebalance_cli.queries.explain import plan_details
from rebalance_cli.queries.plans import PlanRecord, load_plan, read_lease_holder
from rebalance_cli.streams import OutputClosed, is_closed, write_line
from rebalance_cli.views.local_run import NEXT_STEPS
from rebalance_cli.views.plan import HASH_LENGTH, preview_view
from rebalance_cli.views.progress import RunProgress, show_progress
from rebalance_cli.views.result import Cash, result_facts, run_view, symbol_to_explain
from rebalance_cli.views.status import orders_view
from rebalance_cli.views.tables import facts, print_error, print_next
from rebalance_executor.domain.errors import JournalUnavailable, LeaseHeld, PlanYielded
from rebalance_executor.domain.journal import PlanJournal
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.domain.values import format_clock, format_time, sum_of_cents
from rebalance_sandbox.event_files import EventFile
from rebalance_sandbox.invocation import InvocationResult, invoke, new_log

_OUTPUT_CLOSED = "command.output_closed"
"""Message of the log line that replaces the printed end of a run if the output is closed."""


@target_command
def apply(
    session: CommandSession,
    plan: PlanFile,
    *,
    hash_: Hash = None,
    confirm_account: AccountDigits = None,
    yes: Yes = False,
    new_world: NewWorld = False,
    timeout: Annotated[float, typer.Option(help="Timeout of the run in seconds, as in Lambda.", min=1)] = 600,
) -> None:
    """Execute a plan on this machine and show its progress. Same program and same journal as the deployed function.

    Without --hash it shows the preview and asks before it sends anything, if there is a terminal to ask on. With real
    money and no terminal, --hash is required.

    Ctrl-C, SIGTERM, a closed terminal and a closed pipe stop safely: open orders are canceled, and the same command
    continues the plan later.

    Exit codes: 0 complete, 2 bad input, 3 partial, 4 denied, 5 in progress (run it again), 6 halted, 7 unresolved.
    """
    event = read_single_plan(plan)
    (document,) = event.plans
    check_hash(session, document, hash_, plan)
    with session.context() as ctx:
        if hash_ is None:
            _check_can_confirm(ctx, plan, yes=yes)
        confirm_live(ctx, ctx.account_name(document.account), confirm_account)
        seed_paper_account(ctx, document, session.console, new_world=new_world)
        note_relaxed_controls(ctx, session.console)
        if hash_ is None and not yes and sys.stdin.isatty():
            _confirm_plan(session, ctx, event)
        raise typer.Exit(_execute(session, ctx, event, timeout))


def _check_can_confirm(ctx: CliContext, path: Path, *, yes: bool) -> None:
    """Check that a person confirms a plan that trades real money, unless its hash does.

    Raises:
        CliError: the plan trades real money, and no person is asked.
    """
    if not ctx.settings.alpaca_paper and (yes or not sys.stdin.isatty()):
        text = "Without a question on a terminal, a plan that trades real money needs --hash. Nothing was sent."
        raise CliError(text, f"Show the hash: {ctx.command('preview', str(path))}")


def _confirm_plan(session: CommandSession, ctx: CliContext, event: EventFile) -> None:
    """Show the preview of a plan that has not started, and ask whether to execute it.

    Raises:
        CliError: the answer is no.
    """
    (plan,) = event.plans
    if ctx.ports.journal.load(ctx.account_name(plan.account), plan.plan_id) is not None:
        return  # it was confirmed when it started
    answer = preview_answer(ctx, event)
    session.console.print(preview_view(answer, session.console.width))
    digits = answer.content_hash[:HASH_LENGTH]
    execute = ctx.command("apply", str(event.path), "--hash", digits)
    confirm("Execute this plan?", f"Execute it without a question: {execute}")


def _execute(session: CommandSession, ctx: CliContext, event: EventFile, seconds: float) -> Exit:
    (plan,) = event.plans
    account = ctx.account_name(plan.account)
    log = new_log(ctx.data_dir / "log", event.path.stem)
    cash_before = ctx.broker(account).account().cash if plan.trades else None
    progress = RunProgress.of(event.plans, cash_before)
    invocation = None
    with suppress(OutputClosed), show_progress(progress, session.console) as on_record:
        invocation = invoke(event, ctx.environment, log, seconds, on_record)
    if invocation is None:
        raise OutputClosed
    if invocation.response is None or invocation.response.get("status") == "in_progress":
        return _print_error(session, ctx, event, invocation, log)
    result = ExecutionResult.model_validate(invocation.response)
    is_repeated = plan.plan_id in progress.repeated
    cash = None
    if cash_before is not None and not is_repeated and result.runs == 1 and progress.worked <= {plan.plan_id}:
        cash = Cash(cash_before, ctx.broker(account).account().cash)
    symbol = symbol_to_explain(result)
    words = ["explain", plan.plan_id, symbol] if symbol else ["report", plan.plan_id, "--html", "report.html"]
    next_step = ctx.command(*words, account=account)

    def show(out: Console) -> None:
        out.print(run_view(result, out.width, cash, is_repeated=is_repeated))
        out.print()
        out.print(facts([*result_facts(result), ("Log", display_path(log))]))
        print_next(out, next_step)

    _print(session, json.dumps(invocation.response, indent=2), show, log, f"{result.status}. Next: {next_step}")
    return result_exit_code(result)


def _print(session: CommandSession, answer: str, show: Callable[[Console], None], log: Path, line: str) -> None:
    """Print the end of a run: on stderr if stdout is closed, and as a line of the log if both are closed."""
    for console in (session.out, session.console):
        with suppress(OutputClosed):
            if console is session.out:
                console.print()
                if session.as_json:
                    write_line(answer)
            show(console)
            if not is_closed(console.file):
                return
    with log.open("a", encoding="utf-8") as file:
        record = {"timestamp": datetime.now(UTC).isoformat(), "message": _OUTPUT_CLOSED, "reason": line}
        file.write(json.dumps(record) + "\n")


def _print_error(
    session: CommandSession, ctx: CliContext, event: EventFile, invocation: InvocationResult, log: Path
) -> Exit:
    error = dict(invocation.error or {})
    code = error_types_exit_code(invocation.error_types)
    (plan,) = event.plans
    pending = invocation.response
    if pending is not None:  # it waits for an auction
        error, code = {"code": str(pending["code"]), "errorMessage": str(pending["message"])}, Exit.IN_PROGRESS
    next_step = NEXT_STEPS[code]
    if code is Exit.IN_PROGRESS:
        after = f" after {_retry_time(pending)}" if pending is not None else ""
        next_step = f"Continue{after}: {ctx.command('apply', str(event.path))}"
    name = error.get("code") or error.get("errorType")
    if code is Exit.IN_PROGRESS and name == JournalUnavailable.code:  # without a journal, no cancel is sent
        error["errorMessage"] += ". Until the plan is continued, orders may be open at the broker."
    stopped = _read_started(ctx, plan) if error.get("code") == PlanYielded.code else None
    holder = read_lease_holder(ctx, ctx.account_name(plan.account)) if error.get("code") == LeaseHeld.code else None
    message = None
    if holder is not None:
        message = f"Another run holds account {ctx.account_name(plan.account)} until {format_clock(holder.until)}."
        next_step = f"Wait until then, or until that run ends: {ctx.command('apply', str(event.path))}"
    message = message or (_stopped_text(stopped.journal) if stopped is not None else None) or error.get("errorMessage")
    problem = CliError(f"{name}  {message}", next_step, code)

    def show(out: Console) -> None:
        if stopped is not None and not session.as_json:
            out.print(orders_view(plan_details(stopped).orders, out.width))
            out.print()
        print_error(out, problem.problem, problem.next_step)
        out.print(facts([("Log", display_path(log))]))

    answer = failure(problem, str(error.get("code") or code.name)).model_dump_json()
    _print(session, answer, show, log, f"{problem.problem} {problem.next_step}")
    return code


def _retry_time(pending: Mapping[str, Any]) -> str:
    return format_time(datetime.fromisoformat(str(pending["retry_at"])))


def _read_started(ctx: CliContext, plan: RebalancePlan) -> PlanRecord | None:
    """Return the plan as it is journalled, or None if it did not start."""
    try:
        return load_plan(ctx, ctx.account_name(plan.account), plan.plan_id)
    except CliError:
        return None


def _stopped_text(journal: PlanJournal) -> str:
    parents = journal.parents.values()
    filled = sum_of_cents(parent.filled_value for parent in parents)
    with_fills = sum(parent.filled_qty > 0 for parent in parents)
    open_orders = sum(parent.open_child is not None for parent in parents)
    remaining = f"{counted(open_orders, 'order')} still open" if open_orders else "nothing left open"
    return f"Stopped. Fills in {with_fills} of {counted(len(parents), 'order')} (${dollars(filled)}), {remaining}."
