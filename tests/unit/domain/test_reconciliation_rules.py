"""Broker against journal: nothing said where both agree, every difference named where they do not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.market import BrokerOrder
from rebalance_executor.domain.orders import ChildState, Outcome, ParentOrder
from rebalance_executor.domain.reconciliation import differences
from tests.support.builders import BUY, NOW, SELL, a_child, a_filled_child, a_parent, a_position, an_order

PREFIX = "rb1-plan-"
FILLED = an_order("filled", filled="10", price="10.01")
BOUGHT = a_parent(a_filled_child(), outcome=Outcome.FILLED, held_before=Decimal(5))


def problems(parent: ParentOrder, order: BrokerOrder | None, held: str = "15") -> list[str]:
    orders = [order] if order is not None else []
    found = differences([parent], orders, {"ABC": a_position(held)}, PREFIX)
    assert all(difference.symbol == "ABC" for difference in found)
    return [difference.problem for difference in found]


def test_where_both_say_the_same_there_is_no_difference() -> None:
    assert problems(BOUGHT, FILLED) == []


@pytest.mark.parametrize(
    ("order", "named"),
    [
        (None, "not known to the broker"),
        (replace(FILLED, filled_qty=Decimal(9)), "the broker filled 9, the journal 10"),
        (replace(FILLED, filled_avg_price=Decimal("10.02")), "priced 10.02 by the broker, 10.01 by the journal"),
        (replace(FILLED, status="new"), "still new"),
        (replace(FILLED, qty=Decimal(11)), "buy 11 ABC"),
        (replace(FILLED, side="sell"), "sell 10 ABC"),
    ],
)
def test_an_order_that_differs_is_named(order: BrokerOrder | None, named: str) -> None:
    (problem,) = problems(BOUGHT, order)
    assert named in problem


@pytest.mark.parametrize(
    ("child", "named"),
    [
        (a_child(ChildState.NOT_SENT), "the journal says NOT_SENT"),
        (a_child(ChildState.REJECTED, order_id=None), "the journal says REJECTED"),
    ],
)
def test_an_order_that_should_not_exist_is_named(child: Any, named: str) -> None:
    sent = a_child(ChildState.CANCELED, attempt=2)
    parent = a_parent(child, sent, outcome=Outcome.UNFILLED)
    told = [an_order("canceled"), replace(an_order("canceled"), client_order_id="client-2")]

    (difference,) = differences([parent], told, {}, PREFIX)
    assert named in difference.problem


def test_an_order_under_the_plans_ids_that_is_not_journalled_is_named_and_others_are_not() -> None:
    stray = replace(FILLED, client_order_id=f"{PREFIX}ABC-9", id="stray")
    foreign = replace(FILLED, client_order_id="by hand")

    (difference,) = differences([BOUGHT], [FILLED, stray, foreign], {"ABC": a_position("15")}, PREFIX)
    assert "stray" in difference.problem


@pytest.mark.parametrize(
    ("parent", "held", "agrees"),
    [
        (BOUGHT, "15", True),
        (BOUGHT, "15.0000000001", True),
        (BOUGHT, "14.999999", False),
        (BOUGHT, "5", False),
        (replace(BOUGHT, side=SELL, held_before=Decimal(10)), "0", True),
        (replace(BOUGHT, side=SELL, held_before=Decimal(10)), "20", False),
        (replace(BOUGHT, held_before=None), "77", True),
    ],
)
def test_what_was_held_and_what_was_filled_must_be_held_now(parent: ParentOrder, held: str, agrees: bool) -> None:
    order = FILLED if parent.side is BUY else replace(FILLED, side="sell")
    assert (problems(parent, order, held) == []) is agrees


def test_what_was_never_sent_is_not_compared() -> None:
    denied = a_parent(outcome=Outcome.DENIED, held_before=Decimal(0))
    assert problems(denied, None, "99") == []


def test_a_disputed_parent_is_unresolved_with_the_difference_in_its_message() -> None:
    disputed = BOUGHT.mark_unresolved("RECONCILIATION_MISMATCH", "they differ", NOW)
    assert (disputed.outcome, disputed.code, disputed.message) == (
        Outcome.UNRESOLVED,
        "RECONCILIATION_MISMATCH",
        "they differ",
    )

    already = replace(BOUGHT, outcome=Outcome.UNRESOLVED, code="FILL_PRICE_MISSING", message="no price")
    assert already.mark_unresolved("RECONCILIATION_MISMATCH", "they differ", NOW).message == "no price; they differ"
    assert already.mark_unresolved("RECONCILIATION_MISMATCH", "they differ", NOW).code == "FILL_PRICE_MISSING"


def test_every_difference_names_its_order_and_its_symbol() -> None:
    stray = replace(FILLED, client_order_id=f"{PREFIX}ABC-9", id="stray", symbol="XYZ")
    lost = replace(FILLED, filled_qty=Decimal(9))

    found = differences([BOUGHT], [lost, stray], {"ABC": a_position("15")}, PREFIX)

    assert [one.symbol for one in found] == ["ABC", "XYZ"]
    assert "client-1" in found[0].problem
    assert f"{PREFIX}ABC-9" in found[1].problem


def test_what_follows_a_parent_that_was_never_sent_is_compared_all_the_same() -> None:
    denied = a_parent(symbol="AAA", outcome=Outcome.DENIED, held_before=Decimal(0))

    (difference,) = differences([denied, BOUGHT], [FILLED], {"ABC": a_position("5")}, PREFIX)

    assert difference.symbol == "ABC"
    assert difference.problem.startswith("5 shares are held, 5 before and 10 filled")


def test_an_order_that_was_refused_without_an_id_need_not_be_known() -> None:
    refused = a_parent(a_child(ChildState.REJECTED, order_id=None), outcome=Outcome.REJECTED, held_before=Decimal(5))
    assert problems(refused, None, "5") == []


def test_an_order_that_the_broker_took_and_then_rejected_agrees() -> None:
    rejected = a_parent(a_child(ChildState.REJECTED), outcome=Outcome.REJECTED, held_before=Decimal(5))
    assert problems(rejected, an_order("rejected"), "5") == []


def test_what_is_not_held_at_all_counts_as_nothing() -> None:
    sold = replace(BOUGHT, side=SELL, held_before=Decimal(10))
    assert differences([sold], [replace(FILLED, side="sell")], {}, PREFIX) == []


@pytest.mark.parametrize(("held", "agrees"), [("15.000000001", True), ("15.0000000011", False)])
def test_a_billionth_of_a_share_is_no_difference(held: str, agrees: bool) -> None:
    assert (problems(BOUGHT, FILLED, held) == []) is agrees
