"""The last line before the broker: every kind of answer, and what the controls let out."""

from __future__ import annotations

from datetime import timedelta
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
from rebalance_executor.domain.market import OrderRequest
from rebalance_executor.domain.orders import ChildState, Outcome
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.risk_state import PROGRAM, KillSwitchRecord, TradingState
from rebalance_executor.execution.events import LogEvent
from tests.support.builders import NOW, a_plan, an_exit, an_item, later
from tests.support.fake_ports import (
    FILLS,
    LOST,
    LOST_RESTS,
    REJECTED_LATER,
    RESTS,
    STUCK,
    VANISHES,
    Floor,
    ended,
    rejection,
)


def buys(*symbols: str, amount: str = "1000") -> RebalancePlan:
    return a_plan(*(an_item(symbol, amount=amount) for symbol in symbols))


# --- a definite no ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "told"), [(40310000, "40310000"), (None, "403")])
def test_a_refusal_settles_the_item_in_the_brokers_own_words(code: int | None, told: str) -> None:
    floor = Floor()
    floor.broker.behave("AAA", rejection(403, code))
    result = floor.execute(buys("AAA", "BBB"))

    assert ended(result) == {"AAA": (Outcome.REJECTED, Code.REJECTED), "BBB": (Outcome.FILLED, None)}
    (child,) = floor.parent("AAA").children
    assert (child.state, child.status, child.error_code, child.closed_at) == (
        ChildState.REJECTED,
        "rejected",
        told,
        NOW,
    )
    reason = f"insufficient buying power (HTTP 403, code {code})"
    assert (child.error_message, floor.parent("AAA").message) == (reason, reason)
    (rejected,) = floor.fields(LogEvent.ORDER_REJECTED)
    assert (rejected["symbol"], rejected["reason"], rejected["client_order_id"]) == (
        "AAA",
        reason,
        child.client_order_id,
    )
    assert len(floor.broker.sent) == 2


def test_so_many_refusals_in_a_row_halt_the_account() -> None:
    floor = Floor(max_rejects_in_a_row=2)
    for symbol in ("AAA", "BBB", "CCC"):
        floor.broker.behave(symbol, rejection())
    result = floor.execute(buys("AAA", "BBB", "CCC"))

    assert ended(result) == {
        "AAA": (Outcome.REJECTED, Code.REJECTED),
        "BBB": (Outcome.REJECTED, Code.REJECTED),
        "CCC": (Outcome.DENIED, Code.HALTED),
    }
    assert [request.symbol for request in floor.broker.sent] == ["AAA", "BBB"]
    (switch,) = floor.journal.book.settings["main"]
    assert (switch.state, switch.by, switch.at) == (TradingState.HALTED, PROGRAM, NOW)
    assert "2 orders in a row" in switch.reason
    assert floor.clock.slept == []
    assert floor.events.count(LogEvent.KILL_SWITCH_TRIPPED) == 1
    assert [fields["code"] for fields in floor.fields(LogEvent.RUN_CONCLUDING)] == [Code.HALTED]


def test_an_acceptance_between_them_begins_the_count_anew() -> None:
    floor = Floor(max_rejects_in_a_row=2)
    floor.broker.behave("AAA", rejection())
    floor.broker.behave("CCC", rejection())
    result = floor.execute(buys("AAA", "BBB", "CCC"))

    assert result.orders_rejected == 2
    assert floor.journal.book.settings == {}


def test_an_order_that_is_rejected_after_it_was_accepted_counts_too() -> None:
    floor = Floor(max_rejects_in_a_row=1)
    floor.broker.behave("AAA", REJECTED_LATER)
    result = floor.execute(buys("AAA"))

    assert ended(result) == {"AAA": (Outcome.REJECTED, Code.REJECTED)}
    assert [switch.state for switch in floor.journal.book.settings["main"]] == [TradingState.HALTED]
    assert [fields["status"] for fields in floor.fields(LogEvent.ORDER_REJECTED)] == ["rejected"]


