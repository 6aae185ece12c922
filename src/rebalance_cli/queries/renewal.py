"""The rest of a plan, checked against the broker now."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rebalance_cli.context import CliContext
from rebalance_cli.exit_codes import CliError, Exit
from rebalance_cli.queries.new_plans import Made, account_portfolio
from rebalance_cli.queries.plans import PlanRecord, list_command, load_plan, resolve_plan_id, symbols_traded_later
from rebalance_cli.queries.reconciliation import reconcile_plan
from rebalance_executor.domain.carrying import derived_id
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import InvalidInput, PlanExpired
from rebalance_executor.domain.order_ids import child_order_prefix
from rebalance_executor.domain.orders import ORDER_LOOKBACK
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.plan_controls import check_fresh
from rebalance_executor.domain.portfolio import plan_document
from rebalance_executor.domain.renewal import Rest, renewed_items, rest_of_plan, rest_of_result
from rebalance_executor.domain.values import format_decimal, seconds
from rebalance_sandbox.event_files import read_event

RENEWED_FROM = "renewed_from"
"""Key in the metadata of a new plan: the ID of the plan whose rest it is."""
_SUFFIX = "-rest"
_UNCERTAIN: dict[str, str] = {
    Code.JOURNAL_INCOMPLETE: "the journal has no order for it",
    Code.POSITION_DRIFT: "the position was not the one that the plan was made for (POSITION_DRIFT)",
}
"""Code of an item → why its rest does not follow from the plan: trading it could repeat a trade of others."""


@dataclass(frozen=True, slots=True)
class Named:
    """The plan that an argument names."""

    argument: str
    plan_id: str
    account: str
    document: RebalancePlan | None
    """The plan in the file; None if the argument is an ID."""

    @property
    def new_id(self) -> str:
        """ID of the plan of its rest. It follows from the old ID, so that a rest is traded once."""
        return derived_id(self.plan_id, _SUFFIX)


@dataclass(frozen=True, slots=True)
class Left:
    """The remainder of a plan."""

    rests: tuple[Rest, ...]
    fields: dict[str, Any]
    """Fields that the new plan has from the old one."""


def named_plan(ctx: CliContext, argument: str, chosen: str | None) -> Named:
    """Return the plan that an argument names; the account in a file replaces the chosen one."""
    plan_id, file = resolve_plan_id(argument), Path(argument)
    document = read_event(file).plans[0] if file.is_file() else None
    account = document.account if document is not None and document.account is not None else ctx.account_name(chosen)
    return Named(argument, plan_id, account, document)


def left_of(ctx: CliContext, old: Named, skipped: Collection[str]) -> Left:
    """Return what a plan left, except for the skipped symbols.

    Raises:
        CliError: the plan is not finished, or left nothing, or something contradicts the rest of a symbol.
    """
    stored = ctx.ports.journal.load(old.account, old.plan_id)
    if stored is not None:
        if old.document is not None and old.document.content_hash != stored.plan.content_hash:
            text = f"{old.argument} is not the plan {old.plan_id} that has started: its content differs."
            raise CliError(text, ctx.command("plan", "renew", old.plan_id, "--rest", account=old.account))
        left = _of_finished(ctx, load_plan(ctx, old.account, old.plan_id), skipped)
    elif old.document is not None:
        left = _of_expired(ctx, old, old.document, skipped)
    else:
        text = f"Plan {old.plan_id} has not started on account {old.account}."
        raise CliError(text, f"Name its file, or list started plans: {list_command(ctx, old.account)}")
    if unknown := sorted(set(skipped) - {rest.symbol for rest in left.rests}):
        symbols = " ".join(rest.symbol for rest in left.rests) or "nothing"
        raise CliError(
            f"Plan {old.plan_id} left no rest of {' '.join(unknown)}.", f"It left {symbols}: correct --skip."
        )
    rests = tuple(rest for rest in left.rests if rest.symbol not in skipped)
    if not rests:
        status = ctx.command("status", old.plan_id, account=old.account)
        raise CliError(f"Plan {old.plan_id} left nothing to trade.", status)
    return Left(rests, left.fields)


def renewed_plan(ctx: CliContext, old: Named, left: Left) -> Made:
    """Return the new plan with the rest of the old one, at the present prices.

    Raises:
        CliError: the rest does not fit the account as it is now.
    """
    portfolio = account_portfolio(ctx, old.account)
    quotes = ctx.broker(old.account).quotes([rest.symbol for rest in left.rests])
    try:
        items = renewed_items(left.rests, portfolio, quotes)
        document = plan_document(items, portfolio.equity, old.new_id, ctx.now) | left.fields
        plan = RebalancePlan.parse(document | {"metadata": {RENEWED_FROM: old.plan_id}})
    except InvalidInput as error:
        raise CliError(f"The rest of {old.plan_id} is no valid plan: {error}.", "Leave a symbol out: --skip") from None
    if not plan.trades:
        raise CliError(f"Plan {old.plan_id} left less than $1 of each item.", "Make a new plan for the next trades.")
    exits = [rest.symbol for rest in left.rests if rest.is_exit]
    partial = [item.symbol for item in plan.trades if item.symbol in exits and item.target_value]
    notes = (f"{' '.join(partial)}: a full exit before; more is held now than was left",) if partial else ()
    return Made(plan, portfolio.cash, notes=notes)


def _of_finished(ctx: CliContext, record: PlanRecord, skipped: Collection[str]) -> Left:
    plan, result = record.plan, record.journal.result
    if result is None:
        text = f"Plan {plan.plan_id} has started and is not finished: it still trades its rest."
        raise CliError(text, ctx.command("status", plan.plan_id, account=plan.account), Exit.IN_PROGRESS)
    if result.carried_plan is not None:
        text = f"The rest of plan {plan.plan_id} is carried to the next trading day as {result.carried_plan.plan_id}."
        raise CliError(text, "It starts by itself (auction_remainder carry).")
    rests = tuple(rest_of_result(result, record.journal.parents))
    problems = dict(_contradictions(ctx, record, {rest.symbol for rest in rests} - set(skipped)))
    reconcile = ctx.command("reconcile", plan.plan_id, account=plan.account)
    _check_certain(plan.plan_id, problems, f"Settle it at the broker until this agrees: {reconcile}; or leave it out")
    fields = {
        "account": plan.account,
        "causation_id": plan.plan_id,
        "correlation_id": plan.correlation_id,
        "execution_urgency": plan.urgency.value,
        "strategy_id": result.metadata.get("strategy_id"),
        "size_by": "trade_amount",
    }
    return Left(rests, fields)


def _check_certain(plan_id: str, problems: Mapping[str, str], fix: str) -> None:
    """Raise ``CliError`` if the rest of a symbol is not certain."""
    if problems:
        text = "; ".join(f"{symbol}: {problem}" for symbol, problem in problems.items())
        skip = " ".join(f"--skip {symbol}" for symbol in problems)
        raise CliError(f"The rest of plan {plan_id} is not certain. {text}.", f"{fix}: {skip}", Exit.UNRESOLVED)


def _contradictions(ctx: CliContext, record: PlanRecord, symbols: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the symbols whose rest does not follow from the journal, with the reason."""
    plan = record.plan
    codes = {order.symbol: order.error_code for order in record.journal.result.orders} if record.journal.result else {}
    for symbol in sorted(symbols):
        if (problem := _UNCERTAIN.get(codes.get(symbol) or "")) is not None:
            yield symbol, problem
    yield from _traded_by_others(ctx, plan.account, plan.plan_id, symbols, plan.started_at)
    duplicates = {symbol for symbol in symbols if codes.get(symbol) == Code.DUPLICATE_ORDER}
    window = seconds(ctx.config.duplicate_window_minutes * 60)
    yield from _traded_by_others(ctx, plan.account, plan.plan_id, duplicates, plan.started_at - window)
    for symbol in sorted(symbols_traded_later(ctx, record.plan, symbols)) if symbols else ():
        yield symbol, "a later plan traded it"
    for difference in reconcile_plan(ctx, record).differences:
        if difference.symbol in symbols:
            yield difference.symbol, difference.problem


