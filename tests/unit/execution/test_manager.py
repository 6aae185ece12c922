"""One plan from its lease to its result: who may work on it, what the buys may cost, and how a run ends."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import (
    BrokerUnavailable,
    ConfigurationError,
    Fenced,
    InvalidInput,
    JournalUnavailable,
    LeaseHeld,
    PlanChanged,
    PlanYielded,
    PublishFailed,
)
from rebalance_executor.domain.journal import PlanPhase, RunEnd
from rebalance_executor.domain.orders import ChildState, Outcome
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionStatus
from rebalance_executor.execution.events import LogEvent
from tests.support.builders import NOW, a_plan, an_exit, an_item, later
from tests.support.fake_ports import RESTS, STUCK, VANISHES, Channel, Floor, ended

BUY_ONE = a_plan(an_item("AAA", amount="1000"))


def exchange(**fields: object) -> RebalancePlan:
    """Sells all of AAA, buys BBB."""
    return a_plan(an_exit("AAA", amount="-2000", current_value="2000"), an_item("BBB", amount="3000"), **fields)


def a_floor(parents_each: int = 88, **config: object) -> Floor:
    floor = Floor(parents_each=parents_each, **config)
    floor.broker.held = {"AAA": Decimal(20)}
    return floor


def held_by_another(floor: Floor, seconds: float) -> None:
    floor.journal.acquire("main", "another", now=NOW, expires_at=later(seconds))


# --- lease -----------------------------------------------------------------------------------------------


def test_a_lease_that_another_run_holds_is_waited_for() -> None:
    floor = Floor()
    held_by_another(floor, 12)
    floor.execute(BUY_ONE)

    assert floor.clock.slept[:3] == [5, 5, 5]
    assert floor.broker.asked[0] == ("account", None)
    awaited = floor.fields(LogEvent.LEASE_WAITING)
    assert [fields["until"] for fields in awaited] == [later(150)] * 3
    assert "main" in str(awaited[0]["reason"])


@pytest.mark.parametrize(
    ("seconds", "wait", "waited"),
    [(600, "10", 10), (600, "9.999", 5), (100, "150", 40), (600, "0", 0)],
    ids=["as configured", "not beyond it", "half of the time there is", "not at all"],
)
def test_the_wait_for_a_lease_is_bounded(seconds: float, wait: str, waited: float) -> None:
    floor = Floor(lease_wait_seconds=wait)
    held_by_another(floor, 10_000)
    with pytest.raises(LeaseHeld):
        floor.execute(BUY_ONE, seconds=seconds)

    assert floor.clock.seconds == waited
    assert floor.broker.asked == []


def test_the_lease_is_given_back_when_a_run_fails() -> None:
    floor = Floor()
    floor.broker.trouble["account"] = [BrokerUnavailable("503")]
    with pytest.raises(BrokerUnavailable):
        floor.execute(BUY_ONE)

    assert floor.journal.holder("main") is None


def test_a_lease_that_cannot_be_given_back_does_not_hide_why_the_run_failed() -> None:
    floor = Floor()
    floor.broker.trouble["account"] = [BrokerUnavailable("503")]
    floor.trouble["journal.release"] = [JournalUnavailable("the table does not answer")]
    with pytest.raises(BrokerUnavailable):
        floor.execute(BUY_ONE)

    assert floor.fields(LogEvent.LEASE_RELEASE_FAILED) == [{"reason": "the table does not answer"}]


# --- the same plan again ---------------------------------------------------------------------------------


def test_a_finished_plan_is_answered_from_the_journal() -> None:
    floor = Floor()
    first = floor.execute(BUY_ONE)
    asked, sent = len(floor.broker.asked), len(floor.broker.sent)
    again = floor.execute(BUY_ONE, run_id="run-2")

    assert again == first
    assert (len(floor.broker.asked), len(floor.broker.sent)) == (asked, sent)
    assert floor.channels[0].published == [first]
    assert floor.fields(LogEvent.PLAN_DUPLICATE) == [{"status": ExecutionStatus.SUCCESS, "answered_by": "journal"}]
    assert floor.journal.holder("main") is None


def test_a_plan_that_was_changed_under_its_id_is_refused() -> None:
    floor = Floor()
    floor.execute(BUY_ONE)
    with pytest.raises(PlanChanged) as caught:
        floor.execute(a_plan(an_item("AAA", amount="1001")), run_id="run-2")

    assert caught.value.context["field"] == "plan_id"
    assert caught.value.context["started_at"] == NOW
    assert floor.journal.holder("main") is None
    assert len(floor.broker.sent) == 1


@pytest.mark.parametrize(
    ("made_at", "field"), [(-1801, "timestamp"), (121, "timestamp")], ids=["too old", "in the future"]
)
def test_a_plan_of_another_time_is_not_begun(made_at: float, field: str) -> None:
    floor = Floor()
    with pytest.raises(InvalidInput) as caught:
        floor.execute(a_plan(an_item("AAA"), timestamp=later(made_at)))

    assert caught.value.context["field"] == field
    assert floor.journal.peek("main", "plan-1") is None


@pytest.mark.parametrize("made_at", [-1800, 120])
def test_a_plan_within_the_bounds_is_begun(made_at: float) -> None:
    assert Floor().execute(a_plan(an_item("AAA"), timestamp=later(made_at))).success


# --- yielding and going on -------------------------------------------------------------------------------


def test_a_run_stops_before_its_deadline_with_nothing_left_open() -> None:
    floor = Floor(child_wait_seconds=600)
    floor.broker.behave("AAA", RESTS)
    with pytest.raises(
        PlanYielded, match="stopped safely before the deadline; the next delivery goes on with the buys"
    ):
        floor.execute(BUY_ONE, seconds=100)

    assert floor.clock.seconds == 80.2  # a fifth is kept; one short look confirms the cancel
    assert [child.state for child in floor.parent("AAA").children] == [ChildState.CANCELED]
    assert floor.fields(LogEvent.RUN_YIELDING) == [
        {"give_up_at": later(100 - 20 / 3), "reason": "deadline"},
    ]
    (run,) = floor.journal.runs("main", "plan-1")
    assert (run.end, run.ended_at) == (RunEnd.YIELDED, floor.clock.now())
    assert run.reason is not None
    assert run.reason.startswith("PLAN_YIELDED: stopped safely")
    assert floor.fields(LogEvent.RUN_ENDED) == [{"end": RunEnd.YIELDED, "reason": run.reason, "seconds": 80.2}]
    assert floor.known().plan.phase is PlanPhase.BUYS
    assert floor.journal.holder("main") is None


def test_a_run_that_stops_among_the_sells_says_so() -> None:
    floor = a_floor(child_wait_seconds=600)
    floor.broker.behave("AAA", RESTS)
    with pytest.raises(PlanYielded, match="goes on with the sells"):
        floor.execute(exchange(), seconds=100)

    assert floor.known().plan.phase is PlanPhase.SELLS
    assert floor.known().plan.buy_budget is None


def test_a_cancel_that_is_not_confirmed_is_waited_for_until_the_run_must_give_up() -> None:
    floor = Floor(child_wait_seconds=600)
    floor.broker.behave("AAA", STUCK)
    with pytest.raises(PlanYielded):
        floor.execute(BUY_ONE, seconds=60)

    assert floor.clock.now() == later(56)
    assert [child.state for child in floor.parent("AAA").children] == [ChildState.LIVE]


def test_the_next_run_goes_on_where_the_last_one_stopped() -> None:
    floor = Floor(child_wait_seconds=600)
    floor.broker.behave("AAA", RESTS)
    with pytest.raises(PlanYielded):
        floor.execute(BUY_ONE, seconds=100)
    result = floor.execute(BUY_ONE, run_id="run-2")

    assert (result.status, result.runs) == (ExecutionStatus.SUCCESS, 2)
    assert [child.state for child in floor.parent("AAA").children] == [ChildState.CANCELED, ChildState.FILLED]
    assert floor.fields(LogEvent.PLAN_RESUMED) == [{"runs": 2, "phase": PlanPhase.BUYS}]
    assert [(run.epoch, run.run_id, run.end) for run in floor.journal.runs("main", "plan-1")] == [
        (1, "run-1", RunEnd.YIELDED),
        (2, "run-2", RunEnd.COMPLETED),
    ]
    assert floor.events.count(LogEvent.PLAN_STARTED) == 1


def test_the_gate_is_passed_once() -> None:
    """The budget that the first run found is the second one's, too."""
    floor = a_floor(child_wait_seconds=600)
    floor.broker.behave("BBB", RESTS)
    with pytest.raises(PlanYielded):
        floor.execute(exchange(), seconds=100)
    budget = floor.known().plan.buy_budget
    floor.broker.cash += 50_000
    floor.execute(exchange(), run_id="run-2")

    assert floor.known().plan.buy_budget == budget
    assert floor.events.count(LogEvent.GATE_PASSED) == 1


