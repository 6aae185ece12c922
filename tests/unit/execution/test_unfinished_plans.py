"""One unfinished plan per account: a run finishes it before its own plan, from the journal alone."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import (
    BrokerUnavailable,
    ConfigurationError,
    EarlierPlanUnfinished,
    JournalContradiction,
    JournalUnavailable,
    OverfillGuard,
    PlanChanged,
    PlanExpired,
    PlanYielded,
)
from rebalance_executor.domain.journal import PlanPhase
from rebalance_executor.domain.market import BrokerOrder, MarketClock, OrderRequest, OrderType, Side
from rebalance_executor.domain.order_ids import child_order_id
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionStatus
from rebalance_executor.domain.risk_state import AccountBinding, TradingState
from rebalance_executor.execution.events import LogEvent
from tests.support.builders import NOW, a_plan, an_exit, an_item, an_order_of, later
from tests.support.fake_ports import CANCEL_STUCK, RESTS, FakePorts, outcomes


def buys(plan_id: str, symbol: str, amount: str = "1000", **fields: object) -> RebalancePlan:
    return a_plan(an_item(symbol, amount=amount), plan_id=plan_id, **fields)


FIRST = buys("first", "AAA", correlation_id="correlation of the first")
SECOND = buys("second", "BBB")


def yielded(plan: RebalancePlan = FIRST, **config: Any) -> FakePorts:
    """Return fakes in which ``plan`` was started and yielded; its own delivery never comes again."""
    fakes = FakePorts(child_wait_seconds="60", **config)
    for item in plan.trades:
        fakes.broker.script(item.symbol, RESTS)
    with pytest.raises(PlanYielded):
        fakes.execute(plan, seconds=10)
    return fakes


# --- the run finishes it ---------------------------------------------------------------------------------


def test_run_with_another_plan_first_finishes_the_unfinished_one() -> None:
    fakes = yielded()

    second = fakes.execute(SECOND, run_id="run-2")

    first = fakes.plan_journal("first").result
    assert first is not None
    assert outcomes(first) == {"AAA": (Outcome.FILLED, None)}
    assert first.correlation_id == "correlation of the first"
    assert first.runs == 2
    assert second.success
    assert [result.plan_id for result in fakes.publishers[0].published] == ["first", "second"]
    assert fakes.earlier_plans == ["first"]
    assert fakes.fields(LogEvent.PLAN_EARLIER_RESUMED) == [{"unfinished_plan_id": "first"}]
    assert fakes.journal.unfinished_plan_ids == []


def test_own_delivery_of_the_finished_plan_gets_its_result() -> None:
    fakes = yielded()
    fakes.execute(SECOND, run_id="run-2")

    assert fakes.execute(FIRST, run_id="run-3") == fakes.plan_journal("first").result


def test_proceeds_of_the_unfinished_plan_are_there_for_the_new_one() -> None:
    """Its buy was filled before its last sell: no later reading showed the proceeds, and the new plan got $1,000."""
    fakes = FakePorts(child_wait_seconds="60")
    fakes.broker.cash, fakes.broker.shares = Decimal(2_000), {"CCC": Decimal(100)}
    fakes.broker.script("CCC", RESTS, RESTS)
    fakes.broker.script("AAA", RESTS)
    exit_all = an_exit("CCC", amount="-10000", current_value="10000")
    first = a_plan(exit_all, an_item("AAA", amount="1000"), plan_id="first")
    with pytest.raises(PlanYielded):
        fakes.execute(first, seconds=10)
    fakes.after(5, lambda: fakes.broker.fill_order("order-3"))

    second = fakes.execute(buys("second", "BBB", amount="9000"), run_id="run-2")

    assert outcomes(second) == {"BBB": (Outcome.FILLED, None)}


def test_orders_of_the_unfinished_plan_precede_those_of_the_new_one() -> None:
    fakes = yielded()
    fakes.execute(SECOND, run_id="run-2")

    assert [request.symbol for request in fakes.broker.sent] == ["AAA", "AAA", "BBB"]


def test_plan_past_its_time_limit_is_concluded() -> None:
    fakes = yielded(plan_time_limit_minutes="5")
    fakes.clock.advance(timedelta(minutes=6))

    fakes.execute(SECOND, run_id="run-2")

    first = fakes.plan_journal("first").result
    assert first is not None
    assert outcomes(first) == {"AAA": (Outcome.UNFILLED, Code.TIME_LIMIT)}


def test_plan_past_its_trading_day_is_concluded() -> None:
    fakes = yielded(plan_time_limit_minutes="1440")
    fakes.clock.advance(timedelta(hours=23))
    opens = NOW + timedelta(days=1)
    fakes.broker.market = MarketClock(fakes.clock.now(), True, opens + timedelta(days=1), opens + timedelta(hours=6))

    fakes.execute(buys("second", "BBB", timestamp=later(23 * 3600).isoformat()), run_id="run-2")

    first = fakes.plan_journal("first").result
    assert first is not None
    assert outcomes(first) == {"AAA": (Outcome.UNFILLED, Code.MARKET_CLOSED)}
    assert len(fakes.broker.sent) == 2


def test_plan_resumed_on_its_trading_day_goes_on() -> None:
    fakes = yielded()

    assert outcomes(fakes.execute(FIRST, run_id="run-2")) == {"AAA": (Outcome.FILLED, None)}


def test_an_invalid_plan_still_finishes_the_unfinished_one() -> None:
    fakes = yielded()
    fakes.clock.advance(timedelta(minutes=40))

    with pytest.raises(PlanExpired):
        fakes.execute(SECOND, run_id="run-2")

    assert fakes.plan_journal("first").plan.phase is PlanPhase.FINISHED
    assert fakes.journal.holder("main") is None


def test_plans_are_finished_in_the_order_in_which_they_started() -> None:
    fakes = yielded()
    fakes.broker.script("BBB", RESTS)
    with pytest.raises(PlanYielded):
        fakes.execute(SECOND, seconds=20, run_id="run-2")

    fakes.execute(buys("third", "CCC"), run_id="run-3")

    assert [result.plan_id for result in fakes.publishers[0].published] == ["first", "second", "third"]


# --- it cannot be finished -------------------------------------------------------------------------------


def test_second_plan_waits_while_the_first_stays_unfinished() -> None:
    fakes = yielded()
    fakes.broker.script("AAA", RESTS)

    with pytest.raises(EarlierPlanUnfinished) as raised:
        fakes.execute(SECOND, seconds=10, run_id="run-2")

    assert raised.value.context["unfinished_plan_id"] == "first"
    assert fakes.journal.peek("main", "second") is None
    assert fakes.journal.unfinished_plan_ids == ["first"]
    assert fakes.journal.holder("main") is None
    assert LogEvent.PLAN_BLOCKED not in fakes.events


def test_second_plan_is_redelivered_when_the_first_took_the_time() -> None:
    fakes = yielded()
    fakes.broker.script("AAA", RESTS)
    fakes.after(4, lambda: fakes.broker.fill_order("order-2"))

    with pytest.raises(PlanYielded, match="first"):
        fakes.execute(SECOND, seconds=8, run_id="run-2")

    assert fakes.plan_journal("first").result is not None
    assert fakes.journal.peek("main", "second") is None
    assert fakes.execute(SECOND, run_id="run-3").success


@pytest.mark.parametrize("error", [BrokerUnavailable("503"), JournalUnavailable("500")], ids=["broker", "journal"])
def test_outage_while_the_first_is_finished_redelivers_the_second(error: Exception) -> None:
    fakes = yielded()
    fakes.broker.errors["account"] = [error]

    with pytest.raises(EarlierPlanUnfinished):
        fakes.execute(SECOND, run_id="run-2")

    assert fakes.execute(SECOND, run_id="run-3").success
    assert fakes.plan_journal("first").result is not None


def test_first_plan_that_needs_an_operator_blocks_the_account() -> None:
    fakes = yielded()
    fakes.broker.account_number = "PA2"  # the keys now belong to another broker account

    with pytest.raises(EarlierPlanUnfinished):
        fakes.execute(SECOND, run_id="run-2")

    (blocked,) = fakes.fields(LogEvent.PLAN_BLOCKED)
    assert (blocked["unfinished_plan_id"], blocked["code"]) == ("first", "CONFIGURATION")
    assert fakes.journal.peek("main", "second") is None


def test_overfill_guard_in_the_first_plan_halts_the_account_and_the_second_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fakes = yielded()
    monkeypatch.setattr("rebalance_executor.domain.controls.overfill", lambda _: "too many shares")

    with pytest.raises(EarlierPlanUnfinished) as raised:
        fakes.execute(SECOND, run_id="run-2")

    assert raised.value.__cause__.__class__ is OverfillGuard
    assert fakes.journal.risk_store.kill_switch("main").state is TradingState.HALTED


# --- it is resumed from the journal alone ----------------------------------------------------------------


def test_resumed_plan_is_the_journalled_one() -> None:
    plan = a_plan(an_exit("AAA", amount="-2000", current_value="2000"), an_item("BBB", amount="3000"), plan_id="first")
    fakes = FakePorts(child_wait_seconds="60")
    fakes.broker.shares = {"AAA": Decimal(20)}
    fakes.broker.script("AAA", RESTS)
    with pytest.raises(PlanYielded):
        fakes.execute(plan, seconds=10)

    fakes.execute(buys("second", "CCC"), run_id="run-2")

    first = fakes.plan_journal("first").result
    assert first is not None
    assert first.status is ExecutionStatus.SUCCESS
    assert [(order.symbol, order.outcome) for order in first.orders] == [
        ("AAA", Outcome.FILLED),
        ("BBB", Outcome.FILLED),
    ]


# --- one broker account, one account name ----------------------------------------------------------------


def test_broker_account_is_bound_at_its_first_use() -> None:
    fakes = FakePorts()
    fakes.execute(FIRST)

    assert fakes.journal.risk_store.bindings["PA1"].account == "main"


def test_another_name_for_the_same_broker_account_is_denied() -> None:
    fakes = FakePorts()
    fakes.journal.risk_store.bindings["PA1"] = AccountBinding("PA1", "other", NOW)

    result = fakes.execute(FIRST)

    assert outcomes(result) == {"AAA": (Outcome.DENIED, Code.ACCOUNT_MISMATCH)}
    assert fakes.broker.sent == []
    assert fakes.journal.risk_store.bindings["PA1"].account == "other"


OTHER_DEPLOYMENT = child_order_id("main", "plan-0", "BBB", 1, "000000000000/us-east-1/other-stack")


def order_of_an_hour_ago(client_order_id: str = OTHER_DEPLOYMENT) -> BrokerOrder:
    """Return a filled order of BBB, by default of another deployment of this program."""
    request = OrderRequest(client_order_id, "BBB", Side.BUY, OrderType.MARKET, Decimal(1))
    return an_order_of(request, id=client_order_id, status="filled", submitted_at=NOW - timedelta(hours=1))


def test_second_deployment_with_the_same_broker_account_is_denied() -> None:
    """Two stacks have two tables, so the binding of one cannot show the other: the broker's orders do."""
    fakes = FakePorts()
    fakes.broker.add_order(order_of_an_hour_ago())

    result = fakes.execute(FIRST)

    assert outcomes(result) == {"AAA": (Outcome.DENIED, Code.ACCOUNT_MISMATCH)}
    assert fakes.broker.sent == []


