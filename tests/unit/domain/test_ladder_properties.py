"""Invariants of the ladder for any quotes, times, urgencies and fills."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.decisions import Cancel, DecisionContext, Place, Settle
from rebalance_executor.domain.ladder import (
    FAR,
    WaveSchedule,
    children_within_rate_limit,
    is_overdue,
    next_price,
    next_spread_fraction,
    rung_price,
    rungs_ahead,
)
from rebalance_executor.domain.market import OrderType, Quote, Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome, ParentOrder
from rebalance_executor.domain.plan import Urgency
from rebalance_executor.domain.pricing import collar, far_touch, is_inside, tick
from rebalance_executor.domain.strategy import decide
from tests.support.builders import NOW, a_parent, later
from tests.support.properties import decimals, is_on_tick, property_test, quotes, shares, sides

CONFIG = ExecutionConfig()
urgencies = st.sampled_from(Urgency)
fractions = decimals("0", "1", 3)


@property_test
@given(sides, quotes(), fractions)
def test_rung_is_positive_on_tick_and_between_the_touches(side: Side, quote: Quote, fraction: Decimal) -> None:
    """Production failures 6, 7 and 8."""
    price = rung_price(side, quote, fraction)
    assert price > 0
    assert is_on_tick(price, quote.tick_size)
    assert is_inside(side, price, far_touch(side, quote))
    assert quote.bid <= price <= quote.ask


@property_test
@given(sides, quotes(), fractions, fractions)
def test_higher_fraction_is_never_worse_for_the_counterparty(side: Side, quote: Quote, a: Decimal, b: Decimal) -> None:
    low, high = sorted((a, b))
    assert is_inside(side, rung_price(side, quote, low), rung_price(side, quote, high))


@property_test
@given(urgencies, st.integers(-10, 600), st.integers(1, 500))
def test_rungs_end_at_the_far_touch_and_fit_the_rate_limit(urgency: Urgency, seconds: int, parents: int) -> None:
    ahead = rungs_ahead(a_parent(), WaveSchedule(urgency, later(seconds), parents), NOW, CONFIG)
    assert ahead[-1] == FAR
    assert list(ahead) == sorted(set(ahead))
    assert set(ahead) <= set(CONFIG.ladder[urgency].spread_fractions)
    assert len(ahead) <= children_within_rate_limit(parents, Decimal(max(seconds, 0)), CONFIG)


@property_test
@given(st.integers(1, 500), st.integers(0, 3_600))
def test_affordable_children_are_within_the_rate_limit(parents: int, seconds: int) -> None:
    """One submission per parent is always allowed, because otherwise nothing would be traded."""
    children = children_within_rate_limit(parents, Decimal(seconds), CONFIG)
    orders = parents * (2 * children - 1)
    polls = seconds / CONFIG.tick_seconds
    allowed = Decimal(CONFIG.rate_limit_per_minute) * (seconds + 60) / 60
    assert children == 1 or orders + polls <= allowed
    assert children_within_rate_limit(parents + 1, Decimal(seconds), CONFIG) <= children


@dataclass(frozen=True, slots=True)
class Step:
    """One tick of the run: seconds since the former one, the market's move in ticks, and the fill of the open child."""

    seconds: float
    move: int
    widen: int
    fill: Decimal
    is_ended: bool


steps = st.lists(
    st.builds(
        Step,
        seconds=st.sampled_from([0.5, 1.0, 3.0, 12.0]),
        move=st.integers(-3, 3),
        widen=st.integers(-2, 2),
        fill=st.sampled_from([Decimal(0), Decimal(0), Decimal(0), Decimal("0.3")]),
        is_ended=st.sampled_from([False] * 9 + [True]),
    ),
    max_size=60,
)


def _moved(quote: Quote, step: Step) -> Quote:
    size = tick(quote.bid, quote.tick_size)
    bid = max(quote.bid + step.move * size, size)
    ask = max(quote.ask + (step.move + step.widen) * size, bid)
    return replace(quote, bid=bid, ask=ask)


def _answered(child: ChildOrder, step: Step, now_in: float) -> ChildOrder:
    """Return the child as a broker reports it that fills in parts and closes a canceled order in the next tick."""
    filled = child.filled_qty + (child.qty - child.filled_qty) * step.fill
    price = child.limit_price or Decimal(10)
    reported = replace(child, state=ChildState.LIVE, filled_qty=filled, filled_avg_price=price if filled else None)
    ended = ChildState.EXPIRED if step.is_ended else ChildState.CANCELED if child.cancel_requested_at else None
    return replace(reported, state=ended, closed_at=later(now_in)) if ended is not None else reported