def test_a_resume_on_another_account_is_refused() -> None:
    floor = Floor(child_wait_seconds=600)
    floor.broker.behave("AAA", RESTS)
    with pytest.raises(PlanYielded):
        floor.execute(BUY_ONE, seconds=100)
    floor.broker.account_number = "PA2"
    with pytest.raises(ConfigurationError, match="PA1") as caught:
        floor.execute(BUY_ONE, run_id="run-2")

    assert caught.value.context["field"] == "account_number"
    assert len(floor.broker.sent) == 1


def test_a_resume_while_the_account_is_blocked_concludes_the_plan() -> None:
    floor = Floor(child_wait_seconds=600)
    floor.broker.behave("AAA", RESTS)
    with pytest.raises(PlanYielded):
        floor.execute(BUY_ONE, seconds=100)
    floor.broker.blocked_by = "trading_blocked"

    assert ended(floor.execute(BUY_ONE, run_id="run-2")) == {"AAA": (Outcome.UNFILLED, Code.ACCOUNT_BLOCKED)}


def test_a_plan_of_too_many_runs_halts_the_account_and_ends() -> None:
    floor = Floor(max_runs=6, child_wait_seconds=600)
    floor.broker.behave("AAA", *[RESTS] * 10)
    for number in range(1, 7):
        with pytest.raises(PlanYielded):
            floor.execute(BUY_ONE, seconds=20, run_id=f"run-{number}")
    assert floor.journal.book.settings == {}
    result = floor.execute(BUY_ONE, seconds=20, run_id="run-7")

    assert ended(result) == {"AAA": (Outcome.UNFILLED, Code.TOO_MANY_RUNS)}
    (switch,) = floor.journal.book.settings["main"]
    assert switch.reason.startswith("plan-1: run 7")
    assert [fields["code"] for fields in floor.fields(LogEvent.RUN_CONCLUDING)] == [Code.TOO_MANY_RUNS]


