"""Every sample in ``events/`` through AWS's own runtime: emulator, runtime client, real servers on loopback.

As in ``sam local invoke``, the variables are those of ``events/env.json``, the world is that of ``events/world.json``.
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
}
"""Samples that are answered with a result, and whose it is."""

MESSAGES = {
    "sqs_plan": "sample-queued",
    "sqs_eventbridge": "sample-queued-event",
    "sqs_pointer": "sample-queued-pointer",
    "sqs_replayed": "sample-replayed",
}
"""Samples of a queue that are answered with an empty list of failures, and the plan that they hold."""

OTHERS = {"sqs_partial", "health", "watch"}
"""Samples that have a test of their own below."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Function, broker and AWS, all real processes."""

    function: LambdaRuntime
    broker: BrokerServer
    aws: LocalAws

    def send(self, sample: str) -> Any:
        """The function's answer to one of the samples."""
        return self.function.invoke(event(sample))


def event(sample: str) -> Any:
    return json.loads((EVENTS / f"{sample}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    binary = needed_emulator()
    folder = tmp_path_factory.mktemp("servers")
    variables = event("env")["RebalanceFunction"] | {"ALPACA_SECRET_NAME": "alpaca/{account}"}
    with local_aws(folder) as aws, paper_broker(folder, EVENTS / "world.json") as broker:
        aws.put_secret("alpaca/default", api_key="test", secret_key="test")
        for document in (EVENTS / "plans").glob("*.json"):
            aws.s3.put_object(Bucket=PLAN_BUCKET, Key=f"plans/{document.name}", Body=document.read_bytes())
        variables |= aws.environment() | broker.environment()
        with lambda_runtime(binary, variables, folder) as function:
            yield Stage(function, broker, aws)


@pytest.fixture
def stage(servers: Stage) -> Stage:
    """The servers, with the broker as on the first day and every earlier result event read."""
    servers.broker.load_scenario(read_scenario(EVENTS / "world.json"))
    servers.aws.published_plan_ids()
    return servers


def traded(result: dict[str, Any]) -> list[str]:
    return [order["symbol"] for order in result["orders"] if order["action"] != "HOLD"]


def test_every_sample_is_sent_by_a_test_here() -> None:
    samples = {path.stem for path in EVENTS.glob("*.json")} - NOT_EVENTS

    assert samples == PLANS.keys() | MESSAGES.keys() | OTHERS


@pytest.mark.parametrize("sample", PLANS)
def test_a_sample_is_executed_once_and_answered_with_its_result(stage: Stage, sample: str) -> None:
    result = stage.send(sample)
    again = stage.send(sample)

    assert result.get("plan_id") == PLANS[sample], result
    assert result["success"], result
    outcomes = {order["symbol"]: order["outcome"] for order in result["orders"]}
    assert all(outcomes[symbol] == "FILLED" for symbol in traded(result)), outcomes
    assert again == result
    assert sorted(order["symbol"] for order in stage.broker.orders()) == sorted(traded(result))
    assert stage.aws.published_plan_ids() == [PLANS[sample]]


@pytest.mark.parametrize("sample", MESSAGES)
def test_a_message_is_executed_once_and_taken_off_the_queue(stage: Stage, sample: str) -> None:
    answers = [stage.send(sample), stage.send(sample)]

    assert answers == [{"batchItemFailures": []}] * 2
    body = json.loads(event(sample)["Records"][0]["body"])
    result = stage.function.invoke(body)  # what was stored; a direct invocation shows it
    assert result["plan_id"] == MESSAGES[sample]
    assert result["success"], result
    assert sorted(order["symbol"] for order in stage.broker.orders()) == sorted(traded(result))
    assert stage.aws.published_plan_ids() == [MESSAGES[sample]]


def test_of_a_mixed_batch_only_the_bad_message_comes_back(stage: Stage) -> None:
    good, bad = event("sqs_partial")["Records"]

    answer = stage.send("sqs_partial")

    assert answer == {"batchItemFailures": [{"itemIdentifier": bad["messageId"]}]}
    assert stage.aws.published_plan_ids() == [json.loads(good["body"])["plan_id"]]
    assert len(stage.broker.orders()) == 1


def test_a_watch_counts_the_plans_of_the_day_and_trades_nothing(stage: Stage) -> None:
    report = stage.send("watch")

    assert isinstance(report.get("overdue"), bool), report
    assert sum(report["plans"].values()) >= 0


def test_a_health_request_reports_every_dependency_and_trades_nothing(stage: Stage) -> None:
    report = stage.send("health")

    assert "errorType" not in report, report
    assert report["healthy"] is True, report
    assert stage.broker.orders() == []


def test_what_can_never_be_a_plan_raises_and_names_the_field(stage: Stage) -> None:
    answer = stage.function.invoke({"plan_s3": {"bucket": PLAN_BUCKET}})

    assert answer["errorType"] == "InvalidInput"
    assert "plan_s3.key" in answer["errorMessage"]


def test_every_log_line_of_a_run_carries_its_identity(stage: Stage) -> None:
    stage.send("eventbridge_plan")

    lines = [line for line in stage.function.log_lines() if line.get("plan_id") == "sample-eventbridge"]
    steps = [line["message"] for line in lines]
    assert {"plan.received", "run.started", "order.intended", "item.filled", "plan.finished"} <= set(steps)
    identity = ("correlation_id", "causation_id", "account", "run", "function_request_id")
    assert all(line[name] for line in lines for name in identity)