def test_a_run_that_concludes_already_is_not_concluded_by_refusals_again() -> None:
    """The switch was set by a person; the program does not take it over."""
    floor = Floor(max_rejects_in_a_row=1, child_wait_seconds=60)
    floor.broker.behave("AAA", STUCK)
    floor.clock.at(2, lambda: halt(floor))
    floor.clock.at(8, lambda: floor.broker.end("order-1", "rejected"))
    result = floor.execute(buys("AAA"))

    assert ended(result) == {"AAA": (Outcome.REJECTED, Code.REJECTED)}
    assert [switch.by for switch in floor.journal.book.settings["main"]] == ["Ada"]
    assert LogEvent.KILL_SWITCH_TRIPPED not in floor.events


# --- no definite answer ----------------------------------------------------------------------------------


def test_an_order_whose_answer_was_lost_is_found_and_not_sent_again() -> None:
    floor = Floor()
    floor.broker.behave("AAA", LOST)
    result = floor.execute(buys("AAA"))

    assert ended(result) == {"AAA": (Outcome.FILLED, None)}
    assert len(floor.broker.sent) == 1
    (unknown,), (found,) = floor.fields(LogEvent.ORDER_OUTCOME_UNKNOWN), floor.fields(LogEvent.ORDER_FOUND)
    assert (unknown["symbol"], unknown["reason"], unknown["order_id"]) == ("AAA", "no answer", None)
    assert (found["symbol"], found["order_id"], found["status"]) == ("AAA", "order-1", "filled")
    assert found["client_order_id"] == unknown["client_order_id"] == floor.broker.sent[0].client_order_id


def test_an_order_that_vanished_is_sent_once_more_the_very_same() -> None:
    floor = Floor()
    floor.broker.behave("AAA", VANISHES)
    result = floor.execute(buys("AAA"))

    assert ended(result) == {"AAA": (Outcome.FILLED, None)}
    first, second = floor.broker.sent
    assert first == second
    (child,) = floor.parent("AAA").children
    assert child.resent
    assert floor.fields(LogEvent.ORDER_RESENT) == [{"symbol": "AAA", "client_order_id": first.client_order_id}]


def test_an_id_that_the_broker_knows_already_is_looked_up() -> None:
    floor = Floor()
    floor.broker.behave("AAA", DuplicateClientOrderId("client_order_id must be unique"))
    result = floor.execute(buys("AAA"))

    assert ended(result) == {"AAA": (Outcome.FILLED, None)}
    (unknown,) = floor.fields(LogEvent.ORDER_OUTCOME_UNKNOWN)
    assert (unknown["symbol"], unknown["reason"]) == ("AAA", "client_order_id must be unique")


def test_a_repetition_that_is_refused_stays_unknown_until_the_first_can_no_longer_appear() -> None:
    """Two minutes after it was sent; then the refusal was the truth."""
    floor = Floor()
    floor.broker.behave("AAA", VANISHES, rejection())
    result = floor.execute(buys("AAA"), seconds=900)

    assert ended(result) == {"AAA": (Outcome.REJECTED, Code.REJECTED)}
    (child,) = floor.parent("AAA").children
    sent_again_at = child.latest_send
    assert child.closed_at == sent_again_at + timedelta(seconds=120)
    assert child.error_code == "40310000"
    assert len(floor.broker.sent) == 2


def test_a_repetition_that_is_refused_because_the_first_came_through_is_found() -> None:
    floor = Floor()
    floor.broker.behave("AAA", LOST_RESTS)
    floor.broker.trouble["order_by_client_id"] = []
    floor.clock.at(0.6, lambda: floor.broker.fill("order-1"))
    result = floor.execute(buys("AAA"))

    assert ended(result) == {"AAA": (Outcome.FILLED, None)}
    assert len(floor.broker.sent) == 1


# --- certainly not accepted ------------------------------------------------------------------------------


def test_after_a_429_sending_pauses_as_long_as_the_broker_says() -> None:
    floor = Floor()
    floor.broker.behave("AAA", RateLimited("slow down", retry_at=later(7.25)))
    sent_at: list[float] = []
    check = floor.broker.before_submit

    def submit(request: OrderRequest) -> None:
        sent_at.append(floor.clock.seconds)
        check(request)

    floor.broker.before_submit = submit
    result = floor.execute(buys("AAA", "BBB"))

    assert ended(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.FILLED, None)}
    assert sent_at == [0, 7.25, 7.25]
    assert floor.fields(LogEvent.BROKER_RATE_LIMITED) == [{"symbol": "AAA", "retry_at": later(7.25)}]


