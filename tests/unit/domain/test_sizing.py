"""Dollars become shares: the quantity, the remark, or the denial with its code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import SymbolSnapshot
from rebalance_executor.domain.market import ZERO, Asset, BrokerOrder, Position, Quote
from rebalance_executor.domain.orders import Arrival, Outcome, ParentOrder
from rebalance_executor.domain.plan import RebalancePlanItem
from rebalance_executor.domain.sizing import blank_parent, floor_qty, size
from tests.support.builders import (
    BUY,
    NOW,
    SELL,
    a_position,
    a_quote,
    an_asset,
    an_exit,
    an_item,
    an_order,
)
from tests.support.properties import decimals, property_test, quotes

CONFIG = ExecutionConfig()


def sized(
    item: RebalancePlanItem,
    *,
    quote: Quote | None = a_quote(),  # noqa: B008 - a frozen value
    asset: Asset | None = an_asset(),  # noqa: B008 - a frozen value
    position: Position | None = None,
    others: Sequence[BrokerOrder] = (),
    config: ExecutionConfig = CONFIG,
) -> ParentOrder:
    return size(item, SymbolSnapshot(asset, quote, position, others), config, NOW)


def sell(amount: str) -> RebalancePlanItem:
    return an_item(action="SELL", amount=amount)


# --- quantities ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "fractionable", "qty"),
    [
        ("1000", True, "100"),
        ("1000", False, "100"),
        ("1005", True, "100.5"),
        ("1005", False, "100"),
        ("1009.99", False, "100"),
        ("3333.333333", True, "333.333333"),
        ("1", True, "0.1"),
        ("10", False, "1"),
    ],
)
def test_a_buy_is_its_dollars_at_arrival_mid_rounded_down(amount: str, qty: str, *, fractionable: bool) -> None:
    """Production failure 5: assets that are not fractionable are floored to whole shares."""
    parent = sized(an_item(amount=amount), asset=an_asset(fractionable=fractionable))
    assert (parent.side, parent.qty, parent.outcome, parent.code) == (BUY, Decimal(qty), None, None)


@pytest.mark.parametrize(
    ("amount", "fractionable", "qty"),
    [("-1000", True, "100"), ("-1005", True, "100.5"), ("-1005", False, "100"), ("-0.01", True, "0.001")],
)
def test_a_sell_is_its_dollars_at_arrival_mid_rounded_down(amount: str, qty: str, *, fractionable: bool) -> None:
    parent = sized(sell(amount), asset=an_asset(fractionable=fractionable), position=a_position("1000"))
    assert (parent.side, parent.qty, parent.outcome, parent.code) == (SELL, Decimal(qty), None, None)


@pytest.mark.parametrize("amount", ["-1", "-72.27", "-72.27358", "-100000"])
def test_a_full_exit_sells_the_exact_position(amount: str) -> None:
    """Production failure 3: 7.227358 was asked, 7.2273576 was held."""
    parent = sized(an_exit(amount=amount), position=a_position("7.2273576"))
    assert (parent.qty, parent.code) == (Decimal("7.2273576"), None)


def test_an_exit_of_a_third_of_a_share_is_not_rounded_to_nothing() -> None:
    """Production failure 4."""
    assert sized(an_exit(amount="-3"), position=a_position("0.3")).qty == Decimal("0.3")


def test_a_sell_of_more_than_is_held_is_reduced_to_what_is_held() -> None:
    """Production failure 3."""
    parent = sized(sell("-72.27358"), position=a_position("7.2273576"))
    assert (parent.qty, parent.code) == (Decimal("7.227357"), Code.REDUCED_TO_AVAILABLE)


@pytest.mark.parametrize(
    ("item", "available", "qty"),
    [(an_exit(), "4.5", "4.5"), (sell("-80"), "4.5", "4.5")],
    ids=["exit", "part"],
)
def test_a_sell_is_reduced_to_what_others_leave_available(item: RebalancePlanItem, available: str, qty: str) -> None:
    """Shares that somebody else's open order holds are not sold."""
    parent = sized(item, position=a_position("10", available), others=[an_order(side="sell")])
    assert (parent.qty, parent.outcome, parent.code) == (Decimal(qty), None, Code.REDUCED_TO_AVAILABLE)


def test_a_sell_that_fits_into_what_is_available_is_not_reduced() -> None:
    parent = sized(sell("-45"), position=a_position("10", "4.5"))
    assert (parent.qty, parent.code) == (Decimal("4.5"), None)


