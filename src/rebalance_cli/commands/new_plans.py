"""``rebalance plan from-weights | from-csv | renew``: make a plan without a portfolio system."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from rebalance_cli.context import CliContext
from rebalance_cli.exit_codes import CliError, Exit, result_exit_code
from rebalance_cli.new_plan_answers import NewPlan
from rebalance_cli.options import CommandSession, PlanId, account_command
from rebalance_cli.outputs import Preview
from rebalance_cli.queries.new_plans import Made, account_portfolio, new_plan_answer, preview_of
from rebalance_cli.queries.renewal import left_of, named_plan, renewed_plan
from rebalance_cli.sheets.columns import Column
from rebalance_cli.sheets.numbers import NumberError, parse_dollars
from rebalance_cli.sheets.reader import Sheet, read_sheet
from rebalance_cli.views.new_plan import new_plan_view, started_view, written_view
from rebalance_cli.views.tables import print_next
from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.plan import ExecutionStyle, RebalancePlan, Urgency
from rebalance_executor.domain.portfolio import (
    Holding,
    Portfolio,
    WeightRules,
    amounts_document,
    day_plan_id,
)
from rebalance_sandbox.event_files import read_event

app = typer.Typer(help="Make plans.", no_args_is_help=True)

_CORRECT = "Correct the sheet or the options; rebalance doctor checks the account."
_OTHER_ID = "--plan-id makes another plan"

_SheetPath = Annotated[Path, typer.Argument(metavar="SHEET", help="CSV file; see docs/daily-plan.md#sheets.")]
_MinTrade = Annotated[str, typer.Option("--min-trade", help="Items below this many dollars become a HOLD.")]
_Strategy = Annotated[
    str | None, typer.Option("--strategy", help="Name of the strategy (default: the name of the file).")
]
_Id = Annotated[str | None, typer.Option("--plan-id", help="Plan ID (default: strategy and New York day).")]
_Urgency = Annotated[Urgency, typer.Option("--urgency", help="How fast to work the orders; see docs/execution.md.")]
_Style = Annotated[
    ExecutionStyle, typer.Option("--style", help="Continuous trading (work), or an auction; see docs/auctions.md.")
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write the plan to this file (default: stdout).")]


@app.command("from-weights")
@account_command
def from_weights(
    session: CommandSession,
    sheet: _SheetPath,
    *,
    sell_unlisted: Annotated[
        bool, typer.Option("--sell-unlisted", help="Sell the holdings that the sheet does not list.")
    ] = False,
    min_trade: _MinTrade = "1",
    strategy: _Strategy = None,
    plan_id: _Id = None,
    urgency: _Urgency = Urgency.NORMAL,
    style: _Style = ExecutionStyle.WORK,
    output: Output = None,
) -> None:
    """Make a plan from target weights and the account's positions.

    The sheet has the columns symbol and target_weight. Shows what changes, what it costs and what does not fit into the
    cash, then writes the plan. A plan of the same ID that has started is never made again.

    Exit codes: 0 the plan is written; if the plan of this ID is finished, that of its result.
    """
    source = _read(sheet, output)
    if source.kind is not Column.TARGET_WEIGHT:
        fix = f"Use {session.options.command('plan', 'from-csv', str(sheet))}, or name a column target_weight."
        raise CliError(f"{sheet} has trade amounts, not weights.", fix)
    rules = _rules(source, min_trade, sell_unlisted=sell_unlisted)
    fields = _fields(session, "from-weights", urgency, style)
    with session.context() as ctx:
        strategy_id = sheet.stem if strategy is None else strategy
        fields["plan_id"] = day_plan_id(strategy_id, ctx.now) if plan_id is None else plan_id
        account = ctx.account_name(session.account)
        answer_if_started(session, ctx, account, str(fields["plan_id"]), output)
        portfolio = account_portfolio(ctx, account)
        weights = {row.symbol: row.amount for row in source.rows}
        plan = _plan_of(source, portfolio, strategy_id, ctx.now, rules, fields)
        notes = source.notes
        if any(row.current_value is not None for row in source.rows):
            notes = (*notes, "current_value: not read; the values are those of the account")
        made = Made(plan, portfolio.cash, portfolio.unlisted(weights), notes)
        answer_new(session, made, preview_of(ctx, plan, account), output)


@app.command("from-csv")
@account_command
def from_csv(
    session: CommandSession,
    sheet: _SheetPath,
    *,
    portfolio_value: Annotated[
        str | None,
        typer.Option("--portfolio-value", help="Portfolio value in dollars (default: the account's equity)."),
    ] = None,
    min_trade: _MinTrade = "1",
    strategy: _Strategy = None,
    plan_id: _Id = None,
    urgency: _Urgency = Urgency.NORMAL,
    style: _Style = ExecutionStyle.WORK,
    output: Output = None,
) -> None:
    """Make a plan from trade amounts or target weights in a sheet, also without an account.

    trade_amount: trade these dollars. target_weight: trade the difference between the current and the target value. The
    current value comes from the column current_value, or from the account's positions at the midpoint. With
    --portfolio-value and all values that are needed, no account is read.
    """
    source = _read(sheet, output)
    rules = _rules(source, min_trade)
    total = _dollars("--portfolio-value", portfolio_value) if portfolio_value is not None else None
    fields = _fields(session, "from-csv", urgency, style)
    strategy_id = sheet.stem if strategy is None else strategy
    if total is not None and not _needs_account(source):
        now = datetime.now(UTC)
        fields["plan_id"] = day_plan_id(strategy_id, now) if plan_id is None else plan_id
        plan = _plan_of(source, _with_values(source, Portfolio(total, ZERO)), strategy_id, now, rules, fields)
        answer_new(session, Made(plan, notes=source.notes), None, output)
        return
    with session.context() as ctx:
        fields["plan_id"] = day_plan_id(strategy_id, ctx.now) if plan_id is None else plan_id
        account = ctx.account_name(session.account)
        answer_if_started(session, ctx, account, str(fields["plan_id"]), output)
        held = account_portfolio(ctx, account)
        portfolio = Portfolio(held.equity if total is None else total, held.cash, held.holdings)
        plan = _plan_of(source, _with_values(source, portfolio), strategy_id, ctx.now, rules, fields)
        is_target = source.kind is Column.TARGET_WEIGHT
        unlisted = held.unlisted({row.symbol: row.amount for row in source.rows}) if is_target else {}
        made = Made(plan, held.cash, unlisted, source.notes)
        answer_new(session, made, preview_of(ctx, plan, account), output)


@app.command("renew")
@account_command
def renew(
    session: CommandSession,
    plan: PlanId,
    *,
    rest: Annotated[bool, typer.Option("--rest", help="Only what the plan left; required.")] = False,
    skip: Annotated[list[str] | None, typer.Option("--skip", help="Leave this symbol out; can be repeated.")] = None,
    output: Output = None,
) -> None:
    """Make a new plan of what a denied, expired, partial or unresolved plan left.

    The new plan has a new ID and a new time, and never exceeds what is left in dollars and shares. The rest of a
    symbol must be certain: broker and journal agree, and no other order has traded it since.

    Exit codes: 0 the plan is written, 5 the old plan is not finished, 7 the rest of a symbol is not certain.
    """
    if not rest:
        raise CliError(
            "Only the rest of a plan can be renewed.", session.options.command("plan", "renew", plan, "--rest")
        )
    with session.context() as ctx:
        old, skipped = named_plan(ctx, plan, session.account), {symbol.strip().upper() for symbol in skip or ()}
        hint = f"for what it left: {ctx.command('plan', 'renew', old.new_id, '--rest')}"
        answer_if_started(session, ctx, old.account, old.new_id, output, hint)
        made = renewed_plan(ctx, old, left_of(ctx, old, skipped))
        answer_new(session, made, preview_of(ctx, made.plan, old.account), output)


# --- from a sheet to a plan ------------------------------------------------------------------------------


def _read(sheet: Path, output: Path | None) -> Sheet:
    source = read_sheet(sheet)
    if output is not None and output.exists() and output.samefile(sheet):
        raise CliError(f"The output {output} is the sheet itself.", "Write the plan to another file, like plan.json.")
    return source


def _rules(source: Sheet, min_trade: str, *, sell_unlisted: bool = False) -> WeightRules:
    priorities = {row.symbol: row.priority for row in source.rows}
    return WeightRules(_dollars("--min-trade", min_trade), sell_unlisted, priorities)


def _dollars(option: str, text: str) -> Decimal:
    """Return the positive dollars of an option.

    Raises:
        CliError: the text is not a positive number of dollars.
    """
    try:
        number = parse_dollars(text)
    except NumberError as error:
        raise CliError(f"{option} {text!r} {error.problem}.", error.fix) from None
    if number <= 0:
        raise CliError(f"{option} {text!r} is not above 0.", "Write a positive number of dollars, like 1500.50.")
    return number


def _fields(session: CommandSession, name: str, urgency: Urgency, style: ExecutionStyle) -> dict[str, object]:
    account = {"account": session.account} if session.account is not None else {}
    origin = {"causation_id": f"rebalance plan {name}"}
    return {**account, **origin, "execution_urgency": urgency.value, "execution_style": style.value}


def _needs_account(source: Sheet) -> bool:
    """Return whether a current value is missing that the plan depends on: an empty one of a buy means not held."""
    is_target = source.kind is Column.TARGET_WEIGHT
    return any(row.current_value is None and (is_target or row.amount < 0) for row in source.rows)


def _with_values(source: Sheet, portfolio: Portfolio) -> Portfolio:
    """Return the portfolio with the current values of the sheet in place of the account's."""
    values = {row.symbol: Holding(row.current_value) for row in source.rows if row.current_value is not None}
    return Portfolio(portfolio.equity, portfolio.cash, {**portfolio.holdings, **values})


