"""Dollars of the next orders: reserves for higher priorities, and equal parts for equal ones."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.domain.cash import Allowance, allowances
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.orders import Outcome, ParentOrder
from tests.support.builders import a_child, a_parent, a_quote
from tests.support.properties import dollars, property_test, shares

CONFIG = ExecutionConfig()


def a_buy(symbol: str, qty: str = "10", priority: int = 1) -> ParentOrder:
    return a_parent(symbol=symbol, qty=qty, priority=priority)


def allowed(*buys: ParentOrder, left: str, config: ExecutionConfig = CONFIG) -> dict[str, Allowance]:
    known = {buy.symbol: a_quote("9.99", "10.00", symbol=buy.symbol) for buy in buys}
    return allowances(buys, known, Decimal(left), config)


def test_lower_priority_leaves_what_the_higher_one_needs_at_its_collar() -> None:
    """Group P, P3: 100 of ZZZ were bought at 100.85 before, and 99.859719 of AAA were left."""
    config = ExecutionConfig.model_validate({"per_symbol": {"AAA": {"price_collar": "0.005"}}})
    at_100 = a_quote("99.50", "100.50")
    resting = a_child(qty="100", limit="99.60")
    first = a_parent(resting, symbol="AAA", qty="100", arrival=at_100, priority=1)
    last = a_parent(symbol="ZZZ", qty="100", arrival=a_quote("99.99", "100.01"), priority=5)
    moved = {"AAA": at_100, "ZZZ": a_quote("100.85", "100.87")}
    (allowance,) = allowances([last, first], moved, Decimal(20_051) - 9_960, config).values()

    assert allowance == Allowance(Decimal(10_001), is_final=False)
    assert (allowance.amount / Decimal("100.85")).quantize(Decimal("0.000001"), "ROUND_DOWN") == Decimal("99.167079")


def test_higher_priority_without_a_quote_keeps_its_reserve() -> None:
    """Group P, P3: it reserved nothing after the gate before."""
    first, last = a_buy("AAA", priority=1), a_buy("BBB", priority=2)
    allowed_now = allowances([first, last], {"BBB": a_quote(symbol="BBB")}, Decimal(150), CONFIG)
    assert allowed_now["BBB"] == Allowance(Decimal(47), is_final=False)


@pytest.mark.parametrize("outcome", [Outcome.FILLED, Outcome.UNFILLED])
def test_settled_higher_priority_releases_its_reserve(outcome: Outcome) -> None:
    first = replace(a_buy("AAA", priority=1), outcome=outcome)
    assert allowed(first, a_buy("BBB", priority=2), left="50") == {"BBB": Allowance(Decimal(50))}


def test_equal_priorities_share_a_shortage_while_they_are_worked() -> None:
    shares = allowed(a_buy("BBB"), a_buy("AAA", "30"), left="100")
    assert shares == {"BBB": Allowance(Decimal(25)), "AAA": Allowance(Decimal(75))}


def test_equal_buy_with_an_open_order_keeps_what_it_still_needs() -> None:
    """The order rests at 9.50: $5 of the $105 that are left belong to its next rungs."""
    resting = a_parent(a_child(limit="9.50"), symbol="AAA")
    assert allowed(resting, a_buy("BBB"), left="105") == {"BBB": Allowance(Decimal(100), is_final=False)}


def test_market_orders_are_counted_at_their_collar() -> None:
    config = ExecutionConfig.model_validate({"order_style": "market"})
    shares = allowed(a_buy("AAA"), a_buy("BBB", "10"), left="103", config=config)
    assert {allowance.amount for allowance in shares.values()} == {Decimal("51.5")}


@property_test
@given(st.lists(st.tuples(shares, st.integers(1, 3), st.booleans()), min_size=1, max_size=6), dollars)
def test_allowances_hold_the_reserve_of_every_higher_priority(
    drawn: list[tuple[Decimal, int, bool]], left: Decimal
) -> None:
    buys = [
        a_parent(*([a_child(qty=str(qty), limit="9.99")] if is_open else []), symbol=f"S{n}", qty=str(qty), priority=p)
        for n, (qty, p, is_open) in enumerate(drawn)
    ]
    shares = allowed(*buys, left=str(left))
    live = {buy.symbol: buy.qty * Decimal("9.99") if buy.open_child else ZERO for buy in buys}
    for buy in buys:
        higher = [other for other in buys if other.priority < buy.priority]
        reserved = sum((other.qty * Decimal("10.30") - live[other.symbol] for other in higher), ZERO)
        if buy.symbol in shares and shares[buy.symbol].amount > 0:
            equals = sum((live[other.symbol] for other in buys if other.priority == buy.priority), ZERO)
            assert shares[buy.symbol].amount <= left - reserved + equals + Decimal("1e-9")
            assert shares[buy.symbol].is_final == (not higher and not any(live.values()))