def test_after_a_429_that_does_not_say_sending_pauses_five_seconds() -> None:
    floor = Floor()
    floor.broker.behave("AAA", RateLimited("slow down"))
    floor.execute(buys("AAA"))

    assert floor.clock.slept == [5.0]
    assert [fields["retry_at"] for fields in floor.fields(LogEvent.BROKER_RATE_LIMITED)] == [later(5)]


def test_a_pause_never_lasts_past_the_point_of_stopping() -> None:
    floor = Floor()
    floor.broker.behave("AAA", RateLimited("slow down", retry_at=later(3600)))
    with pytest.raises(PlanYielded):
        floor.execute(buys("AAA"), seconds=60)

    assert floor.clock.seconds == 48
    (child,) = floor.parent("AAA").children
    assert child.state is ChildState.NOT_SENT


def test_where_the_circuit_is_open_the_run_yields_at_once() -> None:
    floor = Floor()
    floor.broker.behave("AAA", CircuitOpen("5 failures in a row"))
    with pytest.raises(PlanYielded, match="5 failures in a row"):
        floor.execute(buys("AAA", "BBB"))

    assert [request.symbol for request in floor.broker.sent] == ["AAA"]
    assert floor.fields(LogEvent.CIRCUIT_OPENED) == [{"reason": "5 failures in a row"}]
    assert [p.children[0].state for p in floor.known().parents.values()] == [ChildState.NOT_SENT] * 2
    assert floor.journal.runs("main", "plan-1")[0].end is RunEnd.YIELDED


def test_refused_credentials_end_the_run_with_nothing_left_open() -> None:
    floor = Floor()
    floor.broker.behave("AAA", CredentialsRejected("401"))
    with pytest.raises(CredentialsRejected):
        floor.execute(buys("AAA"))

    (child,) = floor.parent("AAA").children
    assert child.state is ChildState.NOT_SENT
    (run,) = floor.journal.runs("main", "plan-1")
    assert (run.end, run.ended_at, run.reason) == (RunEnd.FAILED, NOW, "CREDENTIALS_REJECTED: 401")


# --- kill switch -----------------------------------------------------------------------------------------


def halt(floor: Floor, state: TradingState = TradingState.HALTED) -> None:
    floor.journal.book.set_kill_switch("main", KillSwitchRecord(state, by="Ada", reason="drill", at=floor.clock.now()))


def test_a_switch_that_is_set_while_an_order_rests_cancels_it_within_five_seconds() -> None:
    floor = Floor(child_wait_seconds=60)
    floor.broker.behave("AAA", RESTS)
    floor.clock.at(2, lambda: halt(floor))
    result = floor.execute(buys("AAA", "BBB"))

    assert ended(result) == {"AAA": (Outcome.UNFILLED, Code.HALTED), "BBB": (Outcome.FILLED, None)}
    assert floor.broker.cancelled == ["order-1"]
    assert floor.clock.seconds <= 6
    (parent,) = (p for p in floor.known().parents.values() if p.symbol == "AAA")
    assert parent.message is not None
    assert "Ada" in parent.message
    assert "drill" in parent.message


def test_a_switch_that_may_only_reduce_lets_no_buy_out() -> None:
    floor = Floor()
    floor.broker.behave("AAA", RESTS)
    halted = []

    def reduce_then_check() -> None:
        halt(floor, TradingState.REDUCING)
        halted.append(floor.clock.seconds)

    floor.clock.at(1, reduce_then_check)
    result = floor.execute(buys("AAA"))

    assert ended(result) == {"AAA": (Outcome.UNFILLED, Code.REDUCING_ONLY)}
    assert len(floor.broker.sent) == 1
    assert halted == [1]


