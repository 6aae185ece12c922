"""Progress of a run, read from the handler's log lines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from rebalance_cli.views.progress import WAITING, LineReporter, RunProgress, grid
from rebalance_executor.domain.plan import RebalancePlan

STARTED = datetime(2026, 1, 26, 15, tzinfo=UTC)


def plan(symbols: dict[str, str]) -> RebalancePlan:
    items = [
        {
            "symbol": symbol,
            "action": action,
            "trade_amount": {"SELL": "-100", "BUY": "100", "HOLD": "0"}[action],
            "current_weight": "0",
            "target_weight": "0",
            "weight_diff": "0",
            "target_value": "100",
            "current_value": "100",
            "priority": 1,
        }
        for symbol, action in symbols.items()
    ]
    return RebalancePlan.parse(
        {
            "plan_id": "plan-1",
            "correlation_id": "c",
            "causation_id": "c",
            "timestamp": "2026-01-26T15:00:00Z",
            "total_portfolio_value": "1000",
            "total_trade_value": "200",
            "items": items,
        }
    )


def line(message: str, symbol: str | None = None, second: int = 0, **fields: Any) -> dict[str, Any]:
    record = {"message": message, "plan_id": "plan-1", "timestamp": f"2026-01-26 15:00:{second:02},500+0000"}
    return record | ({"symbol": symbol} if symbol else {}) | fields


def printed(*records: dict[str, Any], width: int = 80) -> str:
    console = Console(width=width, file=StringIO(), color_system=None)
    progress = RunProgress.of([plan({"AAA": "BUY", "BBB": "SELL", "CCC": "SELL"})])
    reporter = LineReporter(console, progress)
    for record in records:
        event = progress.read(record)
        if event is not None:
            reporter.report(event, record)
    reporter.flush()
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_an_order_goes_from_waiting_to_its_outcome() -> None:
    progress = RunProgress.of([plan({"AAA": "BUY", "BBB": "SELL", "HHH": "HOLD"})])
    assert progress.stages == {("plan-1", "BBB"): WAITING, ("plan-1", "AAA"): WAITING}

    for message in ("order.intended", "order.submitted", "order.filled", "item.filled"):
        progress.read(line(message, "BBB"))

    assert [stage.name for stage in progress.stages.values()] == ["filled", "waiting"]
    assert progress.settled == 1


def test_an_item_is_settled_by_its_own_reject_but_not_by_that_of_an_order() -> None:
    progress = RunProgress.of([plan({"AAA": "BUY"})])

    progress.read(line("order.rejected", "AAA"))
    assert progress.settled == 0

    progress.read(line("item.rejected", "AAA"))
    assert progress.settled == 1


def test_a_duplicate_counts_as_repeated_except_in_the_run_that_executed_the_plan() -> None:
    first, again = RunProgress.of([plan({"AAA": "BUY"})]), RunProgress.of([plan({"AAA": "BUY"})])

    again.read(line("plan.duplicate", status="success"))
    first.read(line("plan.started"))
    first.read(line("plan.duplicate", status="success"))

    assert again.repeated == {"plan-1"}
    assert first.repeated == set()


def test_an_earlier_plan_is_named_and_changes_no_item_of_this_one() -> None:
    progress = RunProgress.of([plan({"AAA": "BUY"})])
    progress.read(line("plan.earlier_resumed"))
    assert progress.now == "finishing the account's unfinished plan first"

    for record in (line("plan.resumed", plan_id="earlier"), line("item.filled", "AAA", plan_id="earlier")):
        progress.read(record)

    assert progress.settled == 0
    assert progress.worked == {"earlier"}


def test_broker_requests_and_time_are_read_from_the_lines() -> None:
    progress = RunProgress.of([])

    progress.read(line("run.started", second=1))
    progress.read(line("broker.requests", second=4, total=17))

    assert progress.broker_requests == 17
    assert progress.seconds == 3


def test_lines_that_are_no_log_events_change_nothing() -> None:
    progress = RunProgress.of([])

    assert progress.read({"_aws": {}, "OrdersFilled": [1.0]}) is None
    assert progress.read({"message": "Traceback"}) is None
    assert progress.first_at is None


def test_consecutive_events_of_one_stage_share_a_line() -> None:
    shown = printed(
        line("order.intended", "BBB"),
        line("order.intended", "CCC"),
        line("order.submitted", "BBB", 1),
        line("order.filled", "BBB", 1),
        line("order.submitted", "CCC", 1),
        line("gate.passed", second=2),
        line("item.filled", "AAA", 3),
    )

    assert [row.split() for row in shown.splitlines() if row] == [
        ["0.00", "s", "2", "intended", "BBB", "CCC"],
        ["1.00", "s", "2", "submitted", "BBB", "CCC"],
        ["2.00", "s", "budget", "for", "the", "buys", "is", "known"],
        ["3.00", "s", "1", "filled", "AAA"],
    ]


def test_the_grid_shows_every_order_and_sells_first() -> None:
    progress = RunProgress.of([plan({"AAA": "BUY", "BBB": "SELL"})])
    progress.read(line("order.submitted", "BBB"))
    console = Console(width=80, file=StringIO(), color_system=None)

    console.print(grid(progress, STARTED, STARTED + timedelta(seconds=12)))

    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    assert shown.index("SELL") < shown.index("BUY")
    assert "BBB   submitted" in shown
    assert "AAA   waiting" in shown
    assert "0 of 2 settled · 12.0 s" in shown
    assert "15:00:12 UTC (10:00:12 New York)" in shown
    assert "Cash" not in shown


def test_the_grid_of_a_plan_that_has_its_result_shows_no_waiting_order() -> None:
    progress = RunProgress.of([plan({"AAA": "BUY", "BBB": "SELL"})], cash=Decimal(1000))
    progress.read(line("plan.duplicate"))
    console = Console(width=80, file=StringIO(), color_system=None)

    console.print(grid(progress, STARTED, STARTED + timedelta(seconds=2)))

    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().strip() == "2.0 s · already executed: returned the stored result"


@pytest.mark.parametrize("width", [40, 100])
def test_the_grid_shows_fills_in_shares_and_dollars_and_the_cash_after_them(width: int) -> None:
    progress = RunProgress.of([plan({"AAA": "BUY", "BBB": "SELL"})], cash=Decimal("1000.50"))
    first: dict[str, Any] = {"client_order_id": "b-1", "filled_qty": "2", "filled_avg_price": "50.10"}
    progress.read(line("order.cancel_requested", "BBB", **first))
    progress.read(line("order.canceled", "BBB", **first | {"filled_qty": "3"}))  # replaces the line before it
    progress.read(line("order.filled", "BBB", client_order_id="b-2", filled_qty="1", filled_avg_price="50"))
    progress.read(line("order.filled", "AAA", client_order_id="a-1", filled_qty="0.5", filled_avg_price="100"))
    progress.read(line("order.submitted", "ZZZ", client_order_id="z-1", filled_qty="9", filled_avg_price="9"))
    console = Console(width=width, file=StringIO(), color_system=None)

    console.print(grid(progress, STARTED, STARTED + timedelta(seconds=100)))

    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    assert "SELL  $200.30 filled" in shown
    assert "BUY  $50.00 filled" in shown
    assert "BBB   canceling 4" in shown
    assert "AAA   waiting 0.5" in shown
    assert "Cash  $1,150.80" in shown
    assert "1.7 min" in shown
