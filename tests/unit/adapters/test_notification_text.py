"""What people are told of a result."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pytest

from rebalance_executor.adapters.notification_text import MAX_ORDERS, MAX_SUBJECT, needs_attention, subject, text
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.result import ExecutionResult, ExecutionStatus
from rebalance_executor.domain.values import format_utc
from tests.support.journalled import order_result, result


@dataclass
class Told:
    """A notice."""

    subject: str
    lines: list[str]


def told(of: ExecutionResult) -> Told:
    return Told(subject(of), text(of).splitlines())


def of(*outcomes: Outcome, status: ExecutionStatus = ExecutionStatus.PARTIAL_SUCCESS) -> ExecutionResult:
    """A result with one order of each of these outcomes."""
    orders = [
        order_result().model_copy(update={"symbol": f"S{number:03d}", "outcome": outcome})
        for number, outcome in enumerate(outcomes)
    ]
    return result().model_copy(update={"orders": tuple(orders), "status": status})


def test_a_success_says_that_nothing_needs_attention() -> None:
    notice = told(of(Outcome.FILLED, Outcome.SKIPPED, status=ExecutionStatus.SUCCESS_WITH_SKIPS))

    assert notice.subject == f"Rebalance SUCCESS WITH SKIPS: {result().account}, nothing needs attention"
    assert notice.lines[-1] == "Nothing needs attention."


def test_what_nobody_knows_comes_first_and_carries_its_order_id() -> None:
    found = of(Outcome.UNFILLED, Outcome.DENIED, Outcome.FILLED, Outcome.UNRESOLVED)

    notice = told(found)

    assert [order.outcome for order in needs_attention(found)] == [
        Outcome.UNRESOLVED,
        Outcome.DENIED,
        Outcome.UNFILLED,
    ]
    assert notice.subject == f"Rebalance PARTIAL SUCCESS: {found.account}, 3 of 4 orders need attention"
    first = notice.lines[notice.lines.index("Orders that need attention:") + 1]
    assert "S003" in first
    assert "UNRESOLVED" in first


def test_the_reason_stands_behind_the_order() -> None:
    denied = order_result().model_copy(
        update={"outcome": Outcome.DENIED, "error_code": "NO_QUOTE", "error_message": "bid 0", "shares": Decimal()}
    )

    line = told(result().model_copy(update={"orders": (denied,)})).lines[-1]

    assert line.endswith(f"0 of {denied.planned_shares} shares - NO_QUOTE: bid 0")


def test_the_sums_stand_above() -> None:
    lines = told(result()).lines

    assert f"Account     {result().account}" in lines
    assert f"Plan        {result().plan_id}" in lines
    assert f"Correlation {result().correlation_id}" in lines


@pytest.mark.parametrize("account", ["größer\n", "a" * 100])
def test_a_subject_is_one_short_line_of_plain_letters_whatever_the_accounts_name(account: str) -> None:
    line = subject(result().model_copy(update={"account": account}))

    assert len(line) <= MAX_SUBJECT
    assert line.isascii()
    assert line.isprintable()


def test_a_long_list_is_cut_and_says_so() -> None:
    lines = told(of(*[Outcome.REJECTED] * (MAX_ORDERS + 7))).lines

    assert lines[-1] == "  and 7 more, see the stored result"


def test_a_list_that_just_fits_is_whole_and_does_not_speak_of_more() -> None:
    lines = told(of(*[Outcome.REJECTED] * MAX_ORDERS)).lines

    assert "REJECTED" in lines[-1]


def test_a_notice_tells_the_sums_the_times_and_each_order_that_needs_attention() -> None:
    open_order = order_result().model_copy(
        update={
            "symbol": "AAA",
            "outcome": Outcome.UNRESOLVED,
            "error_code": "CANCEL_UNCONFIRMED",
            "error_message": "look",
            "client_order_id": "rb1-x-AAA-1",
            "shares": Decimal("1.5"),
            "planned_shares": Decimal(4),
        }
    )
    found = result().model_copy(
        update={
            "orders": (open_order,),
            "status": ExecutionStatus.UNRESOLVED,
            "slippage_bps": Decimal("-1.26"),
            "total_trade_value": Decimal("1234567.891"),
            "orders_succeeded": 0,
            "runs": 3,
        }
    )

    assert text(found).splitlines() == [
        f"Account     {found.account}",
        f"Plan        {found.plan_id}",
        "Status      unresolved",
        "Filled      0 of 1 orders, $1,234,567.89",
        "Slippage    -1.3 bps against arrival mid",
        f"Begun       {format_utc(found.started_at)}",
        f"Finished    {format_utc(found.execution_timestamp)}",
        "Runs        3",
        f"Correlation {found.correlation_id}",
        "",
        "Orders that need attention:",
        f"  AAA {open_order.action.value} UNRESOLVED, 1.5 of 4 shares [rb1-x-AAA-1] - CANCEL_UNCONFIRMED: look",
    ]


def test_what_is_not_ascii_does_not_reach_the_subject() -> None:
    odd = of(Outcome.FILLED).model_copy(update={"account": "kärnten\n~ x"})
    assert "k?rnten?~ x" in subject(odd)


def test_only_what_is_unresolved_carries_its_order_id() -> None:
    refused = order_result().model_copy(update={"outcome": Outcome.REJECTED, "client_order_id": "rb1-x"})
    assert "rb1-x" not in text(of(Outcome.FILLED).model_copy(update={"orders": (refused,)}))
