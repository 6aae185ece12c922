"""Traces: every request to the broker is one subsegment, whether it succeeds or fails."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from aws_lambda_powertools import Tracer
from aws_xray_sdk import global_sdk_config
from aws_xray_sdk.core.context import Context
from aws_xray_sdk.core.recorder import AWSXRayRecorder

from rebalance_executor.tracing import Tracing
from tests.support.world import KEYS, HandlerWorld, a_world, buy, exit_of, plan


class Daemon:
    """Receives what the recorder sends to the X-Ray daemon."""

    def __init__(self) -> None:
        self.entities: list[dict[str, Any]] = []

    def send_entity(self, entity: Any) -> None:
        """Receive a subsegment with its children."""
        self.entities.append(json.loads(entity.serialize()))

    @property
    def subsegments(self) -> list[dict[str, Any]]:
        """Every subsegment, without the segment of the invocation itself."""
        return [entity for sent in self.entities for entity in _with_children(sent) if "namespace" in entity]

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The subsegments of requests."""
        return [entity for entity in self.subsegments if entity["namespace"] == "remote"]


def _with_children(entity: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield entity
    for child in entity.get("subsegments", ()):
        yield from _with_children(child)


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    enabled = global_sdk_config.sdk_enabled()
    global_sdk_config.set_sdk_enabled(True)
    Tracer._reset_config()  # type: ignore[no-untyped-call]
    yield Daemon()
    Tracer._reset_config()  # type: ignore[no-untyped-call]
    global_sdk_config.set_sdk_enabled(enabled)


def deliver(world: HandlerWorld, daemon: Daemon, document: object, *, is_sampled: bool = True) -> dict[str, Any]:
    """Execute a plan in an invocation that X-Ray samples, or does not."""
    recorder = AWSXRayRecorder()
    recorder.emitter._socket.close()  # replaced by the next line
    recorder.configure(sampling=False, context=Context(), emitter=daemon, streaming_threshold=0)
    world.restart(Tracing(Tracer(provider=recorder, auto_patch=False, disabled=False)))
    recorder.begin_segment("function", sampling=int(is_sampled))
    try:
        return world.deliver(document)
    finally:
        recorder.end_segment()


@pytest.mark.parametrize("orders", [1, 5])
def test_plan_has_one_subsegment_per_broker_request(daemon: Daemon, orders: int) -> None:
    symbols = [f"S{number}" for number in range(orders)]
    with a_world(prices=dict.fromkeys(symbols, "100")) as world:
        result = deliver(world, daemon, plan(*(buy(symbol, 1000) for symbol in symbols)))

        (counted,) = world.log_lines("broker.requests")
        traced = Counter(_line(entity) for entity in daemon.requests)
        assert result["orders_succeeded"] == orders
        assert traced == counted["by_path"]
        assert all(entity["http"]["response"]["status"] == 200 for entity in daemon.requests)
        assert {entity["parent_id"] for entity in daemon.requests} == {
            entity["id"] for entity in daemon.subsegments if entity["name"] == "## rebalance"
        }


def test_subsegments_name_no_symbol_no_order_and_no_key(daemon: Daemon) -> None:
    with a_world(positions={"AAA": "10"}, fills=[{"symbol": "AAA", "nth": 1, "behaviour": "never"}]) as world:
        deliver(world, daemon, plan(exit_of("AAA", 1000)))

        traced = {_line(entity) for entity in daemon.requests}
        text = json.dumps(daemon.requests)
        assert {"GET /v2/assets/{symbol}", "DELETE /v2/orders/{id}"} <= traced
        assert not any(order["id"] in text or order["client_order_id"] in text for order in world.orders)
        assert not any(value in text for value in ("AAA", *(f'"{key}"' for key in KEYS.values())))


def test_failed_requests_have_their_subsegments(daemon: Daemon) -> None:
    faults = [
        {"kind": "status", "path": "/v2/account"},
        {"kind": "drop", "path": "/v2/orders", "method": "POST"},
    ]
    with a_world(faults=faults) as world:
        deliver(world, daemon, plan(buy("AAA", 1000)))

        (counted,) = world.log_lines("broker.requests")
        assert Counter(_line(entity) for entity in daemon.requests) == counted["by_path"]
        failed, lost = (entity for entity in daemon.requests if entity.get("fault"))
        assert (_line(failed), failed["http"]["response"]) == ("GET /v2/account", {"status": 503})
        assert (_line(lost), lost["annotations"]) == ("POST /v2/orders", {"error": "UnusableResponse"})


def test_invocation_that_is_not_sampled_sends_no_subsegment(daemon: Daemon) -> None:
    with a_world() as world:
        result = deliver(world, daemon, plan(buy("AAA", 1000)), is_sampled=False)

    assert result["success"]
    assert daemon.entities == []


def _line(entity: dict[str, Any]) -> str:
    """Return method and path of a subsegment, as the log counts them."""
    request = entity["http"]["request"]
    return f"{request['method']} /{request['url'].split('/', 3)[3]}"
