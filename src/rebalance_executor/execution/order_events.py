"""Log lines of child orders at the broker and of items of the plan."""

from __future__ import annotations

from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome, ParentOrder
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import EventLog

_EVENT_BY_OUTCOME = {
    Outcome.FILLED: LogEvent.ITEM_FILLED,
    Outcome.PARTIALLY_FILLED: LogEvent.ITEM_PARTIALLY_FILLED,
    Outcome.UNFILLED: LogEvent.ITEM_UNFILLED,
    Outcome.REJECTED: LogEvent.ITEM_REJECTED,
    Outcome.DENIED: LogEvent.ITEM_DENIED,
    Outcome.SKIPPED: LogEvent.ITEM_SKIPPED,
    Outcome.UNRESOLVED: LogEvent.ITEM_UNRESOLVED,
}
_EVENT_BY_STATE = {
    ChildState.FILLED: LogEvent.ORDER_FILLED,
    ChildState.CANCELED: LogEvent.ORDER_CANCELED,
    ChildState.EXPIRED: LogEvent.ORDER_EXPIRED,
    ChildState.REJECTED: LogEvent.ORDER_REJECTED,
    ChildState.REPLACED: LogEvent.ORDER_REPLACED,
}
"""By the states that a broker's report can end in."""


def log_closed(log: EventLog, symbol: str, child: ChildOrder) -> None:
    """Log how a child order ended at the broker, with its filled quantity."""
    log.emit(_EVENT_BY_STATE[child.state], symbol=symbol, **child_fields(child))


def log_outcome(log: EventLog, parent: ParentOrder) -> None:
    """Log the outcome of an item whose parent was just settled; log nothing for an unsettled one."""
    if parent.outcome is None:
        return
    log.emit(
        _EVENT_BY_OUTCOME[parent.outcome],
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


def child_fields(child: ChildOrder) -> dict[str, object]:
    """Return a child order's fields for the log."""
    return {
        "client_order_id": child.client_order_id,
        "attempt": child.attempt,
        "order_id": child.order_id,
        "status": child.status,
        "type": child.type,
        "qty": child.qty,
        "limit_price": child.limit_price,
        "spread_fraction": child.spread_fraction,
        "bid": child.bid,
        "ask": child.ask,
        "filled_qty": child.filled_qty,
        "filled_avg_price": child.filled_avg_price,
    }


def log_retargeted(log: EventLog, parent: ParentOrder) -> None:
    """Log the dollars to the target of an item that is sized by its target; log nothing for any other."""
    if parent.target_amount is None:
        return
    log.emit(
        LogEvent.ITEM_RETARGETED,
        symbol=parent.symbol,
        side=parent.side,
        planned_amount=parent.planned_amount,
        target_amount=parent.target_amount,
        qty=parent.qty,
    )


def log_scaled(log: EventLog, parent: ParentOrder) -> None:
    """Log that an item's quantity was reduced, with its code and reason."""
    log.emit(LogEvent.ITEM_SCALED, symbol=parent.symbol, qty=parent.qty, code=parent.code, reason=parent.message)
