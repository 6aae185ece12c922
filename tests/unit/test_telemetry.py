"""Log lines and metrics."""

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

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import ConfigurationError, InvalidInput, PlanYielded
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.telemetry import NAMESPACE, SERVICE, Telemetry, new_logger
from tests.support.builders import NOW, a_plan

_NUMBERS = itertools.count(1)
CONTEXT: Any = SimpleNamespace(aws_request_id="request-1", function_name="rebalance")


class CapturedTelemetry:
    """Telemetry with its log in memory."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        # Loggers with the same name share their first stream, so each test uses another name.
        logger = new_logger(f"test-{next(_NUMBERS)}", self._stream)
        self.telemetry = Telemetry(logger=logger, metrics=Metrics(namespace=NAMESPACE, service=SERVICE))

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]


@pytest.fixture
def captured() -> Iterator[CapturedTelemetry]:
    yield CapturedTelemetry()
    Metrics(namespace=NAMESPACE, service=SERVICE).clear_metrics()


def metrics(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the one line of metrics that was printed."""
    (line,) = capsys.readouterr().out.splitlines()
    return dict(json.loads(line))


def test_metrics_of_two_stacks_are_two_metrics(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a halt in one stack would raise the alarm of another."""
    printed = []
    for stack in ("rebalance-paper", "rebalance-live"):
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", stack)
        telemetry = Telemetry(logger=new_logger(f"test-{next(_NUMBERS)}", io.StringIO()))
        with telemetry.invocation(CONTEXT):
            telemetry.emit(LogEvent.KILL_SWITCH_TRIPPED)
        printed.append(metrics(capsys))

    assert [line["service"] for line in printed] == ["rebalance-paper", "rebalance-live"]
    for line in printed:
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert (directive["Namespace"], directive["Dimensions"]) == (NAMESPACE, [["service"]])
        assert "KillSwitchTrips" in line


def test_lines_have_the_identity_of_their_plan_until_it_is_unbound(captured: CapturedTelemetry) -> None:
    with captured.telemetry.invocation(CONTEXT):
        captured.telemetry.bind_plan(a_plan(), "main", "run-1")
        captured.telemetry.emit(LogEvent.PLAN_RECEIVED, items=1)
        captured.telemetry.unbind_plan()
        captured.telemetry.emit(LogEvent.HEALTH_CHECKED)

    first, second = captured.lines
    identity = {name: first[name] for name in ("correlation_id", "causation_id", "plan_id", "account", "run")}
    assert list(identity.values()) == ["correlation-1", "causation-1", "plan-1", "main", "run-1"]
    assert not identity.keys() & second.keys()
    assert first["function_request_id"] == second["function_request_id"] == "request-1"


def test_lines_have_plain_decimals_and_times_and_no_empty_fields(captured: CapturedTelemetry) -> None:
    captured.telemetry.emit(LogEvent.ORDER_CANCELED, qty=Decimal("1E+2"), closed_at=NOW, limit_price=None)

    (line,) = captured.lines
    assert (line["qty"], line["closed_at"]) == ("100", "2026-01-26T15:00:00+00:00")
    assert "limit_price" not in line
    assert (line["level"], line["message"]) == ("INFO", "order.canceled")


@pytest.mark.parametrize(
    ("error", "event", "level"),
    [
        (InvalidInput("items", "is missing"), "plan.invalid", "WARNING"),
        (PlanYielded("stopped"), "plan.redelivery_requested", "WARNING"),
        (RuntimeError("a defect"), "plan.failed", "CRITICAL"),
    ],
)
def test_error_is_logged_by_its_kind_and_raised_again(
    captured: CapturedTelemetry, error: Exception, event: str, level: str
) -> None:
    with pytest.raises(type(error)), captured.telemetry.invocation(CONTEXT):
        raise error

    (line,) = captured.lines
    assert (line["message"], line["level"], line["error"]) == (event, level, type(error).__name__)


def test_finished_plan_is_counted_by_status_with_its_figures(
    captured: CapturedTelemetry, capsys: pytest.CaptureFixture[str]
) -> None:
    with captured.telemetry.invocation(CONTEXT):
        captured.telemetry.emit(
            LogEvent.PLAN_FINISHED,
            status="success_with_skips",
            seconds=2.5,
            total_trade_value=Decimal(1000),
            slippage_bps=Decimal("1.25"),
        )
        captured.telemetry.emit(LogEvent.ITEM_FILLED, outcome=Outcome.FILLED)
        captured.telemetry.emit(LogEvent.ITEM_PARTIALLY_FILLED, outcome=Outcome.PARTIALLY_FILLED)
        captured.telemetry.count_request("GET /v2/orders")
        captured.telemetry.count_request("GET /v2/orders")

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


def test_warm_invocation_is_not_a_cold_start(captured: CapturedTelemetry, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        with captured.telemetry.invocation(CONTEXT):
            captured.telemetry.emit(LogEvent.PLAN_DUPLICATE)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert ["ColdStarts" in line for line in lines] == [True, False]
    assert all(line["DuplicatesAnswered"] == [1] for line in lines)


def test_delivery_failures_and_redeliveries_are_counted_separately(
    captured: CapturedTelemetry, capsys: pytest.CaptureFixture[str]
) -> None:
    """For a queue, the message fails and not the invocation, so that AWS's own metric counts no error."""
    with captured.telemetry.invocation(CONTEXT):
        captured.telemetry.error(ConfigurationError("EXECUTION_TABLE", "is not set"))
        captured.telemetry.error(RuntimeError("a defect"))
        captured.telemetry.error(PlanYielded("stopped"))

    line = metrics(capsys)
    assert (line["DeliveryFailures"], line["RedeliveriesRequested"]) == ([1, 1], [1])


def test_broker_requests_are_counted_per_plan(captured: CapturedTelemetry, capsys: pytest.CaptureFixture[str]) -> None:
    with captured.telemetry.invocation(CONTEXT):
        for plan_id, requests in (("plan-1", 2), ("plan-2", 3)):
            captured.telemetry.bind_plan(a_plan(plan_id=plan_id), "main", "run-1")
            for _ in range(requests):
                captured.telemetry.count_request("GET /v2/orders")
            captured.telemetry.unbind_plan()

    assert [(line["plan_id"], line["total"]) for line in captured.lines] == [("plan-1", 2), ("plan-2", 3)]
    assert metrics(capsys)["BrokerRequests"] == [2, 3]


def test_outcomes_and_submissions_are_counted_separately(
    captured: CapturedTelemetry, capsys: pytest.CaptureFixture[str]
) -> None:
    events: list[tuple[LogEvent, dict[str, object]]] = [
        (LogEvent.ITEM_DENIED, {"outcome": Outcome.DENIED, "code": Code.HALTED}),
        (LogEvent.ITEM_UNFILLED, {"outcome": Outcome.UNFILLED, "code": Code.HALTED}),
        (LogEvent.ITEM_SKIPPED, {"outcome": Outcome.SKIPPED}),
        (LogEvent.ITEM_REJECTED, {"outcome": Outcome.REJECTED}),
        (LogEvent.ITEM_UNRESOLVED, {"outcome": Outcome.UNRESOLVED}),
        (LogEvent.ORDER_REJECTED, {"on_submission": True}),
        (LogEvent.ORDER_REJECTED, {"status": "rejected"}),
        (LogEvent.ORDER_OUTCOME_UNKNOWN, {}),
        (LogEvent.KILL_SWITCH_TRIPPED, {}),
    ]
    with captured.telemetry.invocation(CONTEXT):
        for event, fields in events:
            captured.telemetry.emit(event, **fields)

    counted = {name for name, value in metrics(capsys).items() if value == [1]} - {"ColdStarts"}
    assert counted == {
        "OrdersDenied",
        "OrdersDeniedHalted",
        "OrdersUnfilled",
        "OrdersSkipped",
        "OrdersRejected",
        "OrdersUnresolved",
        "SubmissionsRejected",
        "SubmissionsUnknown",
        "KillSwitchTrips",
    }