def test_somebody_who_asks_the_run_to_stop_is_heard() -> None:
    floor = Floor(child_wait_seconds=600)
    floor.broker.behave("AAA", RESTS)

    def ask() -> None:
        floor.stop_requested = True

    floor.clock.at(3, ask)
    with pytest.raises(PlanYielded, match="stopped safely on request; the next delivery goes on with the buys"):
        floor.execute(BUY_ONE)

    assert floor.clock.seconds < 5
    assert floor.broker.cancelled == ["order-1"]
    assert [fields["reason"] for fields in floor.fields(LogEvent.RUN_YIELDING)] == ["stopped safely on request"]


# --- the gate --------------------------------------------------------------------------------------------


def test_proceeds_that_do_not_show_yet_are_waited_for() -> None:
    floor = a_floor()
    floor.broker.withheld = Decimal("1999.80")

    def show() -> None:
        floor.broker.withheld = Decimal(0)

    floor.clock.at(2, show)
    floor.broker.withheld = Decimal(0)
    plan = exchange()
    floor.broker.before_submit = lambda request: hide(floor) if request.symbol == "AAA" else None
    result = floor.execute(plan)

    assert result.success
    assert floor.clock.slept == [0.5] * 4
    waiting = floor.fields(LogEvent.GATE_WAITING)
    assert waiting == [{"shown": Decimal(100_000), "expected": Decimal("101999.80")}] * 4


