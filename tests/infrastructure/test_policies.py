"""Tests of permissions: the function may do only what it needs, and only the intended callers may reach it."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
from moto.events.models import EventPattern  # EventBridge's pattern language, as moto implements it

from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.adapters.dynamodb.plan_index import INDEX
from rebalance_executor.domain.errors import RebalanceError
from rebalance_executor.envelopes import OWN_SOURCE
from tests.infrastructure.templates import ROOT, attribute, strings
from tests.support.world import EXECUTION, IDEMPOTENCY, HandlerWorld, a_world, buy, plan

X_RAY = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
"""AWS has no resource-level permissions for these."""


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.fixture(scope="module")
def statements(resources: dict[str, Any]) -> list[dict[str, Any]]:
    policies = resources["FunctionRole"]["Properties"]["Policies"]
    declared = [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]
    return [statement["Fn::If"][1] if "Fn::If" in statement else statement for statement in declared]


def test_all_permissions_come_from_the_role_in_the_template(
    function: dict[str, Any], resources: dict[str, Any]
) -> None:
    role = resources["FunctionRole"]["Properties"]

    assert function["Role"] == attribute("FunctionRole")
    assert "Policies" not in function
    assert "ManagedPolicyArns" not in role
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_no_action_is_granted_by_wildcard(statements: list[dict[str, Any]]) -> None:
    assert {statement["Effect"] for statement in statements} == {"Allow"}
    assert not [action for statement in statements for action in as_list(statement["Action"]) if "*" in action]


def test_only_xray_has_a_wildcard_resource(statements: list[dict[str, Any]]) -> None:
    unlimited = [statement for statement in statements if "*" in as_list(statement["Resource"])]

    assert [set(statement["Action"]) for statement in unlimited] == [X_RAY]


def test_each_service_is_limited_to_resources_of_the_stack(statements: list[dict[str, Any]]) -> None:
    reached = {
        service: set(strings([s["Resource"] for s in statements if as_list(s["Action"])[0].startswith(f"{service}:")]))
        for service in ("dynamodb", "sqs", "logs", "events", "secretsmanager", "s3", "sns", "kms")
    }

    assert reached["dynamodb"] - {"Fn::GetAtt", "Fn::Sub"} == {
        "ExecutionTable.Arn",
        "IdempotencyTable.Arn",
        f"${{ExecutionTable.Arn}}/index/{INDEX}",
    }
    assert reached["sns"] - {"Ref"} == {"ResultTopic"}
    assert reached["kms"] - {"Fn::GetAtt", "Ref"} == {"DataKey.Arn", "SecretKeyArn", "PlanBucketKeyArn"}
    assert reached["sqs"] - {"Fn::GetAtt"} == {"PlanQueue.Arn", "FailureQueue.Arn"}
    assert reached["logs"] - {"Fn::GetAtt"} == {"FunctionLogs.Arn"}
    assert any(text.endswith("event-bus/${Bus}") for text in reached["events"])
    assert any(text.endswith("${AlpacaSecretPrefix}/${AWS::StackName}/*-??????") for text in reached["secretsmanager"])
    assert any(text.endswith(":s3:::${Bucket}/*") for text in reached["s3"])


def test_data_key_is_used_through_dynamodb_and_sns_only(
    statements: list[dict[str, Any]], resources: dict[str, Any]
) -> None:
    (grant,) = [s for s in statements if s["Resource"] == attribute("DataKey")]
    key = resources["DataKey"]

    services = grant["Condition"]["StringEquals"]["kms:ViaService"]
    assert [str(service["Fn::Sub"]).split(".")[0] for service in services] == ["dynamodb", "sns"]
    assert key["DeletionPolicy"] == "Retain"  # a retained table is lost without its key
    assert key["Properties"]["EnableKeyRotation"] is True


@pytest.mark.parametrize(
    ("parameter", "condition", "service"),
    [("SecretKeyArn", "HasSecretKey", "secretsmanager"), ("PlanBucketKeyArn", "HasPlanBucketKey", "s3")],
)
def test_own_keys_of_secrets_and_bucket_are_used_through_their_service_only(
    template: dict[str, Any], resources: dict[str, Any], parameter: str, condition: str, service: str
) -> None:
    declared = resources["FunctionRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    granted = {statement["Fn::If"][0]: statement["Fn::If"] for statement in declared if "Fn::If" in statement}

    _, grant, otherwise = granted[condition]
    assert (grant["Action"], grant["Resource"], otherwise) == (
        "kms:Decrypt",
        {"Ref": parameter},
        {"Ref": "AWS::NoValue"},
    )
    (via,) = grant["Condition"]["StringEquals"].values()
    assert via["Fn::Sub"] == f"{service}.${{AWS::Region}}.${{AWS::URLSuffix}}"
    assert template["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, ""]}]}


def test_bucket_that_is_created_is_encrypted_with_the_own_key(resources: dict[str, Any]) -> None:
    (rule,) = resources["PlanBucket"]["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]

    condition, own, otherwise = rule["Fn::If"]
    assert condition == "HasPlanBucketKey"
    assert own["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": {"Ref": "PlanBucketKeyArn"},
    }
    assert otherwise["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


def test_rollout_role_changes_this_alias_and_invokes_this_check_only(resources: dict[str, Any]) -> None:
    (policy,) = resources["RolloutRole"]["Properties"]["Policies"]
    granted = {s["Sid"]: s["Resource"] for s in policy["PolicyDocument"]["Statement"]}

    assert set(strings(granted["Alias"])) - {"Fn::GetAtt", "Fn::Sub"} == {
        "RebalanceFunction.Arn",
        "${RebalanceFunction.Arn}:*",
    }
    assert granted["Hook"] == attribute("PreTrafficCheck")


def test_pre_traffic_check_may_only_invoke_the_function_and_report_to_codedeploy(resources: dict[str, Any]) -> None:
    (policy,) = resources["PreTrafficRole"]["Properties"]["Policies"]
    granted = {action for s in policy["PolicyDocument"]["Statement"] for action in as_list(s["Action"])}

    assert granted == {
        "lambda:InvokeFunction",
        "codedeploy:PutLifecycleEventHookExecutionStatus",
        *X_RAY,
        *("logs:CreateLogStream", "logs:PutLogEvents"),
    }


@pytest.mark.parametrize(
    "name",
    [
        *("PlanQueue", "PlanDeadLetterQueue", "EventDeadLetterQueue", "ScheduleDeadLetterQueue", "FailureQueue"),
        "PlanBucket",
    ],
)
def test_every_queue_and_bucket_denies_connections_without_tls(resources: dict[str, Any], name: str) -> None:
    denied = [
        set(strings(statement["Resource"]))
        for resource in resources.values()
        for statement in resource["Properties"].get("PolicyDocument", {"Statement": []})["Statement"]
        if statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    ]

    assert any(f"{name}.Arn" in texts for texts in denied)


def test_nothing_is_public(resources: dict[str, Any]) -> None:
    for resource in resources.values():
        document = resource["Properties"].get("PolicyDocument", {"Statement": []})
        assert not [s for s in document["Statement"] if s["Effect"] == "Allow" and s["Principal"] == "*"]
    assert "FunctionUrlConfig" not in resources["RebalanceFunction"]["Properties"]


@pytest.mark.parametrize(
    ("source", "detail_type", "matches"),
    [
        ("portfolio.construction", "RebalancePlanned", True),
        ("anyone.else", "RebalancePlanned", True),
        ("portfolio.construction", "SomethingElse", False),
        (OWN_SOURCE, "RebalanceExecuted", False),
        (OWN_SOURCE, "RebalancePlanned", False),
    ],
)
def test_rule_matches_plans_but_never_our_own_output(
    resources: dict[str, Any], source: str, detail_type: str, matches: bool
) -> None:
    rule = resources["PlanAnnounced"]["Properties"]["EventPattern"]
    pattern = EventPattern(raw_pattern="", pattern=rule)

    assert pattern.matches_event({"source": source, "detail-type": detail_type, "detail": {}}) is matches


CALLS = {
    r"\.get_item\(": "dynamodb:GetItem",
    r"\.put_item\(": "dynamodb:PutItem",
    r"\.update_item\(": "dynamodb:UpdateItem",
    r"\.delete_item\(": "dynamodb:DeleteItem",
    r"\.query\(": "dynamodb:Query",
    r"\.scan\(": "dynamodb:Scan",
    r"\.describe_table\(": "dynamodb:DescribeTable",
    r"\.batch_get_item\(": "dynamodb:BatchGetItem",
    r"\.batch_write_item\(": "dynamodb:BatchWriteItem",
    r'"Put":': "dynamodb:PutItem",
    r'"Update":': "dynamodb:UpdateItem",
    r'"Delete":': "dynamodb:DeleteItem",
    r'"ConditionCheck":': "dynamodb:ConditionCheckItem",
    r"\.get_object\(": "s3:GetObject",
    r"\.head_bucket\(": "s3:ListBucket",
    r"\.put_events\(": "events:PutEvents",
    r"_client\.publish\(": "sns:Publish",
    r"\.describe_event_bus\(": "events:DescribeEventBus",
    r"\.describe_secret\(": "secretsmanager:DescribeSecret",
    r"SecretsProvider\(": "secretsmanager:GetSecretValue",
    r"\.change_message_visibility\(": "sqs:ChangeMessageVisibility",
}
"""Pattern of an AWS request in our code, and the permission that it needs."""

BY_POWERTOOLS = {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"}
BY_LAMBDA = {
    *(
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ChangeMessageVisibility",
        "sqs:SendMessage",
    ),
    *("logs:CreateLogStream", "logs:PutLogEvents"),
}
BY_ENCRYPTION = {
    *("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext"),
    *("kms:ReEncryptFrom", "kms:ReEncryptTo"),
}
"""Needed for tables and topics with a customer managed key."""
BY_VERSION = {"s3:GetObjectVersion"}
"""Needed by ``get_object`` with a version."""


def test_granted_actions_are_exactly_those_that_the_code_calls(statements: list[dict[str, Any]]) -> None:
    """The emulators do not check permissions, so a missing one would appear in AWS only."""
    files = (ROOT / "src" / "rebalance_executor").rglob("*.py")
    source = "\n".join(path.read_text(encoding="utf-8") for path in files)

    called = {action for call, action in CALLS.items() if re.search(call, source)}
    granted = {action for statement in statements for action in as_list(statement["Action"])}

    assert granted == called | BY_POWERTOOLS | BY_LAMBDA | BY_ENCRYPTION | BY_VERSION | X_RAY


TABLES = {EXECUTION: "ExecutionTable.Arn", IDEMPOTENCY: "IdempotencyTable.Arn"}
TRANSACTION_ACTIONS = {"Put": "PutItem", "Update": "UpdateItem", "ConditionCheck": "ConditionCheckItem"}


def required(operation: str, request: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each action and resource that a DynamoDB request needs."""
    if operation == "TransactWriteItems":
        for item in request["TransactItems"]:
            for kind, change in item.items():
                yield TRANSACTION_ACTIONS[kind], TABLES[change["TableName"]]
    elif "RequestItems" in request:
        yield from ((operation, TABLES[table]) for table in request["RequestItems"])
    elif "IndexName" in request:
        yield operation, f"${{{TABLES[request['TableName']]}}}/index/{request['IndexName']}"
    else:
        yield operation, TABLES[request["TableName"]]