def test_orders_of_this_deployment_and_of_other_clients_deny_nothing() -> None:
    fakes = FakePorts()
    for order_id in (child_order_id("main", "plan-0", "BBB", 1), "made-by-hand", "rb1-of-no-deployment"):
        fakes.broker.add_order(order_of_an_hour_ago(order_id))

    assert outcomes(fakes.execute(FIRST)) == {"AAA": (Outcome.FILLED, None)}


@pytest.mark.parametrize(("minutes", "outcome"), [(30, Outcome.FILLED), (90, Outcome.DENIED)])
def test_operator_moves_a_broker_account_from_another_deployment(minutes: int, outcome: Outcome) -> None:
    """Orders from before the move do not count; a deployment that still trades afterwards does."""
    fakes = FakePorts()
    moved_at = NOW - timedelta(minutes=minutes)
    binding = AccountBinding("PA1", "main", moved_at, by="ada", reason="the other stack was deleted")
    fakes.journal.risk_store.bindings["PA1"] = binding
    fakes.broker.add_order(order_of_an_hour_ago())

    assert outcomes(fakes.execute(FIRST))["AAA"][0] is outcome


def test_account_that_is_not_the_configured_one_is_not_bound() -> None:
    fakes = FakePorts()
    fakes.broker.expected_account_number = "PA7"
    fakes.execute(FIRST)

    assert fakes.journal.risk_store.bindings == {}


