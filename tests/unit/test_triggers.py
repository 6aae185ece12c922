"""Every accepted event contains the same plan; every other event is invalid, with its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.envelopes import OWN_SOURCE
from rebalance_executor.triggers import (
    MAX_BYTES,
    HealthRequest,
    PlanDocument,
    PlanPointer,
    QueueBatch,
    QueueMessage,
    Request,
    decode,
    read,
)
from tests.support.builders import a_plan_document, an_item_document

EVENTS = Path(__file__).parents[2] / "events"
PLAN = a_plan_document()
POINTER = {"plan_s3": {"bucket": "plans", "key": "2026/01/26.json"}}


def an_event(detail: object, *, source: str = "portfolio.construction") -> dict[str, Any]:
    """Return an EventBridge event."""
    return {
        "version": "0",
        "id": "5f1d0c52-7a3e-4d0b-9c6e-000000000001",
        "detail-type": "RebalancePlanned",
        "source": source,
        "account": "123456789012",
        "time": "2026-01-26T15:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail": detail,
    }


def a_notification(message: object, **fields: object) -> dict[str, Any]:
    """Return an SNS notification as SNS sends it to a queue without raw delivery."""
    text = message if isinstance(message, str) else json.dumps(message)
    topic = "arn:aws:sns:us-east-1:123456789012:plans"
    return {"Type": "Notification", "MessageId": "n-1", "TopicArn": topic, "Message": text, **fields}


def an_s3_event(**created: object) -> dict[str, Any]:
    """Return an S3 event of EventBridge about an object in the bucket ``plans``, with these fields of the object."""
    detail = {"version": "0", "bucket": {"name": "plans"}, "object": {"size": 5, "etag": "b1946ac9", **created}}
    return an_event(detail, source="aws.s3") | {"detail-type": "Object Created"}


def a_record(body: str, message_id: str = "m-1", **attributes: str) -> dict[str, Any]:
    """Return an SQS record."""
    return {"messageId": message_id, "body": body, "attributes": attributes, "eventSource": "aws:sqs"}


def read_error(event: object) -> InvalidInput:
    with pytest.raises(InvalidInput) as raised:
        read(event)
    return raised.value


ENVELOPES = [
    pytest.param(
        {"version": "1.0", "requestContext": {"condition": "RetriesExhausted"}, "requestPayload": PLAN},
        id="Lambda's record of a failed asynchronous invocation",
    ),
    pytest.param(PLAN, id="the plan itself"),
    pytest.param({"rebalance_plan": PLAN}, id="under rebalance_plan"),
    pytest.param({"rebalance_plan": PLAN, "event_id": "e-1", "trades_required": True}, id="next to other keys"),
    pytest.param(an_event(PLAN), id="event with the plan as detail"),
    pytest.param(an_event({"rebalance_plan": PLAN, "event_id": "e-1"}), id="event with the plan in its detail"),
    pytest.param(an_event(an_event(PLAN)), id="event in an event"),
    pytest.param({"detail": PLAN, "source": "x"}, id="event reduced to source and detail"),
    pytest.param({"detail": PLAN, "detail-type": "x"}, id="event reduced to type and detail"),
    pytest.param(an_event(PLAN, source="aws.events"), id="scheduled event with a plan"),
    pytest.param(a_notification(PLAN), id="SNS"),
    pytest.param(a_notification(PLAN, SequenceNumber="10000000000000000001"), id="SNS FIFO"),
    pytest.param(a_notification(an_event({"rebalance_plan": PLAN})), id="event in SNS"),
    pytest.param(an_event(a_notification(PLAN)), id="SNS in an event"),
    pytest.param({"Input": PLAN}, id="Step Functions task input"),
    pytest.param({"input": an_event(PLAN)}, id="event in a Step Functions input"),
]


@pytest.mark.parametrize("event", ENVELOPES)
def test_envelope_contains_the_plan(event: object) -> None:
    """Production failure 32: the envelope was not unwrapped."""
    assert read(event) == PlanDocument(PLAN)


@pytest.mark.parametrize("event", ENVELOPES)
def test_envelope_in_a_queue_message_contains_the_plan(event: object) -> None:
    """Production failures 32 and 33."""
    batch = read({"Records": [a_record(json.dumps(event))]})
    assert isinstance(batch, QueueBatch)
    assert batch.messages[0].request() == PlanDocument(PLAN)


@pytest.mark.parametrize(
    "wrap",
    [lambda x: x, an_event, lambda x: {"rebalance_plan": x}, a_notification, lambda x: {"Input": x}],
    ids=["bare", "event", "key", "SNS", "Step Functions"],
)
@pytest.mark.parametrize(
    ("version", "expected"),
    [({}, None), ({"version_id": "v7"}, "v7"), ({"version_id": None}, None), ({"version_id": "null"}, None)],
)
def test_envelope_contains_the_pointer(wrap: Any, version: dict[str, Any], expected: str | None) -> None:
    event = wrap({"plan_s3": POINTER["plan_s3"] | version})
    assert read(event) == decode(json.dumps(event)) == PlanPointer("plans", "2026/01/26.json", expected)


@pytest.mark.parametrize(
    ("pointer", "field"),
    [
        (None, "plan_s3"),
        ("s3://plans/a.json", "plan_s3"),
        ([], "plan_s3"),
        ({}, "plan_s3.bucket"),
        ({"bucket": "plans"}, "plan_s3.key"),
        ({"bucket": "", "key": "a.json"}, "plan_s3.bucket"),
        ({"bucket": "plans", "key": ""}, "plan_s3.key"),
        ({"bucket": "plans", "key": 7}, "plan_s3.key"),
        ({"bucket": "plans", "key": "a.json", "version_id": ""}, "plan_s3.version_id"),
    ],
)
def test_invalid_pointer_names_its_field(pointer: object, field: str) -> None:
    assert read_error({"plan_s3": pointer}).field == field


@pytest.mark.parametrize("wrap", [lambda x: x, a_notification], ids=["event", "in SNS"])
@pytest.mark.parametrize(
    ("version", "expected"), [({}, None), ({"version-id": "v7"}, "v7"), ({"version-id": "null"}, None)]
)
@pytest.mark.parametrize("key", ["2026/01/26.json", "week 5/a+b%20c.json"], ids=["plain", "special characters"])
def test_created_object_is_a_pointer(wrap: Any, version: dict[str, str], expected: str | None, key: str) -> None:
    """EventBridge, unlike an S3 notification, does not URL-encode the key."""
    event = wrap(an_s3_event(key=key, **version))

    assert read(event) == decode(json.dumps(event)) == PlanPointer("plans", key, expected)


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (an_s3_event(), "detail.object.key"),
        (an_s3_event(key=""), "detail.object.key"),
        (an_s3_event(key="a.json", **{"version-id": 7}), "detail.object.version-id"),
        (an_s3_event() | {"detail": None}, "detail"),
        (an_s3_event() | {"detail": {"object": {"key": "a.json"}}}, "detail.bucket"),
        (an_s3_event() | {"detail": {"bucket": {}, "object": {"key": "a.json"}}}, "detail.bucket.name"),
        (an_s3_event() | {"detail": {"bucket": {"name": "plans"}}}, "detail.object"),
    ],
)
def test_malformed_s3_event_names_its_field(event: dict[str, Any], field: str) -> None:
    assert read_error(event).field == field


def test_pointer_of_a_message_has_the_id_of_the_message() -> None:
    """All deliveries of the message execute the same version of the object."""
    body = json.dumps(a_notification(an_s3_event(key="a.json")))
    (pointer,) = requests_of({"Records": [a_record(body, "m-7")]})

    assert isinstance(pointer, PlanPointer)
    assert pointer.delivery_id == "m-7"


@pytest.mark.parametrize(
    "message", ["", "4 of 5 orders as planned", "{", '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 100_000]
)
def test_notification_without_json_names_the_message(message: str) -> None:
    """Also the text that this program publishes to its own topic."""
    assert read_error(a_notification(message)).field == "Message"


@pytest.mark.parametrize("key", ["Input", "input"])
@pytest.mark.parametrize("content", [None, [], "plan", 7])
def test_step_functions_input_that_is_no_object_names_its_key(key: str, content: object) -> None:
    assert read_error({key: content}).field == key


@pytest.mark.parametrize("event", [{"health": True}, an_event({"health": True})])
def test_health_request_is_recognized(event: dict[str, Any]) -> None:
    assert read(event) == decode(json.dumps(event)) == HealthRequest()


@pytest.mark.parametrize("value", [False, None, "true", 1])
def test_health_request_needs_the_value_true(value: object) -> None:
    assert read({**PLAN, "health": value}) == PlanDocument({**PLAN, "health": value})


@pytest.mark.parametrize(
    "event",
    [
        an_event({"status": "success"}, source=OWN_SOURCE),
        an_event(PLAN, source=OWN_SOURCE),
        an_event(an_event(PLAN, source=OWN_SOURCE)),
        a_notification(an_event(PLAN, source=OWN_SOURCE)),
        {"Input": an_event(PLAN, source=OWN_SOURCE)},
        {**PLAN, **an_event(PLAN, source=OWN_SOURCE)},
    ],
    ids=["a result", "a plan", "inside another event", "in SNS", "in Step Functions", "beside a plan"],
)
def test_own_events_are_rejected(event: dict[str, Any]) -> None:
    """Production failure 32: the error event invoked the function again, in an endless loop."""
    assert read_error(event).field == "source"
    with pytest.raises(InvalidInput, match=OWN_SOURCE):
        decode(json.dumps(event))


@pytest.mark.parametrize("detail", [None, [], "plan", 7])
@pytest.mark.parametrize(("wrap", "field"), [(an_event, "detail"), (lambda x: {"rebalance_plan": x}, "rebalance_plan")])
def test_envelope_around_no_object_names_its_key(wrap: Any, field: str, detail: object) -> None:
    assert read_error(wrap(detail)).field == field


@pytest.mark.parametrize("document", [None, [], [PLAN], "plan", 7, True])
def test_document_that_is_no_object_is_left_to_plan_validation(document: Any) -> None:
    assert decode(json.dumps(document)) == PlanDocument(document)
    with pytest.raises(InvalidInput, match=r"must be a JSON object"):
        RebalancePlan.parse(document)


@pytest.mark.parametrize("key", ["source", "detail", "detail-type", "Records"])
def test_single_envelope_key_does_not_make_an_envelope(key: str) -> None:
    """Unknown keys of a plan are ignored."""
    assert read({**PLAN, key: "x"}) == PlanDocument({**PLAN, key: "x"})


# --- queue -----------------------------------------------------------------------------------------------


def test_batch_keeps_order_and_groups_of_its_messages() -> None:
    records = [a_record("{}", "m-1"), a_record("not JSON", "m-2", MessageGroupId="g")]
    assert read({"Records": records}) == QueueBatch(
        (QueueMessage("m-1", "{}", group=None), QueueMessage("m-2", "not JSON", group="g"))
    )


@pytest.mark.parametrize(
    "records",
    [
        [],
        [None],
        [{"eventSource": "aws:s3"}],
        [{"EventSource": "aws:sns", "Sns": {"Message": json.dumps(PLAN)}}],
        [a_record("{}"), {"eventSource": "aws:kinesis"}],
    ],
)
def test_records_of_other_services_are_rejected(records: list[object]) -> None:
    assert read_error({"Records": records}).field == "Records"


def test_message_needs_only_id_and_body() -> None:
    record = a_record(json.dumps(PLAN))
    del record["attributes"]

    assert requests_of({"Records": [record]}) == [PlanDocument(PLAN)]


COUNTS: list[object] = ["many", None, [], -1, 1.5, "9" * 5000]


@pytest.mark.parametrize("message_id", [None, "", 7, []])
def test_message_without_an_id_fails_alone_under_an_empty_name(message_id: object) -> None:
    """Lambda delivers the whole batch again after an empty identifier: nothing is lost, and plans execute once."""
    batch = read({"Records": [a_record("{}") | {"messageId": message_id}, a_record(json.dumps(PLAN), "m-2")]})

    assert isinstance(batch, QueueBatch)
    assert [message.message_id for message in batch.messages] == ["", "m-2"]
    with pytest.raises(InvalidInput) as raised:
        batch.messages[0].request()
    assert raised.value.field == "Records.messageId"
    assert batch.messages[1].request() == PlanDocument(PLAN)


@pytest.mark.parametrize("count", COUNTS)
def test_malformed_message_keeps_what_is_valid(count: object) -> None:
    """Its group stays in order, and its receipt lets it reach the dead-letter queue within seconds."""
    attributes = {"MessageGroupId": "g", "ApproximateReceiveCount": count}
    batch = read({"Records": [a_record("{}") | {"attributes": attributes, "receiptHandle": "r"}]})

    assert isinstance(batch, QueueBatch)
    (message,) = batch.messages
    assert (message.message_id, message.group, message.receipt, message.deliveries) == ("m-1", "g", "r", 1)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"body": None}, "body"),
        ({"body": {}}, "body"),
        ({"receiptHandle": 7}, "receiptHandle"),
        ({"attributes": "none"}, "attributes"),
        ({"attributes": None}, "attributes"),
        ({"attributes": {"MessageGroupId": ["x"]}}, "attributes.MessageGroupId"),
        ({"messageAttributes": "none"}, "messageAttributes"),
        ({"messageAttributes": {"delivery_id": "m"}}, "messageAttributes.delivery_id"),
        ({"messageAttributes": {"delivery_id": {"stringValue": 7}}}, "messageAttributes.delivery_id"),
        *(
            ({"attributes": {"ApproximateReceiveCount": count}}, "attributes.ApproximateReceiveCount")
            for count in COUNTS
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_malformed_message_is_invalid_alone(change: dict[str, object], field: str) -> None:
    batch = read({"Records": [a_record("{}") | change, a_record(json.dumps(PLAN))]})
    assert isinstance(batch, QueueBatch)
    malformed, valid = batch.messages
    with pytest.raises(InvalidInput) as raised:
        malformed.request()
    assert raised.value.field == f"Records.{field}"
    assert valid.request() == PlanDocument(PLAN)


# --- text ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", "plan", "{", "{'plan_id': 1}", '{"a": NaN}', '{"a": -Infinity}', '{"a": 1,}', b"\xff\xfe\xfd", "[" * 200_000],
    ids=["empty", "word", "cut off", "single quotes", "NaN", "infinity", "comma", "not UTF-8", "nested"],
)
def test_text_that_is_not_json_is_rejected(text: str | bytes) -> None:
    with pytest.raises(InvalidInput) as raised:
        decode(text)
    assert raised.value.field == "$"


def test_decimal_strings_in_a_text_stay_exact() -> None:
    """Production failure 33."""
    request = decode('{"trade_amount": "0.02666809368770691465719278284"}')
    assert request == PlanDocument({"trade_amount": "0.02666809368770691465719278284"})


def test_number_of_many_digits_is_the_same_plan_from_every_source() -> None:
    """Lambda's runtime decodes direct invocations and bus events itself, with 17 significant digits."""
    text = json.dumps(a_plan_document(an_item_document(amount="AMOUNT"))).replace(
        '"AMOUNT"', "1234.567890123456789012345678"
    )
    direct, queued = read(json.loads(text)), decode(text)
    assert isinstance(direct, PlanDocument)
    assert isinstance(queued, PlanDocument)
    assert RebalancePlan.parse(direct.body).content_hash == RebalancePlan.parse(queued.body).content_hash