def _worked(
    parent: ParentOrder, quote: Quote, urgency: Urgency, crosses_in: int, path: list[Step]
) -> list[ParentOrder]:
    """Return every state of a parent along these steps."""
    states, elapsed = [parent], 0.0
    for step in path:
        elapsed += step.seconds
        quote = _moved(quote, step)
        if parent.open_child is not None:
            parent = parent.with_child(_answered(parent.open_child, step, elapsed))
        context = DecisionContext(later(elapsed), quote=quote, schedule=WaveSchedule(urgency, later(crosses_in)))
        decision = decide(parent, context, CONFIG)
        if isinstance(decision, Place):
            assert parent.open_child is None
            parent = parent.with_child(_child(parent, decision, elapsed))
            _check_price(parent, quote)
        elif isinstance(decision, Cancel) and parent.open_child is not None:
            _check_cancel(parent, parent.open_child, quote, context)
            parent = parent.with_child(replace(parent.open_child, cancel_requested_at=later(elapsed)))
        elif isinstance(decision, Settle):
            return [*states, parent.settled(decision.outcome, decision.code, decision.message, later(elapsed))]
        states.append(parent)
    return states


def _child(parent: ParentOrder, place: Place, elapsed: float) -> ChildOrder:
    attempt = len(parent.children) + 1
    at = NOW + timedelta(seconds=elapsed)
    return ChildOrder(
        attempt,
        f"client-{attempt}",
        place.type,
        place.qty,
        place.limit_price,
        at,
        state=ChildState.INTENDED,
        spread_fraction=place.spread_fraction,
    )


def _check_price(parent: ParentOrder, quote: Quote) -> None:
    """Assert that the limit is on tick, within far touch and collar, and better for the counterparty than the last."""
    child, arrival = parent.open_child, parent.arrival
    assert child is not None
    assert arrival is not None
    assert child.limit_price is not None
    assert child.limit_price > 0
    assert is_on_tick(child.limit_price, quote.tick_size)
    assert is_inside(parent.side, child.limit_price, far_touch(parent.side, quote))
    assert is_inside(parent.side, child.limit_price, collar(parent.side, arrival, CONFIG.price_collar))
    for former in parent.children[-2:-1]:
        assert child.limit_price == far_touch(parent.side, quote) or _nearer(
            parent.side, former, child.limit_price, quote
        )


def _check_cancel(parent: ParentOrder, child: ChildOrder, quote: Quote, context: DecisionContext) -> None:
    """Assert that no child is canceled to send the same price or a worse one."""
    if not is_overdue(parent, child, context.schedule, context.now, CONFIG):
        fraction = next_spread_fraction(parent, quote, context.schedule, context.now, CONFIG)
        assert _nearer(parent.side, child, next_price(parent, quote, fraction), quote)


def _nearer(side: Side, former: ChildOrder, price: Decimal, quote: Quote) -> bool:
    assert former.limit_price is not None
    step = price - former.limit_price if side is Side.BUY else former.limit_price - price
    return step >= tick(price, quote.tick_size)


walks = st.tuples(sides, quotes(), shares, urgencies, st.integers(0, 300), steps)


@property_test
@given(walks)
def test_ladder_never_exceeds_its_parent_or_its_children(
    walk: tuple[Side, Quote, Decimal, Urgency, int, list[Step]],
) -> None:
    """Production failures 13 to 15, with every price within far touch and collar."""
    side, quote, qty, urgency, crosses_in, path = walk
    start = a_parent(side=side, qty=str(qty), arrival=quote)
    for parent in _worked(start, quote, urgency, crosses_in, path):
        assert parent.exposure <= parent.qty
        assert parent.attempts <= CONFIG.max_children
        assert sum(child.is_open for child in parent.children) <= 1
        assert parent.filled_qty + parent.remaining == parent.qty
        assert (parent.outcome is Outcome.FILLED) == (parent.outcome is not None and parent.remaining == 0)


@property_test
@given(walks)
def test_spread_fraction_never_decreases(walk: tuple[Side, Quote, Decimal, Urgency, int, list[Step]]) -> None:
    side, quote, qty, urgency, crosses_in, path = walk
    last = _worked(a_parent(side=side, qty=str(qty), arrival=quote), quote, urgency, crosses_in, path)[-1]
    for former, child in pairwise(last.children):
        assert child.type is OrderType.LIMIT
        assert child.spread_fraction is not None
        assert child.spread_fraction == FAR or (
            former.spread_fraction is not None and child.spread_fraction > former.spread_fraction
        )
