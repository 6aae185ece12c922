"""The policy for deployments covers every type of resource in the template, and nothing beside its stacks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.infrastructure.templates import ROOT, read
from tests.infrastructure.translated import translated

STACK = "rebalance-executor-dev"
ACCOUNT = "000000000000"
MANAGED_POLICY_LIMIT = 6_144
"""Most characters of a managed policy, without spaces."""


def arn(service: str, resource: str, region: str = "us-east-1", account: str = ACCOUNT) -> str:
    return f"arn:aws:{service}:{region}:{account}:{resource}"


ROLE = arn("iam", f"role/{STACK}-FunctionRole-1A2B", region="")
FUNCTION = arn("lambda", f"function:{STACK}-RebalanceFunction-1A2B")
KEY = arn("kms", "key/1234")
TOPIC = arn("sns", f"{STACK}-ResultTopic-1A2B")
QUEUE = arn("sqs", f"{STACK}-plans.fifo")
BUCKET = f"arn:aws:s3:::{STACK}-planbucket-1a2b"
APPLICATION = arn("codedeploy", f"application:{STACK}-ServerlessDeploymentApplication-1A2B")
GROUP = arn("codedeploy", f"deploymentgroup:{STACK}-ServerlessDeploymentApplication-1A2B/{STACK}-Group-1A2B")
NEEDED = {
    "AWS::AppConfig::Application": ("appconfig", "*", "CreateApplication GetApplication DeleteApplication TagResource"),
    "AWS::AppConfig::ConfigurationProfile": (
        *("appconfig", "*"),
        "CreateConfigurationProfile GetConfigurationProfile DeleteConfigurationProfile",
    ),
    "AWS::AppConfig::HostedConfigurationVersion": (
        *("appconfig", "*"),
        "CreateHostedConfigurationVersion GetHostedConfigurationVersion DeleteHostedConfigurationVersion",
    ),
    "AWS::CloudWatch::Alarm": (
        *("cloudwatch", arn("cloudwatch", f"alarm:{STACK}-KillSwitchTripsAlarm-1A2B")),
        "PutMetricAlarm DeleteAlarms DescribeAlarms TagResource UntagResource ListTagsForResource",
    ),
    "AWS::CloudWatch::Dashboard": (
        *("cloudwatch", arn("cloudwatch", f"dashboard/{STACK}-us-east-1", region="")),
        "PutDashboard GetDashboard DeleteDashboards",
    ),
    "AWS::CodeDeploy::Application": ("codedeploy", APPLICATION, "CreateApplication GetApplication DeleteApplication"),
    "AWS::CodeDeploy::DeploymentGroup": (
        *("codedeploy", GROUP),
        (
            "CreateDeploymentGroup UpdateDeploymentGroup GetDeploymentGroup DeleteDeploymentGroup CreateDeployment "
            "GetDeployment StopDeployment"
        ),
    ),
    "AWS::DynamoDB::Table": (
        *("dynamodb", arn("dynamodb", f"table/{STACK}-ExecutionTable-1A2B")),
        (
            "CreateTable DescribeTable UpdateTable DeleteTable UpdateContinuousBackups DescribeContinuousBackups "
            "UpdateTimeToLive DescribeTimeToLive TagResource ListTagsOfResource"
        ),
    ),
    "AWS::Events::EventBus": (
        *("events", arn("events", f"event-bus/{STACK}")),
        "CreateEventBus DescribeEventBus UpdateEventBus DeleteEventBus TagResource",
    ),
    "AWS::Events::Rule": (
        *("events", arn("events", f"rule/{STACK}/{STACK}-PlanAnnounced-1A2B")),
        "PutRule DescribeRule DeleteRule PutTargets RemoveTargets ListTargetsByRule TagResource",
    ),
    "AWS::IAM::Role": (
        *("iam", ROLE),
        (
            "CreateRole GetRole DeleteRole PutRolePolicy GetRolePolicy DeleteRolePolicy ListRolePolicies TagRole "
            "ListAttachedRolePolicies UpdateAssumeRolePolicy PutRolePermissionsBoundary DeleteRolePermissionsBoundary"
        ),
    ),
    "AWS::KMS::Alias": ("kms", arn("kms", f"alias/{STACK}"), "CreateAlias UpdateAlias DeleteAlias"),
    "AWS::KMS::Key": (
        *("kms", KEY),
        (
            "CreateKey DescribeKey PutKeyPolicy GetKeyPolicy EnableKeyRotation GetKeyRotationStatus TagResource "
            "ScheduleKeyDeletion ListResourceTags UpdateKeyDescription CreateGrant Decrypt GenerateDataKey CreateAlias"
        ),
    ),
    "AWS::Lambda::Alias": ("lambda", f"{FUNCTION}:live", "CreateAlias UpdateAlias GetAlias DeleteAlias"),
    "AWS::Lambda::EventInvokeConfig": (
        *("lambda", f"{FUNCTION}:live"),
        (
            "PutFunctionEventInvokeConfig UpdateFunctionEventInvokeConfig GetFunctionEventInvokeConfig "
            "DeleteFunctionEventInvokeConfig"
        ),
    ),
    "AWS::Lambda::EventSourceMapping": (
        *("lambda", arn("lambda", "event-source-mapping:1234")),
        "CreateEventSourceMapping UpdateEventSourceMapping GetEventSourceMapping DeleteEventSourceMapping",
    ),
    "AWS::Lambda::Function": (
        *("lambda", FUNCTION),
        (
            "CreateFunction GetFunction UpdateFunctionCode UpdateFunctionConfiguration DeleteFunction TagResource "
            "PutFunctionConcurrency DeleteFunctionConcurrency InvokeFunction"
        ),
    ),
    "AWS::Lambda::Permission": ("lambda", f"{FUNCTION}:live", "AddPermission GetPolicy RemovePermission"),
    "AWS::Lambda::Version": ("lambda", FUNCTION, "PublishVersion ListVersionsByFunction DeleteFunction"),
    "AWS::Logs::LogGroup": (
        *("logs", arn("logs", f"log-group:{STACK}-FunctionLogs-1A2B")),
        "CreateLogGroup PutRetentionPolicy DeleteLogGroup TagResource ListTagsForResource DescribeLogGroups",
    ),
    "AWS::Logs::QueryDefinition": ("logs", "*", "PutQueryDefinition DescribeQueryDefinitions DeleteQueryDefinition"),
    "AWS::S3::Bucket": (
        *("s3", BUCKET),
        (
            "CreateBucket DeleteBucket PutBucketVersioning PutEncryptionConfiguration PutBucketPublicAccessBlock "
            "PutLifecycleConfiguration PutBucketTagging"
        ),
    ),
    "AWS::S3::BucketPolicy": ("s3", BUCKET, "PutBucketPolicy GetBucketPolicy DeleteBucketPolicy"),
    "AWS::SNS::Subscription": ("sns", TOPIC, "Subscribe Unsubscribe GetSubscriptionAttributes"),
    "AWS::SNS::Topic": ("sns", TOPIC, "CreateTopic GetTopicAttributes SetTopicAttributes DeleteTopic TagResource"),
    "AWS::SNS::TopicPolicy": ("sns", TOPIC, "SetTopicAttributes"),
    "AWS::SQS::Queue": (
        *("sqs", QUEUE),
        "CreateQueue DeleteQueue SetQueueAttributes GetQueueAttributes GetQueueUrl TagQueue UntagQueue ListQueueTags",
    ),
    "AWS::SQS::QueuePolicy": ("sqs", QUEUE, "SetQueueAttributes"),
    "AWS::Scheduler::Schedule": (
        *("scheduler", arn("scheduler", f"schedule/default/{STACK}-plan")),
        "CreateSchedule GetSchedule UpdateSchedule DeleteSchedule",
    ),
}
"""Requests that CloudFormation makes for a resource, by its type: the service, the ARN and the actions."""


@pytest.fixture(scope="module")
def statements() -> list[dict[str, Any]]:
    policy = json.loads((ROOT / "deploy" / "deployer-policy.json").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = policy["Statement"]
    return found


def as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def is_allowed(statements: Iterable[dict[str, Any]], action: str, resource: str) -> bool:
    return any(
        any(fnmatchcase(action, pattern) for pattern in as_list(statement["Action"]))
        and any(fnmatchcase(resource, pattern) for pattern in as_list(statement["Resource"]))
        for statement in statements
    )


def test_every_type_of_resource_can_be_created_changed_and_deleted(statements: list[dict[str, Any]]) -> None:
    types = {
        one["Type"]
        for one in translated(read("template.yaml"), Rollout="Linear10PercentEvery1Minute")["Resources"].values()
    }
    assert types == NEEDED.keys()

    missing = [
        f"{service}:{action} on {resource}"
        for service, resource, actions in NEEDED.values()
        for action in actions.split()
        if not is_allowed(statements, f"{service}:{action}", resource)
    ]
    assert missing == []


def test_sam_can_upload_and_deploy(statements: list[dict[str, Any]]) -> None:
    stack = arn("cloudformation", f"stack/{STACK}/1234")
    for action in ("CreateChangeSet", "ExecuteChangeSet", "DescribeStacks", "DescribeStackEvents", "DeleteStack"):
        assert is_allowed(statements, f"cloudformation:{action}", stack)
    transform = arn("cloudformation", "transform/Serverless-2016-10-31", account="aws")
    assert is_allowed(statements, "cloudformation:CreateChangeSet", transform)
    assert is_allowed(statements, "s3:PutObject", "arn:aws:s3:::aws-sam-cli-managed-default-samclisourcebucket-1/code")
    assert is_allowed(statements, "iam:PassRole", ROLE)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("dynamodb:PutItem", arn("dynamodb", f"table/{STACK}-ExecutionTable-1A2B")),
        ("dynamodb:GetItem", arn("dynamodb", f"table/{STACK}-ExecutionTable-1A2B")),
        ("dynamodb:DeleteTable", arn("dynamodb", "table/other")),
        ("lambda:UpdateFunctionCode", arn("lambda", "function:other")),
        ("iam:CreateRole", arn("iam", "role/other", region="")),
        ("iam:CreateUser", arn("iam", f"user/{STACK}", region="")),
        ("s3:GetObject", f"{BUCKET}/plans/today.json"),
        ("s3:DeleteObject", f"{BUCKET}/plans/today.json"),
        ("secretsmanager:GetSecretValue", arn("secretsmanager", f"secret:alpaca/{STACK}/default-1A2B3C")),
        ("sqs:SendMessage", QUEUE),
        ("cloudformation:DeleteStack", arn("cloudformation", "stack/other/1234")),
    ],
)
def test_deployer_reaches_neither_data_nor_other_stacks(
    statements: list[dict[str, Any]], action: str, resource: str
) -> None:
    assert not is_allowed(statements, action, resource)


def test_what_cannot_be_named_is_bound_to_cloudformation_or_to_reading(statements: list[dict[str, Any]]) -> None:
    unnamed = [s for s in statements if "*" in as_list(s["Resource"]) and "Condition" not in s]

    actions = [action for statement in unnamed for action in as_list(statement["Action"])]
    reading = ("Get", "List", "Describe", "Validate")
    assert [action for action in actions if not action.partition(":")[2].startswith(reading)] == [
        "logs:*QueryDefinition*"
    ]


def test_roles_are_passed_to_their_services_only(statements: list[dict[str, Any]]) -> None:
    (statement,) = [s for s in statements if "iam:PassRole" in as_list(s["Action"])]

    services = statement["Condition"]["StringEquals"]["iam:PassedToService"]
    assert {service.partition(".")[0] for service in services} == {"lambda", "scheduler", "codedeploy"}


def test_policy_fits_a_managed_policy(statements: list[dict[str, Any]]) -> None:
    text = json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))

    assert len(text) <= MANAGED_POLICY_LIMIT
