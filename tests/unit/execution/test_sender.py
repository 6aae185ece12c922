"""The sender: every kind of answer, and the last checks before an order is sent."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import (
    BrokerUnavailable,
    CircuitOpen,
    CredentialsRejected,
    DuplicateClientOrderId,
    JournalUnavailable,
    PlanYielded,
    RateLimited,
)
from rebalance_executor.domain.journal import RunEnd
from rebalance_executor.domain.market import Auction, AuctionKind, BrokerOrder, OrderRequest, TimeInForce
from rebalance_executor.domain.orders import ChildState, Outcome
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.risk_state import PROGRAM, KillSwitchRecord, TradingState
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.sender import Sender
from tests.support.builders import NOW, a_child, a_parent, a_plan, an_exit, an_item, later
from tests.support.fake_ports import (
    ANSWER_LOST_FILLS,
    ANSWER_LOST_RESTS,
    CANCEL_STUCK,
    FILLS,
    REJECTS_LATER,
    REQUEST_LOST,
    RESTS,
    FakePorts,
    outcomes,
    rejection,
)
from tests.support.runs import a_run


def buys(*symbols: str, amount: str = "1000") -> RebalancePlan:
    return a_plan(*(an_item(symbol, amount=amount) for symbol in symbols))


# --- rejects ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "logged"), [(40310000, "40310000"), (None, "403")])
def test_reject_settles_the_item_with_the_brokers_message(code: int | None, logged: str) -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", rejection(403, code))
    result = fakes.execute(buys("AAA", "BBB"))

    assert outcomes(result) == {"AAA": (Outcome.REJECTED, Code.REJECTED), "BBB": (Outcome.FILLED, None)}
    (child,) = fakes.parent("AAA").children
    assert (child.state, child.status, child.error_code, child.closed_at) == (
        ChildState.REJECTED,
        "rejected",
        logged,
        NOW,
    )
    reason = f"account is not allowed to trade (HTTP 403, code {code})"
    assert (child.error_message, fakes.parent("AAA").message) == (reason, reason)
    (rejected,) = fakes.fields(LogEvent.ORDER_REJECTED)
    assert (rejected["symbol"], rejected["reason"], rejected["client_order_id"]) == (
        "AAA",
        reason,
        child.client_order_id,
    )
    assert len(fakes.broker.sent) == 2


def test_consecutive_rejects_halt_the_account() -> None:
    fakes = FakePorts(max_rejects_in_a_row=2)
    for symbol in ("AAA", "BBB", "CCC"):
        fakes.broker.script(symbol, rejection())
    result = fakes.execute(buys("AAA", "BBB", "CCC"))

    assert outcomes(result) == {
        "AAA": (Outcome.REJECTED, Code.REJECTED),
        "BBB": (Outcome.REJECTED, Code.REJECTED),
        "CCC": (Outcome.DENIED, Code.HALTED),
    }
    assert [request.symbol for request in fakes.broker.sent] == ["AAA", "BBB"]
    (switch,) = fakes.journal.risk_store.kill_switch_settings["main"]
    assert (switch.state, switch.by, switch.at) == (TradingState.HALTED, PROGRAM, NOW)
    assert "2 orders in a row" in switch.reason
    assert fakes.slept == []
    assert fakes.events.count(LogEvent.KILL_SWITCH_TRIPPED) == 1
    assert [fields["code"] for fields in fakes.fields(LogEvent.RUN_CONCLUDING)] == [Code.HALTED]


@pytest.mark.parametrize(
    ("reason", "is_halted"), [("insufficient buying power", False), ("account is not allowed to trade", True)]
)
def test_rejects_that_the_plan_explains_do_not_halt_the_account(reason: str, is_halted: bool) -> None:
    fakes = FakePorts(max_rejects_in_a_row=2)
    for symbol in ("AAA", "BBB", "CCC"):
        fakes.broker.script(symbol, rejection(reason=reason))
    result = fakes.execute(buys("AAA", "BBB", "CCC"))

    assert bool(fakes.journal.risk_store.kill_switch_settings) is is_halted
    assert result.orders_rejected == (2 if is_halted else 3)


def test_acceptance_resets_the_count_of_rejects() -> None:
    fakes = FakePorts(max_rejects_in_a_row=2)
    fakes.broker.script("AAA", rejection())
    fakes.broker.script("CCC", rejection())
    result = fakes.execute(buys("AAA", "BBB", "CCC"))

    assert result.orders_rejected == 2
    assert fakes.journal.risk_store.kill_switch_settings == {}


def test_late_reject_counts() -> None:
    fakes = FakePorts(max_rejects_in_a_row=1)
    fakes.broker.script("AAA", REJECTS_LATER)
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.REJECTED, Code.REJECTED)}
    assert [switch.state for switch in fakes.journal.risk_store.kill_switch_settings["main"]] == [TradingState.HALTED]
    assert [fields["status"] for fields in fakes.fields(LogEvent.ORDER_REJECTED)] == ["rejected"]


def test_rejects_do_not_conclude_a_concluding_run_again() -> None:
    """An operator set the kill switch; the program does not overwrite it."""
    fakes = FakePorts(max_rejects_in_a_row=1, child_wait_seconds=60)
    fakes.broker.script("AAA", CANCEL_STUCK)
    fakes.after(2, lambda: halt(fakes))
    fakes.after(8, lambda: fakes.broker.close_order("order-1", "rejected"))
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.REJECTED, Code.REJECTED)}
    assert [switch.by for switch in fakes.journal.risk_store.kill_switch_settings["main"]] == ["Ada"]
    assert LogEvent.KILL_SWITCH_TRIPPED not in fakes.events


# --- no definite answer ----------------------------------------------------------------------------------


def test_order_with_a_lost_answer_is_found_and_not_sent_again() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", ANSWER_LOST_FILLS)
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert len(fakes.broker.sent) == 1
    (unknown,), (found,) = fakes.fields(LogEvent.ORDER_OUTCOME_UNKNOWN), fakes.fields(LogEvent.ORDER_FOUND)
    assert (unknown["symbol"], unknown["reason"], unknown["order_id"]) == ("AAA", "no answer", None)
    assert (found["symbol"], found["order_id"], found["status"]) == ("AAA", "order-1", "filled")
    assert found["client_order_id"] == unknown["client_order_id"] == fakes.broker.sent[0].client_order_id


def test_absent_order_is_sent_again_unchanged() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", REQUEST_LOST)
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    first, second = fakes.broker.sent
    assert first == second
    (child,) = fakes.parent("AAA").children
    assert child.resent
    assert fakes.fields(LogEvent.ORDER_RESENT) == [{"symbol": "AAA", "client_order_id": first.client_order_id}]


def test_duplicate_client_order_id_is_looked_up() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", DuplicateClientOrderId("client_order_id must be unique"))
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    (unknown,) = fakes.fields(LogEvent.ORDER_OUTCOME_UNKNOWN)
    assert (unknown["symbol"], unknown["reason"]) == ("AAA", "client_order_id must be unique")


def test_rejected_resend_stays_open_until_the_arrival_horizon() -> None:
    """The reject is final two minutes after the first submission."""
    fakes = FakePorts()
    fakes.broker.script("AAA", REQUEST_LOST, rejection())
    result = fakes.execute(buys("AAA"), seconds=900)

    assert outcomes(result) == {"AAA": (Outcome.REJECTED, Code.REJECTED)}
    (child,) = fakes.parent("AAA").children
    sent_again_at = child.latest_send
    assert child.closed_at == sent_again_at + timedelta(seconds=120)
    assert child.error_code == "40310000"
    assert len(fakes.broker.sent) == 2


def test_rejected_resend_finds_the_first_submission() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", ANSWER_LOST_RESTS)
    fakes.broker.errors["order_by_client_id"] = []
    fakes.after(0.6, lambda: fakes.broker.fill_order("order-1"))
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert len(fakes.broker.sent) == 1


# --- not accepted -----------------------------------------------------------------------------------------


def test_pause_after_a_429_lasts_as_long_as_the_broker_says() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", RateLimited("slow down", retry_at=later(7.25)))
    sent_at: list[float] = []
    check = fakes.broker.before_submit

    def submit(request: OrderRequest) -> None:
        sent_at.append(fakes.elapsed)
        check(request)

    fakes.broker.before_submit = submit
    result = fakes.execute(buys("AAA", "BBB"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.FILLED, None)}
    assert sent_at == [0, 7.25, 7.25]
    assert fakes.fields(LogEvent.BROKER_RATE_LIMITED) == [{"retry_at": later(7.25)}]


def test_pause_after_a_429_without_a_time_lasts_five_seconds() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", RateLimited("slow down"))
    fakes.execute(buys("AAA"))

    assert fakes.slept == [5.0]
    assert [fields["retry_at"] for fields in fakes.fields(LogEvent.BROKER_RATE_LIMITED)] == [later(5)]


def test_pause_ends_at_the_time_to_stop() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", RateLimited("slow down", retry_at=later(3600)))
    with pytest.raises(PlanYielded):
        fakes.execute(buys("AAA"), seconds=60)

    assert fakes.elapsed == 48
    (child,) = fakes.parent("AAA").children
    assert child.state is ChildState.NOT_SENT


def test_open_circuit_yields_at_once() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", CircuitOpen("5 failures in a row"))
    with pytest.raises(PlanYielded, match="5 failures in a row"):
        fakes.execute(buys("AAA", "BBB"))

    assert [request.symbol for request in fakes.broker.sent] == ["AAA"]
    assert fakes.fields(LogEvent.CIRCUIT_OPENED) == [{"reason": "5 failures in a row"}]
    assert [p.children[0].state for p in fakes.plan_journal().parents.values()] == [ChildState.NOT_SENT] * 2
    assert fakes.journal.runs("main", "plan-1")[0].end is RunEnd.YIELDED


def test_rejected_credentials_end_the_run() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", CredentialsRejected("401"))
    with pytest.raises(CredentialsRejected):
        fakes.execute(buys("AAA"))

    (child,) = fakes.parent("AAA").children
    assert child.state is ChildState.UNKNOWN
    (run,) = fakes.journal.runs("main", "plan-1")
    assert (run.end, run.ended_at, run.reason) == (RunEnd.FAILED, NOW, "CREDENTIALS_REJECTED: 401")


@pytest.mark.parametrize("is_accepted", [False, True])
def test_submission_with_rejected_credentials_is_looked_up_before_it_is_sent_again(is_accepted: bool) -> None:
    """A gateway may answer 401 or 403 after the order was accepted."""
    fakes = FakePorts()
    fakes.broker.script("AAA", CredentialsRejected("403"))
    if is_accepted:
        fakes.broker.before_submit = lambda request: fakes.broker.fill_order(fakes.broker._accepted(request).id)
    with pytest.raises(CredentialsRejected):
        fakes.execute(buys("AAA"))
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert len({request.client_order_id for request in fakes.broker.sent}) == 1
    assert len(fakes.broker.sent) == (1 if is_accepted else 2)
    (child,) = fakes.parent("AAA").children
    assert child.state is ChildState.FILLED


# --- kill switch -----------------------------------------------------------------------------------------


def halt(fakes: FakePorts, state: TradingState = TradingState.HALTED) -> None:
    fakes.journal.risk_store.set_kill_switch(
        "main", KillSwitchRecord(state, by="Ada", reason="drill", at=fakes.clock.now())
    )


def canceled_at(fakes: FakePorts) -> datetime:
    """Return the time at which the broker canceled the first order."""
    closed_at = fakes.broker.orders_by_id["order-1"].closed_at
    assert closed_at is not None
    return closed_at


def test_halt_cancels_a_resting_order_within_five_seconds() -> None:
    fakes = FakePorts(child_wait_seconds=60)
    fakes.broker.script("AAA", RESTS)
    fakes.after(2, lambda: halt(fakes))
    result = fakes.execute(buys("AAA", "BBB"))

    assert outcomes(result) == {"AAA": (Outcome.UNFILLED, Code.HALTED), "BBB": (Outcome.FILLED, None)}
    assert fakes.broker.cancel_requests == ["order-1"]
    assert canceled_at(fakes) <= later(6)
    (parent,) = (p for p in fakes.plan_journal().parents.values() if p.symbol == "AAA")
    assert parent.message is not None
    assert "Ada" in parent.message
    assert "drill" in parent.message


def test_reducing_account_sends_no_buy() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", RESTS)
    halted = []

    def reduce_then_check() -> None:
        halt(fakes, TradingState.REDUCING)
        halted.append(fakes.elapsed)

    fakes.after(1, reduce_then_check)
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.UNFILLED, Code.REDUCING_ONLY)}
    assert len(fakes.broker.sent) == 1
    assert halted == [1]


def test_reducing_account_cancels_a_resting_buy_within_five_seconds() -> None:
    fakes = FakePorts(child_wait_seconds=60)
    fakes.broker.script("AAA", RESTS)
    fakes.after(2, lambda: halt(fakes, TradingState.REDUCING))
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.UNFILLED, Code.REDUCING_ONLY)}
    assert canceled_at(fakes) <= later(6)


def test_reducing_account_keeps_a_resting_sell() -> None:
    fakes = FakePorts(child_wait_seconds=60)
    fakes.broker.shares = {"AAA": Decimal(20)}
    fakes.broker.script("AAA", RESTS)
    fakes.after(2, lambda: halt(fakes, TradingState.REDUCING))
    fakes.after(20, lambda: fakes.broker.fill_order("order-1"))
    result = fakes.execute(a_plan(an_exit("AAA", amount="-2000", current_value="2000")))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert fakes.broker.cancel_requests == []


def test_unreadable_kill_switch_sends_nothing() -> None:
    fakes = FakePorts(max_children=5)
    fakes.broker.script("AAA", RESTS)
    fakes.database_errors["risk_store.kill_switch"] = [JournalUnavailable("the table does not answer")]
    with pytest.raises(PlanYielded, match="the table does not answer"):
        fakes.execute(buys("AAA"))

    assert len(fakes.broker.sent) == 1
    assert fakes.broker.cancel_requests == ["order-1"]
    assert [str(fields["reason"]) for fields in fakes.fields(LogEvent.RUN_YIELDING)] == [
        "the kill switch cannot be read: the table does not answer"
    ]


def test_kill_switch_of_the_risk_state_serves_the_first_orders() -> None:
    fakes = FakePorts()
    fakes.execute(buys("AAA", "BBB", "CCC"))

    assert "risk_store.kill_switch" not in fakes.database_calls


def test_halt_during_the_rate_limit_wait_keeps_the_order() -> None:
    """The rate limit may delay an order for most of a minute: the kill switch is checked after the wait."""
    fakes = FakePorts()
    fakes.broker.rate_limited_until = later(40)
    fakes.after(20, lambda: halt(fakes))
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.DENIED, Code.HALTED)}
    assert fakes.broker.sent == []


def test_order_delayed_by_the_rate_limit_rests_its_full_time() -> None:
    fakes = FakePorts(child_wait_seconds=10, max_children=1)
    fakes.broker.rate_limited_until = later(30)
    fakes.broker.script("AAA", RESTS)
    fakes.execute(buys("AAA"))

    (child,) = fakes.parent("AAA").children
    assert (child.latest_send, child.cancel_requested_at) == (later(30), later(40))


def test_order_delayed_past_the_deadline_is_left_to_the_next_run() -> None:
    fakes = FakePorts()
    fakes.broker.rate_limited_until = later(55)
    with pytest.raises(PlanYielded):
        fakes.execute(buys("AAA"), seconds=60)

    assert fakes.broker.sent == []
    assert fakes.elapsed == 48
    assert fakes.parent("AAA").children == ()  # the limit is waited for before an order is priced


def test_slow_kill_switch_read_is_repeated_before_sending() -> None:
    fakes = FakePorts()
    fakes.broker.rate_limited_until = later(2)
    fakes.database_delays["risk_store.kill_switch"] = [3]
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert fakes.database_calls.count("risk_store.kill_switch") == 2


# --- limits ----------------------------------------------------------------------------------------------


def test_messages_of_a_plan_are_limited() -> None:
    fakes = FakePorts(max_plan_messages=2, child_wait_seconds=1)
    fakes.broker.script("AAA", RESTS)
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.UNFILLED, Code.MESSAGE_LIMIT)}
    assert (len(fakes.broker.sent), len(fakes.broker.cancel_requests)) == (1, 1)


def test_messages_per_minute_are_limited() -> None:
    fakes = FakePorts(max_messages_per_minute=2)
    result = fakes.execute(buys("AAA", "BBB", "CCC"))

    assert outcomes(result) == {
        "AAA": (Outcome.FILLED, None),
        "BBB": (Outcome.FILLED, None),
        "CCC": (Outcome.DENIED, Code.MESSAGE_LIMIT),
    }
    assert [request.symbol for request in fakes.broker.sent] == ["AAA", "BBB"]


@pytest.mark.parametrize(("rests", "outcome"), [(59, Outcome.FILLED), (58.5, Outcome.UNFILLED)])
def test_message_counts_for_one_minute_and_a_cancel_is_a_message(rests: float, outcome: Outcome) -> None:
    """Sent at 0, canceled after its rest, priced again two readings later: the first must be a minute old by then."""
    fakes = FakePorts(max_messages_per_minute=2, child_wait_seconds=rests, cancel_wait_seconds=5)
    fakes.broker.script("AAA", RESTS)
    result = fakes.execute(buys("AAA"))

    assert outcomes(result)["AAA"][0] is outcome


def test_denied_child_was_never_sent() -> None:
    """The limit is too far from the current mid: the quote is within ``max_spread`` but not within the collar."""
    fakes = FakePorts(limit_collar="0.0001", max_spread="0.05")
    fakes.broker.set_quote("AAA", "99", "101")
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.DENIED, Code.PRICE_COLLAR)}
    assert fakes.broker.sent == []
    (child,) = fakes.parent("AAA").children
    assert child.state is ChildState.NOT_SENT
    assert fakes.parent("AAA").settled_at == NOW
    (denied,) = fakes.fields(LogEvent.ITEM_DENIED)
    assert (denied["symbol"], denied["code"]) == ("AAA", Code.PRICE_COLLAR)
    assert denied["reason"] == fakes.parent("AAA").message


def test_symbol_override_of_the_collar_applies() -> None:
    fakes = FakePorts(price_collar="0.0001", max_spread="0.05", per_symbol={"AAA": {"price_collar": "0.05"}})
    fakes.broker.set_quote("AAA", "99", "101")
    fakes.broker.set_quote("BBB", "99", "101")

    assert outcomes(fakes.execute(buys("AAA", "BBB"))) == {
        "AAA": (Outcome.FILLED, None),
        "BBB": (Outcome.DENIED, Code.PRICE_COLLAR),
    }


def test_resent_order_is_not_checked_again() -> None:
    """The quote has moved since, but the order may exist already: it must be sent unchanged."""
    fakes = FakePorts()
    fakes.broker.script("AAA", REQUEST_LOST)
    fakes.after(0.1, lambda: fakes.broker.set_quote("AAA", "89.99", "90.01"))
    fakes.execute(buys("AAA"))

    first, second = fakes.broker.sent
    assert first == second


# --- cancels ---------------------------------------------------------------------------------------------


def test_cancel_is_logged_with_its_order() -> None:
    fakes = FakePorts(child_wait_seconds=1)
    fakes.broker.script("AAA", RESTS, FILLS)
    fakes.execute(buys("AAA"))

    (cancelled,) = fakes.fields(LogEvent.ORDER_CANCEL_REQUESTED)
    assert (cancelled["symbol"], cancelled["order_id"], cancelled["attempt"]) == ("AAA", "order-1", 1)


def test_unanswered_cancel_is_sent_again_in_the_next_tick() -> None:
    fakes = FakePorts(child_wait_seconds=1)
    fakes.broker.script("AAA", RESTS, FILLS)
    fakes.broker.errors["cancel"] = [BrokerUnavailable("no answer")]
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert fakes.broker.cancel_requests == ["order-1", "order-1"]
    assert fakes.events.count(LogEvent.ORDER_CANCEL_REQUESTED) == 1
    assert fakes.elapsed == 2.5


def test_reject_within_a_positive_answer_counts() -> None:
    """HTTP 200 with status ``rejected``: ten in a row are ten, however the broker answers."""
    fakes = FakePorts(max_rejects_in_a_row=2)
    submit = fakes.broker.submit

    def rejected(request: OrderRequest) -> BrokerOrder:
        order = submit(request)
        fakes.broker.orders_by_id[order.id] = replace(order, status="rejected", filled_qty=Decimal(0))
        return fakes.broker.orders_by_id[order.id]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fakes.broker, "submit", rejected)
        for symbol in ("AAA", "BBB", "CCC"):
            fakes.broker.script(symbol, RESTS)
        result = fakes.execute(buys("AAA", "BBB", "CCC"))

    assert outcomes(result)["CCC"] == (Outcome.DENIED, Code.HALTED)
    assert len(fakes.fields(LogEvent.KILL_SWITCH_TRIPPED)) == 1


# --- the age of a price ----------------------------------------------------------------------------------


def ages(fakes: FakePorts) -> list[float]:
    """Return the seconds between pricing and sending of every order that was sent."""
    children = [child for parent in fakes.plan_journal().parents.values() for child in parent.children]
    return [(c.sent_at - c.intended_at).total_seconds() for c in children if c.sent_at is not None]


def test_order_that_waited_for_a_429_is_priced_again() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", RateLimited("slow down", retry_at=later(7)))
    fakes.after(3, lambda: fakes.broker.set_quote("AAA", "100.49", "100.51"))
    fakes.execute(buys("AAA"))

    first, second = fakes.parent("AAA").children
    assert (first.state, first.limit_price) == (ChildState.NOT_SENT, Decimal("100.01"))
    assert (second.state, second.limit_price) == (ChildState.FILLED, Decimal("100.51"))
    assert first.client_order_id != second.client_order_id


def test_rate_limit_is_waited_for_before_orders_are_priced() -> None:
    fakes = FakePorts()
    fakes.broker.rate_limited_until = later(30)
    fakes.after(20, lambda: fakes.broker.set_quote("AAA", "100.49", "100.51"))
    fakes.execute(buys("AAA", "BBB"))

    (child,) = fakes.parent("AAA").children
    assert child.limit_price == Decimal("100.51")
    assert fakes.broker.waits_for_requests[0] == 3  # two orders and one reading of the account


def test_slow_submissions_leave_no_order_with_an_old_price() -> None:
    fakes = FakePorts()
    check = fakes.broker.before_submit

    def submit(request: OrderRequest) -> None:
        check(request)
        fakes.clock.advance(timedelta(seconds=1.5))

    fakes.broker.before_submit = submit
    result = fakes.execute(buys("AAA", "BBB", "CCC"))

    assert set(outcomes(result).values()) == {(Outcome.FILLED, None)}
    assert max(ages(fakes)) <= 2
    assert [child.state for child in fakes.parent("CCC").children] == [ChildState.NOT_SENT, ChildState.FILLED]


def test_large_plan_prices_only_as_many_orders_as_leave_in_time() -> None:
    """At 40 milliseconds per submission, no order is journalled in vain."""
    symbols = [f"S{number}" for number in range(60)]
    fakes = FakePorts()
    fakes.broker.prices |= dict.fromkeys(symbols, fakes.broker.prices["AAA"])
    fakes.broker.assets |= {symbol: replace(fakes.broker.assets["AAA"], symbol=symbol) for symbol in symbols}
    check = fakes.broker.before_submit

    def submit(request: OrderRequest) -> None:
        check(request)
        fakes.clock.advance(timedelta(seconds=0.04))

    fakes.broker.before_submit = submit
    fakes.execute(a_plan(*(an_item(symbol, amount="1000") for symbol in symbols)))

    assert {len(fakes.parent(symbol).children) for symbol in symbols} == {1}
    assert len(fakes.broker.sent) == 60


def test_slow_journal_delays_no_order_with_an_old_price() -> None:
    fakes = FakePorts()
    fakes.database_delays["journal.write"] = [5]
    fakes.execute(buys("AAA"))

    assert [child.state for child in fakes.parent("AAA").children] == [ChildState.NOT_SENT, ChildState.FILLED]
    assert max(ages(fakes)) <= 2


def test_slow_checks_delay_no_order_with_an_old_price() -> None:
    """The quote is recent when the checks begin, and too old when the kill switch has been read."""
    fakes = FakePorts()
    fakes.database_delays |= {"journal.write": [1.5], "risk_store.kill_switch": [0.9]}
    fakes.execute(buys("AAA"))

    assert [child.state for child in fakes.parent("AAA").children] == [ChildState.NOT_SENT, ChildState.FILLED]


def test_repetition_of_a_lost_order_stays_the_same_order() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", REQUEST_LOST, RateLimited("slow down", retry_at=later(60)))
    fakes.after(3, lambda: fakes.broker.set_quote("AAA", "100.49", "100.51"))
    fakes.execute(buys("AAA"))

    assert len(fakes.broker.sent) == 3
    assert len(set(fakes.broker.sent)) == 1


def test_run_that_is_too_slow_to_send_in_time_yields() -> None:
    """Each such tick leaves an order in the journal that was not sent; a run on another machine may be faster."""
    fakes = FakePorts()
    fakes.database_delays["journal.write"] = [5] * 100
    with pytest.raises(PlanYielded):
        fakes.execute(buys("AAA"))

    assert {child.state for child in fakes.parent("AAA").children} == {ChildState.NOT_SENT}
    assert len(fakes.parent("AAA").children) == 6
    assert fakes.elapsed < 60
    fakes.database_delays.clear()
    assert outcomes(fakes.execute(buys("AAA"))) == {"AAA": (Outcome.FILLED, None)}


def test_late_ticks_between_orders_that_are_sent_do_not_end_the_run() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", *[RateLimited("slow down")] * 8)
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert len(fakes.parent("AAA").children) == 9


def test_old_reading_of_the_position_covers_no_order_even_if_its_quote_is_recent_enough() -> None:
    """The first submission takes ten seconds; meanwhile a person sells a part of the second position."""
    fakes = FakePorts(quote_refresh_seconds=60)
    fakes.broker.shares |= {"AAA": Decimal(10), "BBB": Decimal(10)}
    check = fakes.broker.before_submit

    def submit(request: OrderRequest) -> None:
        check(request)
        if request.symbol == "AAA":
            fakes.clock.advance(timedelta(seconds=10))
            fakes.broker.shares["BBB"] = Decimal(4)

    fakes.broker.before_submit = submit
    fakes.execute(a_plan(an_exit("AAA"), an_exit("BBB")))

    assert [request.qty for request in fakes.broker.sent] == [10, 4]


@pytest.mark.parametrize(("minutes", "sent"), [(1, ["order-1"]), (0, []), (-1, [])])
def test_cancel_that_the_cut_off_overtakes_is_not_sent(minutes: int, sent: list[str]) -> None:
    """It was decided and journalled before the cut-off of its auction, with which the order keeps resting."""
    cutoff = NOW + timedelta(minutes=minutes)
    auction = Auction(AuctionKind.CLOSE, cutoff + timedelta(minutes=10), cutoff, cutoff + timedelta(minutes=20))
    child = a_child(ChildState.LIVE, time_in_force=TimeInForce.CLS, limit=None, cancel_requested_at=NOW)
    run, fakes = a_run(a_parent(child, auction=auction)), FakePorts()
    sender = Sender(run, AccountAccess.create("main", fakes.broker, fakes.ports, fakes.config))

    with suppress(KeyError):  # the fake broker does not know the order
        sender.cancel("ABC")

    resting = run.parents["ABC"].open_child
    assert resting is not None
    assert fakes.broker.cancel_requests == sent
    assert bool(resting.cancel_requested_at) is bool(sent)


# --- orders sent together --------------------------------------------------------------------------------

SYMBOLS = ("AAA", "BBB", "CCC")


def test_orders_are_sent_one_after_the_other_by_default() -> None:
    fakes = FakePorts()
    fakes.execute(buys(*SYMBOLS))

    assert len(fakes.broker.sent) == 3
    assert fakes.broker.sent_together == []


def test_window_sends_its_orders_together() -> None:
    fakes = FakePorts(submission_window=2)
    result = fakes.execute(buys(*SYMBOLS))

    assert fakes.broker.sent_together == [2]  # and the third alone
    assert outcomes(result) == dict.fromkeys(SYMBOLS, (Outcome.FILLED, None))


def test_halt_takes_effect_after_the_window() -> None:
    fakes = FakePorts(submission_window=2, max_rejects_in_a_row=1)
    fakes.broker.script("AAA", rejection())
    result = fakes.execute(buys(*SYMBOLS))

    assert outcomes(result) == {
        "AAA": (Outcome.REJECTED, Code.REJECTED),
        "BBB": (Outcome.FILLED, None),
        "CCC": (Outcome.DENIED, Code.HALTED),
    }


def test_refused_credentials_leave_the_answers_to_the_other_orders_noted() -> None:
    fakes = FakePorts(submission_window=3)
    fakes.broker.script("AAA", CredentialsRejected("401"))
    fakes.broker.script("BBB", RESTS)
    with pytest.raises(CredentialsRejected):
        fakes.execute(buys(*SYMBOLS))

    states = {symbol: fakes.parent(symbol).children[-1].state for symbol in SYMBOLS}
    assert states == {"AAA": ChildState.UNKNOWN, "BBB": ChildState.LIVE, "CCC": ChildState.FILLED}


def test_window_beyond_the_rate_limit_sends_nothing_until_it_opens() -> None:
    fakes = FakePorts(submission_window=3)
    fakes.broker.window_errors = [RateLimited("slow down", retry_at=later(20))]
    result = fakes.execute(buys(*SYMBOLS))

    assert fakes.broker.sent_together == [3, 3]
    assert len(fakes.broker.sent) == 3
    assert outcomes(result) == dict.fromkeys(SYMBOLS, (Outcome.FILLED, None))
    assert fakes.elapsed >= 20
