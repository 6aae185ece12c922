"""``rebalance apply``: execute a plan on this machine and show its progress."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from rebalance_cli.command_line import display_path
from rebalance_cli.commands.plan import check_hash, confirm_live, read_single_plan, seed_paper_account
from rebalance_cli.console import failure
from rebalance_cli.context import CliContext
from rebalance_cli.exit_codes import CliError, Exit, error_types_exit_code, result_exit_code
from rebalance_cli.formatting import counted, dollars
from rebalance_cli.options import AccountDigits, CommandSession, Hash, PlanFile, target_command
from rebalance_cli.queries.plans import read_lease_holder
from rebalance_cli.views.local_run import NEXT_STEPS
from rebalance_cli.views.progress import RunProgress, show_progress
from rebalance_cli.views.result import Cash, result_facts, run_view, symbol_to_explain
from rebalance_cli.views.tables import facts, print_error, print_next
from rebalance_executor.domain.errors import LeaseHeld, PlanYielded
from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.domain.values import format_clock
from rebalance_sandbox.event_files import EventFile
from rebalance_sandbox.invocation import InvocationResult, invoke


@target_command
def apply(
    session: CommandSession,
    plan: PlanFile,
    *,
    hash_: Hash = None,
    confirm_account: AccountDigits = None,
    timeout: Annotated[float, typer.Option(help="Timeout of the run in seconds, as in Lambda.", min=1)] = 600,
) -> None:
    """Execute a plan on this machine and show its progress. Same program and same journal as the deployed function.

    Ctrl-C stops safely: open orders are canceled, and the same command continues the plan later.

    Exit codes: 0 complete, 2 bad input, 3 partial, 4 denied, 5 in progress (run it again), 6 halted, 7 unresolved.
    """
    event = read_single_plan(plan)
    (document,) = event.plans
    check_hash(session, document, hash_, plan)
    with session.context() as ctx:
        confirm_live(ctx, ctx.account_name(document.account), confirm_account)
        seed_paper_account(ctx, event.plans, session.console)
        raise typer.Exit(_execute(session, ctx, event, timeout))


def _execute(session: CommandSession, ctx: CliContext, event: EventFile, seconds: float) -> Exit:
    (plan,) = event.plans
    account = ctx.account_name(plan.account)
    log = ctx.data_dir / "log" / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{event.path.stem}.jsonl"
    progress = RunProgress.of(event.plans)
    cash_before = ctx.broker(account).account().cash if plan.trades else None
    with show_progress(progress, session.console) as on_record:
        invocation = invoke(event, ctx.environment, log, seconds, on_record)
    session.out.print()
    if invocation.response is None or invocation.response.get("status") == "in_progress":
        return _print_error(session, ctx, event, invocation, log)
    if session.as_json:
        typer.echo(json.dumps(invocation.response, indent=2))
    result = ExecutionResult.model_validate(invocation.response)
    is_repeated = plan.plan_id in progress.repeated
    cash = None
    if cash_before is not None and not is_repeated and result.runs == 1 and progress.worked <= {plan.plan_id}:
        cash = Cash(cash_before, ctx.broker(account).account().cash)
    symbol = symbol_to_explain(result)
    words = ["explain", plan.plan_id, symbol] if symbol else ["report", plan.plan_id, "--html", "report.html"]
    session.out.print(run_view(result, session.out.width, cash, is_repeated=is_repeated))
    session.out.print()
    session.out.print(facts([*result_facts(result), ("Log", display_path(log))]))
    print_next(session.out, ctx.command(*words, account=account))
    return result_exit_code(result)


def _print_error(
    session: CommandSession, ctx: CliContext, event: EventFile, invocation: InvocationResult, log: Path
) -> Exit:
    error = invocation.error or {}
    code = error_types_exit_code(invocation.error_types)
    (plan,) = event.plans
    pending = invocation.response
    if pending is not None:  # it waits for an auction
        error, code = {"code": str(pending["code"]), "errorMessage": str(pending["message"])}, Exit.IN_PROGRESS
    next_step = NEXT_STEPS[code]
    if code is Exit.IN_PROGRESS:
        after = f" after {pending['retry_at']}" if pending is not None else ""
        next_step = f"Continue{after}: {ctx.command('apply', str(event.path))}"
    name = error.get("code") or error.get("errorType")
    message = _unfinished_text(ctx, plan, error.get("code")) or error.get("errorMessage")
    problem = CliError(f"{name}  {message}", next_step, code)
    if session.as_json:
        typer.echo(failure(problem, str(error.get("code") or code.name)).model_dump_json())
    print_error(session.out, problem.problem, problem.next_step)
    session.out.print(facts([("Log", display_path(log))]))
    return code


def _unfinished_text(ctx: CliContext, plan: RebalancePlan, code: str | None) -> str | None:
    """Return the state of an unfinished plan for the operator, or None to print the error's own message."""
    account = ctx.account_name(plan.account)
    if code == LeaseHeld.code:
        holder = read_lease_holder(ctx, account)
        if holder is None:
            return None
        return f"Another run holds account {account} until {format_clock(holder.until)}."
    journal = ctx.ports.journal.load(account, plan.plan_id) if code == PlanYielded.code else None
    if journal is None:
        return None
    parents = journal.parents.values()
    filled = sum((parent.filled_value for parent in parents), ZERO)
    with_fills = sum(parent.filled_qty > 0 for parent in parents)
    open_orders = sum(parent.open_child is not None for parent in parents)
    remaining = f"{counted(open_orders, 'order')} still open" if open_orders else "nothing left open"
    return f"Stopped. Fills in {with_fills} of {counted(len(parents), 'order')} (${dollars(filled)}), {remaining}."
