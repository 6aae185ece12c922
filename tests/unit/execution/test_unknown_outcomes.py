"""What is not known, not ours or not affordable: nothing is guessed, and nothing leaves that could be one too many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import JournalUnavailable, OverfillGuard, PlanYielded, RateLimited
from rebalance_executor.domain.market import ZERO, BrokerOrder, OrderRequest, OrderType
from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome
from rebalance_executor.domain.risk_state import KillSwitchRecord, TradingState
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.run import Run
from rebalance_executor.execution.sender import Sender, TickActions
from tests.support.builders import NOW, a_child, a_filled_child, a_parent, a_plan, an_item, later
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
    """Let something happen as an order goes out, beside the check that the journal holds it."""
    check = fakes.broker.before_submit

    def submit(request: OrderRequest) -> None:
        check(request)
        happen(request)

    fakes.broker.before_submit = submit


def as_at_the_broker(request: OrderRequest, **fields: Any) -> BrokerOrder:
    """The order that this request would have become."""
    order = BrokerOrder(
        id="order-x",
        client_order_id=request.client_order_id,
        symbol=request.symbol,
        side=request.side,
        type=request.type,
        status="new",
        qty=request.qty,
        filled_qty=ZERO,
        filled_avg_price=None,
        limit_price=request.limit_price,
        submitted_at=NOW,
        closed_at=None,
    )
    return replace(order, **fields)


# --- not ours --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"qty": Decimal(7)}, "buy 7 AAA"),
        ({"side": "sell"}, "sell 10 AAA"),
        ({"qty": None}, "buy an unknown quantity of AAA"),
    ],
)
def test_an_order_with_our_id_that_is_not_what_was_journalled_is_left_to_a_person(
    fields: dict[str, Any], words: str
) -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", REQUEST_LOST)
    before_each(fakes, lambda request: fakes.broker.add_order(as_at_the_broker(request, **fields)))
    result = fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert outcomes(result) == {"AAA": (Outcome.UNRESOLVED, Code.CLIENT_ORDER_ID_MISMATCH)}
    parent = fakes.parent("AAA")
    assert parent.message is not None
    sent = fakes.broker.sent[0].client_order_id
    assert parent.message.startswith(f"{sent} is order order-x")
    assert words in parent.message
    assert parent.settled_at == later(0.5)
    assert len(fakes.broker.sent) == 1
    assert [fields["symbol"] for fields in fakes.fields(LogEvent.ITEM_UNRESOLVED)] == ["AAA"]


# --- not known -------------------------------------------------------------------------------------------


def test_a_run_that_concludes_does_not_repeat_a_lost_order_and_waits_until_it_can_no_longer_appear() -> None:
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


def test_an_order_that_waited_for_its_turn_is_looked_for_as_long_as_any_other_once_it_was_sent() -> None:
    """It may be journalled most of a minute before it is sent; what it can still do counts from the sending."""
    fakes = FakePorts()
    fakes.broker.market = replace(fakes.broker.market, next_close=later(105))
    fakes.broker.rate_limited_until = later(100)
    fakes.broker.script("AAA", REQUEST_LOST)
    before_each(fakes, lambda _: fakes.clock.sleep(timedelta(seconds=6)))
    result = fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert outcomes(result) == {"AAA": (Outcome.DENIED, Code.MARKET_CLOSED)}
    assert fakes.elapsed == 106 + 120
    assert fakes.parent("AAA").children[0].latest_send == later(106)


def test_what_a_dead_run_intended_may_have_been_sent_until_the_next_one_began() -> None:
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


def test_what_a_dead_run_sent_is_found_an_hour_later_in_the_list_of_orders() -> None:
    """Not by its id, which would take a request for each."""
    fakes = FakePorts()
    fakes.broker.script("AAA", RuntimeError("the process died"))
    before_each(fakes, lambda request: fakes.broker.add_order(as_at_the_broker(request)))
    plan = a_plan(an_item("AAA", amount="1000"))
    with pytest.raises(RuntimeError):
        fakes.execute(plan)
    fakes.broker.fill_order("order-x")
    fakes.clock.sleep(timedelta(hours=1))
    result = fakes.execute(plan, run_id="run-2")

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert "order_by_client_id" not in {name for name, _ in fakes.broker.reads}


def test_a_live_order_is_listed_from_its_sending_on_and_not_from_the_begin_of_the_plan() -> None:
    """A plan of an hour has a long list, and each look reads one page of it at the least."""
    fakes = FakePorts()
    fakes.broker.script("AAA", RESTS, RESTS)
    fakes.execute(a_plan(an_item("AAA", amount="1000")))
    looks = [cast("tuple[list[str], datetime]", what)[1] for name, what in fakes.broker.reads if name == "orders"]

    second = fakes.broker.orders_by_id["order-2"].submitted_at
    assert second is not None
    assert second > NOW
    assert max(looks) == second - timedelta(minutes=10)


def test_a_lost_order_that_appears_while_the_run_concludes_is_cancelled() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", REQUEST_LOST)
    before_each(fakes, lambda request: fakes.after(60, lambda: fakes.broker.add_order(as_at_the_broker(request))))
    before_each(fakes, lambda _: fakes.after(0.2, lambda: halt(fakes)))
    before_each(fakes, lambda _: fakes.clock.sleep(timedelta(seconds=6)))
    result = fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert outcomes(result) == {"AAA": (Outcome.UNFILLED, Code.HALTED)}
    assert fakes.broker.cancel_requests == ["order-x"]
    assert fakes.elapsed < 65


def test_a_repetition_is_journalled_with_its_own_time_before_it_goes_out() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", REQUEST_LOST)
    journalled: list[ChildOrder] = []
    before_each(fakes, lambda _: journalled.extend(fakes.parent("AAA").children))
    fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert [(child.state, child.latest_send, child.resent) for child in journalled] == [
        (ChildState.INTENDED, NOW, False),
        (ChildState.INTENDED, later(0.5), True),
    ]


def test_a_repetition_that_could_not_go_out_leaves_the_first_submission_unknown() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", REQUEST_LOST, RateLimited("slow down", retry_at=later(3600)))
    with pytest.raises(PlanYielded):
        fakes.execute(a_plan(an_item("AAA", amount="1000")), seconds=60)

    (child,) = fakes.parent("AAA").children
    assert (child.state, child.resent) == (ChildState.UNKNOWN, True)


def test_an_unknown_order_is_looked_for_after_a_tick_and_an_answered_one_at_once() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", ANSWER_LOST_FILLS)
    fakes.execute(a_plan(an_item("AAA", amount="1000"), an_item("BBB", amount="1000")))
    assert fakes.slept == [0.5]

    fakes = FakePorts()
    fakes.broker.script("AAA", rejection())
    fakes.execute(a_plan(an_item("AAA", amount="1000"), an_item("BBB", amount="1000")))
    assert fakes.slept == []


def test_a_run_that_breaks_off_waits_a_bounded_time_for_its_cancels() -> None:
    """As long as there is between stopping and giving up, and not until the end of the invocation."""
    fakes = FakePorts(child_wait_seconds=300)
    fakes.broker.script("AAA", CANCEL_STUCK)

    def ask() -> None:
        fakes.stop_requested = True

    fakes.after(2, ask)
    with pytest.raises(PlanYielded):
        fakes.execute(a_plan(an_item("AAA", amount="1000")), seconds=60)

    assert 2 <= fakes.elapsed <= 2 + 60 / 5 + 1
    assert fakes.parent("AAA").children[0].state is ChildState.LIVE


# --- one too many ----------------------------------------------------------------------------------------


def send(fakes: FakePorts, run: Run) -> bool:
    access = AccountAccess.to("main", fakes.broker, fakes.ports, fakes.config)
    return Sender(run, access).send(TickActions(submits=["AAA"]))


def run_of(*children: ChildOrder) -> Run:
    return a_run(replace(a_parent(*children), symbol="AAA"), seconds=300)


def test_an_order_that_would_exceed_its_parent_is_an_error_and_is_not_sent() -> None:
    fakes = FakePorts()
    run = run_of(a_filled_child(qty="6"), a_child(ChildState.INTENDED, attempt=2, qty="5"))
    with pytest.raises(OverfillGuard, match="11") as caught:
        send(fakes, run)

    assert caught.value.context == {"symbol": "AAA", "exposure": Decimal(11), "qty": Decimal(10)}
    assert fakes.broker.sent == []


def test_a_switch_that_took_too_long_to_read_lets_nothing_out() -> None:
    """By then another run may hold the lease."""
    fakes = FakePorts()
    run = run_of(a_child(ChildState.INTENDED, bid=Decimal("9.99"), ask=Decimal("10.01")))
    fakes.database_delays["risk_store.kill_switch"] = [300]
    assert not send(fakes, run)

    assert fakes.broker.sent == []


# --- more than there is ----------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["marketable_limit", "market"])
def test_a_price_that_ran_away_is_paid_for_with_fewer_shares(style: str) -> None:
    """Two orders rest, both prices rise: what the first one costs now is missing to the second."""
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
    worst = Decimal("101.01") if style == "marketable_limit" else collared(fakes)
    first = again["AAA"].qty
    assert first == fakes.parent("AAA").qty
    assert again["BBB"].qty == ((Decimal(2_001) - first * worst) / worst).quantize(Decimal("0.000001"), "ROUND_DOWN")
    assert {request.type for request in again.values()} == {
        OrderType.LIMIT if style == "marketable_limit" else OrderType.MARKET
    }


def collared(fakes: FakePorts) -> Decimal:
    """The worst price that a market order is reckoned with."""
    arrival = fakes.parent("AAA").arrival
    assert arrival is not None
    return arrival.mid * (1 + ExecutionConfig.model_validate(fakes.config).widest_collar)


def test_an_order_that_is_lost_again_and_again_is_sent_less_often() -> None:
    """Reads succeed between, so that no circuit opens: every tick would look and send until the minute is used up."""
    fakes = FakePorts()
    fakes.broker.script("AAA", *[REQUEST_LOST] * 4)
    fakes.broker.before_submit = lambda _: sent_at.append(fakes.elapsed)
    sent_at: list[float] = []
    result = fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert sent_at == [0, 0.5, 5.5, 10.5, 15.5]
    assert len({request.client_order_id for request in fakes.broker.sent}) == 1


# --- what an earlier run left behind ---------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone: nothing of it runs on."""


