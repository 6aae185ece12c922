"""Conversion of Lambda events into requests, independent of what invoked the function.

A document is the decoded JSON of a plan, or a pointer to one in S3. These events are accepted:

* the document itself, or a mapping with the document under ``rebalance_plan``;
* an EventBridge event with either of them as its ``detail``;
* any of these as a Scheduler input or a direct invocation;
* Lambda's record of a failed asynchronous invocation, so that it can be replayed unchanged;
* SQS messages with any of these as their body.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.json_text import decode_json

MAX_BYTES = 1024 * 1024
"""Limit of a plan document in bytes; also SQS's limit of a message."""

DELIVERY_ATTRIBUTE = "delivery_id"
"""Message attribute of a replayed message: the ID of the message that was delivered first."""

OWN_SOURCE = "rebalance-executor"
"""Source of the events that this program publishes. It must never execute its own output."""


@dataclass(frozen=True, slots=True)
class HealthRequest:
    """A request to check every dependency. It trades nothing."""


@dataclass(frozen=True, slots=True)
class ResumeRequest:
    """A request to finish the plans that wait for no delivery any more, for example after an auction."""


@dataclass(frozen=True, slots=True)
class DailyCheckRequest:
    """A request to check that a plan of the day is completed. It trades nothing."""


@dataclass(frozen=True, slots=True)
class PlanPointer:
    """The location of a plan in S3."""

    bucket: str
    key: str
    version_id: str | None
    delivery_id: str | None = field(default=None, compare=False)
    """ID that all deliveries of the same event or message share; None if the invocation's request ID is that."""


@dataclass(frozen=True, slots=True)
class PlanVersion:
    """A plan document in S3: its latest version unless ``version_id`` or ``etag`` names one."""

    bucket: str
    key: str
    version_id: str | None = None
    etag: str | None = None
    """Hash of its content. It names the version in a bucket without versioning."""

    @property
    def url(self) -> str:
        """The document and its version as text."""
        version = f"versionId={self.version_id}" if self.version_id is not None else f"etag={self.etag}"
        return f"s3://{self.bucket}/{self.key}?{version}"


@dataclass(frozen=True, slots=True)
class DeliveredPlan:
    """The version that the first delivery of an event read, and the plan in it."""

    version: PlanVersion
    account: str | None = None
    plan_id: str | None = None
    """None, as the account, if the document is not a plan."""


@dataclass(frozen=True, slots=True)
class PlanDocument:
    """A decoded plan, not yet validated."""

    body: object


@dataclass(frozen=True, slots=True)
class DryRunRequest:
    """A request to size and price a plan, not yet validated. It trades nothing."""

    body: object


@dataclass(frozen=True, slots=True)
class QueueMessage:
    """An SQS message. Its body is decoded when it is processed, so that an invalid message fails alone."""

    message_id: str
    body: object
    """A JSON text; anything else is invalid."""
    group: str | None
    """Message group in a FIFO queue, whose messages stay in order. None in a standard queue."""
    receipt: str | None = None
    """Receipt handle of this delivery."""
    deliveries: int = 1
    """Number of deliveries so far, including this one."""
    delivery_id: str | None = None
    """ID that all deliveries share, also after a replay from the dead-letter queue; ``message_id`` by default."""
    problem: tuple[str, str] | None = None
    """Field of the record that is invalid, and what is wrong with it."""

    def request(self) -> Request:
        """Return the request in the body.

        Raises:
            InvalidInput: the record or its body is invalid.
        """
        if self.problem is not None:
            raise InvalidInput(*self.problem)
        return decode(_text(self.body, "Records.body"), self.delivery_id or self.message_id)


@dataclass(frozen=True, slots=True)
class QueueBatch:
    """The messages of one SQS invocation, in order."""

    messages: tuple[QueueMessage, ...]


Request = HealthRequest | DailyCheckRequest | ResumeRequest | DryRunRequest | PlanPointer | PlanDocument


def read(event: object) -> Request | QueueBatch:
    """Return the request in a Lambda event.

    Raises:
        InvalidInput: too large, nested too deeply, or an envelope that is not accepted.
    """
    if isinstance(event, dict) and isinstance(event.get("Records"), list):
        return _queue_batch(event)
    try:
        size = len(json.dumps(event, default=str, ensure_ascii=False).encode(errors="replace"))
        if size > MAX_BYTES:
            raise InvalidInput("$", f"the event has {size} bytes; the limit is {MAX_BYTES}")
        return unwrap(event)
    except RecursionError:
        raise InvalidInput("$", "is nested too deeply to be a plan") from None


