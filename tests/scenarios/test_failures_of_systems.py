"""Production failures 27 to 40 that lie around the orders: streams, quotas, lost events, ledgers, pages, alarms.

The last part are the faults that were still present in that system's code when it was run against a fake broker.
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
from tests.support.world import BUS, HandlerWorld, a_world, buy, exit_of, outcomes, plan, sell

DOWN = {"kind": "status", "status": 503, "method": "GET", "path": "/v2/account"}


def paths(world: HandlerWorld) -> set[str]:
    """What the broker was asked, without ids."""
    return set(world.broker.app.requests)


def a_message(document: dict[str, Any]) -> dict[str, Any]:
    record = {"messageId": "m-1", "body": json.dumps(document), "attributes": {}, "eventSource": "aws:sqs"}
    return {"Records": [record]}


def test_27_no_stream_is_opened_so_none_can_leak() -> None:
    """Alpaca allows few websockets an account, and each invocation left one behind."""
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
    """Small AWS accounts may not reserve any; the queue's groups and the lease (02) serialise."""
    template = read("template.yaml")
    function = template["Resources"]["RebalanceFunction"]["Properties"]

    assert template["Parameters"]["ReservedConcurrency"]["Default"] == 0
    assert function["ReservedConcurrentExecutions"]["Fn::If"] == [
        "ReservesConcurrency",
        reference("ReservedConcurrency"),
        reference("AWS::NoValue"),
    ]
    assert template["Resources"]["PlanQueue"]["Properties"]["FifoQueue"] is True


def test_29_30_31_what_happened_before_anybody_waited_is_seen_at_the_next_look() -> None:
    """Streams waited for symbols that nobody subscribed, began 30 s late, and events were lost before a waiter came."""
    fills = [
        {"symbol": "AAA", "behaviour": "immediate"},  # over before the answer is there
        {"symbol": "BBB", "behaviour": "later", "after_seconds": 3},
        {"symbol": "CCC", "behaviour": "expire", "fraction": "0.5", "after_seconds": 1, "nth": 1},
    ]
    lost = {"kind": "drop", "when": "after", "method": "POST", "path": "/v2/orders", "nth": 1}
    with a_world(fills=fills, faults=[lost]) as world:
        result = world.deliver(plan(buy("AAA", 1000), buy("BBB", 1000), buy("CCC", 1000)))

        assert outcomes(result) == dict.fromkeys(("AAA", "BBB", "CCC"), ("FILLED", None))
        assert world.slept < 10


def test_34_a_result_waits_for_no_event() -> None:
    """A run waited 300 s for an event in memory that was published elsewhere."""
    with a_world() as world:
        world.session.client("events").delete_event_bus(Name=BUS)
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert world.slept == 0


def test_38_a_ledger_written_by_two_loses_nothing() -> None:
    """Concurrent appends overwrote one another; here every write says what it was made from."""
    with a_world() as world:
        world.deliver(plan(buy("AAA", 1000)))
        journal = world.service.journal
        asleep = journal.acquire("default", "asleep", now=world.clock.now(), expires_at=world.in_seconds(1))
        world.advance(2)
        world.deliver(plan(buy("BBB", 1000), sell("CCC", 10), plan_id="second"))
        known = journal.load("default", "second")
        assert known is not None

        with pytest.raises(Fenced):  # it wakes up, and another run has had the account
            journal.write(asleep, known.plan, parents=known.parents.values())
        book = world.risk_store.load("default", NOW.date() + timedelta(days=1))  # always open: it closes a day ahead
        assert (book.usage.plans, book.usage.buys) == (2, Decimal(2000))
        assert [order.symbol for begun in book.plans for order in begun.orders] == ["AAA", "BBB"]
        assert journal.load("default", "second") == known


def test_39_a_list_longer_than_a_page_is_read_to_its_end() -> None:
    """Queries without their second page gave wrong numbers: Alpaca lists 50 orders, and 500 at most."""
    with a_world(config={"conflicting_orders": "cancel"}) as world:
        exchange = world.broker.app.exchange
        far_away = {"symbol": "AAA", "side": "buy", "type": "limit", "qty": "1", "limit_price": "1"}
        for number in range(501):
            order = exchange.submit_order(far_away | {"time_in_force": "day", "client_order_id": f"other-{number}"})
            exchange.cancel_order(order["id"])
            world.advance(0.01)
        world.broker.app.clear_requests()
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert result["differences"] == []
        assert world.broker.app.requests["GET /v2/orders"] >= 3  # open ones; after the trade two pages


@pytest.mark.parametrize(
    ("metric", "of"),
    [
        ("Errors", reference("RebalanceFunction")),
        ("Throttles", reference("RebalanceFunction")),
        ("Duration", reference("RebalanceFunction")),
        ("ApproximateAgeOfOldestMessage", attribute("PlanQueue", "QueueName")),
        ("ApproximateNumberOfMessagesVisible", attribute("PlanDeadLetterQueue", "QueueName")),
    ],
)
def test_40_time_outs_and_crashes_ring(metric: str, of: dict[str, str]) -> None:
    resources = read("template.yaml")["Resources"].values()
    alarms = [resource["Properties"] for resource in resources if resource["Type"] == "AWS::CloudWatch::Alarm"]
    ringing = [a for a in alarms if a["MetricName"] == metric and a["Dimensions"][0]["Value"] == of]

    assert len(ringing) == 1
    assert ringing[0]["AlarmActions"]


# --- still present in that system: the double buy, the oversell and the fill of nothing are 12, 13, 14 and 10 ---------


def test_client_order_ids_are_the_same_whenever_the_plan_is_executed() -> None:
    """They were drawn at random, and so could not be looked up after a lost answer."""
    sent = []
    for plan_id in ("plan-1", "plan-1", "plan-2"):
        with a_world() as world:
            world.deliver(plan(buy("AAA", 1000), plan_id=plan_id))
            sent.append([order["client_order_id"] for order in world.orders])

    assert sent[0] == sent[1] != sent[2]


def test_a_live_order_is_never_called_rejected() -> None:
    with a_world(default_fill={"behaviour": "never", "cancel_seconds": None, "status": "held"}) as world:
        result = world.deliver(plan(buy("AAA", 1000)))

        assert world.orders[0]["status"] == "pending_cancel"
        assert outcomes(result) == {"AAA": ("UNRESOLVED", "CANCEL_UNCONFIRMED")}
        assert (result["orders_placed"], result["orders_rejected"]) == (1, 0)


def test_what_fails_once_is_tried_again_within_the_run() -> None:
    """The retry helper never retried."""
    with a_world(faults=[DOWN | {"count": 1}]) as world:
        assert outcomes(world.deliver(plan(buy("AAA", 1000)))) == {"AAA": ("FILLED", None)}
        assert world.broker.app.requests["GET /v2/account"] >= 2


def test_what_fails_for_good_is_never_answered_as_a_success() -> None:
    """The redelivery found a record, skipped as success, and the message never reached the dead-letter queue."""
    with a_world(positions={"AAA": "10"}, faults=[DOWN | {"count": 1000}]) as world:
        message = a_message(plan(exit_of("AAA")))
        for _ in range(6):
            assert world.deliver(message) == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}
        with pytest.raises(BrokerUnavailable):
            world.deliver(plan(exit_of("AAA")))

        assert world.orders == []
