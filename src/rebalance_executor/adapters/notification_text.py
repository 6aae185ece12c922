"""Text of notifications: a one-line subject, and a body that lists the orders that need attention.

The sentences about orders that fell short of the plan, and about the money, are also those of the terminal and of the
report.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_FLOOR

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.result import ExecutionResult, OrderResult
from rebalance_executor.domain.values import format_decimal, format_time

MAX_SUBJECT = 100
"""SNS limits a subject to 100 printable ASCII characters."""

MONEY: Mapping[BrokerKind, str] = {
    BrokerKind.LIVE: "real",
    BrokerKind.PAPER: "paper, its fills say nothing about live costs",
    BrokerKind.SIMULATED: "simulated, its fills say nothing about live costs",
}
"""The money at each kind of broker, and what its fills are worth."""

_NOTHING = "nothing needs attention"

MAX_ORDERS = 100
"""Orders listed in a text. The stored result contains all of them."""

_URGENCY = {
    Outcome.UNRESOLVED: 0,
    Outcome.REJECTED: 1,
    Outcome.DENIED: 2,
    Outcome.SKIPPED: 3,
    Outcome.PARTIALLY_FILLED: 4,
    Outcome.UNFILLED: 5,
    Outcome.FILLED: 6,
}
"""Position in the list of the orders that need attention; a skipped order lacked cash, a filled one was reduced."""

_REDUCED_BY = {Code.SCALED_TO_CASH: " by cash", Code.REDUCED_TO_AVAILABLE: " by the shares available"}
_NAMED_SHORTFALLS = 3
"""Orders that a sentence names; the others are counted."""


def needs_attention(result: ExecutionResult) -> list[OrderResult]:
    """Return the orders that fell short of the plan, most urgent first."""
    urgent = [order for order in result.orders if order.needs_attention]
    return sorted(urgent, key=lambda order: (_URGENCY[order.outcome], order.symbol))


def as_planned(result: ExecutionResult) -> str:
    """Return how many orders ended as planned, and the outcome of the others.

    For example ``4 of 5 orders as planned; SPY cut to 48 % by cash``.
    """
    short = needs_attention(result)
    named = [f"{order.symbol} {_shortfall(order)}" for order in short[:_NAMED_SHORTFALLS]]
    if len(short) > len(named):
        named.append(f"{len(short) - len(named)} more")
    others = f"; {', '.join(named)}" if named else ""
    return f"{result.orders_succeeded} of {len(result.traded)} orders as planned{others}"


def requested(result: ExecutionResult) -> str:
    """Return the dollars that the orders asked for, and those of the plan if they were sized by their targets."""
    planned = f"${result.planned_dollars:,.2f} planned"
    if not result.is_sized_by_target:
        return planned
    return f"${result.requested_dollars:,.2f} by {result.size_by} ({planned})"


def _shortfall(order: OrderResult) -> str:
    percent = f"{(order.filled_fraction * 100).to_integral_value(ROUND_FLOOR)} %"
    match order.outcome:
        case Outcome.FILLED:
            return f"cut to {percent}{_REDUCED_BY.get(Code(order.error_code), '') if order.error_code else ''}"
        case Outcome.PARTIALLY_FILLED:
            return f"{percent} filled"
        case Outcome.SKIPPED if order.skip_reason == Code.INSUFFICIENT_CASH:
            return "skipped for lack of cash"
        case outcome:
            return outcome.value.lower()


def subject(result: ExecutionResult) -> str:
    """Return the subject: status, account and the number of orders that need attention."""
    urgent, total = len(needs_attention(result)), len(result.orders)
    summary = f"{urgent} of {total} orders need attention" if urgent else _NOTHING
    if result.differences and not urgent:
        summary = "broker and journal differ"
    broker = "" if result.broker is BrokerKind.LIVE else f" ({result.broker})"
    text = f"Rebalance {result.status.value.replace('_', ' ').upper()}: {result.account}{broker}, {summary}"
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:MAX_SUBJECT]


def text(result: ExecutionResult) -> str:
    """Return the text: the totals and the orders that need attention."""
    lines = [
        _line("Account", result.account),
        _line("Plan", result.plan_id),
        _line("Status", result.status.value),
        _line("Filled", f"${result.filled_dollars:,.2f} of {requested(result)}"),
        _line("Orders", as_planned(result)),
    ]
    if result.slippage_bps is not None:
        lines.append(_line("Slippage", f"{result.slippage_bps:.1f} bps against arrival mid"))
    lines += [
        _line("Money", MONEY[result.broker]),
        _line("Started", format_time(result.started_at)),
        _line("Finished", format_time(result.execution_timestamp)),
        _line("Runs", str(result.runs)),
        _line("Correlation", result.correlation_id),
        "",
    ]
    lines += [_line("Difference", f"{found.symbol} {found.problem}") for found in result.differences[:MAX_ORDERS]]
    urgent = needs_attention(result)
    if urgent:
        lines.append("Orders that need attention:")
    elif not result.differences:
        lines.append(f"{_NOTHING.capitalize()}.")
    lines += [_order(order) for order in urgent[:MAX_ORDERS]]
    if len(urgent) > MAX_ORDERS:
        lines.append(f"  and {len(urgent) - MAX_ORDERS} more, see the stored result")
    return "\n".join(lines) + "\n"


def _order(order: OrderResult) -> str:
    shares = f"{format_decimal(order.shares)} of {format_decimal(order.requested_shares)} shares"
    reason = ": ".join(part for part in (order.error_code, order.error_message) if part)
    order_id = f" [{order.client_order_id}]" if order.outcome is Outcome.UNRESOLVED and order.client_order_id else ""
    suffix = f" - {reason}" if reason else ""
    return f"  {order.symbol} {order.action.value} {order.outcome.value}, {shares}{order_id}{suffix}"


def _line(name: str, value: str) -> str:
    return f"{name:<12}{value}"
