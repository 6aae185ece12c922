"""``template.yaml`` by its properties: what must hold, whatever else changes."""

from __future__ import annotations

from typing import Any

import pytest

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.settings import Settings
from rebalance_executor.telemetry import NAMESPACE, SERVICE
from tests.infrastructure.templates import ROOT, attribute, read, reference, strings

LOCAL_ONLY = {"ALPACA_API_KEY", "ALPACA_SECRET_KEY"}
"""Secrets: in the deployed function they come from Secrets Manager alone."""
NEVER = {"POWERTOOLS_IDEMPOTENCY_DISABLED"}
DAY = 24 * 60 * 60


def contract_variables() -> set[str]:
    return {str(field.validation_alias) for field in Settings.model_fields.values()} - LOCAL_ONLY - NEVER


def parameter(template: dict[str, Any], name: str, key: str = "Default") -> Any:
    return template["Parameters"][name][key]


# --- function ---------------------------------------------------------------------------------------------


def test_the_function_is_the_handler_on_python_3_13_for_a_chosen_architecture(
    template: dict[str, Any], function: dict[str, Any]
) -> None:
    module, _, name = function["Handler"].rpartition(".")

    assert (module, name) == ("rebalance_executor.handler", "lambda_handler")
    assert (ROOT / "src" / f"{module.replace('.', '/')}.py").exists()
    assert function["Runtime"] == "python3.13"
    assert function["Architectures"] == [reference("Architecture")]
    assert parameter(template, "Architecture") == "arm64"
    assert set(parameter(template, "Architecture", "AllowedValues")) == {"arm64", "x86_64"}


def test_every_variable_of_the_contract_is_set_and_no_secret_is(function: dict[str, Any]) -> None:
    variables = function["Environment"]["Variables"]

    assert contract_variables() <= variables.keys()
    assert not variables.keys() & (LOCAL_ONLY | NEVER)
    assert {name for name in variables if not name.startswith("POWERTOOLS_")} == contract_variables()
    assert variables["POWERTOOLS_SERVICE_NAME"] == SERVICE
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == NAMESPACE


def test_the_defaults_are_paper_and_live_takes_two_switches(template: dict[str, Any]) -> None:
    rule = template["Rules"]["RealMoneyIsDeliberate"]

    assert parameter(template, "AlpacaPaper") == "true"
    assert parameter(template, "LiveTrading") == "no"
    assert rule["RuleCondition"] == {"Fn::Equals": [reference("AlpacaPaper"), "false"]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Equals": [reference("LiveTrading"), "yes"]}
    assert parameter(template, "ScheduleState") == "DISABLED"


def test_the_log_is_kept_for_a_stated_time_and_traces_are_on(
    function: dict[str, Any], resources: dict[str, Any], template: dict[str, Any]
) -> None:
    logs = resources["FunctionLogs"]

    assert function["LoggingConfig"]["LogGroup"] == reference("FunctionLogs")
    assert logs["Properties"]["RetentionInDays"] == reference("LogRetentionDays")
    assert parameter(template, "LogRetentionDays") >= 365
    assert logs["DeletionPolicy"] == "Retain"
    assert "LogGroupName" not in logs["Properties"]  # it is retained: a second stack would collide with it
    assert function["Tracing"] == "Active"


def test_no_account_id_and_no_fixed_name_stands_in_the_way_of_a_second_stack(template: dict[str, Any]) -> None:
    for resource in template["Resources"].values():
        names = {"TableName", "QueueName", "BucketName", "FunctionName", "RoleName"} & resource["Properties"].keys()
        assert not names
    assert not [text for text in strings(template) if len(text) == 12 and text.isdigit()]


# --- queue ------------------------------------------------------------------------------------------------


def test_one_message_is_one_invocation_and_failures_are_told_one_by_one(function: dict[str, Any]) -> None:
    source = function["Events"]["PlanQueued"]["Properties"]

    assert source["Queue"] == attribute("PlanQueue")
    assert source["BatchSize"] == 1
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_a_message_stays_hidden_for_six_time_outs(
    template: dict[str, Any], function: dict[str, Any], resources: dict[str, Any]
) -> None:
    allowed = parameter(template, "TimeoutSeconds", "AllowedValues")
    table = template["Mappings"]["VisibilityTimeout"]

    assert function["Timeout"] == reference("TimeoutSeconds")
    assert resources["PlanQueue"]["Properties"]["VisibilityTimeout"] == {
        "Fn::FindInMap": ["VisibilityTimeout", reference("TimeoutSeconds"), "Seconds"]
    }
    assert {str(seconds): row["Seconds"] for seconds, row in table.items()} == {str(s): 6 * s for s in allowed}
    assert parameter(template, "TimeoutSeconds") in allowed


def test_by_default_the_queue_delivers_again_within_a_plans_own_time_limit(template: dict[str, Any]) -> None:
    hidden_minutes = 6 * parameter(template, "TimeoutSeconds") / 60

    assert hidden_minutes < ExecutionConfig().plan_time_limit_minutes


def test_six_deliveries_then_the_dead_letter_queue_for_fourteen_days(resources: dict[str, Any]) -> None:
    queue = resources["PlanQueue"]["Properties"]
    dead = resources["PlanDeadLetterQueue"]["Properties"]

    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": attribute("PlanDeadLetterQueue"),
        "maxReceiveCount": 6,
    }
    assert dead["MessageRetentionPeriod"] == 14 * DAY > queue["MessageRetentionPeriod"]
    assert queue["FifoQueue"] is dead["FifoQueue"] is True


