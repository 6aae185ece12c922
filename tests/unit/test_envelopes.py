"""Every object that AWS sends to a function is either opened or invalid under its name, with the next step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.envelopes import EMPTY, OWN_SOURCE, SHAPES, Shape, shape_of
from rebalance_executor.triggers import PlanDocument, QueueBatch, decode, read
from tests.support.builders import a_plan_document

ROOT = Path(__file__).parents[2]
PLAN = a_plan_document()
GENERATED: dict[str, dict[str, Any]] = json.loads((ROOT / "tests/data/sam_events.json").read_text(encoding="utf-8"))
"""The command that made it → event. Lists are cut to two elements, long texts to 100 characters, and keys left out."""

NAMES = {
    "alb request": "a request of an Application Load Balancer",
    "alexa-skills-kit start-session": "an Alexa skill request",
    "alexa-smart-home smart-home-discovery-request": "an Alexa smart home request",
    "apigateway authorizer": "an API Gateway authorizer request",
    "apigateway aws-proxy": "an API Gateway request (REST API)",
    "apigateway http-api-proxy": "an API Gateway request (HTTP API)",
    "apigateway request-authorizer": "an API Gateway authorizer request",
    "appsync resolver": "an AppSync request",
    "cloudformation create-request": "a CloudFormation custom resource",
    "cloudfront simple-remote-call": "a CloudFront request",
    "cloudwatch logs": "a CloudWatch Logs event",
    "cloudwatch scheduled-event": "a scheduled event without a plan",
    "codecommit repository": "a CodeCommit event",
    "codepipeline job": "a CodePipeline job",
    "cognito sync-trigger": "a Cognito Sync trigger",
    "config item-change-notification": "an AWS Config rule",
    "config periodic-rule": "an AWS Config rule",
    "connect contact-flow-event": "an Amazon Connect contact flow",
    "dynamodb update": "a DynamoDB stream event",
    "kinesis analytics": "a Kinesis Data Analytics transformation",
    "kinesis get-records": "a Kinesis event",
    "kinesis kinesis-firehose": "a Data Firehose transformation",
    "lex book-hotel": "a Lex (V1) request",
    "lex-v2 book-hotel": "a Lex V2 request",
    "rekognition s3-request": "an S3 event notification",
    "s3 batch-invocation": "an S3 Batch Operations task",
    "s3 delete": "an S3 event notification",
    "s3 put": "an S3 event notification",
    "sagemaker ground-truth-annotation-consolidation": "a SageMaker Ground Truth task",
    "sagemaker ground-truth-pre-human": "a SageMaker Ground Truth task",
    "ses email-receiving": "an SES mail event",
    "sns notification": "an SNS notification sent to the function directly",
    "stepfunctions error": "a Step Functions error",
    "workmail email": "a WorkMail message",
}

KAFKA = {"topic-0": [{"topic": "topic", "partition": 0, "offset": 15, "value": "SGVsbG8="}]}
STREAM_FAILURE = {
    "requestContext": {
        "requestId": "c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5",
        "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:f",
        "condition": "RetryAttemptsExhausted",
        "approximateInvokeCount": 1,
    },
    "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
    "version": "1.0",
    "KinesisBatchInfo": {"shardId": "shardId-000000000001"},
}
BUS = {"version": "0", "id": "1", "account": "123456789012", "region": "us-east-1", "resources": []}

WRITTEN: list[tuple[str, dict[str, Any]]] = [
    ("an empty object", {}),
    ("the test event of the Lambda console", {"key1": "value1", "key2": "value2", "key3": "value3"}),
    ("a warm-up event", {"source": "serverless-plugin-warmup"}),
    ("a warm-up event", {"warmer": True, "concurrency": 3}),
    (
        "a Function URL request",
        {
            "version": "2.0",
            "rawPath": "/",
            "headers": {},
            "requestContext": {
                "domainName": "abc.lambda-url.us-east-1.on.aws",
                "http": {"method": "POST", "path": "/"},
            },
            "body": json.dumps(PLAN),
            "isBase64Encoded": False,
        },
    ),
    (
        "an API Gateway request (WebSocket API)",
        {"requestContext": {"routeKey": "$default", "connectionId": "Y="}, "body": json.dumps(PLAN)},
    ),
    (
        "an API Gateway authorizer request",
        {"version": "2.0", "type": "REQUEST", "routeArn": "arn:aws:execute-api:x", "requestContext": {"http": {}}},
    ),
    (
        "a VPC Lattice request",
        {"version": "2.0", "method": "POST", "path": "/", "requestContext": {"serviceNetworkArn": "arn:x"}},
    ),
    ("an object with a body, such as an HTTP request", {"body": json.dumps(PLAN)}),
    ("an object with a body, such as an HTTP request", {"body": json.dumps(PLAN), "headers": {}}),
    ("a Step Functions task that waits for its token", {"TaskToken": "AAAA", "Input": PLAN}),
    ("a Step Functions task that waits for its token", {"taskToken": "AAAA", "rebalance_plan": PLAN}),
    ("the context object of Step Functions", {"Execution": {"Id": "arn:x", "Input": PLAN}, "StateMachine": {}}),
    ("the output of a Lambda task of Step Functions", {"ExecutedVersion": "1", "Payload": PLAN, "StatusCode": 200}),
    ("a batch of a Step Functions Map state", {"BatchInput": {}, "Items": [PLAN]}),
    ("an invocation of a durable function", {"DurableExecutionArn": "arn:x", "CheckpointToken": "t"}),
    ("Lambda's record of a failed batch of a stream", STREAM_FAILURE),
    (
        "Lambda's record of a successful invocation",
        {"requestContext": {"condition": "Success"}, "requestPayload": PLAN, "responsePayload": {}},
    ),
    ("a scheduled event without a plan", BUS | {"source": "aws.scheduler", "detail": "{}"}),
    (
        "an event of an AWS service",
        BUS | {"source": "aws.s3", "detail-type": "Object Deleted", "detail": {"bucket": {"name": "plans"}}},
    ),
    (
        "an event of an AWS service",
        BUS
        | {"source": "aws.states", "detail-type": "Step Functions Execution Status Change", "detail": {"input": "{}"}},
    ),
    (f"an event of {OWN_SOURCE}", {"source": OWN_SOURCE, "detail": PLAN}),
    ("an event of Amazon MSK", {"eventSource": "aws:kafka", "records": KAFKA}),
    ("an event of a self-managed Kafka cluster", {"eventSource": "SelfManagedKafka", "records": KAFKA}),
    ("an event of a self-managed Kafka cluster", {"eventSource": "aws:SelfManagedKafka", "records": KAFKA}),
    ("an ActiveMQ event", {"eventSource": "aws:mq", "eventSourceArn": "arn:x", "messages": []}),
    ("a RabbitMQ event", {"eventSource": "aws:rmq", "rmqMessagesByQueue": {}}),
    ("a DocumentDB change event", {"eventSource": "aws:docdb", "events": []}),
    ("a record of an AWS service", {"eventSource": "aws:kinesis", "kinesis": {}}),
    ("a single SQS record", {"messageId": "m", "body": json.dumps(PLAN), "eventSource": "aws:sqs"}),
    ("an SQS event inside another one", {"Records": [{"messageId": "m", "body": "{}", "eventSource": "aws:sqs"}]}),
    ("a list of records that are not SQS messages", {"Records": []}),
    ("an SNS confirmation of a subscription", {"Type": "SubscriptionConfirmation", "TopicArn": "arn:x", "Token": "t"}),
    ("an SNS confirmation of a subscription", {"Type": "UnsubscribeConfirmation", "TopicArn": "arn:x", "Token": "t"}),
    ("a CloudWatch alarm action", {"source": "aws.cloudwatch", "alarmArn": "arn:x", "alarmData": {}}),
    ("a CloudWatch alarm notification", {"AlarmName": "a", "NewStateValue": "ALARM", "Trigger": {}}),
    ("S3's test of a notification", {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "plans"}),
    ("an S3 Object Lambda request", {"xAmzRequestId": "r", "getObjectContext": {}, "userRequest": {}}),
    ("a CodeDeploy lifecycle hook", {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "e"}),
    ("a CloudFormation macro", {"transformId": "1::M", "fragment": {}, "requestId": "r"}),
    ("a Secrets Manager rotation", {"SecretId": "arn:x", "ClientRequestToken": "t", "Step": "createSecret"}),
    ("a Cognito user pool trigger", {"triggerSource": "PreSignUp_SignUp", "userPoolId": "p", "request": {}}),
    ("a Transfer Family request", {"serverId": "s-1", "username": "u", "protocol": "SFTP"}),
    ("an AWS IoT button event", {"serialNumber": "G0", "clickType": "SINGLE", "batteryVoltage": "2000mV"}),
    ("an AWS IoT authorizer request", {"token": "t", "signatureVerified": True, "protocolData": {}}),
    ("a Bedrock agent request", {"messageVersion": "1.0", "agent": {"name": "a"}, "actionGroup": "g"}),
    ("a CloudEvents event", {"specversion": "1.0", "type": "t", "source": "s", "data": PLAN}),
    ("a result of this program", {"plan_id": "p", "orders": [], "execution_timestamp": "2026-01-26T20:45:00Z"}),
]
"""Objects that sam does not generate, by AWS's documents: name → object."""

