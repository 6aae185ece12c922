"""From parents to the result: one typed shape, every number from the journal, nothing guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.journal import PlanState
from rebalance_executor.domain.market import ZERO, Side
from rebalance_executor.domain.orders import ChildOrder, Outcome, ParentOrder
from rebalance_executor.domain.plan import Action, RebalancePlan, RebalancePlanItem
from rebalance_executor.domain.pricing import shortfall
from rebalance_executor.domain.result import ChildResult, ExecutionResult, ExecutionStatus, OrderResult
from rebalance_executor.domain.sizing import blank_parent

_BPS = Decimal(10_000)
_BPS_STEP = Decimal("0.0001")
_PRICE_STEP = Decimal("0.000000001")


def build_result(
    plan: RebalancePlan, state: PlanState, parents: Mapping[str, ParentOrder], now: datetime
) -> ExecutionResult:
    """The result of a plan whose parents are all settled."""
    orders = tuple(_order_result(item, parents.get(item.symbol), now) for item in plan.items)
    traded = sum((abs(order.trade_amount) for order in orders), ZERO)
    slippage = sum((order.slippage_amount for order in orders if order.slippage_amount is not None), ZERO)
    status = plan_status(orders)
    return ExecutionResult(
        plan_id=plan.plan_id,
        correlation_id=state.correlation_id,
        causation_id=state.causation_id,
        account=state.account,
        status=status,
        success=status in (ExecutionStatus.SUCCESS, ExecutionStatus.SUCCESS_WITH_SKIPS),
        orders=orders,
        orders_placed=sum(any(child.order_id for child in order.children) for order in orders),
        orders_succeeded=sum(order.success for order in orders),
        orders_skipped=sum(order.skipped for order in orders),
        orders_denied=sum(order.outcome is Outcome.DENIED for order in orders),
        total_trade_value=traded,
        started_at=state.begun_at,
        execution_timestamp=now,
        runs=state.runs,
        slippage_bps=_bps(slippage, traded),
        metadata={"content_hash": state.content_hash, "strategy_id": plan.strategy_id},
    )


def plan_status(orders: Sequence[OrderResult]) -> ExecutionStatus:
    """How the plan ended, from how its items ended.

    A plan of nothing but HOLDs is a success: there was nothing to do and it was done.
    """
    outcomes = [order.outcome for order in orders]
    if Outcome.UNRESOLVED in outcomes:
        return ExecutionStatus.UNRESOLVED
    if all(order.action is Action.HOLD for order in orders):
        return ExecutionStatus.SUCCESS
    if Outcome.FILLED in outcomes and all(outcome in (Outcome.FILLED, Outcome.SKIPPED) for outcome in outcomes):
        return ExecutionStatus.SUCCESS_WITH_SKIPS if Outcome.SKIPPED in outcomes else ExecutionStatus.SUCCESS
    if any(order.shares > 0 for order in orders):
        return ExecutionStatus.PARTIAL_SUCCESS
    return ExecutionStatus.FAILURE


def _order_result(item: RebalancePlanItem, parent: ParentOrder | None, now: datetime) -> OrderResult:
    if item.action is Action.HOLD:
        return _hold(item, now)
    if parent is None:
        text = "the journal holds no order for this item; compare with the broker's orders"
        parent = blank_parent(item).settled(Outcome.UNRESOLVED, Code.JOURNAL_INCOMPLETE, text, now)
    filled, value, last = parent.filled_qty, parent.filled_value, parent.last
    priced = filled > 0 and all(c.filled_avg_price is not None for c in parent.children if c.filled_qty)
    mid = parent.arrival.mid if parent.arrival is not None else None
    slippage = shortfall(parent.side, mid, filled, value) if priced and mid is not None else None
    outcome = parent.outcome or Outcome.UNRESOLVED
    return OrderResult(
        symbol=item.symbol,
        action=item.action,
        outcome=outcome,
        success=outcome is Outcome.FILLED,
        skipped=outcome is Outcome.SKIPPED,
        skip_reason=parent.code if outcome is Outcome.SKIPPED else None,
        error_code=parent.code,
        error_message=parent.message,
        trade_amount=value if parent.side is Side.BUY else -value,
        planned_trade_amount=item.trade_amount,
        shares=filled,
        planned_shares=parent.qty,
        price=_average(parent, filled, value) if priced else None,
        expected_price=mid,
        slippage_amount=slippage,
        slippage_bps=_bps(slippage, value) if slippage is not None else None,
        order_type=last.type if last is not None else None,
        order_id=last.order_id if last is not None else None,
        client_order_id=last.client_order_id if last is not None else None,
        children=tuple(_child_result(child) for child in parent.children),
        filled_at=max((c.closed_at for c in parent.children if c.filled_qty and c.closed_at), default=None),
        timestamp=parent.settled_at or now,
    )


def _hold(item: RebalancePlanItem, now: datetime) -> OrderResult:
    return OrderResult(
        symbol=item.symbol,
        action=item.action,
        outcome=Outcome.SKIPPED,
        success=False,
        skipped=True,
        skip_reason=Code.HOLD,
        trade_amount=ZERO,
        planned_trade_amount=item.trade_amount,
        shares=ZERO,
        planned_shares=ZERO,
        price=None,
        expected_price=None,
        slippage_amount=None,
        slippage_bps=None,
        timestamp=now,
    )


def _child_result(child: ChildOrder) -> ChildResult:
    return ChildResult(
        client_order_id=child.client_order_id,
        order_id=child.order_id,
        status=child.status or child.state.lower(),
        type=child.type,
        limit_price=child.limit_price,
        qty=child.qty,
        filled_qty=child.filled_qty,
        filled_avg_price=child.filled_avg_price,
        submitted_at=child.submitted_at,
        closed_at=child.closed_at,
    )


def _average(parent: ParentOrder, filled: Decimal, value: Decimal) -> Decimal:
    prices = {child.filled_avg_price for child in parent.children if child.filled_qty}
    only = prices.pop() if len(prices) == 1 else None
    return only if only is not None else (value / filled).quantize(_PRICE_STEP, rounding=ROUND_HALF_EVEN)


def _bps(amount: Decimal, of: Decimal) -> Decimal | None:
    return (amount / of * _BPS).quantize(_BPS_STEP, rounding=ROUND_HALF_EVEN) if of else None