def _traded_by_others(
    ctx: CliContext, account: str, plan_id: str, symbols: Collection[str], since: datetime
) -> Iterator[tuple[str, str]]:
    """Yield the symbols that other orders at the broker have traded since then, or may still trade.

    The journal does not know orders of people and of other programs, and a plan that never traded has no position to
    compare with.
    """
    if not symbols:
        return
    own = child_order_prefix(account, plan_id, ctx.ports.deployment)
    for order in ctx.broker(account).orders(sorted(symbols), since - ORDER_LOOKBACK):
        is_since = not order.is_terminal or order.filled_at is None or order.filled_at >= since
        if not order.client_order_id.startswith(own) and is_since and (order.filled_qty or not order.is_terminal):
            state = f"filled {format_decimal(order.filled_qty)} shares" if order.is_terminal else "is still open"
            yield (
                order.symbol,
                f"another order, {order.id} ({order.description}), {state} after this plan, or minutes before it",
            )


def _of_expired(ctx: CliContext, old: Named, plan: RebalancePlan, skipped: Collection[str]) -> Left:
    """Return what a plan left that never started and cannot start any more: everything.

    Its amounts are those of the positions at its time, so that no later trade of the symbols may have changed them.
    """
    apply = ctx.command("apply", old.argument)
    try:
        config = ctx.config
        check_fresh(
            plan, ctx.now, max_age_minutes=config.max_plan_age_minutes, max_skew_seconds=config.max_clock_skew_seconds
        )
    except PlanExpired as error:
        if plan.timestamp > ctx.now:
            raise CliError(f"Plan {plan.plan_id} has not started, and can start later: {error}.", apply) from None
    else:
        raise CliError(f"Plan {plan.plan_id} has not started and has not expired: there is no rest yet.", apply)
    rests = tuple(rest_of_plan(plan, config.size_by))
    symbols = {rest.symbol for rest in rests} - set(skipped)
    problems = dict(_traded_by_others(ctx, old.account, plan.plan_id, symbols, plan.timestamp))
    _check_certain(plan.plan_id, problems, "Make a new plan from the positions now; or leave it out")
    fields = {
        "account": old.account,
        "causation_id": plan.plan_id,
        "correlation_id": plan.correlation_id,
        "execution_urgency": plan.execution_urgency.value,
        "strategy_id": plan.strategy_id,
        "size_by": "trade_amount",
    }
    return Left(rests, fields)
