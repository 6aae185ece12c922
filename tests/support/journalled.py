"""Plans, orders and results as the journal stores them, for tests."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from rebalance_executor.domain.forecast import CostForecast
from rebalance_executor.domain.journal import PlanPhase, PlanState
from rebalance_executor.domain.market import Arrival, BrokerKind, OrderType, Side
from rebalance_executor.domain.order_ids import child_order_id
from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome, ParentOrder
from rebalance_executor.domain.plan import Action
from rebalance_executor.domain.result import ChildResult, ExecutionResult, ExecutionStatus, OrderResult
from tests.support.builders import NOW

ACCOUNT = "main"
PLAN_ID = "plan-1"


def state(**changes: Any) -> PlanState:
    """Return the state of a plan in progress."""
    fields: dict[str, Any] = {
        "account": ACCOUNT,
        "plan_id": PLAN_ID,
        "content_hash": "aa11",
        "correlation_id": "correlation",
        "causation_id": "causation",
        "started_at": NOW,
        "phase": PlanPhase.SELLS,
        "runs": 1,
        "starting_funds": Decimal("1234.56"),
        "broker": BrokerKind.PAPER,
        "account_number": "PA123",
    }
    return PlanState(**fields | changes)


def child(symbol: str = "AAPL", **changes: Any) -> ChildOrder:
    """Return a child order that is journalled and not sent yet."""
    fields: dict[str, Any] = {
        "attempt": 1,
        "client_order_id": child_order_id(ACCOUNT, PLAN_ID, symbol, 1),
        "type": OrderType.LIMIT,
        "qty": Decimal("7.2273576"),
        "limit_price": Decimal("101.50"),
        "intended_at": NOW,
    }
    return ChildOrder(**fields | changes)


def filled_child(symbol: str = "AAPL") -> ChildOrder:
    """Return a filled child order with all details of its fill."""
    return child(
        symbol,
        state=ChildState.FILLED,
        order_id=f"order-{symbol}",
        status="filled",
        filled_qty=Decimal("7.2273576"),
        filled_avg_price=Decimal("101.4987654321"),
        submitted_at=NOW + timedelta(milliseconds=123),
        closed_at=NOW + timedelta(seconds=2),
    )


def parent(symbol: str = "AAPL", **changes: Any) -> ParentOrder:
    """Return a parent order without child orders."""
    fields: dict[str, Any] = {
        "symbol": symbol,
        "side": Side.SELL,
        "priority": 1,
        "planned_amount": Decimal("-733.58"),
        "qty": Decimal("7.2273576"),
        "arrival": Arrival(Decimal("101.49"), Decimal("101.53"), NOW),
    }
    return ParentOrder(**fields | changes)


def filled_parent(symbol: str = "AAPL") -> ParentOrder:
    """Return a parent order that its only child order filled."""
    return parent(symbol, children=(filled_child(symbol),)).settled(Outcome.FILLED, None, None, NOW)


def realistic_parent(symbol: str = "GOOGL", children: int = 1) -> ParentOrder:
    """Return a finished parent with values as long as those of a real account: IDs, fractions and microseconds."""
    numbers = Random(symbol)  # noqa: S311 - not for security

    def at() -> datetime:
        return NOW + timedelta(microseconds=numbers.randrange(10**8))

    def amount(digits: int) -> Decimal:
        return Decimal(numbers.randrange(10 ** (digits + 2), 10 ** (digits + 3))).scaleb(-digits)

    orders = [
        ChildOrder(
            attempt=number,
            client_order_id=child_order_id("default", "rebalance-2026-01-26-daily", symbol, number),
            type=OrderType.LIMIT,
            qty=amount(9),
            limit_price=amount(2),
            intended_at=at(),
            sent_at=at(),
            state=ChildState.FILLED,
            order_id=str(UUID(int=numbers.getrandbits(128))),
            status="filled",
            filled_qty=amount(9),
            filled_avg_price=amount(6),
            submitted_at=at(),
            filled_at=at(),
            fill_seen_at=at(),
            closed_at=at(),
            spread_fraction=Decimal("0.50"),
            bid=amount(2),
            ask=amount(2),
        )
        for number in range(1, children + 1)
    ]
    return ParentOrder(
        symbol=symbol,
        side=Side.BUY,
        priority=1,
        planned_amount=amount(2),
        qty=amount(9),
        requested_qty=amount(9),
        target_amount=amount(2),
        arrival=Arrival(amount(2), amount(2), at(), Decimal(300)),
        children=tuple(orders),
        outcome=Outcome.FILLED,
        settled_at=at(),
        previous_close=amount(2),
        held_before=amount(4),
        average_volume=amount(1),
        forecast=CostForecast(Decimal("3.21"), Decimal("-4.56"), Decimal("10.98")),
    )


def order_result(symbol: str = "AAPL", *, children: int = 1) -> OrderResult:
    """Return the result of a filled item."""
    return OrderResult(
        symbol=symbol,
        action=Action.SELL,
        outcome=Outcome.FILLED,
        success=True,
        skipped=False,
        trade_amount=Decimal("-733.57"),
        planned_trade_amount=Decimal("-733.58"),
        shares=Decimal("7.2273576"),
        planned_shares=Decimal("7.2273576"),
        requested_trade_amount=Decimal("-733.58"),
        requested_shares=Decimal("7.2273576"),
        price=Decimal("101.4987654321"),
        expected_price=Decimal("101.51"),
        slippage_amount=Decimal("0.0812"),
        slippage_bps=Decimal("1.1068"),
        children=tuple(_child_result(symbol, attempt) for attempt in range(1, children + 1)),
        timestamp=NOW,
    )


def result(orders: tuple[OrderResult, ...] | None = None, **changes: Any) -> ExecutionResult:
    """Return the result of a plan; by default of one with a single filled item."""
    items = orders if orders is not None else (order_result(),)
    fields: dict[str, Any] = {
        "plan_id": PLAN_ID,
        "correlation_id": "correlation",
        "causation_id": "causation",
        "account": ACCOUNT,
        "broker": BrokerKind.PAPER,
        "status": ExecutionStatus.SUCCESS,
        "success": True,
        "orders": items,
        "orders_placed": len(items),
        "orders_succeeded": len(items),
        "orders_skipped": 0,
        "orders_denied": 0,
        "total_trade_value": Decimal("733.57"),
        "started_at": NOW,
        "execution_timestamp": NOW + timedelta(seconds=3, microseconds=5),
        "runs": 1,
        "slippage_bps": Decimal("1.1068"),
    }
    return ExecutionResult(**fields | changes)


def _child_result(symbol: str, attempt: int) -> ChildResult:
    return ChildResult(
        client_order_id=child_order_id(ACCOUNT, PLAN_ID, symbol, attempt),
        order_id=f"order-{symbol}-{attempt}",
        status="filled",
        type="limit",
        limit_price=Decimal("101.5"),
        qty=Decimal("7.2273576"),
        filled_qty=Decimal("7.2273576"),
        filled_avg_price=Decimal("101.4987654321"),
        submitted_at=NOW,
        closed_at=NOW,
    )


def incompressible(length: int) -> str:
    """Return a text of which packing saves a quarter at most."""
    return base64.b64encode(Random(length).randbytes(length)).decode()[:length]  # noqa: S311 - not for security
