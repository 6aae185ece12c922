"""Output of ``rebalance local run``: the outcome of every kind of event, new orders, and one exit code."""

from __future__ import annotations

import inspect
from dataclasses import replace
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rebalance_cli.command_line import TargetOptions
from rebalance_cli.exit_codes import Exit, error_types_exit_code
from rebalance_cli.views.local_run import NEXT_STEPS, LocalRun, exit_code_of, print_run
from rebalance_cli.views.progress import RunProgress
from rebalance_cli.views.result import Cash
from rebalance_executor.domain import errors
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_sandbox.event_files import EventFile, EventMessage
from rebalance_sandbox.invocation import InvocationResult
from tests.unit.test_cli_views import MIXED, filled, order, result

EVENT = EventFile(Path("/elsewhere/event.json"), {}, (), (), None, is_health=False)
ERRORS = [
    error for error in vars(errors).values() if inspect.isclass(error) and issubclass(error, errors.RebalanceError)
]
SOLD = filled("BOND", "SELL", "10", "90.02", "90.025", "0.05")


def local_run(
    invocation: InvocationResult, event_file: EventFile = EVENT, orders: tuple[int, int] = (0, 2)
) -> LocalRun:
    cash = Cash(Decimal(1000), Decimal("1900.20"))
    log, options = Path("/elsewhere/log/run.jsonl"), TargetOptions(data_dir=Path("/elsewhere"))
    return LocalRun(event_file, invocation, RunProgress.of([]), cash, *orders, log, options)


def executed(*orders: dict[str, Any], status: str = "success") -> InvocationResult:
    return InvocationResult(result(*orders, status=status).model_dump(mode="json"))


def output(run: LocalRun) -> str:
    console = Console(width=80, file=StringIO(), color_system=None)
    print_run(run, console)
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


def test_a_first_run_shows_orders_cash_and_new_orders_at_the_broker() -> None:
    first = local_run(executed(SOLD))

    assert exit_code_of(first) is Exit.COMPLETE
    assert "1,900.20 at the broker" in output(first)
    assert "2 new orders (0 before, 2 after)" in output(first)
    assert "Already executed" not in output(first)


def test_a_repeat_shows_the_stored_result_and_no_new_order() -> None:
    again = local_run(executed(SOLD), orders=(2, 2))
    again.progress.read({"message": "plan.duplicate", "plan_id": "plan-1", "timestamp": "2026-01-26T15:00:00Z"})

    assert exit_code_of(again) is Exit.COMPLETE
    assert "Already executed 2026-01-26 15:00:03 UTC (10:00:03 New York)" in output(again)
    assert "no new order (2 before, 2 after)" in output(again)
    assert "at the broker:" not in output(again)  # the cash of today is unrelated to the stored result


def test_the_cash_of_a_resumed_run_is_not_compared_with_the_whole_plan() -> None:
    resumed = InvocationResult(result(SOLD, status="success", runs=2).model_dump(mode="json"))

    assert "in 2 runs" in output(local_run(resumed))
    assert "at the broker:" not in output(local_run(resumed))


def test_a_partial_result_shows_its_reasons() -> None:
    partial = local_run(executed(*MIXED, status="partial_success"))

    assert exit_code_of(partial) is Exit.PARTIAL
    assert "ATTEMPTS_EXHAUSTED" in output(partial)


def test_an_error_is_shown_with_its_code_and_the_next_step() -> None:
    error = {"code": "LEASE_HELD", "errorType": "LeaseHeld", "errorMessage": "another run holds the account"}
    failed = local_run(InvocationResult(error=error, error_types=["LeaseHeld", "Redeliver"]), orders=(2, 2))

    assert exit_code_of(failed) is Exit.IN_PROGRESS
    assert "LEASE_HELD  another run holds the account" in output(failed)
    assert "→ Run the same command again" in output(failed)
    assert "no new order (2 before, 2 after)" in output(failed)


def test_a_batch_shows_every_message_and_is_partial_if_one_failed() -> None:
    messages = (EventMessage("m-1", plan("plan-1"), None), EventMessage("m-2", None, "$: is not JSON"))
    event = replace(EVENT, messages=messages)
    response = {"batchItemFailures": [{"itemIdentifier": "m-2"}]}
    stored = [result(SOLD, status="success").model_dump(mode="json")]
    batch = local_run(InvocationResult(response, results=stored), event)

    assert exit_code_of(batch) is Exit.PARTIAL
    assert "plan-1: success" in output(batch)
    assert "$: is not JSON" in output(batch)
    assert "batchItemFailures lists 1 of 2" in output(batch)


def test_a_failing_health_check_is_not_complete() -> None:
    event = replace(EVENT, is_health=True)
    checks = [{"name": "broker", "ok": False, "detail": "BROKER_UNAVAILABLE: no answer"}]

    healthy = local_run(InvocationResult({"healthy": True, "checks": []}), event)
    failing = local_run(InvocationResult({"healthy": False, "checks": checks}), event)

    assert exit_code_of(healthy) is Exit.COMPLETE
    assert exit_code_of(failing) is Exit.BROKEN
    assert "BROKER_UNAVAILABLE: no answer" in output(failing)


def test_a_plan_of_holds_is_shown_without_sums() -> None:
    holds = local_run(executed(order("AAPL", "HOLD", "SKIPPED", skip_reason="HOLD")), orders=(0, 0))

    assert exit_code_of(holds) is Exit.COMPLETE
    assert "nothing to trade: no item needed a trade" in output(holds)
    assert "sold" not in output(holds)


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_has_a_next_step(error: type[errors.RebalanceError]) -> None:
    assert NEXT_STEPS[error_types_exit_code(kind.__name__ for kind in error.__mro__)]
