"""The deployed system from outside: what goes in, what comes out, and what AWS shows of it."""

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
    *("DayOverdue", "PublishFailures", "DeliveryFailures"),
}


@contextmanager
def a_queue_that_delivers_again_after(system: System, seconds: int) -> Iterator[None]:
    """As an operator would set it; as deployed it is six time-outs."""
    sqs, url = system.client("sqs"), system.outputs["PlanQueueUrl"]
    told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds)})
    try:
        yield
    finally:
        sqs.set_queue_attributes(QueueUrl=url, Attributes=told)


def taken_from(system: System, queue: str) -> str:
    """The body of the one message in that queue, which is empty then."""
    sqs, url = system.client("sqs"), system.outputs[queue]
    (message,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return str(message["Body"])


def test_every_dependency_answers_and_the_credentials_come_from_secrets_manager(system: System) -> None:
    report = system.invoke({"health": True})

    assert report["healthy"] is True, report
    assert {"front door", "journal", "account", "plans", "results"} <= {check["name"] for check in report["checks"]}
    variables = system.client("lambda").get_function_configuration(
        FunctionName=system.outputs["FunctionName"], Qualifier="live"
    )["Environment"]["Variables"]
    assert not {"ALPACA_API_KEY", "ALPACA_SECRET_KEY"} & variables.keys()


def test_every_alarm_leads_to_the_topic_and_the_dashboard_is_there(system: System) -> None:
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


def test_an_event_on_the_bus_is_executed_published_listed_and_told_to_people(system: System) -> None:
    plan = a_plan(execution_urgency="NORMAL")  # up the ladder, as plans go that say nothing

    system.announce(plan)

    result = system.result(plan["plan_id"])
    assert (result["status"], result["account"]) == ("success", "default"), result
    assert Decimal(result["orders"][0]["shares"]) > 0
    notice = system.notice(plan["plan_id"])
    assert notice["Subject"] == "Rebalance SUCCESS: default, nothing needs attention"
    assert notice["MessageAttributes"]["status"]["Value"] == "success"
    system.wait(lambda: system.listed(plan["plan_id"]) == ["success"], "not in the index of the day")


def test_a_queued_plan_and_its_duplicate_are_one_execution_and_one_report(system: System) -> None:
    plan = a_plan()
    system.queue(plan)
    result = system.result(plan["plan_id"])
    system.notice(plan["plan_id"])
    before = len(system.broker.orders()) if system.broker else None

    system.queue(plan)
    system.announce(plan)
    again = system.invoke(plan)

    system.wait(lambda: system.waiting("PlanQueueUrl") == 0, "the duplicate was not taken")
    assert again == result
    time.sleep(1)  # for a report that must not come
    assert system.listen().times(plan["plan_id"]) == {"event": 1, "notice": 1}
    assert before is None or system.broker is None or len(system.broker.orders()) == before


def test_the_schedule_fires_and_executes_the_plan_its_pointer_leads_to(system: System) -> None:
    plan, scheduler = a_plan(), system.client("scheduler")
    bucket = system.outputs["PlanBucketName"]
    system.client("s3").put_object(Bucket=bucket, Key="plans/today.json", Body=json.dumps(plan).encode())
    name = f"{system.stack}-plan"
    schedule = scheduler.get_schedule(Name=name)
    assert schedule["ScheduleExpression"] == "cron(45 15 ? * MON-FRI *)"
    if system.endpoint is None:  # the local AWS makes UTC of every time zone
        assert schedule["ScheduleExpressionTimezone"] == "America/New_York"
    kept = {key: schedule[key] for key in ("Target", "FlexibleTimeWindow")}
    soon = datetime.now(UTC) + timedelta(seconds=1 if system.endpoint else 60)

    scheduler.update_schedule(
        Name=name,
        ScheduleExpression=f"at({soon:%Y-%m-%dT%H:%M:%S})",
        ScheduleExpressionTimezone="UTC",
        State="ENABLED",
        **kept,
    )
    try:
        assert system.result(plan["plan_id"], seconds=180)["status"] == "success"
    finally:
        scheduler.update_schedule(
            Name=name,
            ScheduleExpression=schedule["ScheduleExpression"],
            ScheduleExpressionTimezone=schedule["ScheduleExpressionTimezone"],
            State=schedule["State"],
            **kept,
        )


def test_a_trading_day_with_a_completed_plan_is_not_overdue(system: System) -> None:
    report = system.invoke({"watch": True})

    assert report["trading_day"] is True, report
    assert report["overdue"] is False
    assert report["plans"]["success"] >= 1


def test_a_poison_message_ends_in_the_dead_letters_and_what_is_behind_it_is_executed(system: System) -> None:
    good = a_plan()

    with a_queue_that_delivers_again_after(system, 1):
        system.queue("this is no plan")
        system.queue(good)
        result = system.result(good["plan_id"])
        system.wait(lambda: system.waiting("PlanDeadLetterQueueUrl") == 1, "no dead letter")

    assert result["status"] == "success"
    assert taken_from(system, "PlanDeadLetterQueueUrl") == "this is no plan"


def test_a_dead_letter_is_executed_when_it_is_replayed_after_its_cause_is_mended(system: System) -> None:
    if system.endpoint is None:
        pytest.skip("would write a secret into a real account")
    plan = a_plan(account="newcomer")
    with a_queue_that_delivers_again_after(system, 1):
        system.queue(plan, "newcomer")
        system.wait(lambda: system.waiting("PlanDeadLetterQueueUrl") == 1, "no dead letter")
    secret = json.dumps({"api_key": "key-newcomer", "secret_key": "secret"})
    system.client("secretsmanager").create_secret(Name="alpaca/newcomer", SecretString=secret)

    system.queue(taken_from(system, "PlanDeadLetterQueueUrl"), "newcomer")

    result = system.result(plan["plan_id"])
    assert (result["status"], result["account"], result["runs"]) == ("success", "newcomer", 1)
    assert system.waiting("PlanDeadLetterQueueUrl") == 0


def test_a_function_that_times_out_in_the_middle_is_resumed_by_the_next_delivery(system: System) -> None:
    if system.broker is None or system.freeze is None:
        pytest.skip("nobody outside can make a function hang in AWS")
    # On the first of two rungs: the resumed run steps up, instead of waiting for an order that this world never fills.
    plan = a_plan("60", execution_urgency="HIGH")
    _let_orders(system, {"behaviour": "never"})
    before = {order["id"] for order in system.broker.orders()}

    with a_queue_that_delivers_again_after(system, 16):  # when the lease of the ended run is over, too
        system.queue(plan)
        system.wait(lambda: _orders_since(system, before) != [], "no order was sent")
        system.freeze()
        system.wait(lambda: "timed out" in system.told(), "the function was not ended at its time-out")
        _let_orders(system, {"behaviour": "marketable"})
        result = system.result(plan["plan_id"])

    orders = _orders_since(system, before)
    assert result["status"] == "success", result
    assert result["runs"] >= 2
    assert len({order["client_order_id"] for order in orders}) == len(orders)
    filled = sum(Decimal(order["filled_qty"]) for order in orders)
    assert filled == Decimal(result["orders"][0]["planned_shares"])
    system.notice(plan["plan_id"])  # comes after the event
    assert system.listen().times(plan["plan_id"]) == {"event": 1, "notice": 1}


def test_two_accounts_are_worked_on_side_by_side(system: System) -> None:
    if system.broker is not None:
        _let_orders(system, {"behaviour": "later", "after_seconds": 2})
    other = "growth"
    # The paper broker has one account: two plans of one symbol would find each other's trades.
    plans = {"default": a_plan("30", account="default"), other: a_plan("30", OTHER_SYMBOL, account=other)}
    # The local AWS runs one process for each version, and one invocation at a time in it: two versions are two.
    versions = ["live", "$LATEST"] if system.endpoint else ["live", "live"]

    def send(event: dict[str, Any], version: str) -> dict[str, Any]:
        answer: dict[str, Any] = system.invoke(event, qualifier=version)
        return answer

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(send, [{"health": True}] * 2, versions))  # at the same time, so that neither starts cold
        first, second = pool.map(send, plans.values(), versions)

    if system.broker is not None:
        _let_orders(system, {"behaviour": "marketable"})
    assert [(r["account"], r["status"]) for r in (first, second)] == [("default", "success"), (other, "success")]
    begun, ended = zip(*[_span(r) for r in (first, second)], strict=True)
    assert max(begun) < min(ended), "one waited for the other"


def _span(result: dict[str, Any]) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(result["started_at"]), datetime.fromisoformat(result["execution_timestamp"])


def _let_orders(system: System, fill: dict[str, object]) -> None:
    assert system.broker is not None
    answer = system.broker.session.post(f"{system.broker.url}/admin/world", json={"default_fill": fill}, timeout=10)
    assert answer.ok, answer.text


def _orders_since(system: System, before: set[str]) -> list[dict[str, Any]]:
    assert system.broker is not None
    return [order for order in system.broker.orders() if order["id"] not in before and order["symbol"] == SYMBOL]