def test_text_can_be_bytes() -> None:
    assert decode(json.dumps(PLAN).encode()) == PlanDocument(PLAN)


def test_document_of_two_megabytes_is_rejected() -> None:
    large = a_plan_document(metadata={"note": "x" * 2 * MAX_BYTES})
    assert "the limit is" in read_error(large).problem
    for text in (json.dumps(large), json.dumps(large).encode(), '{"a": "' + "é" * MAX_BYTES + '"}'):
        with pytest.raises(InvalidInput, match="the limit is"):
            decode(text)


def test_document_of_one_megabyte_is_accepted() -> None:
    text = json.dumps({"note": ""})
    filled = text.replace('""', '"' + "x" * (MAX_BYTES - len(text)) + '"')
    assert isinstance(decode(filled), PlanDocument)
    assert isinstance(read(json.loads(filled)), PlanDocument)


def test_plan_of_500_items_is_accepted() -> None:
    plan = a_plan_document(*(an_item_document(f"S{n}", amount="1234.567890123456789") for n in range(500)))
    assert isinstance(read(an_event({"rebalance_plan": plan})), PlanDocument)


# --- the samples -----------------------------------------------------------------------------------------


def requests_of(event: object) -> list[Request]:
    """Return the valid requests in an event."""
    request = read(event)
    if not isinstance(request, QueueBatch):
        return [request]
    requests = []
    for message in request.messages:
        try:
            requests.append(message.request())
        except InvalidInput:
            continue
    return requests


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("direct_plan.json", PlanDocument),
        ("direct_pointer.json", PlanPointer),
        ("eventbridge_detail_plan.json", PlanDocument),
        ("eventbridge_plan.json", PlanDocument),
        ("health.json", HealthRequest),
        ("s3_object_created.json", PlanPointer),
        ("sqs_s3_object_created.json", PlanPointer),
        ("sqs_sns_eventbridge.json", PlanDocument),
        ("sqs_sns_plan.json", PlanDocument),
        ("sqs_sns_pointer.json", PlanPointer),
        ("stepfunctions_input.json", PlanDocument),
        ("hold_only.json", PlanDocument),
        ("scheduler_plan.json", PlanDocument),
        ("scheduler_pointer.json", PlanPointer),
        ("sqs_eventbridge.json", PlanDocument),
        ("sqs_partial.json", PlanDocument),
        ("sqs_plan.json", PlanDocument),
        ("plans/small.json", PlanDocument),
        ("plans/2026-01-26.json", PlanDocument),
    ],
)
def test_sample_event_is_accepted(name: str, kind: type) -> None:
    request = requests_of(json.loads((EVENTS / name).read_text(encoding="utf-8")))[0]
    assert isinstance(request, kind)
    if isinstance(request, PlanDocument):
        assert RebalancePlan.parse(request.body).items
