"""Division of dollars among buys of one priority, compared with the former algorithm and with an exact solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.domain.allocation import Wanted, divide
from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.sizing import ceil_qty, floor_qty
from tests.support.properties import decimals, property_test

MICRO = Decimal("0.000001")


def wanted(qty: str, price: str, least: str = "0.000001", *, fractionable: bool = True) -> Wanted:
    return Wanted(Decimal(qty), Decimal(price), Decimal(least), Decimal(qty) * Decimal(price), fractionable)


def whole(qty: str, price: str) -> Wanted:
    return wanted(qty, price, "1", fractionable=False)


def unit(want: Wanted) -> Decimal:
    return MICRO if want.fractionable else Decimal(1)


def cost(wants: Sequence[Wanted], got: Sequence[Decimal]) -> Decimal:
    return sum((want.price * qty for want, qty in zip(wants, got, strict=True)), ZERO)


def former(wants: Sequence[Wanted], budget: Decimal) -> list[Decimal]:
    """Return the shares by the algorithm that this one replaced: first come, first served."""
    got, left = list[Decimal](), budget
    for want in wants:
        qty = want.qty if want.cost <= left else floor_qty(left / want.price, fractionable=want.fractionable)
        got.append(qty if qty >= want.least else ZERO)
        left -= got[-1] * want.price
    return got


def most_spent(wants: Sequence[Wanted], budget: Decimal) -> Decimal:
    """Return the highest cost within the budget, of all divisions in whole shares: Σ|amount − planned| is least."""
    choices = product(*(range(int(want.qty) + 1) for want in wants))
    costs = (cost(wants, [Decimal(qty) for qty in choice]) for choice in choices)
    return max(spent for spent in costs if spent <= budget)


@st.composite
def wants(draw: st.DrawFn) -> Wanted:
    """Draw a buy in whole shares or fractions, with a smallest order of $1 to $50."""
    fractionable, price = draw(st.booleans()), draw(decimals("0.5", "600", 2))
    qty = draw(decimals("0.000001", "90", 6)) if fractionable else Decimal(draw(st.integers(1, 30)))
    least = min(qty, ceil_qty(draw(decimals("1", "50", 2)) / price, fractionable=fractionable))
    return Wanted(qty, price, least, qty * price, fractionable)


whole_wants = st.builds(whole, st.integers(1, 5).map(str), decimals("5", "600", 2).map(str))
budgets = decimals("0", "20000", 2)


# --- examples --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, -1])
def test_shortage_of_two_equal_buys_is_shared(order: int) -> None:
    """Group P, P1: 5 and 4.95 before."""
    assert divide([wanted("5", "100"), wanted("5", "100")][::order], Decimal(995)) == [Decimal("4.975")] * 2


def test_small_last_buy_keeps_its_part_of_a_full_rotation() -> None:
    """Group P, P1: the last one was skipped before."""
    got = divide([wanted("52.421053", "100.01")] * 19 + [wanted("4", "100.01")], Decimal(99_500))
    assert got == [Decimal("52.153731")] * 19 + [Decimal("3.979602")]


def test_part_below_the_smallest_order_becomes_the_smallest_order() -> None:
    got = divide([wanted("100", "10"), wanted("0.15", "10", "0.1")], Decimal(500))
    assert got == [Decimal("49.9"), Decimal("0.1")]


def test_smallest_planned_dollars_are_left_out_first() -> None:
    buys = [whole("1", "60"), whole("1", "30"), whole("1", "50")]
    assert divide(buys, Decimal(115)) == [1, 0, 1]


def test_of_equal_buys_the_earlier_one_is_served() -> None:
    buys = [whole("2", "60"), whole("2", "60")]
    assert divide(buys, Decimal(100)) == [1, 0]
    assert divide(buys, Decimal(180)) == [2, 1]


def test_buy_too_large_for_the_budget_does_not_displace_smaller_ones() -> None:
    assert divide([whole("1", "5000"), whole("4", "10")], Decimal(40)) == [0, 4]


def test_whole_shares_are_rounded_by_largest_remainder() -> None:
    """6.3, 5.4 and 4.5 shares; rounded down, $120 would lie idle."""
    buys = [whole("7", "100"), whole("6", "100"), whole("5", "100")]
    assert divide(buys, Decimal(1620)) == [6, 5, 5]


def test_fractional_buys_take_up_what_whole_shares_leave() -> None:
    assert divide([whole("4", "300"), wanted("10", "10")], Decimal(1000)) == [3, 10]
    assert divide([whole("4", "300"), wanted("60", "10")], Decimal(1000)) == [2, 40]


# --- properties ------------------------------------------------------------------------------------------


@property_test
@given(st.lists(wants(), max_size=8), budgets)
def test_cost_never_exceeds_the_budget(buys: list[Wanted], budget: Decimal) -> None:
    got = divide(buys, budget)
    assert cost(buys, got) <= budget
    for want, qty in zip(buys, got, strict=True):
        assert qty == 0 or want.least <= qty <= want.qty
        assert qty in (want.qty, floor_qty(qty, fractionable=want.fractionable))


@property_test
@given(st.lists(wants(), min_size=2, max_size=8), budgets)
def test_equal_buys_get_equal_fractions_up_to_a_share_or_the_smallest_order(
    buys: list[Wanted], budget: Decimal
) -> None:
    served = [(want, qty) for want, qty in zip(buys, divide(buys, budget), strict=True) if qty]
    for (one, got), (other, others) in combinations(served, 2):
        step = unit(one) / one.qty + unit(other) / other.qty
        is_same_kind = one.fractionable == other.fractionable
        if got > one.least and (is_same_kind or not one.fractionable):
            assert got / one.qty <= others / other.qty + step
        if others > other.least and (is_same_kind or not other.fractionable):
            assert others / other.qty <= got / one.qty + step


@property_test
@given(st.lists(wants(), max_size=8), budgets)
def test_error_is_at_most_one_order_above_the_former_algorithm(buys: list[Wanted], budget: Decimal) -> None:
    """Equal fractions and whole shares cannot always spend as much as first come, first served can by chance."""
    got = divide(buys, budget)
    cut = [(want, qty) for want, qty in zip(buys, got, strict=True) if qty < want.qty]
    one_order = max((want.price * (unit(want) if qty else want.least) for want, qty in cut), default=ZERO)
    rounding = sum((want.price * MICRO for want in buys), ZERO)
    assert cost(buys, got) >= cost(buys, former(buys, budget)) - one_order - rounding


@property_test
@given(st.lists(whole_wants, min_size=1, max_size=4), decimals("0", "5000", 2))
def test_error_in_whole_shares_is_at_most_one_share_above_the_optimum(buys: list[Wanted], budget: Decimal) -> None:
    dearest = max(want.price for want in buys)
    assert cost(buys, divide(buys, budget)) > most_spent(buys, budget) - dearest


@property_test
@given(st.lists(wants(), min_size=2, max_size=6, unique_by=lambda want: want.planned), budgets, st.randoms())
def test_order_of_different_fractional_buys_decides_nothing(
    buys: list[Wanted], budget: Decimal, random: st.DataObject
) -> None:
    buys = [replace(want, fractionable=True) for want in buys]
    shuffled = sorted(range(len(buys)), key=lambda _: random.random())  # type: ignore[attr-defined]
    got = divide(buys, budget)
    assert divide([buys[index] for index in shuffled], budget) == [got[index] for index in shuffled]