def test_a_switch_that_may_only_reduce_cancels_a_resting_buy_within_five_seconds() -> None:
    floor = Floor(child_wait_seconds=60)
    floor.broker.behave("AAA", RESTS)
    floor.clock.at(2, lambda: halt(floor, TradingState.REDUCING))
    result = floor.execute(buys("AAA"))

    assert ended(result) == {"AAA": (Outcome.UNFILLED, Code.REDUCING_ONLY)}
    assert floor.clock.seconds <= 6


def test_a_switch_that_may_only_reduce_lets_a_resting_sell_be() -> None:
    floor = Floor(child_wait_seconds=60)
    floor.broker.held = {"AAA": Decimal(20)}
    floor.broker.behave("AAA", RESTS)
    floor.clock.at(2, lambda: halt(floor, TradingState.REDUCING))
    floor.clock.at(20, lambda: floor.broker.fill("order-1"))
    result = floor.execute(a_plan(an_exit("AAA", amount="-2000", current_value="2000")))

    assert ended(result) == {"AAA": (Outcome.FILLED, None)}
    assert floor.broker.cancelled == []


def test_a_switch_that_cannot_be_read_lets_nothing_out() -> None:
    floor = Floor(max_children=5)
    floor.broker.behave("AAA", RESTS)
    floor.trouble["book.switch"] = [JournalUnavailable("the table does not answer")]
    with pytest.raises(PlanYielded, match="the kill switch cannot be read: the table does not answer"):
        floor.execute(buys("AAA"))

    assert len(floor.broker.sent) == 1
    assert floor.broker.cancelled == ["order-1"]
    assert [str(fields["reason"]) for fields in floor.fields(LogEvent.RUN_YIELDING)] == [
        "the kill switch cannot be read: the table does not answer"
    ]


def test_the_switch_read_with_the_book_is_not_read_again_for_the_first_orders() -> None:
    floor = Floor()
    floor.execute(buys("AAA", "BBB", "CCC"))

    assert "book.switch" not in floor.calls


def test_a_switch_that_is_set_while_an_order_waits_for_its_turn_keeps_it_here() -> None:
    """The rate limit may make an order wait for most of a minute: the switch is looked at after that, not before."""
    floor = Floor()
    floor.broker.turn_at = later(40)
    floor.clock.at(20, lambda: halt(floor))
    result = floor.execute(buys("AAA"))

    assert ended(result) == {"AAA": (Outcome.DENIED, Code.HALTED)}
    assert floor.broker.sent == []


def test_an_order_that_waited_for_its_turn_rests_its_whole_time() -> None:
    floor = Floor(child_wait_seconds=10, max_children=1)
    floor.broker.turn_at = later(30)
    floor.broker.behave("AAA", RESTS)
    floor.execute(buys("AAA"))

    (child,) = floor.parent("AAA").children
    assert (child.latest_send, child.cancel_requested_at) == (later(30), later(40))


def test_an_order_whose_turn_comes_after_the_deadline_is_left_to_the_next_run() -> None:
    floor = Floor()
    floor.broker.turn_at = later(55)
    with pytest.raises(PlanYielded):
        floor.execute(buys("AAA"), seconds=60)

    assert floor.broker.sent == []
    assert floor.clock.seconds == 48
    assert [child.state for child in floor.parent("AAA").children] == [ChildState.NOT_SENT]


def test_a_switch_whose_reading_took_long_is_read_again_before_anything_is_sent() -> None:
    floor = Floor()
    floor.broker.turn_at = later(2)
    floor.slow["book.switch"] = [3]
    result = floor.execute(buys("AAA"))

    assert ended(result) == {"AAA": (Outcome.FILLED, None)}
    assert floor.calls.count("book.switch") == 2


# --- limits ----------------------------------------------------------------------------------------------


def test_no_more_messages_than_a_plan_may_have() -> None:
    floor = Floor(max_plan_messages=2, child_wait_seconds=1)
    floor.broker.behave("AAA", RESTS)
    result = floor.execute(buys("AAA"))

    assert ended(result) == {"AAA": (Outcome.UNFILLED, Code.MESSAGE_LIMIT)}
    assert (len(floor.broker.sent), len(floor.broker.cancelled)) == (1, 1)


