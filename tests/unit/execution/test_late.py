"""What the broker shows late, in part or not for long: a price, the time of an end, a quote."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.orders import Outcome
from tests.support.builders import a_plan, an_item, later
from tests.support.fake_ports import FILLS, RESTS, Floor, ended

BUY_ONE = a_plan(an_item("AAA", amount="1000"))
WHERE = pytest.mark.parametrize(
    ("behaviour", "at"), [(FILLS, 0.0), (RESTS, 2.0)], ids=["in the answer", "in the list two seconds later"]
)


def filled_at(at: float, behaviour: str) -> Floor:
    floor = Floor(child_wait_seconds=60, price_wait_seconds=7)
    floor.broker.behave("AAA", behaviour)
    if behaviour == RESTS:
        floor.clock.at(at, lambda: floor.broker.fill("order-1"))
    return floor


@WHERE
def test_an_end_without_a_time_has_the_time_it_was_seen(behaviour: str, at: float) -> None:
    floor = filled_at(at, behaviour)
    floor.broker.shown = lambda order: replace(order, closed_at=None)
    result = floor.execute(BUY_ONE)

    assert ended(result) == {"AAA": (Outcome.FILLED, None)}
    assert floor.parent("AAA").children[0].closed_at == later(at)


@WHERE
def test_a_fill_without_a_price_is_waited_for_so_long_and_no_price_is_invented(behaviour: str, at: float) -> None:
    floor = filled_at(at, behaviour)
    floor.broker.shown = lambda order: replace(order, filled_avg_price=None)
    result = floor.execute(BUY_ONE)

    assert ended(result) == {"AAA": (Outcome.UNRESOLVED, Code.FILL_PRICE_MISSING)}
    assert floor.parent("AAA").settled_at == later(at + 7)
    assert result.orders[0].price is None


def test_a_quote_that_is_lost_twice_is_waited_for_anew() -> None:
    floor = Floor(child_wait_seconds=2, quote_wait_seconds=10)
    floor.broker.behave("AAA", RESTS, RESTS)
    for second in (1, 9):  # it is back at 8 seconds: the second child is sent, and gives way after two
        floor.clock.at(second, lambda: floor.broker.quote("AAA", "0", "100.01"))
    floor.clock.at(8, lambda: floor.broker.quote("AAA", "99.99", "100.01"))
    result = floor.execute(BUY_ONE)

    assert ended(result) == {"AAA": (Outcome.UNFILLED, Code.QUOTE_UNUSABLE)}
    assert 20 <= floor.clock.seconds <= 21
