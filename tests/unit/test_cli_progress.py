"""A run's story, read from the handler's log lines."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from rebalance_cli.views.progress import LineReporter, RunProgress, grid
from rebalance_executor.domain.plan import RebalancePlan


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


def told(*records: dict[str, Any], width: int = 80) -> str:
    console = Console(width=width, file=StringIO(), color_system=None)
    story = RunProgress.of([plan({"AAA": "BUY", "BBB": "SELL", "CCC": "SELL"})])
    narrator = LineReporter(console, story)
    for record in records:
        event = story.read(record)
        if event is not None:
            narrator.tell(event, record)
    narrator.flush()
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_orders_pass_from_waiting_to_their_outcome() -> None:
    story = RunProgress.of([plan({"AAA": "BUY", "BBB": "SELL", "HHH": "HOLD"})])
    assert story.stages == {("plan-1", "BBB"): "waiting", ("plan-1", "AAA"): "waiting"}

    for message in ("order.intended", "order.submitted", "order.filled", "item.filled"):
        story.read(line(message, "BBB"))

    assert story.stages == {("plan-1", "BBB"): "filled", ("plan-1", "AAA"): "waiting"}
    assert story.settled == 1


def test_a_repeat_is_known_by_its_line_but_not_within_the_run_that_did_the_work() -> None:
    story, again = RunProgress.of([plan({"AAA": "BUY"})]), RunProgress.of([plan({"AAA": "BUY"})])

    again.read(line("plan.duplicate", status="success"))
    story.read(line("plan.started"))
    story.read(line("plan.duplicate", status="success"))

    assert again.repeated == {"plan-1"}
    assert story.repeated == set()


def test_broker_requests_and_time_are_gathered_from_the_lines() -> None:
    story = RunProgress.of([])

    story.read(line("run.started", second=1))
    story.read(line("broker.requests", second=4, total=17))

    assert story.broker_requests == 17
    assert story.seconds == 3


def test_lines_that_are_not_of_the_catalogue_change_nothing() -> None:
    story = RunProgress.of([])

    assert story.read({"_aws": {}, "OrdersFilled": [1.0]}) is None
    assert story.read({"message": "Traceback"}) is None
    assert story.first_at is None


def test_neighbours_of_one_kind_share_a_line() -> None:
    shown = told(
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
        ["2.00", "s", "the", "buys'", "budget", "is", "known"],
        ["3.00", "s", "1", "filled", "AAA"],
    ]


def test_the_grid_shows_every_order_with_sells_first() -> None:
    story = RunProgress.of([plan({"AAA": "BUY", "BBB": "SELL"})])
    story.read(line("order.submitted", "BBB"))
    console = Console(width=80, file=StringIO(), color_system=None)

    console.print(grid(story))

    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    assert shown.index("SELL") < shown.index("BUY")
    assert "BBB   submitted" in shown
    assert "AAA   waiting" in shown
    assert "0 of 2 settled" in shown
