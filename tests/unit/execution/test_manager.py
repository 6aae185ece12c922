"""One plan from its lease to its result: lease, cash gate, and the ends of a run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import (
    BrokerUnavailable,
    ConfigurationError,
    CredentialsRejected,
    DayChanged,
    Fenced,
    InvalidInput,
    JournalUnavailable,
    LeaseHeld,
    PlanChanged,
    PlanYielded,
    PublishFailed,
)
from rebalance_executor.domain.journal import PlanPhase, RunEnd
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.domain.orders import ChildPhase, ChildState, Outcome
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionStatus
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.run import DEADLINE_REASON
from tests.support.builders import NOW, a_plan, an_exit, an_item, later
from tests.support.fake_ports import CANCEL_STUCK, REQUEST_LOST, RESTS, FakePorts, outcomes
from tests.support.fake_publisher import FakePublisher

BUY_ONE = a_plan(an_item("AAA", amount="1000"))


def exchange(**fields: object) -> RebalancePlan:
    """Return a plan that sells all of AAA and buys BBB."""
    return a_plan(an_exit("AAA", amount="-2000", current_value="2000"), an_item("BBB", amount="3000"), **fields)


def fakes_with(parents_each: int = 88, **config: object) -> FakePorts:
    fakes = FakePorts(parents_each=parents_each, **config)
    fakes.broker.shares = {"AAA": Decimal(20)}
    return fakes


def held_by_another(fakes: FakePorts, seconds: float) -> None:
    fakes.journal.acquire("main", "another", now=NOW, expires_at=later(seconds))


# --- lease -----------------------------------------------------------------------------------------------


def test_run_waits_for_a_lease_that_another_run_holds() -> None:
    fakes = FakePorts(lease_wait_seconds="150")
    held_by_another(fakes, 12)
    fakes.execute(BUY_ONE)

    assert fakes.slept[:3] == [5, 5, 5]
    assert fakes.broker.reads[0] == ("account", None)
    awaited = fakes.fields(LogEvent.LEASE_WAITING)
    assert [fields["until"] for fields in awaited] == [later(150)] * 3
    assert "main" in str(awaited[0]["reason"])


@pytest.mark.parametrize(
    ("seconds", "wait", "waited"),
    [(600, "10", 10), (600, "9.999", 5), (100, "150", 40), (600, "0", 0)],
    ids=["as configured", "not beyond it", "half of the time there is", "not at all"],
)
def test_wait_for_a_lease_is_bounded(seconds: float, wait: str, waited: float) -> None:
    fakes = FakePorts(lease_wait_seconds=wait)
    held_by_another(fakes, 10_000)
    with pytest.raises(LeaseHeld):
        fakes.execute(BUY_ONE, seconds=seconds)

    assert fakes.elapsed == waited
    assert fakes.broker.reads == []


def test_failed_run_releases_the_lease() -> None:
    fakes = FakePorts()
    fakes.broker.errors["account"] = [BrokerUnavailable("503")]
    with pytest.raises(BrokerUnavailable):
        fakes.execute(BUY_ONE)

    assert fakes.journal.holder("main") is None


def test_failed_release_does_not_hide_the_first_error() -> None:
    fakes = FakePorts()
    fakes.broker.errors["account"] = [BrokerUnavailable("503")]
    fakes.database_errors["journal.release"] = [JournalUnavailable("the table does not answer")]
    with pytest.raises(BrokerUnavailable):
        fakes.execute(BUY_ONE)

    assert fakes.fields(LogEvent.LEASE_RELEASE_FAILED) == [{"reason": "the table does not answer"}]


# --- the same plan again ---------------------------------------------------------------------------------


def test_finished_plan_is_answered_from_the_journal() -> None:
    fakes = FakePorts()
    first = fakes.execute(BUY_ONE)
    asked, sent = len(fakes.broker.reads), len(fakes.broker.sent)
    again = fakes.execute(BUY_ONE, run_id="run-2")

    assert again == first
    assert (len(fakes.broker.reads), len(fakes.broker.sent)) == (asked, sent)
    assert fakes.publishers[0].published == [first]
    assert fakes.fields(LogEvent.PLAN_DUPLICATE) == [{"status": ExecutionStatus.SUCCESS, "answered_by": "journal"}]
    assert fakes.journal.holder("main") is None


def test_plan_id_with_other_content_is_invalid() -> None:
    fakes = FakePorts()
    fakes.execute(BUY_ONE)
    with pytest.raises(PlanChanged) as caught:
        fakes.execute(a_plan(an_item("AAA", amount="1001")), run_id="run-2")

    assert caught.value.context["field"] == "plan_id"
    assert caught.value.context["started_at"] == NOW
    assert fakes.journal.holder("main") is None
    assert len(fakes.broker.sent) == 1


@pytest.mark.parametrize(
    ("made_at", "field"), [(-1801, "timestamp"), (121, "timestamp")], ids=["too old", "in the future"]
)
def test_plan_outside_its_age_bounds_does_not_start(made_at: float, field: str) -> None:
    fakes = FakePorts()
    with pytest.raises(InvalidInput) as caught:
        fakes.execute(a_plan(an_item("AAA"), timestamp=later(made_at)))

    assert caught.value.context["field"] == field
    assert fakes.journal.peek("main", "plan-1") is None


@pytest.mark.parametrize("made_at", [-1800, 120])
def test_plan_within_its_age_bounds_starts(made_at: float) -> None:
    assert FakePorts().execute(a_plan(an_item("AAA"), timestamp=later(made_at))).success


# --- yield and resume ------------------------------------------------------------------------------------


def test_run_yields_before_its_deadline_without_open_orders() -> None:
    fakes = FakePorts(child_wait_seconds=600)
    fakes.broker.script("AAA", RESTS)
    with pytest.raises(PlanYielded, match="before the deadline"):
        fakes.execute(BUY_ONE, seconds=100)

    assert fakes.elapsed == 80.8  # a fifth is kept; two looks, a tick apart, confirm the cancel
    assert [child.state for child in fakes.parent("AAA").children] == [ChildState.CANCELED]
    (yielding,) = fakes.fields(LogEvent.RUN_YIELDING)
    assert yielding["give_up_at"] == later(100 - 20 / 3)
    assert yielding["reason"] == DEADLINE_REASON
    (run,) = fakes.journal.runs("main", "plan-1")
    assert (run.end, run.ended_at) == (RunEnd.YIELDED, fakes.clock.now())
    assert run.reason is not None
    assert run.reason.startswith("PLAN_YIELDED: ")
    assert fakes.fields(LogEvent.RUN_ENDED) == [{"end": RunEnd.YIELDED, "reason": run.reason, "seconds": 80.8}]
    assert fakes.plan_journal().plan.phase is PlanPhase.BUYS
    assert fakes.journal.holder("main") is None


def test_run_that_yields_during_its_sells_has_not_passed_the_gate() -> None:
    fakes = fakes_with(child_wait_seconds=600)
    fakes.broker.script("AAA", RESTS)
    with pytest.raises(PlanYielded):
        fakes.execute(exchange(), seconds=100)

    assert fakes.plan_journal().plan.phase is PlanPhase.SELLS
    assert fakes.plan_journal().plan.buy_budget is None


def test_yielding_run_waits_for_an_unconfirmed_cancel_until_it_gives_up() -> None:
    fakes = FakePorts(child_wait_seconds=600)
    fakes.broker.script("AAA", CANCEL_STUCK)
    with pytest.raises(PlanYielded):
        fakes.execute(BUY_ONE, seconds=60)

    assert fakes.clock.now() == later(56)
    assert [child.state for child in fakes.parent("AAA").children] == [ChildState.LIVE]


def test_next_run_continues_where_the_last_one_stopped() -> None:
    fakes = FakePorts(child_wait_seconds=600)
    fakes.broker.script("AAA", RESTS)
    with pytest.raises(PlanYielded):
        fakes.execute(BUY_ONE, seconds=100)
    result = fakes.execute(BUY_ONE, run_id="run-2")

    assert (result.status, result.runs) == (ExecutionStatus.SUCCESS, 2)
    assert [child.state for child in fakes.parent("AAA").children] == [ChildState.CANCELED, ChildState.FILLED]
    assert fakes.fields(LogEvent.PLAN_RESUMED) == [{"runs": 2, "phase": PlanPhase.BUYS}]
    assert [(run.epoch, run.run_id, run.end) for run in fakes.journal.runs("main", "plan-1")] == [
        (1, "run-1", RunEnd.YIELDED),
        (2, "run-2", RunEnd.COMPLETED),
    ]
    assert fakes.events.count(LogEvent.PLAN_STARTED) == 1


def test_cash_gate_is_passed_once_per_plan() -> None:
    """The second run uses the budget of the first."""
    fakes = fakes_with(child_wait_seconds=600)
    fakes.broker.script("BBB", RESTS)
    with pytest.raises(PlanYielded):
        fakes.execute(exchange(), seconds=100)
    budget = fakes.plan_journal().plan.buy_budget
    fakes.broker.cash += 50_000
    fakes.execute(exchange(), run_id="run-2")

    assert fakes.plan_journal().plan.buy_budget == budget
    assert fakes.events.count(LogEvent.GATE_PASSED) == 1


def test_resume_on_another_account_is_an_error() -> None:
    fakes = FakePorts(child_wait_seconds=600)
    fakes.broker.script("AAA", RESTS)
    with pytest.raises(PlanYielded):
        fakes.execute(BUY_ONE, seconds=100)
    fakes.broker.account_number = "PA2"
    with pytest.raises(ConfigurationError, match="PA1") as caught:
        fakes.execute(BUY_ONE, run_id="run-2")

    assert caught.value.context["field"] == "account_number"
    assert len(fakes.broker.sent) == 1


@pytest.mark.parametrize("broker_kind", BrokerKind)
def test_result_says_what_broker_the_plan_started_on(broker_kind: BrokerKind) -> None:
    fakes = FakePorts(child_wait_seconds=600)
    fakes.broker_kind = broker_kind
    fakes.broker.script("AAA", RESTS)
    with pytest.raises(PlanYielded):
        fakes.execute(BUY_ONE, seconds=100)

    result = fakes.execute(BUY_ONE, run_id="run-2")

    assert (result.broker, result.runs) == (broker_kind, 2)


def test_resume_on_another_broker_is_an_error_before_the_broker_is_asked() -> None:
    fakes = FakePorts(child_wait_seconds=600)
    fakes.broker.script("AAA", RESTS)
    with pytest.raises(PlanYielded):
        fakes.execute(BUY_ONE, seconds=100)
    fakes.broker_kind = BrokerKind.LIVE
    reads = len(fakes.broker.reads)
    with pytest.raises(ConfigurationError) as caught:
        fakes.execute(BUY_ONE, run_id="run-2")

    assert caught.value.context["field"] == "ALPACA_PAPER"
    assert (len(fakes.broker.sent), len(fakes.broker.reads)) == (1, reads)
    assert fakes.plan_journal().plan.broker is BrokerKind.PAPER


def test_resume_on_a_blocked_account_concludes_the_plan() -> None:
    fakes = FakePorts(child_wait_seconds=600)
    fakes.broker.script("AAA", RESTS)
    with pytest.raises(PlanYielded):
        fakes.execute(BUY_ONE, seconds=100)
    fakes.broker.blocked_by = "trading_blocked"

    assert outcomes(fakes.execute(BUY_ONE, run_id="run-2")) == {"AAA": (Outcome.UNFILLED, Code.ACCOUNT_BLOCKED)}


def test_plan_with_too_many_runs_ends_and_halts_the_account() -> None:
    fakes = FakePorts(max_runs=6, child_wait_seconds=600)
    fakes.broker.script("AAA", *[RESTS] * 10)
    for number in range(1, 7):
        with pytest.raises(PlanYielded):
            fakes.execute(BUY_ONE, seconds=20, run_id=f"run-{number}")
    assert fakes.journal.risk_store.kill_switch_settings == {}
    result = fakes.execute(BUY_ONE, seconds=20, run_id="run-7")

    assert outcomes(result) == {"AAA": (Outcome.UNFILLED, Code.TOO_MANY_RUNS)}
    (switch,) = fakes.journal.risk_store.kill_switch_settings["main"]
    assert switch.reason.startswith("plan-1: ")
    assert [fields["code"] for fields in fakes.fields(LogEvent.RUN_CONCLUDING)] == [Code.TOO_MANY_RUNS]


def test_run_yields_on_request() -> None:
    fakes = FakePorts(child_wait_seconds=600)
    fakes.broker.script("AAA", RESTS)

    def ask() -> None:
        fakes.stop_requested = True

    fakes.after(3, ask)
    with pytest.raises(PlanYielded, match="on request"):
        fakes.execute(BUY_ONE)

    assert fakes.elapsed < 5
    assert fakes.broker.cancel_requests == ["order-1"]
    (yielding,) = fakes.fields(LogEvent.RUN_YIELDING)
    assert "on request" in str(yielding["reason"])


# --- the gate --------------------------------------------------------------------------------------------


def test_gate_waits_for_proceeds() -> None:
    fakes = fakes_with()
    fakes.broker.cash = Decimal(0)

    def show() -> None:
        fakes.broker.hidden_cash = Decimal(0)

    fakes.after(2, show)
    fakes.broker.hidden_cash = Decimal(0)
    plan = exchange()
    fakes.broker.before_submit = lambda request: hide(fakes) if request.symbol == "AAA" else None
    result = fakes.execute(plan)

    assert outcomes(result)["BBB"] == (Outcome.FILLED, Code.SCALED_TO_CASH)
    assert fakes.slept == [0.5] * 4
    waiting = fakes.fields(LogEvent.GATE_WAITING)
    assert waiting == [{"shown": Decimal(0), "expected": Decimal("1999.80")}] * 4


def hide(fakes: FakePorts) -> None:
    """Hide the proceeds from the account."""
    fakes.broker.hidden_cash = Decimal("1999.80")


def test_proceeds_that_never_arrive_are_not_spent() -> None:
    fakes = fakes_with(proceeds_wait_seconds=3)
    fakes.broker.cash = Decimal(1000)
    fakes.broker.before_submit = lambda request: hide(fakes) if request.symbol == "AAA" else None
    fakes.execute(exchange())

    assert fakes.elapsed == 3
    assert fakes.plan_journal().plan.buy_budget == Decimal(995)
    assert fakes.parent("BBB").filled_value <= 1000


def test_wait_for_proceeds_counts_across_runs() -> None:
    fakes = fakes_with(proceeds_wait_seconds=60)
    fakes.broker.cash = Decimal(0)
    fakes.broker.before_submit = lambda request: hide(fakes) if request.symbol == "AAA" else None
    with pytest.raises(PlanYielded, match="before the deadline"):
        fakes.execute(exchange(), seconds=50)
    assert fakes.elapsed == 40
    fakes.execute(exchange(), run_id="run-2")

    assert fakes.elapsed == 60


def test_run_yields_on_request_while_it_waits_for_proceeds() -> None:
    fakes = fakes_with(proceeds_wait_seconds=60)
    fakes.broker.cash = Decimal(0)
    fakes.broker.before_submit = lambda request: hide(fakes) if request.symbol == "AAA" else None

    def ask() -> None:
        fakes.stop_requested = True

    fakes.after(1.2, ask)
    with pytest.raises(PlanYielded):
        fakes.execute(exchange())

    assert fakes.elapsed < 2


def test_buys_are_scaled_to_actual_proceeds() -> None:
    fakes = fakes_with(cash_buffer=0)
    fakes.broker.cash = Decimal("1000.30")
    result = fakes.execute(exchange())

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.FILLED, Code.SCALED_TO_CASH)}
    assert fakes.parent("BBB").qty == Decimal("29.998000")
    assert fakes.plan_journal().plan.buy_budget == Decimal("3000.10")


def test_buys_are_scaled_at_quotes_of_the_gate() -> None:
    fakes = fakes_with(cash_buffer=0, child_wait_seconds=60, early_cash_fraction=0)
    fakes.broker.cash = Decimal("1000.30")
    fakes.broker.script("AAA", RESTS)
    fakes.after(3, lambda: fakes.broker.fill_order("order-1"))
    fakes.after(3, lambda: fakes.broker.set_quote("BBB", "101.99", "102.01"))
    result = fakes.execute(exchange())

    assert outcomes(result)["BBB"] == (Outcome.FILLED, Code.SCALED_TO_CASH)
    assert fakes.parent("BBB").qty == Decimal("29.409861")  # 3,000.10 at 102.01


BUY_30_BBB = a_plan(an_item("BBB", amount="3000"))


def test_buy_that_does_not_fit_is_skipped_and_logged() -> None:
    fakes = fakes_with(cash_buffer=0)
    fakes.broker.cash = Decimal(0)
    plan = a_plan(
        an_exit("AAA", amount="-2000", current_value="2000"),
        an_item("BBB", amount="3000", priority=1),
        an_item("CCC", amount="3000", priority=2),
    )
    result = fakes.execute(plan)

    assert outcomes(result)["CCC"] == (Outcome.SKIPPED, Code.INSUFFICIENT_CASH)
    (skipped,) = fakes.fields(LogEvent.ITEM_SKIPPED)
    assert (skipped["symbol"], skipped["outcome"]) == ("CCC", Outcome.SKIPPED)
    assert fakes.parent("CCC").settled_at == fakes.clock.now()
    assert result.status is ExecutionStatus.PARTIAL_SUCCESS


def test_resumed_run_keeps_what_the_plan_asked_for() -> None:
    fakes = fakes_with(cash_buffer=0, child_wait_seconds=600)
    fakes.broker.cash = Decimal(1000)
    fakes.broker.script("BBB", RESTS)
    with pytest.raises(PlanYielded):
        fakes.execute(BUY_30_BBB, seconds=100)
    fakes.broker.cash = Decimal(50_000)
    result = fakes.execute(BUY_30_BBB, run_id="run-2")

    (order,) = result.orders
    assert (order.outcome, order.error_code, result.runs) == (Outcome.FILLED, Code.SCALED_TO_CASH, 2)
    assert (order.requested_shares, order.requested_trade_amount) == (Decimal(30), Decimal(3000))
    assert order.planned_shares == order.shares == Decimal("9.999000")
    assert (result.status, result.orders_scaled) == (ExecutionStatus.PARTIAL_SUCCESS, 1)


def test_configured_tolerance_decides_about_success() -> None:
    fakes = fakes_with(cash_buffer=0, success_tolerance="0.7")
    fakes.broker.cash = Decimal(1000)

    assert fakes.execute(BUY_30_BBB).status is ExecutionStatus.SUCCESS


def test_plan_of_sells_needs_no_budget() -> None:
    fakes = fakes_with()
    fakes.execute(a_plan(an_exit("AAA", amount="-2000", current_value="2000")))

    assert fakes.plan_journal().plan.buy_budget is None
    assert LogEvent.GATE_PASSED not in fakes.events


def test_gate_does_not_wait_without_proceeds() -> None:
    fakes = FakePorts()
    fakes.broker.errors["account"] = [None]
    fakes.execute(BUY_ONE)

    assert fakes.slept == []
    assert fakes.plan_journal().plan.buy_budget == Decimal(99_500)


def test_buy_that_was_journalled_with_other_cash_is_priced_again_by_the_next_run() -> None:
    """The run was killed before it sent the buy; then a person spent the cash that the buy was sized for."""
    fakes = fakes_with()
    fakes.broker.shares = {"CCC": Decimal(20)}
    fakes.broker.script("CCC", CredentialsRejected("died"))
    fakes.database_errors["journal.write"] = [None, *[JournalUnavailable("died")] * 2]
    plan = a_plan(an_exit("CCC", amount="-2000", current_value="2000"), an_item("AAA", amount="3000"))
    with pytest.raises(CredentialsRejected):
        fakes.execute(plan)
    assert [child.state for child in fakes.parent("AAA").children] == [ChildState.INTENDED]

    fakes.broker.cash = Decimal(-1_000)
    result = fakes.execute(plan, run_id="run-2")

    assert [child.state for child in fakes.parent("AAA").children] == [ChildState.NOT_SENT, ChildState.FILLED]
    assert 900 < result.orders[1].trade_amount <= 1000
    assert fakes.broker.cash >= 0


# --- ends ------------------------------------------------------------------------------------------------


def test_fenced_run_writes_nothing() -> None:
    fakes = FakePorts()
    fakes.database_errors["journal.write"] = [Fenced("another run took over")]
    with pytest.raises(Fenced):
        fakes.execute(BUY_ONE)

    assert fakes.database_calls.count("journal.write") == 1
    assert fakes.broker.sent == []
    assert LogEvent.RUN_ENDED not in fakes.events


def test_end_of_a_run_that_cannot_be_written_is_logged() -> None:
    fakes = FakePorts()
    fakes.broker.errors["orders"] = [BrokerUnavailable("503")]
    fakes.broker.script("AAA", RESTS)
    fakes.database_errors["journal.write"] = [None, *[JournalUnavailable("the table does not answer")] * 2]
    with pytest.raises(BrokerUnavailable):
        fakes.execute(BUY_ONE)

    assert fakes.fields(LogEvent.RUN_END_NOT_JOURNALLED) == [{"reason": "the table does not answer"}]
    (ended,) = fakes.fields(LogEvent.RUN_ENDED)
    assert (ended["end"], ended["reason"]) == (RunEnd.FAILED, "BROKER_UNAVAILABLE: 503")


@pytest.mark.parametrize("cancel", [None, BrokerUnavailable("504")], ids=["accepted", "without an answer, too"])
def test_run_that_cannot_read_sends_cancels_for_working_orders(cancel: Exception | None) -> None:
    """The orders are not looked at until the next delivery. After one failed cancel no other is sent."""
    fakes = FakePorts()
    fakes.broker.errors |= {"orders": [None, BrokerUnavailable("503")], "cancel": [cancel]}
    for symbol in ("AAA", "BBB"):
        fakes.broker.script(symbol, RESTS)
    plan = a_plan(an_item("AAA", amount="1000"), an_item("BBB", amount="1000"))
    with pytest.raises(BrokerUnavailable, match="503"):
        fakes.execute(plan)
    asked = list(fakes.broker.cancel_requests)
    result = fakes.execute(plan, run_id="run-2")

    assert asked == (["order-1", "order-2"] if cancel is None else ["order-1"])
    assert {order.outcome for order in result.orders} == {Outcome.FILLED}
    assert [order.status for order in fakes.broker.orders_by_id.values()] == ["canceled"] * 2 + ["filled"] * 2


def test_only_working_orders_are_canceled_and_journalled_first() -> None:
    """A filled order needs no cancel, and an unknown one has no order ID."""
    fakes = FakePorts()
    fakes.broker.errors["orders"] = [BrokerUnavailable("503")]
    for symbol, behaviour in (("BBB", REQUEST_LOST), ("CCC", RESTS)):
        fakes.broker.script(symbol, behaviour)
    with pytest.raises(BrokerUnavailable, match="503"):
        fakes.execute(a_plan(*(an_item(symbol, amount="1000") for symbol in ("AAA", "BBB", "CCC"))))

    asked = {symbol: fakes.parent(symbol).children[-1].cancel_requested_at for symbol in ("AAA", "BBB", "CCC")}
    assert [fakes.broker.orders_by_id[order_id].symbol for order_id in fakes.broker.cancel_requests] == ["CCC"]
    assert asked == {"AAA": None, "BBB": None, "CCC": fakes.clock.now()}


def test_filled_order_whose_price_is_late_is_not_canceled() -> None:
    """It is not confirmed yet, but no shares are left to cancel."""
    fakes = FakePorts()
    fakes.broker.as_reported = lambda order: replace(order, filled_avg_price=None)
    fakes.broker.errors["orders"] = [BrokerUnavailable("503")]
    with pytest.raises(BrokerUnavailable, match="503"):
        fakes.execute(BUY_ONE)

    assert fakes.broker.cancel_requests == []
    assert fakes.parent("AAA").children[0].phase is ChildPhase.CLOSED_UNCONFIRMED


def test_run_that_cannot_write_sends_no_cancel() -> None:
    """Another run may hold the lease: the open orders may be its own by now."""
    fakes = FakePorts()
    fakes.broker.errors["orders"] = [BrokerUnavailable("503")]
    fakes.broker.script("AAA", RESTS)
    fakes.database_errors["journal.write"] = [None, Fenced("another run took over")]
    with pytest.raises(BrokerUnavailable):
        fakes.execute(BUY_ONE)

    assert fakes.broker.cancel_requests == []


def test_unresolved_item_makes_the_plan_unresolved() -> None:
    fakes = FakePorts()
    fakes.after(0, lambda: None)
    check = fakes.broker.before_submit
    fakes.broker.before_submit = lambda request: (fakes.broker.shares.update(AAA=Decimal(3)), check(request))[1]
    result = fakes.execute(BUY_ONE)

    assert result.status is ExecutionStatus.UNRESOLVED
    assert LogEvent.PLAN_FINISHED not in fakes.events
    (logged,) = fakes.fields(LogEvent.PLAN_UNRESOLVED)
    assert (logged["orders_unresolved"], logged["seconds"]) == (1, 5.0)
    assert [difference.symbol for difference in result.differences] == ["AAA"]
    assert fakes.plan_journal().result == result


# --- publishing ------------------------------------------------------------------------------------------


def test_failing_channel_affects_neither_others_nor_the_result() -> None:
    fakes = FakePorts()
    fakes.publishers = [FakePublisher("bus"), FakePublisher("notice")]
    fakes.publishers[0].errors = [PublishFailed("the bus is down")]
    result = fakes.execute(BUY_ONE)

    assert fakes.publishers[1].published == [result]
    assert fakes.plan_journal().published == {"notice"}
    assert fakes.fields(LogEvent.RESULT_PUBLISH_FAILED) == [
        {"channel": "bus", "error": "PublishFailed", "reason": "the bus is down"}
    ]
    assert fakes.fields(LogEvent.RESULT_PUBLISHED) == [{"channel": "notice"}]


def test_publish_failure_without_a_message_is_logged_by_type() -> None:
    fakes = FakePorts()
    fakes.publishers[0].errors = [ValueError()]
    fakes.execute(BUY_ONE)

    assert [fields["reason"] for fields in fakes.fields(LogEvent.RESULT_PUBLISH_FAILED)] == ["ValueError()"]


def test_next_delivery_publishes_only_missing_channels() -> None:
    fakes = FakePorts()
    fakes.publishers = [FakePublisher("bus"), FakePublisher("notice")]
    fakes.publishers[1].errors = [PublishFailed("down")]
    result = fakes.execute(BUY_ONE)
    fakes.execute(BUY_ONE, run_id="run-2")

    assert [channel.published for channel in fakes.publishers] == [[result], [result]]
    assert fakes.plan_journal().published == {"bus", "notice"}


def test_failure_to_record_a_publication_is_only_logged() -> None:
    fakes = FakePorts()
    fakes.database_errors["journal.mark_published"] = [JournalUnavailable("the table does not answer")]
    assert fakes.execute(BUY_ONE).success
    assert fakes.fields(LogEvent.RESULT_PUBLISH_FAILED) == [
        {"channel": "journal", "error": "JournalUnavailable", "reason": "the table does not answer"}
    ]


def test_duration_of_a_plan_is_logged_in_seconds() -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", RESTS)
    fakes.after(1.3, lambda: fakes.broker.fill_order("order-1"))
    result = fakes.execute(BUY_ONE)

    assert [fields["seconds"] for fields in fakes.fields(LogEvent.PLAN_FINISHED)] == [2.0]
    assert result.execution_timestamp - result.started_at == timedelta(seconds=2)


# --- another plan or a person in between -----------------------------------------------------------------


@pytest.mark.parametrize("error", [CredentialsRejected("403"), DayChanged("another plan")], ids=["keys", "day"])
def test_every_error_that_ends_a_run_withdraws_its_orders(error: Exception) -> None:
    fakes = FakePorts()
    fakes.broker.script("AAA", RESTS)
    fakes.broker.errors["orders"] = [error]
    with pytest.raises(type(error)):
        fakes.execute(BUY_ONE)

    assert fakes.broker.cancel_requests == ["order-1"]


def test_resumed_plan_spends_only_the_cash_that_is_left() -> None:
    """Another plan spent 950 of the 1,000 dollars while this one waited for its next delivery."""
    fakes = FakePorts(child_wait_seconds=600)
    fakes.broker.cash = Decimal(1000)
    fakes.broker.script("AAA", RESTS)
    with pytest.raises(PlanYielded):
        fakes.execute(a_plan(an_item("AAA", amount="900")), seconds=100)
    fakes.broker.cash = Decimal(50)
    result = fakes.execute(a_plan(an_item("AAA", amount="900")), run_id="run-2")

    assert fakes.broker.cash >= 0
    assert result.orders[0].trade_amount <= 50
    (reduced,) = fakes.fields(LogEvent.GATE_BUDGET_REDUCED)
    assert reduced["cash_left"] == 50


def test_resumed_plan_keeps_its_budget_while_the_cash_is_there() -> None:
    fakes = FakePorts(child_wait_seconds=600)
    fakes.broker.script("AAA", RESTS)
    with pytest.raises(PlanYielded):
        fakes.execute(BUY_ONE, seconds=100)
    result = fakes.execute(BUY_ONE, run_id="run-2")

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert fakes.fields(LogEvent.GATE_BUDGET_REDUCED) == []
