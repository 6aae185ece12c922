"""What people are told of a result: a subject of one line, and a text that begins with what needs attention."""

from __future__ import annotations

from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.plan import Action
from rebalance_executor.domain.result import ExecutionResult, OrderResult
from rebalance_executor.domain.values import format_decimal, format_utc

MAX_SUBJECT = 100
"""Characters; SNS takes fewer than 101, printable ASCII only."""

MAX_ORDERS = 100
"""Orders that are listed; the result itself has all of them."""

_URGENCY = {
    Outcome.UNRESOLVED: 0,
    Outcome.REJECTED: 1,
    Outcome.DENIED: 2,
    Outcome.PARTIALLY_FILLED: 3,
    Outcome.UNFILLED: 4,
}
"""What needs attention, in the order of the list. FILLED and SKIPPED need none."""


def needs_attention(result: ExecutionResult) -> list[OrderResult]:
    """The orders that did not come to what was planned, the most urgent first."""
    found = [order for order in result.orders if order.outcome in _URGENCY]
    return sorted(found, key=lambda order: (_URGENCY[order.outcome], order.symbol))


def subject(result: ExecutionResult) -> str:
    """Status, account and how many orders need attention: what a list of messages shows."""
    open_orders = len(needs_attention(result))
    told = f"{open_orders} of {len(result.orders)} orders need attention" if open_orders else "nothing needs attention"
    text = f"Rebalance {result.status.value.replace('_', ' ').upper()}: {result.account}, {told}"
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:MAX_SUBJECT]


def text(result: ExecutionResult) -> str:
    """The message's text: the sums, the orders that need attention, and where the rest is found."""
    lines = [
        _line("Account", result.account),
        _line("Plan", result.plan_id),
        _line("Status", result.status.value),
        _line("Filled", f"{result.orders_succeeded} of {_traded(result)} orders, ${result.total_trade_value:,.2f}"),
    ]
    if result.slippage_bps is not None:
        lines.append(_line("Slippage", f"{result.slippage_bps:.1f} bps against arrival mid"))
    lines += [
        _line("Begun", format_utc(result.started_at)),
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
    why = ": ".join(part for part in (order.error_code, order.error_message) if part)
    known = f" [{order.client_order_id}]" if order.outcome is Outcome.UNRESOLVED and order.client_order_id else ""
    return f"  {order.symbol} {order.action.value} {order.outcome.value}, {shares}{known}{' - ' + why if why else ''}"


def _line(name: str, value: str) -> str:
    return f"{name:<12}{value}"
