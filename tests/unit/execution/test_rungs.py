"""The ladder as a run works it: one rung after the other, each with its price, time and spread fraction."""

from __future__ import annotations

from decimal import Decimal

import pytest

from rebalance_executor.domain.orders import ChildState, Outcome
from rebalance_executor.domain.plan import RebalancePlan
from tests.support.builders import NOW, a_plan, an_exit, an_item, later
from tests.support.fake_ports import FILLS_HALF, RESTS, FakePorts, outcomes

SELL = an_exit("AAA", amount="-2000", current_value="2000")
LADDER = {"NORMAL": {"aims": ["0.3", "0.6", "1"], "wait_seconds": 4}}


def test_each_rung_moves_toward_the_far_touch_and_rests_as_configured() -> None:
    fakes = FakePorts(order_style="ladder", ladder=LADDER)
    fakes.broker.set_quote("AAA", "99.95", "100.05")
    fakes.broker.script("AAA", RESTS, FILLS_HALF)
    result = fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    children = fakes.parent("AAA").children
    assert [(c.spread_fraction, c.limit_price, c.latest_send, c.state, c.bid, c.ask) for c in children] == [
        (Decimal("0.3"), Decimal("99.98"), later(0), ChildState.CANCELED, Decimal("99.95"), Decimal("100.05")),
        (Decimal("0.6"), Decimal("100.01"), later(5), ChildState.CANCELED, Decimal("99.95"), Decimal("100.05")),
        (Decimal(1), Decimal("100.05"), later(10), ChildState.FILLED, Decimal("99.95"), Decimal("100.05")),
    ]
    assert children[2].qty == children[0].qty / 2


@pytest.mark.parametrize(
    ("seconds", "rungs"),
    [
        (8, [("0.3", 0.0), ("1", 3.4)]),
        (10, [("0.3", 0.0), ("0.6", 4.0), ("1", 7.0)]),
        (60, [("0.3", 0.0), ("0.6", 5.0), ("1", 10.0)]),
    ],
    ids=["one is left out", "they are shorter", "as configured"],
)
def test_less_time_brings_the_last_rung_sooner(seconds: float, rungs: list[tuple[str, float]]) -> None:
    fakes = FakePorts(order_style="ladder", ladder=LADDER)
    fakes.broker.set_quote("AAA", "99.95", "100.05")
    fakes.broker.script("AAA", *[RESTS] * (len(rungs) - 1))
    fakes.execute(a_plan(an_item("AAA", amount="1000")), seconds=seconds)

    children = fakes.parent("AAA").children
    assert [(str(child.spread_fraction), (child.latest_send - NOW).total_seconds()) for child in children] == rungs


@pytest.mark.parametrize(
    ("plan", "rungs"),
    [
        (a_plan(SELL), [("0.3", 0.0), ("0.6", 5.0), ("1", 10.0)]),
        (a_plan(SELL, an_item("BBB", amount="1000")), [("0.3", 0.0), ("1", 3.4)]),
    ],
    ids=["nothing follows", "a buy waits for them"],
)
def test_sells_take_less_time_when_buys_follow(plan: RebalancePlan, rungs: list[tuple[str, float]]) -> None:
    fakes = FakePorts(order_style="ladder", ladder=LADDER)
    fakes.broker.shares, fakes.broker.cash = {"AAA": Decimal(20)}, Decimal(0)
    fakes.broker.set_quote("AAA", "99.95", "100.05")
    fakes.broker.script("AAA", *[RESTS] * (len(rungs) - 1))
    fakes.execute(plan, seconds=16)

    children = fakes.parent("AAA").children
    assert [(str(child.spread_fraction), (child.latest_send - NOW).total_seconds()) for child in children] == rungs


@pytest.mark.parametrize(("refresh", "reads"), [("1", 2), ("3", 1)])
def test_quote_of_a_resting_order_is_read_once_per_refresh(refresh: str, reads: int) -> None:
    fakes = FakePorts(order_style="ladder", ladder=LADDER, quote_refresh_seconds=refresh)
    fakes.broker.set_quote("AAA", "99.95", "100.05")
    fakes.broker.script("AAA", RESTS)
    fakes.after(4.5, lambda: fakes.broker.fill_order("order-1"))  # after the looks at 0.5, 1, 2 and 4 seconds
    fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert [name for name, _ in fakes.broker.reads].count("quotes") == 1 + reads  # and one to size it
