"""Every way in leads to the same plan; everything else is refused with its reason."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.triggers import (
    MAX_BYTES,
    OWN_SOURCE,
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
    """An EventBridge event."""
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


def a_record(body: str, message_id: str = "m-1", **attributes: str) -> dict[str, Any]:
    """One SQS record."""
    return {"messageId": message_id, "body": body, "attributes": attributes, "eventSource": "aws:sqs"}


def refusal(event: object) -> InvalidInput:
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
    pytest.param({"rebalance_plan": PLAN, "event_id": "e-1", "trades_required": True}, id="beside other keys"),
    pytest.param(an_event(PLAN), id="event with the plan as detail"),
    pytest.param(an_event({"rebalance_plan": PLAN, "event_id": "e-1"}), id="event with the plan in its detail"),
    pytest.param(an_event(an_event(PLAN)), id="event in an event"),
    pytest.param({"detail": PLAN, "source": "x"}, id="event reduced to source and detail"),
    pytest.param({"detail": PLAN, "detail-type": "x"}, id="event reduced to type and detail"),
]


@pytest.mark.parametrize("event", ENVELOPES)
def test_every_envelope_leads_to_the_plan(event: object) -> None:
    """Production failure 32: the envelope was not unwrapped."""
    assert read(event) == PlanDocument(PLAN)


@pytest.mark.parametrize("event", ENVELOPES)
def test_every_envelope_may_stand_in_a_queues_message(event: object) -> None:
    """Production failures 32 and 33."""
    batch = read({"Records": [a_record(json.dumps(event))]})
    assert isinstance(batch, QueueBatch)
    assert decode(batch.messages[0].body) == PlanDocument(PLAN)


@pytest.mark.parametrize("wrap", [lambda x: x, an_event, lambda x: {"rebalance_plan": x}], ids=["bare", "event", "key"])
@pytest.mark.parametrize(
    ("version", "expected"), [({}, None), ({"version_id": "v7"}, "v7"), ({"version_id": None}, None)]
)
def test_a_pointer_is_read_in_every_envelope(wrap: Any, version: dict[str, Any], expected: str | None) -> None:
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
def test_a_pointer_that_leads_nowhere_names_its_field(pointer: object, field: str) -> None:
    assert refusal({"plan_s3": pointer}).field == field


@pytest.mark.parametrize("event", [{"health": True}, an_event({"health": True})])
def test_a_health_request_is_not_a_plan(event: dict[str, Any]) -> None:
    assert read(event) == decode(json.dumps(event)) == HealthRequest()


@pytest.mark.parametrize("value", [False, None, "true", 1])
def test_only_true_asks_for_health(value: object) -> None:
    assert read({**PLAN, "health": value}) == PlanDocument({**PLAN, "health": value})


@pytest.mark.parametrize(
    "event",
    [
        an_event({"status": "success"}, source=OWN_SOURCE),
        an_event(PLAN, source=OWN_SOURCE),
        an_event(an_event(PLAN, source=OWN_SOURCE)),
    ],
    ids=["a result", "even with a plan", "even inside another event"],
)
def test_our_own_events_are_refused(event: dict[str, Any]) -> None:
    """Production failure 32: the error event invoked the function again, for ever."""
    assert refusal(event).field == "source"
    with pytest.raises(InvalidInput, match=OWN_SOURCE):
        decode(json.dumps(event))


@pytest.mark.parametrize("detail", [None, [], "plan", 7])
@pytest.mark.parametrize(("wrap", "field"), [(an_event, "detail"), (lambda x: {"rebalance_plan": x}, "rebalance_plan")])
def test_an_envelope_around_no_object_names_its_key(wrap: Any, field: str, detail: object) -> None:
    assert refusal(wrap(detail)).field == field


@pytest.mark.parametrize("document", [None, [], [PLAN], "plan", 7, True])
def test_what_is_no_object_is_left_to_the_plans_own_validation(document: Any) -> None:
    assert decode(json.dumps(document)) == PlanDocument(document)
    with pytest.raises(InvalidInput, match=r"must be a JSON object"):
        RebalancePlan.parse(document)


@pytest.mark.parametrize("key", ["source", "detail", "detail-type", "Records"])
def test_one_key_of_an_envelope_does_not_make_one(key: str) -> None:
    """Unknown keys of a plan are ignored."""
    assert read({**PLAN, key: "x"}) == PlanDocument({**PLAN, key: "x"})


# --- queue -----------------------------------------------------------------------------------------------


def test_a_batch_keeps_the_order_and_the_groups_of_its_messages() -> None:
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
def test_records_of_anything_but_a_queue_are_refused(records: list[object]) -> None:
    assert refusal({"Records": records}).field == "Records"


def test_a_message_needs_no_more_than_an_id_and_a_body() -> None:
    record = a_record(json.dumps(PLAN))
    del record["attributes"]

    assert requests_of({"Records": [record]}) == [PlanDocument(PLAN)]


@pytest.mark.parametrize("change", [{"messageId": None}, {"body": None}, {"body": {}}, {"attributes": "none"}], ids=str)
def test_a_message_that_is_none_is_refused(change: dict[str, object]) -> None:
    assert refusal({"Records": [a_record("{}") | change]}).field.startswith("Records")


# --- text ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", "plan", "{", "{'plan_id': 1}", '{"a": NaN}', '{"a": -Infinity}', '{"a": 1,}', b"\xff\xfe\xfd", "[" * 200_000],
    ids=["empty", "word", "cut off", "single quotes", "NaN", "infinity", "comma", "not UTF-8", "nested"],
)
def test_a_text_that_is_not_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidInput) as raised:
        decode(text)
    assert raised.value.field == "$"


def test_decimals_of_a_text_stay_exact() -> None:
    """Production failure 33."""
    request = decode('{"trade_amount": 0.02666809368770691465719278284}')
    assert request == PlanDocument({"trade_amount": Decimal("0.02666809368770691465719278284")})


def test_a_text_may_come_as_bytes() -> None:
    assert decode(json.dumps(PLAN).encode()) == PlanDocument(PLAN)


def test_a_document_of_two_megabytes_is_refused_before_it_is_read() -> None:
    large = a_plan_document(metadata={"note": "x" * 2 * MAX_BYTES})
    assert "at most" in refusal(large).problem
    for text in (json.dumps(large), json.dumps(large).encode(), '{"a": "' + "é" * MAX_BYTES + '"}'):
        with pytest.raises(InvalidInput, match="at most"):
            decode(text)


def test_a_document_of_one_megabyte_is_small_enough() -> None:
    text = json.dumps({"note": ""})
    filled = text.replace('""', '"' + "x" * (MAX_BYTES - len(text)) + '"')
    assert isinstance(decode(filled), PlanDocument)
    assert isinstance(read(json.loads(filled)), PlanDocument)


def test_a_plan_of_five_hundred_items_is_small_enough() -> None:
    plan = a_plan_document(*(an_item_document(f"S{n}", amount="1234.567890123456789") for n in range(500)))
    assert isinstance(read(an_event({"rebalance_plan": plan})), PlanDocument)


# --- the samples -----------------------------------------------------------------------------------------


def requests_of(event: object) -> list[Request]:
    """What an event asks for; what is refused is left out."""
    answer = read(event)
    if not isinstance(answer, QueueBatch):
        return [answer]
    found = []
    for message in answer.messages:
        try:
            found.append(decode(message.body))
        except InvalidInput:
            continue
    return found


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("direct_plan.json", PlanDocument),
        ("direct_pointer.json", PlanPointer),
        ("eventbridge_detail_plan.json", PlanDocument),
        ("eventbridge_plan.json", PlanDocument),
        ("health.json", HealthRequest),
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
def test_every_sample_event_is_understood(name: str, kind: type) -> None:
    request = requests_of(json.loads((EVENTS / name).read_text(encoding="utf-8")))[0]
    assert isinstance(request, kind)
    if isinstance(request, PlanDocument):
        assert RebalancePlan.parse(request.body).items
