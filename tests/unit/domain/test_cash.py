"""The cash gate between sells and buys: the budget, and the buys scaled to fit it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.domain.cash import (
    buy_budget,
    buy_funds,
    committed,
    funds,
    has_arrived,
    proceeds,
    scale_to_budget,
    spendable,
    spent,
)
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import ZERO, Quote, Side
from rebalance_executor.domain.orders import ChildState, Outcome, ParentOrder
from rebalance_executor.domain.pricing import far_touch
from tests.support.builders import (
    BUY,
    NOW,
    SELL,
    a_child,
    a_filled_child,
    a_parent,
    a_quote,
    an_account,
)
from tests.support.properties import decimals, dollars, property_test, quotes, shares

CONFIG = ExecutionConfig()
NO_BUFFER = ExecutionConfig(cash_buffer=ZERO)
COLLAR = Decimal("0.03")


def fitted(
    *buys: ParentOrder,
    budget: str,
    quotes: Mapping[str, Quote] | None = None,
) -> dict[str, ParentOrder]:
    """Return the buys after scaling, each symbol quoted at 9.99 to 10.00 unless ``quotes`` are given."""
    at_ten = {buy.symbol: a_quote("9.99", "10.00", symbol=buy.symbol) for buy in buys}
    known = at_ten if quotes is None else quotes
    return {buy.symbol: buy for buy in scale_to_budget(buys, known, Decimal(budget), CONFIG, NOW)}


def a_buy(symbol: str, qty: str = "10", priority: int = 1, *, fractionable: bool = True) -> ParentOrder:
    return a_parent(symbol=symbol, qty=qty, priority=priority, fractionable=fractionable)


# --- proceeds and budget ---------------------------------------------------------------------------------


def test_proceeds_are_the_actual_fills_of_the_sells() -> None:
    """Production failures 20 and 21."""
    full = a_parent(a_filled_child("10", "9.98"), side=SELL, symbol="AAA")
    part = a_parent(a_child(ChildState.CANCELED, filled="4", price="9.5"), side=SELL, symbol="BBB")
    failed = a_parent(a_child(ChildState.REJECTED), side=SELL, symbol="CCC")
    unpriced = a_parent(a_child(filled="7", price=None), side=SELL, symbol="DDD")
    bought = a_parent(a_filled_child("10", "10"), symbol="EEE")
    assert proceeds([full, part, failed, unpriced, bought]) == Decimal("99.80") + 38


def test_plan_without_sells_has_proceeds_of_zero() -> None:
    """Production failure 22."""
    assert proceeds([a_parent()]) == 0


@pytest.mark.parametrize(
    ("cash", "buying_power", "expected"),
    [("1000", "2000", "1000"), ("1000", "400", "400"), ("-50", "100", "-50"), ("1000", "1000", "1000")],
)
def test_funds_never_exceed_cash_or_buying_power(cash: str, buying_power: str, expected: str) -> None:
    assert funds(an_account(cash, buying_power)) == Decimal(expected)


@pytest.mark.parametrize(
    ("cash", "buying_power", "arrived"),
    [
        ("1000", "1000", True),
        ("1000", "4000", True),
        ("999.99", "1000", True),
        ("999.98", "1000", False),
        ("1000", "300", False),
        ("300", "1000", False),
    ],
)
def test_proceeds_have_arrived_when_both_fields_show_them(cash: str, buying_power: str, *, arrived: bool) -> None:
    """Production failure 18: the account's fields lag behind the fill; a cent is rounding."""
    assert has_arrived(funds(an_account(cash, buying_power)), Decimal(1000)) is arrived


@pytest.mark.parametrize(
    ("cash", "expected", "buffer", "budget"),
    [
        ("1000", "1000", "0.005", "995"),
        ("1000", "1000", "0", "1000"),
        ("5000", "1000", "0", "1000"),
        ("600", "1000", "0", "600"),
        ("-10", "-10", "0.005", "0"),
        ("0", "0", "0.005", "0"),
        ("33.33", "33.33", "0.005", "33.16"),
    ],
    ids=["buffer", "no buffer", "more than ours", "shows less", "in debt", "nothing", "rounded down"],
)
def test_budget_is_cash_plus_proceeds_less_the_buffer(cash: str, expected: str, buffer: str, budget: str) -> None:
    """Production failures 19 and 20."""
    config = ExecutionConfig(cash_buffer=Decimal(buffer))
    assert buy_budget(buy_funds(funds(an_account(cash)), Decimal(expected)), config) == Decimal(budget)


