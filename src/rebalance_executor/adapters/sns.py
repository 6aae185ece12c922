"""Results told to people: one message a result on an SNS topic, which e-mail, chat and pagers subscribe to."""

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
    """Implements ``Reporter``: a readable message whose attributes a subscription can filter by.

    Args:
        topic: the topic's ARN (``RESULT_TOPIC``).
        client: an SNS client with time-outs.
    """

    channel = "notice"

    def __init__(self, topic: str, client: SNSClient) -> None:
        self._topic = topic
        self._client = client

    def publish(self, result: ExecutionResult) -> None:
        """Send the message.

        Raises:
            PublishFailed: SNS did not answer, or did not take it.
        """
        try:
            self._client.publish(
                TopicArn=self._topic,
                Subject=notification_text.subject(result),
                Message=notification_text.text(result),
                MessageAttributes={
                    "status": {"DataType": "String", "StringValue": result.status.value},
                    "account": {"DataType": "String", "StringValue": result.account},
                    "needs_attention": {
                        "DataType": "String",
                        "StringValue": "true" if notification_text.needs_attention(result) else "false",
                    },
                },
            )
        except ClientError as error:
            code = error_code(error)
            raise PublishFailed(f"the topic refused the notice: {code}: {error_text(error)}", aws_code=code) from error
        except BotoCoreError as error:
            raise PublishFailed(f"SNS did not answer: {error}", aws_code=type(error).__name__) from error
