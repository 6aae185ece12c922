"""Construction of a plan's result from its journalled parent orders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.forecast import CostForecast, Weighted
from rebalance_executor.domain.forecast import of_plan as forecast_of_plan
from rebalance_executor.domain.journal import PlanState
from rebalance_executor.domain.market import ZERO, Side
from rebalance_executor.domain.orders import ChildOrder, Outcome, ParentOrder
from rebalance_executor.domain.plan import Action, ExecutionStyle, RebalancePlan, RebalancePlanItem
from rebalance_executor.domain.reconciliation import Difference
from rebalance_executor.domain.result import (
    ChildResult,
    DifferenceResult,
    ExecutionResult,
    ExecutionStatus,
    OrderResult,
)
from rebalance_executor.domain.shortfall import Shortfall, of_parent, of_plan
from rebalance_executor.domain.sizing import blank_parent, floor_qty

_BPS = Decimal(10_000)
_BPS_STEP = Decimal("0.0001")
_PRICE_STEP = Decimal("0.000000001")


@dataclass(frozen=True, slots=True)
class PlanEnd:
    """The end of a plan, and what its result is judged by."""

    at: datetime
    success_tolerance: Decimal
    """Fraction of the requested shares that an item may lack; from the configuration."""
    differences: Sequence[Difference] = ()
    """Differences between broker and journal; each one makes the plan unresolved."""
    carried: RebalancePlan | None = None
    """The plan of what auctions left."""


def build_result(
    plan: RebalancePlan, state: PlanState, parents: Mapping[str, ParentOrder], end: PlanEnd
) -> ExecutionResult:
    """Return the result of a plan whose parents are all settled.

    Args:
        plan: the plan.
        state: its journalled state.
        parents: its parent orders by symbol.
        end: time, tolerance and differences.
    """
    orders = tuple(_order_result(item, parents.get(item.symbol), end, plan.style_of(item)) for item in plan.items)
    traded = sum((abs(order.trade_amount) for order in orders), ZERO)
    traded_parents = [parents[item.symbol] for item in plan.items if item.symbol in parents]
    forecast = plan_forecast(traded_parents)
    shortfalls = [shortfall for parent in traded_parents if (shortfall := of_parent(parent)) is not None]
    status = plan_status(orders, end.differences)
    return ExecutionResult(
        plan_id=plan.plan_id,
        correlation_id=state.correlation_id,
        causation_id=state.causation_id,
        account=state.account,
        broker=state.broker,
        status=status,
        success=status in (ExecutionStatus.SUCCESS, ExecutionStatus.SUCCESS_WITH_SKIPS),
        orders=orders,
        orders_placed=sum(any(child.order_id for child in order.children) for order in orders),
        orders_succeeded=sum(order.success for order in orders),
        orders_skipped=sum(order.skipped for order in orders),
        orders_denied=sum(order.outcome is Outcome.DENIED for order in orders),
        orders_scaled=sum(_is_scaled(parent) for parent in traded_parents),
        orders_rejected=sum(order.outcome is Outcome.REJECTED for order in orders),
        orders_unresolved=sum(order.outcome is Outcome.UNRESOLVED for order in orders),
        total_trade_value=traded,
        total_portfolio_value=plan.total_portfolio_value,
        size_by=state.size_by,
        equity=state.equity,
        started_at=state.started_at,
        execution_timestamp=end.at,
        runs=state.runs,
        **_shortfall_fields(of_plan(shortfalls) if shortfalls else None, traded),
        **_forecast_fields(forecast),
        differences=tuple(DifferenceResult(symbol=d.symbol, problem=d.problem) for d in end.differences),
        carried_plan=end.carried,
        metadata={"content_hash": state.content_hash, "strategy_id": plan.strategy_id},
    )


def plan_forecast(parents: Iterable[ParentOrder]) -> CostForecast | None:
    """Return the forecast of a plan's orders, weighted by their dollars at arrival; None if none was made.

    Orders that were never sent, for example for lack of cash, do not count.
    """
    sent = [p for p in parents if p.outcome not in (Outcome.DENIED, Outcome.SKIPPED)]
    return forecast_of_plan(
        Weighted(p.symbol, p.side, p.qty * p.arrival.mid, p.forecast) for p in sent if p.arrival is not None
    )


def plan_status(orders: Sequence[OrderResult], differences: Sequence[Difference] = ()) -> ExecutionStatus:
    """Return the status of a plan from its items.

    A plan whose items need no trade is a success.
    """
    if differences or any(order.outcome is Outcome.UNRESOLVED for order in orders):
        return ExecutionStatus.UNRESOLVED
    if not any(order.needs_attention for order in orders):
        has_skips = any(order.skipped for order in orders) and any(order.success for order in orders)
        return ExecutionStatus.SUCCESS_WITH_SKIPS if has_skips else ExecutionStatus.SUCCESS
    if any(order.shares > 0 for order in orders):
        return ExecutionStatus.PARTIAL_SUCCESS
    return ExecutionStatus.FAILURE


def _order_result(
    item: RebalancePlanItem, parent: ParentOrder | None, end: PlanEnd, style: ExecutionStyle
) -> OrderResult:
    if item.action is Action.HOLD:
        return _hold(item, end.at)
    if parent is None:
        text = "the journal has no order for this item; check the orders at the broker"
        parent = blank_parent(item).settled(Outcome.UNRESOLVED, Code.JOURNAL_INCOMPLETE, text, end.at)
    filled, value, last = parent.filled_qty, parent.filled_value, parent.last_child
    priced = filled > 0 and all(c.filled_avg_price is not None for c in parent.children if c.filled_qty)
    mid = parent.arrival.mid if parent.arrival is not None else None
    outcome = parent.outcome or Outcome.UNRESOLVED
    return OrderResult(
        symbol=item.symbol,
        action=item.action,
        outcome=outcome,
        success=outcome is not Outcome.UNRESOLVED and reaches_request(parent, filled, end.success_tolerance),
        skipped=outcome is Outcome.SKIPPED,
        skip_reason=parent.code if outcome is Outcome.SKIPPED else None,
        error_code=parent.code,
        error_message=parent.message,
        trade_amount=value if parent.side is Side.BUY else -value,
        planned_trade_amount=item.trade_amount,
        shares=filled,
        planned_shares=parent.qty,
        requested_trade_amount=parent.requested_amount,
        requested_shares=parent.requested,
        price=_average(parent, filled, value) if priced else None,
        expected_price=mid,
        **_forecast_fields(parent.forecast),
        **_shortfall_fields(of_parent(parent), value),
        execution_style=style,
        order_type=last.type if last is not None else None,
        order_id=last.order_id if last is not None else None,
        client_order_id=last.client_order_id if last is not None else None,
        children=tuple(_child_result(child) for child in parent.children),
        current_weight=item.current_weight,
        target_weight=item.target_weight,
        filled_at=max((at for child in parent.children if (at := _filled_at(child)) is not None), default=None),
        timestamp=parent.settled_at or end.at,
    )


def _filled_at(child: ChildOrder) -> datetime | None:
    """Return the time of a child's latest fill; when it ended, if the broker does not report it; None without fills."""
    return (child.filled_at or child.closed_at) if child.filled_qty else None


