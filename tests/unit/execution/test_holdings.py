"""Cash and positions while orders are worked: others trade on the account, and the broker's fields lag."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import PlanYielded, RateLimited
from rebalance_executor.domain.market import ZERO, OrderRequest, Side
from rebalance_executor.domain.orders import ChildState, Outcome
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.holdings import NOTHING, Holdings, Limit
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW, a_filled_child, a_parent, a_plan, a_state, an_exit, an_item, later
from tests.support.fake_ports import REQUEST_LOST, RESTS, FakeBroker, FakePorts, outcomes

EXIT = a_plan(an_exit("AAA", amount="-2000", current_value="2000"))


def buy(amount: str = "900") -> RebalancePlan:
    return a_plan(an_item("AAA", amount=amount))


def reads(fakes: FakePorts, name: str) -> int:
    return sum(read == name for read, _ in fakes.broker.reads)


# --- others spend the cash -------------------------------------------------------------------------------


def test_next_order_spends_only_the_cash_that_is_left() -> None:
    """A person spends all but 50 dollars while the first order rests."""
    fakes = FakePorts()
    fakes.broker.cash = Decimal(1000)
    fakes.broker.script("AAA", RESTS)
    fakes.after(2, lambda: setattr(fakes.broker, "cash", Decimal(50)))
    result = fakes.execute(buy())

    assert fakes.broker.cash >= 0
    assert outcomes(result) == {"AAA": (Outcome.PARTIALLY_FILLED, Code.INSUFFICIENT_CASH)}
    assert fakes.fields(LogEvent.GATE_BUDGET_REDUCED)[0]["cash_left"] == 50


def test_margin_is_not_used_when_the_cash_is_gone() -> None:
    fakes = FakePorts()
    fakes.broker.cash = Decimal(1000)
    fakes.broker.buying_power = Decimal(4000)
    fakes.broker.script("AAA", RESTS)
    fakes.after(2, lambda: setattr(fakes.broker, "cash", Decimal(-10)))
    result = fakes.execute(buy())

    assert outcomes(result) == {"AAA": (Outcome.UNFILLED, Code.INSUFFICIENT_CASH)}
    assert len(fakes.broker.sent) == 1


def test_one_low_reading_ends_no_item() -> None:
    """For a moment, at the time of the second order, the account shows too little: the broker's fields lag."""
    fakes = FakePorts()
    fakes.broker.script("AAA", RESTS)
    fakes.after(5.9, lambda: setattr(fakes.broker, "hidden_cash", Decimal(99_999)))
    fakes.after(6.4, lambda: setattr(fakes.broker, "hidden_cash", ZERO))
    result = fakes.execute(buy())

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert fakes.fields(LogEvent.GATE_BUDGET_REDUCED) == []


def test_lost_order_is_not_sent_again_without_the_cash() -> None:
    fakes = FakePorts(arrival_horizon_seconds=10)
    fakes.broker.cash = Decimal(1000)
    fakes.broker.script("AAA", REQUEST_LOST)
    fakes.broker.before_submit = lambda _: setattr(fakes.broker, "cash", Decimal(50))
    result = fakes.execute(buy())

    assert [request.qty for request in fakes.broker.sent][1:] == [Decimal("0.499950")]
    assert fakes.broker.cash >= 0
    assert outcomes(result) == {"AAA": (Outcome.PARTIALLY_FILLED, Code.INSUFFICIENT_CASH)}


def test_lost_order_that_waits_for_a_429_is_not_sent_again_without_the_cash() -> None:
    """The cash is there when the repetition is decided, and spent while the rate limit delays it."""
    fakes = FakePorts(arrival_horizon_seconds=10)
    fakes.broker.cash = Decimal(1000)
    fakes.broker.script("AAA", REQUEST_LOST, RateLimited("slow down", retry_at=later(60)))
    fakes.after(30, lambda: setattr(fakes.broker, "cash", Decimal(50)))
    result = fakes.execute(buy())

    assert [request.qty for request in fakes.broker.sent][2:] == [Decimal("0.499950")]
    assert fakes.broker.cash >= 0
    assert outcomes(result) == {"AAA": (Outcome.PARTIALLY_FILLED, Code.INSUFFICIENT_CASH)}


def test_lost_order_is_sent_again_while_the_cash_is_there() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", REQUEST_LOST)
    result = fakes.execute(buy())

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    first, second = fakes.broker.sent
    assert first == second


@pytest.mark.parametrize(("ask", "sent"), [("100.51", 2), ("150.01", 1)], ids=["inside the collar", "beyond it"])
def test_lost_market_order_is_sent_again_only_inside_the_collar(ask: str, sent: int) -> None:
    fakes = FakePorts(order_style="market", arrival_horizon_seconds=10)
    fakes.broker.script("AAA", REQUEST_LOST)
    check = fakes.broker.before_submit

    def submit(request: OrderRequest) -> None:
        check(request)
        fakes.broker.set_quote("AAA", str(Decimal(ask) - Decimal("0.02")), ask)
        fakes.clock.advance(timedelta(seconds=3))  # the request times out

    fakes.broker.before_submit = submit
    fakes.execute(buy())

    assert len(fakes.broker.sent) == sent


