"""Whole shares of a plan: rounded by largest remainder, compared with rounding down and with the optimum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import ZERO, Quote
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.plan import RebalancePlanItem
from rebalance_executor.domain.sizing import round_whole_shares, size
from tests.support.builders import NOW, a_position, a_quote, a_snapshot, an_asset, an_item
from tests.support.properties import decimals, property_test


def sized(item: RebalancePlanItem, quote: Quote | None = None, *, fractionable: bool = False) -> ParentOrder:
    snapshot = a_snapshot(a_position("1000"), quote=quote or a_quote(), asset=an_asset(fractionable=fractionable))
    return size(item, snapshot, ExecutionConfig(), NOW)


def rounded(*parents: ParentOrder, allowed: Callable[[ParentOrder], bool] = lambda _: True) -> list[Decimal]:
    return [parent.qty for parent in round_whole_shares(parents, allowed)]


def whole_buy(symbol: str, amount: str, price: str, priority: int = 1) -> ParentOrder:
    quote = a_quote(price, price, symbol=symbol)
    item = an_item(symbol, amount=amount, priority=priority)
    return sized(item, quote)


def whole_sell(amount: str) -> ParentOrder:
    return sized(an_item(action="SELL", amount=amount))


def test_whole_shares_are_rounded_by_largest_remainder() -> None:
    """Group P, P5: 3, 3 and 3 before, $570 idle; now 4, 4 and 3, $40 idle."""
    assert rounded(*(whole_buy(f"A{price}", "1000", str(price)) for price in (260, 270, 280))) == [4, 4, 3]


def test_item_of_less_than_a_share_gets_one_if_the_dollars_suffice() -> None:
    first, second = whole_buy("AAA", "60", "100"), whole_buy("BBB", "190", "100")
    assert first.code is Code.NOT_FRACTIONABLE
    (one, two) = round_whole_shares([first, second], lambda _: True)
    assert (one.qty, one.outcome, one.code) == (ZERO, Outcome.DENIED, Code.NOT_FRACTIONABLE)
    assert two.qty == 2

    (one, two) = round_whole_shares([whole_buy("AAA", "90", "100"), whole_buy("BBB", "180", "100")], lambda _: True)
    assert (one.qty, one.outcome, one.code, one.message, one.settled_at) == (Decimal(1), None, None, None, None)
    assert two.qty == 1


def test_of_equal_remainders_the_higher_priority_is_first_then_the_earlier_item() -> None:
    assert rounded(*(whole_buy(symbol, "150", "100", 2 - (symbol == "CCC")) for symbol in ("BBB", "CCC"))) == [1, 2]
    assert rounded(*(whole_buy(symbol, "150", "100") for symbol in ("ZZZ", "AAA"))) == [2, 1]


def test_share_that_the_controls_forbid_goes_to_the_next_buy() -> None:
    buys = [whole_buy("AAA", "190", "100"), whole_buy("BBB", "160", "100")]
    assert rounded(*buys, allowed=lambda parent: parent.symbol != "AAA") == [1, 2]


@pytest.mark.parametrize(("amount", "qty"), [("-14.99", "1"), ("-15", "1"), ("-15.01", "2"), ("-6", "1"), ("-4", "0")])
def test_sell_is_rounded_to_the_nearest_share(amount: str, qty: str) -> None:
    assert rounded(whole_sell(amount)) == [Decimal(qty)]
    assert rounded(whole_sell("-16"), allowed=lambda _: False) == [1]


def test_fractional_items_and_denied_items_are_not_rounded() -> None:
    denied = sized(an_item(amount="0.99"))
    assert rounded(sized(an_item(amount="1005"), fractionable=True)) == [Decimal("100.5")]
    assert round_whole_shares([denied], lambda _: True) == [denied]


priced_items = st.tuples(decimals("5", "3000", 2), decimals("10", "900", 2))


@property_test
@given(st.lists(priced_items, min_size=1, max_size=6))
def test_rounding_is_better_than_rounding_down_and_near_the_optimum(drawn: list[tuple[Decimal, Decimal]]) -> None:
    """The error is Σ|amount − planned|, with and without the dollars that lie idle. The optimum tries everything."""
    buys = [whole_buy(f"S{n}", str(amount), str(price)) for n, (amount, price) in enumerate(drawn)]
    planned = sum((amount for amount, _ in drawn), ZERO)

    def idle(quantities: Sequence[Decimal]) -> Decimal:
        return planned - sum((qty * price for qty, (_, price) in zip(quantities, drawn, strict=True)), ZERO)

    def error(quantities: Sequence[Decimal]) -> Decimal:
        return sum((abs(qty * price - amount) for qty, (amount, price) in zip(quantities, drawn, strict=True)), ZERO)

    down = [buy.qty for buy in buys]
    quantities, choices = rounded(*buys), product(*((qty, qty + 1) for qty in down))
    within = [choice for choice in choices if idle(choice) >= 0]
    prices = [price for _, price in drawn]
    assert 0 <= idle(quantities) < max(prices)
    assert error(quantities) + idle(quantities) <= error(down) + idle(down)
    assert error(quantities) + idle(quantities) <= min(error(c) + idle(c) for c in within) + 2 * max(prices)
    assert error(quantities) <= min(map(error, within)) + sum(prices, ZERO)