def hide(floor: Floor) -> None:
    """The proceeds to come are not shown yet."""
    floor.broker.withheld = Decimal("1999.80")


def test_proceeds_that_never_show_are_waited_for_so_long_and_not_spent() -> None:
    floor = a_floor(proceeds_wait_seconds=3)
    floor.broker.before_submit = lambda request: hide(floor) if request.symbol == "AAA" else None
    floor.execute(exchange())

    assert floor.clock.seconds == 3
    assert floor.known().plan.buy_budget == Decimal(99_500)


def test_one_wait_for_the_proceeds_however_many_runs_it_takes() -> None:
    floor = a_floor(proceeds_wait_seconds=60)
    floor.broker.before_submit = lambda request: hide(floor) if request.symbol == "AAA" else None
    with pytest.raises(PlanYielded, match="waits for the proceeds"):
        floor.execute(exchange(), seconds=50)
    assert floor.clock.seconds == 40
    floor.execute(exchange(), run_id="run-2")

    assert floor.clock.seconds == 60


def test_who_waits_for_proceeds_hears_a_request_to_stop() -> None:
    floor = a_floor(proceeds_wait_seconds=60)
    floor.broker.before_submit = lambda request: hide(floor) if request.symbol == "AAA" else None

    def ask() -> None:
        floor.stop_requested = True

    floor.clock.at(1.2, ask)
    with pytest.raises(PlanYielded):
        floor.execute(exchange())

    assert floor.clock.seconds < 2


def test_buys_are_made_to_fit_what_the_sells_brought() -> None:
    floor = a_floor(cash_buffer=0)
    floor.broker.cash = Decimal("1000.30")
    result = floor.execute(exchange())

    assert ended(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.FILLED, Code.SCALED_TO_CASH)}
    assert floor.parent("BBB").qty == Decimal("29.998000")
    assert floor.known().plan.buy_budget == Decimal("3000.10")


def test_buys_are_made_to_fit_at_the_prices_of_the_gate_and_not_at_those_of_the_beginning() -> None:
    floor = a_floor(cash_buffer=0, child_wait_seconds=60)
    floor.broker.cash = Decimal("1000.30")
    floor.broker.behave("AAA", RESTS)
    floor.clock.at(3, lambda: floor.broker.fill("order-1"))
    floor.clock.at(3, lambda: floor.broker.quote("BBB", "101.99", "102.01"))
    result = floor.execute(exchange())

    assert ended(result)["BBB"] == (Outcome.FILLED, Code.SCALED_TO_CASH)
    assert floor.parent("BBB").qty == Decimal("29.409861")  # 3,000.10 at 102.01


def test_a_buy_that_no_longer_fits_is_skipped_and_told() -> None:
    floor = a_floor(cash_buffer=0)
    floor.broker.cash = Decimal(0)
    plan = a_plan(
        an_exit("AAA", amount="-2000", current_value="2000"),
        an_item("BBB", amount="3000", priority=1),
        an_item("CCC", amount="3000", priority=2),
    )
    result = floor.execute(plan)

    assert ended(result)["CCC"] == (Outcome.SKIPPED, Code.INSUFFICIENT_CASH)
    (skipped,) = floor.fields(LogEvent.ITEM_SKIPPED)
    assert (skipped["symbol"], skipped["outcome"]) == ("CCC", Outcome.SKIPPED)
    assert floor.parent("CCC").settled_at == floor.clock.now()


def test_a_plan_of_sells_needs_no_budget() -> None:
    floor = a_floor()
    floor.execute(a_plan(an_exit("AAA", amount="-2000", current_value="2000")))

    assert floor.known().plan.buy_budget is None
    assert LogEvent.GATE_PASSED not in floor.events


def test_without_proceeds_there_is_nothing_to_wait_for() -> None:
    floor = Floor()
    floor.broker.trouble["account"] = [None]
    floor.execute(BUY_ONE)

    assert floor.clock.slept == []
    assert floor.known().plan.buy_budget == Decimal(99_500)


