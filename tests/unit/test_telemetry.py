"""What is told, and what is counted."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools import Metrics

from rebalance_executor.domain.errors import ConfigurationError, InvalidInput, PlanYielded
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.telemetry import NAMESPACE, SERVICE, Telemetry, new_logger
from tests.support.builders import NOW, a_plan

_NUMBERS = itertools.count(1)
CONTEXT: Any = SimpleNamespace(aws_request_id="request-1", function_name="rebalance")


class Told:
    """Telemetry with its log in memory."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        # Loggers of one name share their first stream: each test's has a name of its own.
        logger = new_logger(f"test-{next(_NUMBERS)}", self._stream)
        self.telemetry = Telemetry(logger=logger, metrics=Metrics(namespace=NAMESPACE, service=SERVICE))

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]


@pytest.fixture
def told() -> Iterator[Told]:
    telling = Told()
    yield telling
    Metrics(namespace=NAMESPACE, service=SERVICE).clear_metrics()


def metrics(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one line of metrics that was printed."""
    (line,) = capsys.readouterr().out.splitlines()
    return dict(json.loads(line))


def test_every_line_of_a_plan_carries_its_identity_and_the_next_plans_lines_do_not(told: Told) -> None:
    with told.telemetry.invocation(CONTEXT):
        told.telemetry.bind_plan(a_plan(), "main", "run-1")
        told.telemetry.emit(LogEvent.PLAN_RECEIVED, items=1)
        told.telemetry.unbind_plan()
        told.telemetry.emit(LogEvent.HEALTH_CHECKED)

    first, second = told.lines
    identity = {name: first[name] for name in ("correlation_id", "causation_id", "plan_id", "account", "run")}
    assert list(identity.values()) == ["correlation-1", "causation-1", "plan-1", "main", "run-1"]
    assert not identity.keys() & second.keys()
    assert first["function_request_id"] == second["function_request_id"] == "request-1"


def test_decimals_and_times_are_told_plainly_and_missing_fields_not_at_all(told: Told) -> None:
    told.telemetry.emit(LogEvent.ORDER_CANCELED, qty=Decimal("1E+2"), closed_at=NOW, limit_price=None)

    (line,) = told.lines
    assert (line["qty"], line["closed_at"]) == ("100", "2026-01-26T15:00:00+00:00")
    assert "limit_price" not in line
    assert (line["level"], line["message"]) == ("INFO", "order.canceled")


@pytest.mark.parametrize(
    ("error", "event", "level"),
    [
        (InvalidInput("items", "is missing"), "plan.invalid", "WARNING"),
        (PlanYielded("stopped"), "plan.redelivery_requested", "WARNING"),
        (RuntimeError("a mistake"), "plan.failed", "CRITICAL"),
    ],
)
def test_an_error_is_told_by_what_it_means_and_raised_again(
    told: Told, error: Exception, event: str, level: str
) -> None:
    with pytest.raises(type(error)), told.telemetry.invocation(CONTEXT):
        raise error

    (line,) = told.lines
    assert (line["message"], line["level"], line["error"]) == (event, level, type(error).__name__)


def test_a_finished_plan_is_counted_by_status_with_its_figures(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    with told.telemetry.invocation(CONTEXT):
        told.telemetry.emit(
            LogEvent.PLAN_FINISHED,
            status="success_with_skips",
            seconds=2.5,
            total_trade_value=Decimal(1000),
            slippage_bps=Decimal("1.25"),
        )
        told.telemetry.emit(LogEvent.ITEM_FILLED, outcome=Outcome.FILLED)
        told.telemetry.emit(LogEvent.ITEM_PARTIALLY_FILLED, outcome=Outcome.PARTIALLY_FILLED)
        told.telemetry.count_request("GET /v2/orders")
        told.telemetry.count_request("GET /v2/orders")

    line = metrics(capsys)
    counted = {name: value[0] for name, value in line.items() if isinstance(value, list)}
    assert counted == {
        "ColdStarts": 1,
        "PlansFinished": 1,
        "PlansSuccessWithSkips": 1,
        "TimeToCompletion": 2.5,
        "TradedDollars": 1000,
        "SlippageBps": 1.25,
        "OrdersFilled": 1,
        "OrdersPartiallyFilled": 1,
        "BrokerRequests": 2,
    }
    assert line["service"] == SERVICE


def test_a_warm_invocation_is_no_cold_start(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        with told.telemetry.invocation(CONTEXT):
            told.telemetry.emit(LogEvent.PLAN_DUPLICATE)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert ["ColdStarts" in line for line in lines] == [True, False]
    assert all(line["DuplicatesAnswered"] == [1] for line in lines)


def test_what_the_program_ends_by_itself_is_counted_and_a_deferral_is_not(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the queue it is the message that fails, and AWS's own metric counts no error."""
    with told.telemetry.invocation(CONTEXT):
        told.telemetry.error(ConfigurationError("EXECUTION_TABLE", "is not set"))
        told.telemetry.error(RuntimeError("a mistake"))
        told.telemetry.error(PlanYielded("stopped"))

    line = metrics(capsys)
    assert (line["DeliveryFailures"], line["RedeliveriesRequested"]) == ([1, 1], [1])


def test_requests_to_the_broker_are_told_with_the_plan_that_made_them(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    with told.telemetry.invocation(CONTEXT):
        for plan_id, requests in (("plan-1", 2), ("plan-2", 3)):
            told.telemetry.bind_plan(a_plan(plan_id=plan_id), "main", "run-1")
            for _ in range(requests):
                told.telemetry.count_request("GET /v2/orders")
            told.telemetry.unbind_plan()

    assert [(line["plan_id"], line["total"]) for line in told.lines] == [("plan-1", 2), ("plan-2", 3)]
    assert metrics(capsys)["BrokerRequests"] == [2, 3]


def test_denied_skipped_rejected_and_unknown_are_counted_apart(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    events: list[tuple[LogEvent, dict[str, object]]] = [
        (LogEvent.ITEM_DENIED, {"outcome": Outcome.DENIED}),
        (LogEvent.ITEM_SKIPPED, {"outcome": Outcome.SKIPPED}),
        (LogEvent.ITEM_REJECTED, {"outcome": Outcome.REJECTED}),
        (LogEvent.ITEM_UNRESOLVED, {"outcome": Outcome.UNRESOLVED}),
        (LogEvent.ORDER_REJECTED, {"in_answer": True}),
        (LogEvent.ORDER_REJECTED, {"status": "rejected"}),
        (LogEvent.ORDER_OUTCOME_UNKNOWN, {}),
        (LogEvent.KILL_SWITCH_TRIPPED, {}),
    ]
    with told.telemetry.invocation(CONTEXT):
        for event, fields in events:
            told.telemetry.emit(event, **fields)

    counted = {name for name, value in metrics(capsys).items() if value == [1]} - {"ColdStarts"}
    assert counted == {
        "OrdersDenied",
        "OrdersSkipped",
        "OrdersRejected",
        "OrdersUnresolved",
        "SubmissionsRejected",
        "SubmissionsUnknown",
        "KillSwitchTrips",
    }
