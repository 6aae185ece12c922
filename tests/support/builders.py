"""Valid plans, quotes and orders for tests, changed by keyword. One symbol, ABC, at about $10."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from rebalance_executor.domain.journal import PlanPhase, PlanState
from rebalance_executor.domain.market import (
    Account,
    Arrival,
    Asset,
    BrokerKind,
    BrokerOrder,
    OrderRequest,
    OrderType,
    Position,
    Quote,
    Side,
    SymbolSnapshot,
    Trade,
)
from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome, ParentOrder
from rebalance_executor.domain.plan import RebalancePlan, RebalancePlanItem
from rebalance_executor.domain.previous_close import NO_PREVIOUS_CLOSE, PreviousClose

NOW = datetime(2026, 1, 26, 15, tzinfo=UTC)
"""10:00 in New York; the market is open."""

BUY, SELL = Side.BUY, Side.SELL


def later(seconds: float) -> datetime:
    """Return ``NOW`` plus ``seconds``."""
    return NOW + timedelta(seconds=seconds)


def an_item_document(
    symbol: str = "ABC", action: str = "BUY", amount: object = "1000", **fields: object
) -> dict[str, Any]:
    """Build an item as decoded JSON."""
    return {
        "symbol": symbol,
        "action": action,
        "trade_amount": amount,
        "current_weight": "0",
        "target_weight": "0.2",
        "weight_diff": "0.1",
        "target_value": "20000",
        "current_value": "0",
        "priority": 1,
    } | fields


def a_plan_document(*items: object, **fields: object) -> dict[str, Any]:
    """Build a plan as decoded JSON, with one buy unless items are given."""
    return {
        "plan_id": "plan-1",
        "correlation_id": "correlation-1",
        "causation_id": "causation-1",
        "timestamp": "2026-01-26T15:00:00Z",
        "items": list(items) or [an_item_document()],
        "total_portfolio_value": "100000",
        "total_trade_value": "1000",
    } | fields


def an_item(symbol: str = "ABC", action: str = "BUY", amount: object = "1000", **fields: object) -> RebalancePlanItem:
    """Build an item."""
    return RebalancePlanItem.model_validate(an_item_document(symbol, action, amount, **fields))


def an_exit(symbol: str = "ABC", amount: object = "-1000", **fields: object) -> RebalancePlanItem:
    """Build a SELL with a target value of zero."""
    return an_item(symbol, "SELL", amount, target_value="0", target_weight="0", **fields)


def a_plan(*items: RebalancePlanItem, **fields: object) -> RebalancePlan:
    """Build a plan, with one buy unless items are given."""
    return RebalancePlan.parse(a_plan_document(*(item.model_dump() for item in items), **fields))


def an_order_of(request: OrderRequest, **fields: Any) -> BrokerOrder:
    """Build the open order that the broker creates for this request."""
    order = BrokerOrder(
        id="order-x",
        client_order_id=request.client_order_id,
        symbol=request.symbol,
        side=request.side,
        type=request.type,
        status="new",
        qty=request.qty,
        filled_qty=Decimal(0),
        filled_avg_price=None,
        limit_price=request.limit_price,
        submitted_at=NOW,
        closed_at=None,
    )
    return replace(order, **fields)


def a_quote(bid: str = "9.99", ask: str = "10.01", *, symbol: str = "ABC", at: datetime = NOW) -> Quote:
    """Build a quote around $10."""
    return Quote(symbol, Decimal(bid), Decimal(ask), bid_size=Decimal(100), ask_size=Decimal(100), at=at)


def a_trade(price: str = "10", *, symbol: str = "ABC", at: datetime = NOW) -> Quote:
    """Build a quote from the last trade."""
    return Quote.of_trade(Trade(symbol, Decimal(price), at))


def an_asset(*, fractionable: bool = True, tradable: bool = True, status: str = "active", symbol: str = "ABC") -> Asset:
    """Build an asset, tradable by default."""
    return Asset(symbol, status, tradable=tradable, fractionable=fractionable)


def a_position(qty: str, available: str | None = None, *, symbol: str = "ABC") -> Position:
    """Build a position; all shares are available unless ``available`` is given."""
    return Position(symbol, Decimal(qty), Decimal(qty if available is None else available))


def a_snapshot(
    position: Position | None = None,
    *,
    quote: Quote | None = a_quote(),  # noqa: B008 - a frozen value
    asset: Asset | None = an_asset(),  # noqa: B008 - a frozen value
    market_close: PreviousClose | None = NO_PREVIOUS_CLOSE,
    **fields: Any,
) -> SymbolSnapshot:
    """Build the data of a symbol that was listed today, so that its price is not compared with a previous close."""
    return SymbolSnapshot(asset, quote, position, market_close=market_close, **fields)


def an_account(cash: str = "10000", buying_power: str | None = None) -> Account:
    """Build an active account; its buying power is its cash unless given."""
    power = Decimal(cash if buying_power is None else buying_power)
    return Account("PA1", "ACTIVE", cash=Decimal(cash), buying_power=power, blocked_by=None)


def an_order(
    status: str = "new",
    *,
    filled: str = "0",
    price: str | None = None,
    qty: str = "10",
    side: str = "buy",
    submitted_at: datetime | None = NOW,
    closed_at: datetime | None = None,
) -> BrokerOrder:
    """Build the broker's report of an order for ten shares of ABC."""
    return BrokerOrder(
        id="order-1",
        client_order_id="client-1",
        symbol="ABC",
        side=side,
        type="limit",
        status=status,
        qty=Decimal(qty),
        filled_qty=Decimal(filled),
        filled_avg_price=_decimal(price),
        limit_price=Decimal("10.01"),
        submitted_at=submitted_at,
        closed_at=closed_at,
    )


