"""Submissions without an answer, orders that are not ours, and buys beyond the budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import JournalUnavailable, OverfillGuard, PlanYielded, RateLimited
from rebalance_executor.domain.market import OrderRequest, OrderType, Quote
from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome
from rebalance_executor.domain.risk_state import KillSwitchRecord, TradingState
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.run import Run
from rebalance_executor.execution.sender import Sender, TickActions
from tests.support.builders import NOW, a_child, a_filled_child, a_parent, a_plan, an_item, an_order_of, later
from tests.support.fake_ports import (
    ANSWER_LOST_FILLS,
    CANCEL_STUCK,
    REQUEST_LOST,
    RESTS,
    FakePorts,
    outcomes,
    rejection,
)
from tests.support.runs import a_run


def halt(fakes: FakePorts) -> None:
    fakes.journal.risk_store.set_kill_switch(
        "main", KillSwitchRecord(TradingState.HALTED, by="Ada", reason="drill", at=fakes.clock.now())
    )


def before_each(fakes: FakePorts, happen: Callable[[OrderRequest], object]) -> None:
    """Call ``happen`` when an order is sent, after the check that the journal holds it."""
    check = fakes.broker.before_submit

    def submit(request: OrderRequest) -> None:
        check(request)
        happen(request)

    fakes.broker.before_submit = submit


# --- not ours --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"qty": Decimal(7)}, "buy 7 AAA"),
        ({"side": "sell"}, "sell 10 AAA"),
        ({"qty": None}, "buy an unknown quantity of AAA"),
    ],
)
def test_order_with_our_id_and_other_content_is_unresolved(fields: dict[str, Any], words: str) -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", REQUEST_LOST)
    before_each(fakes, lambda request: fakes.broker.add_order(an_order_of(request, **fields)))
    result = fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert outcomes(result) == {"AAA": (Outcome.UNRESOLVED, Code.CLIENT_ORDER_ID_MISMATCH)}
    parent = fakes.parent("AAA")
    assert parent.message is not None
    sent = fakes.broker.sent[0].client_order_id
    assert parent.message.startswith(f"{sent} is order order-x")
    assert words in parent.message
    assert fakes.broker.cancel_requests == ["order-x"]
    assert parent.settled_at == later(1)
    assert len(fakes.broker.sent) == 1
    assert [fields["symbol"] for fields in fakes.fields(LogEvent.ITEM_UNRESOLVED)] == ["AAA"]


# --- unknown ---------------------------------------------------------------------------------------------


def test_concluding_run_waits_for_the_arrival_horizon_without_resending() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", REQUEST_LOST)
    before_each(fakes, lambda _: fakes.after(0.2, lambda: halt(fakes)))
    before_each(fakes, lambda _: fakes.clock.sleep(timedelta(seconds=6)))  # a long request: the switch is read again
    states: list[ChildState] = []
    fakes.after(100, lambda: states.append(fakes.parent("AAA").children[0].state))
    result = fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert outcomes(result) == {"AAA": (Outcome.DENIED, Code.HALTED)}
    assert states == [ChildState.UNKNOWN]
    (child,) = fakes.parent("AAA").children
    assert child.state is ChildState.NOT_SENT
    assert fakes.elapsed == 6 + 120  # counted from the submission
    assert len(fakes.broker.sent) == 1


def test_arrival_horizon_counts_from_the_submission() -> None:
    """An order may be journalled most of a minute before it is sent."""
    fakes = FakePorts()
    fakes.broker.market = replace(fakes.broker.market, next_close=later(105))
    fakes.broker.rate_limited_until = later(100)
    fakes.broker.script("AAA", REQUEST_LOST)
    before_each(fakes, lambda _: fakes.clock.sleep(timedelta(seconds=6)))
    result = fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert outcomes(result) == {"AAA": (Outcome.DENIED, Code.MARKET_CLOSED)}
    assert fakes.elapsed == 106 + 120
    assert fakes.parent("AAA").children[0].latest_send == later(106)


def test_intended_orders_of_a_killed_run_are_unknown_until_the_next_run() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", RuntimeError("the process died"))
    plan = a_plan(an_item("AAA", amount="1000"))
    with pytest.raises(RuntimeError):
        fakes.execute(plan)
    assert [child.state for child in fakes.parent("AAA").children] == [ChildState.INTENDED]

    fakes.clock.sleep(timedelta(seconds=300))
    fakes.broker.blocked_by = "trading_blocked"
    result = fakes.execute(plan, run_id="run-2")

    assert outcomes(result) == {"AAA": (Outcome.DENIED, Code.ACCOUNT_BLOCKED)}
    assert fakes.elapsed == 300 + 120
    assert len(fakes.broker.sent) == 1


def test_order_of_a_killed_run_is_found_in_the_list_an_hour_later() -> None:
    """Looking it up by ID would take one request per order."""
    fakes = FakePorts()
    fakes.broker.script("AAA", RuntimeError("the process died"))
    before_each(fakes, lambda request: fakes.broker.add_order(an_order_of(request)))
    plan = a_plan(an_item("AAA", amount="1000"))
    with pytest.raises(RuntimeError):
        fakes.execute(plan)
    fakes.broker.fill_order("order-x")
    fakes.clock.sleep(timedelta(hours=1))
    result = fakes.execute(plan, run_id="run-2")

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert "order_by_client_id" not in {name for name, _ in fakes.broker.reads}


def test_live_orders_are_listed_from_their_submission() -> None:
    """A plan of an hour has a long list of orders, and each look reads at least one page."""
    fakes = FakePorts()
    fakes.broker.script("AAA", RESTS, RESTS)
    fakes.execute(a_plan(an_item("AAA", amount="1000")))
    looks = [cast("tuple[list[str], datetime]", what)[1] for name, what in fakes.broker.reads if name == "orders"]

    second = fakes.broker.orders_by_id["order-2"].submitted_at
    assert second is not None
    assert second > NOW
    assert max(looks) == second - timedelta(minutes=10)


def test_lost_order_that_arrives_while_concluding_is_canceled() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", REQUEST_LOST)
    before_each(fakes, lambda request: fakes.after(60, lambda: fakes.broker.add_order(an_order_of(request))))
    before_each(fakes, lambda _: fakes.after(0.2, lambda: halt(fakes)))
    before_each(fakes, lambda _: fakes.clock.sleep(timedelta(seconds=6)))
    result = fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert outcomes(result) == {"AAA": (Outcome.UNFILLED, Code.HALTED)}
    assert fakes.broker.cancel_requests == ["order-x"]
    assert fakes.elapsed < 65


def test_resend_is_journalled_with_its_time_before_it_is_sent() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", REQUEST_LOST)
    journalled: list[ChildOrder] = []
    before_each(fakes, lambda _: journalled.extend(fakes.parent("AAA").children))
    fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert [(child.state, child.latest_send, child.resent) for child in journalled] == [
        (ChildState.INTENDED, NOW, False),
        (ChildState.INTENDED, later(0.5), True),
    ]


def test_resend_that_was_not_sent_leaves_the_first_unknown() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", REQUEST_LOST, RateLimited("slow down", retry_at=later(3600)))
    with pytest.raises(PlanYielded):
        fakes.execute(a_plan(an_item("AAA", amount="1000")), seconds=60)

    (child,) = fakes.parent("AAA").children
    assert (child.state, child.resent) == (ChildState.UNKNOWN, True)


def test_unknown_order_is_looked_up_after_a_tick() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", ANSWER_LOST_FILLS)
    fakes.execute(a_plan(an_item("AAA", amount="1000"), an_item("BBB", amount="1000")))
    assert fakes.slept == [0.5]

    fakes = FakePorts()
    fakes.broker.script("AAA", rejection())
    fakes.execute(a_plan(an_item("AAA", amount="1000"), an_item("BBB", amount="1000")))
    assert fakes.slept == []


def test_early_yield_waits_a_bounded_time_for_cancels() -> None:
    """It waits as long as the margin between stop and give-up, not until the end of the invocation."""
    fakes = FakePorts(child_wait_seconds=300)
    fakes.broker.script("AAA", CANCEL_STUCK)

    def ask() -> None:
        fakes.stop_requested = True

    fakes.after(2, ask)
    with pytest.raises(PlanYielded):
        fakes.execute(a_plan(an_item("AAA", amount="1000")), seconds=60)

    assert 2 <= fakes.elapsed <= 2 + 60 / 5 + 1
    assert fakes.parent("AAA").children[0].state is ChildState.LIVE


# --- last checks -----------------------------------------------------------------------------------------


def send(fakes: FakePorts, run: Run) -> bool:
    access = AccountAccess.create("main", fakes.broker, fakes.ports, fakes.config)
    return Sender(run, access).send(TickActions(submits=["AAA"]))


def run_of(*children: ChildOrder) -> Run:
    return a_run(replace(a_parent(*children), symbol="AAA"), seconds=300)


def test_order_that_would_exceed_its_parent_is_not_sent() -> None:
    fakes = FakePorts()
    run = run_of(a_filled_child(qty="6"), a_child(ChildState.INTENDED, attempt=2, qty="5"))
    with pytest.raises(OverfillGuard, match="11") as caught:
        send(fakes, run)

    assert caught.value.context == {"symbol": "AAA", "exposure": Decimal(11), "qty": Decimal(10)}
    assert fakes.broker.sent == []


def test_kill_switch_that_took_too_long_to_read_sends_nothing() -> None:
    """By then another run may hold the lease."""
    fakes = FakePorts()
    run = run_of(a_child(ChildState.INTENDED, bid=Decimal("9.99"), ask=Decimal("10.01")))
    fakes.database_delays["risk_store.kill_switch"] = [300]
    assert not send(fakes, run)

    assert fakes.broker.sent == []


# --- beyond the funds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["marketable_limit", "market"])
def test_higher_price_buys_fewer_shares(style: str) -> None:
    """Two orders rest and both prices rise: both get the same smaller part of the funds."""
    fakes = FakePorts(order_style=style, child_wait_seconds=1, cash_buffer=0, price_collar="0.02", limit_collar="0.02")
    fakes.broker.cash = Decimal(2_001)
    fakes.broker.script("AAA", RESTS)
    fakes.broker.script("BBB", RESTS)

    def rise() -> None:
        fakes.broker.set_quote("AAA", "100.99", "101.01")
        fakes.broker.set_quote("BBB", "100.99", "101.01")

    fakes.after(0.7, rise)
    fakes.execute(a_plan(an_item("AAA", amount="1000"), an_item("BBB", amount="1000")))

    again = {request.symbol: request for request in fakes.broker.sent[2:4]}
    worst = Decimal("101.01") * (1 if style == "marketable_limit" else Decimal("1.05"))
    half = (Decimal(2_001) / 2 / worst).quantize(Decimal("0.000001"), "ROUND_DOWN")
    assert (again["AAA"].qty, again["BBB"].qty) == (half, half)
    assert {request.type for request in again.values()} == {
        OrderType.LIMIT if style == "marketable_limit" else OrderType.MARKET
    }


def collared(fakes: FakePorts) -> Decimal:
    """Return the worst price that is reserved for a market order."""
    arrival = fakes.parent("AAA").arrival
    assert arrival is not None
    return arrival.mid * (1 + ExecutionConfig.model_validate(fakes.config).widest_collar)


def test_repeatedly_lost_order_is_sent_less_often() -> None:
    """Reads succeed in between, so no circuit opens; without a pause each tick would send an order."""
    fakes = FakePorts()
    fakes.broker.script("AAA", *[REQUEST_LOST] * 4)
    fakes.broker.before_submit = lambda _: sent_at.append(fakes.elapsed)
    sent_at: list[float] = []
    result = fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert sent_at == [0, 0.5, 5.5, 10.5, 15.5]
    assert len({request.client_order_id for request in fakes.broker.sent}) == 1


# --- left by an earlier run ------------------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone."""


