"""The time until the next look at the open orders."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.decisions import DecisionContext
from rebalance_executor.domain.ladder import WaveSchedule
from rebalance_executor.domain.looks import next_look
from rebalance_executor.domain.market import Arrival, Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, ParentOrder
from rebalance_executor.domain.plan import Urgency
from tests.support.builders import NOW, a_child, a_parent, later

LADDER = ExecutionConfig()
MARKETABLE = ExecutionConfig.model_validate({"order_style": "marketable_limit"})
PATIENT = WaveSchedule(urgency=Urgency.PATIENT)


def wait(*parents: ParentOrder, at: float, config: ExecutionConfig = LADDER, schedule: WaveSchedule = PATIENT) -> float:
    """Return the seconds until the next look, at this many seconds after the orders were sent."""
    context = DecisionContext(later(at), schedule=schedule)
    return (next_look(parents, dict.fromkeys(Side, context), later(at), config) - later(at)).total_seconds()


def resting(**fields: object) -> ParentOrder:
    return a_parent(
        replace(a_child(ChildState.LIVE), spread_fraction=LADDER.ladder[Urgency.PATIENT].spread_fractions[0])
    )


@pytest.mark.parametrize(("rested", "seconds"), [(0, 0.5), (0.5, 0.5), (1, 1), (2, 2), (2.5, 2.5), (30, 2.5)])
def test_wait_grows_with_the_time_since_the_order_was_sent(rested: float, seconds: float) -> None:
    assert wait(resting(), at=rested) == seconds


def test_look_is_not_later_than_the_end_of_the_rung() -> None:
    assert wait(resting(), at=58.5) == 1.5
    assert wait(resting(), at=60) == 2.5  # it was worth nothing: the order keeps its place
    assert wait(resting(), at=119) == 1  # through the next rung
    assert wait(resting(), at=400) == 2.5


@pytest.mark.parametrize(("rested", "seconds"), [(3, 2), (4.9, 0.1), (5, 2.5)])
def test_order_of_another_style_is_looked_at_when_its_time_is_over(rested: float, seconds: float) -> None:
    assert wait(resting(), at=rested, config=MARKETABLE) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "child",
    [
        a_child(ChildState.UNKNOWN),
        replace(a_child(ChildState.LIVE), cancel_requested_at=later(30)),
        replace(a_child(ChildState.LIVE), status="canceled", closed_since=later(30)),
    ],
    ids=["unknown", "being canceled", "closed, not confirmed"],
)
def test_order_that_needs_an_answer_is_looked_at_in_the_next_tick(child: ChildOrder) -> None:
    assert wait(a_parent(child), at=31) == 0.5


def test_the_parent_that_needs_it_first_decides() -> None:
    new = replace(resting(), symbol="NEW")
    new = replace(new, children=(replace(new.children[0], intended_at=later(30), sent_at=later(30)),))
    assert wait(resting(), new, at=30) == 0.5
    assert wait(resting(), replace(a_parent(), symbol="NOT SENT"), at=30) == 0.5


def test_fill_starts_the_wait_again() -> None:
    parent = resting()
    filled = replace(parent, children=(replace(parent.children[0], fill_seen_at=NOW + timedelta(seconds=29)),))
    assert wait(filled, at=30) == 1


def test_rung_that_ended_since_the_look_is_looked_at_now() -> None:
    looked_at = DecisionContext(later(59.9), schedule=PATIENT)
    assert next_look([resting()], dict.fromkeys(Side, looked_at), later(60.1), LADDER) == later(60.11)


WAVE = WaveSchedule(urgency=Urgency.NORMAL)


def test_parent_between_two_slices_waits_for_the_next_one_but_hears_a_request_to_stop() -> None:
    """The slices of ten minutes are twenty seconds apart; the first ten shares are filled."""
    filled = a_child(ChildState.FILLED, filled="10", price="10")
    arrival = Arrival(Decimal("9.99"), Decimal("10.01"), NOW, displayed=Decimal(10))
    parent = replace(a_parent(filled), qty=Decimal(300), arrival=arrival)

    assert wait(parent, at=1, schedule=WAVE) == 2.5
    assert wait(parent, at=19, schedule=WAVE) == 1
    assert wait(parent, at=19.9999, schedule=WAVE) == 0.01  # never without a pause