INVALID = [*((name, GENERATED[f"sam local generate-event {made}"]) for made, name in NAMES.items()), *WRITTEN]


def error_of(call: Any, *arguments: object) -> InvalidInput:
    with pytest.raises(InvalidInput) as raised:
        call(*arguments)
    return raised.value


def test_every_generated_event_is_tested() -> None:
    assert {f"sam local generate-event {name}" for name in (*NAMES, "sqs receive-message")} == GENERATED.keys()


@pytest.mark.parametrize(("name", "event"), INVALID, ids=[f"{n}-{name}" for n, (name, _) in enumerate(INVALID)])
def test_object_without_a_plan_is_invalid_under_its_name_with_a_remedy(name: str, event: dict[str, Any]) -> None:
    shape = shape_of(event)

    assert shape is not None
    assert (shape.name, shape.trades) == (name, False)
    text = json.dumps(event)
    in_a_body = {"Records": [{"messageId": "m", "body": text, "eventSource": "aws:sqs"}]}
    in_sns = {"Type": "Notification", "TopicArn": "arn:x", "Message": text}
    batch = read(in_a_body)
    assert isinstance(batch, QueueBatch)
    for error in (error_of(decode, text), error_of(batch.messages[0].request), error_of(read, in_sns)):
        assert error.field == shape.field
        assert error.problem.startswith(f"this is {name}")
        assert shape.remedy in error.problem


