"""Notifications on an SNS topic."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from botocore.exceptions import EndpointConnectionError

from rebalance_executor.adapters.sns import SnsPublisher
from rebalance_executor.domain.errors import PublishFailed
from tests.support.aws import Tampered, aws, client_error, once
from tests.support.journalled import result


class Topic:
    """A topic with a subscribed queue."""

    def __init__(self, session: object) -> None:
        self._sqs = session.client("sqs")  # type: ignore[attr-defined]
        self.client = Tampered(session.client("sns"))  # type: ignore[attr-defined]
        self.arn = self.client.create_topic(Name="results")["TopicArn"]
        self._queue = self._sqs.create_queue(QueueName="mail")["QueueUrl"]
        self.client.subscribe(TopicArn=self.arn, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:mail")

    def received(self) -> list[dict[str, object]]:
        """Return the messages that the queue has received."""
        return [json.loads(m["Body"]) for m in self._sqs.receive_message(QueueUrl=self._queue).get("Messages", [])]


@pytest.fixture
def topic() -> Iterator[Topic]:
    with aws() as session:
        yield Topic(session)


def publish(topic: Topic, *, success: bool = True) -> None:
    SnsPublisher(topic.arn, topic.client).publish(result(success=success))  # type: ignore[arg-type]


@pytest.mark.parametrize(("success", "attention"), [(True, "false"), (False, "true")])
def test_result_is_one_message_with_filter_attributes(topic: Topic, attention: str, *, success: bool) -> None:
    publish(topic, success=success)

    (message,) = topic.received()
    assert str(message["Subject"]).startswith("Rebalance ")
    assert result().plan_id in str(message["Message"])
    attributes = message["MessageAttributes"]
    assert isinstance(attributes, dict)
    assert attributes["account"]["Value"] == result().account
    assert attributes["broker"]["Value"] == result().broker
    assert attributes["status"]["Value"] == result().status.value
    assert attributes["needs_attention"]["Value"] == attention


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (client_error("AuthorizationErrorException"), "AuthorizationErrorException"),
        (EndpointConnectionError(endpoint_url="http://localhost"), "EndpointConnectionError"),
    ],
)
def test_failed_request_is_publish_failed(topic: Topic, error: Exception, code: str) -> None:
    topic.client.before = once(error, "publish")

    with pytest.raises(PublishFailed) as raised:
        publish(topic)

    assert raised.value.context["aws_code"] == code
