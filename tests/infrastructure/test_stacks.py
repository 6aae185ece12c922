"""Tests of several stacks side by side, and of one stack over many deployments."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.infrastructure.templates import ROOT, read, reference
from tests.infrastructure.translated import of_type, translated

CANARY = {"Rollout": "Canary10Percent5Minutes"}

# --- side by side -----------------------------------------------------------------------------------------

NAME_LIMITS = {
    "AWS::Scheduler::Schedule": 64,
    "AWS::AppConfig::Application": 64,
    "AWS::SQS::Queue": 80,
    "AWS::Events::EventBus": 256,
    "AWS::KMS::Alias": 256,
    "AWS::CloudWatch::Dashboard": 255,
    "AWS::Logs::QueryDefinition": 255,
}
"""Most characters of a name, by resource type. Every other resource of the template has a generated name."""
LONGEST_REGION = "ap-southeast-1"


@pytest.fixture(scope="module")
def deployed() -> dict[str, Any]:
    """Return the translated template of a stack with canary deployments."""
    return translated(read("template.yaml"), **CANARY)


def fixed_names(template: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield type and name of each resource whose name is not generated, except those within another resource."""
    for resource in template["Resources"].values():
        for key in ("Name", "QueueName", "AliasName", "DashboardName", "FunctionName", "RoleName", "AlarmName"):
            name = resource["Properties"].get(key)
            if name is not None and resource["Type"] in NAME_LIMITS:
                yield resource["Type"], name["Fn::Sub"] if "Fn::Sub" in name else f"${{{name['Ref']}}}"


def test_every_fixed_name_contains_the_stack(deployed: dict[str, Any]) -> None:
    names = list(fixed_names(deployed))

    assert {kind for kind, _ in names} == NAME_LIMITS.keys()
    assert [name for _, name in names if "${AWS::StackName}" not in name] == []
    for kind in ("AWS::CloudWatch::Alarm", "AWS::IAM::Role", "AWS::SNS::Topic", "AWS::DynamoDB::Table"):
        for _, resource in of_type(deployed, kind):
            assert not [key for key in resource["Properties"] if key.endswith("Name") and "Metric" not in key]


