"""Dollars of an item by ``size_by``: re-targeting and its bounds, the no-trade band, the minimum trade."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.domain.codes import NO_TRADE_NEEDED, Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import Quote
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.plan import RebalancePlanItem, SizeBy
from rebalance_executor.domain.sizing import round_whole_shares, size
from rebalance_executor.domain.targets import SizingBasis
from tests.support.builders import NOW, a_plan, a_position, a_quote, a_snapshot, an_account, an_asset, an_exit, an_item
from tests.support.properties import decimals, property_test

D = Decimal
VALUE, WEIGHT, AMOUNT = SizeBy.TARGET_VALUE, SizeBy.TARGET_WEIGHT, SizeBy.TRADE_AMOUNT
BAND: dict[str, Any] = {"no_trade_band": "0.01"}
"""$1,000 of an equity of $100,000."""


def basis(size_by: SizeBy = VALUE, *, equity: str | None = "100000", max_drift: str = "5000") -> SizingBasis:
    return SizingBasis(size_by, D(equity) if equity is not None else None, D(max_drift))


def sized(
    item: RebalancePlanItem,
    held: str,
    on: SizingBasis,
    *,
    quote: Quote | None = None,
    fractionable: bool = True,
    available: str | None = None,
    **settings: Any,
) -> ParentOrder:
    """Size an item at $10 a share unless there is another quote."""
    snapshot = a_snapshot(
        a_position(held, available), quote=quote or a_quote(), asset=an_asset(fractionable=fractionable)
    )
    return size(item, snapshot, ExecutionConfig.model_validate(settings), NOW, on)


def buy(amount: str = "2000", **fields: Any) -> RebalancePlanItem:
    return an_item(amount=amount, **{"target_value": "10000", "target_weight": "0.1"} | fields)


def sell(amount: str = "-2000", **fields: Any) -> RebalancePlanItem:
    return an_item(action="SELL", amount=amount, **{"target_value": "10000", "target_weight": "0.1"} | fields)


def end(parent: ParentOrder) -> tuple[Outcome | None, str | None]:
    return parent.outcome, parent.code


# --- the dollars -----------------------------------------------------------------------------------------


def test_sell_meets_the_target_value_after_the_price_has_fallen() -> None:
    """Group P, P4: 120 shares at 91.66 / 91.68; the dollars of the plan would leave $9,000.40 of $10,000."""
    quote = a_quote("91.66", "91.68")
    assert sized(sell(), "120", basis(AMOUNT), quote=quote).qty == D("21.817388")

    parent = sized(sell(), "120", basis(), quote=quote)
    assert (parent.planned_amount, parent.requested_amount) == (D(-2000), D("-1000.40"))
    assert (parent.qty, parent.requested_qty, parent.outcome) == (D("10.913057"), D("10.913057"), None)


@pytest.mark.parametrize(
    ("item", "held", "on", "dollars"),
    [
        pytest.param(buy(), "750", basis(VALUE), "2500", id="value, buys more"),
        pytest.param(buy(), "850", basis(VALUE), "1500", id="value, buys less"),
        pytest.param(sell(), "1250", basis(VALUE), "-2500", id="value, sells more"),
        pytest.param(buy(), "850", basis(WEIGHT), "1500", id="weight, equity as planned"),
        pytest.param(buy(), "850", basis(WEIGHT, equity="110000"), "2500", id="weight, equity has grown"),
        pytest.param(sell(), "1250", basis(WEIGHT, equity="110000"), "-1500", id="weight, sells less"),
        pytest.param(buy(), "850", basis(AMOUNT), "2000", id="amount"),
    ],
)
def test_item_asks_for_the_dollars_to_its_target(
    item: RebalancePlanItem, held: str, on: SizingBasis, dollars: str
) -> None:
    parent = sized(item, held, on)
    assert (parent.requested_amount, parent.qty, parent.outcome) == (D(dollars), abs(D(dollars)) / 10, None)
    assert parent.planned_amount == item.trade_amount


@pytest.mark.parametrize(
    ("item", "held"),
    [(buy(), "1000"), (buy(), "1100"), (sell(), "1000"), (sell(), "900")],
    ids=["buy at the target", "buy above it", "sell at the target", "sell below it"],
)
@pytest.mark.parametrize("size_by", [VALUE, WEIGHT])
def test_nothing_is_traded_against_the_side_of_the_plan(item: RebalancePlanItem, held: str, size_by: SizeBy) -> None:
    parent = sized(item, held, basis(size_by))
    assert end(parent) == (Outcome.SKIPPED, Code.NO_TRADE_NEEDED)
    assert (parent.qty, parent.requested_amount, parent.settled_at) == (D(0), D(0), NOW)
    assert round_whole_shares([parent], lambda _: True) == [parent]


@pytest.mark.parametrize(
    ("held", "max_drift", "expected"),
    [
        ("300", "5000", (None, None)),  # asks for $7,000: exactly $5,000 more
        ("299", "5000", (Outcome.DENIED, Code.POSITION_DRIFT)),
        ("1400", "5999.99", (Outcome.DENIED, Code.POSITION_DRIFT)),  # a position beyond its target is no reason to skip
        ("1400", "6000", (Outcome.SKIPPED, Code.NO_TRADE_NEEDED)),
    ],
)
def test_re_targeting_is_bounded_by_the_drift_tolerance(
    held: str, max_drift: str, expected: tuple[Outcome | None, str | None]
) -> None:
    assert end(sized(buy(), held, basis(max_drift=max_drift))) == expected


def test_denial_of_a_drift_names_both_amounts() -> None:
    parent = sized(buy(), "299", basis())
    assert parent.message == (
        "the target asks for $7,010, the plan for $2,000; max_drift_tolerance allows $5,000 of difference"
    )
    assert (parent.qty, parent.requested_amount) == (D(0), D(7010))


def test_basis_of_a_plan_is_its_tolerance_and_the_live_equity() -> None:
    plan, account = a_plan(max_drift_tolerance="0.02"), replace(an_account(), equity=D(90_000))
    config = ExecutionConfig()
    assert SizingBasis.of(plan, account, config) == SizingBasis(AMOUNT, D(90_000), D(2000))
    by_weight = ExecutionConfig(size_by=WEIGHT)
    assert SizingBasis.of(plan, account, by_weight).size_by is WEIGHT
    assert SizingBasis.of(a_plan(size_by="target_value"), account, by_weight).size_by is VALUE


@pytest.mark.parametrize("equity", [None, "0", "-5"])
@pytest.mark.parametrize(
    ("size_by", "settings", "expected"),
    [
        (WEIGHT, {}, Code.EQUITY_UNKNOWN),
        (VALUE, BAND, Code.EQUITY_UNKNOWN),
        (VALUE, {"minimum_trade_weight": "0.001"}, Code.EQUITY_UNKNOWN),
        (AMOUNT, {"minimum_trade_weight": "0.001"}, Code.EQUITY_UNKNOWN),
        (VALUE, {"minimum_trade_dollars": "1"}, None),
        (AMOUNT, BAND, None),
    ],
)
def test_item_that_needs_an_unknown_equity_is_denied(
    size_by: SizeBy, settings: dict[str, Any], equity: str | None, expected: str | None
) -> None:
    account = replace(an_account(), equity=D(equity) if equity is not None else None)
    on = SizingBasis.of(a_plan(size_by=size_by), account, ExecutionConfig())
    parent = sized(buy(), "850", on, **settings)
    assert end(parent) == ((Outcome.DENIED if expected else None), expected)
    assert sized(an_exit(), "850", on, **settings).qty == 850


# --- exits and dust --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_by", SizeBy)
def test_full_exit_stays_exact_and_is_exempt(size_by: SizeBy) -> None:
    settings = BAND | {"minimum_trade_dollars": "500", "trade_to": "band_edge"}
    parent = sized(an_exit(amount="-50"), "7.2273576", basis(size_by, max_drift="0"), **settings)
    assert (parent.qty, parent.outcome, parent.code) == (D("7.2273576"), None, None)
    assert parent.requested_amount == (D(-50) if size_by is AMOUNT else D("-72.273576"))


def test_target_that_leaves_less_than_half_of_the_smallest_order_sells_all() -> None:
    item = sell("-12000", target_value="0.000004")
    assert sized(item, "1200.123456789", basis()).qty == D("1200.123456789")
    assert sized(sell("-12000", target_value="0.01"), "1200.123456789", basis()).qty == D("1200.122456")


def test_tiny_equity_does_not_turn_a_sell_into_an_exit() -> None:
    """An equity of one cent would make every target weight dust."""
    parent = sized(sell(), "1200", basis(WEIGHT, equity="0.01"), fractionable=False)
    assert end(parent) == (Outcome.DENIED, Code.POSITION_DRIFT)


# --- the smallest order ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "held", "fractionable", "expected"),
    [
        pytest.param(buy(), "999.95", True, (Outcome.SKIPPED, Code.BELOW_MINIMUM_TRADE), id="below $1"),
        pytest.param(sell(), "1000.00000001", True, (Outcome.SKIPPED, Code.BELOW_MINIMUM_TRADE), id="sell of dust"),
        pytest.param(buy(), "999.3", False, (Outcome.SKIPPED, Code.NO_TRADE_NEEDED), id="less than a share"),
        pytest.param(buy("0.5"), "999.95", True, (Outcome.DENIED, Code.BELOW_MINIMUM), id="planned below $1"),
        pytest.param(buy("9"), "999.3", False, (Outcome.DENIED, Code.NOT_FRACTIONABLE), id="planned below a share"),
    ],
)
def test_target_within_the_smallest_order_is_reached_unless_the_plan_never_could(
    item: RebalancePlanItem,
    held: str,
    fractionable: bool,
    expected: tuple[Outcome, Code],
) -> None:
    assert end(sized(item, held, basis(), fractionable=fractionable)) == expected


def test_whole_shares_are_rounded_to_the_re_targeted_dollars() -> None:
    near = sized(buy(), "999.3", basis(), fractionable=False)
    other = replace(sized(buy(), "990.6", basis(), fractionable=False), symbol="XYZ")
    assert [(p.qty, p.outcome) for p in round_whole_shares([near, other], lambda _: True)] == [
        (D(1), None),
        (D(9), None),
    ]

    below = sized(buy(), "999.95", basis(), quote=a_quote("9.99", "10.01"), fractionable=False)
    assert round_whole_shares([below], lambda _: True) == [below]


# --- band and minimum trade ------------------------------------------------------------------------------


@pytest.mark.parametrize("size_by", [VALUE, WEIGHT])
@pytest.mark.parametrize(
    ("held", "to", "expected"),
    [
        ("900", "target", Code.WITHIN_BAND),
        ("900", "band_edge", Code.WITHIN_BAND),
        ("899", "target", "101"),
        ("899", "band_edge", "1"),
        ("1000.01", "target", Code.NO_TRADE_NEEDED),
    ],
)
def test_position_within_the_band_is_not_traded(size_by: SizeBy, held: str, to: str, expected: str) -> None:
    parent = sized(buy(), held, basis(size_by), trade_to=to, **BAND)
    if parent.outcome is None:
        assert parent.qty == D(expected)
    else:
        assert end(parent) == (Outcome.SKIPPED, expected)


def test_sell_ends_at_the_upper_edge_of_the_band() -> None:
    assert sized(sell(), "1300", basis(), trade_to="band_edge", **BAND).qty == 200
    assert sized(sell(), "1300", basis(), trade_to="target", **BAND).qty == 300


def test_band_does_not_apply_to_the_dollars_of_the_plan() -> None:
    assert sized(buy("500"), "950", basis(AMOUNT), trade_to="band_edge", **BAND).qty == 50


@pytest.mark.parametrize(
    ("settings", "amount", "is_traded"),
    [
        ({"minimum_trade_dollars": "2000"}, "2000", True),
        ({"minimum_trade_dollars": "2000.01"}, "2000", False),
        ({"minimum_trade_weight": "0.02"}, "2000", True),
        ({"minimum_trade_weight": "0.02"}, "1999.99", False),
        ({"minimum_trade_weight": "0.01", "minimum_trade_dollars": "1500"}, "1400", False),
        ({"minimum_trade_weight": "0.02", "minimum_trade_dollars": "1500"}, "1600", False),
    ],
)
@pytest.mark.parametrize("sign", [1, -1], ids=["buy", "sell"])
@pytest.mark.parametrize("size_by", SizeBy)
def test_smaller_trade_is_skipped(
    settings: dict[str, Any], amount: str, sign: int, size_by: SizeBy, *, is_traded: bool
) -> None:
    item = buy(amount) if sign > 0 else sell(f"-{amount}")
    held = str(1000 - sign * D(amount) / 10)
    parent = sized(item, held, basis(size_by), **settings)
    assert end(parent) == ((None, None) if is_traded else (Outcome.SKIPPED, Code.BELOW_MINIMUM_TRADE))
    assert parent.requested_amount == sign * D(amount)


def test_minimum_trade_is_compared_with_what_the_band_leaves() -> None:
    settings = {**BAND, "trade_to": "band_edge", "minimum_trade_dollars": "600"}
    assert end(sized(buy(), "850", basis(), **settings)) == (Outcome.SKIPPED, Code.BELOW_MINIMUM_TRADE)
    assert sized(buy(), "840", basis(), **settings).qty == 60


def test_every_code_of_a_skipped_item_needs_no_trade() -> None:
    assert {Code.NO_TRADE_NEEDED, Code.WITHIN_BAND, Code.BELOW_MINIMUM_TRADE} < NO_TRADE_NEEDED


# --- properties ------------------------------------------------------------------------------------------


@property_test
@given(
    size_by=st.sampled_from((VALUE, WEIGHT)),
    action=st.sampled_from(("BUY", "SELL")),
    amount=decimals("0.01", "9000", 2),
    held=decimals("0.0001", "2000", 4),
    band=decimals("0", "0.05", 3),
    to_edge=st.booleans(),
    least=decimals("0", "3000", 0),
    fractionable=st.booleans(),
)
def test_order_reaches_its_target_on_the_side_of_the_plan(
    size_by: SizeBy,
    action: str,
    amount: Decimal,
    held: Decimal,
    band: Decimal,
    least: Decimal,
    *,
    to_edge: bool,
    fractionable: bool,
) -> None:
    """Filled in full, the position is at most one smallest unit from its target, or from the edge of the band."""
    sign = 1 if action == "BUY" else -1
    item = an_item(action=action, amount=sign * amount, target_value="10000", target_weight="0.1")
    trade_to = "band_edge" if to_edge else "target"
    parent = sized(
        item,
        str(held),
        basis(size_by),
        fractionable=fractionable,
        no_trade_band=band,
        trade_to=trade_to,
        minimum_trade_dollars=least,
    )
    gap, width, unit = 10_000 - held * 10, band * 100_000, D("0.00001") if fractionable else D(10)
    is_within_tolerance = abs(gap - sign * amount) <= 5000
    if parent.outcome is None:
        assert is_within_tolerance
        assert gap * sign > 0
        assert abs(gap) > width
        asked = abs(gap) - (width if to_edge else 0)
        assert asked >= least
        assert 0 <= asked - parent.qty * 10 < unit or parent.qty == held
    elif not is_within_tolerance:
        assert end(parent) == (Outcome.DENIED, Code.POSITION_DRIFT)
    else:
        assert parent.code in NO_TRADE_NEEDED or parent.code in (Code.BELOW_MINIMUM, Code.NOT_FRACTIONABLE)
        assert (parent.outcome is Outcome.SKIPPED) == (parent.code in NO_TRADE_NEEDED)


@property_test
@given(amount=decimals("0.01", "9000", 2), target=decimals("0", "20000", 2), held=decimals("1", "2000", 4))
def test_plan_that_says_nothing_trades_its_dollars(amount: Decimal, target: Decimal, held: Decimal) -> None:
    """Targets, equity, tolerance and band play no part; only the full exit does."""
    item = an_item(action="SELL", amount=-amount, target_value=target, target_weight="0.1")
    snapshot = a_snapshot(a_position(str(held)))
    config = ExecutionConfig(no_trade_band=D("0.5"))
    on = SizingBasis(AMOUNT, D(1), D(0))
    assert size(item, snapshot, config, NOW, on) == size(item, snapshot, ExecutionConfig(), NOW)
    assert size(item, snapshot, config, NOW, on).target_amount is None


@pytest.mark.parametrize(("size_by", "left"), [(VALUE, "500"), (WEIGHT, "0"), (AMOUNT, "0")])
def test_weight_of_zero_is_an_exit_unless_values_size_the_plan(size_by: SizeBy, left: str) -> None:
    """A plan by target values may leave its weights at zero: 1,000 shares at $10, of which $5,000 stay."""
    item = an_item(action="SELL", amount="-5000", target_value="5000", target_weight="0", current_value="10000")
    assert 1_000 - sized(item, "1000", basis(size_by)).qty == D(left)


def test_value_of_zero_is_an_exit_by_every_size_by() -> None:
    item = an_item(action="SELL", amount="-5000", target_value="0", target_weight="0.05", current_value="10000")
    assert {sized(item, "1000", basis(size_by)).qty for size_by in SizeBy} == {D(1_000)}
