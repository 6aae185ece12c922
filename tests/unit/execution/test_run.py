"""The parts of a run: outbox, unit of work, and what bounds its ladder."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.ladder import WaveSchedule
from rebalance_executor.domain.market import Auction, AuctionKind, Side
from rebalance_executor.domain.orders import ChildState, Outcome, ParentOrder
from rebalance_executor.domain.plan import Urgency
from rebalance_executor.execution.outbox import Outbox
from rebalance_executor.execution.run import Run
from tests.support.builders import BUY, NOW, SELL, a_child, a_parent, a_plan, an_item, later
from tests.support.runs import a_run

TEN_SECONDS = timedelta(seconds=10)


def take_cancel_retry(run: Run, at: datetime, wait: timedelta = TEN_SECONDS) -> bool:
    return run.outbox.take_cancel_retry(run.work, "ABC", at, wait)


# --- intended and never sent -----------------------------------------------------------------------------


def test_buys_that_conclude_leave_the_sells_alone() -> None:
    buy, sell = replace(a_child(ChildState.INTENDED), client_order_id="buy"), a_child(ChildState.INTENDED)
    buys = [a_parent(buy, symbol="BUY"), a_parent(a_child(attempt=2), symbol="LIVE"), a_parent(symbol="NONE")]
    run = a_run(*buys, a_parent(sell, symbol="SELL", side=SELL))
    run.outbox.unsent = {"buy": later(2), sell.client_order_id: later(2)}
    run.outbox.mark_buys_not_sent(run.work)

    states = {symbol: [child.state for child in parent.children] for symbol, parent in run.parents.items()}
    expected = {"BUY": [ChildState.NOT_SENT], "LIVE": [ChildState.LIVE], "NONE": [], "SELL": [ChildState.INTENDED]}
    assert states == expected
    assert run.outbox.unsent == {sell.client_order_id: later(2)}


def test_only_intended_children_become_unknown() -> None:
    intended = a_child(state=ChildState.INTENDED, cancel_requested_at=None)
    run = a_run(a_parent(intended), a_parent(a_child(attempt=2), symbol="XYZ"), a_parent(symbol="ZZZ"))
    run.work.mark_intended_unknown(later(7))

    assert run.parents["ABC"].children == (replace(intended, state=ChildState.UNKNOWN, maybe_sent_until=later(7)),)
    assert run.work.changed == {"ABC"}


def test_part_of_the_wait_for_a_second_reading_is_left_to_each_run() -> None:
    complete = a_child(status="canceled", closed_since=NOW, reported_at=NOW)
    no_price = a_child(status="canceled", filled="4", closed_since=NOW, reported_at=NOW)
    run = a_run(a_parent(complete), a_parent(no_price, symbol="XYZ"), a_parent(a_child(), symbol="ZZZ"))
    run.work.extend_confirmations(later(600), timedelta(seconds=30))

    assert run.parents["ABC"].children == (replace(complete, closed_since=later(570)),)
    assert run.work.changed == {"ABC"}


# --- a cancel that an earlier run journalled -------------------------------------------------------------


def resumed(requested_at: datetime | None = NOW, **fields: Any) -> Run:
    child = replace(a_child(), cancel_requested_at=requested_at, **fields)
    return a_run(a_parent(child), outbox=Outbox(cancels_to_reissue={"client-1"}))


def test_cancel_of_an_earlier_run_is_sent_again_once() -> None:
    run = resumed()
    assert take_cancel_retry(run, later(2))
    assert not take_cancel_retry(run, later(3))
    assert run.outbox.cancels_to_reissue == set()


@pytest.mark.parametrize(
    ("asked_at", "counts_from"),
    [(2, 0), (3, 0), (8, 1), (100, 93)],
    ids=["early: from the first request", "just", "late: three seconds more", "long after"],
)
def test_wait_counts_from_the_first_request_with_three_seconds_left(asked_at: float, counts_from: float) -> None:
    run = resumed()
    take_cancel_retry(run, later(asked_at))

    child = run.parents["ABC"].open_child
    assert child is not None
    assert child.cancel_requested_at == later(counts_from)


def test_wait_shorter_than_three_seconds_stays() -> None:
    run = resumed()
    take_cancel_retry(run, later(100), timedelta(seconds=2))

    child = run.parents["ABC"].open_child
    assert child is not None
    assert child.cancel_requested_at == later(100)


@pytest.mark.parametrize(
    ("fields", "forgotten"),
    [
        ({"state": ChildState.UNKNOWN}, False),
        ({"requested_at": None}, True),
        ({"closed_since": NOW}, False),
    ],
    ids=["whose order is not known to rest", "that was never decided", "whose order is done but for its price"],
)
def test_cancel_is_not_sent_again(fields: dict[str, Any], *, forgotten: bool) -> None:
    run = resumed(**fields)
    before = run.parents["ABC"]
    assert not take_cancel_retry(run, later(2))
    assert run.parents["ABC"] == before
    assert ("client-1" not in run.outbox.cancels_to_reissue) is forgotten


def test_cancel_of_this_run_is_not_sent_again() -> None:
    run = a_run(a_parent(a_child(cancel_requested_at=NOW)))
    assert not take_cancel_retry(run, later(2))
    assert not take_cancel_retry(a_run(a_parent()), later(2))


def not_accepted(**fields: Any) -> Run:
    """Return a run whose cancel was sent at ``NOW`` and answered "nothing to cancel" one second later."""
    return a_run(
        a_parent(a_child(cancel_requested_at=NOW, **fields)), outbox=Outbox(cancels_answered={"client-1": [later(1)]})
    )


def test_cancel_not_accepted_is_sent_again_within_the_wait() -> None:
    run = not_accepted()

    assert not take_cancel_retry(run, later(2.9))
    assert take_cancel_retry(run, later(3))
    run.outbox.cancels_answered["client-1"].append(later(3))
    assert not take_cancel_retry(run, later(4.9))
    assert take_cancel_retry(run, later(5))
    assert not run.work.changed


@pytest.mark.parametrize(
    "fields",
    [{"status": "pending_cancel"}, {"closed_since": NOW}, {"state": ChildState.UNKNOWN}],
    ids=["it is under way", "the order is done but for its price", "the order is not known to rest"],
)
def test_cancel_not_accepted_is_not_sent_again(fields: dict[str, Any]) -> None:
    assert not take_cancel_retry(not_accepted(**fields), later(3))


def test_cancel_without_effect_is_sent_a_second_time_at_the_end_of_the_wait_at_the_latest() -> None:
    run = not_accepted()

    assert take_cancel_retry(run, later(10))
    run.outbox.cancels_answered["client-1"].append(later(10))
    assert not take_cancel_retry(run, later(12))


# --- the ladder's bounds ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "ends", "plan_ends"),
    [
        ({}, 570, 2 * 570),
        ({"closes_at": later(200)}, 200, 200),
        ({"closes_at": later(9000)}, 570, 2 * 570),
        ({"minutes": 5}, 300, 300),
    ],
    ids=["the deadline", "the close", "a close that is far", "the plan's time limit"],
)
def test_last_rung_is_due_before_the_earliest_end(fields: dict[str, Any], ends: float, plan_ends: float) -> None:
    """Large and patient orders have the time of two runs."""
    run = a_run(a_parent(), plan=a_plan(execution_urgency="HIGH"), **fields)
    schedule = run.wave_schedule(Side.BUY, ExecutionConfig())
    crosses, plan_crosses = later(ends * 3 / 4), later(plan_ends * 3 / 4)
    assert schedule == WaveSchedule(Urgency.HIGH, crosses, parents=1, plan_cross_by=plan_crosses, starts=NOW)


def test_sells_leave_half_of_the_time_to_buys() -> None:
    sells = [a_parent(side=SELL, symbol="AAA"), a_parent(side=SELL, symbol="BBB")]
    done = a_parent(side=SELL, symbol="DDD", outcome=Outcome.FILLED)
    alone = a_run(*sells, done).wave_schedule(Side.SELL, ExecutionConfig())
    followed = a_run(*sells, done, a_parent(side=BUY, symbol="CCC")).wave_schedule(Side.SELL, ExecutionConfig())

    assert (alone.parents, alone.cross_by) == (2, later(570 * 3 / 4))
    assert (followed.parents, followed.cross_by) == (2, later(570 / 2 * 3 / 4))


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (a_parent(side=SELL, symbol="BBB"), True),
        (a_parent(symbol="BBB", priority=1), True),
        (a_parent(symbol="BBB", priority=2), False),
        (a_parent(symbol="BBB", priority=3), False),
        (a_parent(a_child(), symbol="BBB", priority=3), True),
        (a_parent(symbol="BBB", priority=1, outcome=Outcome.FILLED), False),
    ],
    ids=["a sell", "a higher priority", "an equal one later", "a lower one", "a lower one with an order", "settled"],
)
def test_buy_in_an_auction_awaits_dollars_of_those_that_come_before_it(other: ParentOrder, *, expected: bool) -> None:
    """Seed 314731: a buy of a lower priority waited for what was left, and neither was sent all day."""
    auction = Auction(AuctionKind.CLOSE, later(1_200), later(600), later(1_800))
    buy = a_parent(symbol="AAA", priority=2, auction=auction)
    assert a_run(buy, other, plan=a_plan(an_item("AAA"), an_item("BBB"))).awaits_more_funds(buy, NOW) is expected


@pytest.mark.parametrize(
    ("opens_at", "seconds", "before"), [(None, 0, False), (10, 9, True), (10, 10, False), (10, 11, False)]
)
def test_extended_hours_end_at_the_open(opens_at: float | None, seconds: float, *, before: bool) -> None:
    run = a_run(opens_at=None if opens_at is None else later(opens_at))
    assert run.is_extended_hours(later(seconds)) is before


def test_unchanged_parent_is_not_written_again() -> None:
    parent = a_parent()
    run = a_run(parent)
    run.work.update_parent(parent)
    assert run.work.changed == set()
    run.work.update_parent(replace(parent, priority=2))
    assert run.work.changed == {"ABC"}
