"""Production failures 1 to 16 of an earlier system, in single orders, and the correct behaviour."""

from __future__ import annotations

from decimal import Decimal

import pytest

from rebalance_executor.domain.errors import LeaseHeld, PlanChanged
from tests.support.world import a_world, buy, exit_of, outcomes, plan, sell


def test_01_redelivered_plan_is_executed_once() -> None:
    """The earlier system relied on de-duplication of the transport; here the journal alone is enough."""
    with a_world() as world:
        first = world.deliver(plan(buy("AAA", 1000)))
        second = world.deliver(plan(buy("AAA", 1000)))
        world.delete_idempotency_records()
        world.restart()
        third = world.deliver(plan(buy("AAA", 1000)))

        assert first == second == third
        assert first["status"] == "success"
        assert len(world.orders) == 1
        assert [line["answered_by"] for line in world.log_lines("plan.duplicate")] == ["idempotency", "journal"]


def test_01_known_plan_id_with_other_content_is_invalid_even_without_idempotency_record() -> None:
    with a_world() as world:
        world.deliver(plan(buy("AAA", 1000)))
        with pytest.raises(PlanChanged, match="plan_id"):
            world.deliver(plan(buy("AAA", 2000)))
        world.delete_idempotency_records()
        with pytest.raises(PlanChanged, match="plan_id"):
            world.deliver(plan(buy("AAA", 2000)))

        assert len(world.orders) == 1


def test_02_two_plans_of_one_account_never_run_at_the_same_time() -> None:
    with a_world() as world:
        world.restart()
        journal = world.service.journal
        lease = journal.acquire("default", "other-run", now=world.clock.now(), expires_at=world.in_seconds(600))
        with pytest.raises(LeaseHeld):
            world.deliver(plan(buy("AAA", 1000), plan_id="second schedule"))
        assert world.orders == []

        journal.release(lease)
        assert world.deliver(plan(buy("AAA", 1000), plan_id="second schedule"))["status"] == "success"


def test_02_plan_waits_for_the_lease_of_another_plan() -> None:
    """Lambda delivers an event three times within three minutes; the account may be held for longer."""
    with a_world() as world:
        world.restart()
        until = world.in_seconds(800)
        world.service.journal.acquire("default", "other-run", now=world.clock.now(), expires_at=until)
        for minutes in (1, 2):
            with pytest.raises(LeaseHeld):
                world.deliver(plan(buy("AAA", 1000), plan_id="second schedule"), seconds=600)
            world.advance(minutes * 60)

        result = world.deliver(plan(buy("AAA", 1000), plan_id="second schedule"), seconds=600)

        assert result["status"] == "success"
        assert world.clock.now() >= until


def test_03_exit_sells_the_exact_position() -> None:
    with a_world(positions={"AAA": "7.2273576"}) as world:
        result = world.deliver(plan(exit_of("AAA", "722.7358")))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert world.orders[0]["qty"] == "7.2273576"


def test_04_exit_of_a_third_of_a_share_is_not_rounded_to_zero() -> None:
    with a_world(positions={"AAA": "0.3"}) as world:
        world.deliver(plan(exit_of("AAA", 30)))

        assert world.filled("AAA") == Decimal("0.3")


def test_05_order_for_a_non_fractionable_asset_has_whole_shares() -> None:
    with a_world(whole_shares=["AAA"]) as world:
        result = world.deliver(plan(buy("AAA", 1050)))

        assert result["orders"][0]["planned_shares"] == "10"
        assert world.orders[0]["qty"] == "10"


@pytest.mark.parametrize(
    ("bid", "ask"),
    [("107", "0"), ("0", "107"), ("0", "0"), ("107", "106")],
    ids=["no ask", "no bid", "neither", "crossed"],
)
def test_06_07_09_item_without_usable_quote_is_denied(bid: str, ask: str) -> None:
    with a_world(quotes={"AAA": {"bid": bid, "ask": ask}, "BBB": {"bid": "99.99", "ask": "100.01"}}) as world:
        result = world.deliver(plan(buy("AAA", 1000), buy("BBB", 1000)))

        assert outcomes(result) == {"AAA": ("DENIED", "QUOTE_UNUSABLE"), "BBB": ("FILLED", None)}
        assert result["orders"][0]["price"] is result["orders"][0]["expected_price"] is None
        assert [order["symbol"] for order in world.orders] == ["BBB"]


