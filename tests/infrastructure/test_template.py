"""``template.yaml`` by its properties: what must hold, whatever else changes."""

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
        assert not [name for name in names if "${AWS::StackName}" not in str(resource["Properties"][name])]
        events = resource["Properties"].get("Events", {}).values()
        for schedule in [event["Properties"] for event in events if event["Type"] == "ScheduleV2"]:
            assert "${AWS::StackName}" in str(schedule.get("Name"))  # SAM's own name has no stack in it
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
    table = template["Mappings"]["Timeouts"]

    assert function["Timeout"] == reference("TimeoutSeconds")
    assert resources["PlanQueue"]["Properties"]["VisibilityTimeout"] == {
        "Fn::FindInMap": ["Timeouts", reference("TimeoutSeconds"), "Visibility"]
    }
    assert {str(seconds): row["Visibility"] for seconds, row in table.items()} == {str(s): 6 * s for s in allowed}
    assert {str(seconds): row["Near"] for seconds, row in table.items()} == {str(s): 800 * s for s in allowed}
    assert parameter(template, "TimeoutSeconds") in allowed


def test_by_default_the_queue_delivers_again_within_a_plans_own_time_limit(template: dict[str, Any]) -> None:
    hidden_minutes = 6 * parameter(template, "TimeoutSeconds") / 60

    assert hidden_minutes < ExecutionConfig().plan_time_limit_minutes


def test_six_deliveries_then_the_dead_letter_queue_for_fourteen_days(resources: dict[str, Any]) -> None:
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
"""What could not be delivered or finished, by the hop that it got stuck at."""


@pytest.mark.parametrize("name", ["PlanQueue", "PlanDeadLetterQueue", *ASYNCHRONOUS])
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


def test_asynchronous_failures_are_tried_again_and_kept_by_each_hop_apart(
    function: dict[str, Any], resources: dict[str, Any]
) -> None:
    event, schedule, failed = (attribute(name) for name in ASYNCHRONOUS)

    assert function["EventInvokeConfig"]["MaximumRetryAttempts"] == 2
    assert function["EventInvokeConfig"]["MaximumEventAgeInSeconds"] == 60 * ExecutionConfig().plan_time_limit_minutes
    assert function["EventInvokeConfig"]["DestinationConfig"] == {"OnFailure": {"Type": "SQS", "Destination": failed}}
    for way, kept in (("PlanAnnounced", event), ("PlanScheduled", schedule), ("DayWatched", schedule)):
        assert function["Events"][way]["Properties"]["DeadLetterConfig"] == {"Arn": kept}
    for name in ASYNCHRONOUS:
        assert "FifoQueue" not in resources[name]["Properties"]  # nobody of them would hand over to such a queue
        assert resources[name]["Properties"]["MessageRetentionPeriod"] == 14 * DAY


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

    assert keys(table)["HASH"] == "pk"
    assert keys(table)["RANGE"] == "sk"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert journal["DeletionPolicy"] == journal["UpdateReplacePolicy"] == "Retain"
    assert function["Environment"]["Variables"]["EXECUTION_TABLE"] == reference("ExecutionTable")


def test_the_journal_cannot_be_deleted_and_is_under_the_stacks_own_key(resources: dict[str, Any]) -> None:
    own = {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": attribute("DataKey")}

    assert resources["ExecutionTable"]["Properties"]["DeletionProtectionEnabled"] is True
    for name in ("ExecutionTable", "IdempotencyTable"):
        assert resources[name]["Properties"]["SSESpecification"] == own
        assert resources[name]["Properties"]["BillingMode"] == "PAY_PER_REQUEST"


def test_the_plans_of_a_day_are_indexed_by_status(resources: dict[str, Any]) -> None:
    (index,) = resources["ExecutionTable"]["Properties"]["GlobalSecondaryIndexes"]

    assert index["IndexName"] == INDEX
    assert {key["KeyType"]: key["AttributeName"] for key in index["KeySchema"]} == {"HASH": "day", "RANGE": "status"}
    assert set(index["Projection"]["NonKeyAttributes"]) == {"account", "plan_id"}  # neither changes: few index writes


def test_the_front_door_has_powertools_keys(resources: dict[str, Any], function: dict[str, Any]) -> None:
    table = resources["IdempotencyTable"]["Properties"]

    assert keys(table) == {"HASH": "id"}
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiration", "Enabled": True}
    assert function["Environment"]["Variables"]["IDEMPOTENCY_TABLE"] == reference("IdempotencyTable")


def test_the_plan_bucket_is_private_and_keeps_versions(resources: dict[str, Any]) -> None:
    bucket = resources["PlanBucket"]["Properties"]

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}


# --- rollout ----------------------------------------------------------------------------------------------