@property_test
@given(decimals("-1000", "1000000", 2), decimals("-1000", "1000000", 2), decimals("0", "0.99", 3))
def test_budget_never_exceeds_the_cash(cash: Decimal, expected: Decimal, buffer: Decimal) -> None:
    available = buy_funds(funds(an_account(str(cash))), expected)
    budget = buy_budget(available, ExecutionConfig(cash_buffer=buffer))
    assert 0 <= available <= max(ZERO, min(cash, expected))
    assert 0 <= budget <= available * (1 - buffer)


# --- scaling ---------------------------------------------------------------------------------------------


def test_buys_that_fit_are_unchanged() -> None:
    one, two = a_buy("AAA"), a_buy("BBB")
    assert fitted(one, two, budget="200") == {"AAA": one, "BBB": two}


def test_first_priority_gets_cash_first() -> None:
    parents = fitted(a_buy("AAA", priority=3), a_buy("BBB", priority=1), a_buy("CCC", priority=2), budget="150")
    assert parents["BBB"].qty == 10
    assert (parents["CCC"].qty, parents["CCC"].code) == (Decimal(5), Code.SCALED_TO_CASH)
    assert (parents["AAA"].outcome, parents["AAA"].code) == (Outcome.SKIPPED, Code.INSUFFICIENT_CASH)


def test_equal_priorities_share_the_shortage() -> None:
    parents = fitted(a_buy("BBB"), a_buy("AAA"), a_buy("CCC", "4"), budget="120")
    assert {symbol: parent.qty for symbol, parent in parents.items()} == {"AAA": 5, "BBB": 5, "CCC": 2}
    assert {parent.code for parent in parents.values()} == {Code.SCALED_TO_CASH}


def test_of_equal_whole_shares_the_earlier_item_is_served() -> None:
    parents = fitted(a_buy("BBB", "1", fractionable=False), a_buy("AAA", "1", fractionable=False), budget="15")
    assert [parent.outcome for parent in parents.values()] == [None, Outcome.SKIPPED]


def test_later_smaller_buy_may_still_fit() -> None:
    parents = fitted(a_buy("AAA", "10", 1, fractionable=False), a_buy("BBB", "0.5", 2), budget="9.99")
    assert parents["AAA"].outcome is Outcome.SKIPPED
    assert parents["BBB"] == a_buy("BBB", "0.5", 2)


@pytest.mark.parametrize(
    ("fractionable", "qty"),
    [(True, "4.567"), (False, "4")],
)
def test_scaled_buy_is_rounded_down_to_an_allowed_quantity(qty: str, *, fractionable: bool) -> None:
    parent = fitted(a_buy("AAA", fractionable=fractionable), budget="45.67")["AAA"]
    assert (parent.qty, parent.outcome, parent.code) == (Decimal(qty), None, Code.SCALED_TO_CASH)


def test_scaled_buy_keeps_the_requested_shares() -> None:
    parent = fitted(replace(a_buy("AAA"), requested_qty=Decimal(10)), budget="45.67")["AAA"]
    assert (parent.qty, parent.requested_qty) == (Decimal("4.567"), Decimal(10))


@pytest.mark.parametrize(("budget", "outcome"), [("0", Outcome.SKIPPED), ("1.02", Outcome.SKIPPED), ("1.03", None)])
def test_buy_scaled_below_the_minimum_is_skipped(budget: str, outcome: Outcome | None) -> None:
    """The minimum of $1 may become dearer by the collar of 3 %, so that a lower price can still be sent."""
    assert fitted(a_buy("AAA"), budget=budget)["AAA"].outcome is outcome


def test_skipped_buy_keeps_its_planned_quantity_and_names_the_remaining_budget() -> None:
    parent = fitted(a_buy("AAA"), budget="0")["AAA"]
    assert (parent.qty, parent.settled_at) == (Decimal(10), NOW)
    assert parent.message == "10 shares at $10 do not fit into the remaining buy budget of $0"