def test_nothing_is_sent_while_the_binding_cannot_be_read() -> None:
    fakes = FakePorts()
    fakes.database_errors["risk_store.bind_account"] = [JournalUnavailable("500")]

    with pytest.raises(JournalUnavailable):
        fakes.execute(FIRST)

    assert fakes.broker.sent == []


# --- what the next plan must know of the earlier one -----------------------------------------------------


def test_cash_that_an_unconfirmed_cancel_may_still_spend_is_not_spent_by_the_next_plan() -> None:
    fakes = FakePorts(cancel_wait_seconds="5", child_wait_seconds="2")
    fakes.broker.cash, fakes.broker.buying_power = Decimal(1000), Decimal(4000)
    fakes.broker.script("AAA", CANCEL_STUCK)
    first = fakes.execute(buys("first", "AAA", "600"))
    assert outcomes(first) == {"AAA": (Outcome.UNRESOLVED, Code.CANCEL_UNCONFIRMED)}

    fakes.execute(buys("second", "BBB", "900"), run_id="run-2")
    fakes.broker.fill_order("order-1")

    assert fakes.broker.cash >= 0


def test_plan_after_an_earlier_one_does_not_spend_cash_that_the_account_still_shows() -> None:
    fakes = yielded(buys("first", "AAA", "600"))
    fakes.broker.cash, fakes.broker.buying_power = Decimal(1000), Decimal(4000)

    def show_the_old_cash() -> None:
        fakes.broker.hidden_cash = -(Decimal(1000) - fakes.broker.cash)

    check = fakes.broker.before_submit

    def submit(request: OrderRequest) -> None:
        check(request)
        fakes.after(0, show_the_old_cash)

    fakes.broker.before_submit = submit
    fakes.execute(buys("second", "BBB", "900"), run_id="run-2")

    assert fakes.broker.cash >= 0