def a_child(
    state: ChildState = ChildState.LIVE,
    *,
    attempt: int = 1,
    qty: str = "10",
    filled: str = "0",
    price: str | None = None,
    limit: str | None = "10.01",
    **fields: Any,
) -> ChildOrder:
    """Build a child order for ten shares; a market order if ``limit`` is None."""
    at_broker = state not in (ChildState.INTENDED, ChildState.UNKNOWN, ChildState.NOT_SENT)
    return ChildOrder(
        attempt=attempt,
        client_order_id=f"client-{attempt}",
        type=OrderType.LIMIT if limit is not None else OrderType.MARKET,
        qty=Decimal(qty),
        limit_price=_decimal(limit),
        state=state,
        filled_qty=Decimal(filled),
        filled_avg_price=_decimal(price),
        **({"intended_at": NOW, "order_id": f"order-{attempt}" if at_broker else None} | fields),
    )


def a_filled_child(qty: str = "10", price: str = "10.01", **fields: Any) -> ChildOrder:
    """Build a filled child order."""
    return a_child(ChildState.FILLED, qty=qty, filled=qty, price=price, **fields)


def a_parent(
    *children: ChildOrder,
    side: Side = BUY,
    qty: str = "10",
    symbol: str = "ABC",
    priority: int = 1,
    arrival: Quote | None = a_quote(),  # noqa: B008 - a frozen value
    outcome: Outcome | None = None,
    **fields: Any,
) -> ParentOrder:
    """Build a parent order for ten shares with an arrival quote of $9.99 to $10.01."""
    return ParentOrder(
        symbol=symbol,
        side=side,
        priority=priority,
        qty=Decimal(qty),
        arrival=Arrival(arrival.bid, arrival.ask, arrival.at) if arrival is not None else None,
        children=children,
        outcome=outcome,
        **({"planned_amount": Decimal(100 if side is BUY else -100)} | fields),
    )


def a_state(plan: RebalancePlan, *, runs: int = 1) -> PlanState:
    """Build the state of a plan that started at ``NOW`` on the account ``default``."""
    return PlanState(
        account="default",
        plan_id=plan.plan_id,
        content_hash=plan.content_hash,
        correlation_id=plan.correlation_id,
        causation_id=plan.causation_id,
        started_at=NOW,
        phase=PlanPhase.FINISHED,
        runs=runs,
        starting_funds=Decimal(10_000),
        broker=BrokerKind.PAPER,
        urgency=plan.execution_urgency,
    )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
