"""Production failures 17 to 26 and 32 to 37: doubt, cash, sums, envelopes and reports."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.errors import InvalidInput
from tests.support.world import BUS, a_world, buy, exit_of, hold, outcomes, plan, sell

SUBMIT = {"method": "POST", "path": "/v2/orders"}


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop", "when": "after"},
        {"kind": "drop", "when": "before"},
        {"kind": "status", "status": 500, "when": "after", "body": "empty"},
        {"kind": "status", "status": 503, "when": "before", "body": "html"},
        {"kind": "status", "status": 504, "when": "after", "body": "json"},
        {"kind": "status", "status": 429, "when": "before", "body": "json"},
    ],
    ids=lambda fault: f"{fault.get('status', fault['kind'])} {fault['when']}",
)
def test_17_on_doubt_the_broker_is_read(fault: dict[str, object]) -> None:
    """A filled order was taken for lost, and bought again."""
    with a_world(faults=[SUBMIT | fault]) as world:
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert len(world.orders) == 1
        assert result["orders"][0]["order_id"] == world.orders[0]["id"]


def test_18_proceeds_that_show_late_are_waited_for() -> None:
    with a_world(cash="0", positions={"AAA": "10"}, account={"proceeds_lag_seconds": 8}) as world:
        result = world.deliver(plan(exit_of("AAA"), buy("BBB", 900)))

        assert outcomes(result) == {"AAA": ("FILLED", None), "BBB": ("FILLED", None)}
        assert world.log_lines("gate.waiting")


def test_18_proceeds_that_never_show_shrink_the_buys() -> None:
    with a_world(cash="500", positions={"AAA": "10"}, account={"proceeds_lag_seconds": 3600}) as world:
        result = world.deliver(plan(exit_of("AAA"), buy("BBB", 900)))

        assert outcomes(result)["BBB"] == ("FILLED", "SCALED_TO_CASH")
        assert abs(Decimal(result["orders"][1]["trade_amount"])) <= Decimal(500)


def test_19_20_buys_never_cost_more_than_cash_and_proceeds() -> None:
    with a_world(cash="1000", account={"multiplier": "2"}, positions={"CCC": "5"}) as world:
        result = world.deliver(plan(exit_of("CCC", 500), buy("AAA", 1200, priority=1), buy("BBB", 1200, priority=2)))

        spent = sum(Decimal(o["trade_amount"]) for o in result["orders"] if o["action"] == "BUY")
        brought = -sum(Decimal(o["trade_amount"]) for o in result["orders"] if o["action"] == "SELL")
        assert spent <= 1000 + brought
        assert outcomes(result)["AAA"] == ("FILLED", None)
        assert outcomes(result)["BBB"] == ("FILLED", "SCALED_TO_CASH")


def test_21_failed_sells_leave_the_buys_without_money() -> None:
    rejected = {"side": "sell", "behaviour": "reject"}
    with a_world(cash="0", positions={"AAA": "10"}, fills=[rejected]) as world:
        result = world.deliver(plan(exit_of("AAA"), buy("BBB", 900)))

        assert outcomes(result)["AAA"][0] == "REJECTED"
        assert outcomes(result)["BBB"] == ("SKIPPED", "INSUFFICIENT_CASH")
        assert result["status"] == "failure"
        assert [order["side"] for order in world.orders] == ["sell"]


def test_22_a_plan_without_sells_begins_its_buys() -> None:
    with a_world() as world:
        assert world.deliver(plan(buy("AAA", 1000), buy("BBB", 1000)))["status"] == "success"


def test_23_a_plan_of_holds_is_a_success_and_asks_the_broker_nothing() -> None:
    with a_world() as world:
        result = world.deliver(plan(hold("AAA"), hold("BBB")))

        assert (result["status"], result["success"], result["orders_skipped"]) == ("success", True, 2)
        assert world.broker.app.totals.total() == 0


def test_24_an_order_that_the_broker_refused_was_not_placed() -> None:
    refusal = {"status": 422, "code": 42210000, "message": "asset AAA cannot be traded now"}
    with a_world(fills=[{"symbol": "AAA", "behaviour": "reject", "error": refusal}]) as world:
        result = world.deliver(plan(buy("AAA", 1000), buy("BBB", 1000)))

        assert outcomes(result) == {"AAA": ("REJECTED", "REJECTED"), "BBB": ("FILLED", None)}
        assert "asset AAA cannot be traded now" in result["orders"][0]["error_message"]
        assert (result["orders_placed"], result["orders_succeeded"]) == (1, 1)
        assert result["status"] == "partial_success"


def test_25_26_a_skipped_item_is_no_failure_and_no_part_of_any_sum() -> None:
    with a_world() as world:
        result = world.deliver(plan(buy("AAA", 1000), hold("BBB")))

        assert result["status"] == "success_with_skips"
        assert (result["success"], result["orders_skipped"], result["orders_denied"]) == (True, 1, 0)
        assert Decimal(result["total_trade_value"]) == Decimal(result["orders"][0]["trade_amount"])


def test_32_events_are_unwrapped_and_results_are_never_taken_for_plans() -> None:
    with a_world() as world:
        event = {"source": "portfolio", "detail-type": "RebalancePlanned", "detail": plan(buy("AAA", 1000))}
        result = world.deliver(event)
        assert result["status"] == "success"
        with pytest.raises(InvalidInput, match="source"):
            world.deliver({"source": "rebalance-executor", "detail-type": "RebalanceExecuted", "detail": result})


def test_33_zeros_with_exponents_and_28_digits_are_numbers() -> None:
    digits = "1000.000000000000000000000001"
    with a_world() as world:
        result = world.deliver(plan(buy("AAA", digits), hold("BBB") | {"weight_diff": "0E+20"}))

        assert outcomes(result)["AAA"] == ("FILLED", None)


def test_35_what_was_filled_is_counted_as_succeeded() -> None:
    with a_world(positions={"AAA": "10"}) as world:
        result = world.deliver(plan(sell("AAA", 500), buy("BBB", 500), buy("CCC", 500)))

        assert (result["orders_placed"], result["orders_succeeded"]) == (3, 3)


def test_36_a_report_that_cannot_be_sent_does_not_fail_the_plan() -> None:
    with a_world() as world:
        world.session.client("events").delete_event_bus(Name=BUS)
        result = world.deliver(plan(buy("AAA", 1000)))

        assert result["status"] == "success"
        assert world.log_lines("result.publish_failed") or world.log_lines("result.published")


def test_37_one_result_event_however_often_a_plan_is_delivered() -> None:
    with a_world() as world:
        for _ in range(3):
            world.deliver(plan(buy("AAA", 1000)))
            world.delete_idempotency_records()

        assert world.aws_requests["events.PutEvents"] == 1


def test_late_replays_of_dead_letters_trade_nothing() -> None:
    """Run records expired after a day and dead letters after fourteen: a late replay sold again."""
    with a_world(positions={"AAA": "10"}) as world:
        document = plan(sell("AAA", 500))
        message: dict[str, Any] = {
            "messageId": "m-1",
            "body": json.dumps(document),
            "attributes": {},
            "eventSource": "aws:sqs",
        }
        assert world.deliver({"Records": [message]}) == {"batchItemFailures": []}
        world.delete_idempotency_records()
        world.advance(14 * 24 * 3600)
        assert world.deliver({"Records": [message]}) == {"batchItemFailures": []}

        assert world.filled("AAA") == Decimal(5)