def test_same_id_with_other_content_first_finishes_the_plan_that_has_it() -> None:
    fakes = yielded()

    with pytest.raises(PlanChanged):
        fakes.execute(buys("first", "AAA", "555"), run_id="run-2")

    assert fakes.plan_journal("first").result is not None
    assert fakes.journal.unfinished_plan_ids == []


def test_stop_request_after_the_earlier_plan_starts_no_other() -> None:
    fakes = yielded()
    fakes.broker.before_submit = lambda _: setattr(fakes, "stop_requested", True)

    with pytest.raises((PlanYielded, EarlierPlanUnfinished)):
        fakes.execute(SECOND, run_id="run-2")

    assert fakes.journal.peek("main", "second") is None


# --- an interrupted run leaves nothing at work -----------------------------------------------------------


def killed_with_a_live_order() -> FakePorts:
    """Return fakes in which a run was killed while its order rests."""
    fakes = FakePorts(child_wait_seconds="60")
    fakes.broker.script("AAA", RESTS)

    def kill() -> None:
        raise Killed

    fakes.after(3, kill)
    with pytest.raises(Killed):
        fakes.execute(FIRST)
    fakes.clock.advance(timedelta(minutes=20))
    return fakes


class Killed(BaseException):
    """End of a killed process."""


def test_error_while_a_plan_is_resumed_withdraws_its_orders() -> None:
    fakes = killed_with_a_live_order()
    fakes.broker.errors["clock"] = [BrokerUnavailable("503")]

    with pytest.raises(BrokerUnavailable):
        fakes.execute(FIRST, run_id="run-2")

    assert fakes.broker.cancel_requests == ["order-1"]
    assert fakes.journal.holder("main") is None


def test_unreadable_kill_switch_withdraws_the_orders() -> None:
    fakes = FakePorts(child_wait_seconds="60")
    fakes.broker.script("AAA", RESTS)
    fakes.database_errors["risk_store.kill_switch"] = [JournalContradiction("an item was changed by hand")]

    with pytest.raises(JournalContradiction):
        fakes.execute(FIRST)

    assert fakes.broker.cancel_requests == ["order-1"]


def test_keys_of_another_broker_account_are_not_bound_when_a_plan_is_resumed() -> None:
    fakes = yielded()
    fakes.broker.account_number = "PA2"

    with pytest.raises(ConfigurationError):
        fakes.execute(FIRST, run_id="run-2")

    assert fakes.journal.risk_store.bindings["PA1"].account == "main"


def test_nothing_is_sent_after_the_time_limit_of_the_plan() -> None:
    fakes = FakePorts(plan_time_limit_minutes="1")
    fakes.broker.rate_limited_until = later(90)
    result = fakes.execute(FIRST)

    assert fakes.broker.sent == []
    assert outcomes(result) == {"AAA": (Outcome.DENIED, Code.TIME_LIMIT)}