def test_a_cancel_that_died_with_its_run_is_asked_for_by_the_next_one_and_waited_for() -> None:
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
    assert fakes.parent("AAA").settled_at == later(91 + 3)  # of the ten seconds of the first request only that is left


def test_a_cancel_that_found_nothing_is_asked_for_again_while_the_order_rests() -> None:
    fakes = FakePorts(child_wait_seconds=1, cancel_wait_seconds=10)
    fakes.broker.script("AAA", RESTS)
    fakes.broker.cancels_not_found = 1
    result = fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}  # by the order that followed
    assert fakes.broker.cancel_requests == ["order-1", "order-1"]


def test_an_order_that_can_never_be_cancelled_is_given_up_when_its_wait_is_over() -> None:
    fakes = FakePorts(child_wait_seconds=1, cancel_wait_seconds=10)
    fakes.broker.script("AAA", RESTS)
    fakes.broker.cancels_not_found = 100
    result = fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert outcomes(result) == {"AAA": (Outcome.UNRESOLVED, Code.CANCEL_UNCONFIRMED)}
    assert fakes.parent("AAA").settled_at == later(11)
    assert len(fakes.broker.cancel_requests) == 5  # every two seconds


def test_an_order_that_the_list_does_not_show_is_looked_up_by_its_id() -> None:
    """Of two that rest, the one that is shown is not asked for again."""
    fakes = FakePorts(child_wait_seconds=60)
    fakes.broker.script("AAA", RESTS)
    fakes.broker.script("BBB", RESTS)
    old = {"order-1": NOW - timedelta(days=1)}  # what the broker says of it is before the time that is asked for

    def hide_and_fill() -> None:
        for order_id in ("order-1", "order-2"):
            fakes.broker.fill_order(order_id)
            submitted_at = old.get(order_id, NOW)
            fakes.broker.orders_by_id[order_id] = replace(
                fakes.broker.orders_by_id[order_id], submitted_at=submitted_at
            )

    fakes.after(2, hide_and_fill)
    result = fakes.execute(a_plan(an_item("AAA", amount="1000"), an_item("BBB", amount="1000")))

    assert {symbol: outcome for symbol, (outcome, _) in outcomes(result).items()}["BBB"] is Outcome.FILLED
    asked = [what for name, what in fakes.broker.reads if name == "order_by_client_id"]
    assert asked == [fakes.broker.sent[0].client_order_id]
    lists = [what for name, what in fakes.broker.reads if name == "orders"]
    assert lists[0] == (["AAA", "BBB"], NOW - timedelta(minutes=10))


