"""Plans sent through a local SNS, S3 and EventBridge into a queue, in the envelopes that these services make."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.world import BUCKET, HandlerWorld, a_world, buy, plan

DOCUMENT = plan(buy("AAA", 1000))
EVENT = {"source": "portfolio", "detail-type": "RebalancePlanned", "detail": DOCUMENT}


def a_queue(world: HandlerWorld, *, is_fifo: bool) -> tuple[str, str]:
    """Create a queue; return its URL and its ARN."""
    attributes: Any = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if is_fifo else {}
    sqs = world.session.client("sqs")
    url = sqs.create_queue(QueueName="plans.fifo" if is_fifo else "plans", Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return url, arn


def deliver_from(world: HandlerWorld, url: str) -> dict[str, Any]:
    """Receive the message of the queue and invoke the function with it, as Lambda does."""
    (message,) = world.session.client("sqs").receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"]
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "eventSource": "aws:sqs",
    }
    return world.deliver({"Records": [record]})


@pytest.mark.parametrize("is_raw", [False, True], ids=["envelope", "raw delivery"])
@pytest.mark.parametrize("is_fifo", [False, True], ids=["standard", "FIFO"])
@pytest.mark.parametrize("message", [DOCUMENT, EVENT], ids=["plan", "event"])
def test_plan_published_to_a_topic_trades(message: dict[str, Any], *, is_fifo: bool, is_raw: bool) -> None:
    with a_world() as world:
        url, queue = a_queue(world, is_fifo=is_fifo)
        sns = world.session.client("sns")
        attributes: Any = {"FifoTopic": "true", "ContentBasedDeduplication": "true"} if is_fifo else {}
        topic = sns.create_topic(Name="plans.fifo" if is_fifo else "plans", Attributes=attributes)["TopicArn"]
        raw = {"RawMessageDelivery": str(is_raw).lower()}
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes=raw)
        group: Any = {"MessageGroupId": "default"} if is_fifo else {}

        sns.publish(TopicArn=topic, Message=json.dumps(message), **group)

        assert deliver_from(world, url) == {"batchItemFailures": []}
        assert [order["symbol"] for order in world.orders] == ["AAA"]


def test_plan_uploaded_to_the_bucket_trades() -> None:
    with a_world() as world:
        url, queue = a_queue(world, is_fifo=False)
        s3, events = world.session.client("s3"), world.session.client("events")
        s3.put_bucket_notification_configuration(
            Bucket=BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        pattern = {"source": ["aws.s3"], "detail-type": ["Object Created"]}
        events.put_rule(Name="uploads", EventPattern=json.dumps(pattern))
        events.put_targets(Rule="uploads", Targets=[{"Id": "plans", "Arn": queue}])

        s3.put_object(Bucket=BUCKET, Key="execute/week 5/a+b.json", Body=json.dumps(DOCUMENT))

        assert deliver_from(world, url) == {"batchItemFailures": []}
        assert [order["symbol"] for order in world.orders] == ["AAA"]
