"""Previews: the outcome that a plan would have now, computed by the code that executes plans, on read-only ports.

``PreTrade`` sizes the items and applies the controls, the cash gate scales the buys to the expected proceeds of the
sells at the bid, and ``decide`` prices the first order of each item. Nothing is sent and nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from rebalance_cli.context import CliContext
from rebalance_cli.outputs import Decision, Preview, PreviewOrder
from rebalance_executor.domain.auction import time_in_force
from rebalance_executor.domain.cash import buy_budget, buy_funds, funds, scale_to_budget
from rebalance_executor.domain.codes import NO_TRADE_NEEDED, Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.decisions import DecisionContext, Place, Settle
from rebalance_executor.domain.errors import PlanExpired
from rebalance_executor.domain.forecast import CostForecast, Weighted, of_plan
from rebalance_executor.domain.ladder import WaveSchedule, cross_by
from rebalance_executor.domain.market import (
    ZERO,
    Quote,
    Side,
    TimeInForce,
)
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.plan import Action, RebalancePlan, RebalancePlanItem
from rebalance_executor.domain.plan_controls import check_fresh
from rebalance_executor.domain.pricing import far_touch
from rebalance_executor.domain.result_builder import reaches_request
from rebalance_executor.domain.slicing import slices_of
from rebalance_executor.domain.strategy import decide
from rebalance_executor.domain.values import cents, format_time
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.ports import Lease
from rebalance_executor.execution.pretrade import PreTrade
from rebalance_executor.execution.read_only import ReadOnlyBroker, read_only
from rebalance_executor.execution.run import Run

_CENT = Decimal("0.01")
_BPS = 10_000


def preview_plan(ctx: CliContext, plan: RebalancePlan, account: str) -> Preview:
    """Return the outcome that the plan would have if it started now.

    Raises:
        BrokerUnavailable, JournalUnavailable: a read failed.
    """
    config, now = ctx.config, ctx.now
    expired: tuple[str, str] | None = None
    try:
        check_fresh(
            plan, now, max_age_minutes=config.max_plan_age_minutes, max_skew_seconds=config.max_clock_skew_seconds
        )
    except PlanExpired as error:
        expired = (error.code, str(error))
    deadline = ctx.deadline()
    broker = ReadOnlyBroker(ctx.ports.brokers(account, deadline))
    ports = read_only(ctx.ports, ctx.risk_store.binding)
    access = AccountAccess.create(account, broker, ports, config)
    lease = Lease(account=account, epoch=0, run_id="preview", expires_at=now + timedelta(minutes=1))
    pretrade = PreTrade(access)
    run = pretrade.start(plan, lease, deadline)
    quotes = access.quotes.latest
    budget = _scale_buys(run, broker, quotes, config, now) if plan.trades else None
    items = tuple(_preview_item(item, run, quotes, config, now) for item in plan.items)
    _forecast(pretrade, run, config, now)
    orders = tuple(_with_forecast(_judged(order, run, config), run) for order in items)
    return _summarize(run, orders, budget, expired or _common_denial(orders))


def _scale_buys(
    run: Run, broker: ReadOnlyBroker, quotes: Mapping[str, Quote], config: ExecutionConfig, now: datetime
) -> Decimal | None:
    """Scale the buys as if every sell outside of auctions had filled at the far touch; return their budget."""
    buys = run.unsettled(Side.BUY)
    if not buys:
        return None
    sells = [sell for sell in run.unsettled(Side.SELL) if sell.auction is None]  # no buy uses those of an auction
    proceeds = sum((sell.qty * far_touch(Side.SELL, quotes[sell.symbol]) for sell in sells), ZERO)
    expected = run.state.starting_funds + proceeds
    account = replace(broker.account(), cash=expected, buying_power=expected)
    budget = buy_budget(buy_funds(funds(account), expected), config)
    for parent in scale_to_budget(buys, quotes, budget, config, now):
        run.work.update_parent(parent)
    return budget


def _preview_item(
    item: RebalancePlanItem, run: Run, quotes: Mapping[str, Quote], config: ExecutionConfig, now: datetime
) -> PreviewOrder:
    parent = run.parents.get(item.symbol)
    if parent is None:
        return _preview_order(item, None, Decision.SKIP, Code.HOLD, "the plan requests no trade")
    if parent.outcome is not None:
        decision = Decision.SKIP if parent.outcome is Outcome.SKIPPED else Decision.DENY
        return _preview_order(item, parent, decision, parent.code, parent.message)
    schedule = _schedule(run, parent.side, config, now)
    context = DecisionContext(now=now, quote=quotes.get(item.symbol), schedule=schedule)
    next_action = decide(parent, context, config)
    if isinstance(next_action, Settle):
        return _preview_order(item, parent, Decision.DENY, next_action.code, next_action.message)
    first = next_action if isinstance(next_action, Place) else None
    slices = slices_of(parent, schedule, now, config.for_symbol(item.symbol))
    code = parent.code or (first.note if first is not None else None)
    message = parent.message or (f"in {slices}" if slices is not None else _auction_text(parent))
    return _preview_order(item, parent, Decision.SEND, code, message, first=first)


def _auction_text(parent: ParentOrder) -> str | None:
    """Return the auction of an order that is for one, and until when it can be sent."""
    auction = parent.auction
    if auction is None:
        return None
    at, cutoff = format_time(auction.at), format_time(auction.cutoff)
    return f"in the auction at the {auction.kind}, {at}, sent before {cutoff}"


def _schedule(run: Run, side: Side, config: ExecutionConfig, now: datetime) -> WaveSchedule:
    """Return the schedule of a wave. The time of the function's runs is not known here, only plan and session."""
    ends = min(end for end in (run.plan_ends_at, run.closes_at) if end is not None)
    return replace(run.wave_schedule(side, config), plan_cross_by=cross_by(now, ends, buys_follow=False))


