"""Strategies and settings for property tests: the same examples in every run, without a deadline."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st

from rebalance_executor.domain.market import Quote, Side
from tests.support.builders import NOW

property_test = settings(max_examples=100, deadline=None, derandomize=True, database=None)
"""Decorator of every property test."""

sides = st.sampled_from(Side)


def decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    """Return decimals from ``low`` to ``high`` with this number of places."""
    return st.decimals(Decimal(low), Decimal(high), places=places, allow_nan=False, allow_infinity=False)


shares = decimals("0.000001", "100000", 6)
dollars = decimals("0", "10000000", 2)


@st.composite
def quotes(draw: st.DrawFn, symbol: str = "ABC") -> Quote:
    """Draw two-sided quotes that are not crossed, from $0.0001 to $5,000, with every price on its tick."""
    position = draw(st.sampled_from(["above $1", "below $1", "around $1"]))
    if position == "above $1":
        bid, spread = draw(decimals("1", "5000", 2)), draw(decimals("0", "5", 2))
    elif position == "below $1":
        bid, spread = draw(decimals("0.0001", "0.9", 4)), draw(decimals("0", "0.0999", 4))
    else:
        bid = draw(decimals("0.95", "0.9999", 4))
        spread = draw(decimals("1", "1.04", 2)) - bid
    return Quote(symbol, bid, bid + spread, Decimal(100), Decimal(100), NOW)