def test_what_is_filled_already_is_missing_to_what_is_priced_anew() -> None:
    fakes = FakePorts(child_wait_seconds=1, cash_buffer=0)
    fakes.broker.cash = Decimal(2_001)
    fakes.broker.script("BBB", RESTS)
    fakes.after(0.7, lambda: fakes.broker.set_quote("BBB", "100.99", "101.01"))
    fakes.execute(a_plan(an_item("AAA", amount="1000"), an_item("BBB", amount="1000")))

    left = Decimal(2_001) - Decimal(10) * Decimal("100.01")
    assert fakes.broker.sent[2].qty == (left / Decimal("101.01")).quantize(Decimal("0.000001"), "ROUND_DOWN")


# --- the last look ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "code"), [(TradingState.HALTED, Code.HALTED), (TradingState.REDUCING, Code.REDUCING_ONLY)]
)
def test_the_switch_is_looked_at_last_of_all_and_ends_the_run(state: TradingState, code: Code) -> None:
    fakes = FakePorts()
    fakes.journal.risk_store.set_kill_switch("main", KillSwitchRecord(state, by="Ada", reason="drill", at=NOW))
    run = run_of(a_child(ChildState.INTENDED, bid=Decimal("9.99"), ask=Decimal("10.01")))
    assert send(fakes, run)

    assert fakes.broker.sent == []
    assert run.denial is not None
    assert run.denial.code is code
    (concluding,) = fakes.fields(LogEvent.RUN_CONCLUDING)
    assert (concluding["code"], "Ada" in str(concluding["reason"])) == (code, True)


def test_a_switch_that_cannot_be_read_breaks_the_run_off() -> None:
    fakes = FakePorts()
    fakes.database_errors["risk_store.kill_switch"] = [JournalUnavailable("the table does not answer")]
    run = run_of(a_child(ChildState.INTENDED, bid=Decimal("9.99"), ask=Decimal("10.01")))
    send(fakes, run)

    assert fakes.broker.sent == []
    assert run.yielding is not None
    assert run.yielding.reason == "the kill switch cannot be read: the table does not answer"
    assert run.is_over(NOW)


def test_a_plan_ends_at_its_time_limit() -> None:
    fakes = FakePorts(plan_time_limit_minutes=1, child_wait_seconds=300)
    fakes.broker.script("AAA", RESTS)
    result = fakes.execute(a_plan(an_item("AAA", amount="1000")))

    assert outcomes(result) == {"AAA": (Outcome.UNFILLED, Code.TIME_LIMIT)}
    assert fakes.parent("AAA").settled_at == later(60.5)
    (closed,) = fakes.fields(LogEvent.ORDER_CANCELED)
    assert (closed["symbol"], closed["status"]) == ("AAA", "canceled")
