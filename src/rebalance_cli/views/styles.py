"""Words and colors of outcomes and statuses, shared by terminal output and the HTML report."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from rebalance_executor.adapters.notification_text import MONEY
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.result import ExecutionStatus, OrderResult
from rebalance_executor.domain.risk_state import TradingState

OUTCOMES: Mapping[Outcome, tuple[str, str]] = {
    Outcome.UNRESOLVED: ("UNRESOLVED", "bold red"),
    Outcome.REJECTED: ("rejected", "red"),
    Outcome.PARTIALLY_FILLED: ("partial", "yellow"),
    Outcome.UNFILLED: ("unfilled", "yellow"),
    Outcome.DENIED: ("denied", "red"),
    Outcome.SKIPPED: ("skipped", "dim"),
    Outcome.FILLED: ("filled", "green"),
}
"""Short word and style of each outcome."""

STATUSES: Mapping[ExecutionStatus, tuple[str, str, str]] = {
    ExecutionStatus.SUCCESS: ("SUCCESS", "bold green", "every order filled"),
    ExecutionStatus.SUCCESS_WITH_SKIPS: (
        "SUCCESS WITH SKIPS",
        "bold green",
        "all trades filled; some items needed no trade",
    ),
    ExecutionStatus.PARTIAL_SUCCESS: ("PARTIAL SUCCESS", "bold yellow", "some orders did not fill as planned"),
    ExecutionStatus.FAILURE: ("FAILURE", "bold red", "nothing was traded"),
    ExecutionStatus.UNRESOLVED: ("UNRESOLVED", "bold red", "an operator must check the orders at the broker"),
}
"""Title, style and meaning of each status."""

TRADING_STATES: Mapping[TradingState, str] = {
    TradingState.ACTIVE: "green",
    TradingState.REDUCING: "yellow",
    TradingState.HALTED: "bold red",
}
"""Style of each state of the kill switch."""

_TONES = {"green": "good", "yellow": "warn", "red": "bad", "dim": "dim", "blue": "accent"}


def money_text(broker: BrokerKind) -> Text:
    """Return the money at this kind of broker, and what its fills are worth; real money is red."""
    return Text(MONEY[broker], "bold red" if broker is BrokerKind.LIVE else "yellow")


def outcome_text(order: OrderResult) -> tuple[str, str]:
    """Return the word and the style of an order's outcome; one that fell short of the plan is never green or dim."""
    if order.needs_attention and order.outcome is Outcome.FILLED:
        return "cut", "yellow"
    if order.needs_attention and order.outcome is Outcome.SKIPPED:
        return "skipped", "yellow"
    return OUTCOMES[order.outcome]


def outcome_tone(order: OrderResult) -> str:
    """Return the CSS class of an order's outcome in the HTML report."""
    return tone(outcome_text(order)[1])


def status_words(status: ExecutionStatus) -> str:
    """Return a status in words for a page."""
    if status is ExecutionStatus.SUCCESS_WITH_SKIPS:
        return "success, some items needed no trade"
    return status.value.replace("_", " ")


def status_tone(status: ExecutionStatus) -> str:
    """Return the CSS class of a status in the HTML report."""
    return tone(STATUSES[status][1])


def tone(style: str) -> str:
    """Return the CSS class of a style of the terminal."""
    return _TONES[style.removeprefix("bold ")]
