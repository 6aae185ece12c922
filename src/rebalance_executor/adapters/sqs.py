"""Visibility timeouts of queue messages: about 15 minutes for transient errors, seconds for permanent ones.

Otherwise a failed message would wait for the queue's visibility timeout. AWS recommends six times the function's
timeout for it: an hour, in which the plan expires and the account's other plans wait behind it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from rebalance_executor.domain.errors import RebalanceError, Redeliver
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import Clock, EventLog
from rebalance_executor.triggers import QueueMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_sqs import SQSClient

_FIRST_DELAY = timedelta(seconds=30)
_LONGEST_DELAY = timedelta(hours=11, minutes=30)
"""SQS hides a message for up to 12 hours after it was received, and an invocation takes up to 15 minutes of them."""
MAX_DELIVERIES = 6
"""Deliveries after which the queue moves a message to its dead-letter queue (the template's ``maxReceiveCount``)."""


def redelivery_delay(error: Exception, deliveries: int, now: datetime) -> timedelta:
    """Return the time until the next delivery of a message whose delivery failed.

    An error that says when another delivery can help, for example after an auction, decides, up to the longest
    visibility timeout of SQS.

    After a transient error, or one that this program does not know, the delay is 30 seconds and doubles with each
    delivery: six deliveries take about 15 minutes. After a permanent error it is zero, so that the message is in the
    dead-letter queue within seconds. After the last delivery it is zero too, because the account's next plans wait
    behind the message until then.
    """
    if isinstance(error, Redeliver) and error.retry_at is not None and deliveries < MAX_DELIVERIES:
        return min(max(error.retry_at - now, timedelta(0)), _LONGEST_DELAY)
    is_permanent = isinstance(error, RebalanceError) and not isinstance(error, Redeliver)
    if is_permanent or deliveries >= MAX_DELIVERIES:
        return timedelta(0)
    doubled: int = 2 ** (max(deliveries, 1) - 1)
    return _FIRST_DELAY * doubled


class SqsPlanQueue:
    """Implementation of ``PlanQueue``. If SQS fails, the queue's visibility timeout applies; no method raises.

    Args:
        url: the queue's URL; None disables all calls.
        client: returns an SQS client with ``aws.client_config``.
        clock: the source of time.
        margin: time by which a lease outlasts its invocation. An earlier redelivery would find the lease held.
        log: receives failures.
    """

    def __init__(
        self, url: str | None, client: Callable[[], SQSClient], clock: Clock, margin: timedelta, log: EventLog
    ) -> None:
        self._url = url
        self._clock = clock
        self._client = client
        self._margin = margin
        self._log = log

    def extend_visibility(self, message: QueueMessage, remaining: timedelta) -> None:
        """Hide the message until the invocation's lease has expired, so that a killed run is redelivered then."""
        self._set_visibility(message, remaining + self._margin)

    def schedule_redelivery(self, message: QueueMessage, error: Exception) -> None:
        """Set the time of the next delivery after this one failed with ``error``."""
        self._set_visibility(message, redelivery_delay(error, message.deliveries, self._clock.now()))

    def _set_visibility(self, message: QueueMessage, timeout: timedelta) -> None:
        if self._url is None or message.receipt is None:
            return
        seconds = -(-timeout // timedelta(seconds=1))  # rounded up
        try:
            self._client().change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=message.receipt, VisibilityTimeout=max(0, seconds)
            )
        except (BotoCoreError, ClientError) as error:
            self._log.emit(LogEvent.QUEUE_VISIBILITY_FAILED, message_id=message.message_id, reason=str(error))
