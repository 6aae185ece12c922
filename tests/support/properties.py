"""Strategies and settings for property tests: the same examples in every run, without a deadline."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st

from rebalance_executor.domain.market import CENT, HALF_CENT, Quote, Side
from tests.support.builders import NOW

property_test = settings(max_examples=100, deadline=None, derandomize=True, database=None)
"""Decorator of every property test."""

sides = st.sampled_from(Side)
tick_sizes = st.sampled_from([CENT, HALF_CENT])


def decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    """Return decimals from ``low`` to ``high`` with this number of places."""
    return st.decimals(Decimal(low), Decimal(high), places=places, allow_nan=False, allow_infinity=False)


shares = decimals("0.000001", "100000", 6)
dollars = decimals("0", "10000000", 2)


def is_on_tick(price: Decimal, tick_size: Decimal) -> bool:
    """Return whether a price is a multiple of the tick size from $1, and of $0.0001 below."""
    return price % (tick_size if price >= 1 else Decimal("0.0001")) == 0


@st.composite
def quotes(draw: st.DrawFn, symbol: str = "ABC") -> Quote:
    """Draw two-sided quotes that are not crossed, from $0.0001 to $5,000, with every price on its tick."""
    position, size = draw(st.sampled_from(["above $1", "below $1", "around $1"])), draw(tick_sizes)
    if position == "above $1":
        bid, spread = draw(st.integers(200, 1_000_000)) * HALF_CENT, draw(st.integers(0, 1_000)) * HALF_CENT
        bid, spread = bid - bid % size, spread - spread % size
    elif position == "below $1":
        bid, spread = draw(decimals("0.0001", "0.9", 4)), draw(decimals("0", "0.0999", 4))
    else:
        bid = draw(decimals("0.95", "0.9999", 4))
        spread = 1 + draw(st.integers(0, 4)) * size - bid
    return Quote(symbol, bid, bid + spread, Decimal(100), Decimal(100), NOW, known_tick_size=size)