# --- others sell the shares ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "filled", "expected"),
    [
        ("0", "0", (Outcome.UNFILLED, Code.NO_POSITION)),
        ("-5", "0", (Outcome.UNFILLED, Code.NO_POSITION)),
        ("7.5", "7.5", (Outcome.UNRESOLVED, Code.RECONCILIATION_MISMATCH)),
    ],
    ids=["all", "more than all", "some"],
)
def test_next_order_sells_only_the_shares_that_are_left(left: str, filled: str, expected: tuple[Outcome, Code]) -> None:
    """A person sells in the account, where short selling is enabled, while the first order rests."""
    fakes = FakePorts(reconcile_wait_seconds=0)
    fakes.broker.shares = {"AAA": Decimal(20)}
    fakes.broker.script("AAA", RESTS)
    fakes.after(2, lambda: fakes.broker.shares.update(AAA=Decimal(left)))
    result = fakes.execute(EXIT)

    assert fakes.broker.shares["AAA"] == min(Decimal(left), ZERO)
    assert result.orders[0].shares == Decimal(filled)
    assert result.orders[0].outcome in (expected[0], Outcome.UNRESOLVED)


def test_position_that_lags_once_ends_no_item() -> None:
    fakes = FakePorts()
    fakes.broker.shares = {"AAA": Decimal(20)}
    fakes.broker.script("AAA", RESTS)
    fakes.after(5.9, lambda: fakes.broker.shares.update(AAA=ZERO))
    fakes.after(6.4, lambda: fakes.broker.shares.update(AAA=Decimal(20)))
    result = fakes.execute(EXIT)

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}


def test_resumed_sell_reads_the_position_again() -> None:
    fakes = FakePorts(child_wait_seconds=600, reconcile_wait_seconds=0)
    fakes.broker.shares = {"AAA": Decimal(20)}
    fakes.broker.script("AAA", RESTS)
    with pytest.raises(PlanYielded):
        fakes.execute(EXIT, seconds=10)
    fakes.broker.shares = {"AAA": ZERO}
    fakes.execute(EXIT, run_id="run-2")

    assert len(fakes.broker.sent) == 1
    assert fakes.broker.shares["AAA"] == 0


def test_lost_sell_is_not_sent_again_without_the_shares() -> None:
    fakes = FakePorts(arrival_horizon_seconds=10, reconcile_wait_seconds=0)
    fakes.broker.shares = {"AAA": Decimal(20)}
    fakes.broker.script("AAA", REQUEST_LOST)
    fakes.broker.before_submit = lambda _: fakes.broker.shares.update(AAA=ZERO)
    fakes.execute(EXIT)

    assert len(fakes.broker.sent) == 1
    assert [child.state for child in fakes.parent("AAA").children] == [ChildState.NOT_SENT]


# --- what the readings cost ------------------------------------------------------------------------------


def test_recent_readings_are_not_repeated() -> None:
    fakes = FakePorts()
    fakes.broker.shares = {"AAA": Decimal(20)}
    fakes.execute(a_plan(an_exit("AAA", amount="-2000", current_value="2000"), an_item("BBB", amount="1000")))

    assert reads(fakes, "account") == 1  # at the start
    assert reads(fakes, "positions") == 2  # at the start and after the trade


def test_later_order_costs_one_reading() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", RESTS, RESTS)
    fakes.execute(buy())

    assert len(fakes.broker.sent) == 3
    assert reads(fakes, "account") == 3


# --- readings as values ----------------------------------------------------------------------------------


def holdings(**config: object) -> tuple[Holdings, FakeBroker, SimulatedClock]:
    clock = SimulatedClock(NOW)
    broker = FakeBroker(clock)
    return Holdings(broker, clock, ExecutionConfig.model_validate(config)), broker, clock


def test_nothing_may_be_used_before_a_reading() -> None:
    account, _, _ = holdings()

    assert account.cash([], Decimal(1)) == NOTHING
    assert account.shares(a_parent(side=Side.SELL)) == NOTHING


def test_reading_that_may_lack_a_buy_proves_no_cash() -> None:
    account, broker, clock = holdings(proceeds_wait_seconds=30)
    broker.cash = Decimal(100)
    account.read_account([])
    bought = [a_parent(a_filled_child("10", price="10", fill_seen_at=later(5)), qty="10")]
    clock.advance(timedelta(seconds=5))
    account.read_account(bought)  # still 100 dollars, though the plan spent them

    assert account.cash(bought, ZERO).amount == 0
    clock.advance(timedelta(seconds=31))
    account.read_account(bought)
    assert account.cash(bought, ZERO).amount == 100


SALE = a_parent(a_filled_child("16", price="100"), side=Side.SELL, symbol="AAA", qty="16")
BUY = a_parent(a_filled_child("16", price="100", fill_seen_at=later(2)), symbol="BBB", qty="16")