def test_generated_notification_and_message_with_a_plan_are_opened() -> None:
    message = GENERATED["sam local generate-event sqs receive-message"]["Records"][0]
    notification = GENERATED["sam local generate-event sns notification"]["Records"][0]["Sns"]
    in_sns = json.dumps(notification | {"Message": json.dumps(PLAN)})

    for body in (json.dumps(PLAN), in_sns):
        batch = read({"Records": [message | {"body": body}]})
        assert isinstance(batch, QueueBatch)
        assert batch.messages[0].request() == PlanDocument(PLAN)


def test_every_invalid_shape_has_an_example() -> None:
    assert {shape.name for shape in (*SHAPES, EMPTY) if not shape.trades} == {name for name, _ in INVALID}


def test_problem_names_the_service_and_the_next_step() -> None:
    event = BUS | {"source": "aws.ec2", "detail-type": "EC2 Instance State-change Notification", "detail": {}}

    assert error_of(read, event).problem == (
        "this is an event of an AWS service (aws.ec2, EC2 Instance State-change Notification); only S3's "
        "'Object Created' leads to a plan: narrow the rule that sent it, or send the plan as an SQS message or an "
        "EventBridge event, or invoke the function with it"
    )


ENVELOPED = {"detail", "requestPayload", "Type"}
"""Keys of envelopes: what is in them counts, whatever is beside them."""


@pytest.mark.parametrize("event", [event for _, event in INVALID if not ENVELOPED & event.keys() and event])
def test_plan_with_the_keys_of_an_invalid_shape_is_a_plan(event: dict[str, Any]) -> None:
    """Unknown keys of a plan are ignored."""
    document = {**event, **PLAN, "Records": "x"}
    document.pop("rebalance_plan", None)

    assert read(document) == PlanDocument(document)


def test_unknown_object_is_left_to_the_validation_of_plans() -> None:
    assert shape_of({"hello": "world"}) is None


@pytest.mark.parametrize(
    ("mark", "document", "matches"),
    [
        ("a", {"a": None}, True),
        ("a", {}, False),
        ("a/b", {"a": {"b": 1}}, True),
        ("a/b", {"a": "b"}, False),
        ("a/0/b=x", {"a": [{"b": "x"}]}, True),
        ("a/0/b=x", {"a": []}, False),
        ("a=x*", {"a": "xyz"}, True),
        ("a=x*", {"a": 7}, False),
        ("!a", {}, True),
        ("!a/b", {"a": {"b": 1}}, False),
        ("a|b", {"b": 1}, True),
        ("CodePipeline.job", {"CodePipeline.job": {}}, True),
    ],
)
def test_marks_are_paths_with_patterns(mark: str, document: dict[str, Any], *, matches: bool) -> None:
    assert Shape("x", (mark,)).matches(document) is matches


def test_every_shape_that_trades_has_a_sample() -> None:
    without = {shape.name for shape in SHAPES if shape.trades and not shape.samples}

    assert without == {
        "Lambda's record of a failed asynchronous invocation",  # Lambda makes it
        "a Step Functions state input",  # as the task input, with another spelling of the key
    }


@pytest.mark.parametrize(("shape", "sample"), [(shape, name) for shape in SHAPES for name in shape.samples])
def test_sample_has_the_shape_that_names_it(shape: Shape, sample: str) -> None:
    event = json.loads((ROOT / "events" / sample).read_text(encoding="utf-8"))
    document = json.loads(event["Records"][0]["body"]) if "Records" in event else event
    nested = [document]
    while (found := shape_of(nested[-1])) is not None and isinstance(inner := nested[-1].get(found.opens), dict):
        nested.append(inner)
    assert shape in [shape_of(one) for one in nested]
