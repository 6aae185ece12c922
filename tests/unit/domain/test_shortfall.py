"""The parts of the shortfall: computed by hand, and always with the total as their sum."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import Side
from rebalance_executor.domain.orders import ChildState, Outcome
from rebalance_executor.domain.result_builder import PlanEnd, build_result
from rebalance_executor.domain.shortfall import Shortfall, of_parent, of_plan
from rebalance_executor.domain.values import cents, parts_in_cents
from tests.support.builders import BUY, NOW, SELL, a_child, a_filled_child, a_parent, a_plan, a_state, an_item
from tests.support.properties import decimals, property_test, quotes, sides

prices = decimals("0.0001", "6000", 4)


@pytest.mark.parametrize(
    ("side", "bid", "ask", "price", "parts"),
    [
        # arrival 9.99 – 10.01; ten shares
        (BUY, "9.99", "10.01", "10.01", ("0.10", "0", "0.10", "0")),  # crossed at once: half the spread
        (BUY, "10.09", "10.11", "10.11", ("1.10", "1.00", "0.10", "0")),  # the market moved away first
        (BUY, "9.99", "10.01", "10.00", ("0", "0", "0.10", "-0.10")),  # filled at mid: waiting regained the spread
        (BUY, "9.89", "9.91", "9.91", ("-0.90", "-1.00", "0.10", "0")),
        (SELL, "9.99", "10.01", "9.99", ("0.10", "0", "0.10", "0")),
        (SELL, "9.89", "9.91", "9.88", ("1.20", "1.00", "0.10", "0.10")),  # slipped below the bid
    ],
)
def test_delay_spread_and_residual_of_one_fill(
    side: Side, bid: str, ask: str, price: str, parts: tuple[str, ...]
) -> None:
    parent = a_parent(a_filled_child(price=price, bid=Decimal(bid), ask=Decimal(ask)), side=side)
    lost = of_parent(parent)

    assert lost is not None
    assert (lost.total, lost.delay, lost.spread, lost.residual) == tuple(map(Decimal, parts))


def test_fill_without_a_journalled_quote_is_all_residual() -> None:
    assert of_parent(a_parent(a_filled_child())) == Shortfall(Decimal("0.10"))
    assert Shortfall(Decimal("0.10")).unseparated == Decimal("0.10")


def test_move_between_two_children_is_timing_and_not_delay() -> None:
    """Arrival mid 10.00; the first child is priced at mid 10.02, the second, which fills at its ask, at mid 10.05."""
    first = a_child(ChildState.CANCELED, bid=Decimal("10.01"), ask=Decimal("10.03"))
    second = a_filled_child(price="10.07", attempt=2, bid=Decimal("10.04"), ask=Decimal("10.06"))
    lost = of_parent(a_parent(first, second))

    assert lost is not None
    assert {name: str(round(amount, 2)) for name, amount in lost.parts.items()} == {
        "delay": "0.20",
        "timing": "0.30",
        "spread": "0.10",
        "waiting": "0.00",
        "impact": "0.10",
        "unseparated": "0.00",
    }
    assert lost.total == Decimal("0.70")


@property_test
@given(st.lists(decimals("-1000", "1000", 9), max_size=6))
def test_parts_in_cents_sum_to_the_total_in_cents(amounts: list[Decimal]) -> None:
    parts = {str(number): amount for number, amount in enumerate(amounts)}
    rounded = parts_in_cents(parts)

    assert sum(rounded.values()) == cents(sum(amounts, Decimal()))
    assert all(abs(rounded[name] - amount) < Decimal("0.01") for name, amount in parts.items())
    assert parts_in_cents({"a": Decimal("0.005"), "b": Decimal(0)})["b"] == 0


@pytest.mark.parametrize(
    "parent",
    [
        a_parent(),
        a_parent(a_child(ChildState.CANCELED)),
        a_parent(a_filled_child(), arrival=None),
        a_parent(a_child(ChildState.LIVE, filled="10")),
    ],
    ids=["no child", "no fill", "no arrival", "no price"],
)
def test_unmeasurable_shortfall_is_none_and_not_zero(parent: Any) -> None:
    assert of_parent(parent) is None


@property_test
@given(
    sides,
    quotes(),
    st.lists(
        st.tuples(quotes(), decimals("0.0001", "6000", 4), decimals("0.000001", "1000", 6)), min_size=1, max_size=4
    ),
)
def test_parts_add_up_in_dollars_and_in_basis_points(side: Side, arrival: Any, fills: Any) -> None:
    children = [
        a_filled_child(str(qty), str(price), attempt=number, bid=quote.bid, ask=quote.ask)
        for number, (quote, price, qty) in enumerate(fills, start=1)
    ]
    qty = sum((child.qty for child in children), Decimal())
    item = an_item(action=side.name, amount="1000" if side is BUY else "-1000")
    parent = a_parent(*children, side=side, qty=str(qty), arrival=arrival, outcome=Outcome.FILLED)
    plan = a_plan(item)
    result = build_result(plan, a_state(plan), {"ABC": parent}, PlanEnd(NOW, ExecutionConfig().success_tolerance))

    shown: Any
    for shown in (result, *result.orders):
        assert (
            shown.delay_amount + shown.timing_amount + shown.spread_amount + shown.residual_amount
            == shown.slippage_amount
        )
        assert shown.delay_bps + shown.timing_bps + shown.spread_bps + shown.residual_bps == shown.slippage_bps
    lost = of_parent(parent)
    assert lost is not None
    assert sum(lost.parts.values()) == lost.total
    assert lost.waiting <= 0 <= lost.impact
    assert of_plan([lost, lost]).parts == {name: 2 * amount for name, amount in lost.parts.items()}
