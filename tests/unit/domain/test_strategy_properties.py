"""Properties of every decision, for any parent, quote, time and mode."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.domain.cash import committed
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.decisions import (
    Cancel,
    Concluding,
    DecisionContext,
    Place,
    RunMode,
    Settle,
    Working,
    Yielding,
)
from rebalance_executor.domain.market import CENT, HALF_CENT, ZERO, Arrival, OrderType, Quote, Side
from rebalance_executor.domain.orders import ChildState, Outcome, ParentOrder
from rebalance_executor.domain.pricing import collar, far_touch
from rebalance_executor.domain.strategy import decide
from rebalance_executor.domain.styles import OrderStyle
from tests.support.builders import NOW, a_child, a_parent, a_quote, later
from tests.support.properties import decimals, dollars, is_on_tick, property_test, quotes, shares, sides

CLOSED = [ChildState.FILLED, ChildState.CANCELED, ChildState.EXPIRED, ChildState.NOT_SENT]
OPEN = [ChildState.INTENDED, ChildState.UNKNOWN, ChildState.LIVE]
CONFIGS = [ExecutionConfig(order_style=style) for style in OrderStyle]


WORKING, YIELDING = Working(), Yielding("stopped safely on request", later(600))
CONCLUDING = Concluding(Code.TIME_LIMIT, "the plan's time limit passed")
MODES: tuple[RunMode, ...] = (WORKING, WORKING, YIELDING, CONCLUDING)


@st.composite
def parents(draw: st.DrawFn, *, with_open: bool | None = None) -> ParentOrder:
    """Draw parents in any state that the executor can produce."""
    qty = draw(shares)
    arrival = draw(quotes())
    parent = a_parent(side=draw(sides), qty=str(qty), fractionable=draw(st.booleans()), arrival=arrival)
    for attempt in range(1, draw(st.integers(0, 5)) + 1):
        state = draw(st.sampled_from(CLOSED))
        size = parent.remaining
        filled = size if state is ChildState.FILLED else draw(st.sampled_from([ZERO, ZERO, size / 2]))
        filled = ZERO if state is ChildState.NOT_SENT else filled
        price = str(arrival.ask) if filled else None
        parent = parent.with_child(a_child(state, attempt=attempt, qty=str(size), filled=str(filled), price=price))
    if parent.remaining and (draw(st.booleans()) if with_open is None else with_open):
        child = a_child(draw(st.sampled_from(OPEN)), attempt=9, qty=str(parent.remaining), limit=str(arrival.ask))
        parent = parent.with_child(child)
    return parent


@st.composite
def contexts(draw: st.DrawFn) -> DecisionContext:
    """Draw contexts at any time, in any mode, with any quote or none."""
    return DecisionContext(
        now=later(draw(st.integers(0, 100))),
        mode=draw(st.sampled_from(MODES)),
        quote=draw(st.one_of(st.none(), quotes(), st.just(a_quote("0", "10")), st.just(a_quote("11", "10")))),
        quote_missing_since=NOW,
        funds=draw(st.one_of(st.none(), dollars)),
        are_funds_final=draw(st.booleans()),
    )


configs = st.sampled_from(CONFIGS)


@property_test
@given(parents(with_open=True), contexts(), configs)
def test_nothing_is_placed_while_a_child_is_open(
    parent: ParentOrder, context: DecisionContext, config: ExecutionConfig
) -> None:
    """Production failure 13."""
    if parent.open_child is not None:
        assert not isinstance(decide(parent, context, config), Place)


@property_test
@given(parents(), contexts(), configs)
def test_child_never_exceeds_the_remaining_quantity(
    parent: ParentOrder, context: DecisionContext, config: ExecutionConfig
) -> None:
    """Production failure 14, and the last check before the broker."""
    decision = decide(parent, context, config)
    if isinstance(decision, Place):
        assert 0 < decision.qty <= parent.remaining
        child = a_child(ChildState.INTENDED, attempt=10, qty=str(decision.qty))
        assert parent.with_child(child).exposure <= parent.qty


@property_test
@given(parents(with_open=False), contexts(), configs)
def test_nothing_is_placed_unless_the_run_works(
    parent: ParentOrder, context: DecisionContext, config: ExecutionConfig
) -> None:
    if context.mode != WORKING:
        assert not isinstance(decide(parent, context, config), Place)


@st.composite
def near(draw: st.DrawFn) -> tuple[Quote, Quote]:
    """Draw an arrival quote, and a quote within its collar or just beyond."""
    arrival = draw(quotes())
    moved = draw(decimals("0.95", "1.05", 3))
    bid = max((arrival.bid * moved).quantize(Decimal("0.0001")), Decimal("0.0001"))
    quote = a_quote(str(bid), str(bid + arrival.ask - arrival.bid))
    return arrival, replace(quote, known_tick_size=draw(st.sampled_from([None, CENT, HALF_CENT])))


@property_test
@given(near(), sides, shares, configs)
def test_limit_is_on_tick_and_never_worse_than_far_touch_or_collar(
    pair: tuple[Quote, Quote], side: Side, qty: Decimal, config: ExecutionConfig
) -> None:
    """Production failures 6, 7 and 8."""
    arrival, quote = pair
    decision = decide(a_parent(side=side, qty=str(qty), arrival=arrival), DecisionContext(NOW, quote=quote), config)
    worst = collar(side, Arrival(arrival.bid, arrival.ask, NOW), config.price_collar)
    touch = far_touch(side, quote)
    if isinstance(decision, Place) and decision.type is OrderType.LIMIT:
        assert decision.limit_price is not None
        assert decision.limit_price > 0
        assert is_on_tick(decision.limit_price, quote.tick_size)
        if side is Side.BUY:
            assert decision.limit_price <= min(touch, worst)
        else:
            assert decision.limit_price >= max(touch, worst)


@property_test
@given(near(), shares, dollars, configs)
def test_buy_never_commits_more_than_its_funds(
    pair: tuple[Quote, Quote], qty: Decimal, funds: Decimal, config: ExecutionConfig
) -> None:
    """Production failures 19 and 20."""
    arrival, quote = pair
    parent = a_parent(qty=str(qty), arrival=arrival)
    decision = decide(parent, DecisionContext(NOW, quote=quote, funds=funds), config)
    if isinstance(decision, Place) and decision.limit_price is not None:
        child = a_child(ChildState.INTENDED, qty=str(decision.qty), limit=str(decision.limit_price))
        assert committed([parent.with_child(child)], config.price_collar) <= funds
    elif isinstance(decision, Place):
        worst = collar(Side.BUY, Arrival(arrival.bid, arrival.ask, NOW), config.price_collar)
        assert decision.qty * worst <= funds


@property_test
@given(parents(), contexts(), configs)
def test_only_a_working_child_is_canceled_and_only_once(
    parent: ParentOrder, context: DecisionContext, config: ExecutionConfig
) -> None:
    if isinstance(decide(parent, context, config), Cancel):
        child = parent.open_child
        assert child is not None
        assert child.state is ChildState.LIVE
        assert child.cancel_requested_at is None


@property_test
@given(parents(), contexts(), configs)
def test_filled_means_filled_as_planned(parent: ParentOrder, context: DecisionContext, config: ExecutionConfig) -> None:
    decision = decide(parent, context, config)
    if isinstance(decision, Settle):
        assert (decision.outcome is Outcome.FILLED) == (parent.filled_qty == parent.qty)
        assert decision.code is None or decision.message


@property_test
@given(parents(), contexts(), configs)
def test_decision_is_deterministic(parent: ParentOrder, context: DecisionContext, config: ExecutionConfig) -> None:
    assert decide(parent, context, config) == decide(parent, context, config)