def _forecast(pretrade: PreTrade, run: Run, config: ExecutionConfig, now: datetime) -> None:
    """Make the forecasts again, for the scaled buys and without the time of the function's runs."""
    for parent in run.unsettled():
        one = pretrade.forecasts.of(parent, _schedule(run, parent.side, config, now))
        run.work.update_parent(replace(parent, forecast=one))


def _with_forecast(order: PreviewOrder, run: Run) -> PreviewOrder:
    """Return an order that would be sent with its forecast in basis points and dollars."""
    parent = run.parents.get(order.symbol)
    one = parent.forecast if parent is not None else None
    if order.decision is not Decision.SEND or one is None:
        return order
    return order.model_copy(update=_cost_fields(one, abs(order.estimated_amount)))


def _cost_fields(one: CostForecast, dollars: Decimal) -> dict[str, Decimal | str | None]:
    return {
        "forecast_bps": one.bps,
        "forecast_low_bps": one.low_bps,
        "forecast_high_bps": one.high_bps,
        "forecast_reason": one.reason,
        "estimated_cost": None if one.bps is None else (dollars * one.bps / _BPS).quantize(_CENT),
    }


def _judged(order: PreviewOrder, run: Run, config: ExecutionConfig) -> PreviewOrder:
    """Return the order with the answer to whether it reaches what the plan asks for."""
    is_planned = order.code in NO_TRADE_NEEDED
    if order.decision is Decision.SEND:
        is_planned = reaches_request(run.parents[order.symbol], order.qty, config.success_tolerance)
    return order.model_copy(update={"as_planned": is_planned})


def _preview_order(
    item: RebalancePlanItem,
    parent: ParentOrder | None,
    decision: Decision,
    code: str | None,
    message: str | None,
    *,
    first: Place | None = None,
) -> PreviewOrder:
    arrival = parent.arrival if parent is not None else None
    qty = parent.qty if parent is not None and decision is Decision.SEND else ZERO
    amount = ZERO
    if arrival is not None:
        amount = (qty * arrival.mid).quantize(_CENT) * (-1 if item.action is Action.SELL else 1)
    return PreviewOrder(
        symbol=item.symbol,
        action=item.action,
        decision=decision,
        code=code,
        message=message,
        planned_amount=item.trade_amount,
        requested_amount=parent.requested_amount if parent is not None else ZERO,
        qty=qty,
        requested_qty=parent.requested if parent is not None else ZERO,
        type=first.type.value if first is not None else None,
        time_in_force=TimeInForce.DAY if parent is None or parent.auction is None else time_in_force(parent.auction),
        limit_price=first.limit_price if first is not None else None,
        bid=arrival.bid if arrival is not None else None,
        ask=arrival.ask if arrival is not None else None,
        estimated_amount=amount,
    )


def _common_denial(orders: Sequence[PreviewOrder]) -> tuple[str, str] | None:
    """Return code and message if all orders are denied for the same reason; otherwise None."""
    decisions = {(order.code, order.message, order.decision) for order in orders if order.action is not Action.HOLD}
    if len(decisions) != 1:
        return None
    code, message, decision = decisions.pop()
    return (code, message or "") if decision is Decision.DENY and code is not None else None


def _summarize(
    run: Run,
    orders: tuple[PreviewOrder, ...],
    budget: Decimal | None,
    denial: tuple[str, str] | None,
) -> Preview:
    sells = -sum((o.estimated_amount for o in orders if o.action is Action.SELL), ZERO)
    buys = sum((o.estimated_amount for o in orders if o.action is Action.BUY), ZERO)
    dollars = {order.symbol: abs(order.estimated_amount) for order in orders if order.decision is Decision.SEND}
    parents = [run.parents[symbol] for symbol in dollars]
    one = of_plan(Weighted(p.symbol, p.side, dollars[p.symbol], p.forecast) for p in parents)
    costs = _cost_fields(one or CostForecast(), sells + buys)
    cost = costs["estimated_cost"]
    cash = cents(run.state.starting_funds)
    return Preview(
        plan_id=run.plan.plan_id,
        account=run.state.account,
        account_number=run.state.account_number,
        broker=run.state.broker,
        content_hash=run.plan.content_hash,
        size_by=run.state.size_by,
        equity=run.state.equity,
        code=denial[0] if denial is not None else None,
        message=denial[1] if denial is not None else None,
        orders=orders,
        sells=sells,
        buys=buys,
        cash=cash,
        cash_after=cash + sells - buys - (cost if isinstance(cost, Decimal) else ZERO),
        buy_budget=budget,
    ).model_copy(update=costs)
