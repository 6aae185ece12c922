"""What is shown after a local run: for every way in an answer, the broker's count, and one exit code."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from rebalance_cli.exit_codes import Exit
from rebalance_cli.views.local_run import Report, code_of, show
from rebalance_cli.views.progress import RunProgress
from rebalance_cli.views.result import Cash
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_sandbox.event_files import EventFile, EventMessage
from rebalance_sandbox.handler_process import InvocationResult
from tests.unit.test_cli_views import MIXED, filled, order, result

EVENT = EventFile(Path("/elsewhere/event.json"), {}, (), (), None, is_health=False)
SOLD = filled("BOND", "SELL", "10", "90.02", "90.025", "0.05")


def report(invocation: InvocationResult, event_file: EventFile = EVENT, orders: tuple[int, int] = (0, 2)) -> Report:
    cash = Cash(Decimal(1000), Decimal("1900.20"))
    log, home = Path("/elsewhere/log/run.jsonl"), Path("/elsewhere")
    return Report(event_file, invocation, RunProgress.of([]), cash, *orders, log, home)


def answered(*orders: dict[str, Any], status: str = "success") -> InvocationResult:
    return InvocationResult(Exit.COMPLETE, result(*orders, status=status).model_dump(mode="json"))


def shown(report: Report) -> str:
    console = Console(width=80, file=StringIO(), color_system=None)
    show(report, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def plan(plan_id: str) -> RebalancePlan:
    item = {
        "symbol": "BOND",
        "action": "SELL",
        "trade_amount": "-900",
        "current_weight": "0.9",
        "target_weight": "0",
        "weight_diff": "-0.9",
        "target_value": "0",
        "current_value": "900",
        "priority": 1,
    }
    return RebalancePlan.parse(
        {
            "plan_id": plan_id,
            "correlation_id": "c",
            "causation_id": "c",
            "timestamp": "2026-01-26T15:00:00Z",
            "total_portfolio_value": "1000",
            "total_trade_value": "900",
            "items": [item],
        }
    )


def test_a_first_run_shows_orders_cash_and_the_brokers_count() -> None:
    first = report(answered(SOLD))

    assert code_of(first) is Exit.COMPLETE
    assert "1,900.20 at the broker: it adds up" in shown(first)
    assert "2 new orders (0 before, 2 after)" in shown(first)
    assert "Already executed" not in shown(first)


def test_a_repeat_says_so_and_that_the_broker_got_no_new_order() -> None:
    again = report(answered(SOLD), orders=(2, 2))
    again.story.read({"message": "plan.duplicate", "plan_id": "plan-1", "timestamp": "2026-01-26T15:00:00Z"})

    assert code_of(again) is Exit.COMPLETE
    assert "Already executed on 2026-01-26 at 15:00:03 UTC" in shown(again)
    assert "no new order (2 before, 2 after)" in shown(again)
    assert "at the broker: it adds up" not in shown(again)  # the cash of today says nothing of the stored result


def test_the_cash_of_a_resumed_run_is_not_held_against_the_whole_plan() -> None:
    resumed = InvocationResult(Exit.COMPLETE, result(SOLD, status="success", runs=2).model_dump(mode="json"))

    assert "in 2 runs" in shown(report(resumed))
    assert "at the broker:" not in shown(report(resumed))


def test_a_partial_result_shows_its_reasons() -> None:
    partial = report(answered(*MIXED, status="partial_success"))

    assert code_of(partial) is Exit.PARTIAL
    assert "ATTEMPTS_EXHAUSTED" in shown(partial)


def test_an_error_is_a_sentence_with_its_code_and_a_next_step() -> None:
    told = {"code": "LEASE_HELD", "errorType": "LeaseHeld", "errorMessage": "another run works on the account"}
    failed = report(InvocationResult(Exit.IN_PROGRESS, error=told), orders=(2, 2))

    assert code_of(failed) is Exit.IN_PROGRESS
    assert "LEASE_HELD  another run works on the account" in shown(failed)
    assert "→ Run the same command again" in shown(failed)
    assert "no new order (2 before, 2 after)" in shown(failed)


def test_a_batch_shows_every_message_and_is_partial_where_one_failed() -> None:
    messages = (EventMessage("m-1", plan("plan-1"), None), EventMessage("m-2", None, "$: is not JSON"))
    event = replace(EVENT, messages=messages)
    answer = {"batchItemFailures": [{"itemIdentifier": "m-2"}]}
    stored = [result(SOLD, status="success").model_dump(mode="json")]
    batch = report(InvocationResult(Exit.COMPLETE, answer, results=stored), event)

    assert code_of(batch) is Exit.PARTIAL
    assert "plan-1: success" in shown(batch)
    assert "$: is not JSON" in shown(batch)
    assert "batchItemFailures names 1 of 2" in shown(batch)


def test_a_health_report_that_fails_is_not_complete() -> None:
    event = replace(EVENT, is_health=True)
    checks = [{"name": "broker", "ok": False, "detail": "BROKER_UNAVAILABLE: no answer"}]

    well = report(InvocationResult(Exit.COMPLETE, {"healthy": True, "checks": []}), event)
    ill = report(InvocationResult(Exit.COMPLETE, {"healthy": False, "checks": checks}), event)

    assert code_of(well) is Exit.COMPLETE
    assert code_of(ill) is Exit.BROKEN
    assert "BROKER_UNAVAILABLE: no answer" in shown(ill)


def test_a_plan_of_holds_is_shown_without_sums_of_nothing() -> None:
    holds = report(answered(order("AAPL", "HOLD", "SKIPPED", skip_reason="HOLD")), orders=(0, 0))

    assert code_of(holds) is Exit.COMPLETE
    assert "nothing to trade: every item is a HOLD" in shown(holds)
    assert "sold" not in shown(holds)
