"""Broker against journal: no difference if both agree, and every difference by name if they do not."""

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
    result = differences([parent], orders, {"ABC": a_position(held)}, PREFIX)
    assert all(difference.symbol == "ABC" for difference in result)
    return [difference.problem for difference in result]


def test_matching_broker_and_journal_have_no_difference() -> None:
    assert problems(BOUGHT, FILLED) == []


@pytest.mark.parametrize(
    ("order", "named"),
    [
        (None, "order client-1 is not at the broker"),
        (replace(FILLED, filled_qty=Decimal(9)), "order client-1 has 9 shares filled at the broker, 10 in the journal"),
        (
            replace(FILLED, filled_avg_price=Decimal("10.02")),
            "order client-1 has average fill price 10.02 at the broker, 10.01 in the journal",
        ),
        (
            replace(FILLED, filled_avg_price=None),
            "order client-1 has average fill price unknown at the broker, 10.01 in the journal",
        ),
        (replace(FILLED, status="new"), "order client-1 is still open at the broker (status new)"),
        (replace(FILLED, qty=Decimal(11)), "order client-1 is buy 11 ABC at the broker, buy 10 ABC in the journal"),
        (replace(FILLED, side="sell"), "order client-1 is sell 10 ABC at the broker, buy 10 ABC in the journal"),
    ],
)
def test_difference_of_an_order_is_named(order: BrokerOrder | None, named: str) -> None:
    assert problems(BOUGHT, order) == [named]


@pytest.mark.parametrize(
    ("child", "named"),
    [
        (a_child(ChildState.NOT_SENT), "order client-1 is canceled at the broker, NOT_SENT in the journal"),
        (
            a_child(ChildState.REJECTED, order_id=None),
            "order client-1 is canceled at the broker, REJECTED in the journal",
        ),
    ],
)
def test_unexpected_order_is_named(child: Any, named: str) -> None:
    sent = a_child(ChildState.CANCELED, attempt=2)
    parent = a_parent(child, sent, outcome=Outcome.UNFILLED)
    orders = [an_order("canceled"), replace(an_order("canceled"), client_order_id="client-2")]

    (difference,) = differences([parent], orders, {}, PREFIX)
    assert difference.problem == named


def test_unjournalled_order_of_the_plan_is_named_and_other_orders_are_ignored() -> None:
    stray = replace(FILLED, client_order_id=f"{PREFIX}ABC-9", id="stray")
    foreign = replace(FILLED, client_order_id="manual")

    (difference,) = differences([BOUGHT], [FILLED, stray, foreign], {"ABC": a_position("15")}, PREFIX)
    assert difference.problem == f"order stray ({PREFIX}ABC-9) is at the broker but not in the journal"


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
def test_position_must_be_the_shares_before_and_the_fills(parent: ParentOrder, held: str, agrees: bool) -> None:
    order = FILLED if parent.side is BUY else replace(FILLED, side="sell")
    assert (problems(parent, order, held) == []) is agrees


def test_parent_without_a_sent_order_is_not_compared() -> None:
    denied = a_parent(outcome=Outcome.DENIED, held_before=Decimal(0))
    assert problems(denied, None, "99") == []


def test_parent_with_a_difference_is_unresolved_and_keeps_its_first_code() -> None:
    unresolved = BOUGHT.mark_unresolved("RECONCILIATION_MISMATCH", "they differ", NOW)
    assert (unresolved.outcome, unresolved.code, unresolved.message) == (
        Outcome.UNRESOLVED,
        "RECONCILIATION_MISMATCH",
        "they differ",
    )

    already = replace(BOUGHT, outcome=Outcome.UNRESOLVED, code="FILL_PRICE_MISSING", message="no price")
    assert already.mark_unresolved("RECONCILIATION_MISMATCH", "they differ", NOW).message == "no price; they differ"
    assert already.mark_unresolved("RECONCILIATION_MISMATCH", "they differ", NOW).code == "FILL_PRICE_MISSING"


def test_difference_names_its_order_and_its_symbol() -> None:
    stray = replace(FILLED, client_order_id=f"{PREFIX}ABC-9", id="stray", symbol="XYZ")
    lost = replace(FILLED, filled_qty=Decimal(9))

    result = differences([BOUGHT], [lost, stray], {"ABC": a_position("15")}, PREFIX)

    assert [one.symbol for one in result] == ["ABC", "XYZ"]
    assert "client-1" in result[0].problem
    assert f"{PREFIX}ABC-9" in result[1].problem


def test_parents_after_one_without_orders_are_still_compared() -> None:
    denied = a_parent(symbol="AAA", outcome=Outcome.DENIED, held_before=Decimal(0))

    (difference,) = differences([denied, BOUGHT], [FILLED], {"ABC": a_position("5")}, PREFIX)

    assert difference.symbol == "ABC"
    assert difference.problem == "holds 5 shares, expected 15 (5 + 10)"


def test_order_rejected_without_an_id_may_be_absent_at_the_broker() -> None:
    rejected = a_parent(a_child(ChildState.REJECTED, order_id=None), outcome=Outcome.REJECTED, held_before=Decimal(5))
    assert problems(rejected, None, "5") == []


def test_order_accepted_and_later_rejected_matches() -> None:
    rejected = a_parent(a_child(ChildState.REJECTED), outcome=Outcome.REJECTED, held_before=Decimal(5))
    assert problems(rejected, an_order("rejected"), "5") == []


def test_missing_position_counts_as_zero_shares() -> None:
    sold = replace(BOUGHT, side=SELL, held_before=Decimal(10))
    assert differences([sold], [replace(FILLED, side="sell")], {}, PREFIX) == []


def test_difference_of_a_sold_position_names_the_shares_before_and_sold() -> None:
    sold = replace(BOUGHT, side=SELL, held_before=Decimal("12.5"))
    assert problems(sold, replace(FILLED, side="sell"), "5") == ["holds 5 shares, expected 2.5 (12.5 − 10)"]


def test_tenth_decimal_of_an_order_is_not_a_difference() -> None:
    order = replace(FILLED, qty=Decimal("10.0000000002"), filled_qty=Decimal("10.0000000002"))
    assert problems(BOUGHT, order) == []


@pytest.mark.parametrize(("held", "agrees"), [("15.000000001", True), ("15.0000000011", False)])
def test_billionth_of_a_share_is_not_a_difference(held: str, agrees: bool) -> None:
    assert (problems(BOUGHT, FILLED, held) == []) is agrees