def test_scaling_uses_the_far_touch_instead_of_arrival() -> None:
    """Production failure 19: the price has drifted since the buys were sized."""
    parent = fitted(a_buy("AAA"), budget="100", quotes={"AAA": a_quote("12.49", "12.50", symbol="AAA")})["AAA"]
    assert parent.qty == 8


@pytest.mark.parametrize("quote", [{}, {"AAA": a_quote("107", "0")}, {"AAA": a_quote("10.02", "10.01")}])
def test_buy_without_a_usable_quote_counts_at_its_arrival_ask(quote: dict[str, Quote]) -> None:
    assert fitted(a_buy("AAA"), budget="50.05", quotes=quote)["AAA"].qty == 5
    assert fitted(a_buy("AAA"), budget="100.10", quotes=quote)["AAA"] == a_buy("AAA")


def test_settled_and_started_buys_are_unchanged() -> None:
    denied = a_parent(symbol="AAA", outcome=Outcome.DENIED)
    started = a_parent(a_child(), symbol="BBB")
    assert fitted(denied, started, budget="0") == {"AAA": denied, "BBB": started}


def test_buy_whose_only_order_was_never_sent_is_scaled() -> None:
    unsent = a_parent(a_child(ChildState.NOT_SENT), symbol="AAA")
    assert fitted(unsent, budget="50")["AAA"].qty == 5


@property_test
@given(st.lists(st.tuples(shares, quotes(), st.integers(1, 5), st.booleans()), max_size=8), dollars)
def test_buys_never_cost_more_than_the_budget(drawn: list[tuple[Decimal, Quote, int, bool]], budget: Decimal) -> None:
    """Production failure 20."""
    buys = [
        a_parent(
            symbol=f"S{index}",
            qty=str(qty if fractionable else max(1, int(qty))),
            priority=priority,
            fractionable=fractionable,
        )
        for index, (qty, _, priority, fractionable) in enumerate(drawn)
    ]
    known = {f"S{index}": quote for index, (_, quote, _, _) in enumerate(drawn)}
    scaled = scale_to_budget(buys, known, budget, NO_BUFFER, NOW)
    working = [buy for buy in scaled if buy.outcome is None]
    assert sum((buy.qty * far_touch(BUY, known[buy.symbol]) for buy in working), ZERO) <= budget
    planned = {buy.symbol: buy.qty for buy in buys}
    assert all(buy.qty <= planned[buy.symbol] for buy in scaled)
    assert len(scaled) == len(buys)


@property_test
@given(st.lists(st.tuples(shares, quotes(), st.integers(1, 3)), min_size=2, max_size=6), dollars)
def test_names_decide_nothing(drawn: list[tuple[Decimal, Quote, int]], budget: Decimal) -> None:
    def scaled(names: list[str]) -> list[tuple[Decimal, Outcome | None]]:
        known = {name: quote for name, (_, quote, _) in zip(names, drawn, strict=True)}
        buys = [
            a_parent(symbol=name, qty=str(qty), priority=priority)
            for name, (qty, _, priority) in zip(names, drawn, strict=True)
        ]
        return [(buy.qty, buy.outcome) for buy in scale_to_budget(buys, known, budget, CONFIG, NOW)]

    names = [f"S{index}" for index in range(len(drawn))]
    assert scaled(names) == scaled(names[::-1])