def test_a_buy_that_was_journalled_without_the_gate_behind_it_is_not_sent_as_it_stands() -> None:
    """More parents than one transaction takes, and the run died between its parts."""
    floor = a_floor(parents_each=1)
    floor.broker.held = {"CCC": Decimal(20)}
    floor.trouble["journal.write"] = [None, JournalUnavailable("died")]
    floor.trouble["journal.write_batch"] = [None, None, JournalUnavailable("died")]
    plan = a_plan(an_exit("CCC", amount="-2000", current_value="2000"), an_item("AAA", amount="3000"))
    with pytest.raises(JournalUnavailable):
        floor.execute(plan)
    assert floor.known().plan.phase is PlanPhase.SELLS
    assert [child.state for child in floor.parent("AAA").children] == [ChildState.INTENDED]

    floor.broker.cash = Decimal(1_000)
    result = floor.execute(plan, run_id="run-2")

    assert [child.state for child in floor.parent("AAA").children] == [ChildState.NOT_SENT, ChildState.FILLED]
    assert Decimal(900) < result.orders[1].trade_amount <= Decimal(995)


# --- ends ------------------------------------------------------------------------------------------------


def test_a_run_that_was_fenced_writes_nothing_more() -> None:
    floor = Floor()
    floor.trouble["journal.write"] = [Fenced("another run took over")]
    with pytest.raises(Fenced):
        floor.execute(BUY_ONE)

    assert floor.calls.count("journal.write") == 1
    assert floor.broker.sent == []
    assert LogEvent.RUN_ENDED not in floor.events


def test_how_a_run_ended_is_told_even_where_it_cannot_be_written() -> None:
    floor = Floor()
    floor.broker.trouble["orders"] = [BrokerUnavailable("503")]
    floor.broker.behave("AAA", RESTS)
    floor.trouble["journal.write"] = [None, *[JournalUnavailable("the table does not answer")] * 2]
    with pytest.raises(BrokerUnavailable):
        floor.execute(BUY_ONE)

    assert floor.fields(LogEvent.RUN_END_NOT_JOURNALLED) == [{"reason": "the table does not answer"}]
    (ended,) = floor.fields(LogEvent.RUN_ENDED)
    assert (ended["end"], ended["reason"]) == (RunEnd.FAILED, "BROKER_UNAVAILABLE: 503")


@pytest.mark.parametrize("cancel", [None, BrokerUnavailable("504")], ids=["taken", "without an answer, too"])
def test_a_run_that_can_no_longer_look_asks_for_the_cancel_of_what_rests(cancel: Exception | None) -> None:
    """Nobody looks at it until the plan is delivered again, if it is. Where one cancel fails, no other is tried."""
    floor = Floor()
    floor.broker.trouble |= {"orders": [None, BrokerUnavailable("503")], "cancel": [cancel]}
    for symbol in ("AAA", "BBB"):
        floor.broker.behave(symbol, RESTS)
    plan = a_plan(an_item("AAA", amount="1000"), an_item("BBB", amount="1000"))
    with pytest.raises(BrokerUnavailable, match="503"):
        floor.execute(plan)
    asked = list(floor.broker.cancelled)
    result = floor.execute(plan, run_id="run-2")

    assert asked == (["order-1", "order-2"] if cancel is None else ["order-1"])
    assert {order.outcome for order in result.orders} == {Outcome.FILLED}
    assert [order.status for order in floor.broker.book.values()] == ["canceled"] * 2 + ["filled"] * 2


def test_only_what_rests_is_withdrawn_and_the_journal_says_so_before() -> None:
    """What is filled needs nothing, and what is lost has no order to cancel."""
    floor = Floor()
    floor.broker.trouble["orders"] = [BrokerUnavailable("503")]
    for symbol, behaviour in (("BBB", VANISHES), ("CCC", RESTS)):
        floor.broker.behave(symbol, behaviour)
    with pytest.raises(BrokerUnavailable, match="503"):
        floor.execute(a_plan(*(an_item(symbol, amount="1000") for symbol in ("AAA", "BBB", "CCC"))))

    asked = {symbol: floor.parent(symbol).children[-1].cancel_requested_at for symbol in ("AAA", "BBB", "CCC")}
    assert [floor.broker.book[order_id].symbol for order_id in floor.broker.cancelled] == ["CCC"]
    assert asked == {"AAA": None, "BBB": None, "CCC": floor.clock.now()}


