"""Tests of properties that ``template.yaml`` must keep."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from rebalance_executor.adapters.dynamodb.plan_index import INDEX
from rebalance_executor.adapters.sqs import MAX_DELIVERIES
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.idempotency import EXPIRES_AFTER_SECONDS
from rebalance_executor.settings import Settings
from rebalance_executor.telemetry import NAMESPACE
from tests.infrastructure.templates import ROOT, attribute, read, reference, strings

LOCAL_ONLY = {
    "ALPACA_API_KEY",
    "ALPACA_SECRET_KEY",
    "ALPACA_KEYS_FILE",
    "ALPACA_KEYRING",
    "ALPACA_ACCOUNT_NUMBER",
    "JOURNAL_FILE",
}
"""Keys, which the deployed function reads from Secrets Manager only, and the journal that replaces its tables."""
NEVER = {"POWERTOOLS_IDEMPOTENCY_DISABLED"}
DAY = 24 * 60 * 60


def contract_variables() -> set[str]:
    return {str(field.validation_alias) for field in Settings.model_fields.values()} - LOCAL_ONLY - NEVER


def parameter(template: dict[str, Any], name: str, key: str = "Default") -> Any:
    return template["Parameters"][name][key]


# --- function ---------------------------------------------------------------------------------------------


def test_function_runs_the_handler_on_python_3_13_and_the_chosen_architecture(
    template: dict[str, Any], function: dict[str, Any]
) -> None:
    module, _, name = function["Handler"].rpartition(".")

    assert (module, name) == ("rebalance_executor.handler", "lambda_handler")
    assert (ROOT / "src" / f"{module.replace('.', '/')}.py").exists()
    assert function["Runtime"] == "python3.13"
    assert function["Architectures"] == [reference("Architecture")]
    assert parameter(template, "Architecture") == "arm64"
    assert set(parameter(template, "Architecture", "AllowedValues")) == {"arm64", "x86_64"}


def test_every_environment_variable_is_set_except_secrets(function: dict[str, Any]) -> None:
    variables = function["Environment"]["Variables"]

    assert contract_variables() <= variables.keys()
    assert not variables.keys() & (LOCAL_ONLY | NEVER)
    assert {name for name in variables if not name.startswith("POWERTOOLS_")} == contract_variables()
    assert variables["POWERTOOLS_SERVICE_NAME"] == reference("AWS::StackName")
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == NAMESPACE


def test_default_is_paper_and_real_money_needs_two_switches(template: dict[str, Any]) -> None:
    rule = template["Rules"]["RealMoneyIsDeliberate"]

    assert parameter(template, "AlpacaPaper") == "true"
    assert parameter(template, "LiveTrading") == "no"
    assert rule["RuleCondition"] == {"Fn::Equals": [reference("AlpacaPaper"), "false"]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Equals": [reference("LiveTrading"), "yes"]}
    assert parameter(template, "ScheduleState") == "DISABLED"


def test_log_has_a_retention_time_and_traces_are_on(
    function: dict[str, Any], resources: dict[str, Any], template: dict[str, Any]
) -> None:
    logs = resources["FunctionLogs"]

    assert function["LoggingConfig"]["LogGroup"] == reference("FunctionLogs")
    assert logs["Properties"]["RetentionInDays"] == reference("LogRetentionDays")
    assert parameter(template, "LogRetentionDays") >= 365
    assert logs["DeletionPolicy"] == "RetainExceptOnCreate"
    assert "LogGroupName" not in logs["Properties"]  # retained: a second stack could not create the same name
    assert function["Tracing"] == "Active"


def test_no_account_id_and_no_fixed_name_prevents_a_second_stack(template: dict[str, Any]) -> None:
    for resource in [one for one in template["Resources"].values() if one["Type"] != "AWS::Lambda::Permission"]:
        names = {"TableName", "QueueName", "BucketName", "FunctionName", "RoleName"} & resource["Properties"].keys()
        assert not [name for name in names if "${AWS::StackName}" not in str(resource["Properties"][name])]
        events = resource["Properties"].get("Events", {}).values()
        for schedule in [event["Properties"] for event in events if event["Type"] == "ScheduleV2"]:
            assert "${AWS::StackName}" in str(schedule.get("Name"))  # SAM's default name is the same in all stacks
    assert not [text for text in strings(template) if len(text) == 12 and text.isdigit()]


# --- queue ------------------------------------------------------------------------------------------------


def test_each_invocation_gets_one_message_and_reports_its_failure(function: dict[str, Any]) -> None:
    source = function["Events"]["PlanQueued"]["Properties"]

    assert source["Queue"] == attribute("PlanQueue")
    assert source["BatchSize"] == 1
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_visibility_timeout_is_six_function_timeouts(
    template: dict[str, Any], function: dict[str, Any], resources: dict[str, Any]
) -> None:
    allowed = parameter(template, "TimeoutSeconds", "AllowedValues")
    table = template["Mappings"]["Timeouts"]

    assert function["Timeout"] == reference("TimeoutSeconds")
    assert resources["PlanQueue"]["Properties"]["VisibilityTimeout"] == {
        "Fn::FindInMap": ["Timeouts", reference("TimeoutSeconds"), "Visibility"]
    }
    assert {str(seconds): row["Visibility"] for seconds, row in table.items()} == {str(s): 6 * s for s in allowed}
    assert {str(seconds): row["Near"] for seconds, row in table.items()} == {str(s): 800 * s for s in allowed}
    assert parameter(template, "TimeoutSeconds") in allowed


def test_by_default_the_queue_redelivers_within_the_time_limit_of_a_plan(template: dict[str, Any]) -> None:
    hidden_minutes = 6 * parameter(template, "TimeoutSeconds") / 60

    assert hidden_minutes < ExecutionConfig().plan_time_limit_minutes


def test_messages_go_to_the_dead_letter_queue_after_six_deliveries_for_fourteen_days(resources: dict[str, Any]) -> None:
    queue = resources["PlanQueue"]["Properties"]
    dead = resources["PlanDeadLetterQueue"]["Properties"]

    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": attribute("PlanDeadLetterQueue"),
        "maxReceiveCount": MAX_DELIVERIES,
    }
    assert dead["MessageRetentionPeriod"] == 14 * DAY > queue["MessageRetentionPeriod"]
    assert queue["FifoQueue"] is dead["FifoQueue"] is True
    assert queue["MessageRetentionPeriod"] + dead["MessageRetentionPeriod"] < EXPIRES_AFTER_SECONDS


ASYNCHRONOUS = ("EventDeadLetterQueue", "ScheduleDeadLetterQueue", "FailureQueue")
"""Queues of events that could not be delivered or finished, one per hop."""


@pytest.mark.parametrize("name", ["PlanQueue", "PlanDeadLetterQueue", *ASYNCHRONOUS])
def test_queues_are_encrypted_and_accept_encrypted_connections_only(resources: dict[str, Any], name: str) -> None:
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


def test_asynchronous_failures_are_retried_and_kept_per_hop(
    function: dict[str, Any], resources: dict[str, Any]
) -> None:
    event, schedule, failed = (attribute(name) for name in ASYNCHRONOUS)

    assert function["EventInvokeConfig"]["MaximumRetryAttempts"] == 2
    assert function["EventInvokeConfig"]["MaximumEventAgeInSeconds"] == 60 * ExecutionConfig().plan_time_limit_minutes
    assert function["EventInvokeConfig"]["DestinationConfig"] == {"OnFailure": {"Type": "SQS", "Destination": failed}}
    (target,) = resources["PlanAnnounced"]["Properties"]["Targets"]
    assert target["DeadLetterConfig"] == {"Arn": event}
    for source in ("PlanScheduled", "DailyCheck", "Resume"):
        assert function["Events"][source]["Properties"]["DeadLetterConfig"] == {"Arn": schedule}
    for name in ASYNCHRONOUS:
        assert "FifoQueue" not in resources[name]["Properties"]  # their senders support standard queues only
        assert resources[name]["Properties"]["MessageRetentionPeriod"] == 14 * DAY


def test_schedule_uses_new_york_time_and_points_into_the_plan_bucket(function: dict[str, Any]) -> None:
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


def test_journal_can_be_restored_and_only_cached_items_expire(
    resources: dict[str, Any], function: dict[str, Any]
) -> None:
    journal = resources["ExecutionTable"]
    table = journal["Properties"]

    assert keys(table)["HASH"] == "pk"
    assert keys(table)["RANGE"] == "sk"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert journal["DeletionPolicy"] == journal["UpdateReplacePolicy"] == "Retain"
    assert function["Environment"]["Variables"]["EXECUTION_TABLE"] == reference("ExecutionTable")


def test_journal_is_protected_against_deletion_and_uses_the_key_of_the_stack(resources: dict[str, Any]) -> None:
    own = {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": attribute("DataKey")}

    assert resources["ExecutionTable"]["Properties"]["DeletionProtectionEnabled"] is True
    for name in ("ExecutionTable", "IdempotencyTable"):
        assert resources[name]["Properties"]["SSESpecification"] == own
        assert resources[name]["Properties"]["BillingMode"] == "PAY_PER_REQUEST"


def test_index_has_the_plans_of_a_day_by_status(resources: dict[str, Any]) -> None:
    (index,) = resources["ExecutionTable"]["Properties"]["GlobalSecondaryIndexes"]

    assert index["IndexName"] == INDEX
    assert {key["KeyType"]: key["AttributeName"] for key in index["KeySchema"]} == {"HASH": "day", "RANGE": "status"}
    assert set(index["Projection"]["NonKeyAttributes"]) == {"account", "plan_id"}  # never change: few index writes


def test_idempotency_table_has_the_keys_of_powertools(resources: dict[str, Any], function: dict[str, Any]) -> None:
    table = resources["IdempotencyTable"]["Properties"]

    assert keys(table) == {"HASH": "id"}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiration", "Enabled": True}
    assert function["Environment"]["Variables"]["IDEMPOTENCY_TABLE"] == reference("IdempotencyTable")


def test_plan_bucket_is_private_and_keeps_versions(resources: dict[str, Any]) -> None:
    bucket = resources["PlanBucket"]["Properties"]

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}


# --- rollout ----------------------------------------------------------------------------------------------


def test_function_has_an_alias_and_versions_that_start_from_a_snapshot(function: dict[str, Any]) -> None:
    assert function["AutoPublishAlias"] == "live"
    assert function["SnapStart"] == {"ApplyOn": reference("SnapStart")}


def test_snapshots_are_off_by_default_because_each_version_costs_money(template: dict[str, Any]) -> None:
    assert parameter(template, "SnapStart") == "None"


def test_every_parameter_of_the_function_is_in_the_record_that_makes_a_new_version(
    template: dict[str, Any], function: dict[str, Any], resources: dict[str, Any]
) -> None:
    """Otherwise a changed parameter would change the unpublished code only, and the alias would keep the old value."""
    properties = ("Architectures", "Timeout", "MemorySize", "SnapStart", "Environment")
    conditions = {name: set(strings(condition)) for name, condition in template["Conditions"].items()}
    used = {text for name in properties for text in strings(function[name])}
    used |= {text for name in used & conditions.keys() for text in conditions[name]}
    used |= {name for text in used for name in re.findall(r"\$\{(\w+)\}", text)}
    recorded = set(re.findall(r"\$\{(\w+)\}", resources["Configuration"]["Properties"]["Content"]["Fn::Sub"]))

    assert used & template["Parameters"].keys() == recorded
    assert function["VersionDescription"] == {"Fn::Sub": "configuration ${Configuration}"}
    assert "${Configuration}" in function["Description"]["Fn::Sub"]  # an unchanged function gets no new version


def test_defaults_can_be_deployed_in_small_accounts(template: dict[str, Any], function: dict[str, Any]) -> None:
    assert parameter(template, "ReservedConcurrency") == 0
    assert parameter(template, "Rollout") == "AllAtOnce"
    assert function["ReservedConcurrentExecutions"]["Fn::If"][0] == "ReservesConcurrency"


def test_codedeploy_checks_the_version_first_and_rolls_back_on_failed_deliveries(
    template: dict[str, Any], function: dict[str, Any]
) -> None:
    preference = function["DeploymentPreference"]
    rollouts = template["Mappings"]["Rollouts"]

    assert preference["Hooks"]["PreTraffic"]["Fn::If"][1] == reference("PreTrafficCheck")
    assert preference["Alarms"] == [reference("DeliveryFailuresAlarm")]  # a plan that yields is no failure
    assert rollouts.keys() == set(parameter(template, "Rollout", "AllowedValues"))
    assert [name for name, row in rollouts.items() if row["ByCodeDeploy"] == "false"] == ["AllAtOnce"]


# --- real money -------------------------------------------------------------------------------------------


def holds(condition: Any, values: dict[str, str]) -> bool:
    """Evaluate the condition of a rule as CloudFormation does."""
    ((function, operands),) = condition.items()
    if function == "Fn::Equals":
        one, other = (values[o["Ref"]] if isinstance(o, dict) else o for o in operands)
        return bool(one == other)
    if function == "Fn::Not":
        return not holds(operands[0], values)
    return all(holds(operand, values) for operand in operands)


def rule_violations(template: dict[str, Any], **given: str) -> list[str]:
    """Return the messages of the rules that these parameters violate."""
    values = {name: str(declared.get("Default")) for name, declared in template["Parameters"].items()} | given
    return [
        assertion["AssertDescription"]
        for rule in template["Rules"].values()
        if holds(rule["RuleCondition"], values)
        for assertion in rule["Assertions"]
        if not holds(assertion["Assert"], values)
    ]


LIVE = {"Stage": "live", "AlpacaPaper": "false", "LiveTrading": "yes", "NotifyEmail": "a@b.c"}


@pytest.mark.parametrize("missing", LIVE)
def test_live_needs_each_of_its_explicit_parameters(template: dict[str, Any], missing: str) -> None:
    assert rule_violations(template, **LIVE) == []
    assert rule_violations(template, **{name: value for name, value in LIVE.items() if name != missing})


def test_stages_of_samconfig_can_be_deployed_except_live_which_needs_parameters(template: dict[str, Any]) -> None:
    stages = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    given = {
        stage: dict(text.split("=") for text in stages[stage]["deploy"]["parameters"]["parameter_overrides"])
        for stage in ("dev", "paper", "live")
    }

    assert all(values.keys() <= template["Parameters"].keys() for values in given.values())
    assert rule_violations(template, **given["dev"]) == rule_violations(template, **given["paper"]) == []
    assert rule_violations(template, **given["live"])


# --- the local template -----------------------------------------------------------------------------------


def test_local_function_is_the_deployed_one_with_the_same_variables(function: dict[str, Any]) -> None:
    local = read("local/template.yaml")["Resources"]["RebalanceFunction"]
    ours = local["Properties"]

    assert ours["Runtime"] == function["Runtime"]
    assert local["Metadata"] == {"BuildMethod": "makefile"}  # one target builds both
    assert function["Environment"]["Variables"].keys() <= ours["Environment"]["Variables"].keys()
    assert not [value for value in ours["Environment"]["Variables"].values() if not isinstance(value, str)]
