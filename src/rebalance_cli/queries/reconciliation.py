"""Comparison of a finished plan with the broker now."""

from __future__ import annotations

from dataclasses import replace

from rebalance_cli.context import CliContext
from rebalance_cli.outputs import DifferenceAnswer, Reconciliation
from rebalance_cli.queries.plans import PlanRecord, symbols_traded_later
from rebalance_executor.domain.order_ids import child_order_prefix
from rebalance_executor.domain.orders import ORDER_LOOKBACK
from rebalance_executor.domain.reconciliation import differences, was_sent


def reconcile_plan(ctx: CliContext, record: PlanRecord) -> Reconciliation:
    """Return every difference between the broker's orders, fills and positions and the journal of a plan."""
    plan = record.plan
    parents = [parent for parent in record.journal.parents.values() if was_sent(parent)]
    answers: list[DifferenceAnswer] = []
    if parents:
        broker = ctx.broker(plan.account)
        symbols = sorted(parent.symbol for parent in parents)
        orders = broker.orders(symbols, plan.started_at - ORDER_LOOKBACK)
        later = symbols_traded_later(ctx, plan, symbols)
        compared = [replace(p, held_before=None) if p.symbol in later else p for p in parents]  # skips its position
        prefix = child_order_prefix(plan.account, plan.plan_id, ctx.ports.deployment)
        differing = differences(compared, orders, broker.positions(symbols), prefix)
        answers = [DifferenceAnswer(symbol=one.symbol, problem=one.problem) for one in differing]
    return Reconciliation(
        plan_id=plan.plan_id,
        account=plan.account,
        agrees=not answers,
        compared=sum(parent.attempts for parent in parents),
        differences=tuple(answers),
    )