@pytest.mark.parametrize("name", ["PlanQueue", "PlanDeadLetterQueue", "FailureQueue"])
def test_queues_are_encrypted_and_take_encrypted_connections_only(resources: dict[str, Any], name: str) -> None:
    statements = [
        statement
        for policy in resources.values()
        if policy["Type"] == "AWS::SQS::QueuePolicy" and reference(name) in policy["Properties"]["Queues"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]

    assert resources[name]["Properties"]["SqsManagedSseEnabled"] is True
    assert any(
        statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        for statement in statements
    )


# --- events and schedule ----------------------------------------------------------------------------------


def test_asynchronous_failures_are_tried_again_and_kept(function: dict[str, Any], resources: dict[str, Any]) -> None:
    kept = attribute("FailureQueue")

    assert function["EventInvokeConfig"]["MaximumRetryAttempts"] == 2
    assert function["DeadLetterQueue"] == {"Type": "SQS", "TargetArn": kept}
    for way in ("PlanAnnounced", "PlanScheduled"):
        assert function["Events"][way]["Properties"]["DeadLetterConfig"] == {"Arn": kept}
    assert "FifoQueue" not in resources["FailureQueue"]["Properties"]  # neither would hand over to such a queue
    assert resources["FailureQueue"]["Properties"]["MessageRetentionPeriod"] == 14 * DAY


def test_the_schedule_follows_new_york_and_points_into_the_plan_bucket(function: dict[str, Any]) -> None:
    schedule = function["Events"]["PlanScheduled"]["Properties"]
    text, values = schedule["Input"]["Fn::Sub"]

    assert schedule["ScheduleExpressionTimezone"] == "America/New_York"
    assert schedule["State"] == reference("ScheduleState")
    assert '"plan_s3"' in text
    assert values["Bucket"] == function["Environment"]["Variables"]["PLAN_BUCKET"]


# --- tables and bucket ------------------------------------------------------------------------------------


def keys(table: dict[str, Any]) -> dict[str, str]:
    kinds = {entry["AttributeName"]: entry["AttributeType"] for entry in table["AttributeDefinitions"]}
    assert set(kinds.values()) == {"S"}
    return {entry["KeyType"]: entry["AttributeName"] for entry in table["KeySchema"]}


def test_the_journal_can_be_restored_and_forgets_cache_rows_only(
    resources: dict[str, Any], function: dict[str, Any]
) -> None:
    journal = resources["ExecutionTable"]
    table = journal["Properties"]

    assert keys(table) == {"HASH": "pk", "RANGE": "sk"}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert journal["DeletionPolicy"] == journal["UpdateReplacePolicy"] == "Retain"
    assert function["Environment"]["Variables"]["EXECUTION_TABLE"] == reference("ExecutionTable")


def test_the_front_door_has_powertools_keys(resources: dict[str, Any], function: dict[str, Any]) -> None:
    table = resources["IdempotencyTable"]["Properties"]

    assert keys(table) == {"HASH": "id"}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiration", "Enabled": True}
    assert function["Environment"]["Variables"]["IDEMPOTENCY_TABLE"] == reference("IdempotencyTable")


def test_the_plan_bucket_is_private_and_keeps_versions(resources: dict[str, Any]) -> None:
    bucket = resources["PlanBucket"]["Properties"]

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}


# --- alarms -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "dimension"),
    [
        ("Errors", reference("RebalanceFunction")),
        ("Throttles", reference("RebalanceFunction")),
        ("ApproximateAgeOfOldestMessage", attribute("PlanQueue", "QueueName")),
        ("ApproximateNumberOfMessagesVisible", attribute("PlanDeadLetterQueue", "QueueName")),
        ("ApproximateNumberOfMessagesVisible", attribute("FailureQueue", "QueueName")),
        ("PlansUnresolved", SERVICE),
        ("KillSwitchTrips", SERVICE),
    ],
)
def test_what_goes_wrong_unseen_raises_an_alarm(resources: dict[str, Any], metric: str, dimension: Any) -> None:
    alarms = [
        resource["Properties"]
        for resource in resources.values()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
        and resource["Properties"]["MetricName"] == metric
        and resource["Properties"]["Dimensions"][0]["Value"] == dimension
    ]

    assert len(alarms) == 1
    assert alarms[0]["TreatMissingData"] == "notBreaching"
    assert alarms[0]["AlarmActions"]["Fn::If"][:2] == ["TellsSomeone", [reference("AlarmTopicArn")]]


# --- the local template -----------------------------------------------------------------------------------


def test_the_local_function_is_the_deployed_one_with_the_same_variables(function: dict[str, Any]) -> None:
    local = read("local/template.yaml")["Resources"]["RebalanceFunction"]
    ours = local["Properties"]

    assert ours["Runtime"] == function["Runtime"]
    assert local["Metadata"] == {"BuildMethod": "makefile"}  # the same target builds both
    assert function["Environment"]["Variables"].keys() <= ours["Environment"]["Variables"].keys()
    assert not [value for value in ours["Environment"]["Variables"].values() if not isinstance(value, str)]
