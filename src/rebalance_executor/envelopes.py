"""Table of the JSON objects that reach a Lambda function: which contain a plan, and what to do about the others.

``triggers`` opens what the table accepts. An object that AWS sends for another purpose is invalid under its name, with
the next step: checking it as a plan would only list missing fields.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

OWN_SOURCE = "rebalance-executor"
"""Source of the events that this program publishes. It must never execute its own output."""


class Shape(NamedTuple):  # a dataclass adds 0.8 ms to a cold start
    """A kind of JSON object, recognized by its marks.

    A mark is a path of keys, separated by slashes, that leads to a value: ``detail/bucket``. ``path=pattern`` also
    requires a text, in which ``*`` stands for any characters. ``!`` before a mark reverses it, and ``|`` separates
    alternatives.
    """

    name: str
    marks: tuple[str, ...]
    """All of them must match."""
    remedy: str = ""
    """Next step for the sender. Empty if the object is accepted."""
    opens: str = ""
    """Path of an accepted object's content, with dots. Empty if the object is the content itself."""
    samples: tuple[str, ...] = ()
    """Files in ``events/``."""
    field: str = "$"
    """Invalid field of an object that is not accepted."""
    shows: tuple[str, ...] = ()
    """Keys of texts that ``problem`` quotes."""

    @property
    def trades(self) -> bool:
        """True if a plan in such an object is executed."""
        return not self.remedy

    def matches(self, document: dict[str, Any]) -> bool:
        """Return whether the object has all marks."""
        return all(any(_has(document, one) for one in mark.split("|")) for mark in self.marks)

    def problem(self, document: dict[str, Any]) -> str:
        """Return why such an object is invalid, and the next step."""
        shown = ", ".join(str(document[key])[:_SHOWN] for key in self.shows if isinstance(document.get(key), str))
        return f"this is {self.name}{f' ({shown})' if shown else ''}; {self.remedy}"


def shape_of(document: dict[str, Any]) -> Shape | None:
    """Return the first shape of the table that matches, or None for an object that is unknown."""
    if not document:
        return EMPTY
    return next((shape for shape in SHAPES if shape.matches(document)), None)


_SHOWN = 60
"""Characters of a quoted text."""
_MISSING: Final = object()


def _has(document: object, mark: str) -> bool:
    if mark.startswith("!"):
        return not _has(document, mark[1:])
    path, has_pattern, pattern = mark.partition("=")
    value = _value(document, path)
    if has_pattern:
        return isinstance(value, str) and fnmatchcase(value, pattern)
    return value is not _MISSING


def _value(document: object, path: str) -> object:
    for key in path.split("/"):
        if isinstance(document, dict):
            document = document.get(key, _MISSING)
        elif isinstance(document, list) and key.isdecimal():
            document = document[int(key)] if int(key) < len(document) else _MISSING
        else:
            return _MISSING
    return document


_SEND = "send the plan as an SQS message or an EventBridge event, or invoke the function with it"
_NO_HTTP = f"the program has no HTTP endpoint: {_SEND}"
_NO_STREAM = f"plans are not read from streams: {_SEND}"
_NOT_A_PLAN = f"it contains no plan: remove this trigger of the function, or {_SEND}"
_NO_CHAT = f"the program does not answer it: remove this trigger of the function, or {_SEND}"
_S3 = (
    "send the bucket's 'Object Created' events through EventBridge, or a pointer: "
    '{"plan_s3": {"bucket": …, "key": …, "version_id": …}}'
)
_NO_PLAN_IN_DETAIL = tuple(
    f"!detail/{key}" for key in ("items", "rebalance_plan", "plan_s3", "health", "watch", "resume")
)

EMPTY = Shape("an empty object", (), _SEND)

