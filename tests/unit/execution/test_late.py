"""Data that the broker reports late or in part: a price, a closing time, a quote."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.orders import Outcome
from tests.support.builders import a_plan, an_item, later
from tests.support.fake_ports import FILLS, RESTS, FakePorts, outcomes

BUY_ONE = a_plan(an_item("AAA", amount="1000"))
WHERE = pytest.mark.parametrize(
    ("behaviour", "at"), [(FILLS, 0.0), (RESTS, 2.0)], ids=["in the answer", "in the list two seconds later"]
)


def filled_at(at: float, behaviour: str) -> FakePorts:
    fakes = FakePorts(child_wait_seconds=60, price_wait_seconds=7)
    fakes.broker.script("AAA", behaviour)
    if behaviour == RESTS:
        fakes.after(at, lambda: fakes.broker.fill_order("order-1"))
    return fakes


@WHERE
def test_final_order_without_a_time_gets_the_time_of_the_look(behaviour: str, at: float) -> None:
    fakes = filled_at(at, behaviour)
    fakes.broker.as_reported = lambda order: replace(order, closed_at=None)
    result = fakes.execute(BUY_ONE)

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert fakes.parent("AAA").children[0].closed_at == later(at)


@WHERE
def test_fill_without_a_price_ends_unresolved_after_the_wait(behaviour: str, at: float) -> None:
    fakes = filled_at(at, behaviour)
    fakes.broker.as_reported = lambda order: replace(order, filled_avg_price=None)
    result = fakes.execute(BUY_ONE)

    assert outcomes(result) == {"AAA": (Outcome.UNRESOLVED, Code.FILL_PRICE_MISSING)}
    assert fakes.parent("AAA").settled_at == later(at + 7)
    assert result.orders[0].price is None


def test_second_loss_of_a_quote_starts_a_new_wait() -> None:
    fakes = FakePorts(child_wait_seconds=2, quote_wait_seconds=10)
    fakes.broker.script("AAA", RESTS, RESTS)
    for second in (1, 9):  # the quote is usable again at 8 seconds; the second child is canceled after two
        fakes.after(second, lambda: fakes.broker.set_quote("AAA", "0", "100.01"))
    fakes.after(8, lambda: fakes.broker.set_quote("AAA", "99.99", "100.01"))
    result = fakes.execute(BUY_ONE)

    assert outcomes(result) == {"AAA": (Outcome.UNFILLED, Code.QUOTE_UNUSABLE)}
    assert 20 <= fakes.elapsed <= 21
