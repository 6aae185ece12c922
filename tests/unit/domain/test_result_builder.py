"""The result of settled parents: status, sums and slippage."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.forecast import CostForecast
from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.orders import ChildState, Outcome, ParentOrder
from rebalance_executor.domain.plan import RebalancePlanItem
from rebalance_executor.domain.reconciliation import Difference
from rebalance_executor.domain.result import ExecutionResult, ExecutionStatus, OrderResult
from rebalance_executor.domain.result_builder import PlanEnd, build_result
from tests.support.builders import (
    BUY,
    NOW,
    SELL,
    a_child,
    a_filled_child,
    a_parent,
    a_plan,
    a_quote,
    a_state,
    an_exit,
    an_item,
    later,
)
from tests.support.properties import decimals, property_test, quotes, shares, sides

TOLERANCE = ExecutionConfig().success_tolerance


def result_of(*parents: ParentOrder, holds: int = 0, **fields: Any) -> ExecutionResult:
    """Return the result of a plan with these parents and ``holds`` HOLDs."""
    items: list[RebalancePlanItem] = [an_item(p.symbol) if p.side is BUY else an_exit(p.symbol) for p in parents]
    items += [an_item(f"HOLD{number}", "HOLD", "12.5") for number in range(holds)]
    plan = a_plan(*items, **fields)
    return build_result(plan, a_state(plan, runs=2), {p.symbol: p for p in parents}, PlanEnd(later(30), TOLERANCE))


def order_of(parent: ParentOrder) -> OrderResult:
    return result_of(parent).orders[0]


def settled(outcome: Outcome, symbol: str, *, filled: str = "0") -> ParentOrder:
    child = a_child(ChildState.CANCELED, filled=filled, price="10" if filled != "0" else None)
    return a_parent(child, symbol=symbol, outcome=outcome)


FILLED = a_parent(a_filled_child(), symbol="FULL", outcome=Outcome.FILLED)
PARTLY = settled(Outcome.PARTIALLY_FILLED, "PART", filled="4")
UNFILLED = settled(Outcome.UNFILLED, "NONE")
REJECTED = a_parent(a_child(ChildState.REJECTED, order_id=None), symbol="REJ", outcome=Outcome.REJECTED)
DENIED = a_parent(symbol="DEN", outcome=Outcome.DENIED, code=Code.PRICE_COLLAR)
SKIPPED = a_parent(symbol="SKIP", outcome=Outcome.SKIPPED, code=Code.INSUFFICIENT_CASH)
CUT = a_parent(
    a_filled_child("4.8"),
    symbol="CUT",
    qty="4.8",
    requested_qty=Decimal(10),
    outcome=Outcome.FILLED,
    code=Code.SCALED_TO_CASH,
)
UNRESOLVED = a_parent(a_child(), symbol="LOOK", outcome=Outcome.UNRESOLVED, code=Code.CANCEL_UNCONFIRMED)


@pytest.mark.parametrize(
    ("parents", "holds", "status"),
    [
        pytest.param([], 2, "success", id="nothing but holds"),
        pytest.param([FILLED], 0, "success", id="filled"),
        pytest.param([FILLED], 1, "success_with_skips", id="filled and a hold"),
        pytest.param([FILLED, SKIPPED], 0, "partial_success", id="filled, and skipped for lack of cash"),
        pytest.param([FILLED, CUT], 1, "partial_success", id="filled, and cut to the cash"),
        pytest.param([CUT], 0, "partial_success", id="cut to the cash"),
        pytest.param([SKIPPED], 1, "failure", id="skipped for lack of cash"),
        pytest.param([PARTLY], 0, "partial_success", id="partly filled"),
        pytest.param([FILLED, REJECTED], 0, "partial_success", id="filled and rejected"),
        pytest.param([FILLED, DENIED], 1, "partial_success", id="filled, denied and a hold"),
        pytest.param([UNFILLED], 0, "failure", id="unfilled"),
        pytest.param([REJECTED], 0, "failure", id="rejected"),
        pytest.param([DENIED], 1, "failure", id="denied and a hold"),
        pytest.param([DENIED, SKIPPED], 0, "failure", id="denied and skipped"),
        pytest.param([UNRESOLVED], 0, "unresolved", id="unresolved"),
        pytest.param([FILLED, DENIED, UNRESOLVED], 1, "unresolved", id="one unresolved among others"),
    ],
)
def test_status_follows_from_the_outcomes_of_the_items(parents: list[ParentOrder], holds: int, status: str) -> None:
    """Production failures 23 and 25."""
    result = result_of(*parents, holds=holds)
    assert result.status == status
    assert result.success == (status in ("success", "success_with_skips"))


def test_counts_are_of_items_and_placed_means_a_broker_id() -> None:
    """Production failures 24, 25 and 35."""
    result = result_of(FILLED, PARTLY, REJECTED, DENIED, SKIPPED, holds=2)
    counts = (result.orders_placed, result.orders_succeeded, result.orders_skipped, result.orders_denied)
    assert counts == (2, 1, 3, 1)
    assert len(result.orders) == 7


def test_sums_include_fills_only() -> None:
    """Production failure 26: what was skipped or planned does not count."""
    sold = a_parent(a_filled_child("5", "9.98"), side=SELL, symbol="OUT", outcome=Outcome.FILLED)
    result = result_of(FILLED, sold, DENIED, SKIPPED, holds=1)
    assert result.total_trade_value == Decimal("100.10") + Decimal("49.90")
    assert [order.trade_amount for order in result.orders] == [Decimal("100.10"), Decimal("-49.90"), 0, 0, 0]


def test_orders_keep_the_order_of_the_plan() -> None:
    result = result_of(SKIPPED, FILLED, DENIED)
    assert [order.symbol for order in result.orders] == ["SKIP", "FULL", "DEN"]


def test_result_names_plan_account_and_time() -> None:
    result = result_of(FILLED, strategy_id="momentum")
    assert (result.plan_id, result.correlation_id, result.causation_id) == ("plan-1", "correlation-1", "causation-1")
    assert (result.account, result.runs, result.started_at) == ("default", 2, NOW)
    assert result.execution_timestamp == later(30)
    assert result.metadata["strategy_id"] == "momentum"


@pytest.mark.parametrize(
    ("side", "price", "amount", "bps"),
    [
        (BUY, "10.01", "0.1", "9.99"),
        (BUY, "9.99", "-0.1", "-10.01"),
        (SELL, "9.99", "0.1", "10.01"),
        (SELL, "10.01", "-0.1", "-9.99"),
        (BUY, "10", "0", "0"),
    ],
    ids=["bought dearer", "bought cheaper", "sold cheaper", "sold dearer", "at mid"],
)
def test_slippage_is_positive_if_it_is_a_cost(side: Any, price: str, amount: str, bps: str) -> None:
    parent = a_parent(a_filled_child("10", price), side=side, outcome=Outcome.FILLED)
    order = order_of(parent)
    assert order.expected_price == 10
    assert order.slippage_amount == Decimal(amount)
    assert order.slippage_bps is not None
    assert abs(order.slippage_bps - Decimal(bps)) <= Decimal("0.001")


def test_average_price_of_children_is_weighted_by_shares() -> None:
    first = a_child(ChildState.CANCELED, filled="4", price="10.00")
    parent = a_parent(first, a_filled_child("6", "10.10", attempt=2), outcome=Outcome.FILLED)
    order = order_of(parent)
    assert (order.shares, order.price, order.trade_amount) == (Decimal(10), Decimal("10.06"), Decimal("100.60"))


def test_single_price_keeps_every_digit_of_the_broker() -> None:
    assert order_of(a_parent(a_filled_child("3", "9.123456789123"), outcome=Outcome.FILLED)).price == Decimal(
        "9.123456789123"
    )


def test_fill_without_a_price_counts_in_shares_but_not_in_dollars() -> None:
    """Production failure 10."""
    parent = a_parent(a_child(filled="10"), outcome=Outcome.UNRESOLVED, code=Code.FILL_PRICE_MISSING)
    order = order_of(parent)
    assert (order.shares, order.trade_amount) == (Decimal(10), ZERO)
    assert (order.price, order.slippage_amount, order.slippage_bps) == (None, None, None)


def test_unfilled_order_has_neither_price_nor_slippage() -> None:
    result = result_of(UNFILLED)
    order = result.orders[0]
    assert (order.price, order.slippage_amount, order.filled_at) == (None, None, None)
    assert result.slippage_bps is None


def test_hold_is_skipped_with_its_reason_and_no_error() -> None:
    """Production failures 23 and 25."""
    order = result_of(holds=1).orders[0]
    assert (order.outcome, order.skipped, order.success) == (Outcome.SKIPPED, True, False)
    assert (order.skip_reason, order.error_code) == (Code.HOLD, None)
    assert (order.planned_trade_amount, order.planned_shares, order.shares) == (Decimal("12.5"), ZERO, ZERO)
    assert order.children == ()


def test_skipped_buy_has_its_reason() -> None:
    order = order_of(SKIPPED)
    assert (order.skipped, order.skip_reason, order.planned_shares) == (True, Code.INSUFFICIENT_CASH, Decimal(10))


@pytest.mark.parametrize(
    ("parent", "skip_reason", "error_code"),
    [(DENIED, None, Code.PRICE_COLLAR), (UNRESOLVED, None, Code.CANCEL_UNCONFIRMED), (FILLED, None, None)],
)
def test_only_skipped_orders_have_a_skip_reason(
    parent: ParentOrder, skip_reason: str | None, error_code: str | None
) -> None:
    order = order_of(parent)
    assert (order.skip_reason, order.error_code) == (skip_reason, error_code)


def test_ids_are_those_of_the_last_child_and_all_children_are_listed() -> None:
    first = a_child(ChildState.CANCELED, filled="4", price="10", status="canceled", closed_at=later(5))
    second = a_filled_child("6", "10.10", attempt=2, status="filled", closed_at=later(9))
    order = order_of(a_parent(first, second, outcome=Outcome.FILLED))
    assert (order.order_id, order.client_order_id, order.order_type) == ("order-2", "client-2", "limit")
    assert [(c.client_order_id, c.status, c.filled_qty) for c in order.children] == [
        ("client-1", "canceled", Decimal(4)),
        ("client-2", "filled", Decimal(6)),
    ]
    assert order.filled_at == later(9)


def test_child_without_a_broker_status_has_the_programs_state() -> None:
    order = order_of(a_parent(a_child(ChildState.NOT_SENT), outcome=Outcome.UNFILLED))
    assert order.children[0].status == "not_sent"


def test_item_has_the_time_at_which_it_was_settled() -> None:
    parent = a_parent(a_filled_child()).settled(Outcome.FILLED, None, None, later(7))
    assert order_of(parent).timestamp == later(7)


def test_parent_without_an_outcome_is_unresolved() -> None:
    assert order_of(a_parent(a_child())).outcome is Outcome.UNRESOLVED


def test_result_is_json_with_plain_decimals_and_reads_back() -> None:
    result = result_of(FILLED, PARTLY, DENIED, holds=1)
    document = result.model_dump(mode="json")
    assert document["total_trade_value"] == "140.1"
    assert ExecutionResult.model_validate(document) == result


@st.composite
def done_parents(draw: st.DrawFn) -> list[ParentOrder]:
    """Draw parents that fill in two parts, at prices around their arrival mid."""
    parents = []
    for index in range(draw(st.integers(1, 6))):
        arrival = draw(quotes())
        first, second = draw(shares), draw(shares)
        prices = [str(arrival.mid * draw(decimals("0.97", "1.03", 4))) for _ in range(2)]
        children = (
            a_child(ChildState.CANCELED, qty=str(first + second), filled=str(first), price=prices[0]),
            a_filled_child(str(second), prices[1], attempt=2),
        )
        parents.append(
            a_parent(
                *children,
                side=draw(sides),
                symbol=f"S{index}",
                qty=str(first + second),
                arrival=a_quote(str(arrival.bid), str(arrival.ask)),
                outcome=Outcome.FILLED,
            )
        )
    return parents


@property_test
@given(done_parents())
def test_slippage_of_a_plan_is_the_sum_over_the_filled_dollars(parents: list[ParentOrder]) -> None:
    result = result_of(*parents)
    amount = sum((order.slippage_amount for order in result.orders if order.slippage_amount is not None), ZERO)
    assert result.status is ExecutionStatus.SUCCESS
    assert result.total_trade_value == sum((abs(order.trade_amount) for order in result.orders), ZERO)
    assert result.slippage_bps is not None
    assert abs(result.slippage_bps - amount / result.total_trade_value * 10_000) <= Decimal("0.00005")
    for order in result.orders:
        assert order.shares == order.planned_shares
        assert (order.trade_amount > 0) == (order.action == "BUY")


# --- every field -----------------------------------------------------------------------------------------


def test_item_has_every_field() -> None:
    child = a_filled_child(price="10.02", limit="10.03", status="filled", submitted_at=later(1), closed_at=later(2))
    parent = a_parent(child, outcome=Outcome.FILLED, code=Code.SCALED_TO_CASH, message="less cash", settled_at=later(3))

    order = result_of(parent).orders[0].model_dump(exclude={"children"})
    child_fields = result_of(parent).orders[0].children[0].model_dump()

    shown = {name: order[name] for name in ("symbol", "outcome", "success", "skipped", "error_code", "error_message")}
    assert shown == {
        "symbol": "ABC",
        "outcome": Outcome.FILLED,
        "success": True,
        "skipped": False,
        "error_code": Code.SCALED_TO_CASH,
        "error_message": "less cash",
    }
    assert (order["current_weight"], order["target_weight"]) == (Decimal(0), Decimal("0.2"))
    assert (order["expected_price"], order["price"]) == (Decimal(10), Decimal("10.02"))
    assert (order["filled_at"], order["timestamp"]) == (later(2), later(3))
    assert child_fields == {
        "time_in_force": "day",
        "client_order_id": "client-1",
        "order_id": "order-1",
        "status": "filled",
        "type": "limit",
        "limit_price": Decimal("10.03"),
        "qty": Decimal(10),
        "filled_qty": Decimal(10),
        "filled_avg_price": Decimal("10.02"),
        "submitted_at": later(1),
        "filled_at": None,
        "closed_at": later(2),
    }


def test_hold_has_its_weights_and_its_time() -> None:
    hold = result_of(holds=1).orders[0]
    assert (hold.current_weight, hold.target_weight, hold.timestamp) == (Decimal(0), Decimal("0.2"), later(30))
    assert (hold.shares, hold.planned_shares, hold.trade_amount, hold.skipped) == (ZERO, ZERO, ZERO, True)


def test_result_has_every_field_of_the_plan() -> None:
    result = result_of(FILLED, REJECTED, UNRESOLVED, DENIED, SKIPPED, strategy_id="momentum")

    counts = (result.orders_rejected, result.orders_unresolved, result.orders_denied, result.orders_skipped)
    assert counts == (1, 1, 1, 1)
    assert (result.total_portfolio_value, result.runs) == (Decimal(100_000), 2)
    assert (result.started_at, result.execution_timestamp) == (NOW, later(30))
    assert result.metadata.keys() == {"content_hash", "strategy_id"}
    assert result.metadata["strategy_id"] == "momentum"


def test_differences_are_in_the_result_and_make_it_unresolved() -> None:
    plan, found = a_plan(an_item("FULL")), Difference("FULL", "one share too many")
    result = build_result(plan, a_state(plan), {"FULL": FILLED}, PlanEnd(NOW, TOLERANCE, [found]))

    assert result.status is ExecutionStatus.UNRESOLVED
    assert [(one.symbol, one.problem) for one in result.differences] == [("FULL", "one share too many")]


def test_item_missing_from_the_journal_is_unresolved() -> None:
    plan = a_plan(an_item("LOST"))

    order = build_result(plan, a_state(plan), {}, PlanEnd(NOW, TOLERANCE)).orders[0]

    assert (order.outcome, order.error_code, order.timestamp) == (Outcome.UNRESOLVED, Code.JOURNAL_INCOMPLETE, NOW)
    assert order.error_message == "the journal has no order for this item; check the orders at the broker"
    assert (order.symbol, order.expected_price, order.price) == ("LOST", None, None)


def test_half_a_share_is_a_trade_with_a_price() -> None:
    parent = a_parent(a_filled_child("0.5", "10"), qty="1", symbol="HALF", outcome=Outcome.PARTIALLY_FILLED)
    result = result_of(parent)
    assert result.orders[0].price == 10
    assert result.status is ExecutionStatus.PARTIAL_SUCCESS


def test_plan_without_fills_has_no_shortfall() -> None:
    result = result_of(UNFILLED)
    assert (result.slippage_amount, result.slippage_bps, result.total_trade_value) == (None, None, ZERO)
    assert result_of(holds=1).total_trade_value == ZERO


def test_average_price_is_rounded_half_to_even_at_nine_decimals() -> None:
    parent = a_parent(
        a_filled_child("1", "10.000000001"), a_filled_child("1", "10.000000002", attempt=2), outcome=Outcome.FILLED
    )
    assert order_of(parent).price == Decimal("10.000000002")


# --- forecast --------------------------------------------------------------------------------------------


def forecast_of(result: ExecutionResult | OrderResult) -> CostForecast:
    numbers = (result.forecast_bps, result.forecast_low_bps, result.forecast_high_bps)
    return CostForecast(*numbers, result.forecast_reason)


def test_result_has_the_forecasts_of_orders_and_plan() -> None:
    """SKIPPED and DENIED orders cost nothing, so that their forecasts do not count."""
    full = replace(FILLED, forecast=CostForecast.of(2, -1, 6))
    denied = replace(DENIED, forecast=CostForecast.of(50, 40, 60))

    result = result_of(full, denied, holds=1)

    assert [forecast_of(order) for order in result.orders] == [full.forecast, denied.forecast, CostForecast()]
    assert forecast_of(result) == full.forecast


def test_plan_with_an_order_of_unknown_cost_has_no_forecast() -> None:
    unknown = replace(PARTLY, forecast=CostForecast(reason="no bars"))

    result = result_of(replace(FILLED, forecast=CostForecast.of(2, -1, 6)), unknown)

    assert forecast_of(result) == CostForecast(reason="the cost of PART is unknown: no bars")
