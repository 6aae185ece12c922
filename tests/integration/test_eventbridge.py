"""Results published as events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import EndpointConnectionError

from rebalance_executor.adapters.eventbridge import MAX_DETAIL_BYTES, EventBridgePublisher, detail
from rebalance_executor.domain.errors import InvalidInput, PublishFailed
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.triggers import read
from tests.support.aws import Tampered, aws, client_error, once
from tests.support.journalled import order_result, result

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

BUS = "results"


class Bus:
    """An EventBridge client that answers as told and remembers what it was given."""

    def __init__(self, *answers: str | None) -> None:
        self.entries: list[Mapping[str, Any]] = []
        self._answers = list(answers)

    def put_events(self, Entries: list[Mapping[str, Any]]) -> dict[str, Any]:  # noqa: N803 - boto3's name
        self.entries += Entries
        code = self._answers.pop(0) if self._answers else None
        if code is None:
            return {"FailedEntryCount": 0, "Entries": [{"EventId": "event-1"}]}
        return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": code, "ErrorMessage": "told by the test"}]}


def publish(bus: object, published: ExecutionResult) -> None:
    EventBridgePublisher(BUS, cast("EventBridgeClient", bus)).publish(published)


@pytest.fixture
def tampered() -> Iterator[Tampered]:
    with aws() as session:
        client = session.client("events")
        client.create_event_bus(Name=BUS)
        yield Tampered(client)
        client.close()


def test_given_a_result_when_published_then_the_event_holds_all_of_it() -> None:
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


def test_given_the_real_clients_checks_when_published_then_they_accept_the_entry(tampered: Tampered) -> None:
    publish(tampered, result())

    assert tampered.count("put_events") == 1


def test_given_a_published_event_when_it_comes_back_as_an_input_then_it_is_refused() -> None:
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


def test_given_a_bus_that_refuses_for_good_when_published_then_it_is_said_at_once() -> None:
    bus = Bus("MalformedDetail", None)

    with pytest.raises(PublishFailed, match="MalformedDetail: told by the test"):
        publish(bus, result())

    assert len(bus.entries) == 1


def test_given_a_bus_that_fails_for_a_moment_when_published_then_it_is_tried_again() -> None:
    bus = Bus("InternalFailure", "ThrottlingException", None)

    publish(bus, result())

    assert len(bus.entries) == 3


def test_given_a_bus_that_fails_on_and_on_when_published_then_tries_are_bounded() -> None:
    bus = Bus(*["InternalFailure"] * 9)

    with pytest.raises(PublishFailed, match="InternalFailure"):
        publish(bus, result())

    assert len(bus.entries) == 3


@pytest.mark.parametrize(
    "error",
    [client_error("ResourceNotFoundException"), EndpointConnectionError(endpoint_url="http://events")],
    ids=lambda error: type(error).__name__,
)
def test_given_eventbridge_does_not_take_it_when_published_then_the_report_failed(
    tampered: Tampered, error: Exception
) -> None:
    tampered.before = once(error, "put_events")

    with pytest.raises(PublishFailed) as caught:
        publish(tampered, result())

    assert caught.value.__cause__ is error


# --- what fits into an event -----------------------------------------------------------------------------


def test_given_a_result_that_fits_when_told_then_it_says_nothing_of_trimming() -> None:
    assert "orders_truncated" not in json.loads(detail(result()))


def test_given_too_many_children_when_told_then_they_are_left_out_and_the_orders_stay() -> None:
    large = result(tuple(order_result(f"SYM{n}", children=5) for n in range(200)))

    told = json.loads(detail(large))

    assert len(detail(large).encode()) <= MAX_DETAIL_BYTES
    assert told["orders_truncated"] is True
    assert told["orders_total"] == len(told["orders"]) == 200
    assert all(order["children"] == [] for order in told["orders"])
    assert told["total_trade_value"] == "733.57"


def test_given_too_many_orders_when_told_then_they_are_left_out_and_the_totals_stay() -> None:
    wordy = order_result().model_copy(update={"error_message": "x" * 500})
    large = result((wordy,) * 500)

    told = json.loads(detail(large))

    assert (told["orders"], told["orders_total"], told["orders_truncated"]) == ([], 500, True)
    assert told["orders_placed"] == 500
    assert ExecutionResult.model_validate(told).plan_id == large.plan_id


def test_given_metadata_that_alone_is_too_large_when_told_then_it_is_left_out() -> None:
    told = json.loads(detail(result(metadata={"note": "é" * MAX_DETAIL_BYTES})))

    assert told["metadata"] == {}
    assert told["orders_truncated"] is True