def reaches_request(parent: ParentOrder, shares: Decimal, tolerance: Decimal) -> bool:
    """Return whether ``shares`` reach those that the plan asked for, less ``tolerance``, a fraction of them.

    Where only whole shares trade, the fraction of a share that cannot be traded may be missing as well.
    """
    least = parent.requested * (1 - tolerance)
    if not parent.fractionable:
        least = min(least, floor_qty(parent.requested, fractionable=False))
    return shares > 0 and shares >= least


def _is_scaled(parent: ParentOrder) -> bool:
    """Return whether the order was reduced by more than the fraction of a share that cannot be traded."""
    return parent.qty < floor_qty(parent.requested, fractionable=parent.fractionable)


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
        requested_trade_amount=ZERO,
        requested_shares=ZERO,
        price=None,
        expected_price=None,
        slippage_amount=None,
        slippage_bps=None,
        current_weight=item.current_weight,
        target_weight=item.target_weight,
        timestamp=now,
    )


def _child_result(child: ChildOrder) -> ChildResult:
    return ChildResult(
        client_order_id=child.client_order_id,
        order_id=child.order_id,
        status=child.status or child.state.lower(),
        type=child.type,
        time_in_force=child.time_in_force,
        limit_price=child.limit_price,
        qty=child.qty,
        filled_qty=child.filled_qty,
        filled_avg_price=child.filled_avg_price,
        submitted_at=child.submitted_at,
        filled_at=child.filled_at,
        closed_at=child.closed_at,
    )


def _forecast_fields(forecast: CostForecast | None) -> dict[str, Any]:
    if forecast is None:
        return {}
    return {f"forecast_{name}": value for name, value in asdict(forecast).items()}


def _shortfall_fields(shortfall: Shortfall | None, filled_dollars: Decimal) -> dict[str, Decimal | None]:
    """Return the fields of a shortfall; its parts sum to the total, in dollars and in basis points."""
    if shortfall is None:
        return {"slippage_amount": None, "slippage_bps": None}
    amounts = {
        "slippage_amount": shortfall.total,
        "delay_amount": shortfall.delay,
        "timing_amount": shortfall.timing,
        "spread_amount": shortfall.spread,
        "residual_amount": shortfall.residual,
    }
    if not filled_dollars:
        return {**amounts, "slippage_bps": None}
    total = _bps(shortfall.total, filled_dollars)
    delay, timing = _bps(shortfall.delay, filled_dollars), _bps(shortfall.timing, filled_dollars)
    spread = _bps(shortfall.spread, filled_dollars)
    residual = total - delay - timing - spread
    parts = {"delay_bps": delay, "timing_bps": timing, "spread_bps": spread, "residual_bps": residual}
    return {**amounts, "slippage_bps": total, **parts}


def _average(parent: ParentOrder, filled: Decimal, value: Decimal) -> Decimal:
    """Return the average fill price; the broker's own price, unrounded, if all fills have the same."""
    prices = {child.filled_avg_price for child in parent.children if child.filled_qty}
    single = prices.pop() if len(prices) == 1 else None
    return single if single is not None else (value / filled).quantize(_PRICE_STEP, rounding=ROUND_HALF_EVEN)


def _bps(amount: Decimal, of: Decimal) -> Decimal:
    return (amount / of * _BPS).quantize(_BPS_STEP, rounding=ROUND_HALF_EVEN)
