"""Results published as EventBridge events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import EndpointConnectionError

from rebalance_executor.adapters.eventbridge import (
    FORMER_ENTRY_BYTES,
    MAX_ENTRY_BYTES,
    EventBridgePublisher,
    detail,
)
from rebalance_executor.domain.errors import InvalidInput, PublishFailed
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.triggers import read
from tests.support.aws import Tampered, aws, client_error, once
from tests.support.journalled import order_result, result

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

BUS = "results"


class Bus:
    """An EventBridge client that fails with these error codes or succeeds (None); records its entries."""

    def __init__(self, *codes: str | None) -> None:
        self.entries: list[Mapping[str, Any]] = []
        self._codes = list(codes)

    def put_events(self, Entries: list[Mapping[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        self.entries += Entries
        code = self._codes.pop(0) if self._codes else None
        if code is None:
            return {"FailedEntryCount": 0, "Entries": [{"EventId": "event-1"}]}
        return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": code, "ErrorMessage": "set by the test"}]}


class Limited:
    """An EventBridge client that does not accept an entry above this size."""

    def __init__(self, bus: Bus, max_bytes: int) -> None:
        self._bus = bus
        self._max_bytes = max_bytes

    def put_events(self, Entries: list[Mapping[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        if any(entry_bytes(entry["Detail"]) > self._max_bytes for entry in Entries):
            raise client_error("ValidationException")
        return self._bus.put_events(Entries)


def publish(bus: object, published: ExecutionResult) -> None:
    EventBridgePublisher(BUS, cast("EventBridgeClient", bus)).publish(published)


@pytest.fixture
def tampered() -> Iterator[Tampered]:
    with aws() as session:
        client = session.client("events")
        client.create_event_bus(Name=BUS)
        yield Tampered(client)
        client.close()


def test_event_contains_the_whole_result() -> None:
    bus = Bus()

    publish(bus, result())

    (entry,) = bus.entries
    assert (entry["EventBusName"], entry["Source"], entry["DetailType"]) == (
        BUS,
        "rebalance-executor",
        "RebalanceExecuted",
    )
    assert entry["Time"] == result().execution_timestamp
    assert json.loads(entry["Detail"]) == result().model_dump(mode="json")


def test_entry_passes_the_validation_of_boto3(tampered: Tampered) -> None:
    publish(tampered, result())

    assert tampered.count("put_events") == 1


def test_published_event_is_invalid_as_an_input() -> None:
    bus = Bus()
    publish(bus, result())
    (entry,) = bus.entries
    event = {
        "source": entry["Source"],
        "detail-type": entry["DetailType"],
        "detail": json.loads(entry["Detail"]),
    }

    with pytest.raises(InvalidInput, match="results, not plans"):
        read(event)


def test_permanent_error_is_not_retried() -> None:
    bus = Bus("MalformedDetail", None)

    with pytest.raises(PublishFailed, match="MalformedDetail: set by the test"):
        publish(bus, result())

    assert len(bus.entries) == 1


def test_transient_error_is_retried() -> None:
    bus = Bus("InternalFailure", "ThrottlingException", None)

    publish(bus, result())

    assert len(bus.entries) == 3


def test_retries_are_limited() -> None:
    bus = Bus(*["InternalFailure"] * 9)

    with pytest.raises(PublishFailed, match="InternalFailure"):
        publish(bus, result())

    assert len(bus.entries) == 3


@pytest.mark.parametrize(
    "error",
    [client_error("ResourceNotFoundException"), EndpointConnectionError(endpoint_url="http://events")],
    ids=lambda error: type(error).__name__,
)
def test_failed_request_is_publish_failed(tampered: Tampered, error: Exception) -> None:
    tampered.before = once(error, "put_events")

    with pytest.raises(PublishFailed) as caught:
        publish(tampered, result())

    assert caught.value.__cause__ is error


# --- size of an event ------------------------------------------------------------------------------------


def entry_bytes(text: str) -> int:
    """Return the size of an entry as EventBridge calculates it."""
    return 14 + len("rebalance-executor") + len("RebalanceExecuted") + len(text.encode())


def with_entry_of(size: int) -> ExecutionResult:
    """Return a result whose entry has this size."""
    missing = size - entry_bytes(result(metadata={"note": ""}).model_dump_json())
    return result(metadata={"note": "x" * missing})


def test_result_of_the_largest_size_is_not_trimmed() -> None:
    text = detail(with_entry_of(MAX_ENTRY_BYTES))

    assert entry_bytes(text) == MAX_ENTRY_BYTES == 1_000_000
    assert "orders_truncated" not in json.loads(text)


def test_larger_result_is_trimmed() -> None:
    text = detail(with_entry_of(MAX_ENTRY_BYTES + 1))

    assert entry_bytes(text) <= MAX_ENTRY_BYTES
    assert json.loads(text)["orders_truncated"] is True


def test_result_of_500_orders_is_published_whole() -> None:
    """It has about 700 KB and lost its children while the limit was 256 KB."""
    large = result(tuple(order_result(f"SYM{n}", children=2) for n in range(500)))

    body = json.loads(detail(large))

    assert len(body["orders"]) == 500
    assert all(len(order["children"]) == 2 for order in body["orders"])
    assert json.loads(detail(large, FORMER_ENTRY_BYTES))["orders_truncated"] is True


def test_result_too_large_for_this_bus_is_trimmed_to_the_former_limit() -> None:
    bus = Bus()

    publish(Limited(bus, FORMER_ENTRY_BYTES), with_entry_of(FORMER_ENTRY_BYTES + 1))

    (entry,) = bus.entries
    assert entry_bytes(entry["Detail"]) <= FORMER_ENTRY_BYTES
    assert json.loads(entry["Detail"])["orders_truncated"] is True


def test_small_result_is_not_sent_again_after_a_validation_error() -> None:
    with pytest.raises(PublishFailed, match="ValidationException"):
        publish(Limited(Bus(), FORMER_ENTRY_BYTES - 1), with_entry_of(FORMER_ENTRY_BYTES))


def test_children_are_left_out_first() -> None:
    large = result(tuple(order_result(f"SYM{n}", children=5) for n in range(900)))

    body = json.loads(detail(large))

    assert entry_bytes(detail(large)) <= MAX_ENTRY_BYTES
    assert body["orders_truncated"] is True
    assert body["orders_total"] == len(body["orders"]) == 900
    assert all(order["children"] == [] for order in body["orders"])
    assert body["total_trade_value"] == "733.57"


def test_orders_are_left_out_next_and_totals_stay() -> None:
    long_message = order_result().model_copy(update={"error_message": "x" * 500})
    large = result((long_message,) * 900)

    body = json.loads(detail(large))

    assert (body["orders"], body["orders_total"], body["orders_truncated"]) == ([], 900, True)
    assert body["orders_placed"] == 900
    assert ExecutionResult.model_validate(body).plan_id == large.plan_id


def test_metadata_is_left_out_last() -> None:
    body = json.loads(detail(result(metadata={"note": "é" * MAX_ENTRY_BYTES})))

    assert body["metadata"] == {}
    assert body["orders_truncated"] is True
