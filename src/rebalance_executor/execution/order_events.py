"""How orders are told: denied, skipped, rejected and unresolved ones are different events."""

from __future__ import annotations

from rebalance_executor.domain.orders import ChildOrder, Outcome, ParentOrder
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import EventLog


def tell_outcome(log: EventLog, parent: ParentOrder) -> None:
    """One log event for a parent that was just settled."""
    events = {
        Outcome.FILLED: LogEvent.ORDER_FILLED,
        Outcome.DENIED: LogEvent.ORDER_DENIED,
        Outcome.SKIPPED: LogEvent.ORDER_SKIPPED,
        Outcome.REJECTED: LogEvent.ORDER_FAILED,
        Outcome.UNRESOLVED: LogEvent.ORDER_UNRESOLVED,
    }
    if parent.outcome is None:
        return
    log.emit(
        events.get(parent.outcome, LogEvent.ORDER_UNFINISHED),
        symbol=parent.symbol,
        side=parent.side,
        outcome=parent.outcome,
        qty=parent.qty,
        filled_qty=parent.filled_qty,
        filled_value=parent.filled_value,
        children=len(parent.children),
        code=parent.code,
        reason=parent.message,
    )


def told(child: ChildOrder) -> dict[str, object]:
    """A child order's fields for the log."""
    return {
        "client_order_id": child.client_order_id,
        "attempt": child.attempt,
        "order_id": child.order_id,
        "status": child.status,
        "type": child.type,
        "qty": child.qty,
        "limit_price": child.limit_price,
        "aim": child.aim,
        "bid": child.bid,
        "ask": child.ask,
        "filled_qty": child.filled_qty,
        "filled_avg_price": child.filled_avg_price,
    }