# --- committed dollars -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parent", "dollars_committed"),
    [
        pytest.param(a_parent(), "0", id="nothing sent"),
        pytest.param(a_parent(a_child(limit="10.01")), "100.10", id="live limit"),
        pytest.param(a_parent(a_child(ChildState.INTENDED, limit="10.01")), "100.10", id="journalled"),
        pytest.param(a_parent(a_child(ChildState.UNKNOWN, limit="10.01")), "100.10", id="unknown counts in full"),
        pytest.param(a_parent(a_child(limit=None)), "105.105", id="market order at what the broker holds"),
        pytest.param(a_parent(a_child(filled="4", price="10", limit="10.01")), "100.06", id="partly filled"),
        pytest.param(a_parent(a_child(filled="10", price=None, limit="10.01")), "100.10", id="filled, price unknown"),
        pytest.param(a_parent(a_filled_child("10", "9.99")), "99.90", id="filled"),
        pytest.param(a_parent(a_child(ChildState.CANCELED, filled="4", price="10")), "40", id="canceled"),
        pytest.param(a_parent(a_child(ChildState.NOT_SENT)), "0", id="never sent"),
        pytest.param(a_parent(a_child(ChildState.REJECTED)), "0", id="rejected"),
        pytest.param(
            a_parent(a_child(ChildState.CANCELED, filled="4", price="10"), a_child(attempt=2, qty="6", limit="10.02")),
            "100.12",
            id="second child",
        ),
        pytest.param(a_parent(a_child(), outcome=Outcome.UNRESOLVED), "100.10", id="unresolved and perhaps live"),
        pytest.param(a_parent(a_filled_child("10", "9.99"), side=SELL), "0", id="a sell commits nothing"),
    ],
)
def test_committed_dollars_are_spent_or_may_still_be_spent(parent: ParentOrder, dollars_committed: str) -> None:
    assert committed([parent], COLLAR) == Decimal(dollars_committed)


def test_commitments_of_buys_add_up_and_ignore_sells() -> None:
    sold = a_parent(a_filled_child("7", "10"), symbol="AAA", side=SELL)
    parents = [sold, a_parent(a_child(limit="10")), a_parent(a_filled_child("5", "10"), symbol="XYZ")]
    assert committed(parents, COLLAR) == 150


def test_buy_that_waits_for_a_quote_keeps_its_dollars_reserved() -> None:
    """$100.10 of 200 are kept for AAA at its arrival ask; BBB gets the rest."""
    quotes = {"BBB": a_quote("9.99", "10.00", symbol="BBB")}
    done = fitted(a_buy("AAA", priority=1), a_buy("BBB", priority=2), budget="200", quotes=quotes)
    assert (done["AAA"].qty, done["BBB"].qty) == (Decimal(10), Decimal("9.99"))


def test_settled_buy_reserves_no_dollars() -> None:
    settled = replace(a_buy("AAA"), outcome=Outcome.DENIED)
    done = fitted(settled, a_buy("BBB", priority=2), budget="100")
    assert done["BBB"].qty == 10


def test_scaled_buy_names_both_quantities() -> None:
    scaled = fitted(a_buy("AAA"), budget="50")["AAA"]
    assert (scaled.qty, scaled.code) == (Decimal(5), Code.SCALED_TO_CASH)
    assert scaled.message == "reduced from 10 to 5 shares to fit the buy budget"


def test_remaining_budget_is_shown_in_full_cents() -> None:
    skipped = fitted(a_buy("AAA"), budget="0.509")["AAA"]
    assert str(skipped.message).endswith("$0.50")


# --- what the account has for the plan -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cash", "buying_power", "expected"),
    [
        ("1000", "1000", "1000"),
        ("0", "0", "0"),
        ("-50", "4000", "-50"),
        ("500", "4000", "500"),
        ("500", "300", "300"),
    ],
    ids=["all there", "nothing left", "debt on margin", "margin is not used", "orders of others hold cash"],
)
def test_spendable_is_the_cash_that_no_order_of_others_holds(cash: str, buying_power: str, expected: str) -> None:
    parents = [a_parent(a_filled_child("10", price="10"), qty="90")]
    assert spendable(an_account(cash=cash, buying_power=buying_power), parents, ExecutionConfig()) == Decimal(expected)


def test_own_open_buys_of_a_cash_account_are_added_back() -> None:
    parents = [a_parent(a_child(qty="5", limit="10"), qty="90")]
    assert spendable(an_account(cash="100", buying_power="50"), parents, ExecutionConfig()) == 100
    assert spendable(an_account(cash="100", buying_power="30"), parents, ExecutionConfig()) == 80


def test_only_fills_of_buys_are_spent() -> None:
    buy = a_parent(a_filled_child("10", price="10"), qty="90")
    assert spent([buy, replace(buy, side=Side.SELL)]) == 100
