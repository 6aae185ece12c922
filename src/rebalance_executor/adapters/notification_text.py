"""Text of notifications: a one-line subject, and a body that lists the orders that need attention."""

from __future__ import annotations

from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.plan import Action
from rebalance_executor.domain.result import ExecutionResult, OrderResult
from rebalance_executor.domain.values import format_decimal, format_utc

MAX_SUBJECT = 100
"""SNS limits a subject to 100 printable ASCII characters."""

MAX_ORDERS = 100
"""Orders listed in a text. The stored result contains all of them."""

_URGENCY = {
    Outcome.UNRESOLVED: 0,
    Outcome.REJECTED: 1,
    Outcome.DENIED: 2,
    Outcome.PARTIALLY_FILLED: 3,
    Outcome.UNFILLED: 4,
}
"""Outcomes that need attention, with their position in the list. FILLED and SKIPPED need none."""


def needs_attention(result: ExecutionResult) -> list[OrderResult]:
    """Return the orders that did not end as planned, most urgent first."""
    urgent = [order for order in result.orders if order.outcome in _URGENCY]
    return sorted(urgent, key=lambda order: (_URGENCY[order.outcome], order.symbol))


def subject(result: ExecutionResult) -> str:
    """Return the subject: status, account and the number of orders that need attention."""
    urgent, total = len(needs_attention(result)), len(result.orders)
    summary = f"{urgent} of {total} orders need attention" if urgent else "nothing needs attention"
    text = f"Rebalance {result.status.value.replace('_', ' ').upper()}: {result.account}, {summary}"
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:MAX_SUBJECT]


def text(result: ExecutionResult) -> str:
    """Return the text: the totals and the orders that need attention."""
    lines = [
        _line("Account", result.account),
        _line("Plan", result.plan_id),
        _line("Status", result.status.value),
        _line("Filled", f"{result.orders_succeeded} of {_traded(result)} orders, ${result.total_trade_value:,.2f}"),
    ]
    if result.slippage_bps is not None:
        lines.append(_line("Slippage", f"{result.slippage_bps:.1f} bps against arrival mid"))
    lines += [
        _line("Started", format_utc(result.started_at)),
        _line("Finished", format_utc(result.execution_timestamp)),
        _line("Runs", str(result.runs)),
        _line("Correlation", result.correlation_id),
        "",
    ]
    urgent = needs_attention(result)
    lines.append("Orders that need attention:" if urgent else "Nothing needs attention.")
    lines += [_order(order) for order in urgent[:MAX_ORDERS]]
    if len(urgent) > MAX_ORDERS:
        lines.append(f"  and {len(urgent) - MAX_ORDERS} more, see the stored result")
    return "\n".join(lines) + "\n"


def _traded(result: ExecutionResult) -> int:
    return sum(order.action is not Action.HOLD for order in result.orders)


def _order(order: OrderResult) -> str:
    shares = f"{format_decimal(order.shares)} of {format_decimal(order.planned_shares)} shares"
    reason = ": ".join(part for part in (order.error_code, order.error_message) if part)
    order_id = f" [{order.client_order_id}]" if order.outcome is Outcome.UNRESOLVED and order.client_order_id else ""
    suffix = f" - {reason}" if reason else ""
    return f"  {order.symbol} {order.action.value} {order.outcome.value}, {shares}{order_id}{suffix}"


def _line(name: str, value: str) -> str:
    return f"{name:<12}{value}"
