"""Tests that alarms, dashboard and saved queries use only metrics and fields that the program prints."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from rebalance_executor.domain.errors import RebalanceError
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.result import ExecutionStatus
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.telemetry import METRICS, NAMESPACE, Telemetry, new_logger
from tests.infrastructure.templates import ROOT, attribute, reference
from tests.support.world import a_world, buy, plan, sell

STACK = {"Ref": "AWS::StackName"}
OURS = {"service": STACK}
FAILURE_QUEUES = [
    attribute(name, "QueueName")
    for name in ("PlanDeadLetterQueue", "EventDeadLetterQueue", "ScheduleDeadLetterQueue", "FailureQueue")
]
AWS_METRICS = {
    *(("AWS/Lambda", name, "FunctionName") for name in ("Invocations", "Errors", "Throttles", "Duration")),
    *(("AWS/SQS", f"Approximate{name}", "QueueName") for name in ("NumberOfMessagesVisible", "AgeOfOldestMessage")),
}
"""Metrics that AWS publishes: namespace, name and dimension."""


class Metric(NamedTuple):
    """Identity of a metric in CloudWatch."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


def text_of(value: object) -> str:
    """Return a value of the template as text: the name of the stack stays a reference to it."""
    return "${AWS::StackName}" if value == STACK else str(value)


@pytest.fixture(scope="module")
def printed(function: dict[str, Any]) -> set[Metric]:
    """Return every metric that the function can print with its environment, as CloudWatch reads it from the log."""
    context: Any = SimpleNamespace(aws_request_id="request", function_name="rebalance")
    monkeypatch = pytest.MonkeyPatch()
    for name in ("POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE"):
        monkeypatch.setenv(name, text_of(function["Environment"]["Variables"][name]))
    telemetry = Telemetry(logger=new_logger("observed", io.StringIO()))
    monkeypatch.undo()
    figures = {"seconds": 1, "total_trade_value": 1, "slippage_bps": 1}
    with contextlib.redirect_stdout(io.StringIO()) as log, telemetry.invocation(context):
        telemetry.count_request("GET /v2/orders")
        for status in ExecutionStatus:
            telemetry.emit(LogEvent.PLAN_FINISHED, status=status, **figures)
        for outcome in Outcome:
            telemetry.emit(LogEvent.ITEM_DENIED, outcome=outcome, code="HALTED")
        for event in set(LogEvent) - {LogEvent.PLAN_FINISHED, LogEvent.PLAN_UNRESOLVED}:
            telemetry.emit(event, on_submission=True)
    return {metric for line in log.getvalue().splitlines() for metric in _metrics(json.loads(line))}


def _metrics(line: dict[str, Any]) -> Iterator[Metric]:
    for group in line["_aws"]["CloudWatchMetrics"]:
        for names in group["Dimensions"]:
            dimensions = tuple((name, line[name]) for name in names)
            yield from (Metric(group["Namespace"], metric["Name"], dimensions) for metric in group["Metrics"])


@pytest.fixture(scope="module")
def fields() -> set[str]:
    """Return the fields of all log lines of queued plans: one filled, one invalid, one that yields."""
    with contextlib.redirect_stdout(io.StringIO()), a_world(positions={"AAA": "50"}) as world:
        message = {"messageId": "m-1", "eventSource": "aws:sqs", "attributes": {"MessageGroupId": "default"}}
        for document in (plan(sell("AAA", 1000), buy("BBB", 500)), {"plan_id": "no plan"}):
            world.deliver({"Records": [message | {"body": json.dumps(document)}]})
        world.broker.change({"default_fill": {"behaviour": "never"}})
        with contextlib.suppress(RebalanceError):
            world.deliver(plan(buy("CCC", 500), plan_id="yields"), seconds=5)
    return {name for line in world.log for name in line}


def test_documented_metrics_are_those_that_are_printed_with_one_dimension(printed: set[Metric]) -> None:
    assert METRICS.keys() <= {metric.name for metric in printed}
    by_status_or_outcome = {"Plans" + one.title().replace("_", "") for one in ExecutionStatus} | {
        "Orders" + one.title().replace("_", "") for one in Outcome
    }
    assert {metric.name for metric in printed} - by_status_or_outcome <= METRICS.keys()
    of_the_stack = (("service", "${AWS::StackName}"),)
    assert {(metric.namespace, metric.dimensions) for metric in printed} == {(NAMESPACE, of_the_stack)}


# --- alarms -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alarms(resources: dict[str, Any]) -> list[dict[str, Any]]:
    return [r["Properties"] for r in resources.values() if r["Type"] == "AWS::CloudWatch::Alarm"]


def dimensions(alarm: dict[str, Any]) -> dict[str, Any]:
    return {entry["Name"]: entry["Value"] for entry in alarm["Dimensions"]}