def test_documented_limit_of_the_stack_name_is_that_of_the_longest_derived_name(deployed: dict[str, Any]) -> None:
    limits = [
        NAME_LIMITS[kind] - len(name.replace("${AWS::StackName}", "").replace("${AWS::Region}", LONGEST_REGION))
        for kind, name in fixed_names(deployed)
    ]

    page = " ".join((ROOT / "docs" / "deploy.md").read_text(encoding="utf-8").split())
    assert f"A stack name has at most {min(limits)} characters" in page
    stages = re.findall(r'stack_name = "([^"]+)"', (ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    assert len(stages) == 3
    assert max(map(len, stages)) <= min(limits)


def test_dashboards_of_two_regions_have_two_names(deployed: dict[str, Any]) -> None:
    ((_, dashboard),) = of_type(deployed, "AWS::CloudWatch::Dashboard")

    assert "${AWS::Region}" in dashboard["Properties"]["DashboardName"]["Fn::Sub"]


def test_no_stack_may_read_the_keys_of_another_one(deployed: dict[str, Any]) -> None:
    variables = deployed["Resources"]["RebalanceFunction"]["Properties"]["Environment"]["Variables"]
    secret = "${AlpacaSecretPrefix}/${AWS::StackName}/"

    assert variables["ALPACA_SECRET_NAME"] == {"Fn::Sub": secret + "{account}"}
    statements = deployed["Resources"]["FunctionRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    (grant,) = [s for s in statements if s.get("Sid") == "BrokerCredentials"]
    assert grant["Resource"]["Fn::Sub"].partition(":secret:")[2].strip() == secret + "*-??????"


def test_each_stack_marks_its_orders(deployed: dict[str, Any]) -> None:
    """By these marks a plan is denied if two stacks have the keys of one broker account."""
    variables = deployed["Resources"]["RebalanceFunction"]["Properties"]["Environment"]["Variables"]

    assert variables["DEPLOYMENT"] == {"Fn::Sub": "${AWS::AccountId}/${AWS::Region}/${AWS::StackName}"}


def test_alarms_on_our_metrics_watch_the_metrics_of_this_stack(deployed: dict[str, Any]) -> None:
    variables = deployed["Resources"]["RebalanceFunction"]["Properties"]["Environment"]["Variables"]
    ours = [
        alarm["Properties"]
        for _, alarm in of_type(deployed, "AWS::CloudWatch::Alarm")
        if alarm["Properties"]["Namespace"] == variables["POWERTOOLS_METRICS_NAMESPACE"]
    ]

    assert len(ours) == 10
    for alarm in ours:
        assert alarm["Dimensions"] == [{"Name": "service", "Value": variables["POWERTOOLS_SERVICE_NAME"]}]
    assert variables["POWERTOOLS_SERVICE_NAME"] == reference("AWS::StackName")


# --- one deployment after another ---------------------------------------------------------------------------


def version_of(template: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return logical ID and resource of the published version."""
    (version,) = of_type(template, "AWS::Lambda::Version")
    return version


def changed(**properties: object) -> dict[str, Any]:
    """Return ``template.yaml`` with other properties of the function."""
    template = copy.deepcopy(read("template.yaml"))
    template["Resources"]["RebalanceFunction"]["Properties"] |= properties
    return template


def test_published_versions_are_kept_when_code_or_parameters_change(deployed: dict[str, Any]) -> None:
    """A changed parameter replaces the version: its logical ID stays, its description changes."""
    name, version = version_of(deployed)

    assert version_of(translated(read("template.yaml"), ExecutionConfig="{}", MemorySize="1024", **CANARY))[0] == name
    assert version["Properties"]["Description"] == {"Fn::Sub": "configuration ${Configuration}"}
    assert version["DeletionPolicy"] == version["UpdateReplacePolicy"] == "Retain"


def test_another_runtime_is_another_version_and_so_are_tags(deployed: dict[str, Any]) -> None:
    """The latter is the trap of ``AutoPublishAliasAllProperties`` that ``template.yaml`` names."""
    name, _ = version_of(deployed)

    assert version_of(translated(changed(Runtime="python3.14"), **CANARY))[0] != name
    assert version_of(translated(changed(Tags={"team": "desk"}), **CANARY))[0] != name
    assert not {"Tags", "PropagateTags"} & read("template.yaml")["Resources"]["RebalanceFunction"]["Properties"].keys()


def test_only_what_a_parameter_cannot_replace_is_kept_with_the_version(deployed: dict[str, Any]) -> None:
    """A rule of the former bus that were kept would still deliver its plans."""
    kept = {
        resource["Type"]
        for name, resource in deployed["Resources"].items()
        if resource.get("UpdateReplacePolicy") == "Retain" and name.startswith("RebalanceFunction")
    }

    assert kept == {
        *("AWS::Lambda::Function", "AWS::Lambda::Version", "AWS::Lambda::Alias", "AWS::Lambda::EventInvokeConfig"),
        *("AWS::Lambda::EventSourceMapping", "AWS::Scheduler::Schedule", "AWS::IAM::Role"),  # of the schedules
    }
    assert "DeletionPolicy" not in deployed["Resources"]["RebalanceFunction"]  # sam delete deletes the function
    for name in ("PlanAnnounced", "PlanAnnouncedPermission"):
        assert not {"DeletionPolicy", "UpdateReplacePolicy"} & deployed["Resources"][name].keys()


def test_failed_first_deployment_leaves_only_what_its_protection_keeps(deployed: dict[str, Any]) -> None:
    policies = {name: one["DeletionPolicy"] for name, one in deployed["Resources"].items() if "DeletionPolicy" in one}

    kept = {name for name, policy in policies.items() if policy == "Retain"}
    assert kept == {"ExecutionTable", "DataKey", version_of(deployed)[0]}  # versions go with the function
    assert {name for name, policy in policies.items() if policy == "RetainExceptOnCreate"} == {
        *("FunctionLogs", "PlanBucket", "FailureQueue"),
        *("PlanDeadLetterQueue", "EventDeadLetterQueue", "ScheduleDeadLetterQueue"),
    }
    fixed = {"TableName", "QueueName", "BucketName", "LogGroupName"}
    retained = [name for name, policy in policies.items() if policy != "Delete"]
    assert not [name for name in retained if fixed & deployed["Resources"][name]["Properties"].keys()]


def test_codedeploy_runs_the_check_and_uses_the_alarm_of_failed_deliveries(deployed: dict[str, Any]) -> None:
    ((_, alias),) = of_type(deployed, "AWS::Lambda::Alias")
    ((_, group),) = of_type(deployed, "AWS::CodeDeploy::DeploymentGroup")
    role = group["Properties"]["ServiceRoleArn"]

    hook = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]["BeforeAllowTrafficHook"]
    assert hook["Fn::If"][:2] == ["ShiftsTraffic", reference("PreTrafficCheck")]
    alarms = group["Properties"]["AlarmConfiguration"]["Alarms"]
    assert alarms == [{"Name": reference("DeliveryFailuresAlarm")}]
    assert role["Fn::If"][:2] == ["ShiftsTraffic", {"Fn::GetAtt": ["RolloutRole", "Arn"]}]


def test_without_canary_there_is_no_codedeploy() -> None:
    kinds = {resource["Type"] for resource in translated(read("template.yaml"))["Resources"].values()}

    assert not [kind for kind in kinds if kind.startswith("AWS::CodeDeploy")]


# --- permissions of the account -------------------------------------------------------------------------------


def test_every_role_has_the_boundary_of_the_account(deployed: dict[str, Any]) -> None:
    boundary = {"Fn::If": ["HasPermissionsBoundary", reference("PermissionsBoundaryArn"), reference("AWS::NoValue")]}
    roles = dict(of_type(deployed, "AWS::IAM::Role"))

    assert len(roles) == 6
    assert [name for name, role in roles.items() if role["Properties"].get("PermissionsBoundary") != boundary] == []
