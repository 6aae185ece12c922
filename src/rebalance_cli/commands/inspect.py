"""``rebalance status | watch | explain | report``: read the journal and change nothing."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from rebalance_cli.context import CliContext
from rebalance_cli.costs.sums import cost_sum, order_row, rung_sums
from rebalance_cli.exit_codes import CliError, Exit, result_exit_code
from rebalance_cli.options import CommandSession, PlanId, account_command
from rebalance_cli.outputs import Bundle, DayReport, KillSwitchAnswer, PlanDetails, StatusAnswer
from rebalance_cli.queries.bundle import bundle_documents, write_bundle
from rebalance_cli.queries.explain import explain_order, lease_answer, plan_details, plan_line, unfinished_answer
from rebalance_cli.queries.logs import read_log_records
from rebalance_cli.queries.plans import (
    PlanRecord,
    list_command,
    list_plans,
    load_plan,
    load_plans_of_day,
    parse_day,
    read_lease_holder,
    read_unfinished,
    resolve_plan_id,
)
from rebalance_cli.views.bundle import bundle_view
from rebalance_cli.views.costs import plan_costs_view
from rebalance_cli.views.day import by_attention, print_day
from rebalance_cli.views.result import plan_view, result_facts
from rebalance_cli.views.status import account_view, explanation_view, plan_details_view, stage_text
from rebalance_cli.views.tables import facts, print_next
from rebalance_executor.adapters.notification_text import next_steps
from rebalance_executor.domain.costs import order_costs
from rebalance_executor.domain.errors import UnknownAccount
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.result import ExecutionResult, OrderResult
from rebalance_sandbox.event_files import plan_in, read_json

type _OnChange = Callable[[PlanDetails | None], None]
"""Receives the state of a plan after each change; None while the plan has not started."""


# --- status ----------------------------------------------------------------------------------------------


@account_command
def status(
    session: CommandSession,
    plan: Annotated[
        str | None,
        typer.Argument(metavar="PLAN", help="Plan ID, or a file with the plan (default: all plans of the day)."),
    ] = None,
    *,
    day: Annotated[str | None, typer.Option("--day", help="Day in UTC, as in 2026-01-26 (default: today).")] = None,
    days: Annotated[int, typer.Option("--days", min=1, help="Number of days, ending with that day.")] = 1,
) -> None:
    """Show an account with its unfinished plan and its plans for a day, or the status of one plan.

    Exit codes with PLAN: 0 complete, 3 partial, 4 denied, 5 in progress, 6 halted, 7 unresolved.
    """
    with session.context() as ctx:
        account = ctx.account_name(session.account)
        if plan is not None:
            record = load_plan(ctx, account, resolve_plan_id(plan))
            details = plan_details(record)
            session.answer(details, plan_details_view(details, session.out.width))
            raise typer.Exit(_plan_exit_code(record))
        last = parse_day(day, ctx.now)
        listed = StatusAnswer(
            account=account,
            switch=KillSwitchAnswer.of(account, ctx.ports.risk_store.kill_switch(account)),
            lease=lease_answer(read_lease_holder(ctx, account)),
            unfinished=unfinished_answer(read_unfinished(ctx, account)),
            plans=tuple(plan_line(row) for row in list_plans(ctx, account, last - timedelta(days=days - 1), last)),
        )
        _check_account(ctx, account, listed)
        waiting = listed.unfinished if listed.lease is None else None
        next_step = ctx.command("status", waiting.plan_id, account=account) if waiting is not None else None
        session.answer(listed, account_view(listed, session.out.width), next_step)


def _check_account(ctx: CliContext, account: str, answer: StatusAnswer) -> None:
    """Check that an account about which nothing is stored exists: that it has credentials.

    Raises:
        CliError: there is no such account.
    """
    is_known = bool(answer.plans) or answer.unfinished is not None or answer.switch.at is not None
    if is_known or account == ctx.settings.account:
        return
    try:
        ctx.broker(account)
    except UnknownAccount as error:
        text = f"There is no account {account}: no plan is stored for it, and {error}."
        raise CliError(text, f"Show the configured account: {ctx.command('status')}") from None


def _plan_exit_code(record: PlanRecord) -> Exit:
    result = record.journal.result
    return result_exit_code(result) if result is not None else Exit.IN_PROGRESS


# --- watch -----------------------------------------------------------------------------------------------


@account_command
def watch(
    session: CommandSession,
    plan: PlanId,
    *,
    interval: Annotated[float, typer.Option("--interval", min=0.2, help="Seconds between two reads.")] = 1.0,
) -> None:
    """Follow a plan until it finishes. With --json, print one line per change.

    The plan may start later. Ctrl-C stops watching and does not affect the plan. The exit code is that of the plan.
    """
    with session.context() as ctx:
        account, plan_id = ctx.account_name(session.account), resolve_plan_id(plan)
        with _change_printer(session, _waiting_text(ctx, account, plan_id)) as on_change:
            record = _follow(ctx, account, plan_id, interval, on_change)
        if record.journal.result is not None and not session.as_json:
            _print_facts(ctx, record.journal.result, session.out)
        raise typer.Exit(_plan_exit_code(record))


def _waiting_text(ctx: CliContext, account: str, plan_id: str) -> str:
    """Return the text to show until the plan starts."""
    unfinished = read_unfinished(ctx, account)
    earlier = ""
    if unfinished is not None and unfinished.plan_id != plan_id:
        earlier = f" Plan {unfinished.plan_id} is finished first."
    return f"Plan {plan_id} has not started on account {account}.{earlier} Waiting; Ctrl-C stops watching."


def _follow(ctx: CliContext, account: str, plan_id: str, interval: float, on_change: _OnChange) -> PlanRecord:
    """Read the plan every ``interval`` seconds, report each change, and return the plan when it has its result."""
    before: PlanDetails | None = None
    has_started, is_first = False, True
    while True:
        has_started = has_started or ctx.ports.journal.load(account, plan_id) is not None
        record = load_plan(ctx, account, plan_id) if has_started else None
        details = plan_details(record) if record is not None else None
        if is_first or details != before:
            on_change(details)
        before, is_first = details, False
        if record is not None and record.journal.result is not None:
            return record
        time.sleep(interval)


@contextmanager
def _change_printer(session: CommandSession, waiting: str) -> Iterator[_OnChange]:
    """Print each change: in place on a terminal, as one line otherwise, as JSON with ``--json``."""
    out = session.out
    if out.is_terminal and not session.as_json:
        with Live(console=out, auto_refresh=False) as live:
            yield lambda d: live.update(waiting if d is None else plan_details_view(d, out.width), refresh=True)
        return

    def print_line(details: PlanDetails | None) -> None:
        if details is None:
            session.console.print(waiting)
        elif session.as_json:
            typer.echo(details.model_dump_json())
        else:
            out.print(_one_line(details), soft_wrap=True, highlight=False)

    yield print_line


def _one_line(details: PlanDetails) -> str:
    stages = [f"{order.symbol} {stage_text(order)[0]}" for order in details.orders]
    state = dict.fromkeys((details.progress.value, details.phase.lower()))  # both are "finished" at the end
    return f"{' '.join(state)}: {', '.join(stages)}"


# --- explain ---------------------------------------------------------------------------------------------


@account_command
def explain(
    session: CommandSession,
    plan: PlanId,
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="Symbol of the order.")],
    *,
    log_file: Annotated[
        list[Path] | None,
        typer.Option("--log-file", metavar="<path>", help="Additional file with log lines; can be repeated."),
    ] = None,
) -> None:
    """Show the history of one order, from the journal and the log."""
    with session.context() as ctx:
        record = load_plan(ctx, ctx.account_name(session.account), resolve_plan_id(plan))
        parent = _parent_order(ctx, record, symbol)
        until = record.journal.result.execution_timestamp if record.journal.result is not None else ctx.now
        lines = read_log_records(ctx, record.plan.plan_id, record.plan.started_at, until, log_file or ())
        explanation = explain_order(record, parent, lines)
        session.answer(explanation, explanation_view(explanation))


def _parent_order(ctx: CliContext, record: PlanRecord, symbol: str) -> ParentOrder:
    parents = record.journal.parents
    parent = parents.get(symbol.strip().upper())
    if parent is not None:
        return parent
    plan_id, account = record.plan.plan_id, record.plan.account
    if not parents:
        text = f"Plan {plan_id} has no orders: every item is a HOLD."
        raise CliError(text, f"List plans: {list_command(ctx, account)}")
    raise CliError(
        f"Plan {plan_id} has no order in {symbol}. It has orders in {' '.join(sorted(parents))}.",
        ctx.command("explain", plan_id, min(parents), account=account),
    )


# --- report ----------------------------------------------------------------------------------------------


@account_command
def report(
    session: CommandSession,
    plan: Annotated[str | None, typer.Argument(metavar="PLAN", help="Plan ID, or a file with the plan.")] = None,
    *,
    day: Annotated[
        str | None, typer.Option("--day", help="Report all plans of this day in UTC: 2026-01-26 or today.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write one self-contained page to this file.")] = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV on stdout: one row per order at the broker.")
    ] = False,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", help="Write a ZIP file for a bug report, with account data replaced. Needs a PLAN."),
    ] = None,
) -> None:
    """Report how a plan, or all plans of a day, executed: as text, JSON, CSV or an HTML page.

    The exit code is that of the plan; for a day, that of the worst plan. With --bundle it is 0 if the file was written.
    """
    with session.context() as ctx:
        account, on = ctx.account_name(session.account), parse_day(day, ctx.now)
        if bundle is not None:
            _write_bundle(session, ctx, account, plan, bundle)
            return
        if (plan is None) == (day is None):
            raise CliError("Specify either a plan or --day.", f"List plans: {list_command(ctx, account)}")
        if plan is not None:
            records = [load_plan(ctx, account, resolve_plan_id(plan))]
        else:
            records = load_plans_of_day(ctx, account, on)
        results = [record.journal.result for record in records if record.journal.result is not None]
        unfinished = tuple(record.plan.plan_id for record in records if record.journal.result is None)
        if plan is not None and not results:
            text = f"Plan {unfinished[0]} has no result yet."
            raise CliError(text, ctx.command("watch", unfinished[0], account=account), Exit.IN_PROGRESS)
        if html is not None:
            title = records[0].plan.plan_id if plan is not None else f"{account}, {on.isoformat()}"
            _write_html(session, ctx, html, title, records)
        if as_csv:
            sys.stdout.write(csv_rows(results))
        elif session.as_json:
            of_day = _day_report(account, on, results, unfinished)
            typer.echo((results[0] if plan is not None else of_day).model_dump_json(indent=2))
        elif html is None and plan is None:
            print_day(session.out, results, unfinished, partial(_next_command, ctx))
        elif html is None:
            _print_result(ctx, records[0], results[0], session.out)
        raise typer.Exit(_worst_exit_code(results, unfinished))


def _write_html(
    session: CommandSession, ctx: CliContext, path: Path, title: str, records: Sequence[PlanRecord]
) -> None:
    from rebalance_cli.report import write_page  # imported late: the plot library takes a second

    finished = [record for record in records if record.journal.result is not None]
    unfinished = [record.plan.plan_id for record in records if record.journal.result is None]
    write_page(path, title, finished, unfinished, ctx.command)
    session.console.print(f"Written: {path}", soft_wrap=True, highlight=False)


def _write_bundle(session: CommandSession, ctx: CliContext, account: str, plan: str | None, path: Path) -> None:
    if plan is None:
        raise CliError("A bundle is of one plan.", f"List plans: {list_command(ctx, account)}")
    record = load_plan(ctx, account, resolve_plan_id(plan))
    result = record.journal.result
    until = result.execution_timestamp if result is not None else ctx.now
    lines = read_log_records(ctx, record.plan.plan_id, record.plan.started_at, until, ())
    document = plan_in(read_json(Path(plan))) if Path(plan).is_file() else None
    files, replaced = write_bundle(path, bundle_documents(record, lines, document))
    answer = Bundle(path=str(path), files=tuple(files), replaced=replaced)
    session.answer(answer, bundle_view(answer))


def _worst_exit_code(results: Sequence[ExecutionResult], unfinished: Sequence[str]) -> Exit:
    codes = [result_exit_code(result) for result in results]
    return max([*codes, *([Exit.IN_PROGRESS] if unfinished else [])], default=Exit.COMPLETE)


def _day_report(account: str, day: date, results: Sequence[ExecutionResult], unfinished: tuple[str, ...]) -> DayReport:
    return DayReport(
        account=account,
        day=day.isoformat(),
        need_attention=sum(not result.success for result in results),
        results=tuple(by_attention(results)),
        unfinished=unfinished,
    )


def _next_command(ctx: CliContext, result: ExecutionResult) -> str:
    words = next(iter(next_steps(result)), ("report", result.plan_id))
    return ctx.command(*words, account=result.account)


def _print_result(ctx: CliContext, record: PlanRecord, result: ExecutionResult, out: Console) -> None:
    out.print(plan_view(result, out.width, None))
    out.print()
    costs = order_costs(record.journal)
    if costs:
        rows = [order_row(cost) for cost in costs]
        out.print(plan_costs_view(rows, cost_sum("plan", costs), rung_sums(costs), out.width))
        out.print()
    _print_facts(ctx, result, out)


def _print_facts(ctx: CliContext, result: ExecutionResult, out: Console) -> None:
    out.print(facts(result_facts(result)))
    for words in next_steps(result)[:1]:
        print_next(out, ctx.command(*words, account=result.account))


# --- CSV -------------------------------------------------------------------------------------------------

_ITEM_FIELDS = tuple(
    name for name in OrderResult.model_fields if name not in ("children", "order_type", "order_id", "client_order_id")
)
_ORDER_FIELDS = (
    "client_order_id",
    "order_id",
    "status",
    "type",
    "limit_price",
    "qty",
    "filled_qty",
    "filled_avg_price",
    "submitted_at",
    "filled_at",
    "closed_at",
)


def csv_rows(results: Sequence[ExecutionResult]) -> str:
    """Return CSV with one row per order at the broker, with the fields of its item.

    An item without orders gets one row with empty order columns.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    order_columns = [f"child_{name}" for name in _ORDER_FIELDS]
    writer.writerow(["plan_id", "account", "broker", "plan_status", "size_by", *_ITEM_FIELDS, *order_columns])
    for result in results:
        document = json.loads(result.model_dump_json())
        plan_cells = [document[name] for name in ("plan_id", "account", "broker", "status", "size_by")]
        for item in document["orders"]:
            item_cells = [item[name] for name in _ITEM_FIELDS]
            for order in item["children"] or [{}]:
                cells = [*plan_cells, *item_cells, *(order.get(name) for name in _ORDER_FIELDS)]
                writer.writerow(_cell(value) for value in cells)
    return text.getvalue()


def _cell(value: object) -> object:
    """Return booleans in JSON's spelling, all other values unchanged."""
    return str(value).lower() if isinstance(value, bool) else value