def test_a_run_that_can_write_nothing_cancels_nothing() -> None:
    """Another run may have taken over: what rests may be its own by now."""
    floor = Floor()
    floor.broker.trouble["orders"] = [BrokerUnavailable("503")]
    floor.broker.behave("AAA", RESTS)
    floor.trouble["journal.write"] = [None, Fenced("another run took over")]
    with pytest.raises(BrokerUnavailable):
        floor.execute(BUY_ONE)

    assert floor.broker.cancelled == []


def test_an_item_that_an_operator_must_look_at_makes_the_plan_unresolved() -> None:
    floor = Floor()
    floor.clock.at(0, lambda: None)
    check = floor.broker.before_submit
    floor.broker.before_submit = lambda request: (floor.broker.held.update(AAA=Decimal(3)), check(request))[1]
    result = floor.execute(BUY_ONE)

    assert result.status is ExecutionStatus.UNRESOLVED
    assert LogEvent.PLAN_FINISHED not in floor.events
    (told,) = floor.fields(LogEvent.PLAN_UNRESOLVED)
    assert (told["orders_unresolved"], told["seconds"]) == (1, 5.0)
    assert [difference.symbol for difference in result.differences] == ["AAA"]
    assert floor.known().result == result


# --- reports ---------------------------------------------------------------------------------------------


def test_a_channel_that_fails_keeps_neither_the_others_nor_the_result_back() -> None:
    floor = Floor()
    floor.channels = [Channel("bus"), Channel("notice")]
    floor.channels[0].trouble = [PublishFailed("the bus is down")]
    result = floor.execute(BUY_ONE)

    assert floor.channels[1].published == [result]
    assert floor.known().published == {"notice"}
    assert floor.fields(LogEvent.RESULT_PUBLISH_FAILED) == [
        {"channel": "bus", "error": "PublishFailed", "reason": "the bus is down"}
    ]
    assert floor.fields(LogEvent.RESULT_PUBLISHED) == [{"channel": "notice"}]


def test_a_failure_without_words_is_told_by_its_kind() -> None:
    floor = Floor()
    floor.channels[0].trouble = [ValueError()]
    floor.execute(BUY_ONE)

    assert [fields["reason"] for fields in floor.fields(LogEvent.RESULT_PUBLISH_FAILED)] == ["ValueError()"]
    assert "journal.mark_published" not in floor.calls


def test_what_was_not_published_is_published_with_the_next_delivery_and_only_that() -> None:
    floor = Floor()
    floor.channels = [Channel("bus"), Channel("notice")]
    floor.channels[1].trouble = [PublishFailed("down")]
    result = floor.execute(BUY_ONE)
    floor.execute(BUY_ONE, run_id="run-2")

    assert [channel.published for channel in floor.channels] == [[result], [result]]
    assert floor.known().published == {"bus", "notice"}


def test_that_it_was_published_may_be_forgotten_and_nothing_else_fails() -> None:
    floor = Floor()
    floor.trouble["journal.mark_published"] = [JournalUnavailable("the table does not answer")]
    assert floor.execute(BUY_ONE).success
    assert floor.fields(LogEvent.RESULT_PUBLISH_FAILED) == [
        {"channel": "journal", "error": "JournalUnavailable", "reason": "the table does not answer"}
    ]


def test_the_time_a_plan_took_is_told_in_seconds() -> None:
    floor = Floor()
    floor.broker.behave("AAA", RESTS)
    floor.clock.at(1.3, lambda: floor.broker.fill("order-1"))
    result = floor.execute(BUY_ONE)

    assert [fields["seconds"] for fields in floor.fields(LogEvent.PLAN_FINISHED)] == [1.5]
    assert result.execution_timestamp - result.started_at == timedelta(seconds=1.5)
