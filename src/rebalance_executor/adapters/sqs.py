"""When a queue delivers a message again: soon after a run that broke off, at once what can never succeed.

Without it every failed delivery waits for the queue's visibility time-out, which AWS wants to be six times the
function's: an hour, in which a plan becomes too old, and the account's other plans wait behind it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from rebalance_executor.domain.errors import RebalanceError, Redeliver
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import EventLog
from rebalance_executor.triggers import QueueMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_sqs import SQSClient

_FIRST = timedelta(seconds=30)
MAX_DELIVERIES = 6
"""After so many the queue gives a message to the dead letters (``maxReceiveCount`` of the template)."""


def redelivery_delay(error: RebalanceError, deliveries: int) -> timedelta:
    """How long after a failed delivery the next one comes.

    What may pass comes again after 30 seconds, and each time after twice as long: six deliveries last a quarter of an
    hour. What can never succeed comes at once, so that it is in the dead letters in seconds; and so does what has
    failed for the last time, because the account's next plans wait behind it until it is there.
    """
    if not isinstance(error, Redeliver) or deliveries >= MAX_DELIVERIES:
        return timedelta(0)
    doubled: int = 2 ** (max(deliveries, 1) - 1)
    return _FIRST * doubled


class SqsPlanQueue:
    """Implements ``PlanQueue``. It never fails a delivery: where it cannot speak, the queue's own time-out counts.

    Args:
        url: the queue's address; without one nothing is told.
        client: makes an SQS client with ``aws.client_config``.
        margin: by which a lease outlasts its invocation: before that another delivery would be in vain.
        log: hears what could not be told.
    """

    def __init__(self, url: str | None, client: Callable[[], SQSClient], margin: timedelta, log: EventLog) -> None:
        self._url = url
        self._client = client
        self._margin = margin
        self._log = log

    def extend_visibility(self, message: QueueMessage, remaining: timedelta) -> None:
        """The invocation ends at most so much later: killed, it leaves a message that comes once its lease is over."""
        self._set_visibility(message, remaining + self._margin)

    def schedule_redelivery(self, message: QueueMessage, error: RebalanceError) -> None:
        """The delivery failed with this error."""
        self._set_visibility(message, redelivery_delay(error, message.deliveries))

    def _set_visibility(self, message: QueueMessage, span: timedelta) -> None:
        if self._url is None or message.receipt is None:
            return
        seconds = -(-span // timedelta(seconds=1))  # rounded up
        try:
            self._client().change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=message.receipt, VisibilityTimeout=max(0, seconds)
            )
        except (BotoCoreError, ClientError) as error:
            self._log.emit(LogEvent.QUEUE_VISIBILITY_FAILED, message_id=message.message_id, reason=str(error))