def test_08_buy_is_never_priced_above_the_ask() -> None:
    with a_world() as world:
        world.deliver(plan(buy("AAA", 1000)))

        assert world.orders[0]["limit_price"] == "100.01"


def test_10_fill_without_price_is_read_again() -> None:
    with a_world(default_fill={"behaviour": "marketable", "price_pending_seconds": 3}) as world:
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert Decimal(result["orders"][0]["price"]) == Decimal("100.01")
        assert world.filled("AAA") == Decimal(result["orders"][0]["shares"])


def test_10_fill_whose_price_never_arrives_is_unresolved() -> None:
    with a_world(default_fill={"behaviour": "marketable", "price_pending_seconds": 3600}) as world:
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("UNRESOLVED", "FILL_PRICE_MISSING")}
        assert result["status"] == "unresolved"
        assert result["orders"][0]["shares"] == result["orders"][0]["planned_shares"]
        assert result["orders"][0]["price"] is None


@pytest.mark.parametrize("status", ["pending_new", "held", "calculated", "something_new"])
def test_11_every_order_status_is_accepted(status: str) -> None:
    with a_world(default_fill={"behaviour": "later", "after_seconds": 2, "status": status}) as world:
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert len(world.orders) == 1


def test_12_order_filled_before_its_cancel_counts_as_filled() -> None:
    with a_world(default_fill={"behaviour": "never", "fill_beats_cancel": 1}) as world:
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert len(world.orders) == 1
        assert result["orders"][0]["shares"] == world.orders[0]["filled_qty"]


def test_13_14_new_order_follows_the_confirmed_cancel_and_takes_the_remaining_quantity() -> None:
    """The earlier system bought twice: 10 planned, 20 bought, 10 reported."""
    first = {"symbol": "AAA", "nth": 1, "behaviour": "never", "fill_beats_cancel": "0.4", "cancel_seconds": 3}
    with a_world(fills=[first], whole_shares=["AAA"]) as world:
        result = world.deliver(plan(buy("AAA", 1005)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert [(o["qty"], o["filled_qty"]) for o in world.orders] == [("10", "4"), ("6", "6")]
        assert world.orders[1]["submitted_at"] >= world.orders[0]["canceled_at"]
        assert result["orders"][0]["shares"] == "10"


def test_13_unconfirmed_cancel_is_unresolved_and_not_rejected() -> None:
    with a_world(default_fill={"behaviour": "never", "cancel_seconds": None, "status": "held"}) as world:
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("UNRESOLVED", "CANCEL_UNCONFIRMED")}
        assert (result["orders_placed"], result["orders_rejected"]) == (1, 0)
        assert [order["status"] for order in world.orders] == ["pending_cancel"]


def test_14_partial_fills_never_oversell() -> None:
    """The earlier system sold too much on retry: 20 planned, 30 sold, 20 reported."""
    parts = {"symbol": "AAA", "nth": 1, "behaviour": "parts", "parts": [{"fraction": "0.5"}]}
    with a_world(fills=[parts], positions={"AAA": "30"}, whole_shares=["AAA"]) as world:
        result = world.deliver(plan(sell("AAA", 2000)))

        assert world.filled("AAA") == Decimal(20)
        assert result["orders"][0]["shares"] == "20"


@pytest.mark.parametrize("end", ["cancel", "expire"])
def test_16_remainder_of_an_order_ended_by_the_broker_is_sent_again(end: str) -> None:
    first = {"symbol": "AAA", "nth": 1, "behaviour": end, "fraction": "0.3", "after_seconds": 1}
    with a_world(fills=[first], whole_shares=["AAA"]) as world:
        result = world.deliver(plan(buy("AAA", 1005)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert [o["qty"] for o in world.orders] == ["10", "7"]
