"""The history of one order: facts of its plan from the journal and the log, never definitions."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalance_cli.outputs import Explanation
from rebalance_cli.queries.explain import explain_order
from rebalance_cli.queries.plans import PlanRecord
from rebalance_executor.domain.journal import PlanJournal, RunEnd, RunRecord
from rebalance_executor.domain.orders import ChildState, Outcome, ParentOrder
from rebalance_executor.execution.events import LogEvent
from tests.support.builders import NOW
from tests.support.journalled import PLAN_ID, child, filled_parent, parent, state

RUNS = [
    RunRecord(1, "run-1", NOW, NOW + timedelta(seconds=5), RunEnd.YIELDED, "stopped safely before the deadline"),
    RunRecord(2, "run-2", NOW + timedelta(seconds=9)),
]


def explain(order: ParentOrder, *records: dict[str, Any], runs: list[RunRecord] | None = None) -> Explanation:
    record = PlanRecord(PlanJournal(state(), {order.symbol: order}), runs or [], None)
    return explain_order(record, order, records)


def texts(answer: Explanation, source: str = "journal") -> list[str]:
    return [step.text for step in answer.steps if step.source == source]


def log_record(event: LogEvent, **fields: Any) -> dict[str, Any]:
    return {"message": event.value, "plan_id": PLAN_ID, "timestamp": NOW.isoformat()} | fields


@pytest.mark.parametrize(
    ("event", "fields", "text"),
    [
        (
            LogEvent.ORDER_OUTCOME_UNKNOWN,
            {"attempt": 2, "reason": "timeout"},
            "attempt 2: no definite answer from the broker: timeout",
        ),
        (
            LogEvent.ORDER_FOUND,
            {"attempt": 1, "order_id": "order-7", "status": "new"},
            "attempt 1: found at the broker as order order-7, status new",
        ),
        (
            LogEvent.BROKER_RATE_LIMITED,
            {"retry_at": "2026-01-26T15:00:30.5+00:00"},
            "the broker answered 429; nothing is sent before 15:00:30 UTC (10:00:30 New York)",
        ),
        (LogEvent.ORDER_REJECTED, {"attempt": 1}, "attempt 1: rejected by the broker: unknown"),
    ],
)
def test_a_log_line_of_the_order_is_shown_by_its_facts(event: LogEvent, fields: dict[str, Any], text: str) -> None:
    answer = explain(filled_parent(), log_record(event, symbol="AAPL", **fields))

    assert texts(answer, "log") == [text]


def test_a_warning_about_the_plan_is_shown_with_code_and_reason() -> None:
    answer = explain(filled_parent(), log_record(LogEvent.RUN_CONCLUDING, code="HALTED", reason="set by ada"))

    assert texts(answer, "log") == ["run.concluding: HALTED: set by ada"]


@pytest.mark.parametrize("event", LogEvent)
def test_no_step_is_the_definition_of_its_event(event: LogEvent) -> None:
    answer = explain(filled_parent(), log_record(event), log_record(event, symbol="AAPL"))

    assert event.meaning not in texts(answer, "log")


@pytest.mark.parametrize(
    "record",
    [
        log_record(LogEvent.ORDER_REJECTED, symbol="MSFT"),
        log_record(LogEvent.RUN_CONCLUDING) | {"plan_id": "another-plan"},
        log_record(LogEvent.GATE_PASSED),
        {"message": "Traceback", "plan_id": PLAN_ID},
    ],
)
def test_lines_about_other_orders_and_plans_are_ignored(record: dict[str, Any]) -> None:
    assert texts(explain(filled_parent(), record), "log") == []


def test_runs_are_shown_with_their_end_and_the_resume() -> None:
    steps = texts(explain(filled_parent(), runs=RUNS))

    assert "run 1 started (epoch 1)" in steps
    assert "run 1 yielded: stopped safely before the deadline" in steps
    assert "run 2 started (epoch 2); run 1 had left the plan unfinished" in steps


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        ("0", "priced at the near touch"),
        ("0.1", "priced 10% into the spread"),
        ("1", "priced at the far touch"),
        (None, "for 7.227358 shares"),
    ],
)
def test_an_order_shows_its_place_in_the_spread(fraction: str | None, text: str) -> None:
    order = child(spread_fraction=Decimal(fraction) if fraction is not None else None)

    (step,) = (step for step in texts(explain(parent(children=(order,)))) if step.startswith("attempt 1"))

    assert step.endswith(text)


def test_a_cancel_shows_whether_another_order_follows() -> None:
    canceled = replace(child(), state=ChildState.CANCELED, cancel_requested_at=NOW, status="canceled", closed_at=NOW)
    second = replace(canceled, attempt=2)
    order = parent(children=(canceled, second)).settled(Outcome.UNFILLED, "TIME_LIMIT", "too late", NOW)

    steps = texts(explain(order))

    assert "attempt 1: cancel requested; attempt 2 follows at a new price" in steps
    assert "attempt 2: cancel requested; no further attempt" in steps
    assert "attempt 2: canceled, 0 of 7.227358 shares filled" in steps


def test_u6_order_that_was_partly_filled_ends_after_its_cancel_was_requested() -> None:
    """Reproduction U6: the time of the last fill was shown as the end, before the cancel."""
    canceled = replace(
        child(),
        state=ChildState.CANCELED,
        status="canceled",
        filled_qty=Decimal(4),
        filled_avg_price=Decimal("101.5"),
        submitted_at=NOW + timedelta(seconds=12),
        filled_at=NOW + timedelta(milliseconds=12_789),
        cancel_requested_at=NOW + timedelta(seconds=18),
        closed_at=NOW + timedelta(milliseconds=18_088),
    )
    answer = explain(parent(children=(canceled,)))

    steps = [(step.event, (step.at - NOW).total_seconds()) for step in answer.steps if step.text.startswith("attempt")]
    assert steps[-3:] == [("order.submitted", 12), ("order.cancel_requested", 18), ("order.canceled", 18.088)]


def test_parts_of_the_cost_add_up_to_the_cost() -> None:
    priced = replace(filled_parent().children[0], bid=Decimal("101.4949"), ask=Decimal("101.5249"))
    order = parent(children=(priced,)).settled(Outcome.FILLED, None, None, NOW)

    (sentence,) = (text for text in texts(explain(order)) if "than arrival mid" in text)

    cost, *parts = (Decimal(one) for one in re.findall(r"-?\d+\.\d\d", sentence))
    assert len(parts) > 1
    assert cost == abs(sum(parts))


def test_reduced_order_shows_what_was_requested() -> None:
    reduced = parent(qty=Decimal("2.8"), requested_qty=Decimal("5.8"))
    answer = explain(reduced)

    assert answer.verdict == "no outcome yet; 0 of 5.8 shares filled"
    assert "quantity frozen at 2.8 shares of 5.8 requested" in texts(answer)[0]


@pytest.mark.parametrize(
    ("order", "verdict"),
    [
        (filled_parent(), "FILLED: 7.227358 of 7.227358 shares filled"),
        (parent(), "no outcome yet; 0 of 7.227358 shares filled"),
        (
            parent(qty=Decimal(0)).settled(Outcome.DENIED, "NOT_TRADABLE", "AAPL is inactive", NOW),
            "DENIED (NOT_TRADABLE): AAPL is inactive",
        ),
    ],
)
def test_the_verdict_states_outcome_fills_and_reason(order: ParentOrder, verdict: str) -> None:
    assert explain(order).verdict == verdict


def test_a_step_of_an_order_that_was_not_sized_names_no_quote() -> None:
    order = parent(qty=Decimal(0), arrival=None).settled(Outcome.DENIED, "HALTED", "halted", NOW)

    assert texts(explain(order))[0] == "plan: sell $733.58"
    retargeted = replace(order, target_amount=Decimal("-500.126"))
    assert texts(explain(retargeted))[0] == "plan: sell $733.58; to the target: $500.13"
