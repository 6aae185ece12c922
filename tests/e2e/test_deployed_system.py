"""End-to-end tests of the deployed system through its inputs, outputs and AWS resources."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.e2e.system import OTHER_SYMBOL, SYMBOL, System, a_plan

ALARMS = {
    *("FunctionErrors", "FunctionThrottles", "FunctionDuration", "PlanQueueAge"),
    *("PlanDeadLetterQueue", "EventDeadLetterQueue", "ScheduleDeadLetterQueue", "FailureQueue"),
    *("PlansUnresolved", "KillSwitchTrips", "OrdersDeniedHalted", "OrdersDenied", "OrdersRejected"),
    *("DailyCheckOverdue", "DailyCheckUnfinished", "PlansBlocked", "PublishFailures", "DeliveryFailures"),
}


@contextmanager
def visibility_timeout(system: System, seconds: int) -> Iterator[None]:
    """Change the visibility timeout of the plan queue, which is six function timeouts as deployed."""
    sqs, url = system.client("sqs"), system.outputs["PlanQueueUrl"]
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds)})
    try:
        yield
    finally:
        sqs.set_queue_attributes(QueueUrl=url, Attributes=before)


def receive_only_message(system: System, queue: str) -> str:
    """Receive and delete the only message in the queue of this output; return its body."""
    sqs, url = system.client("sqs"), system.outputs[queue]
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return str(message["Body"])


def test_dependencies_are_healthy_and_credentials_come_from_secrets_manager(system: System) -> None:
    report = system.invoke({"health": True})

    assert report["healthy"] is True, report
    assert {"idempotency", "journal", "account", "plans", "results"} <= {check["name"] for check in report["checks"]}
    variables = system.client("lambda").get_function_configuration(
        FunctionName=system.outputs["FunctionName"], Qualifier="live"
    )["Environment"]["Variables"]
    assert not {"ALPACA_API_KEY", "ALPACA_SECRET_KEY"} & variables.keys()


def test_every_alarm_notifies_the_topic_and_the_dashboard_exists(system: System) -> None:
    cloudwatch = system.client("cloudwatch")
    alarms = [
        alarm
        for page in cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{system.stack}-")
        for alarm in page["MetricAlarms"]
    ]

    assert len(alarms) == len(ALARMS)
    for name in ALARMS:
        assert any(f"-{name}Alarm" in alarm["AlarmName"] for alarm in alarms), name
    assert {tuple(alarm["AlarmActions"]) for alarm in alarms} == {(system.outputs["AlarmTopicArn"],)}
    body = cloudwatch.get_dashboard(DashboardName=system.outputs["DashboardName"])["DashboardBody"]
    assert len(json.loads(body)["widgets"]) == 10


def test_event_on_the_bus_is_executed_published_listed_and_notified(system: System) -> None:
    plan = a_plan(execution_urgency="NORMAL")  # the default urgency, which uses the whole ladder

    system.announce(plan)

    result = system.result(plan["plan_id"])
    assert (result["status"], result["account"]) == ("success", "default"), result
    assert Decimal(result["orders"][0]["shares"]) > 0
    notification = system.notification(plan["plan_id"])
    assert result["broker"] in ("paper", "simulated")
    subject = f"Rebalance SUCCESS: default ({result['broker']}), nothing needs attention, plan {plan['plan_id']}"
    assert notification["Subject"] == subject[:100], "SNS limits a subject to 100 characters"
    assert notification["MessageAttributes"]["status"]["Value"] == "success"
    system.wait(lambda: system.listed(plan["plan_id"]) == ["success"], "plan is not in the index of the day")


def test_queued_plan_and_its_duplicate_are_executed_and_published_once(system: System) -> None:
    plan = a_plan()
    system.queue(plan)
    result = system.result(plan["plan_id"])
    system.notification(plan["plan_id"])
    before = len(system.broker.orders()) if system.broker else None

    system.queue(plan)
    system.announce(plan)
    repeated = system.invoke(plan)

    system.wait(lambda: system.message_count("PlanQueueUrl") == 0, "the duplicate is still in the queue")
    assert repeated == result
    time.sleep(1)  # time for a second publication, which must not happen
    assert system.receive().counts(plan["plan_id"]) == {"event": 1, "notification": 1}
    assert before is None or system.broker is None or len(system.broker.orders()) == before


def test_schedule_executes_the_plan_of_its_pointer(system: System) -> None:
    plan, scheduler = a_plan(), system.client("scheduler")
    bucket = system.outputs["PlanBucketName"]
    system.client("s3").put_object(Bucket=bucket, Key="plans/today.json", Body=json.dumps(plan).encode())
    name = f"{system.stack}-plan"
    schedule = scheduler.get_schedule(Name=name)
    assert schedule["ScheduleExpression"] == "cron(45 15 ? * MON-FRI *)"
    if system.endpoint is None:  # the local AWS uses UTC for every time zone
        assert schedule["ScheduleExpressionTimezone"] == "America/New_York"
    unchanged = {key: schedule[key] for key in ("Target", "FlexibleTimeWindow")}
    soon = datetime.now(UTC) + timedelta(seconds=1 if system.endpoint else 60)

    scheduler.update_schedule(
        Name=name,
        ScheduleExpression=f"at({soon:%Y-%m-%dT%H:%M:%S})",
        ScheduleExpressionTimezone="UTC",
        State="ENABLED",
        **unchanged,
    )
    try:
        assert system.result(plan["plan_id"], seconds=180)["status"] == "success"
    finally:
        scheduler.update_schedule(
            Name=name,
            ScheduleExpression=schedule["ScheduleExpression"],
            ScheduleExpressionTimezone=schedule["ScheduleExpressionTimezone"],
            State=schedule["State"],
            **unchanged,
        )


def test_daily_check_is_not_overdue_after_a_completed_plan(system: System) -> None:
    report = system.invoke({"watch": True})

    assert report["trading_day"] is True, report
    assert report["overdue"] is False
    assert report["plans"]["success"] >= 1


def test_invalid_message_goes_to_the_dead_letter_queue_and_the_next_plan_is_executed(system: System) -> None:
    good = a_plan()

    with visibility_timeout(system, 1):
        system.queue("not a plan")
        system.queue(good)
        result = system.result(good["plan_id"])
        system.wait(lambda: system.message_count("PlanDeadLetterQueueUrl") == 1, "no message in the dead-letter queue")

    assert result["status"] == "success"
    assert receive_only_message(system, "PlanDeadLetterQueueUrl") == "not a plan"


def test_replayed_dead_letter_is_executed_after_its_cause_is_fixed(system: System) -> None:
    if system.endpoint is None:
        pytest.skip("would write a secret to a real account")
    plan = a_plan(account="newcomer")
    with visibility_timeout(system, 1):
        system.queue(plan, "newcomer")
        system.wait(lambda: system.message_count("PlanDeadLetterQueueUrl") == 1, "no message in the dead-letter queue")
    secret = json.dumps({"api_key": "key-newcomer", "secret_key": "secret"})
    system.client("secretsmanager").create_secret(Name=f"alpaca/{system.stack}/newcomer", SecretString=secret)

    system.queue(receive_only_message(system, "PlanDeadLetterQueueUrl"), "newcomer")

    result = system.result(plan["plan_id"])
    assert (result["status"], result["account"], result["runs"]) == ("success", "newcomer", 1)
    assert system.message_count("PlanDeadLetterQueueUrl") == 0


def test_plan_of_a_timed_out_function_is_resumed_by_the_next_delivery(system: System) -> None:
    if system.broker is None or system.freeze is None:
        pytest.skip("a function in AWS cannot be made to hang")
    # HIGH has two rungs: the resumed run replaces the first, which the simulated broker never fills, by the second.
    plan = a_plan("60", execution_urgency="HIGH")
    _set_default_fill(system, {"behaviour": "never"})
    before = {order["id"] for order in system.broker.orders()}

    with visibility_timeout(system, 16):  # longer than the lease of the timed-out run
        system.queue(plan)
        system.wait(lambda: _orders_since(system, before) != [], "no order was sent")
        system.freeze()
        system.wait(lambda: "timed out" in system.log(), "the function did not time out")
        _set_default_fill(system, {"behaviour": "marketable"})
        result = system.result(plan["plan_id"])

    orders = _orders_since(system, before)
    assert result["status"] == "success", result
    assert result["runs"] >= 2
    assert len({order["client_order_id"] for order in orders}) == len(orders)
    filled = sum(Decimal(order["filled_qty"]) for order in orders)
    assert filled == Decimal(result["orders"][0]["planned_shares"])
    system.notification(plan["plan_id"])  # published after the event
    assert system.receive().counts(plan["plan_id"]) == {"event": 1, "notification": 1}


def test_plans_of_two_accounts_run_at_the_same_time(system: System) -> None:
    if system.broker is not None:
        _set_default_fill(system, {"behaviour": "later", "after_seconds": 2})
    other = "growth"
    # The simulated broker has one account, in which two plans of the same symbol would see each other's trades.
    plans = {"default": a_plan("30", account="default"), other: a_plan("30", OTHER_SYMBOL, account=other)}
    # The local AWS runs one process per version and one invocation at a time in it, so two versions run in parallel.
    versions = ["live", "$LATEST"] if system.endpoint else ["live", "live"]

    def send(event: dict[str, Any], version: str) -> dict[str, Any]:
        response: dict[str, Any] = system.invoke(event, qualifier=version)
        return response

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(send, [{"health": True}] * 2, versions))  # warm up both
        first, second = pool.map(send, plans.values(), versions)

    if system.broker is not None:
        _set_default_fill(system, {"behaviour": "marketable"})
    assert [(r["account"], r["status"]) for r in (first, second)] == [("default", "success"), (other, "success")]
    started, ended = zip(*[_times(r) for r in (first, second)], strict=True)
    assert max(started) < min(ended), "one waited for the other"


def _times(result: dict[str, Any]) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(result["started_at"]), datetime.fromisoformat(result["execution_timestamp"])


def _set_default_fill(system: System, fill: dict[str, object]) -> None:
    assert system.broker is not None
    response = system.broker.session.post(f"{system.broker.url}/admin/world", json={"default_fill": fill}, timeout=10)
    assert response.ok, response.text


def _orders_since(system: System, before: set[str]) -> list[dict[str, Any]]:
    assert system.broker is not None
    return [order for order in system.broker.orders() if order["id"] not in before and order["symbol"] == SYMBOL]