def test_available_beyond_the_position_is_not_believed() -> None:
    assert sized(an_exit(), position=a_position("10", "12")).qty == 10


def test_an_exit_in_whole_shares_says_what_remains() -> None:
    parent = sized(an_exit(), asset=an_asset(fractionable=False), position=a_position("10.4"))
    assert (parent.qty, parent.outcome, parent.code) == (Decimal(10), None, Code.NOT_FRACTIONABLE)
    assert parent.message == "whole shares only: 0.4 of 10.4 shares remain"


def test_a_parent_remembers_its_item_and_its_arrival_quote() -> None:
    parent = sized(an_item("ABC", amount="1000", priority=3))
    assert (parent.symbol, parent.priority, parent.planned_amount) == ("ABC", 3, Decimal(1000))
    assert parent.arrival == Arrival(Decimal("9.99"), Decimal("10.01"), NOW)
    assert parent.children == ()


# --- denials ---------------------------------------------------------------------------------------------

WHOLE = an_asset(fractionable=False)
TEN = a_position("10")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        pytest.param(lambda: sized(an_item(), asset=None), Code.NOT_TRADABLE, id="unknown asset"),
        pytest.param(lambda: sized(an_item(), asset=an_asset(tradable=False)), Code.NOT_TRADABLE, id="not tradable"),
        pytest.param(lambda: sized(an_item(), asset=an_asset(status="inactive")), Code.NOT_TRADABLE, id="inactive"),
        pytest.param(lambda: sized(an_exit()), Code.NO_POSITION, id="sell of nothing"),
        pytest.param(
            lambda: sized(an_exit(), position=a_position("0")), Code.NO_POSITION, id="sell of a closed position"
        ),
        pytest.param(
            lambda: sized(an_exit(), position=a_position("-5")), Code.NO_POSITION, id="sell of a short position"
        ),
        pytest.param(lambda: sized(an_exit(), position=a_position("10", "0")), Code.SHARES_HELD, id="all shares held"),
        pytest.param(
            lambda: sized(an_item(), others=[an_order()]), Code.CONFLICTING_ORDER, id="buy beside another's buy"
        ),
        pytest.param(
            lambda: sized(an_item(), others=[an_order(side="sell")]),
            Code.CONFLICTING_ORDER,
            id="buy against another's sell",
        ),
        pytest.param(
            lambda: sized(an_exit(), position=TEN, others=[an_order()]),
            Code.CONFLICTING_ORDER,
            id="sell against another's buy",
        ),
        pytest.param(lambda: sized(an_item(), quote=None), Code.QUOTE_UNUSABLE, id="no quote"),
        pytest.param(lambda: sized(an_item(), quote=a_quote("107", "0")), Code.QUOTE_UNUSABLE, id="no ask"),
        pytest.param(lambda: sized(an_item(), quote=a_quote("0", "107")), Code.QUOTE_UNUSABLE, id="no bid"),
        pytest.param(lambda: sized(an_item(), quote=a_quote("0", "0")), Code.QUOTE_UNUSABLE, id="empty quote"),
        pytest.param(
            lambda: sized(an_item(), quote=a_quote("10.02", "10.01")), Code.QUOTE_UNUSABLE, id="crossed quote"
        ),
        pytest.param(
            lambda: sized(an_exit(), position=TEN, quote=a_quote("0", "0")), Code.QUOTE_UNUSABLE, id="exit, no quote"
        ),
        pytest.param(lambda: sized(an_item(amount="0.99")), Code.BELOW_MINIMUM, id="below one dollar"),
        pytest.param(
            lambda: sized(an_item(amount="5"), quote=a_quote("9000000", "9000001")),
            Code.BELOW_MINIMUM,
            id="rounds to nothing",
        ),
        pytest.param(
            lambda: sized(an_item(amount="9.99"), asset=WHOLE), Code.NOT_FRACTIONABLE, id="buy below one share"
        ),
        pytest.param(
            lambda: sized(sell("-9.99"), asset=WHOLE, position=TEN), Code.NOT_FRACTIONABLE, id="sell below one share"
        ),
        pytest.param(
            lambda: sized(an_exit(), asset=WHOLE, position=a_position("0.3")),
            Code.NOT_FRACTIONABLE,
            id="exit below one share",
        ),
    ],
)
def test_what_may_not_be_traded_is_denied_with_its_code(asked: Callable[[], ParentOrder], code: Code) -> None:
    """Production failures 4 to 7 and 9."""
    parent = asked()
    assert (parent.outcome, parent.code, parent.qty) == (Outcome.DENIED, code, ZERO)
    assert parent.message
    assert parent.settled_at == NOW


