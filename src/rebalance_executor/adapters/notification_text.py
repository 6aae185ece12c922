"""Text of notifications: a one-line subject, and a body that starts with what needs attention and the next command.

The sentences about orders that fell short of the plan, and about the money, are also those of the terminal and of the
report.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from decimal import ROUND_FLOOR

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.result import ExecutionResult, ExecutionStatus, OrderResult
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


def slippage(result: ExecutionResult) -> str:
    """Return the implementation shortfall in words, as in ``paid $1.20 more than at arrival prices``."""
    if result.slippage_bps is None:
        return "nothing was filled"
    dollars, bps = result.slippage_dollars, abs(round(result.slippage_bps, 1))
    if not dollars:
        return f"paid the arrival prices ({bps:.1f} bps)"
    return f"paid ${abs(dollars):,.2f} {'more' if dollars > 0 else 'less'} than at arrival prices ({bps:.1f} bps)"


def next_steps(result: ExecutionResult) -> list[tuple[str, ...]]:
    """Return the words of the next commands, most urgent first; none if the plan was executed as planned.

    A plan for the rest comes last: its quantities depend on what the commands before it show. Nothing renews what is
    carried to the next trading day.
    """
    urgent = needs_attention(result)
    steps: list[tuple[str, ...]] = []
    if result.status is ExecutionStatus.UNRESOLVED:
        steps.append(("reconcile", result.plan_id))
    if urgent:
        steps.append(("explain", result.plan_id, urgent[0].symbol))
        if result.carried_plan is None:
            steps.append(("plan", "renew", result.plan_id, "--rest"))
    return steps


def subject(result: ExecutionResult) -> str:
    """Return the subject: status, account, the number of orders that need attention, and the plan."""
    broker = "" if result.broker is BrokerKind.LIVE else f" ({result.broker})"
    status = result.status.value.replace("_", " ").upper()
    text = f"Rebalance {status}: {result.account}{broker}, {_summary(result)}, plan {result.plan_id}"
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:MAX_SUBJECT]


def _summary(result: ExecutionResult) -> str:
    urgent = len(needs_attention(result))
    if urgent:
        return f"{urgent} of {len(result.orders)} orders need attention"
    return "broker and journal differ" if result.differences else _NOTHING


def text(result: ExecutionResult) -> str:
    """Return the text: what needs attention, the next commands, then the facts about the plan."""
    lines = [
        *_attention(result),
        *(
            _line("Next", shlex.join(("rebalance", *words, "--account", result.account)))
            for words in next_steps(result)
        ),
        "",
        _line("Plan", result.plan_id),
        _line("Account", result.account),
        _line("Money", MONEY[result.broker]),
        _line("Status", result.status.value),
        _line("Filled", f"${result.filled_dollars:,.2f} of {requested(result)}"),
        _line("Orders", as_planned(result)),
    ]
    if result.slippage_bps is not None:
        lines.append(_line("Slippage", slippage(result)))
    lines += [
        _line("Started", format_time(result.started_at)),
        _line("Finished", format_time(result.execution_timestamp)),
        _line("Runs", str(result.runs)),
        _line("Correlation", result.correlation_id),
    ]
    return "\n".join(lines) + "\n"


def _attention(result: ExecutionResult) -> Iterator[str]:
    summary = _summary(result)
    yield f"{summary[0].upper()}{summary[1:]}{'.' if summary == _NOTHING else ':'}"
    yield from (
        f"  {found.symbol} broker and journal differ: {found.problem}" for found in result.differences[:MAX_ORDERS]
    )
    urgent = needs_attention(result)
    yield from map(_order, urgent[:MAX_ORDERS])
    if len(urgent) > MAX_ORDERS:
        yield f"  and {len(urgent) - MAX_ORDERS} more, see the stored result"


def _order(order: OrderResult) -> str:
    done, asked = abs(order.trade_amount), abs(order.requested_trade_amount)
    shares = f"{format_decimal(order.shares)} of {format_decimal(order.requested_shares)} shares"
    reason = ": ".join(part for part in (order.error_code, order.error_message) if part)
    order_id = f" [{order.client_order_id}]" if order.outcome is Outcome.UNRESOLVED and order.client_order_id else ""
    suffix = f" - {reason}" if reason else ""
    outcome = f"{order.symbol} {order.action.value} {order.outcome.value}"
    return f"  {outcome}, ${done:,.2f} of ${asked:,.2f}, {shares}{order_id}{suffix}"


def _command(*words: str) -> str:
    return shlex.join(("rebalance", *words))


def _line(name: str, value: str) -> str:
    return f"{name:<12}{value}"