_ENVELOPES = (
    # The order matters: what must never be executed comes first, then what is opened.
    Shape(
        f"an event of {OWN_SOURCE}",
        (f"source={OWN_SOURCE}", "detail"),
        "its events are results, not plans; fix the rule that sent it",
        field="source",
    ),
    Shape(
        "Lambda's record of a successful invocation",
        ("requestPayload", "requestContext/condition=Success"),
        "its plan is done: remove the function as the destination of these records",
    ),
    Shape(
        "Lambda's record of a failed asynchronous invocation",
        ("requestPayload", "requestContext"),
        opens="requestPayload",
    ),
    Shape(
        "a Step Functions task that waits for its token",
        ("TaskToken|taskToken|task_token", "!items"),
        "nothing returns the token: call the function without .waitForTaskToken, with the plan as the payload",
    ),
    Shape(
        "an S3 'Object Created' event of EventBridge",
        ("source=aws.s3", "detail-type=Object Created", "detail", *_NO_PLAN_IN_DETAIL),
        opens="detail.object",
        samples=("s3_object_created.json", "sqs_s3_object_created.json"),
    ),
    Shape(
        "a scheduled event without a plan",
        ("source=aws.events|source=aws.scheduler", "detail", *_NO_PLAN_IN_DETAIL),
        "set the input of the rule or schedule to a plan or a pointer to one in S3",
    ),
    Shape(
        "an event of an AWS service",
        ("source=aws.*", "detail", *_NO_PLAN_IN_DETAIL),
        f"only S3's 'Object Created' leads to a plan: narrow the rule that sent it, or {_SEND}",
        shows=("source", "detail-type"),
    ),
    Shape(
        "an EventBridge event with the plan, or an object around it, as detail",
        ("detail", "detail-type|source"),
        opens="detail",
        samples=("eventbridge_detail_plan.json", "eventbridge_plan.json", "sqs_eventbridge.json"),
    ),
    Shape(
        "an SNS notification (in SQS, without raw delivery)",
        ("Type=Notification", "TopicArn", "Message"),
        opens="Message",
        samples=("sqs_sns_plan.json", "sqs_sns_eventbridge.json", "sqs_sns_pointer.json"),
    ),
    Shape(
        "a plan under rebalance_plan",
        ("rebalance_plan",),
        opens="rebalance_plan",
        samples=("eventbridge_plan.json",),
    ),
    Shape(
        "a pointer to a plan in S3",
        ("plan_s3",),
        opens="plan_s3",
        samples=("direct_pointer.json", "scheduler_pointer.json", "sqs_pointer.json"),
    ),
    Shape(
        "a plan",
        ("items",),
        samples=("direct_plan.json", "scheduler_plan.json", "sqs_plan.json", "sqs_replayed.json", "hold_only.json"),
    ),
    Shape("a Step Functions task input", ("Input",), opens="Input", samples=("stepfunctions_input.json",)),
    Shape("a Step Functions state input", ("input",), opens="input"),
)

_WORKFLOWS = (
    Shape("a Step Functions error", ("Error", "Cause"), "a Catch led to this task: let it end the workflow instead"),
    Shape(
        "the context object of Step Functions",
        ("Execution/Id", "StateMachine"),
        "pass the input of the execution as the payload: $$.Execution.Input",
    ),
    Shape(
        "the output of a Lambda task of Step Functions",
        ("Payload", "StatusCode|ExecutedVersion"),
        "let that task pass on only its Payload, with its OutputPath",
    ),
    Shape("a batch of a Step Functions Map state", ("Items",), "let the Map state pass one plan per invocation"),
    Shape(
        "an invocation of a durable function",
        ("DurableExecutionArn", "CheckpointToken"),
        "remove the durable configuration of the function: the journal resumes plans",
    ),
    Shape(
        "Lambda's record of a failed batch of a stream",
        ("requestContext/functionArn", "responseContext"),
        f"it names positions in the stream and contains no plan: {_SEND}",
    ),
)

_HTTP = (
    Shape("a request of an Application Load Balancer", ("requestContext/elb",), _NO_HTTP),
    Shape("a Function URL request", ("requestContext/domainName=*.lambda-url.*",), _NO_HTTP),
    Shape("an API Gateway request (WebSocket API)", ("requestContext/connectionId",), _NO_HTTP),
    Shape("an API Gateway authorizer request", ("methodArn|routeArn", "type"), _NO_HTTP),
    Shape("an API Gateway request (HTTP API)", ("requestContext/http",), _NO_HTTP),
    Shape("an API Gateway request (REST API)", ("httpMethod", "requestContext"), _NO_HTTP),
    Shape("a VPC Lattice request", ("requestContext/serviceNetworkArn|raw_path", "method"), _NO_HTTP),
    Shape("an AppSync request", ("info/fieldName", "arguments"), _NO_HTTP),
    Shape("a CloudFront request", ("Records/0/cf",), _NO_HTTP, field="Records"),
)

