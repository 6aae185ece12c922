"""Sells and buys are worked together: buys use cash and the proceeds so far, and never more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import PlanYielded
from rebalance_executor.domain.market import ZERO, Account, Asset, OrderRequest
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.risk_state import KillSwitchRecord, TradingState
from rebalance_executor.execution.events import LogEvent
from tests.support.builders import BUY, NOW, SELL, a_plan, an_exit, an_item
from tests.support.fake_ports import FILLS, RESTS, FakePorts, outcomes
from tests.support.properties import property_test

CENTS = Decimal("0.01")


def world(cash: int, shares: int, sold_after: float, early_cash_fraction: str = "1") -> FakePorts:
    """Return a world in which the sell of CCC, ``shares`` at $99.99, rests for ``sold_after`` seconds."""
    fakes = FakePorts(child_wait_seconds=900, early_cash_fraction=early_cash_fraction)
    fakes.broker.cash = Decimal(cash)
    fakes.broker.shares = {"CCC": Decimal(shares)}
    fakes.broker.script("CCC", RESTS)
    fakes.after(sold_after, lambda: fakes.broker.fill_order("order-1"))
    return fakes


def exchange(shares: int, *buys: tuple[str, int, int]) -> RebalancePlan:
    """Return a plan that sells all of CCC and buys these symbols for these dollars with these priorities."""
    items = (an_item(symbol, amount=str(dollars), priority=priority) for symbol, dollars, priority in buys)
    return a_plan(an_exit("CCC", amount=str(-100 * shares), current_value=str(100 * shares)), *items)


def sent(fakes: FakePorts, symbol: str) -> list[Decimal]:
    return [request.qty for request in fakes.broker.sent if request.symbol == symbol]


# --- the start -------------------------------------------------------------------------------------------


def test_idle_cash_buys_while_a_sell_is_worked() -> None:
    """Group P, P8: the buy was sent after the sell before, ten minutes later."""
    fakes = world(50_000, 100, sold_after=500)
    fakes.execute(exchange(100, ("AAA", 20_000, 1)), seconds=900)

    (child,) = fakes.parent("AAA").children
    assert child.sent_at == NOW
    assert child.filled_qty == 200


def test_buy_grows_when_the_proceeds_arrive() -> None:
    fakes = world(5_000, 160, sold_after=3)
    result = fakes.execute(exchange(160, ("AAA", 20_000, 1)))

    first, second = fakes.parent("AAA").children
    assert first.sent_at == NOW
    assert Decimal(4_900) < first.qty * Decimal("100.01") <= Decimal(4_975)
    assert first.qty + second.qty == 200
    assert outcomes(result)["AAA"] == (Outcome.FILLED, None)
    assert fakes.broker.cash >= 0


def test_without_idle_cash_the_sells_come_first() -> None:
    fakes = world(0, 100, sold_after=3)
    fakes.execute(exchange(100, ("AAA", 5_000, 1)))

    sides = [request.side for request in fakes.broker.sent]
    assert sides == [SELL, BUY]
    (child,) = fakes.parent("AAA").children
    assert child.sent_at is not None
    assert child.sent_at > NOW
    opening, gate = 1, 1
    assert [name for name, _ in fakes.broker.reads].count("account") == opening + gate


@pytest.mark.parametrize(("fraction", "dollars"), [("0", 0), ("0.2", 9_950), ("1", 20_000)])
def test_configuration_bounds_the_cash_of_early_buys(fraction: str, dollars: int) -> None:
    fakes = world(50_000, 100, sold_after=500, early_cash_fraction=fraction)
    fakes.execute(exchange(100, ("AAA", 20_000, 1)), seconds=900)

    early = [c for c in fakes.parent("AAA").children if c.sent_at == NOW]
    spent = sum((child.qty for child in early), ZERO) * Decimal("100.01")
    assert dollars * Decimal("0.99") <= spent <= dollars + 2
    assert fakes.parent("AAA").outcome is Outcome.FILLED


def test_sells_of_the_same_tick_take_nothing_from_the_cash_of_the_buys() -> None:
    fakes = world(5_000, 1_000, sold_after=3)
    fakes.execute(exchange(1_000, ("AAA", 4_900, 1)))
    assert [(child.qty, child.sent_at) for child in fakes.parent("AAA").children] == [(Decimal(49), NOW)]


def test_buy_uses_the_cash_that_is_there_while_the_account_shows_the_proceeds_late() -> None:
    """Two sells: one fills at once, and the account shows only a part of its proceeds; the other one rests."""
    fakes = world(0, 100, sold_after=60)
    fakes.broker.shares["BBB"] = Decimal(100)
    fakes.broker.before_submit = lambda _: setattr(fakes.broker, "hidden_cash", Decimal(4_000))
    sells = [an_exit(symbol, amount="-10000", current_value="10000") for symbol in ("CCC", "BBB")]
    fakes.execute(a_plan(*sells, an_item("AAA", amount="12000")))

    first = fakes.parent("AAA").children[0]
    assert first.sent_at is not None
    assert (first.sent_at - NOW).total_seconds() < 5
    assert 5_900 < first.qty * Decimal("100.01") <= Decimal("5999.00")


def test_rest_too_small_to_be_sent_is_cut_at_the_gate() -> None:
    """The first order used all but $3 of the money; the gate leaves less than a dollar for another one."""
    fakes = world(9_000, 10, sold_after=3)
    fakes.after(3, lambda: setattr(fakes.broker, "cash", fakes.broker.cash - 1_000))
    result = fakes.execute(exchange(10, ("AAA", 9_500, 1)))

    assert len(sent(fakes, "AAA")) == 1
    assert outcomes(result)["AAA"] == (Outcome.FILLED, Code.SCALED_TO_CASH)


def test_small_part_waits_for_more_dollars() -> None:
    fakes = world(1_000, 200, sold_after=3)
    fakes.execute(exchange(200, ("AAA", 20_000, 1)))
    assert sent(fakes, "AAA") == [200]


@pytest.mark.parametrize("quote", [("109", "110"), ("99", "0")])
def test_price_does_not_matter_while_a_buy_waits_for_dollars(quote: tuple[str, str]) -> None:
    """With a little idle cash it was denied PRICE_COLLAR or QUOTE_UNUSABLE while the sells were worked."""
    fakes = world(500, 200, sold_after=30)
    fakes.after(5, lambda: fakes.broker.set_quote("AAA", *quote))
    fakes.after(20, lambda: fakes.broker.set_quote("AAA", "99.99", "100.01"))
    result = fakes.execute(exchange(200, ("AAA", 20_000, 1)))
    assert outcomes(result)["AAA"] == (Outcome.FILLED, None)


def test_buys_that_wait_for_dollars_need_no_requests() -> None:
    """Each tick waited for the requests of their orders, and the sells with it."""
    fakes = world(500, 200, sold_after=30)
    fakes.execute(exchange(200, ("AAA", 20_000, 1)))
    sell, buy = 1 + 1, 1 + 1  # an order and a reading each
    assert fakes.broker.waits_for_requests == [sell, buy]


# --- priorities and equal buys ---------------------------------------------------------------------------


def test_lower_priority_waits_until_the_higher_one_has_its_dollars() -> None:
    fakes = world(5_000, 300, sold_after=3)
    result = fakes.execute(exchange(300, ("AAA", 15_000, 1), ("BBB", 15_000, 2)))

    first = fakes.parent("BBB").children[0]
    assert first.sent_at is not None
    assert first.sent_at > NOW
    assert fakes.parent("AAA").children[0].sent_at == NOW
    assert {outcome for outcome, _ in outcomes(result).values()} == {Outcome.FILLED}


def test_equal_buys_end_with_the_same_fraction() -> None:
    """Together they are short of dollars, and each has started with what there was."""
    fakes = world(4_000, 100, sold_after=3)
    fakes.execute(exchange(100, ("AAA", 10_000, 1), ("BBB", 10_000, 1)))

    values = [fakes.parent(symbol).filled_value for symbol in ("AAA", "BBB")]
    assert len(sent(fakes, "AAA")) == len(sent(fakes, "BBB")) == 2
    assert abs(values[0] - values[1]) < 1
    assert {fakes.parent(symbol).code for symbol in ("AAA", "BBB")} == {Code.SCALED_TO_CASH}
    assert sum(values) == pytest.approx(Decimal("13999.00") * Decimal("0.995"), abs=1)


def test_equal_buys_keep_the_same_fraction_if_one_fills_sooner() -> None:
    """What the slower one did not use yet was divided again in every tick: the faster one took 69 of 100 shares."""
    fakes = world(4_000, 200, sold_after=900)
    fakes.broker.script("BBB", RESTS)
    fakes.after(3, lambda: fakes.broker.fill_order("order-1", "60"))
    with pytest.raises(PlanYielded):
        fakes.execute(exchange(200, ("AAA", 10_000, 1), ("BBB", 10_000, 1)), seconds=60)

    half = (4_000 + 60 * Decimal("99.99")) * Decimal("0.995") / 2
    assert fakes.parent("AAA").filled_value == pytest.approx(half, abs=1)


def test_buy_that_spent_its_cash_early_is_not_cut_below_its_fills() -> None:
    """A person spends the proceeds as they arrive: the gate leaves nothing for the rest of the buy."""
    fakes = world(5_000, 160, sold_after=3)
    fakes.after(3, lambda: setattr(fakes.broker, "cash", ZERO))
    result = fakes.execute(exchange(160, ("AAA", 20_000, 1)))

    parent = fakes.parent("AAA")
    assert outcomes(result)["AAA"] == (Outcome.FILLED, Code.SCALED_TO_CASH)
    assert parent.qty == parent.filled_qty == sent(fakes, "AAA")[0]
    assert not result.success
    assert fakes.broker.cash == 0


def test_whole_shares_that_do_not_fit_any_more_cost_one_buy_its_share() -> None:
    """Each was left with a part of the price of a share: all were skipped, with all of the cash idle."""
    fakes = FakePorts()
    broker = fakes.broker
    symbols = [f"W{number}" for number in range(4)]
    broker.assets |= {symbol: Asset(symbol, "active", tradable=True, fractionable=False) for symbol in symbols}
    broker.prices |= dict.fromkeys(symbols, (Decimal("124.99"), Decimal("125.01")))
    for symbol in symbols:
        broker.script(symbol, RESTS)
        fakes.after(1, lambda s=symbol: broker.set_quote(s, "125.98", "126.00"))  # type: ignore[misc]
    broker.cash = Decimal("503")
    result = fakes.execute(a_plan(*[an_item(symbol, amount="125") for symbol in symbols]))
    assert sorted(fakes.parent(symbol).filled_qty for symbol in symbols) == [0, 1, 1, 1]
    assert [order.outcome for order in result.orders].count(Outcome.FILLED) == 3


# --- the end of a buy ------------------------------------------------------------------------------------


def test_buy_is_not_given_up_because_a_part_of_it_did_not_fill() -> None:
    """The ladder ended after the time of its last rung, although most of the buy had not been offered yet."""
    fakes = FakePorts(order_style="ladder", last_rung_seconds=10, per_symbol={"CCC": {"last_rung_seconds": 60}})
    broker = fakes.broker
    broker.cash, broker.shares = Decimal(5_000), {"CCC": Decimal(200)}
    broker.set_quote("AAA", "100.00", "100.01")
    broker.script("CCC", *[RESTS] * 3)
    broker.script("AAA", RESTS)
    fakes.after(50, lambda: broker.fill_order(next(o.id for o in broker.open_orders() if o.symbol == "CCC")))
    result = fakes.execute(exchange(200, ("AAA", 20_000, 1)))
    assert outcomes(result)["AAA"] == (Outcome.FILLED, None)


def test_rest_too_small_to_be_sent_is_not_left_behind() -> None:
    """The sell brings nothing and the early part filled below its limit: 50 cents of the budget were left."""
    fakes = FakePorts(max_children=2)
    broker = fakes.broker
    broker.cash, broker.shares = Decimal(5_000), {"CCC": Decimal(200)}
    broker.script("CCC", RESTS, RESTS)
    broker.script("AAA", RESTS)

    def fill_at_a_better_price() -> None:
        broker.orders_by_id["order-2"] = replace(broker.orders_by_id["order-2"], limit_price=Decimal(100))
        broker.fill_order("order-2")
        broker.orders_by_id["order-2"] = replace(broker.orders_by_id["order-2"], limit_price=Decimal("100.01"))

    fakes.after(2, fill_at_a_better_price)
    result = fakes.execute(exchange(200, ("AAA", 20_000, 1)))
    assert outcomes(result)["AAA"] == (Outcome.FILLED, Code.SCALED_TO_CASH)


def test_spent_cash_holds_up_no_part_that_is_still_covered() -> None:
    """A shortage was never confirmed while sells were worked: the buy waited for the last one with $4,500 at hand."""
    fakes = world(5_000, 200, sold_after=200)
    fakes.after(1, lambda: setattr(fakes.broker, "cash", fakes.broker.cash - 500))
    fakes.after(3, lambda: fakes.broker.fill_order("order-1", "50"))
    fakes.execute(exchange(200, ("AAA", 20_000, 1)))
    early = [child for child in fakes.parent("AAA").children if child.intended_at < NOW + timedelta(seconds=10)]
    assert len(early) == 2


def test_fill_that_the_account_shows_first_takes_no_dollars_from_other_buys() -> None:
    """The order of AAA fills between the two readings: its dollars counted twice, and BBB was skipped."""
    fakes = FakePorts(child_wait_seconds=900, max_children=1, early_cash_fraction="0.6")
    broker = fakes.broker
    broker.cash, broker.shares = Decimal(10_000), {"CCC": Decimal(1)}
    broker.script("CCC", RESTS)
    broker.script("AAA", RESTS)
    fakes.after(3, lambda: broker.close_order("order-1", "rejected"))
    read_account = broker.account

    def account() -> Account:
        if fakes.elapsed == 3.5:  # the reject of the sell is confirmed: the gate follows in this tick
            broker.fill_order("order-2")
        return read_account()

    broker.account = account  # type: ignore[method-assign]
    result = fakes.execute(exchange(1, ("AAA", 5_000, 1), ("BBB", 4_000, 2)))
    assert outcomes(result)["BBB"] == (Outcome.FILLED, None)


# --- controls --------------------------------------------------------------------------------------------


def test_reducing_account_ends_its_buys_and_finishes_its_sells() -> None:
    fakes = world(5_000, 100, sold_after=20)
    fakes.broker.script("AAA", RESTS)
    reducing = KillSwitchRecord(TradingState.REDUCING, by="Ada", reason="drill", at=NOW)
    fakes.after(1, lambda: fakes.journal.risk_store.set_kill_switch("main", reducing))
    result = fakes.execute(exchange(100, ("AAA", 3_000, 1), ("BBB", 30_000, 2)))

    assert outcomes(result) == {
        "CCC": (Outcome.FILLED, None),
        "AAA": (Outcome.UNFILLED, Code.REDUCING_ONLY),
        "BBB": (Outcome.DENIED, Code.REDUCING_ONLY),
    }
    assert fakes.broker.cancel_requests == ["order-2"]
    assert len(fakes.fields(LogEvent.RUN_CONCLUDING)) == 1


# --- cash at every moment --------------------------------------------------------------------------------


@property_test
@given(
    cash=st.integers(-2_000, 8_000),
    sells=st.lists(st.tuples(st.integers(1, 60), st.sampled_from([0.3, 1.2, 4, 900])), min_size=1, max_size=2),
    buys=st.lists(st.tuples(st.integers(50, 6_000), st.integers(1, 3), st.sampled_from([FILLS, RESTS])), max_size=3),
    shows_after=st.sampled_from([0, 1, 5]),
)
def test_no_order_of_events_makes_buys_exceed_cash_and_real_proceeds(
    cash: int, sells: list[tuple[int, float]], buys: list[tuple[int, int, str]], shows_after: float
) -> None:
    """Sells fill early, late or never, in two steps; the account shows the proceeds late."""
    fakes = FakePorts(child_wait_seconds=2)
    broker, check, symbols = fakes.broker, fakes.broker.before_submit, [f"S{n}" for n in range(5)]
    broker.cash = Decimal(cash)
    broker.prices |= dict.fromkeys(symbols, broker.prices["AAA"])
    broker.assets |= {symbol: replace(broker.assets["AAA"], symbol=symbol) for symbol in symbols}

    def submit(request: OrderRequest) -> None:
        check(request)
        if request.side is not BUY or request.limit_price is None:
            return
        open_buys = [o for o in broker.orders_by_id.values() if o.side == BUY and not o.is_terminal]
        held = sum(((o.qty or ZERO) - o.filled_qty) * (o.limit_price or ZERO) for o in open_buys)
        assert held + request.qty * request.limit_price <= broker.cash - broker.hidden_cash + CENTS

    broker.before_submit = submit
    items = []
    for number, (shares, delay) in enumerate(sells):
        symbol = f"S{number}"
        broker.shares[symbol] = Decimal(shares)
        broker.script(symbol, RESTS)
        fakes.after(delay, lambda s=symbol: fill_half(fakes, s, shows_after))  # type: ignore[misc]
        items.append(an_exit(symbol, amount=str(-100 * shares), current_value=str(100 * shares)))
    for number, (dollars, priority, behaviour) in enumerate(buys, 2):
        broker.script(f"S{number}", behaviour)
        items.append(an_item(f"S{number}", amount=str(dollars), priority=priority))
    result = fakes.execute(a_plan(*items, max_drift_tolerance="1"))

    assert {request.symbol for request in broker.sent} >= {f"S{number}" for number in range(len(sells))}
    assert broker.cash >= min(cash, 0)
    assert {order.outcome for order in result.orders} <= set(Outcome) - {Outcome.UNRESOLVED}


def fill_half(fakes: FakePorts, symbol: str, shows_after: float) -> None:
    """Fill half of the open order of this symbol; the account shows its proceeds later."""
    broker, before = fakes.broker, fakes.broker.cash
    for order in [o for o in broker.orders_by_id.values() if o.symbol == symbol and not o.is_terminal]:
        broker.fill_order(order.id, (order.qty or ZERO) / 2)
    received = broker.cash - before
    broker.hidden_cash += received
    fakes.after(shows_after, lambda: setattr(broker, "hidden_cash", broker.hidden_cash - received))


@property_test
@given(
    cash=st.integers(0, 20_000),
    shares=st.integers(0, 100),
    parts=st.lists(st.integers(1, 100), min_size=1, max_size=4),
    whole=st.booleans(),
)
def test_fully_invested_plan_leaves_at_most_a_share_and_rounding(
    cash: int, shares: int, parts: list[int], *, whole: bool
) -> None:
    """The buys ask for a tenth more than there is; the sell fills at once."""
    fakes, symbols = FakePorts(cash_buffer=0), [f"S{number}" for number in range(len(parts) + 1)]
    broker = fakes.broker
    broker.prices |= dict.fromkeys(symbols, broker.prices["AAA"])
    asset = replace(broker.assets["AAA"], fractionable=not whole)
    broker.assets |= {symbol: replace(asset, symbol=symbol) for symbol in symbols}
    broker.cash, broker.shares["S0"] = Decimal(cash), Decimal(shares)
    total = Decimal("1.1") * (cash + 100 * shares) + 200
    amounts = [(total * part / sum(parts)).quantize(CENTS) for part in parts]
    items = [an_item(symbol, amount=str(amount)) for symbol, amount in zip(symbols[1:], amounts, strict=True)]
    if shares:
        items.append(an_exit("S0", amount=str(-100 * shares), current_value=str(100 * shares)))
    fakes.execute(a_plan(*items, max_drift_tolerance="1"))

    smallest_order = Decimal("1.03") * len(parts)
    assert 0 <= broker.cash < (Decimal("100.01") if whole else smallest_order)