@pytest.mark.parametrize("before", ["2400", "400", "0"], ids=["all spent since", "some spent since", "nothing"])
def test_reading_that_lacks_the_last_buy_is_not_taken_for_proceeds(before: str) -> None:
    """Seed 211942: the account showed neither the fills of another plan at the start, nor the last buy at the end."""
    account, broker, clock = holdings(proceeds_wait_seconds=12)
    broker.cash = Decimal(before)
    account.read_account([])
    clock.advance(timedelta(seconds=1))
    broker.cash = Decimal(1600)
    account.read_account([SALE])
    assert account.cash([SALE], ZERO).amount == 1600
    clock.advance(timedelta(seconds=1))
    account.read_account([SALE, BUY])  # still the 1,600 dollars that the buy has spent

    assert account.cash([SALE, BUY], ZERO).amount == 0


def test_proceeds_count_at_once_although_the_reading_may_lack_a_buy() -> None:
    account, broker, clock = holdings(proceeds_wait_seconds=12)
    broker.cash = Decimal(1600)
    account.read_account([])
    clock.advance(timedelta(seconds=3))
    account.read_account([SALE, BUY])

    assert account.cash([SALE, BUY], ZERO).amount == 1600


def test_proceeds_that_were_shown_before_they_were_reported_count_once() -> None:
    account, broker, clock = holdings(proceeds_wait_seconds=12)
    account.read_account([])
    broker.cash += 1600
    clock.advance(timedelta(seconds=1))
    account.read_account([])
    shown = account.cash([], ZERO).amount
    clock.advance(timedelta(seconds=1))
    account.read_account([SALE, BUY])

    assert account.cash([SALE, BUY], ZERO).amount == shown - 1600


def test_plan_leaves_no_more_than_its_funds_and_proceeds() -> None:
    account, broker, _ = holdings()
    broker.cash = Decimal(5000)  # the account does not show the fills of the plan before
    account.read_account([])
    account.end_plan(replace(a_state(EXIT), starting_funds=Decimal(1000)), [SALE])

    assert account.left == 2600


def test_position_that_lacks_the_last_sale_proves_no_shares() -> None:
    account, broker, clock = holdings(proceeds_wait_seconds=12)
    broker.shares = {"AAA": Decimal(16)}
    account.read_positions(["AAA"], [])
    clock.advance(timedelta(seconds=2))
    sale = a_parent(a_filled_child("10", fill_seen_at=later(2)), side=Side.SELL, symbol="AAA", qty="16")
    account.read_positions(["AAA"], [sale])

    assert account.shares(sale).amount == 6


def test_buys_do_not_spend_what_others_have_spent_while_the_account_lacks_their_fills() -> None:
    """A person spends the cash while the sell rests; the account shows each buy two seconds after its fill."""
    fakes = FakePorts(proceeds_wait_seconds=12, early_cash_fraction=0)
    broker = fakes.broker
    broker.cash, broker.shares = Decimal(1000), {"AAA": Decimal(20)}
    broker.script("AAA", RESTS)
    fakes.after(2, lambda: setattr(broker, "cash", ZERO))
    check = broker.before_submit

    def submit(request: OrderRequest) -> None:
        check(request)
        if request.side is Side.BUY:
            cost = request.qty * (request.limit_price or ZERO)
            broker.hidden_cash -= cost
            fakes.after(2, lambda: setattr(broker, "hidden_cash", broker.hidden_cash + cost))

    broker.before_submit = submit
    fakes.execute(a_plan(an_exit("AAA", amount="-2000", current_value="2000"), an_item("BBB", amount="2900")))

    assert sum(request.side is Side.BUY for request in broker.sent) >= 1
    assert broker.cash >= 0


def test_shortage_is_confirmed_by_a_second_reading_a_tick_later() -> None:
    account, broker, clock = holdings(tick_seconds=2)
    broker.cash = Decimal(10)
    account.read_account([])
    assert account.cash([], Decimal(50)) == Limit(Decimal(10), is_confirmed=False)
    clock.advance(timedelta(seconds=1))
    account.read_account([])
    assert account.cash([], Decimal(50)) == Limit(Decimal(10), is_confirmed=False)
    clock.advance(timedelta(seconds=1))
    account.read_account([])
    assert account.cash([], Decimal(50)) == Limit(Decimal(10), is_confirmed=True)


def test_same_reading_confirms_nothing() -> None:
    account, broker, clock = holdings(tick_seconds=1)
    broker.cash = Decimal(10)
    account.read_account([])
    account.cash([], Decimal(50))
    clock.advance(timedelta(seconds=5))

    assert not account.cash([], Decimal(50)).is_confirmed


def test_short_position_counts_as_none() -> None:
    account, broker, _ = holdings()
    broker.shares = {"AAA": Decimal(-3)}
    sell = a_parent(side=Side.SELL, symbol="AAA", qty="5")
    account.read_positions(["AAA"], [sell])

    assert account.shares(sell).amount == 0


def test_account_without_a_shortage_needs_no_confirmation() -> None:
    account, broker, _ = holdings()
    broker.cash = Decimal(50)
    account.read_account([])

    assert account.cash([], Decimal(50)) == Limit(Decimal(50))
