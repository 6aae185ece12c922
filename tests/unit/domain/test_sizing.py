"""Sizing from dollars to shares: the quantity, the remark, or the denial with its code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import ZERO, Arrival, Asset, BrokerOrder, Position, Quote
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.plan import RebalancePlanItem
from rebalance_executor.domain.previous_close import PreviousClose
from rebalance_executor.domain.sizing import blank_parent, ceil_qty, floor_qty, size
from tests.support.builders import (
    BUY,
    NOW,
    SELL,
    a_position,
    a_quote,
    a_snapshot,
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
    return size(item, a_snapshot(position, quote=quote, asset=asset, others=others), config, NOW)


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
def test_buy_is_its_dollars_at_the_arrival_mid_rounded_down(amount: str, qty: str, *, fractionable: bool) -> None:
    """Production failure 5: assets that are not fractionable are floored to whole shares."""
    parent = sized(an_item(amount=amount), asset=an_asset(fractionable=fractionable))
    assert (parent.side, parent.qty, parent.outcome, parent.code) == (BUY, Decimal(qty), None, None)


@pytest.mark.parametrize(
    ("amount", "fractionable", "qty"),
    [("-1000", True, "100"), ("-1005", True, "100.5"), ("-1005", False, "100"), ("-0.01", True, "0.001")],
)
def test_sell_is_its_dollars_at_the_arrival_mid_rounded_down(amount: str, qty: str, *, fractionable: bool) -> None:
    parent = sized(sell(amount), asset=an_asset(fractionable=fractionable), position=a_position("1000"))
    assert (parent.side, parent.qty, parent.outcome, parent.code) == (SELL, Decimal(qty), None, None)


@pytest.mark.parametrize("amount", ["-1", "-72.27", "-72.27358", "-100000"])
def test_full_exit_sells_the_exact_position(amount: str) -> None:
    """Production failure 3: the order was for 7.227358 shares, the account held 7.2273576."""
    parent = sized(an_exit(amount=amount), position=a_position("7.2273576"))
    assert (parent.qty, parent.code) == (Decimal("7.2273576"), None)


def test_full_exit_sells_the_position_at_the_precision_of_the_broker() -> None:
    """The broker keeps nine decimals: with ten, the order differs from what it reports."""
    parent = sized(an_exit(amount="-12.34"), position=a_position("1.2345678912"))
    assert (parent.qty, parent.code) == (Decimal("1.234567891"), None)

    parent = sized(an_exit(amount="-12.34"), position=a_position("2", "1.2345678912"))
    assert (parent.qty, parent.code) == (Decimal("1.234567891"), Code.REDUCED_TO_AVAILABLE)


def test_position_below_the_precision_of_the_broker_cannot_be_sold() -> None:
    parent = sized(an_exit(amount="-1"), position=a_position("0.0000000002"))
    assert (parent.qty, parent.outcome) == (ZERO, Outcome.DENIED)


def test_exit_of_a_fraction_of_a_share_is_not_rounded_to_zero() -> None:
    """Production failure 4."""
    assert sized(an_exit(amount="-3"), position=a_position("0.3")).qty == Decimal("0.3")


def test_sell_above_the_position_is_reduced_to_the_position() -> None:
    """Production failure 3."""
    parent = sized(sell("-72.27358"), position=a_position("7.2273576"))
    assert (parent.qty, parent.code) == (Decimal("7.2273576"), Code.REDUCED_TO_AVAILABLE)


@pytest.mark.parametrize(
    ("item", "available", "qty"),
    [(an_exit(), "4.5", "4.5"), (sell("-80"), "4.5", "4.5")],
    ids=["exit", "part"],
)
def test_sell_is_reduced_to_the_available_shares(item: RebalancePlanItem, available: str, qty: str) -> None:
    """Shares that another open order holds are not sold."""
    parent = sized(item, position=a_position("10", available), others=[an_order(side="sell")])
    assert (parent.qty, parent.outcome, parent.code) == (Decimal(qty), None, Code.REDUCED_TO_AVAILABLE)


def test_sell_within_the_available_shares_is_not_reduced() -> None:
    parent = sized(sell("-45"), position=a_position("10", "4.5"))
    assert (parent.qty, parent.code) == (Decimal("4.5"), None)


def test_available_shares_above_the_position_are_ignored() -> None:
    assert sized(an_exit(), position=a_position("10", "12")).qty == 10


def test_exit_in_whole_shares_names_the_remainder() -> None:
    parent = sized(an_exit(), asset=an_asset(fractionable=False), position=a_position("10.4"))
    assert (parent.qty, parent.outcome, parent.code) == (Decimal(10), None, Code.NOT_FRACTIONABLE)
    assert parent.message == "only whole shares can be sold; 0.4 of 10.4 remain"


@pytest.mark.parametrize(
    ("parent", "requested", "qty"),
    [
        pytest.param(sized(an_item(amount="1000")), "100", "100", id="buy"),
        pytest.param(
            sized(an_item(amount="1005"), asset=an_asset(fractionable=False)), "100.5", "100", id="whole shares"
        ),
        pytest.param(sized(sell("-33.333333333"), position=a_position("10")), "3.333333", "3.333333", id="sell"),
        pytest.param(sized(sell("-80"), position=a_position("10", "4.5")), "8", "4.5", id="sell, some available"),
        pytest.param(sized(sell("-120"), position=a_position("10")), "12", "10", id="sell above the position"),
        pytest.param(sized(an_exit(), position=a_position("1.234567891")), "1.234567891", "1.234567891", id="exit"),
        pytest.param(sized(an_exit(), position=a_position("10", "4.5")), "10", "4.5", id="exit, some available"),
    ],
)
def test_requested_shares_are_those_before_any_reduction(parent: ParentOrder, requested: str, qty: str) -> None:
    assert (parent.requested_qty, parent.qty) == (Decimal(requested), Decimal(qty))


def test_item_that_is_denied_before_it_is_sized_has_no_requested_shares() -> None:
    assert sized(an_item(), quote=None).requested_qty is None


def test_parent_keeps_its_item_and_its_arrival_quote() -> None:
    parent = sized(an_item("ABC", amount="1000", priority=3))
    assert (parent.symbol, parent.priority, parent.planned_amount) == ("ABC", 3, Decimal(1000))
    assert parent.arrival == Arrival(Decimal("9.99"), Decimal("10.01"), NOW, Decimal(100))
    assert parent.children == ()


# --- a complete sale leaves no dust ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(an_item(action="SELL", amount="-12000", target_value="0.01"), id="dollars above the position"),
        pytest.param(an_item(action="SELL", amount="-101.234564"), id="dollars within half a unit"),
        pytest.param(an_item(action="SELL", amount="-1", target_value="0.000005"), id="target within half a unit"),
        pytest.param(an_item(action="SELL", amount="-1", target_value="0"), id="target value of zero"),
        pytest.param(an_item(action="SELL", amount="-1", target_weight="0"), id="target weight of zero"),
    ],
)
def test_complete_sale_leaves_no_dust(item: RebalancePlanItem) -> None:
    """Group P, P6: 10.123456 of 10.123456789 were sold before."""
    assert sized(item, position=a_position("10.123456789")).qty == Decimal("10.123456789")


def test_sale_that_leaves_more_than_half_a_unit_is_not_complete() -> None:
    assert sized(sell("-101.23456"), position=a_position("10.1234568")).qty == Decimal("10.123456")


@pytest.mark.parametrize(("amount", "qty"), [("-94.99", "9"), ("-95", "10"), ("-100", "10")])
def test_sale_within_half_a_share_of_the_position_is_complete_in_whole_shares(amount: str, qty: str) -> None:
    parent = sized(sell(amount), asset=an_asset(fractionable=False), position=a_position("10"))
    assert (parent.qty, parent.code) == (Decimal(qty), None)


# --- denials ---------------------------------------------------------------------------------------------

WHOLE = an_asset(fractionable=False)
TEN = a_position("10")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        pytest.param(lambda: sized(an_item(), asset=None), Code.NOT_TRADABLE, id="unknown asset"),
        pytest.param(lambda: sized(an_item(), asset=an_asset(tradable=False)), Code.NOT_TRADABLE, id="not tradable"),
        pytest.param(lambda: sized(an_item(), asset=an_asset(status="inactive")), Code.NOT_TRADABLE, id="inactive"),
        pytest.param(lambda: sized(an_exit()), Code.NO_POSITION, id="sell without a position"),
        pytest.param(
            lambda: sized(an_exit(), position=a_position("0")), Code.NO_POSITION, id="sell of a closed position"
        ),
        pytest.param(
            lambda: sized(an_exit(), position=a_position("-5")), Code.NO_POSITION, id="sell of a short position"
        ),
        pytest.param(lambda: sized(an_exit(), position=a_position("10", "0")), Code.SHARES_HELD, id="all shares held"),
        pytest.param(lambda: sized(an_item(), others=[an_order()]), Code.CONFLICTING_ORDER, id="buy and another buy"),
        pytest.param(
            lambda: sized(an_item(), others=[an_order(side="sell")]),
            Code.CONFLICTING_ORDER,
            id="buy and another sell",
        ),
        pytest.param(
            lambda: sized(an_exit(), position=TEN, others=[an_order()]),
            Code.CONFLICTING_ORDER,
            id="sell and another buy",
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
            id="rounds down to zero",
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
def test_item_that_must_not_be_traded_is_denied_with_its_code(asked: Callable[[], ParentOrder], code: Code) -> None:
    """Production failures 4 to 7 and 9."""
    parent = asked()
    assert (parent.outcome, parent.code, parent.qty) == (Outcome.DENIED, code, ZERO)
    assert parent.message
    assert parent.settled_at == NOW


def test_denied_item_keeps_a_usable_arrival_quote() -> None:
    assert sized(an_item(), others=[an_order()]).arrival is not None


@pytest.mark.parametrize("quote", [None, a_quote("107", "0"), a_quote("10.02", "10.01")])
def test_unusable_quote_is_not_an_arrival(quote: Quote | None) -> None:
    assert sized(an_item(), quote=quote).arrival is None


@pytest.mark.parametrize(("minimum", "outcome"), [("5", None), ("5.01", Outcome.DENIED)])
def test_minimum_of_buys_is_configurable(minimum: str, outcome: Outcome | None) -> None:
    config = ExecutionConfig(minimum_notional=Decimal(minimum))
    assert sized(an_item(amount="5"), config=config).outcome is outcome


def test_conflict_names_the_other_orders() -> None:
    assert "order-1" in str(sized(an_item(), others=[an_order()]).message)


def test_blank_parent_has_the_side_of_its_item_and_no_quantity() -> None:
    parents = [blank_parent(an_item()), blank_parent(an_exit())]
    assert [(parent.side, parent.qty, parent.arrival) for parent in parents] == [(BUY, ZERO, None), (SELL, ZERO, None)]


# --- properties ------------------------------------------------------------------------------------------


@property_test
@given(decimals("0", "1000000", 9), st.booleans())
def test_rounding_never_goes_up_and_loses_less_than_a_step(qty: Decimal, fractionable: bool) -> None:
    step = Decimal("0.000001") if fractionable else Decimal(1)
    floored = floor_qty(qty, fractionable=fractionable)
    assert 0 <= qty - floored < step
    assert floored % step == 0
    assert floored <= qty <= ceil_qty(qty, fractionable=fractionable) <= floored + step


@property_test
@given(decimals("0.01", "1000000", 2), quotes(), st.booleans())
def test_buy_never_costs_more_than_its_dollars_at_mid(amount: Decimal, quote: Quote, fractionable: bool) -> None:
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
def test_sell_never_exceeds_the_available_shares(
    amount: Decimal, quote: Quote, held: Decimal, available: Decimal, fractionable: bool, is_exit: bool
) -> None:
    item = an_exit(amount=-amount) if is_exit else an_item(action="SELL", amount=-amount)
    position = Position("ABC", held, available)
    parent = sized(item, quote=quote, asset=an_asset(fractionable=fractionable), position=position)
    assert 0 <= parent.qty <= min(held, available)
    if not is_exit:
        assert parent.qty * quote.mid <= amount


# --- data of the symbol ----------------------------------------------------------------------------------


def test_parent_keeps_the_shares_held_and_the_previous_close() -> None:
    """Reconciliation needs the shares, the collar needs the close."""
    held = replace(a_position("12"), previous_close=Decimal("9.5"))
    parent = sized(sell("-20"), position=held)
    assert (parent.held_before, parent.previous_close) == (Decimal(12), Decimal("9.5"))


def test_previous_close_of_market_data_counts_where_the_position_has_none() -> None:
    item, close = an_item(), PreviousClose(Decimal("9.5"))
    assert size(item, a_snapshot(market_close=close), CONFIG, NOW).previous_close == Decimal("9.5")
    held = replace(a_position("1"), previous_close=Decimal(9))
    assert size(item, a_snapshot(held, market_close=close), CONFIG, NOW).previous_close == Decimal(9)


def test_missing_position_is_zero_shares_without_a_previous_close() -> None:
    parent = sized(an_item())
    assert (parent.held_before, parent.previous_close) == (ZERO, None)


def test_reduced_sell_names_both_quantities() -> None:
    parent = sized(sell("-100"), position=a_position("12", "4"))
    assert parent.code is Code.REDUCED_TO_AVAILABLE
    assert parent.message == "reduced from 10 to 4 shares: 4 of 12 are available"


@pytest.mark.parametrize(
    ("parent", "message"),
    [
        (lambda: sized(an_item(amount="0.99")), "the item is for $0.99; minimum_notional is $1"),
        (
            lambda: sized(an_item(amount="5"), quote=a_quote("9000000", "9000001")),
            "the item is for less than 0.000001 shares",
        ),
        (
            lambda: sized(an_item(amount="9.99"), asset=WHOLE),
            "the item is for 0.999 shares; only whole shares can be traded",
        ),
        (lambda: sized(an_exit(), position=a_position("10", "0")), "other open orders hold all 10 shares"),
    ],
)
def test_denial_during_sizing_names_the_quantity(parent: Callable[[], ParentOrder], message: str) -> None:
    assert parent().message == message


def test_planned_quantity_of_a_reduced_sell_is_rounded() -> None:
    parent = sized(sell("-100"), quote=a_quote("2.99", "3.01"), position=a_position("12", "4"))
    assert parent.message == "reduced from 33.333333 to 4 shares: 4 of 12 are available"
