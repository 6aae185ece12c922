"""``rebalance status | watch | explain | report``: what became of plans, from the journal. They change nothing."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.live import Live

from rebalance_cli import exit_codes
from rebalance_cli.console import answer, command
from rebalance_cli.context import CONFIG_FILE, HOME, Account, AsJson, CliContext, ConfigFile, Home, cli_context
from rebalance_cli.exit_codes import CliError, Exit
from rebalance_cli.outputs import DayReport, PlanDetails, StatusAnswer, KillSwitchAnswer
from rebalance_cli.queries.explain import explanation_of, lease_of, line_of, standing_of
from rebalance_cli.queries.logs import records
from rebalance_cli.queries.plans import PlanRecord, day_of, entry, holder, plan_id_of, plans_of
from rebalance_cli.views.result import facts, plan_view, result_facts, to_explain
from rebalance_cli.views.status import standing_view, status_view, story_view
from rebalance_executor.domain.result import ExecutionResult, OrderResult

type Tell = Callable[[PlanDetails | None], None]
Plan = Annotated[str, typer.Argument(metavar="PLAN", help="A plan's id, or a file that holds it.")]
_CHILD = ("client_order_id", "order_id", "status", "type", "limit_price", "qty", "filled_qty", "filled_avg_price")
_TIMES = ("submitted_at", "closed_at")
_OF_ORDER = tuple(
    name for name in OrderResult.model_fields if name not in ("children", "order_type", "order_id", "client_order_id")
)


def code_of(result: ExecutionResult | None) -> Exit:
    """The exit code that goes with where a plan stands."""
    return exit_codes.result_exit_code(result) if result is not None else Exit.IN_PROGRESS


# --- commands --------------------------------------------------------------------------------------------


def status(
    plan: Annotated[
        str | None, typer.Argument(metavar="[PLAN]", help="A plan's id, or a file that holds it; else all of a day.")
    ] = None,
    *,
    day: Annotated[str | None, typer.Option("--day", help="Of the plans: 2026-01-26; today by default (UTC).")] = None,
    days: Annotated[int, typer.Option("--days", min=1, help="So many days up to that day.")] = 1,
    account: Account = None,
    home: Home = HOME,
    config: ConfigFile = CONFIG_FILE,
    as_json: AsJson = False,
) -> None:
    """Show an account with its plans of a day, or where one plan stands.

    With PLAN the exit code tells: 0 complete, 3 partial, 4 denied, 5 in progress, 6 halted, 7 an operator must look.
    """
    with command(as_json=as_json) as (console, out), cli_context(home, config, console) as found:
        name = found.account_name(account)
        if plan is not None:
            one = entry(found, name, plan_id_of(plan))
            standing = standing_of(one)
            answer(standing, standing_view(standing, out.width), as_json=as_json, out=out)
            raise typer.Exit(code_of(one.journal.result))
        last = day_of(day, found.now)
        listed = StatusAnswer(
            account=name,
            switch=KillSwitchAnswer.of(name, found.ports.risk_store.kill_switch(name)),
            lease=lease_of(holder(found, name)),
            plans=tuple(line_of(line) for line in plans_of(found, name, last - timedelta(days=days - 1), last)),
        )
        answer(listed, status_view(listed, out.width), as_json=as_json, out=out)


def watch(
    plan: Plan,
    *,
    every: Annotated[float, typer.Option("--every", min=0.2, help="Seconds between two looks.")] = 1.0,
    account: Account = None,
    home: Home = HOME,
    config: ConfigFile = CONFIG_FILE,
    as_json: AsJson = False,
) -> None:
    """Follow a plan until it has its result; begun or not. With --json one line for each change.

    Ctrl-C ends the watching, not the plan. The exit code is the plan's.
    """
    with command(as_json=as_json) as (console, out), cli_context(home, config, console) as found:
        name, plan_id = found.account_name(account), plan_id_of(plan)
        not_begun = f"Plan {plan_id} is not begun yet on account {name}: waiting for it. Ctrl-C ends the watching."
        with _teller(not_begun, console, out, as_json=as_json) as tell:
            last = _follow(found, name, plan_id, every, tell)
        if last.journal.result is not None and not as_json:
            out.print(facts(_with_next(last.journal.result)))
        raise typer.Exit(code_of(last.journal.result))


def _follow(
    found: CliContext, account: str, plan_id: str, every: float, tell: Callable[[PlanDetails | None], None]
) -> PlanRecord:
    """Look again and again, and tell of each change, until the plan has its result; None is a plan not begun."""
    before: PlanDetails | None = None
    begun, is_first = False, True
    while True:
        begun = begun or found.ports.journal.load(account, plan_id) is not None
        one = entry(found, account, plan_id) if begun else None
        standing = standing_of(one) if one is not None else None
        if is_first or standing != before:
            tell(standing)
        before, is_first = standing, False
        if one is not None and one.journal.result is not None:
            return one
        time.sleep(every)


@contextmanager
def _teller(
    not_begun: str, console: Console, out: Console, *, as_json: bool
) -> Iterator[Callable[[PlanDetails | None], None]]:
    """Shows each change: in place on a terminal, line by line elsewhere, as JSON if that is asked for."""
    if out.is_terminal and not as_json:
        with Live(console=out, auto_refresh=False) as live:
            yield lambda s: live.update(not_begun if s is None else standing_view(s, out.width), refresh=True)
        return

    def tell(standing: PlanDetails | None) -> None:
        if standing is None:
            console.print(not_begun)
        elif as_json:
            typer.echo(standing.model_dump_json())
        else:
            out.print(_one_line(standing), soft_wrap=True, highlight=False)

    yield tell


def _one_line(standing: PlanDetails) -> str:
    stages = [f"{order.symbol} {order.stage}" for order in standing.orders]
    words = dict.fromkeys((standing.progress.value, standing.phase.lower()))  # a finished plan is so twice
    return f"{' '.join(words)}: {', '.join(stages)}"


def explain(
    plan: Plan,
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="Of the order.")],
    *,
    log: Annotated[list[Path] | None, typer.Option("--log", help="A file of log lines to read besides.")] = None,
    account: Account = None,
    home: Home = HOME,
    config: ConfigFile = CONFIG_FILE,
    as_json: AsJson = False,
) -> None:
    """Tell the whole story of one order, from the journal and the log."""
    with command(as_json=as_json) as (console, out), cli_context(home, config, console) as found:
        one = entry(found, found.account_name(account), plan_id_of(plan))
        parent = one.journal.parents.get(symbol.strip().upper())
        if parent is None:
            known = " ".join(sorted(one.journal.parents)) or "none; every item is a HOLD"
            raise CliError(
                f"Plan {one.plan.plan_id} has no order of {symbol}.", f"Its orders are of: {known}. Name one of them."
            )
        until = one.journal.result.execution_timestamp if one.journal.result is not None else found.now
        lines = records(found, one.plan.plan_id, one.plan.started_at, until, log or ())
        told = explanation_of(one, parent, lines)
        answer(told, story_view(told), as_json=as_json, out=out)


def report(
    plan: Annotated[str | None, typer.Argument(metavar="[PLAN]", help="A plan's id, or a file that holds it.")] = None,
    *,
    day: Annotated[str | None, typer.Option("--day", help="All plans of a day instead: 2026-01-26, or today.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write one self-contained page to this file.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="One row for each order at the broker, on stdout.")] = False,
    account: Account = None,
    home: Home = HOME,
    config: ConfigFile = CONFIG_FILE,
    as_json: AsJson = False,
) -> None:
    """Report how a plan, or a day, was executed: for a person, as JSON, as CSV, or as a page.

    The exit code is the plan's; of a day the worst.
    """
    with command(as_json=as_json) as (console, out), cli_context(home, config, console) as found:
        if (plan is None) == (day is None):
            raise CliError("Name a plan, or a day with --day: one of them.", "List plans: rebalance status --days 30")
        name = found.account_name(account)
        on = day_of(day, found.now)
        entries = [entry(found, name, plan_id_of(plan))] if plan is not None else _of_day(found, name, on)
        results = [one.journal.result for one in entries if one.journal.result is not None]
        unfinished = tuple(one.plan.plan_id for one in entries if one.journal.result is None)
        if plan is not None and not results:
            raise CliError(f"Plan {unfinished[0]} has no result yet.", f"rebalance watch {plan}", Exit.IN_PROGRESS)
        if html is not None:
            from rebalance_cli.report import write_page  # here: no other command waits for a plot library

            title = entries[0].plan.plan_id if plan is not None else f"{name}, {on.isoformat()}"
            write_page(html, title, [one for one in entries if one.journal.result is not None], unfinished)
            console.print(f"Written: {html}", soft_wrap=True, highlight=False)
        if as_csv:
            sys.stdout.write(rows_of(results))
        elif as_json:
            whole = DayReport(account=name, day=on.isoformat(), results=tuple(results), unfinished=unfinished)
            typer.echo((results[0] if plan is not None else whole).model_dump_json(indent=2))
        elif html is None:
            _print(results, unfinished, out)
        raise typer.Exit(_worst(results, unfinished))


def _of_day(found: CliContext, account: str, day: date) -> list[PlanRecord]:
    return [entry(found, account, line.plan.plan_id) for line in reversed(plans_of(found, account, day, day))]


def _worst(results: Sequence[ExecutionResult], unfinished: Sequence[str]) -> Exit:
    codes = [exit_codes.result_exit_code(result) for result in results]
    return max([*codes, *([Exit.IN_PROGRESS] if unfinished else [])], default=Exit.COMPLETE)


def _print(results: Sequence[ExecutionResult], unfinished: Sequence[str], out: Console) -> None:
    for result in results:
        out.print(plan_view(result, out.width, None))
        out.print()
        out.print(facts(_with_next(result)))
        if len(results) > 1:
            out.rule(style="dim")
    if unfinished:
        out.print(facts([("In work", "  ".join(unfinished))]))
    if not results and not unfinished:
        out.print("No plan was begun on that day.")


def _with_next(result: ExecutionResult) -> list[tuple[str, RenderableType]]:
    after = to_explain(result)
    return [*result_facts(result), *([("Next", after)] if after is not None else [])]


def rows_of(results: Sequence[ExecutionResult]) -> str:
    """CSV: one row for each order at the broker with its item's fields; an item without any has one row, too."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    child = [f"child_{name}" for name in (*_CHILD, *_TIMES)]
    writer.writerow(["plan_id", "account", "plan_status", *_OF_ORDER, *child])
    for result in results:
        told = json.loads(result.model_dump_json())
        for order in told["orders"]:
            own = [told["plan_id"], told["account"], told["status"], *(order[name] for name in _OF_ORDER)]
            for sent in order["children"] or [{}]:
                writer.writerow(_cell(value) for value in [*own, *(sent.get(name) for name in (*_CHILD, *_TIMES))])
    return text.getvalue()


def _cell(value: object) -> object:
    """Booleans as JSON spells them."""
    return str(value).lower() if isinstance(value, bool) else value
