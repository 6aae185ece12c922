"""Results published as SNS notifications, for e-mail, chat and pagers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from rebalance_executor.adapters import notification_text
from rebalance_executor.adapters.aws import error_code, error_text
from rebalance_executor.domain.errors import PublishFailed
from rebalance_executor.domain.result import ExecutionResult

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


class SnsPublisher:
    """Implementation of ``ResultPublisher``: one readable message per result, with attributes to filter by.

    Args:
        topic: the topic's ARN (``RESULT_TOPIC``).
        client: an SNS client with timeouts.
    """

    channel = "notice"

    def __init__(self, topic: str, client: SNSClient) -> None:
        self._topic = topic
        self._client = client

    def publish(self, result: ExecutionResult) -> None:
        """Send the message.

        Raises:
            PublishFailed: SNS did not answer or did not accept the message.
        """
        try:
            self._client.publish(
                TopicArn=self._topic,
                Subject=notification_text.subject(result),
                Message=notification_text.text(result),
                MessageAttributes={
                    "status": {"DataType": "String", "StringValue": result.status.value},
                    "account": {"DataType": "String", "StringValue": result.account},
                    "broker": {"DataType": "String", "StringValue": result.broker.value},
                    "needs_attention": {
                        "DataType": "String",
                        "StringValue": "false" if result.success else "true",
                    },
                },
            )
        except ClientError as error:
            code = error_code(error)
            text = f"the topic did not accept the message: {code}: {error_text(error)}"
            raise PublishFailed(text, aws_code=code) from error
        except BotoCoreError as error:
            raise PublishFailed(f"SNS did not answer: {error}", aws_code=type(error).__name__) from error