@pytest.mark.parametrize(
    ("metric", "by"),
    [
        *((name, {"FunctionName": reference("RebalanceFunction")}) for name in ("Errors", "Throttles", "Duration")),
        *(
            ("ApproximateNumberOfMessagesVisible", {"QueueName": queue})
            for queue in (attribute("PlanQueue", "QueueName"), *FAILURE_QUEUES)
        ),
        *((name, OURS) for name in ("PlansUnresolved", "DeliveryFailures", "KillSwitchTrips", "PublishFailures")),
        *((name, OURS) for name in ("OrdersDeniedHalted", "OrdersDenied", "OrdersRejected", "DailyCheckOverdue")),
        *((name, OURS) for name in ("PlansBlocked", "DailyCheckUnfinished")),
    ],
)
def test_every_kind_of_failure_has_an_alarm(alarms: list[dict[str, Any]], metric: str, by: dict[str, Any]) -> None:
    (alarm,) = [alarm for alarm in alarms if alarm["MetricName"] == metric and dimensions(alarm) == by]

    assert alarm["TreatMissingData"] == "notBreaching"
    topic = {"Fn::If": ["CreatesAlarmTopic", reference("AlarmTopic"), reference("AlarmTopicArn")]}
    assert alarm["AlarmActions"] == [topic]


def test_documented_cost_counts_every_alarm(alarms: list[dict[str, Any]]) -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")

    assert (
        f"| {len(alarms)} alarms at 0.10, 1 dashboard (3 per AWS account are free) | {len(alarms) / 10:.2f} |" in page
    )


def test_every_alarm_uses_an_existing_metric(alarms: list[dict[str, Any]], printed: set[Metric]) -> None:
    for alarm in alarms:
        ((name, value),) = dimensions(alarm).items()
        ours = Metric(alarm["Namespace"], alarm["MetricName"], ((name, text_of(value)),)) in printed
        assert ours or (alarm["Namespace"], alarm["MetricName"], name) in AWS_METRICS, alarm["AlarmDescription"]


# --- dashboard --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def widgets(resources: dict[str, Any]) -> list[dict[str, Any]]:
    body = resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"][0]
    parsed: list[dict[str, Any]] = json.loads(re.sub(r"\$\{(?!AWS::StackName)[A-Za-z:.]+\}", "1", body))["widgets"]
    return [widget["properties"] for widget in parsed]


def shown(widget: dict[str, Any]) -> Iterator[list[str]]:
    """Yield the metrics of a widget in full: ``.`` repeats the value above, ``...`` repeats the whole row above."""
    above: list[str] = []
    for row in widget.get("metrics", []):
        words = [word for word in row if isinstance(word, str)]
        if words:  # not an expression
            above = above if words == ["..."] else [above[i] if word == "." else word for i, word in enumerate(words)]
            yield above


def test_dashboard_uses_existing_metrics_only(widgets: list[dict[str, Any]], printed: set[Metric]) -> None:
    rows = [row for widget in widgets for row in shown(widget)]

    assert rows
    for namespace, name, dimension, value in rows:
        ours = Metric(namespace, name, ((dimension, value),)) in printed
        assert ours or (namespace, name, dimension) in AWS_METRICS, name


def test_dashboard_shows_every_status_and_every_outcome(widgets: list[dict[str, Any]]) -> None:
    names = {row[1] for widget in widgets for row in shown(widget)}

    assert {"Plans" + status.title().replace("_", "") for status in ExecutionStatus} <= names
    assert {"Orders" + outcome.title().replace("_", "") for outcome in Outcome} <= names
    assert {"SlippageBps", "TimeToCompletion", "BrokerRequests", "ColdStarts", "TradedDollars"} <= names
    assert {"PlansBlocked", "DailyCheckUnfinished"} <= names


# --- queries ----------------------------------------------------------------------------------------------


def queries(resources: dict[str, Any], widgets: list[dict[str, Any]]) -> dict[str, str]:
    """Return the saved queries and those of the dashboard, by name."""
    saved = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::Logs::QueryDefinition"]
    assert all(query["LogGroupNames"] == [reference("FunctionLogs")] for query in saved)
    by_name = {query["Name"]["Fn::Sub"].partition("/")[2]: query["QueryString"] for query in saved}
    return by_name | {widget["title"]: widget["query"].partition("|")[2] for widget in widgets if "query" in widget}


LANGUAGE = {"fields", "filter", "in", "stats", "count", "latest", "as", "by", "sort", "asc", "desc", "limit"}


def test_queries_use_logged_events_and_fields_only(
    resources: dict[str, Any], widgets: list[dict[str, Any]], fields: set[str]
) -> None:
    known = {str(event) for event in LogEvent}

    for name, text in queries(resources, widgets).items():
        assert set(re.findall(r'"([a-z]+\.[a-z_]+)"', text)) <= known, name
        bare = re.sub(r"""".*?"|'.*?'|@[a-z]+""", "", text)
        aliases = set(re.findall(r" as ([a-z]+)", bare))
        assert set(re.findall(r"[a-z_]+", bare)) - LANGUAGE - aliases <= fields, name


def test_operations_page_names_every_saved_query(resources: dict[str, Any]) -> None:
    page = " ".join((ROOT / "docs" / "operations.md").read_text(encoding="utf-8").split())

    names = queries(resources, []).keys()
    assert len(names) == 4
    assert [name for name in names if name not in page] == []


def test_operations_page_names_every_alarm(resources: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    names = [name.removesuffix("Alarm") for name, r in resources.items() if r["Type"] == "AWS::CloudWatch::Alarm"]

    assert [name for name in names if f"`{name}`" not in page] == []
