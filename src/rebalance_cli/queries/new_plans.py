"""New plans: the portfolio they are made from, and the answer that shows what they change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from rebalance_cli.context import CliContext
from rebalance_cli.exit_codes import CliError, Exit
from rebalance_cli.new_plan_answers import Change, NewPlan, UnlistedHolding
from rebalance_cli.outputs import Decision, Preview, PreviewOrder
from rebalance_cli.queries.plans import read_unfinished
from rebalance_cli.queries.preview import preview_plan
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.plan import Action, RebalancePlan
from rebalance_executor.domain.portfolio import Holding, Portfolio
from rebalance_executor.execution.portfolio import read_portfolio

_CUT = frozenset({Code.SCALED_TO_CASH, Code.INSUFFICIENT_CASH})


@dataclass(frozen=True, slots=True)
class Made:
    """A new plan with what it was made from."""

    plan: RebalancePlan
    cash: Decimal | None = None
    """Dollars available now; None if the account was not read."""
    unlisted: Mapping[str, Holding] | None = None
    """Holdings that the sheet does not list."""
    notes: tuple[str, ...] = ()


def account_portfolio(ctx: CliContext, account: str) -> Portfolio:
    """Read the portfolio of an account; see ``read_portfolio``.

    Raises:
        CliError: the broker reports no positive equity, or an unfinished plan still changes the positions.
    """
    unfinished = read_unfinished(ctx, account)
    if unfinished is not None:
        text = f"Plan {unfinished.plan_id} is unfinished: its trades still change the positions of the account."
        raise CliError(text, ctx.command("status", unfinished.plan_id, account=account), Exit.IN_PROGRESS)
    try:
        return read_portfolio(ctx.broker(account))
    except InvalidInput as error:
        raise CliError(f"{error}.", f"Check the account: {ctx.command('doctor', account=account)}") from None


def preview_of(ctx: CliContext, plan: RebalancePlan, account: str) -> Preview | None:
    """Return the preview of a new plan; None if it trades nothing."""
    return preview_plan(ctx, plan, account) if plan.trades else None


def new_plan_answer(made: Made, preview: Preview | None, path: str | None, next_step: str) -> NewPlan:
    """Return what a new plan changes, what it costs and what does not fit.

    Args:
        made: the plan.
        preview: its preview; None if the account was not read.
        path: the file that is written.
        next_step: the next command.
    """
    plan = made.plan
    amounts = [item.trade_amount for item in plan.trades]
    sells = -sum((amount for amount in amounts if amount < 0), ZERO)
    buys = sum((amount for amount in amounts if amount > 0), ZERO)
    shortage = buys - sells - made.cash if made.cash is not None else ZERO
    return NewPlan(
        plan_id=plan.plan_id,
        state="new",
        content_hash=plan.content_hash,
        path=path,
        changes=_changes(plan, preview),
        unlisted=_unlisted(made),
        notes=made.notes,
        sells=sells,
        buys=buys,
        cash=made.cash,
        shortage=shortage if shortage > 0 else None,
        estimated_cost=preview.estimated_cost if preview is not None else None,
        cost_reason=_cost_reason(preview),
        denied=f"{preview.code}  {preview.message}" if preview is not None and preview.code is not None else None,
        next=next_step,
    )


def _changes(plan: RebalancePlan, preview: Preview | None) -> tuple[Change, ...]:
    orders = {order.symbol: order for order in preview.orders} if preview is not None else {}
    return tuple(
        Change(
            symbol=item.symbol,
            action=item.action,
            current_weight=item.current_weight,
            target_weight=item.target_weight,
            current_value=item.current_value,
            target_value=item.target_value,
            trade_amount=item.trade_amount if item.action is not Action.HOLD else ZERO,
            estimated_cost=order.estimated_cost if order is not None else None,
            reduced=order.message if order is not None and order.code in _CUT else None,
            denied=_denial(order) if preview is not None and preview.code is None else None,
        )
        for item in plan.items
        for order in [orders.get(item.symbol)]
    )


def _denial(order: PreviewOrder | None) -> str | None:
    return f"{order.code}  {order.message}" if order is not None and order.decision is Decision.DENY else None


def _unlisted(made: Made) -> tuple[UnlistedHolding, ...]:
    traded = {item.symbol for item in made.plan.trades}
    return tuple(
        UnlistedHolding(symbol=symbol, value=holding.value, is_sold=symbol in traded)
        for symbol, holding in (made.unlisted or {}).items()
    )


def _cost_reason(preview: Preview | None) -> str | None:
    if preview is None or preview.code is not None or preview.estimated_cost is not None:
        return None
    reasons = dict.fromkeys(order.forecast_reason for order in preview.orders if order.forecast_reason is not None)
    return "; ".join(reasons) or "no order would be sent now"