def test_real_runs_use_every_granted_action_on_its_own_table(
    statements: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checked per table, with real runs from a new plan to one that yields. A write takes several transactions."""
    monkeypatch.setattr(DynamoJournal.__init__, "__kwdefaults__", {"parents_per_transaction": 1})
    used: set[tuple[str, str]] = set()
    original = HandlerWorld._client

    def recording(world: HandlerWorld, name: str) -> Any:
        client = original(world, name)
        register = client.meta.events.register
        register(
            "provide-client-params.dynamodb.*", lambda model, params, **_: used.update(required(model.name, params))
        )
        return client

    monkeypatch.setattr(HandlerWorld, "_client", recording)
    with contextlib.redirect_stdout(io.StringIO()), a_world() as world:
        trades = plan(buy("AAA", 500), buy("BBB", 500))
        for event in (trades, trades, {"health": True}, {"watch": True}):
            world.deliver(event)
        world.broker.change({"default_fill": {"behaviour": "never"}})
        with contextlib.suppress(RebalanceError):
            world.deliver(plan(buy("CCC", 500), plan_id="yields"), seconds=5)

    granted = {
        (action.removeprefix("dynamodb:"), resource)
        for statement in statements
        for action in as_list(statement["Action"])
        if action.startswith("dynamodb:")
        for resource in strings(list(statement["Resource"].values()))
    }
    assert used == granted
