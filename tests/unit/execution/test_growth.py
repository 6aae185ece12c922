"""The work of a plan grows with the number of its orders, not with its square."""

from __future__ import annotations

import sys
from dataclasses import replace
from decimal import Decimal
from types import FrameType

import pytest

from tests.support.builders import a_plan, an_item
from tests.support.fake_ports import FakePorts


def _calls(orders: int, style: str) -> int:
    """Return the number of calls of the program's own functions that a plan with this many orders takes."""
    fakes = FakePorts(rate_limit_per_minute=100_000, max_messages_per_minute=100_000, order_style=style)
    fakes.broker.cash = Decimal(1_000_000)
    symbols = [f"S{n}" for n in range(orders)]
    fakes.broker.prices |= dict.fromkeys(symbols, fakes.broker.prices["AAA"])
    fakes.broker.assets |= {symbol: replace(fakes.broker.assets["AAA"], symbol=symbol) for symbol in symbols}
    plan, calls = a_plan(*(an_item(symbol) for symbol in symbols)), 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event == "call" and "/rebalance_executor/" in frame.f_code.co_filename

    sys.setprofile(count)
    try:
        fakes.execute(plan)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("style", ["ladder", "marketable_limit"])
def test_calls_grow_linearly_with_orders(style: str) -> None:
    few, many, most = (_calls(orders, style) for orders in (10, 40, 160))
    assert (most - many) / 120 <= 1.1 * (many - few) / 30