def decode(text: str | bytes, delivery_id: str | None = None) -> Request:
    """Return the request in a JSON text (an SQS body, an S3 object, a file); see ``decode_json``.

    ``delivery_id`` is the ID that all deliveries of the text share.

    Raises:
        InvalidInput: not JSON, too large, nested too deeply, a number beyond a double, a key twice in an object, or an
            envelope that is not accepted.
    """
    size = len(text.encode(errors="replace") if isinstance(text, str) else text)
    if size > MAX_BYTES:
        raise InvalidInput("$", f"the document has {size} bytes; the limit is {MAX_BYTES}")
    try:
        return unwrap(decode_json(text), delivery_id)
    except RecursionError:
        raise InvalidInput("$", "is nested too deeply to be a plan") from None


def unwrap(document: object, delivery_id: str | None = None) -> Request:
    """Return the request inside the envelopes of a document; raise ``InvalidInput`` for an envelope without one."""
    if not isinstance(document, dict):
        return PlanDocument(document)  # the validation of plans raises the error
    for command, request in _COMMANDS.items():
        if document.keys() == {command} and document[command] is True:
            return request
    if document.keys() == {"dry_run"}:
        return DryRunRequest(document["dry_run"])
    if "requestPayload" in document and "requestContext" in document:
        failed = _mapping(document["requestContext"], "requestContext").get("requestId")
        return unwrap(_mapping(document["requestPayload"], "requestPayload"), str(failed or delivery_id))
    if "detail" in document and ("detail-type" in document or "source" in document):
        if document.get("source") == OWN_SOURCE:
            raise InvalidInput(
                "source", f"events of {OWN_SOURCE} are results, not plans; fix the rule that sent this event"
            )
        return unwrap(_mapping(document["detail"], "detail"), delivery_id)
    if "rebalance_plan" in document:
        return unwrap(_mapping(document["rebalance_plan"], "rebalance_plan"), delivery_id)
    if "plan_s3" in document:
        return _pointer(document["plan_s3"], delivery_id)
    return PlanDocument(document)


_COMMANDS: dict[str, HealthRequest | DailyCheckRequest | ResumeRequest] = {
    "health": HealthRequest(),
    "watch": DailyCheckRequest(),
    "resume": ResumeRequest(),
}


def _queue_batch(event: dict[str, Any]) -> QueueBatch:
    records = event["Records"]
    if not records or not all(isinstance(r, dict) and r.get("eventSource") == "aws:sqs" for r in records):
        raise InvalidInput("Records", "are not SQS messages; only SQS may send records")
    return QueueBatch(tuple(_message(record) for record in records))


def _message(record: dict[str, Any]) -> QueueMessage:
    # Without Powertools' data classes, which would import those of every other service too.
    message_id, body = record.get("messageId"), record.get("body")
    if not isinstance(message_id, str):
        raise InvalidInput("Records.messageId", "must be text: the answer names failed messages by it")
    try:
        receipt = _optional_text(record.get("receiptHandle"), "Records.receiptHandle")
        attributes = _mapping(record.get("attributes", {}), "Records.attributes")
        group = _optional_text(attributes.get("MessageGroupId"), "Records.attributes.MessageGroupId")
        deliveries = _receive_count(attributes.get("ApproximateReceiveCount", "1"))
        delivery_id = _replayed_id(record)
    except InvalidInput as error:  # of this message alone: the others get their own answers
        return QueueMessage(message_id, body, None, problem=(error.field, error.problem))
    return QueueMessage(message_id, body, group, receipt, deliveries, delivery_id)


def _replayed_id(record: dict[str, Any]) -> str | None:
    """Return the ID of the message that this one replays, from the attribute that the replay sets."""
    attributes = _mapping(record.get("messageAttributes") or {}, "Records.messageAttributes")
    attribute = _mapping(attributes.get(DELIVERY_ATTRIBUTE) or {}, f"Records.messageAttributes.{DELIVERY_ATTRIBUTE}")
    return _optional_text(attribute.get("stringValue"), f"Records.messageAttributes.{DELIVERY_ATTRIBUTE}")


def _receive_count(value: object) -> int:
    if not re.fullmatch("[0-9]{1,9}", str(value), re.ASCII):
        raise InvalidInput("Records.attributes.ApproximateReceiveCount", "must be a whole number")
    return int(str(value))


def _mapping(value: object, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(field, "must be a JSON object")
    return value


def _pointer(value: object, delivery_id: str | None) -> PlanPointer:
    pointer = _mapping(value, "plan_s3")
    bucket, key, version_id = (pointer.get(name) for name in ("bucket", "key", "version_id"))
    return PlanPointer(
        bucket=_text(bucket, "plan_s3.bucket"),
        key=_text(key, "plan_s3.key"),
        version_id=_text(version_id, "plan_s3.version_id") if version_id is not None else None,
        delivery_id=delivery_id,
    )


def _optional_text(value: object, field: str) -> str | None:
    return _text(value, field) if value is not None else None


def _text(value: object, field: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidInput(field, "must be a non-empty string")
    return value
