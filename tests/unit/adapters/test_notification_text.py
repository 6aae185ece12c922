"""The wording of notifications."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pytest

from rebalance_executor.adapters.notification_text import (
    MAX_ORDERS,
    MAX_SUBJECT,
    needs_attention,
    next_steps,
    slippage,
    subject,
    text,
)
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.plan import SizeBy
from rebalance_executor.domain.result import DifferenceResult, ExecutionResult, ExecutionStatus, OrderResult
from rebalance_executor.domain.values import format_time
from tests.support.builders import a_plan
from tests.support.journalled import order_result, result


@dataclass
class Notification:
    """Subject and lines of a notification."""

    subject: str
    lines: list[str]


def notify(of: ExecutionResult) -> Notification:
    return Notification(subject(of), text(of).splitlines())


def of(*outcomes: Outcome, status: ExecutionStatus = ExecutionStatus.PARTIAL_SUCCESS) -> ExecutionResult:
    """Return a result with one order per outcome."""
    orders = [
        order_result().model_copy(
            update={
                "symbol": f"S{number:03d}",
                "outcome": outcome,
                "success": outcome is Outcome.FILLED,
                "skip_reason": Code.HOLD if outcome is Outcome.SKIPPED else None,
            }
        )
        for number, outcome in enumerate(outcomes)
    ]
    return result().model_copy(update={"orders": tuple(orders), "status": status})


def test_success_needs_no_attention() -> None:
    notification = notify(of(Outcome.FILLED, Outcome.SKIPPED, status=ExecutionStatus.SUCCESS_WITH_SKIPS))

    assert notification.subject == (
        f"Rebalance SUCCESS WITH SKIPS: {result().account} (paper), nothing needs attention, plan {result().plan_id}"
    )
    assert notification.lines[:2] == ["Nothing needs attention.", ""], "no next command"


def test_unresolved_orders_come_first() -> None:
    mixed = of(Outcome.UNFILLED, Outcome.DENIED, Outcome.FILLED, Outcome.UNRESOLVED)

    notification = notify(mixed)

    assert [order.outcome for order in needs_attention(mixed)] == [
        Outcome.UNRESOLVED,
        Outcome.DENIED,
        Outcome.UNFILLED,
    ]
    assert notification.subject == (
        f"Rebalance PARTIAL SUCCESS: {mixed.account} (paper), 3 of 4 orders need attention, plan {mixed.plan_id}"
    )
    assert notification.lines[0] == "3 of 4 orders need attention:"
    assert "S003" in notification.lines[1]
    assert "UNRESOLVED" in notification.lines[1]


def test_order_line_ends_with_code_and_reason() -> None:
    denied = order_result().model_copy(
        update={
            "outcome": Outcome.DENIED,
            "success": False,
            "error_code": "NO_QUOTE",
            "error_message": "bid 0",
            "shares": Decimal(),
        }
    )

    line = notify(result().model_copy(update={"orders": (denied,)})).lines[1]

    assert line.endswith(f"0 of {denied.requested_shares} shares - NO_QUOTE: bid 0")


def test_text_names_account_and_plan() -> None:
    lines = notify(result()).lines

    assert f"Account     {result().account}" in lines
    assert f"Plan        {result().plan_id}" in lines
    assert f"Correlation {result().correlation_id}" in lines


@pytest.mark.parametrize("account", ["größer\n", "a" * 100])
def test_subject_is_one_short_printable_ascii_line(account: str) -> None:
    line = subject(result().model_copy(update={"account": account}))

    assert len(line) <= MAX_SUBJECT
    assert line.isascii()
    assert line.isprintable()


def test_long_list_is_cut_with_the_number_of_omitted_orders() -> None:
    lines = notify(of(*[Outcome.REJECTED] * (MAX_ORDERS + 7))).lines

    assert lines[MAX_ORDERS + 1] == "  and 7 more, see the stored result"


def test_list_at_the_limit_is_complete() -> None:
    lines = notify(of(*[Outcome.REJECTED] * MAX_ORDERS)).lines

    assert "REJECTED" in lines[MAX_ORDERS]
    assert lines[MAX_ORDERS + 1].startswith("Next")


def test_text_lists_totals_times_and_urgent_orders() -> None:
    open_order = order_result().model_copy(
        update={
            "symbol": "AAA",
            "outcome": Outcome.UNRESOLVED,
            "success": False,
            "error_code": "CANCEL_UNCONFIRMED",
            "error_message": "?",
            "client_order_id": "rb1-x-AAA-1",
            "shares": Decimal("1.5"),
            "requested_shares": Decimal(4),
            "trade_amount": Decimal("-1234567.891"),
            "planned_trade_amount": Decimal(-2_000_000),
            "requested_trade_amount": Decimal(-2_000_000),
            "slippage_amount": Decimal("-1.104"),
        }
    )
    unresolved = result().model_copy(
        update={
            "orders": (open_order,),
            "status": ExecutionStatus.UNRESOLVED,
            "slippage_bps": Decimal("-1.26"),
            "orders_succeeded": 0,
            "runs": 3,
        }
    )

    assert text(unresolved).splitlines() == [
        "1 of 1 orders need attention:",
        "  AAA SELL UNRESOLVED, $1,234,567.89 of $2,000,000.00, 1.5 of 4 shares [rb1-x-AAA-1] - CANCEL_UNCONFIRMED: ?",
        "Next        rebalance reconcile plan-1 --account main",
        "Next        rebalance explain plan-1 AAA --account main",
        "Next        rebalance plan renew plan-1 --rest --account main",
        "",
        "Plan        plan-1",
        "Account     main",
        "Money       paper, its fills say nothing about live costs",
        "Status      unresolved",
        "Filled      $1,234,567.89 of $2,000,000.00 planned",
        "Orders      0 of 1 orders as planned; AAA unresolved",
        "Slippage    paid $1.10 less than at arrival prices (1.3 bps)",
        f"Started     {format_time(unresolved.started_at)}",
        f"Finished    {format_time(unresolved.execution_timestamp)}",
        "Runs        3",
        f"Correlation {unresolved.correlation_id}",
    ]


@pytest.mark.parametrize(
    ("dollars", "bps", "words"),
    [
        ("1.204", "0.84", "paid $1.20 more than at arrival prices (0.8 bps)"),
        ("-1.204", "-0.84", "paid $1.20 less than at arrival prices (0.8 bps)"),
        ("0.004", "0.01", "paid the arrival prices (0.0 bps)"),
        ("-0.004", "-0.04", "paid the arrival prices (0.0 bps)"),
    ],
)
def test_direction_of_the_slippage_is_in_words(dollars: str, bps: str, words: str) -> None:
    order = order_result().model_copy(update={"slippage_amount": Decimal(dollars)})
    filled = result((order,)).model_copy(update={"slippage_bps": Decimal(bps)})

    assert slippage(filled) == words


def test_nothing_is_renewed_that_is_carried_to_the_next_day() -> None:
    short = of(Outcome.UNFILLED)

    assert next_steps(short) == [("explain", "plan-1", "S000"), ("plan", "renew", "plan-1", "--rest")]
    carried = short.model_copy(update={"carried_plan": a_plan()})
    assert next_steps(carried) == [("explain", "plan-1", "S000")]


def test_names_are_quoted_for_the_shell() -> None:
    odd = of(Outcome.UNFILLED).model_copy(update={"plan_id": "plan; rm -r x", "account": "a b"})

    assert "Next        rebalance explain 'plan; rm -r x' S000 --account 'a b'" in notify(odd).lines


@pytest.mark.parametrize(
    ("broker", "marked", "line"),
    [
        (BrokerKind.LIVE, "main,", "real"),
        (BrokerKind.PAPER, "main (paper),", "paper, its fills say nothing about live costs"),
        (BrokerKind.SIMULATED, "main (simulated),", "simulated, its fills say nothing about live costs"),
    ],
)
def test_fills_without_real_costs_are_marked(broker: BrokerKind, marked: str, line: str) -> None:
    finished = of(Outcome.FILLED).model_copy(update={"broker": broker})
    assert marked in subject(finished)
    assert f"Money       {line}" in text(finished).splitlines()


def test_subject_replaces_characters_beyond_printable_ascii() -> None:
    odd = of(Outcome.FILLED).model_copy(update={"account": "kärnten\n~ x"})
    assert "k?rnten?~ x" in subject(odd)


def test_only_unresolved_orders_show_their_order_id() -> None:
    rejected = order_result().model_copy(
        update={"outcome": Outcome.REJECTED, "success": False, "client_order_id": "rb1-x"}
    )
    assert "rb1-x" not in text(of(Outcome.FILLED).model_copy(update={"orders": (rejected,)}))


def an_order_cut_by_cash(**fields: object) -> OrderResult:
    short = {"symbol": "SPY", "success": False, "error_code": Code.SCALED_TO_CASH, "requested_shares": Decimal(15)}
    return order_result().model_copy(update=short | fields)


def test_targets_that_sized_a_plan_are_compared_with_what_was_filled() -> None:
    by_target = result().model_copy(update={"size_by": SizeBy.TARGET_WEIGHT})
    assert "Filled      $733.57 of $733.58 by target_weight ($733.58 planned)" in text(by_target).splitlines()


def test_u4_order_cut_by_cash_needs_attention() -> None:
    """Reproduction U4: the notice said that nothing needs attention, and did not name the planned dollars."""
    cut = of(Outcome.FILLED)
    cut = cut.model_copy(update={"orders": (*cut.orders, an_order_cut_by_cash(planned_trade_amount=Decimal(-1500)))})

    notification = notify(cut)

    assert "1 of 2 orders need attention" in notification.subject
    assert "Filled      $1,467.14 of $2,233.58 planned" in notification.lines
    assert "Orders      1 of 2 orders as planned; SPY cut to 48 % by cash" in notification.lines
    assert notification.lines[1].endswith("7.2273576 of 15 shares - SCALED_TO_CASH")


def test_order_skipped_for_lack_of_cash_needs_attention() -> None:
    skipped = an_order_cut_by_cash(outcome=Outcome.SKIPPED, skip_reason=Code.INSUFFICIENT_CASH, shares=Decimal())

    assert needs_attention(result((skipped,))) == [skipped]


def test_difference_between_broker_and_journal_is_listed() -> None:
    found = DifferenceResult(symbol="AAA", problem="holds one share too many")
    differing = of(Outcome.FILLED, status=ExecutionStatus.UNRESOLVED).model_copy(update={"differences": (found,)})

    notification = notify(differing)

    assert "broker and journal differ" in notification.subject
    assert notification.lines[:3] == [
        "Broker and journal differ:",
        "  AAA broker and journal differ: holds one share too many",
        "Next        rebalance reconcile plan-1 --account main",
    ]
