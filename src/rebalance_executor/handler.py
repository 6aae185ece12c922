"""The Lambda entry point."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

_collects = gc.isenabled()
gc.disable()  # as in the package: collecting would find nothing

from rebalance_executor import bootstrap
from rebalance_executor.domain.errors import AuctionPending
from rebalance_executor.service import Service
from rebalance_executor.telemetry import Telemetry
from rebalance_executor.triggers import QueueBatch, read

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


def lambda_handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """Execute the plan or plans in ``event``.

    Returns:
        The ``ExecutionResult`` as JSON, or the state of a plan whose orders wait for an auction. For SQS, the partial
        batch response. For a health request or a daily check, its checks; the latter also names the unfinished plans.

    Raises:
        InvalidInput, ConfigurationError: the event can never succeed; the message names the field.
        Redeliver: the plan is not finished; the next delivery resumes it.
        RebalanceError: the program stopped itself; an operator must look.
    """
    return handle(event, context, bootstrap.telemetry(), bootstrap.service)


def handle(
    event: object, context: LambdaContext, telemetry: Telemetry, get_service: Callable[[], Service]
) -> dict[str, Any]:
    """Run ``lambda_handler`` with this telemetry and this service.

    ``get_service`` is called only after the event is read: an invalid event needs no settings.
    """
    with telemetry.invocation(context):
        request = read(event)
        service = get_service()
        if isinstance(request, QueueBatch):
            return _answer_queue(service, request, context)
        try:
            return service.answer(request, context)
        except AuctionPending as pending:  # retries within minutes would not help
            return service.pending(pending)


def _answer_queue(service: Service, batch: QueueBatch, context: LambdaContext) -> dict[str, Any]:
    """Answer the messages in order; return the IDs of the messages to be redelivered.

    Whatever ends one message, the others are answered. In a FIFO queue, the messages of a group stay in order: after
    one fails, the rest of its group is redelivered too. Powertools' batch processor does the same, but has no place for
    the visibility timeouts around each message: ``docs/decisions/sqs-batches.md``.
    """
    failed: list[str] = []
    waiting_groups: set[str] = set()
    for message in batch.messages:
        if message.group in waiting_groups:
            failed.append(message.message_id)
            continue
        remaining = timedelta(milliseconds=context.get_remaining_time_in_millis())
        service.queue.extend_visibility(message, remaining)
        try:
            service.answer(message.request(), context)
        except Exception as error:  # noqa: BLE001 - also a defect must not fail the other messages
            service.telemetry.error(error)
            service.queue.schedule_redelivery(message, error)
            failed.append(message.message_id)
            if message.group is not None:
                waiting_groups.add(message.group)
        finally:
            service.telemetry.unbind_plan()
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


if "AWS_LAMBDA_INITIALIZATION_TYPE" in os.environ:
    bootstrap.warm_up()
    gc.freeze()  # no collection during a plan visits what lives as long as the container
if _collects:
    gc.enable()
