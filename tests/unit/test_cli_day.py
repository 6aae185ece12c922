"""The report of a day on the terminal: what needs attention comes first."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from io import StringIO

import pytest
from rich.console import Console

from rebalance_cli.views.day import by_attention, day_headline, print_day
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.result import DifferenceResult, ExecutionResult, ExecutionStatus
from tests.support.journalled import order_result, result

FULL = order_result()
SHORT = order_result().model_copy(
    update={"symbol": "SPY", "success": False, "outcome": Outcome.PARTIALLY_FILLED, "requested_shares": Decimal(15)}
)


def a_result(plan_id: str, status: ExecutionStatus) -> ExecutionResult:
    success = status in (ExecutionStatus.SUCCESS, ExecutionStatus.SUCCESS_WITH_SKIPS)
    changes = {"plan_id": plan_id, "status": status, "success": success}
    return result((FULL,) if success else (FULL, SHORT)).model_copy(update=changes)


DAY = [
    a_result("good", ExecutionStatus.SUCCESS),
    a_result("partial", ExecutionStatus.PARTIAL_SUCCESS),
    a_result("lost", ExecutionStatus.UNRESOLVED),
    a_result("skips", ExecutionStatus.SUCCESS_WITH_SKIPS),
    a_result("failed", ExecutionStatus.FAILURE),
]


def printed(results: Sequence[ExecutionResult], unfinished: Sequence[str] = (), width: int = 80) -> str:
    out = Console(file=StringIO(), width=width, markup=False, emoji=False)
    print_day(out, results, unfinished, lambda result: f"rebalance explain {result.plan_id} SPY")
    return out.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_u26_day_starts_with_the_number_of_plans_that_need_attention_and_the_worst_plan() -> None:
    """Reproduction U26: "13 plans finished, 2 in work" did not say that two were unresolved and one had failed."""
    lines = printed(DAY, ["running"]).splitlines()

    assert lines[0] == "3 need attention, 1 unfinished, 2 of 6 plans as planned"
    plans = [line.split()[1] for line in lines if line.startswith("Plan ") and "$" not in line]
    assert plans == ["lost", "failed", "partial"]
    assert next(line for line in lines if line.startswith("Next")).endswith("rebalance explain lost SPY")


def test_plans_as_planned_take_one_line_each() -> None:
    good = [a_result(f"good-{number}", ExecutionStatus.SUCCESS) for number in range(20)]

    assert len(printed(good).splitlines()) <= len(good) + 4


@pytest.mark.parametrize(
    ("results", "unfinished", "headline"),
    [
        ([], [], "No plan started on that day."),
        (DAY[:1], [], "Nothing needs attention, 1 of 1 plan as planned"),
        (DAY[1:2], [], "1 needs attention, 0 of 1 plan as planned"),
        ([], ["a"], "Nothing needs attention, 1 unfinished, 0 of 1 plan as planned"),
    ],
)
def test_headline_counts_every_plan(results: list[ExecutionResult], unfinished: list[str], headline: str) -> None:
    assert day_headline(results, unfinished) == headline


def test_equal_plans_keep_the_order_in_which_they_started() -> None:
    assert [one.plan_id for one in by_attention([DAY[4], DAY[1], DAY[4]])] == ["failed", "failed", "partial"]


def test_difference_between_broker_and_journal_is_named() -> None:
    found = DifferenceResult(symbol="AAA", problem="holds one share too many")

    assert "AAA holds one share too many" in printed([DAY[2].model_copy(update={"differences": (found,)})])


@pytest.mark.parametrize("width", [40, 80, 140])
def test_day_fits_the_terminal_and_breaks_no_command(width: int) -> None:
    lines = printed(DAY, width=width).splitlines()

    assert "Next      rebalance explain failed SPY" in lines
    assert max(len(line) for line in lines if not line.startswith("Next")) <= width
    assert not any("…" in line for line in lines)