def test_next_run_sends_the_cancel_of_a_killed_run() -> None:
    fakes = FakePorts(child_wait_seconds=1, cancel_wait_seconds=10)
    fakes.broker.script("AAA", CANCEL_STUCK)
    plan = a_plan(an_item("AAA", amount="1000"))
    fakes.broker.errors["cancel"] = [cast("Exception", Killed())]
    with pytest.raises(Killed):
        fakes.execute(plan, seconds=60)
    fakes.clock.sleep(timedelta(seconds=90))
    result = fakes.execute(plan, run_id="run-2")

    assert outcomes(result) == {"AAA": (Outcome.UNRESOLVED, Code.CANCEL_UNCONFIRMED)}
    assert fakes.broker.cancel_requests == ["order-1", "order-1"]
    assert fakes.parent("AAA").settled_at == later(91 + 3)  # what is left of the ten seconds since the first request


def test_cancel_that_found_nothing_is_sent_again_while_the_order_is_live() -> None:
    fakes = FakePorts(child_wait_seconds=1, cancel_wait_seconds=10)
    fakes.broker.script("AAA", RESTS)
    fakes.broker.cancels_not_found = 1
    result = fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}  # by the order that followed
    assert fakes.broker.cancel_requests == ["order-1", "order-1"]


def test_order_that_cannot_be_canceled_ends_unresolved_after_the_wait() -> None:
    fakes = FakePorts(child_wait_seconds=1, cancel_wait_seconds=10)
    fakes.broker.script("AAA", RESTS)
    fakes.broker.cancels_not_found = 100
    result = fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert outcomes(result) == {"AAA": (Outcome.UNRESOLVED, Code.CANCEL_UNCONFIRMED)}
    assert fakes.parent("AAA").settled_at == later(11)
    assert len(fakes.broker.cancel_requests) == 5  # every two seconds


