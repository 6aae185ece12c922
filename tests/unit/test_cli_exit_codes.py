"""Exit codes of results, errors and batches."""

from __future__ import annotations

import pytest

from rebalance_cli.exit_codes import Exit, batch_exit_code, error_exit_code, result_exit_code
from rebalance_executor.domain import errors
from rebalance_executor.domain.result import ExecutionStatus
from tests.unit.test_cli_views import order, result


@pytest.mark.parametrize(
    ("status", "code"),
    [("success", 0), ("success_with_skips", 0), ("partial_success", 3), ("failure", 4), ("unresolved", 7)],
)
def test_result_has_the_exit_code_of_its_status(status: str, code: int) -> None:
    assert result_exit_code(result(status=status)) == code


def test_every_status_has_an_exit_code() -> None:
    assert all(isinstance(result_exit_code(result(status=status)), Exit) for status in ExecutionStatus)


@pytest.mark.parametrize(("status", "code"), [("failure", 6), ("partial_success", 3), ("unresolved", 7)])
def test_halt_has_its_own_exit_code_only_if_nothing_was_traded(status: str, code: int) -> None:
    assert result_exit_code(result(order("AAPL", "BUY", "DENIED", error_code="HALTED"), status=status)) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidInput("items", "is empty"), 2),
        (errors.PlanChanged("plan_id", "was used before"), 2),
        (errors.UnknownAccount("account", "has no credentials"), 2),
        (errors.ConfigurationError("EXECUTION_TABLE", "is not set"), 2),
        (errors.PlanYielded("retry"), 5),
        (errors.LeaseHeld("retry"), 5),
        (errors.BrokerUnavailable("down"), 5),
        (errors.OverfillGuard("would exceed"), 7),
        (errors.JournalContradiction("look"), 7),
        (KeyError("bug"), 1),
    ],
)
def test_error_has_the_exit_code_of_its_family(error: Exception, code: int) -> None:
    assert error_exit_code(error) == code


@pytest.mark.parametrize(
    ("statuses", "messages", "failed", "code"),
    [
        (["success", "success"], 2, 0, 0),
        (["success"], 3, 2, 3),
        ([], 2, 2, 4),
        (["unresolved", "success"], 3, 1, 7),
        (["partial_success"], 1, 0, 3),
    ],
)
def test_batch_has_the_worst_exit_code_of_its_plans(statuses: list[str], messages: int, failed: int, code: int) -> None:
    assert batch_exit_code([result(status=status) for status in statuses], messages, failed) == code
