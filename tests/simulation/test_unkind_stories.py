"""Defects that histories of a less kind world found, each as a short story."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalance_simulation.faults import SUBMIT, Fault, FaultInjector
from rebalance_simulation.generators import item, plan
from rebalance_simulation.invocation import Delivery
from rebalance_simulation.queue import LEASE_EXPIRY
from tests.simulation.bug_stories import margin_world

UNTIL_THE_NEXT_DELIVERY = timedelta(seconds=60)
A_SHORT_RUN = 4
"""Seconds in which an order is sent and canceled again, and not followed by another."""


def outcomes(delivery: Delivery) -> list[tuple[str, str]]:
    """Return outcome and code of each item."""
    assert delivery.answer is not None
    return [(order["outcome"], order["error_code"] or "") for order in delivery.answer["orders"]]


# --- the account -----------------------------------------------------------------------------------------


def test_two_interleaved_plans_spend_the_cash_once() -> None:
    """Seeds 53937, 53210 and 54396 of an earlier simulation: plan A passed its gate and yielded, plan B spent the cash,
    A was delivered again and bought on margin."""
    rests = {"symbol": "AAA", "nth": 1, "behaviour": "never"}
    world = margin_world(fills=[rests])
    first, second = plan("plan-a", [item("AAA", "BUY", 4800)]), plan("plan-b", [item("BBB", "BUY", 4800)])

    assert world.deliver(first, seconds=A_SHORT_RUN).answer is None, "A yields with its order unfilled"
    assert world.deliver(second).answer is not None
    assert world.deliver(first).answer is not None

    assert Decimal(world.exchange.account()["cash"]) >= 0
    world.checker.check_end()
    world.checker.check_finished()


def test_two_interleaved_plans_sell_the_shares_once() -> None:
    rests = {"symbol": "AAA", "nth": 1, "behaviour": "parts", "parts": [{"fraction": 0.5}]}
    world = margin_world(fills=[rests], positions=[{"symbol": "AAA", "qty": "20"}])
    first, second = (
        plan("plan-a", [item("AAA", "SELL", 2000, is_exit=True)]),
        plan("plan-b", [item("AAA", "SELL", 2000)]),
    )

    assert world.deliver(first, seconds=A_SHORT_RUN).answer is None
    assert world.deliver(second).answer is not None
    assert world.deliver(first).answer is not None

    assert world.exchange.positions() == []
    world.checker.check_end()


def test_plans_of_one_account_are_no_strangers_to_each_other() -> None:
    """Plan A yields, plan B trades the same symbol, and A used to end as UNRESOLVED: other shares were held."""
    world = margin_world(fills=[{"symbol": "AAA", "nth": 1, "behaviour": "never"}])
    first, second = plan("plan-a", [item("AAA", "BUY", 2000)]), plan("plan-b", [item("AAA", "BUY", 700)])

    assert world.deliver(first, seconds=A_SHORT_RUN).answer is None
    assert outcomes(world.deliver(second)) == [("FILLED", "")]
    assert outcomes(world.deliver(first)) == [("FILLED", "")]


def test_plan_whose_delivery_never_comes_back_is_finished_by_the_next_plan() -> None:
    world = margin_world(fills=[{"symbol": "AAA", "nth": 1, "behaviour": "never"}])
    first, second = plan("plan-a", [item("AAA", "BUY", 2000)]), plan("plan-b", [item("BBB", "BUY", 700)])

    assert world.deliver(first, seconds=A_SHORT_RUN).answer is None
    assert outcomes(world.deliver(second)) == [("FILLED", "")]

    assert {plan_id for _, plan_id in world.checker.results} == {"plan-a", "plan-b"}
    world.checker.check_finished()


@pytest.mark.parametrize("call", ["publisher.publish", "journal.mark_published"])
@pytest.mark.parametrize("fault", [Fault.KILL_BEFORE, Fault.KILL_AFTER])
def test_result_of_a_killed_run_is_published_by_the_next_plan(call: str, fault: Fault) -> None:
    world = margin_world(FaultInjector(queued={call: [fault]}))

    assert world.deliver(plan("plan-a", [item("AAA", "BUY", 700)])).was_killed
    world.clock.advance(LEASE_EXPIRY)
    assert outcomes(world.deliver(plan("plan-b", [item("BBB", "BUY", 700)], world.clock.world()))) == [("FILLED", "")]

    assert list(dict.fromkeys(result.plan_id for result in world.published)) == ["plan-a", "plan-b"]
    world.checker.check_end()


def test_second_name_of_a_broker_account_is_denied() -> None:
    world = margin_world()
    world.accounts = ("default", "second")
    first, second = (
        plan("plan-a", [item("AAA", "BUY", 700)]),
        plan("plan-a", [item("AAA", "BUY", 700)], account="second"),
    )

    assert outcomes(world.deliver(first)) == [("FILLED", "")]
    assert outcomes(world.deliver(second)) == [("DENIED", "ACCOUNT_MISMATCH")]
    world.checker.check_end()


def test_person_who_spends_the_cash_leaves_nothing_to_the_next_order() -> None:
    """The first submission gets no answer for ten seconds, in which a person buys; the second followed on margin."""
    world = margin_world(FaultInjector(queued={SUBMIT: [Fault.NO_ANSWER]}))

    def spend() -> None:
        world.exchange.submit_order(
            {"symbol": "AAA", "qty": "49", "side": "buy", "type": "market", "time_in_force": "day"}
        )

    world.clock.call_later(timedelta(seconds=2), spend)
    answer = world.deliver(plan("plan-a", [item("AAA", "BUY", 2000), item("BBB", "BUY", 2000)])).answer

    assert answer is not None
    assert Decimal(world.exchange.account()["cash"]) >= 0


# --- what an answer proves -------------------------------------------------------------------------------

CANCELED_AFTER_A_SECOND = {"symbol": "AAA", "nth": 1, "behaviour": "cancel", "after_seconds": 1, "fraction": 0.5}


@pytest.mark.parametrize(
    "lateness",
    [{"filled_qty_lag_seconds": 1.5}, {"late_fill": {"fraction": 0.4, "after_seconds": 1.5}}],
    ids=["the quantity lags behind the status", "a fill follows the end"],
)
def test_canceled_order_is_not_replaced_before_its_last_fills(lateness: dict[str, Any]) -> None:
    """37 of 25 and 35 of 25 shares were filled."""
    world = margin_world(fills=[CANCELED_AFTER_A_SECOND | lateness])

    assert outcomes(world.deliver(plan("plan-a", [item("AAA", "BUY", 2500)]))) == [("FILLED", "")]

    (position,) = world.exchange.positions()
    assert 24 < Decimal(position["qty"]) <= 25
    world.checker.check_end()


@pytest.mark.parametrize("fault", [Fault.FORBIDDEN, Fault.GATEWAY, Fault.FIREWALL, Fault.PATH_NOT_FOUND])
def test_answer_that_is_not_the_order_check_settles_nothing(fault: Fault) -> None:
    world = margin_world(FaultInjector(queued={SUBMIT: [fault]}))
    event = plan("plan-a", [item("AAA", "BUY", 700), item("BBB", "BUY", 700)])

    delivery = world.deliver(event)
    if delivery.answer is None:  # the keys are refused: with fresh ones the plan resumes
        world.clock.advance(UNTIL_THE_NEXT_DELIVERY)
        delivery = world.deliver(event)

    assert outcomes(delivery) == [("FILLED", ""), ("FILLED", "")]
    world.checker.check_end()