def test_order_missing_from_the_list_is_looked_up_by_id() -> None:
    """Of two open orders, only the missing one is looked up."""
    fakes = FakePorts(child_wait_seconds=60)
    fakes.broker.script("AAA", RESTS)
    fakes.broker.script("BBB", RESTS)
    old = {"order-1": NOW - timedelta(days=1)}  # submitted before the time from which orders are listed

    def hide_and_fill() -> None:
        for order_id in ("order-1", "order-2"):
            fakes.broker.fill_order(order_id)
            submitted_at = old.get(order_id, NOW)
            fakes.broker.orders_by_id[order_id] = replace(
                fakes.broker.orders_by_id[order_id], submitted_at=submitted_at
            )

    fakes.after(2, hide_and_fill)
    result = fakes.execute(a_plan(an_item("AAA", amount="1000"), an_item("BBB", amount="1000")))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.FILLED, None)}
    asked = [what for name, what in fakes.broker.reads if name == "order_by_client_id"]
    assert asked == [fakes.broker.sent[0].client_order_id] * 2  # in the tick and in the reconciliation
    lists = [what for name, what in fakes.broker.reads if name == "orders"]
    assert lists[0] == (["AAA", "BBB"], NOW - timedelta(minutes=10))


def test_filled_value_reduces_the_funds_of_the_next_child() -> None:
    fakes = FakePorts(child_wait_seconds=1, cash_buffer=0)
    fakes.broker.cash = Decimal(2_001)
    fakes.broker.script("BBB", RESTS)
    fakes.after(0.7, lambda: fakes.broker.set_quote("BBB", "100.99", "101.01"))
    fakes.execute(a_plan(an_item("AAA", amount="1000"), an_item("BBB", amount="1000")))

    left = Decimal(2_001) - Decimal(10) * Decimal("100.01")
    assert fakes.broker.sent[2].qty == (left / Decimal("101.01")).quantize(Decimal("0.000001"), "ROUND_DOWN")