def test_no_more_messages_than_a_minute_may_have() -> None:
    floor = Floor(max_messages_per_minute=2)
    result = floor.execute(buys("AAA", "BBB", "CCC"))

    assert ended(result) == {
        "AAA": (Outcome.FILLED, None),
        "BBB": (Outcome.FILLED, None),
        "CCC": (Outcome.DENIED, Code.MESSAGE_LIMIT),
    }
    assert [request.symbol for request in floor.broker.sent] == ["AAA", "BBB"]


@pytest.mark.parametrize(("rests", "outcome"), [(59.5, Outcome.FILLED), (59, Outcome.UNFILLED)])
def test_a_message_counts_for_a_minute_and_a_cancel_is_one(rests: float, outcome: Outcome) -> None:
    """Sent at 0, cancelled after its rest, priced anew half a second later: by then the first must be a minute old."""
    floor = Floor(max_messages_per_minute=2, child_wait_seconds=rests, cancel_wait_seconds=5)
    floor.broker.behave("AAA", RESTS)
    result = floor.execute(buys("AAA"))

    assert ended(result)["AAA"][0] is outcome


def test_what_a_control_refuses_was_never_sent() -> None:
    """The limit is too far from the present mid: the quote is wide enough for the config, and not for the collar."""
    floor = Floor(limit_collar="0.0001", max_spread="0.05")
    floor.broker.quote("AAA", "99", "101")
    result = floor.execute(buys("AAA"))

    assert ended(result) == {"AAA": (Outcome.DENIED, Code.PRICE_COLLAR)}
    assert floor.broker.sent == []
    (child,) = floor.parent("AAA").children
    assert child.state is ChildState.NOT_SENT
    assert floor.parent("AAA").settled_at == NOW
    (denied,) = floor.fields(LogEvent.ITEM_DENIED)
    assert (denied["symbol"], denied["code"]) == ("AAA", Code.PRICE_COLLAR)
    assert denied["reason"] == floor.parent("AAA").message
    assert "present mid" in str(floor.parent("AAA").message)


def test_a_symbol_of_its_own_is_judged_by_its_own_collar() -> None:
    floor = Floor(price_collar="0.0001", max_spread="0.05", per_symbol={"AAA": {"price_collar": "0.05"}})
    floor.broker.quote("AAA", "99", "101")
    floor.broker.quote("BBB", "99", "101")

    assert ended(floor.execute(buys("AAA", "BBB"))) == {
        "AAA": (Outcome.FILLED, None),
        "BBB": (Outcome.DENIED, Code.PRICE_COLLAR),
    }


def test_a_repetition_is_not_judged_again() -> None:
    """The quote has run away since; but the order may exist already, and must be the very same."""
    floor = Floor()
    floor.broker.behave("AAA", VANISHES)
    floor.clock.at(0.1, lambda: floor.broker.quote("AAA", "89.99", "90.01"))
    floor.execute(buys("AAA"))

    first, second = floor.broker.sent
    assert first == second


# --- cancels ---------------------------------------------------------------------------------------------


def test_a_cancel_is_told_with_its_order() -> None:
    floor = Floor(child_wait_seconds=1)
    floor.broker.behave("AAA", RESTS, FILLS)
    floor.execute(buys("AAA"))

    (cancelled,) = floor.fields(LogEvent.ORDER_CANCEL_REQUESTED)
    assert (cancelled["symbol"], cancelled["order_id"], cancelled["attempt"]) == ("AAA", "order-1", 1)


def test_a_cancel_that_did_not_get_through_is_asked_for_again_at_the_next_tick() -> None:
    floor = Floor(child_wait_seconds=1)
    floor.broker.behave("AAA", RESTS, FILLS)
    floor.broker.trouble["cancel"] = [BrokerUnavailable("no answer")]
    result = floor.execute(buys("AAA"))

    assert ended(result) == {"AAA": (Outcome.FILLED, None)}
    assert floor.broker.cancelled == ["order-1", "order-1"]
    assert floor.events.count(LogEvent.ORDER_CANCEL_REQUESTED) == 1
    assert floor.clock.seconds == 2.0
