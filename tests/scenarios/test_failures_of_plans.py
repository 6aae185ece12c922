"""Production failures 17 to 26 and 32 to 37 of an earlier system: unknown outcomes, cash, sums, envelopes, results."""

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
        {"kind": "status", "status": 429, "when": "before", "body": "json"},
    ],
    ids=["response lost", "request lost", "rate limited"],
)
def test_17_submission_without_definite_answer_is_executed_once(fault: dict[str, object]) -> None:
    """The earlier system took a filled order for lost and bought again."""
    with a_world(faults=[SUBMIT | fault]) as world:
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert len(world.orders) == 1
        assert result["orders"][0]["order_id"] == world.orders[0]["id"]


def test_18_buys_wait_for_late_proceeds() -> None:
    with a_world(cash="0", positions={"AAA": "10"}, account={"proceeds_lag_seconds": 8}) as world:
        result = world.deliver(plan(exit_of("AAA"), buy("BBB", 900)))

        assert outcomes(result) == {"AAA": ("FILLED", None), "BBB": ("FILLED", None)}
        assert world.log_lines("gate.waiting")


def test_18_missing_proceeds_scale_the_buys() -> None:
    with a_world(cash="500", positions={"AAA": "10"}, account={"proceeds_lag_seconds": 3600}) as world:
        result = world.deliver(plan(exit_of("AAA"), buy("BBB", 900)))

        assert outcomes(result)["BBB"] == ("FILLED", "SCALED_TO_CASH")
        assert abs(Decimal(result["orders"][1]["trade_amount"])) <= Decimal(500)


def test_19_20_buys_never_cost_more_than_cash_and_proceeds() -> None:
    with a_world(cash="1000", account={"multiplier": "2"}, positions={"CCC": "5"}) as world:
        result = world.deliver(plan(exit_of("CCC", 500), buy("AAA", 1200, priority=1), buy("BBB", 1200, priority=2)))

        spent = sum(Decimal(o["trade_amount"]) for o in result["orders"] if o["action"] == "BUY")
        proceeds = -sum(Decimal(o["trade_amount"]) for o in result["orders"] if o["action"] == "SELL")
        assert spent <= 1000 + proceeds
        assert outcomes(result)["AAA"] == ("FILLED", None)
        assert outcomes(result)["BBB"] == ("FILLED", "SCALED_TO_CASH")


def test_21_buys_are_skipped_when_the_sells_fail() -> None:
    reject = {"side": "sell", "behaviour": "reject"}
    with a_world(cash="0", positions={"AAA": "10"}, fills=[reject]) as world:
        result = world.deliver(plan(exit_of("AAA"), buy("BBB", 900)))

        assert outcomes(result)["AAA"][0] == "REJECTED"
        assert outcomes(result)["BBB"] == ("SKIPPED", "INSUFFICIENT_CASH")
        assert result["status"] == "failure"
        assert [order["side"] for order in world.orders] == ["sell"]


def test_22_plan_without_sells_starts_its_buys() -> None:
    with a_world() as world:
        assert world.deliver(plan(buy("AAA", 1000), buy("BBB", 1000)))["status"] == "success"


def test_23_plan_of_holds_succeeds_without_broker_requests() -> None:
    with a_world() as world:
        result = world.deliver(plan(hold("AAA"), hold("BBB")))

        assert (result["status"], result["success"], result["orders_skipped"]) == ("success", True, 2)
        assert world.broker.app.totals.total() == 0


def test_24_rejected_order_does_not_count_as_placed() -> None:
    error = {"status": 422, "code": 42210000, "message": "asset AAA cannot be traded now"}
    with a_world(fills=[{"symbol": "AAA", "behaviour": "reject", "error": error}]) as world:
        result = world.deliver(plan(buy("AAA", 1000), buy("BBB", 1000)))

        assert outcomes(result) == {"AAA": ("REJECTED", "REJECTED"), "BBB": ("FILLED", None)}
        assert "asset AAA cannot be traded now" in result["orders"][0]["error_message"]
        assert (result["orders_placed"], result["orders_succeeded"]) == (1, 1)
        assert result["status"] == "partial_success"


def test_25_26_skipped_item_is_not_a_failure_and_not_in_the_sums() -> None:
    with a_world() as world:
        result = world.deliver(plan(buy("AAA", 1000), hold("BBB")))

        assert result["status"] == "success_with_skips"
        assert (result["success"], result["orders_skipped"], result["orders_denied"]) == (True, 1, 0)
        assert Decimal(result["total_trade_value"]) == Decimal(result["orders"][0]["trade_amount"])


def test_32_event_is_unwrapped_and_result_is_not_taken_for_a_plan() -> None:
    with a_world() as world:
        event = {"source": "portfolio", "detail-type": "RebalancePlanned", "detail": plan(buy("AAA", 1000))}
        result = world.deliver(event)
        assert result["status"] == "success"
        with pytest.raises(InvalidInput, match="source"):
            world.deliver({"source": "rebalance-executor", "detail-type": "RebalanceExecuted", "detail": result})


def test_33_zero_with_exponent_and_28_digits_are_valid_numbers() -> None:
    digits = "1000.000000000000000000000001"
    with a_world() as world:
        result = world.deliver(plan(buy("AAA", digits), hold("BBB") | {"weight_diff": "0E+20"}))

        assert outcomes(result)["AAA"] == ("FILLED", None)


def test_35_filled_orders_count_as_succeeded() -> None:
    with a_world(positions={"AAA": "10"}) as world:
        result = world.deliver(plan(sell("AAA", 500), buy("BBB", 500), buy("CCC", 500)))

        assert (result["orders_placed"], result["orders_succeeded"]) == (3, 3)


def test_34_36_unpublished_result_neither_fails_nor_delays_the_plan() -> None:
    """The earlier system waited 300 seconds for an event that another process received."""
    with a_world() as world:
        world.session.client("events").delete_event_bus(Name=BUS)
        result = world.deliver(plan(buy("AAA", 1000)))

        assert result["status"] == "success"
        assert world.slept == 0


def test_37_redelivered_plan_publishes_one_result_event() -> None:
    with a_world() as world:
        for _ in range(3):
            world.deliver(plan(buy("AAA", 1000)))
            world.delete_idempotency_records()

        assert world.aws_requests["events.PutEvents"] == 1


def test_late_replay_of_a_dead_letter_trades_nothing() -> None:
    """In the earlier system records expired after one day, dead letters after 14: a late replay sold again."""
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
