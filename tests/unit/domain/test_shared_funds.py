"""The next child of a buy while other buys hold funds that they may release."""

from __future__ import annotations

from decimal import Decimal

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.decisions import Decision, DecisionContext, Place, Settle, Wait
from rebalance_executor.domain.market import OrderType
from rebalance_executor.domain.orders import ChildState, Outcome, ParentOrder
from rebalance_executor.domain.strategy import decide
from tests.support.builders import NOW, a_child, a_filled_child, a_parent, a_quote

CONFIG = ExecutionConfig.model_validate({"order_style": "marketable_limit", "max_children": 3})


def decided(funds: str, parent: ParentOrder | None = None, *, are_funds_final: bool = False) -> Decision:
    """Return the decision on ten shares at 10.01."""
    context = DecisionContext(NOW, quote=a_quote(), funds=Decimal(funds), are_funds_final=are_funds_final)
    return decide(parent or a_parent(), context, CONFIG)


def placed(qty: str) -> Place:
    return Place(OrderType.LIMIT, Decimal(qty), Decimal("10.01"))


@pytest.mark.parametrize(
    ("funds", "expected"),
    [
        pytest.param("100.10", placed("10"), id="all"),
        pytest.param("80.08", placed("8"), id="a part"),
        pytest.param("10.01", placed("1"), id="a tenth"),
        pytest.param("10.00", Wait(), id="less than a tenth"),
        pytest.param("0", Wait(), id="nothing"),
        pytest.param("-5", Wait(), id="less than nothing"),
        pytest.param("99.10", placed("9.800199"), id="the rest stays large enough to be sent"),
    ],
)
def test_part_is_sent_at_once_if_it_is_large(funds: str, expected: Decision) -> None:
    assert decided(funds) == expected


def test_last_child_waits_for_the_final_funds() -> None:
    tried = a_parent(a_child(ChildState.CANCELED), a_child(ChildState.CANCELED, attempt=2))
    assert decided("80.08", tried) == Wait()
    assert decided("80.08", tried, are_funds_final=True) == placed("8")


def test_part_in_whole_shares() -> None:
    assert decided("99", a_parent(fractionable=False)) == placed("9")
    assert decided("9", a_parent(qty="1", fractionable=False)) == Wait()


def test_part_below_the_minimum_waits() -> None:
    assert decided("1.50", a_parent(qty="0.2")) == Wait()


def test_rest_below_the_minimum_order_ends_for_lack_of_cash() -> None:
    decision = decided("0.50", a_parent(a_filled_child("9", "10")), are_funds_final=True)
    assert isinstance(decision, Settle)
    assert (decision.outcome, decision.code) == (Outcome.PARTIALLY_FILLED, Code.INSUFFICIENT_CASH)
