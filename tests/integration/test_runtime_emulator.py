"""Every sample in ``events/`` on AWS's runtime: emulator, runtime client, real servers on loopback.

As with ``sam local invoke``, the variables are those of ``events/env.json`` and the broker starts with
``events/world.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.broker_server import BrokerServer, paper_broker, read_scenario
from tests.support.lambda_runtime import ROOT, LambdaRuntime, lambda_runtime, needed_emulator
from tests.support.local_aws import PLAN_BUCKET, LocalAws, local_aws

EVENTS = ROOT / "events"
NOT_EVENTS = {"env", "world"}

PLANS = {
    "eventbridge_plan": "sample-eventbridge",
    "eventbridge_detail_plan": "sample-eventbridge-detail",
    "scheduler_plan": "sample-scheduler",
    "scheduler_pointer": "sample-scheduled",
    "direct_plan": "sample-direct",
    "direct_pointer": "sample-pointed-at",
    "hold_only": "sample-hold-only",
    "s3_object_created": "sample-uploaded",
    "stepfunctions_input": "sample-stepfunctions",
}
"""Samples that return a result, with the result's plan ID."""

MESSAGES = {
    "sqs_plan": "sample-queued",
    "sqs_eventbridge": "sample-queued-event",
    "sqs_pointer": "sample-queued-pointer",
    "sqs_replayed": "sample-replayed",
    "sqs_sns_plan": "sample-notified",
    "sqs_sns_eventbridge": "sample-notified-event",
    "sqs_sns_pointer": "sample-notified-pointer",
    "sqs_s3_object_created": "sample-uploaded-queued",
}
"""Samples of a queue that return an empty list of failures, with their plan ID."""

OTHERS = {"sqs_partial", "health", "watch", "resume"}
"""Samples with a separate test below."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Function, broker and AWS, each in a real process."""

    function: LambdaRuntime
    broker: BrokerServer
    aws: LocalAws

    def send(self, sample: str) -> Any:
        """Return the function's response to a sample."""
        return self.function.invoke(event(sample))


def event(sample: str) -> Any:
    return json.loads((EVENTS / f"{sample}.json").read_text(encoding="utf-8"))


_UNLIMITED = {"rate_limit_per_minute": 100_000}
"""One container executes all samples, more than its rate limit allows in a minute; the broker is reset for each."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    binary = needed_emulator()
    folder = tmp_path_factory.mktemp("servers")
    variables = event("env")["RebalanceFunction"] | {"ALPACA_SECRET_NAME": "alpaca/{account}"}
    config = json.loads(variables.get("EXECUTION_CONFIG", "{}")) | _UNLIMITED
    variables["EXECUTION_CONFIG"] = json.dumps(config)
    with local_aws(folder) as aws, paper_broker(folder, EVENTS / "world.json") as broker:
        aws.put_secret("alpaca/default", api_key="test", secret_key="test")
        for document in (EVENTS / "plans").glob("*.json"):
            aws.s3.put_object(Bucket=PLAN_BUCKET, Key=f"plans/{document.name}", Body=document.read_bytes())
        variables |= aws.environment() | broker.environment()
        with lambda_runtime(binary, variables, folder) as function:
            yield Stage(function, broker, aws)


@pytest.fixture
def stage(servers: Stage) -> Stage:
    """Return the servers, with the broker reset and all earlier result events consumed."""
    servers.broker.load_scenario(read_scenario(EVENTS / "world.json"))
    servers.aws.published_plan_ids()
    return servers


def traded(result: dict[str, Any]) -> list[str]:
    return [order["symbol"] for order in result["orders"] if order["action"] != "HOLD"]


def test_every_sample_has_a_test() -> None:
    samples = {path.stem for path in EVENTS.glob("*.json")} - NOT_EVENTS

    assert samples == PLANS.keys() | MESSAGES.keys() | OTHERS


@pytest.mark.parametrize("sample", PLANS)
def test_sample_is_executed_once_and_returns_its_result(stage: Stage, sample: str) -> None:
    result = stage.send(sample)
    again = stage.send(sample)

    assert result.get("plan_id") == PLANS[sample], result
    assert result["success"], result
    outcomes = {order["symbol"]: order["outcome"] for order in result["orders"]}
    assert all(outcomes[symbol] == "FILLED" for symbol in traded(result)), outcomes
    assert again == result
    assert {order["symbol"] for order in stage.broker.orders()} == set(traded(result))
    assert stage.aws.published_plan_ids() == [PLANS[sample]]


@pytest.mark.parametrize("sample", MESSAGES)
def test_message_is_executed_once_and_removed_from_the_queue(stage: Stage, sample: str) -> None:
    answers = [stage.send(sample), stage.send(sample)]

    assert answers == [{"batchItemFailures": []}] * 2
    body = json.loads(event(sample)["Records"][0]["body"])
    result = stage.function.invoke(body)  # a direct invocation returns the stored result
    assert result["plan_id"] == MESSAGES[sample]
    assert result["success"], result
    assert {order["symbol"] for order in stage.broker.orders()} == set(traded(result))
    assert stage.aws.published_plan_ids() == [MESSAGES[sample]]


def test_only_the_invalid_message_of_a_batch_is_redelivered(stage: Stage) -> None:
    good, bad = event("sqs_partial")["Records"]

    answer = stage.send("sqs_partial")

    assert answer == {"batchItemFailures": [{"itemIdentifier": bad["messageId"]}]}
    assert stage.aws.published_plan_ids() == [json.loads(good["body"])["plan_id"]]
    assert len(stage.broker.orders()) == 1


def test_daily_check_counts_the_plans_of_the_day_and_trades_nothing(stage: Stage) -> None:
    report = stage.send("watch")

    assert isinstance(report.get("overdue"), bool), report
    assert sum(report["plans"].values()) >= 0


def test_resume_request_finishes_plans_and_says_nothing_about_the_day(stage: Stage) -> None:
    report = stage.send("resume")

    assert report["carried"] == []
    assert "overdue" not in report


def test_health_request_checks_every_dependency_and_trades_nothing(stage: Stage) -> None:
    report = stage.send("health")

    assert "errorType" not in report, report
    assert report["healthy"] is True, report
    assert stage.broker.orders() == []


def test_invalid_event_raises_and_names_the_field(stage: Stage) -> None:
    answer = stage.function.invoke({"plan_s3": {"bucket": PLAN_BUCKET}})

    assert answer["errorType"] == "InvalidInput"
    assert "plan_s3.key" in answer["errorMessage"]


def test_log_lines_of_a_run_have_its_identity(stage: Stage) -> None:
    stage.send("eventbridge_plan")

    lines = [line for line in stage.function.log_lines() if line.get("plan_id") == "sample-eventbridge"]
    steps = [line["message"] for line in lines]
    assert {"plan.received", "run.started", "order.intended", "item.filled", "plan.finished"} <= set(steps)
    identity = ("correlation_id", "causation_id", "account", "run", "function_request_id")
    assert all(line[name] for line in lines for name in identity)
