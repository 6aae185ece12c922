"""Success is measured by what the plan asked for, not by the quantity that was left after the order was reduced."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.result import ExecutionResult, ExecutionStatus, OrderResult
from rebalance_executor.domain.result_builder import PlanEnd, build_result
from tests.support.builders import NOW, a_child, a_filled_child, a_parent, a_plan, a_state, an_item

ONE_PERCENT = Decimal("0.01")


def result_of(*parents: ParentOrder, tolerance: Decimal = ONE_PERCENT) -> ExecutionResult:
    plan = a_plan(*(an_item(parent.symbol, amount="1000") for parent in parents))
    return build_result(plan, a_state(plan), {p.symbol: p for p in parents}, PlanEnd(NOW, tolerance))


def order_of(parent: ParentOrder, *, tolerance: Decimal = ONE_PERCENT) -> OrderResult:
    return result_of(parent, tolerance=tolerance).orders[0]


def asked(
    requested: str, filled: str, *, qty: str | None = None, outcome: Outcome = Outcome.FILLED, **fields: Any
) -> ParentOrder:
    """Return a parent that was reduced to ``qty`` shares, all of them filled unless ``qty`` says otherwise."""
    child = a_filled_child(filled) if Decimal(filled) else a_child()
    return a_parent(child, qty=qty or filled, requested_qty=Decimal(requested), outcome=outcome, **fields)


def test_u4_buy_cut_to_the_cash_is_not_executed_as_planned() -> None:
    """Reproduction U4: 5.80 shares planned, 2.80 bought, reported as full success."""
    spy = asked("5.80", "2.80", symbol="SPY", code=Code.SCALED_TO_CASH, planned_amount=Decimal(1000))
    result = result_of(a_parent(a_filled_child(), outcome=Outcome.FILLED), spy)

    assert (result.status, result.success) == (ExecutionStatus.PARTIAL_SUCCESS, False)
    assert (result.orders_succeeded, result.orders_scaled) == (1, 1)
    order = result.orders[1]
    assert (order.outcome, order.success, order.needs_attention) == (Outcome.FILLED, False, True)
    assert (order.requested_shares, order.planned_shares, order.shares) == tuple(map(Decimal, ("5.8", "2.8", "2.8")))
    assert (order.requested_trade_amount, order.planned_trade_amount) == (Decimal(1000), Decimal(1000))
    assert round(order.filled_fraction, 2) == Decimal("0.48")


@pytest.mark.parametrize(
    ("filled", "tolerance", "success"),
    [
        ("100", "0", True),
        ("99.999999", "0", False),
        ("99", "0.01", True),
        ("98.999999", "0.01", False),
        ("98.999999", "0.02", True),
        ("0.000001", "1", True),
    ],
)
def test_item_succeeds_within_the_tolerance_of_the_request(filled: str, tolerance: str, *, success: bool) -> None:
    order = order_of(asked("100", filled), tolerance=Decimal(tolerance))

    assert (order.success, order.needs_attention) == (success, not success)


def test_partly_filled_item_within_the_tolerance_succeeds() -> None:
    nearly = asked("100", "99.5", qty="100", outcome=Outcome.PARTIALLY_FILLED)

    assert result_of(nearly).status is ExecutionStatus.SUCCESS


@pytest.mark.parametrize("tolerance", ["0.01", "1"])
def test_item_without_fills_never_succeeds(tolerance: str) -> None:
    unfilled = asked("100", "0", qty="100", outcome=Outcome.UNFILLED)

    assert order_of(unfilled, tolerance=Decimal(tolerance)).success is False


def test_unresolved_item_never_succeeds() -> None:
    assert order_of(asked("10", "10", outcome=Outcome.UNRESOLVED)).success is False


@pytest.mark.parametrize(
    ("requested", "filled", "success"),
    [
        ("3.846153", "3", True),
        ("3.846153", "4", True),
        ("3.846153", "2", False),
        ("3", "2", False),
        ("200", "198", True),
    ],
)
def test_untradable_fraction_of_a_share_is_no_shortfall(requested: str, filled: str, *, success: bool) -> None:
    assert order_of(asked(requested, filled, fractionable=False)).success is success


@pytest.mark.parametrize(
    ("parent", "scaled"),
    [
        pytest.param(asked("10", "10"), 0, id="not reduced"),
        pytest.param(asked("10", "9.9"), 1, id="reduced within the tolerance"),
        pytest.param(asked("10", "4", qty="10", outcome=Outcome.PARTIALLY_FILLED), 0, id="not reduced, partly filled"),
        pytest.param(asked("3.8", "3", fractionable=False), 0, id="whole shares"),
        pytest.param(asked("3.8", "2", fractionable=False), 1, id="whole shares, reduced"),
    ],
)
def test_scaled_items_are_counted(parent: ParentOrder, scaled: int) -> None:
    assert result_of(parent).orders_scaled == scaled


def test_item_that_was_not_sized_requested_dollars() -> None:
    denied = a_parent(qty="0", outcome=Outcome.DENIED, code=Code.MARKET_CLOSED, planned_amount=Decimal(1000))
    order = order_of(denied)

    assert (order.requested_shares, order.requested_trade_amount) == (Decimal(0), Decimal(1000))
    assert (order.needs_attention, order.filled_fraction) == (True, Decimal(0))