def test_a_denial_for_another_reason_keeps_the_arrival_quote() -> None:
    assert sized(an_item(), others=[an_order()]).arrival is not None


@pytest.mark.parametrize("quote", [None, a_quote("107", "0"), a_quote("10.02", "10.01")])
def test_a_quote_that_cannot_be_used_is_nobodys_arrival(quote: Quote | None) -> None:
    assert sized(an_item(), quote=quote).arrival is None


@pytest.mark.parametrize(("minimum", "outcome"), [("5", None), ("5.01", Outcome.DENIED)])
def test_the_minimum_is_configurable_for_buys(minimum: str, outcome: Outcome | None) -> None:
    config = ExecutionConfig(minimum_notional=Decimal(minimum))
    assert sized(an_item(amount="5"), config=config).outcome is outcome


def test_a_conflict_names_the_orders() -> None:
    parent = sized(an_item(), others=[an_order()])
    assert parent.message == "1 open order(s) of others on ABC: order-1"


def test_a_blank_parent_has_the_items_side_and_nothing_to_trade() -> None:
    parents = [blank_parent(an_item()), blank_parent(an_exit())]
    assert [(parent.side, parent.qty, parent.arrival) for parent in parents] == [(BUY, ZERO, None), (SELL, ZERO, None)]


# --- laws ------------------------------------------------------------------------------------------------


@property_test
@given(decimals("0", "1000000", 9), st.booleans())
def test_law_rounding_never_goes_up_and_loses_less_than_a_step(qty: Decimal, fractionable: bool) -> None:
    step = Decimal("0.000001") if fractionable else Decimal(1)
    floored = floor_qty(qty, fractionable=fractionable)
    assert 0 <= qty - floored < step
    assert floored % step == 0


@property_test
@given(decimals("0.01", "1000000", 2), quotes(), st.booleans())
def test_law_a_buy_never_costs_more_than_its_dollars_at_mid(amount: Decimal, quote: Quote, fractionable: bool) -> None:
    parent = sized(an_item(amount=amount), quote=quote, asset=an_asset(fractionable=fractionable))
    assert parent.qty * quote.mid <= amount
    assert (parent.qty > 0) == (parent.outcome is None)


@property_test
@given(
    decimals("0.01", "1000000", 2),
    quotes(),
    decimals("0", "10000", 9),
    decimals("0", "10000", 9),
    st.booleans(),
    st.booleans(),
)
def test_law_a_sell_never_exceeds_what_is_available(
    amount: Decimal, quote: Quote, held: Decimal, available: Decimal, fractionable: bool, is_exit: bool
) -> None:
    item = an_exit(amount=-amount) if is_exit else an_item(action="SELL", amount=-amount)
    position = Position("ABC", held, available)
    parent = sized(item, quote=quote, asset=an_asset(fractionable=fractionable), position=position)
    assert 0 <= parent.qty <= min(held, available)
    if not is_exit:
        assert parent.qty * quote.mid <= amount


# --- what a parent remembers of its symbol ---------------------------------------------------------------


def test_what_was_held_and_the_previous_close_are_journalled_with_the_parent() -> None:
    """Reconciliation compares with the first, the collar with the second."""
    held = replace(a_position("12"), previous_close=Decimal("9.5"))
    parent = sized(sell("-20"), position=held)
    assert (parent.held_before, parent.previous_close) == (Decimal(12), Decimal("9.5"))


def test_what_is_not_held_counts_as_nothing_and_has_no_previous_close() -> None:
    parent = sized(an_item())
    assert (parent.held_before, parent.previous_close) == (ZERO, None)


def test_a_sell_that_is_shrunk_says_from_what_to_what() -> None:
    parent = sized(sell("-100"), position=a_position("12", "4"))
    assert parent.code is Code.REDUCED_TO_AVAILABLE
    assert parent.message == "10 shares wanted, 4 of 12 held are available"


def test_a_buy_below_the_minimum_names_the_minimum() -> None:
    assert "$1" in str(sized(an_item(amount="0.99")).message)
