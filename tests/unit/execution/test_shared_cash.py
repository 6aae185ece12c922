"""Cash that several buys share: the buffer, priorities, and equal buys, from the gate to the last order."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import PlanYielded
from rebalance_executor.domain.market import Side
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.execution.events import LogEvent
from tests.support.builders import a_parent, a_plan, an_exit, an_item
from tests.support.fake_ports import RESTS, FakePorts, outcomes
from tests.support.runs import a_run


def dollars_bought(fakes: FakePorts, symbol: str) -> Decimal:
    return fakes.parent(symbol).filled_value


# --- the buffer ------------------------------------------------------------------------------------------


def rising(ask: str) -> FakePorts:
    """Return a world with $50,000 in which the ask rises from 500.01 while the first order for AAA rests."""
    fakes = FakePorts(child_wait_seconds=1)
    fakes.broker.cash = Decimal(50_000)
    fakes.broker.set_quote("AAA", "499.99", "500.01")
    fakes.broker.script("AAA", RESTS)
    fakes.after(0.7, lambda: fakes.broker.set_quote("AAA", str(Decimal(ask) - Decimal("0.02")), ask))
    return fakes


def test_rise_by_less_than_the_buffer_cuts_no_buy() -> None:
    """Group P, P2: 99.400599 of the shares were bought before, and $250 were idle."""
    fakes = rising("500.51")
    result = fakes.execute(a_plan(an_item("AAA", amount="50000")))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, Code.SCALED_TO_CASH)}
    assert fakes.parent("AAA").qty == Decimal("99.498010")
    assert dollars_bought(fakes, "AAA") == Decimal("99.498010") * Decimal("500.51")
    state = fakes.plan_journal().plan
    assert (state.buy_budget, state.buy_funds) == (Decimal(49_750), Decimal(50_000))
    assert fakes.fields(LogEvent.GATE_BUDGET_REDUCED) == []


def test_rise_by_more_than_the_buffer_spends_all_of_the_cash() -> None:
    fakes = rising("505.01")
    result = fakes.execute(a_plan(an_item("AAA", amount="50000")))

    assert outcomes(result) == {"AAA": (Outcome.PARTIALLY_FILLED, Code.INSUFFICIENT_CASH)}
    assert 0 <= fakes.broker.cash < Decimal("0.001")


def test_fee_within_the_buffer_is_no_shortage() -> None:
    """The broker charges $100 for the sales of the day while the first order rests."""
    fakes = rising("500.51")
    fakes.after(0.2, lambda: setattr(fakes.broker, "cash", fakes.broker.cash - 100))
    result = fakes.execute(a_plan(an_item("AAA", amount="50000")))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, Code.SCALED_TO_CASH)}
    assert fakes.fields(LogEvent.GATE_BUDGET_REDUCED) == []


# --- priorities ------------------------------------------------------------------------------------------


def two_priorities(first_rests: int) -> FakePorts:
    """Return a world with $20,051 for 100 shares of AAA, then of BBB, whose quote rises while both rest."""
    narrow = {"AAA": {"price_collar": "0.005", "max_spread": "0.02"}}
    fakes = FakePorts(order_style="ladder", cash_buffer=0, per_symbol=narrow)
    fakes.broker.cash = Decimal(20_051)
    fakes.broker.set_quote("AAA", "99.50", "100.50")
    fakes.broker.script("AAA", *[RESTS] * first_rests)
    fakes.broker.script("BBB", RESTS)
    fakes.after(2, lambda: fakes.broker.set_quote("BBB", "100.85", "100.87"))
    return fakes


TWO_PRIORITIES = a_plan(
    an_item("BBB", amount="10000", priority=5, target_value="10000"),
    an_item("AAA", amount="10000", priority=1, target_value="10000"),
)


def test_lower_priority_buys_only_what_the_higher_one_cannot_need() -> None:
    """Group P, P3: all of BBB and 99.859719 of AAA were bought before."""
    fakes = two_priorities(first_rests=3)
    result = fakes.execute(TWO_PRIORITIES)

    first_again = [request for request in fakes.broker.sent if request.symbol == "BBB"][1]
    assert first_again.limit_price is not None
    assert Decimal(99) < first_again.qty <= Decimal(10_001) / first_again.limit_price
    assert outcomes(result)["AAA"] == (Outcome.FILLED, None)
    assert fakes.parent("AAA").filled_qty == 100
    assert fakes.broker.cash >= 0


def test_lower_priority_gets_the_rest_when_the_higher_one_was_cheaper() -> None:
    """AAA fills at 99.80 instead of its collar: the reserve is released, and BBB is bought in full."""
    fakes = two_priorities(first_rests=0)
    result = fakes.execute(TWO_PRIORITIES)

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.FILLED, None)}
    assert fakes.parent("BBB").filled_qty == 100


def test_lower_priority_is_finished_after_a_higher_one_that_never_fills() -> None:
    fakes = two_priorities(first_rests=20)
    fakes.broker.cash = Decimal(15_000)
    result = fakes.execute(TWO_PRIORITIES)

    assert outcomes(result)["AAA"][0] is Outcome.UNFILLED
    assert fakes.parent("BBB").outcome is Outcome.FILLED
    assert fakes.parent("BBB").filled_qty == fakes.parent("BBB").qty


# --- equal buys ------------------------------------------------------------------------------------------


def test_equal_buys_share_the_shortage_at_the_gate() -> None:
    """Group P, P1: 5 and 4.95 shares before."""
    fakes = FakePorts()
    fakes.broker.cash = Decimal(1000)
    for symbol in ("AAA", "BBB"):
        fakes.broker.set_quote(symbol, "100", "100")
    fakes.execute(a_plan(an_item("AAA", amount="500"), an_item("BBB", amount="500")))

    assert [fakes.parent(symbol).filled_qty for symbol in ("AAA", "BBB")] == [Decimal("4.975")] * 2


def test_wave_is_in_the_order_of_priorities_and_of_the_plan() -> None:
    """The journal sorts its parents by symbol; the plan that it stores does not."""
    parents = [a_parent(symbol=symbol, priority=priority) for symbol, priority in (("AAA", 2), ("BBB", 2), ("CCC", 1))]
    run = a_run(*parents, plan=a_plan(*(an_item(symbol) for symbol in ("BBB", "AAA", "CCC"))))
    assert [parent.symbol for parent in run.unsettled(Side.BUY)] == ["CCC", "BBB", "AAA"]


@pytest.mark.parametrize(("first", "second"), [("AAA", "BBB"), ("BBB", "AAA")])
def test_resumed_run_prefers_the_earlier_item_of_equal_ones(first: str, second: str) -> None:
    """Each wants one whole share, and there is cash for one; the run that passes the gate is not the first."""
    fakes = FakePorts(child_wait_seconds=600)
    fakes.broker.cash = Decimal(50)
    fakes.broker.shares = {"CCC": Decimal(1)}
    fakes.broker.assets |= {s: replace(fakes.broker.assets[s], fractionable=False) for s in (first, second)}
    fakes.broker.script("CCC", RESTS)
    sell = an_exit("CCC", amount="-100", current_value="100")
    plan = a_plan(sell, an_item(first, amount="100"), an_item(second, amount="100"))
    with pytest.raises(PlanYielded):
        fakes.execute(plan, seconds=100)
    result = fakes.execute(plan, run_id="run-2")

    assert outcomes(result)[first] == (Outcome.FILLED, None)
    assert outcomes(result)[second] == (Outcome.SKIPPED, Code.INSUFFICIENT_CASH)


# --- whole shares ----------------------------------------------------------------------------------------


def whole_share_funds(max_order_dollars: int | None = None) -> FakePorts:
    fakes = FakePorts(max_order_dollars=max_order_dollars)
    for symbol, price in (("AAA", "260"), ("BBB", "270"), ("CCC", "280")):
        fakes.broker.set_quote(symbol, price, price)
        fakes.broker.assets[symbol] = replace(fakes.broker.assets[symbol], fractionable=False)
    fakes.broker.cash = Decimal(3000)
    return fakes


FUNDS = a_plan(*(an_item(symbol, amount="1000") for symbol in ("AAA", "BBB", "CCC")))


def test_whole_share_funds_leave_little_cash_idle() -> None:
    """Group P, P5: 3, 3 and 3 shares and $570 idle before."""
    fakes = whole_share_funds()
    fakes.execute(FUNDS)

    assert [fakes.parent(symbol).filled_qty for symbol in ("AAA", "BBB", "CCC")] == [4, 4, 3]
    assert fakes.broker.cash == 40


def test_order_limit_is_not_exceeded_by_rounding_up() -> None:
    fakes = whole_share_funds(max_order_dollars=1050)
    result = fakes.execute(FUNDS)

    assert [fakes.parent(symbol).filled_qty for symbol in ("AAA", "BBB", "CCC")] == [4, 3, 3]
    assert result.success


def test_sale_is_not_rounded_up_beyond_the_available_shares() -> None:
    fakes = whole_share_funds()
    fakes.broker.shares = {"AAA": Decimal("3.5")}
    fakes.execute(a_plan(an_item("AAA", "SELL", amount="-700", target_value="210", current_value="910")))
    assert fakes.parent("AAA").qty == 3


def test_complete_sale_by_dollars_leaves_no_dust() -> None:
    """Group P, P6: 0.000000789 shares were left before."""
    fakes = FakePorts()
    fakes.broker.shares = {"AAA": Decimal("10.123456789")}
    fakes.execute(
        a_plan(an_item("AAA", "SELL", amount="-12000", target_value="0.01", current_value="1012", priority=1))
    )
    assert fakes.broker.shares["AAA"] == 0
