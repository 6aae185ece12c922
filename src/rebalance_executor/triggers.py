"""Envelopes → plan documents. Whatever invoked the function, what comes out is the same.

A document is the decoded JSON of a plan, or a pointer to one in S3. Accepted are: the plan itself, a mapping that
holds it under ``rebalance_plan``, an EventBridge event with either as its ``detail``, a Scheduler input or direct
invocation that is any of these, Lambda's record of an asynchronous invocation that failed (so that it can be sent
again as it is), and SQS messages whose body is any of these.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

from rebalance_executor.domain.errors import InvalidInput

MAX_BYTES = 1024 * 1024
"""Bytes of a plan document; also SQS's own limit for a message."""

OWN_SOURCE = "rebalance-executor"
"""Source of the events this program publishes: it must never execute its own output."""


@dataclass(frozen=True, slots=True)
class HealthRequest:
    """Asks for the state of every dependency; trades nothing."""


@dataclass(frozen=True, slots=True)
class DailyCheckRequest:
    """Asks whether a plan of the day is completed; trades nothing."""


@dataclass(frozen=True, slots=True)
class PlanPointer:
    """Where a plan lies in S3."""

    bucket: str
    key: str
    version_id: str | None


@dataclass(frozen=True, slots=True)
class PlanDocument:
    """A decoded plan, not yet validated."""

    body: object


@dataclass(frozen=True, slots=True)
class QueueMessage:
    """One SQS message; its body is decoded when its turn comes, so that one bad message fails alone."""

    message_id: str
    body: str
    group: str | None
    """Message group in a FIFO queue: its messages must stay in order. None in a standard queue."""
    receipt: str | None = None
    """What the queue wants to be shown about this delivery."""
    deliveries: int = 1
    """How often it was delivered, this time included."""


@dataclass(frozen=True, slots=True)
class QueueBatch:
    """The messages of one SQS invocation, in order."""

    messages: tuple[QueueMessage, ...]


Request = HealthRequest | DailyCheckRequest | PlanPointer | PlanDocument


def read(event: object) -> Request | QueueBatch:
    """What an invocation asks for.

    Raises:
        InvalidInput: neither a plan, nor a pointer to one, nor any known envelope around them.
    """
    if isinstance(event, dict) and isinstance(event.get("Records"), list):
        return _queue_batch(event)
    try:
        size = len(json.dumps(event, default=str, ensure_ascii=False).encode(errors="replace"))
        if size > MAX_BYTES:
            raise InvalidInput("$", f"the event has {size} bytes, at most {MAX_BYTES} are accepted")
        return unwrap(event)
    except RecursionError:
        raise InvalidInput("$", "is nested too deeply to be a plan") from None


def decode(text: str | bytes) -> Request:
    """What a JSON text (an SQS body, an S3 object) asks for; decimals stay exact."""
    size = len(text.encode(errors="replace") if isinstance(text, str) else text)
    if size > MAX_BYTES:
        raise InvalidInput("$", f"the document has {size} bytes, at most {MAX_BYTES} are accepted")
    try:
        return unwrap(json.loads(text, parse_float=Decimal, parse_constant=_no_constant))
    except RecursionError:
        raise InvalidInput("$", "is nested too deeply to be a plan") from None
    except ValueError as error:
        raise InvalidInput("$", f"is not JSON: {error}") from None


def unwrap(document: object) -> Request:
    """The plan or pointer inside any of the envelopes."""
    if not isinstance(document, dict):
        return PlanDocument(document)  # refused by the plan's own validation, which says what it is
    if document.keys() == {"health"} and document["health"] is True:
        return HealthRequest()
    if document.keys() == {"watch"} and document["watch"] is True:
        return DailyCheckRequest()
    if "requestPayload" in document and "requestContext" in document:
        return unwrap(_mapping(document["requestPayload"], "requestPayload"))
    if "detail" in document and ("detail-type" in document or "source" in document):
        if document.get("source") == OWN_SOURCE:
            raise InvalidInput("source", f"events of {OWN_SOURCE} are results, not plans; mend the rule that sent this")
        return unwrap(_mapping(document["detail"], "detail"))
    if "rebalance_plan" in document:
        return unwrap(_mapping(document["rebalance_plan"], "rebalance_plan"))
    if "plan_s3" in document:
        return _pointer(document["plan_s3"])
    return PlanDocument(document)


def _queue_batch(event: dict[str, Any]) -> QueueBatch:
    records = event["Records"]
    if not records or not all(isinstance(r, dict) and r.get("eventSource") == "aws:sqs" for r in records):
        raise InvalidInput("Records", "are not SQS messages; only queues may send records")
    return QueueBatch(tuple(_message(record) for record in records))


def _message(record: dict[str, Any]) -> QueueMessage:
    # By hand: Powertools' data classes would import those of every other service, too.
    message_id, body = record.get("messageId"), record.get("body")
    if not isinstance(message_id, str) or not isinstance(body, str):
        raise InvalidInput("Records", "must have a messageId and a body each")
    attributes = _mapping(record.get("attributes", {}), "Records.attributes")
    return QueueMessage(
        message_id,
        body,
        attributes.get("MessageGroupId"),
        record.get("receiptHandle"),
        int(attributes.get("ApproximateReceiveCount", 1)),
    )


def _mapping(value: object, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(field, "must be a JSON object")
    return value


def _pointer(value: object) -> PlanPointer:
    pointer = _mapping(value, "plan_s3")
    texts: dict[str, str | None] = {}
    for name in ("bucket", "key", "version_id"):
        text = pointer.get(name)
        if (text is None and name != "version_id") or not (text is None or (isinstance(text, str) and text)):
            raise InvalidInput(f"plan_s3.{name}", "must be a text that is not empty")
        texts[name] = text
    return PlanPointer(str(texts["bucket"]), str(texts["key"]), texts["version_id"])


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")