# --- kill switch -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "code"), [(TradingState.HALTED, Code.HALTED), (TradingState.REDUCING, Code.REDUCING_ONLY)]
)
def test_kill_switch_is_checked_last_and_concludes_the_run(state: TradingState, code: Code) -> None:
    fakes = FakePorts()
    fakes.journal.risk_store.set_kill_switch("main", KillSwitchRecord(state, by="Ada", reason="drill", at=NOW))
    run = run_of(a_child(ChildState.INTENDED, bid=Decimal("9.99"), ask=Decimal("10.01")))
    assert send(fakes, run)

    assert fakes.broker.sent == []
    denial = run.denial if state is TradingState.HALTED else run.buys_denial  # a reducing account may still sell
    assert denial is not None
    assert denial.code is code
    (concluding,) = fakes.fields(LogEvent.RUN_CONCLUDING)
    assert (concluding["code"], "Ada" in str(concluding["reason"])) == (code, True)


def test_unreadable_kill_switch_yields() -> None:
    fakes = FakePorts()
    fakes.database_errors["risk_store.kill_switch"] = [JournalUnavailable("the table does not answer")]
    run = run_of(a_child(ChildState.INTENDED, bid=Decimal("9.99"), ask=Decimal("10.01")))
    send(fakes, run)

    assert fakes.broker.sent == []
    assert run.yielding is not None
    assert "the table does not answer" in run.yielding.reason
    assert run.is_over(NOW)


