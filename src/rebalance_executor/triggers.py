"""Conversion of Lambda events into requests, independent of what invoked the function.

A document is the decoded JSON of a plan, or a pointer to one in S3. An event is a document in its envelopes, or a batch
of SQS messages with one in each body. Envelopes can be nested; their table is in ``envelopes``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rebalance_executor import envelopes
from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.json_text import decode_json

MAX_BYTES = 1024 * 1024
"""Limit of a plan document in bytes; also SQS's limit of a message."""

DELIVERY_ATTRIBUTE = "delivery_id"
"""Message attribute of a replayed message: the ID of the message that was delivered first."""


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
    """Empty if the record has none. Lambda then delivers the whole batch again, which finished plans answer."""
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
    shape = envelopes.shape_of(document)
    if shape is None or (shape.trades and not shape.opens):
        return PlanDocument(document)
    if not shape.trades:
        raise InvalidInput(shape.field, shape.problem(document))
    return _opened(document, shape.opens, delivery_id)


_COMMANDS: dict[str, HealthRequest | DailyCheckRequest | ResumeRequest] = {
    "health": HealthRequest(),
    "watch": DailyCheckRequest(),
    "resume": ResumeRequest(),
}


def _opened(document: dict[str, Any], key: str, delivery_id: str | None) -> Request:
    """Return the request in the content of an accepted envelope."""
    if key == "Message":
        return unwrap(_json(document[key], key), delivery_id)
    if key == "detail.object":
        return _created_object(_mapping(document["detail"], "detail"), delivery_id)
    content = _mapping(document[key], key)
    if key == "plan_s3":
        names = ("plan_s3.bucket", "plan_s3.key", "plan_s3.version_id")
        return _pointer(names, (content.get("bucket"), content.get("key"), content.get("version_id")), delivery_id)
    if key == "requestPayload":
        failed = _mapping(document["requestContext"], "requestContext").get("requestId")
        return unwrap(content, str(failed or delivery_id))
    return unwrap(content, delivery_id)


def _created_object(detail: dict[str, Any], delivery_id: str | None) -> PlanPointer:
    """Return the pointer in an S3 event of EventBridge, which, unlike a notification, does not URL-encode keys."""
    bucket, created = _mapping(detail.get("bucket"), "detail.bucket"), _mapping(detail.get("object"), "detail.object")
    names = ("detail.bucket.name", "detail.object.key", "detail.object.version-id")
    return _pointer(names, (bucket.get("name"), created.get("key"), created.get("version-id")), delivery_id)


def _queue_batch(event: dict[str, Any]) -> QueueBatch:
    records = event["Records"]
    foreign = [r for r in records if not isinstance(r, dict) or r.get("eventSource") != "aws:sqs"]
    if foreign or not records:
        unwrap({"Records": foreign})  # raises: no shape with records is accepted
    return QueueBatch(tuple(_message(record) for record in records))


class _Fields:
    """Fields of one record. An invalid field is None and becomes the problem of its message alone."""

    def __init__(self) -> None:
        self.problem: tuple[str, str] | None = None

    def read[T](self, parse: Callable[[], T]) -> T | None:
        """Return what ``parse`` returns, or None if it raises ``InvalidInput``."""
        try:
            return parse()
        except InvalidInput as error:
            self.problem = self.problem or (error.field, error.problem)
            return None


def _message(record: dict[str, Any]) -> QueueMessage:
    # Without Powertools' data classes, which would import those of every other service too. What is valid is kept: the
    # group keeps its order and the message reaches the dead-letter queue soon, although another field is invalid.
    fields = _Fields()
    message_id = fields.read(lambda: _text(record.get("messageId"), "Records.messageId"))
    receipt = fields.read(lambda: _optional_text(record.get("receiptHandle"), "Records.receiptHandle"))
    attributes = fields.read(lambda: _mapping(record.get("attributes", {}), "Records.attributes")) or {}
    group = fields.read(lambda: _optional_text(attributes.get("MessageGroupId"), "Records.attributes.MessageGroupId"))
    deliveries = fields.read(lambda: _receive_count(attributes.get("ApproximateReceiveCount", "1")))
    delivery_id = fields.read(lambda: _replayed_id(record))
    return QueueMessage(
        message_id or "", record.get("body"), group, receipt, deliveries or 1, delivery_id, problem=fields.problem
    )


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


def _pointer(
    names: tuple[str, str, str], values: tuple[object, object, object], delivery_id: str | None
) -> PlanPointer:
    """Return the pointer with a bucket, a key and a version, which have these names in their envelope.

    ``null`` is S3's word for an object without a version: a later one may replace it.
    """
    bucket, key, version_id = values
    return PlanPointer(
        bucket=_text(bucket, names[0]),
        key=_text(key, names[1]),
        version_id=_text(version_id, names[2]) if version_id not in (None, "null") else None,
        delivery_id=delivery_id,
    )


def _json(text: object, field: str) -> object:
    try:
        return decode_json(_text(text, field))
    except InvalidInput as error:
        raise InvalidInput(field, error.problem) from None


def _optional_text(value: object, field: str) -> str | None:
    return _text(value, field) if value is not None else None


def _text(value: object, field: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidInput(field, "must be a non-empty string")
    return value