def _plan_of(
    source: Sheet,
    portfolio: Portfolio,
    strategy_id: str,
    now: datetime,
    rules: WeightRules,
    fields: dict[str, object],
) -> RebalancePlan:
    """Return the plan of a sheet.

    Raises:
        CliError: the sheet and the portfolio contradict each other, or an option is invalid.
    """
    amounts = {row.symbol: row.amount for row in source.rows}
    named: dict[str, object] = {"correlation_id": fields["plan_id"], **fields}
    try:
        if source.kind is Column.TARGET_WEIGHT:
            return RebalancePlan.from_weights(
                amounts, portfolio, strategy_id=strategy_id, timestamp=now, rules=rules, **named
            )
        return RebalancePlan.parse(amounts_document(amounts, portfolio, strategy_id, now, rules) | named)
    except InvalidInput as error:
        problems = "; ".join(f"{path}: {text}" for path, text in error.problems) or str(error)
        raise CliError(f"{source.path} makes no valid plan: {problems}.", _CORRECT) from None


# --- the answer ------------------------------------------------------------------------------------------


def answer_if_started(
    session: CommandSession, ctx: CliContext, account: str, plan_id: str, output: Path | None, hint: str = _OTHER_ID
) -> None:
    """End the command if the plan of this ID has started: write its stored plan, or name its result.

    Prices have changed since, so that a plan made again would be another plan under the same ID.
    """
    stored = ctx.ports.journal.load(account, plan_id)
    if stored is None:
        return
    answer = NewPlan(
        plan_id=plan_id,
        state="started" if stored.result is None else "finished",
        content_hash=stored.plan.content_hash,
        path=str(output) if stored.document is not None and output is not None else None,
        sells=ZERO,
        buys=ZERO,
        next=ctx.command("status", plan_id, account=account),
    )
    note = f"it has started, so it is not made again; {hint}"
    if stored.document is not None and stored.result is None:
        _write(stored.document, output)
        code = Exit.COMPLETE
    elif stored.result is not None and output is not None and _contains(output, answer.content_hash):
        code = result_exit_code(stored.result)  # the file has this plan: apply returns its result
    else:
        raise CliError(f"Plan {plan_id} is {answer.state}: {note}. Nothing was written.", answer.next)
    _print(session, answer, started_view(answer, note), output)
    raise typer.Exit(code)


def _contains(path: Path, content_hash: str) -> bool:
    return path.is_file() and any(plan.content_hash == content_hash for plan in read_event(path).plans)


def answer_new(session: CommandSession, made: Made, preview: Preview | None, output: Path | None) -> None:
    """Show what a new plan changes, then write it and name the next command."""
    path = str(output) if output is not None else None
    next_step = session.options.command("preview", path or "FILE")
    answer = new_plan_answer(made, preview, path, next_step)
    console = session.console if output is None else session.out
    console.print(new_plan_view(answer, console.width))
    _write(made.plan, output)
    if output is not None:
        _print(session, answer, written_view(answer), output)


def _print(session: CommandSession, answer: NewPlan, view: Any, output: Path | None) -> None:
    if output is None:  # stdout has the plan
        session.console.print(view)
        print_next(session.console, answer.next)
        return
    session.answer(answer, view, answer.next)


def _write(plan: RebalancePlan, output: Path | None) -> None:
    """Write a plan to a file, or to stdout. A reader of the file never sees half of it."""
    text = plan.model_dump_json(indent=2, exclude_none=True) + "\n"
    if output is None:
        typer.echo(text, nl=False)
        return
    temporary = output.with_name(f".{output.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(output)