_RECORDS = (
    Shape(
        "an SNS notification sent to the function directly",
        ("Records/0/EventSource=aws:sns",),
        "subscribe the plan queue to the topic instead",
        field="Records",
    ),
    Shape("an S3 event notification", ("Records/0/eventSource=aws:s3",), _S3, field="Records"),
    Shape(
        "an SQS event inside another one",
        ("Records/0/eventSource=aws:sqs",),
        "send the body of its message",
        field="Records",
    ),
    Shape("a Kinesis event", ("Records/0/eventSource=aws:kinesis",), _NO_STREAM, field="Records"),
    Shape("a DynamoDB stream event", ("Records/0/eventSource=aws:dynamodb",), _NO_STREAM, field="Records"),
    Shape("an SES mail event", ("Records/0/eventSource=aws:ses",), _NOT_A_PLAN, field="Records"),
    Shape("a CodeCommit event", ("Records/0/eventSource=aws:codecommit",), _NOT_A_PLAN, field="Records"),
    Shape("a list of records that are not SQS messages", ("Records",), _SEND, field="Records"),
    Shape("a single SQS record", ("messageId", "body", "eventSource=aws:sqs"), "send the body of the message"),
    Shape("an event of Amazon MSK", ("eventSource=aws:kafka",), _NO_STREAM),
    Shape("an event of a self-managed Kafka cluster", ("eventSource=*SelfManagedKafka",), _NO_STREAM),
    Shape("an ActiveMQ event", ("eventSource=aws:mq",), _NO_STREAM),
    Shape("a RabbitMQ event", ("eventSource=aws:rmq",), _NO_STREAM),
    Shape("a DocumentDB change event", ("eventSource=aws:docdb",), _NO_STREAM),
    Shape("a record of an AWS service", ("eventSource=aws:*",), _SEND, shows=("eventSource",)),
    Shape("a CloudWatch Logs event", ("awslogs/data",), _NO_STREAM),
    Shape("a Data Firehose transformation", ("deliveryStreamArn", "records"), _NO_STREAM),
    Shape("a Kinesis Data Analytics transformation", ("applicationArn", "records"), _NO_STREAM),
)

_SERVICES = (
    Shape(
        "an SNS confirmation of a subscription",
        ("Type=*Confirmation", "TopicArn"),
        "subscribe the queue with the rights of its owner, who needs no confirmation",
    ),
    Shape("a CloudWatch alarm action", ("alarmArn", "alarmData"), _NOT_A_PLAN),
    Shape("a CloudWatch alarm notification", ("AlarmName", "NewStateValue"), _NOT_A_PLAN),
    Shape("S3's test of a notification", ("Event=s3:TestEvent",), _S3),
    Shape("an S3 Batch Operations task", ("invocationSchemaVersion", "tasks"), _S3),
    Shape("an S3 Object Lambda request", ("xAmzRequestId", "userRequest"), _S3),
    Shape("a CodePipeline job", ("CodePipeline.job",), _NOT_A_PLAN),
    Shape("a CodeDeploy lifecycle hook", ("DeploymentId", "LifecycleEventHookExecutionId"), _NOT_A_PLAN),
    Shape("a CloudFormation custom resource", ("RequestType", "ResponseURL", "StackId"), _NOT_A_PLAN),
    Shape("a CloudFormation macro", ("transformId", "fragment"), _NOT_A_PLAN),
    Shape("an AWS Config rule", ("invokingEvent", "configRuleName|configRuleArn"), _NOT_A_PLAN),
    Shape("a Secrets Manager rotation", ("SecretId", "ClientRequestToken", "Step"), _NOT_A_PLAN),
    Shape("a Cognito user pool trigger", ("triggerSource", "userPoolId"), _NOT_A_PLAN),
    Shape("a Cognito Sync trigger", ("datasetName", "identityPoolId"), _NOT_A_PLAN),
    Shape("a SageMaker Ground Truth task", ("labelingJobArn",), _NOT_A_PLAN),
    Shape("a WorkMail message", ("summaryVersion", "envelope"), _NOT_A_PLAN),
    Shape("a Transfer Family request", ("serverId", "username", "protocol"), _NOT_A_PLAN),
    Shape("an AWS IoT button event", ("clickType", "serialNumber"), _NO_CHAT),
    Shape("an AWS IoT authorizer request", ("protocolData", "signatureVerified|token"), _NO_CHAT),
    Shape("a Lex (V1) request", ("currentIntent", "bot"), _NO_CHAT),
    Shape("a Lex V2 request", ("sessionState", "bot"), _NO_CHAT),
    Shape("an Amazon Connect contact flow", ("Details/ContactData",), _NO_CHAT),
    Shape("an Alexa skill request", ("request/requestId", "request/type"), _NO_CHAT),
    Shape("an Alexa smart home request", ("directive/header|header/namespace",), _NO_CHAT),
    Shape("a Bedrock agent request", ("messageVersion", "agent"), _NO_CHAT),
)

_OTHERS = (
    Shape(
        "a result of this program",
        ("plan_id", "orders", "execution_timestamp"),
        "a result is not executed again; send a new plan",
    ),
    Shape("a CloudEvents event", ("specversion", "data"), "send its data as the plan"),
    Shape(
        "a warm-up event",
        ("source=serverless-plugin-warmup|warmer|warmup|keep_warm|ping",),
        'send {"health": true}, which trades nothing, or use provisioned concurrency',
    ),
    Shape("the test event of the Lambda console", ("key1",), 'paste a plan, or {"health": true}, which trades nothing'),
    Shape("an object with a body, such as an HTTP request", ("body",), "send what is in the body as the event itself"),
)

SHAPES: Final = (*_ENVELOPES, *_WORKFLOWS, *_HTTP, *_RECORDS, *_SERVICES, *_OTHERS)
"""All shapes except ``EMPTY``. The first one that matches counts."""
