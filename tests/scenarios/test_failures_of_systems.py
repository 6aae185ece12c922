"""Production failures 27 to 40 of an earlier system, around the orders: streams, quotas, ledgers, paging, alarms.

The last part covers faults that were still in that system's code when it ran against a fake broker.
"""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.errors import BrokerUnavailable, Fenced
from tests.infrastructure.templates import attribute, read, reference
from tests.support.builders import NOW
from tests.support.world import HandlerWorld, a_world, buy, exit_of, outcomes, plan, sell

DOWN = {"kind": "status", "status": 503, "method": "GET", "path": "/v2/account"}


def paths(world: HandlerWorld) -> set[str]:
    """Return the requests to the broker, without IDs."""
    return set(world.broker.app.requests)


def a_message(document: dict[str, Any]) -> dict[str, Any]:
    record = {"messageId": "m-1", "body": json.dumps(document), "attributes": {}, "eventSource": "aws:sqs"}
    return {"Records": [record]}


def test_27_no_stream_is_opened() -> None:
    """Alpaca allows few websockets per account, and each invocation of the earlier system leaked one."""
    with a_world(default_fill={"behaviour": "later", "after_seconds": 2}) as world:
        world.deliver(plan(buy("AAA", 1000)))
        before = {thread.name for thread in threading.enumerate() if thread.name == "MainThread" or not thread.daemon}
        for number in range(5):
            world.advance(700)
            timestamp = world.clock.now().isoformat()
            assert world.deliver(plan(buy("AAA", 1000), plan_id=f"plan-{number}x", timestamp=timestamp))["success"]

        assert {path.split()[1].split("/")[2] for path in paths(world)} == {
            "account", "assets", "clock", "orders", "positions", "stocks",
        }  # fmt: skip
        after = {thread.name for thread in threading.enumerate() if thread.name == "MainThread" or not thread.daemon}
        assert after == before


def test_28_plans_are_serialised_without_reserved_concurrency() -> None:
    """Small AWS accounts cannot reserve concurrency; message groups of the queue and the lease (02) serialise."""
    template = read("template.yaml")
    function = template["Resources"]["RebalanceFunction"]["Properties"]

    assert template["Parameters"]["ReservedConcurrency"]["Default"] == 0
    assert function["ReservedConcurrentExecutions"]["Fn::If"] == [
        "ReservesConcurrency",
        reference("ReservedConcurrency"),
        reference("AWS::NoValue"),
    ]
    assert template["Resources"]["PlanQueue"]["Properties"]["FifoQueue"] is True


def test_29_30_31_order_events_before_the_first_poll_are_not_missed() -> None:
    """The earlier system streamed the wrong symbols, started 30 seconds late, and lost events before it waited."""
    fills = [
        {"symbol": "AAA", "behaviour": "immediate"},  # filled before the response arrives
        {"symbol": "BBB", "behaviour": "later", "after_seconds": 3},
        {"symbol": "CCC", "behaviour": "expire", "fraction": "0.5", "after_seconds": 1, "nth": 1},
    ]
    lost = {"kind": "drop", "when": "after", "method": "POST", "path": "/v2/orders", "nth": 1}
    with a_world(fills=fills, faults=[lost]) as world:
        result = world.deliver(plan(buy("AAA", 1000), buy("BBB", 1000), buy("CCC", 1000)))

        assert outcomes(result) == dict.fromkeys(("AAA", "BBB", "CCC"), ("FILLED", None))
        assert world.slept < 10


def test_38_concurrent_writes_lose_nothing() -> None:
    """Concurrent appends overwrote one another; here every write is conditional on what it was based on."""
    with a_world() as world:
        world.deliver(plan(buy("AAA", 1000)))
        journal = world.service.journal
        paused = journal.acquire("default", "paused", now=world.clock.now(), expires_at=world.in_seconds(1))
        world.advance(2)
        world.deliver(plan(buy("BBB", 1000), sell("CCC", 10), plan_id="second"))
        stored = journal.load("default", "second")
        assert stored is not None

        with pytest.raises(Fenced):  # it continues after another run has had the account
            journal.write(paused, stored.plan, parents=stored.parents.values())
        state = world.risk_store.load("default", NOW.date() + timedelta(days=1))  # always open: closes a day ahead
        assert (state.usage.plans, state.usage.buys) == (2, Decimal(2000))
        assert [order.symbol for started in state.plans for order in started.orders] == ["AAA", "BBB"]
        assert journal.load("default", "second") == stored


def test_39_every_page_of_orders_is_read() -> None:
    """Queries without their second page gave wrong numbers: Alpaca lists 50 orders by default, 500 at most."""
    with a_world(config={"conflicting_orders": "cancel"}) as world:
        exchange = world.broker.app.exchange
        order_fields = {"symbol": "AAA", "side": "buy", "type": "limit", "qty": "1", "limit_price": "1"}
        for number in range(501):
            order = exchange.submit_order(order_fields | {"time_in_force": "day", "client_order_id": f"other-{number}"})
            exchange.cancel_order(order["id"])
            world.advance(0.01)
        world.broker.app.clear_requests()
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert result["differences"] == []
        assert world.broker.app.requests["GET /v2/orders"] >= 3  # the open orders, then two pages after the trade


@pytest.mark.parametrize(
    ("metric", "dimension"),
    [
        ("Errors", reference("RebalanceFunction")),
        ("Throttles", reference("RebalanceFunction")),
        ("Duration", reference("RebalanceFunction")),
        ("ApproximateNumberOfMessagesVisible", attribute("PlanQueue", "QueueName")),
        ("ApproximateNumberOfMessagesVisible", attribute("PlanDeadLetterQueue", "QueueName")),
    ],
)
def test_40_alarm_covers_time_outs_and_crashes(metric: str, dimension: dict[str, str]) -> None:
    resources = read("template.yaml")["Resources"].values()
    alarms = [resource["Properties"] for resource in resources if resource["Type"] == "AWS::CloudWatch::Alarm"]
    matching = [a for a in alarms if a["MetricName"] == metric and a["Dimensions"][0]["Value"] == dimension]

    assert len(matching) == 1
    assert matching[0]["AlarmActions"]


# --- faults still in that code; its double buy, oversell and fill without price are 12, 13, 14 and 10 ----------------


def test_client_order_ids_depend_only_on_the_plan() -> None:
    """Random IDs could not be looked up after a lost response."""
    client_order_ids = []
    for plan_id in ("plan-1", "plan-1", "plan-2"):
        with a_world() as world:
            world.deliver(plan(buy("AAA", 1000), plan_id=plan_id))
            client_order_ids.append([order["client_order_id"] for order in world.orders])

    first, again, other = client_order_ids
    assert first == again != other


def test_failed_read_is_retried_within_the_run() -> None:
    """The retry helper of the earlier system never retried."""
    with a_world(faults=[DOWN | {"count": 1}]) as world:
        assert outcomes(world.deliver(plan(buy("AAA", 1000)))) == {"AAA": ("FILLED", None)}
        assert world.broker.app.requests["GET /v2/account"] >= 2


def test_permanent_failure_is_never_answered_as_success() -> None:
    """A redelivery found a record and reported success, so the message never reached the dead-letter queue."""
    with a_world(positions={"AAA": "10"}, faults=[DOWN | {"count": 1000}]) as world:
        message = a_message(plan(exit_of("AAA")))
        for _ in range(6):
            assert world.deliver(message) == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}
        with pytest.raises(BrokerUnavailable):
            world.deliver(plan(exit_of("AAA")))

        assert world.orders == []