def test_plan_ends_at_its_time_limit() -> None:
    fakes = FakePorts(plan_time_limit_minutes=1, child_wait_seconds=300)
    fakes.broker.script("AAA", RESTS)
    result = fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert outcomes(result) == {"AAA": (Outcome.UNFILLED, Code.TIME_LIMIT)}
    assert fakes.parent("AAA").settled_at == later(61)
    (closed,) = fakes.fields(LogEvent.ORDER_CANCELED)
    assert (closed["symbol"], closed["status"]) == ("AAA", "canceled")


# --- our own order, changed at the broker ----------------------------------------------------------------


def test_own_order_with_a_changed_quantity_is_canceled() -> None:
    fakes = FakePorts(child_wait_seconds=600)
    fakes.broker.script("AAA", RESTS)

    def change() -> None:
        order = fakes.broker.orders_by_id["order-1"]
        fakes.broker.orders_by_id["order-1"] = replace(order, qty=Decimal(3))

    fakes.after(3, change)
    result = fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert outcomes(result) == {"AAA": (Outcome.UNRESOLVED, Code.CLIENT_ORDER_ID_MISMATCH)}
    assert fakes.broker.cancel_requests == ["order-1"]


# --- a look before a long wait ---------------------------------------------------------------------------


def test_order_is_judged_by_its_last_look_and_not_by_a_wait_since_then() -> None:
    """The rate limit is waited for between the look and the decisions, for longer than a cancel may take."""
    fakes = FakePorts(child_wait_seconds=1, cancel_wait_seconds=10)
    fakes.broker.script("AAA", CANCEL_STUCK)
    fakes.broker.script("BBB", RESTS)
    waits = [timedelta(seconds=60)]
    quotes = fakes.broker.quotes

    def slow_quotes(symbols: Sequence[str]) -> Mapping[str, Quote]:
        if fakes.broker.cancel_requests and waits:
            fakes.clock.sleep(waits.pop())
            order = fakes.broker.orders_by_id["order-1"]
            fakes.broker.orders_by_id["order-1"] = replace(order, status="canceled", closed_at=fakes.clock.now())
        return quotes(symbols)

    fakes.broker.quotes = slow_quotes  # type: ignore[method-assign]
    result = fakes.execute(a_plan(an_item("AAA", amount="1000"), an_item("BBB", amount="1000")))

    assert outcomes(result)["AAA"] == (Outcome.FILLED, None)
    assert waits == []


# --- a repetition that waits for the rate limit ----------------------------------------------------------


def test_repetition_that_waited_for_the_rate_limit_is_covered_again_before_it_is_sent() -> None:
    """While it waited, another person sold the shares."""
    fakes = FakePorts()
    fakes.broker.shares["AAA"] = Decimal(10)
    fakes.broker.script("AAA", REQUEST_LOST, RateLimited("slow down", retry_at=later(30)))
    fakes.after(10, fakes.broker.shares.clear)
    fakes.execute(a_plan(an_item("AAA", action="SELL", amount="-1000")))

    assert len(fakes.broker.sent) == 2, "the lost submission, and the one that the rate limit refused"