def test_everything_invokes_the_alias_of_a_version_that_starts_from_a_snapshot(function: dict[str, Any]) -> None:
    assert function["AutoPublishAlias"] == "live"
    assert function["SnapStart"] == {"ApplyOn": reference("SnapStart")}


def test_every_parameter_of_the_function_is_in_the_record_whose_number_makes_a_new_version(
    template: dict[str, Any], function: dict[str, Any], resources: dict[str, Any]
) -> None:
    """Without it, a changed parameter would change the unpublished code only, and the alias would stay as it was."""
    steering = {
        *("Architectures", "Timeout", "MemorySize", "SnapStart", "Environment"),
    }
    conditions = {name: set(strings(condition)) for name, condition in template["Conditions"].items()}
    used = {text for name in steering for text in strings(function[name])}
    used |= {text for name in used & conditions.keys() for text in conditions[name]}
    recorded = set(re.findall(r"\$\{(\w+)\}", resources["Configuration"]["Properties"]["Content"]["Fn::Sub"]))

    assert used & template["Parameters"].keys() == recorded
    assert function["VersionDescription"] == {"Fn::Sub": "configuration ${Configuration}"}
    assert "${Configuration}" in function["Description"]["Fn::Sub"]  # a version needs a function that has changed


def test_small_accounts_can_deploy_the_defaults(template: dict[str, Any], function: dict[str, Any]) -> None:
    assert parameter(template, "ReservedConcurrency") == 0
    assert parameter(template, "Rollout") == "AllAtOnce"
    assert function["ReservedConcurrentExecutions"]["Fn::If"][0] == "ReservesConcurrency"


def test_codedeploy_asks_for_health_first_and_goes_back_when_errors_ring(
    template: dict[str, Any], function: dict[str, Any]
) -> None:
    preference = function["DeploymentPreference"]
    rollouts = template["Mappings"]["Rollouts"]

    assert preference["Hooks"]["PreTraffic"]["Fn::If"][1] == reference("PreTrafficCheck")
    assert preference["Alarms"] == [reference("FunctionErrorsAlarm"), reference("ProgramErrorsAlarm")]
    assert rollouts.keys() == set(parameter(template, "Rollout", "AllowedValues"))
    assert [name for name, row in rollouts.items() if row["ByCodeDeploy"] == "false"] == ["AllAtOnce"]


# --- real money -------------------------------------------------------------------------------------------


def holds(condition: Any, values: dict[str, str]) -> bool:
    """What CloudFormation makes of a rule's condition."""
    ((function, operands),) = condition.items()
    if function == "Fn::Equals":
        one, other = (values[o["Ref"]] if isinstance(o, dict) else o for o in operands)
        return bool(one == other)
    if function == "Fn::Not":
        return not holds(operands[0], values)
    return all(holds(operand, values) for operand in operands)


def refusals(template: dict[str, Any], **typed: str) -> list[str]:
    """What the template's rules say to these parameters."""
    values = {name: str(declared.get("Default")) for name, declared in template["Parameters"].items()} | typed
    return [
        assertion["AssertDescription"]
        for rule in template["Rules"].values()
        if holds(rule["RuleCondition"], values)
        for assertion in rule["Assertions"]
        if not holds(assertion["Assert"], values)
    ]


LIVE = {"Stage": "live", "AlpacaPaper": "false", "LiveTrading": "yes", "NotifyEmail": "a@b.c"}


@pytest.mark.parametrize("missing", LIVE)
def test_live_refuses_to_deploy_without_each_of_its_explicit_parameters(template: dict[str, Any], missing: str) -> None:
    assert refusals(template, **LIVE) == []
    assert refusals(template, **{name: value for name, value in LIVE.items() if name != missing})


def test_the_stages_of_samconfig_are_accepted_but_live_which_must_be_typed(template: dict[str, Any]) -> None:
    stages = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    given = {
        stage: dict(text.split("=") for text in stages[stage]["deploy"]["parameters"]["parameter_overrides"])
        for stage in ("dev", "paper", "live")
    }

    assert all(values.keys() <= template["Parameters"].keys() for values in given.values())
    assert refusals(template, **given["dev"]) == refusals(template, **given["paper"]) == []
    assert refusals(template, **given["live"])


# --- the local template -----------------------------------------------------------------------------------


def test_the_local_function_is_the_deployed_one_with_the_same_variables(function: dict[str, Any]) -> None:
    local = read("local/template.yaml")["Resources"]["RebalanceFunction"]
    ours = local["Properties"]

    assert ours["Runtime"] == function["Runtime"]
    assert local["Metadata"] == {"BuildMethod": "makefile"}  # the same target builds both
    assert function["Environment"]["Variables"].keys() <= ours["Environment"]["Variables"].keys()
    assert not [value for value in ours["Environment"]["Variables"].values() if not isinstance(value, str)]
