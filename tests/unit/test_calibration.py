"""Estimates of fills from journals with known rates, and the ladders that they suggest."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from rebalance_cli.calibration.estimates import (
    MIN_FILLS,
    MIN_ORDERS,
    MIN_PLANS,
    ClassEstimate,
    bucket_of,
    estimate,
    poisson_interval,
)
from rebalance_cli.calibration.estimates import drift as drift_of
from rebalance_cli.calibration.estimates import hazard as hazard_of
from rebalance_cli.calibration.observations import LeftOut, Observation, OrderClass, observe
from rebalance_cli.calibration.proposals import (
    Proposal,
    Rest,
    Verdict,
    expected_cost,
    expected_seconds,
    propose,
    rests_of,
)
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.journal import PlanJournal
from rebalance_executor.domain.market import HALF_CENT, Arrival
from rebalance_executor.domain.orders import ChildOrder, ChildState
from rebalance_executor.domain.plan import Urgency
from rebalance_executor.domain.styles import DEFAULT_LADDER, LadderSteps
from tests.support.builders import NOW, SELL, a_child, a_parent, a_plan, a_state, later
from tests.support.synthetic_fills import Market, canceled, filled, journals

CONFIG = ExecutionConfig()
NEAR, MID = bucket_of(0), bucket_of(0.5)


def hazard(place: float) -> float:
    """Return fills per second that rise towards the far touch."""
    return 0.05 + 0.15 * place


def estimated(market: Market, **drawn: Any) -> ClassEstimate:
    """Return the only class of these journals."""
    (found,) = estimate(observe(journals(market, **drawn), CONFIG).used)
    return found


def observed(*children: ChildOrder, **parent: Any) -> tuple[list[Observation], dict[LeftOut, int]]:
    """Return what a parent with these children shows."""
    plan = a_plan()
    journal = PlanJournal(a_state(plan), {"ABC": a_parent(*children, **parent)})
    found = observe([journal], CONFIG)
    return list(found.used), dict(found.left_out)


def a_resting_child(place: str = "0", attempt: int = 1, at: float = 0, **fields: Any) -> ChildOrder:
    """Return a buy of ten shares that rests in a spread of four ticks, from ``at``."""
    limit = Decimal("9.98") + Decimal(place) * Decimal("0.04")
    child = a_child(ChildState.LIVE, attempt=attempt, limit=str(limit))
    defaults: dict[str, Any] = {
        "intended_at": later(at),
        "submitted_at": later(at),
        "bid": Decimal("9.98"),
        "ask": Decimal("10.02"),
    }
    return replace(child, **(defaults | fields))


# --- recovery of known rates -----------------------------------------------------------------------------


def test_known_rates_and_drift_are_within_their_intervals() -> None:
    found = estimated(Market(hazard, drift=0.04, ticks=4), plans=60)

    assert (found.order_class, found.ticks, found.plans) == (OrderClass.MANY_TICKS, 4, 60)
    assert found.half_spread_bps == pytest.approx(2, abs=0.05)
    for place in (0, 0.25, 0.5, 0.75):
        rung = found.rungs[bucket_of(place)]
        assert rung.missing is None
        assert rung.hazard is not None
        assert rung.drift is not None
        assert rung.hazard.low < hazard(place) < rung.hazard.high
        assert rung.drift.low < 0.04 < rung.drift.high
        assert rung.fill_cost == pytest.approx(2 * place - 1)
        probability, low, high = rung.hazard.within(5)
        assert low < 1 - math.exp(-5 * hazard(place)) < high
        assert low < probability < high


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    random = Random(1)  # noqa: S311 - synthetic data
    covered = []
    for _ in range(400):
        fill_times = [(f"plan-{number % 20}", random.expovariate(0.05)) for number in range(100)]
        fills = hazard_of([(plan, float(at <= 5), min(at, 5.0)) for plan, at in fill_times])
        moves = drift_of([(plan, random.gauss(0.2, 1), 5.0) for plan, _ in fill_times])
        assert fills is not None
        assert moves is not None
        covered += [fills.low < 0.05 < fills.high, moves.low < 0.04 < moves.high]
    assert 0.93 < sum(covered) / len(covered) < 0.99


def test_plans_that_differ_widen_the_interval() -> None:
    """Orders of one plan fill together: 20 plans with 20 orders each are not 400 independent orders."""
    alike = estimated(Market(lambda _: 0.1), plans=20, symbols=20).rungs[NEAR]
    busy = journals(Market(lambda _: 0.19), plans=10, symbols=20, seed=2)
    quiet = journals(Market(lambda _: 0.01), plans=10, symbols=20, seed=3)
    mixed = estimate(observe([*busy, *quiet], CONFIG).used)[0].rungs[NEAR]

    assert alike.hazard is not None
    assert mixed.hazard is not None
    assert mixed.hazard.value == pytest.approx(alike.hazard.value, rel=0.4)
    assert mixed.hazard.high - mixed.hazard.low > 2 * (alike.hazard.high - alike.hazard.low)


@pytest.mark.parametrize(
    ("events", "low", "high"), [(0, 0, 3.689), (5, 1.623, 11.668), (10, 4.795, 18.390), (100, 81.364, 121.627)]
)
def test_interval_of_a_count_is_nearly_the_exact_one(events: int, low: float, high: float) -> None:
    assert list(poisson_interval(events)) == pytest.approx([low, high], rel=0.01)


# --- what each child says --------------------------------------------------------------------------------


def test_canceled_child_is_censored_at_its_end() -> None:
    (one,), left_out = observed(canceled(a_resting_child("0.25"), later(6)))
    assert (one.filled, one.seconds, one.place, one.ticks) == (0, 6, 0.25, 4)
    assert not left_out


def test_filled_child_is_at_risk_until_its_fill() -> None:
    (one,), _ = observed(filled(a_resting_child("0.5"), later(2.5)))
    assert (one.filled, one.seconds, one.fill_cost) == (1, 2.5, 0)


def test_partial_fill_is_a_part_until_its_fill_and_the_rest_is_censored() -> None:
    partly = replace(a_resting_child(), filled_qty=Decimal(4), filled_avg_price=Decimal("9.98"), filled_at=later(2))
    (one,), _ = observed(canceled(partly, later(7)))
    assert [one.filled, one.seconds] == pytest.approx([0.4, 0.4 * 2 + 0.6 * 7])


def test_sell_is_the_mirrored_buy() -> None:
    child = replace(
        filled(a_resting_child(), later(1)), limit_price=Decimal("10.02"), filled_avg_price=Decimal("10.02")
    )
    (one,), _ = observed(child, side=SELL)
    assert (one.place, one.fill_cost) == (0, -1)


def test_times_of_our_clock_replace_those_that_the_broker_does_not_report() -> None:
    seen = replace(filled(a_resting_child(), later(9)), submitted_at=None, filled_at=None, fill_seen_at=later(3))
    (one,), _ = observed(seen)
    assert one.seconds == 3


@pytest.mark.parametrize(
    ("child", "reason"),
    [
        pytest.param(a_resting_child(state=ChildState.NOT_SENT), LeftOut.NEVER_SENT, id="not sent"),
        pytest.param(a_resting_child(state=ChildState.INTENDED), LeftOut.UNKNOWN, id="perhaps sent"),
        pytest.param(a_resting_child(state=ChildState.UNKNOWN), LeftOut.UNKNOWN, id="unknown"),
        pytest.param(a_resting_child(state=ChildState.REJECTED, closed_at=later(1)), LeftOut.REJECTED, id="rejected"),
        pytest.param(a_resting_child(), LeftOut.OPEN, id="open"),
        pytest.param(canceled(a_resting_child(other_content="other"), later(5)), LeftOut.FOREIGN, id="foreign"),
        pytest.param(canceled(a_resting_child(extended_hours=True), later(5)), LeftOut.EXTENDED_HOURS, id="early"),
        pytest.param(filled(a_resting_child(limit_price=None), later(5)), LeftOut.NO_LIMIT, id="market order"),
        pytest.param(canceled(a_resting_child(bid=Decimal("10.02")), later(5)), LeftOut.NO_QUOTE, id="last trade"),
        pytest.param(canceled(a_resting_child(bid=None), later(5)), LeftOut.NO_QUOTE, id="no quote"),
        pytest.param(canceled(a_resting_child(), later(-1)), LeftOut.NO_TIMES, id="ends before it starts"),
        pytest.param(a_resting_child(state=ChildState.CANCELED), LeftOut.NO_TIMES, id="without an end"),
    ],
)
def test_child_that_says_nothing_is_left_out_with_its_reason(child: ChildOrder, reason: LeftOut) -> None:
    assert observed(child) == ([], {reason: 1})


@pytest.mark.parametrize("state", [ChildState.EXPIRED, ChildState.REPLACED])
def test_child_that_ended_otherwise_is_censored_too(state: ChildState) -> None:
    (one,), _ = observed(replace(canceled(a_resting_child(), later(4)), state=state))
    assert (one.filled, one.seconds) == (0, 4)


def test_drift_is_the_move_against_the_order_until_the_next_child() -> None:
    following = replace(a_resting_child(attempt=2, at=5), bid=Decimal("10.00"), ask=Decimal("10.04"))
    (first, _), _ = observed(canceled(a_resting_child(), later(4.5)), filled(following, later(6)))
    assert first.drift is not None
    assert [first.drift.half_spreads, first.drift.seconds] == pytest.approx([1, 5])

    sold = replace(first_child := canceled(a_resting_child(), later(4.5)), limit_price=first_child.ask)
    (first, _), _ = observed(sold, filled(replace(following, limit_price=following.ask), later(6)), side=SELL)
    assert first.drift is not None
    assert first.drift.half_spreads == pytest.approx(-1)


@pytest.mark.parametrize(
    ("child", "at"),
    [
        pytest.param(canceled(a_resting_child(), later(5)), 60, id="another run followed"),
        pytest.param(canceled(a_resting_child(resent=True), later(5)), 6, id="sent again"),
        pytest.param(filled(a_resting_child(), later(5)), 6, id="filled"),
    ],
)
def test_no_drift_where_the_next_quote_says_nothing_about_it(child: ChildOrder, at: float) -> None:
    observations, _ = observed(child, filled(a_resting_child(attempt=2, at=at), later(at + 1)))
    assert observations[0].drift is None


@pytest.mark.parametrize(
    ("qty", "ask", "displayed", "expected"),
    [
        ("0.999999", "10.02", "100", OrderClass.BELOW_ONE_SHARE),
        ("1", "9.99", "100", OrderClass.ONE_TICK),
        ("100", "10.01", "100", OrderClass.FEW_TICKS),
        ("101", "10.01", "100", OrderClass.FEW_TICKS_LARGE),
        ("101", "9.99", "100", OrderClass.ONE_TICK_LARGE),
        ("101", "10.02", "0", OrderClass.MANY_TICKS),
        ("101", "10.02", "100", OrderClass.MANY_TICKS_LARGE),
    ],
)
def test_class_follows_from_spread_and_size(qty: str, ask: str, displayed: str, expected: OrderClass) -> None:
    child = canceled(a_resting_child(qty=Decimal(qty), ask=Decimal(ask)), later(5))
    plan = a_plan()
    parent = replace(a_parent(child), arrival=Arrival(Decimal("9.98"), Decimal(ask), NOW, Decimal(displayed)))
    (one,) = observe([PlanJournal(a_state(plan), {"ABC": parent})], CONFIG).used
    assert one.order_class is expected


@pytest.mark.parametrize(
    ("bid", "ask", "config", "ticks"),
    [
        ("9.985", "9.995", {}, 2),  # half cents show the finer tick
        ("9.98", "9.99", {}, 1),
        ("9.98", "9.99", {"per_symbol": {"ABC": {"tick_size": str(HALF_CENT)}}}, 2),
        ("0.5000", "0.5003", {}, 3),  # below $1
    ],
)
def test_spread_is_counted_in_ticks_of_the_symbol(bid: str, ask: str, config: dict[str, Any], ticks: int) -> None:
    child = canceled(a_resting_child(bid=Decimal(bid), ask=Decimal(ask), limit_price=Decimal(bid)), later(5))
    journal = PlanJournal(a_state(a_plan()), {"ABC": a_parent(child)})
    (one,) = observe([journal], ExecutionConfig.model_validate(config)).used
    assert one.ticks == ticks


# --- thin data -------------------------------------------------------------------------------------------


def test_no_journal_and_no_order_give_no_class() -> None:
    assert estimate(observe([], CONFIG).used) == []
    assert estimate(observe([PlanJournal(a_state(a_plan()), {})], CONFIG).used) == []


def test_orders_without_time_at_risk_give_no_rate() -> None:
    (found,) = estimate(observed(filled(a_resting_child(), NOW))[0])
    assert found.rungs[NEAR].hazard is None
    assert found.rungs[NEAR].drift is None
    assert proposal(found, Urgency.LOW).verdict is Verdict.NOT_ENOUGH_DATA


def proposal(found: ClassEstimate, urgency: Urgency, patience: str = "1") -> Proposal:
    return propose(found, DEFAULT_LADDER[urgency], Decimal(patience))


@pytest.mark.parametrize(
    ("plans", "symbols", "missing"),
    [
        (MIN_PLANS - 1, 60, f"{MIN_PLANS - 1} of {MIN_PLANS} plans"),
        (MIN_PLANS, 4, f"20 of {MIN_ORDERS} orders"),
    ],
)
def test_too_few_plans_or_orders_give_no_proposal(plans: int, symbols: int, missing: str) -> None:
    found = estimated(Market(hazard), plans=plans, symbols=symbols)
    answer = proposal(found, Urgency.LOW)
    assert (answer.verdict, answer.best) == (Verdict.NOT_ENOUGH_DATA, None)
    assert missing in answer.reason


def test_too_few_fills_give_no_proposal() -> None:
    found = estimated(Market(lambda _: 0.002), plans=20)
    assert found.rungs[NEAR].fills < MIN_FILLS
    assert f"of {MIN_FILLS} fills" in proposal(found, Urgency.LOW).reason


def test_rate_is_not_applied_to_orders_that_rest_much_longer() -> None:
    found = estimated(Market(hazard, wait_seconds=6), plans=60)
    assert proposal(found, Urgency.LOW).verdict is not Verdict.NOT_ENOUGH_DATA
    answer = proposal(found, Urgency.PATIENT)
    assert answer.verdict is Verdict.NOT_ENOUGH_DATA
    assert "orders rested 6 s" in answer.reason


# --- proposals -------------------------------------------------------------------------------------------


def test_expected_cost_of_a_ladder() -> None:
    """At 0 for 4 s: a fill pays −1; 0.5 for 4 s: the drift and nothing; then the drift and 1."""
    rates = {NEAR: (0.1, 0.02), MID: (0.2, 0.05)}
    first, second = 1 - math.exp(-0.4), 1 - math.exp(-0.8)
    by_hand = -first + (1 - first) * (second * 0.08 + (1 - second) * (0.28 + 1))

    assert expected_cost((Rest(0, 4), Rest(0.5, 4)), rates) == pytest.approx(by_hand)
    assert expected_cost((), {}) == 1, "a market order"
    assert expected_seconds((Rest(0, 4),), {NEAR: (0.0, 0.0)}) == 4
    assert expected_seconds((Rest(0, 1000),), {NEAR: (0.1, 0.0)}) == pytest.approx(10)


@pytest.mark.parametrize(
    ("ticks", "places", "rests"),
    [
        (100, ("0.29", "1"), [Rest(0.29, 6)]),  # as a binary fraction it would be below tick 29
        (1, ("0", "0.1", "0.6", "1"), [Rest(0, 18)]),  # one order that keeps its place
        (2, ("0.1", "0.3", "0.5", "1"), [Rest(0, 12), Rest(0.5, 6)]),
        (10, ("1",), []),
    ],
)
def test_ladder_rests_on_ticks(ticks: int, places: tuple[str, ...], rests: list[Rest]) -> None:
    steps = LadderSteps(spread_fractions=tuple(Decimal(place) for place in places), wait_seconds=Decimal(6))
    assert list(rests_of(steps, ticks)) == rests


def test_better_ladder_is_proposed_with_what_it_saves() -> None:
    """All places fill alike, so that waiting at the near touch is best: NORMAL starts higher and steps up."""
    found = estimated(Market(lambda _: 0.15, ticks=10, places=("0", "0.1", "0.3", "0.5", "1")), plans=100)
    answer = proposal(found, Urgency.NORMAL)

    assert answer.verdict is Verdict.PROPOSE
    assert answer.best is not None
    assert answer.present is not None
    assert answer.saving is not None
    assert answer.best.steps.spread_fractions[0] == 0
    assert answer.saving.low > 0
    assert answer.saving.value == pytest.approx(answer.present.cost.value - answer.best.cost.value)


def test_expected_cost_is_near_what_the_orders_paid() -> None:
    market = Market(hazard, drift=0.03, ticks=10, places=("0.1", "0.3", "0.5", "1"), wait_seconds=4)
    found = estimated(market, plans=200)
    steps = DEFAULT_LADDER[Urgency.NORMAL]
    truth = {bucket_of(place): (hazard(place), 0.03) for place in (0.1, 0.3, 0.5)}
    expected = expected_cost([Rest(place, 4) for place in (0.1, 0.3, 0.5)], truth)

    cost = propose(found, steps, Decimal(1)).present
    assert cost is not None
    assert cost.cost.low < expected < cost.cost.high
    assert cost.cost.high - cost.cost.low < 0.3


def test_present_ladder_that_is_best_is_kept() -> None:
    found = estimated(Market(lambda _: 0.15, places=("0", "0.25", "0.5", "0.75", "1")), plans=100)
    best = LadderSteps(spread_fractions=(Decimal(0), Decimal(1)), wait_seconds=Decimal(10))
    answer = propose(found, best, Decimal(1))
    assert answer.verdict is Verdict.KEEP


def test_candidates_take_no_more_time_than_the_present_ladder_unless_patience_is_asked_for() -> None:
    found = estimated(Market(lambda _: 0.05, places=("0", "0.5", "1"), wait_seconds=30), plans=100)
    present = LadderSteps(spread_fractions=(Decimal("0.5"), Decimal(1)), wait_seconds=Decimal(3))
    for patience in (1, 4):
        best = propose(found, present, Decimal(patience)).best
        assert best is not None
        assert best.steps.wait_seconds * (len(best.steps.spread_fractions) - 1) == 3 * patience


@pytest.mark.parametrize("qty", ["0.5", "10"])
def test_no_ladder_for_what_crosses_at_once(qty: str) -> None:
    found = estimated(Market(lambda _: 0.15, qty=qty), plans=50)
    urgency = Urgency.LOW if qty == "0.5" else Urgency.URGENT
    assert proposal(found, urgency).verdict is Verdict.NOT_APPLICABLE
