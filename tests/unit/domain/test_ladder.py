"""The ladder as tables: quote × state × time × urgency → decision. One symbol at about $10, ten cents wide."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.decisions import Cancel, Decision, DecisionContext, Place, Settle, Wait
from rebalance_executor.domain.ladder import (
    WaveSchedule,
    children_within_rate_limit,
    cross_by,
    next_price,
    rung_price,
    rungs_ahead,
)
from rebalance_executor.domain.market import CENT, OrderType, Quote, Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome, ParentOrder
from rebalance_executor.domain.plan import Urgency
from rebalance_executor.domain.strategy import decide, needs_quote
from rebalance_executor.domain.styles import LadderSteps, OrderStyle, SymbolOverride
from tests.support.builders import BUY, NOW, SELL, a_child, a_parent, a_quote, later

PATIENT, LOW, NORMAL, HIGH, URGENT = Urgency


def rungs(wait: str, *fractions: str) -> LadderSteps:
    return LadderSteps(spread_fractions=tuple(map(Decimal, fractions)), wait_seconds=Decimal(wait))


CONFIG = ExecutionConfig(
    ladder={
        LOW: rungs("10", "0", "0.25", "0.5", "0.75", "1"),
        NORMAL: rungs("10", "0.5", "0.75", "1"),
        HIGH: rungs("5", "0.75", "1"),
        URGENT: rungs("2", "1"),
    },
    improvement_threshold=Decimal("0.1"),
    fast_market_spreads=Decimal("0.5"),
    fast_market_wait=Decimal("0.25"),
    shortest_rung_seconds=Decimal(2),
    last_rung_seconds=Decimal(30),
    max_children=10,
)
WIDE = a_quote("10.00", "10.10")
HALF_CENTS = a_quote("13.985", "13.995")


def at(
    seconds: float = 0, *, quote: Quote | None = WIDE, urgency: Urgency = NORMAL, **schedule: Any
) -> DecisionContext:
    return DecisionContext(
        later(seconds), quote=quote, quote_missing_since=NOW, schedule=WaveSchedule(urgency, **schedule)
    )


def resting(limit: str, fraction: str, *, attempt: int = 1, **fields: Any) -> ChildOrder:
    return a_child(limit=limit, spread_fraction=Decimal(fraction), attempt=attempt, **fields)


def ended(limit: str, fraction: str, after: float = 10, *, filled: str = "0", attempt: int = 1) -> ChildOrder:
    """Build a child that this program canceled ``after`` seconds."""
    price = None if filled == "0" else limit
    closed_at = later(after)
    child = a_child(ChildState.CANCELED, limit=limit, filled=filled, price=price, attempt=attempt)
    return replace(child, spread_fraction=Decimal(fraction), cancel_requested_at=closed_at, closed_at=closed_at)


def parent(*children: ChildOrder, side: Side = BUY, **fields: Any) -> ParentOrder:
    return a_parent(*children, side=side, **({"arrival": WIDE} | fields))


def place(price: str, fraction: str, qty: str = "10") -> Place:
    return Place(OrderType.LIMIT, Decimal(qty), Decimal(price), Decimal(fraction))


# --- the first rung --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("urgency", "side", "decision"),
    [
        (LOW, BUY, place("10.00", "0")),
        (LOW, SELL, place("10.10", "0")),
        (NORMAL, BUY, place("10.05", "0.5")),
        (NORMAL, SELL, place("10.05", "0.5")),
        (HIGH, BUY, place("10.07", "0.75")),
        (HIGH, SELL, place("10.03", "0.75")),
        (URGENT, BUY, place("10.10", "1")),
        (URGENT, SELL, place("10.00", "1")),
    ],
)
def test_urgency_selects_the_first_rung(urgency: Urgency, side: Side, decision: Place) -> None:
    assert decide(parent(side=side), at(urgency=urgency), CONFIG) == decision


ONE_TICK = [
    pytest.param("10.00", "10.01", id="a cent"),
    pytest.param("13.985", "13.990", id="half a cent"),
    pytest.param("0.5000", "0.5001", id="below $1"),
    pytest.param("0.9999", "1.00", id="up to $1"),
]


@pytest.mark.parametrize(("bid", "ask"), ONE_TICK)
@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("urgency", [LOW, NORMAL, HIGH])
def test_spread_of_one_tick_is_joined_at_our_own_side(bid: str, ask: str, side: Side, urgency: Urgency) -> None:
    """M3: every urgency crossed 13.99/14.00 at once, also LOW."""
    quote = a_quote(bid, ask)
    decision = decide(parent(side=side, arrival=quote), at(quote=quote, urgency=urgency), CONFIG)
    own_side = quote.bid if side is BUY else quote.ask
    assert isinstance(decision, Place)
    assert decision.limit_price == own_side


@pytest.mark.parametrize(("bid", "ask"), ONE_TICK)
@pytest.mark.parametrize("side", Side)
def test_urgent_order_crosses_a_spread_of_one_tick_at_once(bid: str, ask: str, side: Side) -> None:
    quote = a_quote(bid, ask)
    decision = decide(parent(side=side, arrival=quote), at(quote=quote, urgency=URGENT), CONFIG)
    far = quote.ask if side is BUY else quote.bid
    assert decision == Place(OrderType.LIMIT, Decimal(10), far, Decimal(1))


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(("urgency", "crosses_after"), [(LOW, 40), (NORMAL, 20), (HIGH, 5)])
def test_joined_order_keeps_its_place_until_its_rungs_have_passed(
    side: Side, urgency: Urgency, crosses_after: int
) -> None:
    """The rungs before the last one have the same price there: their seconds add up, and nothing is canceled."""
    quote = a_quote("13.99", "14.00")
    first = CONFIG.ladder[urgency].spread_fractions[0]
    child = resting("13.99" if side is BUY else "14.00", str(first))
    order = parent(child, side=side, arrival=quote)
    decisions = [decide(order, at(s, quote=quote, urgency=urgency), CONFIG) for s in range(crosses_after + 1)]
    assert decisions == [Wait()] * crosses_after + [Cancel()]


def test_joined_order_crosses_sooner_when_the_quote_moves_away() -> None:
    """A move by one tick is a whole spread: its market is fast."""
    order = parent(resting("13.99", "0"), arrival=a_quote("13.99", "14.00"))
    moved = a_quote("14.00", "14.01")
    decisions = [decide(order, at(s, quote=moved, urgency=LOW), CONFIG) for s in (2, 3)]
    assert decisions == [Wait(), Cancel()]
    after = parent(ended("13.99", "0"), arrival=a_quote("13.99", "14.00"))
    assert decide(after, at(10, quote=moved, urgency=LOW), CONFIG) == place("14.01", "1")


def test_locked_market_is_taken_at_once() -> None:
    quote = a_quote("10.00", "10.00")
    assert decide(parent(arrival=quote), at(quote=quote, urgency=LOW), CONFIG) == place("10.00", "1")


# --- below one share -------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("urgency", Urgency)
@pytest.mark.parametrize("qty", ["0.5", "0.999999"])
def test_less_than_one_share_goes_to_the_far_touch_at_once(side: Side, urgency: Urgency, qty: str) -> None:
    """M2: the broker fills it itself at the far touch, so that resting at 582.90 only costs time."""
    quote = a_quote("582.90", "583.10")
    decision = decide(parent(side=side, qty=qty, arrival=quote), at(quote=quote, urgency=urgency), CONFIG)
    assert decision == place("583.10" if side is BUY else "582.90", "1", qty)


def test_fraction_that_whole_shares_leave_goes_to_the_far_touch_at_once() -> None:
    order = parent(ended("10.00", "0", filled="10"), qty="10.4")
    assert decide(order, at(10, urgency=LOW), CONFIG) == place("10.10", "1", "0.4")


def test_one_share_walks_the_ladder() -> None:
    assert decide(parent(qty="1"), at(urgency=LOW), CONFIG) == place("10.00", "0", "1")


@pytest.mark.parametrize(
    ("side", "first", "inside", "last"), [(BUY, "13.985", "13.990", "13.995"), (SELL, "13.995", "13.990", "13.985")]
)
def test_spread_of_two_half_cents_has_a_rung_inside(side: Side, first: str, inside: str, last: str) -> None:
    """P7: 13.985/13.995 was bought at 14.00 and sold at 13.98, at once."""
    config = CONFIG.model_copy(update={"ladder": {NORMAL: rungs("10", "0", "0.5", "1")}})
    children: list[ChildOrder] = []
    for rung, price in (("0", first), ("0.5", inside), ("1", last)):
        parent_order = parent(*children, side=side, arrival=HALF_CENTS)
        assert decide(parent_order, at(10, quote=HALF_CENTS), config) == place(price, rung)
        children.append(ended(price, rung, attempt=len(children) + 1))


@pytest.mark.parametrize(("side", "limit", "price"), [(BUY, "13.99", "14.00"), (SELL, "13.99", "13.98")])
def test_far_touch_between_configured_cents_is_rounded_to_be_marketable(side: Side, limit: str, price: str) -> None:
    quote = replace(HALF_CENTS, known_tick_size=CENT)
    order = parent(ended(limit, "0.75"), side=side, arrival=quote)
    assert decide(order, at(10, quote=quote), CONFIG) == place(price, "1")


@pytest.mark.parametrize(("side", "price"), [(BUY, "0.9950"), (SELL, "1.00")])
def test_fifty_ticks_up_to_one_dollar_are_not_a_spread_of_one_tick(side: Side, price: str) -> None:
    quote = a_quote("0.9950", "1.00")
    assert decide(parent(side=side, arrival=quote), at(quote=quote, urgency=LOW), CONFIG) == place(price, "0")


def test_sell_at_one_dollar_steps_down_by_less_than_a_cent() -> None:
    quote = a_quote("0.9900", "1.00")
    former = ended("1.00", "0")
    assert next_price(parent(former, side=SELL), quote, Decimal("0.3")) == Decimal("0.9970")


@pytest.mark.parametrize(
    ("side", "bid", "ask", "fraction", "price"),
    [
        (BUY, "10.00", "10.03", "0.5", "10.01"),
        (SELL, "10.00", "10.03", "0.5", "10.02"),
        (BUY, "0.5000", "0.5003", "0.5", "0.5001"),
        (SELL, "0.9990", "1.01", "0.5", "1.01"),
        (BUY, "0.9990", "1.01", "0.5", "1.00"),
        (BUY, "10.001", "10.052", "1", "10.06"),
        (SELL, "10.001", "10.052", "0", "10.06"),
        (SELL, "10.001", "10.052", "1", "10.00"),
    ],
)
def test_rung_is_on_tick_and_rounded_towards_our_own_side(
    side: Side, bid: str, ask: str, fraction: str, price: str
) -> None:
    """Only the last rung is rounded towards the counterparty, so that it stays marketable."""
    assert rung_price(side, a_quote(bid, ask), Decimal(fraction)) == Decimal(price)


@pytest.mark.parametrize(
    ("side", "qty", "decision"),
    [
        (BUY, "1.4", None),
        (BUY, "1.5", place("0.67", "1", "1.5")),  # $0.99 at the bid, $1.005 at the ask
        (BUY, "1.6", place("0.66", "0", "1.6")),
        (SELL, "1.5", place("0.67", "0", "1.5")),
    ],
)
def test_buy_too_small_for_a_passive_rung_goes_to_the_far_touch(side: Side, qty: str, decision: Place | None) -> None:
    quote = a_quote("0.66", "0.67")
    decided = decide(parent(side=side, qty=qty, arrival=quote), at(quote=quote, urgency=LOW), CONFIG)
    assert decided == decision if decision is not None else isinstance(decided, Settle)


# --- the next rung ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("former", "quote", "decision"),
    [
        pytest.param(ended("10.05", "0.5"), WIDE, place("10.07", "0.75"), id="the next rung"),
        pytest.param(ended("10.05", "0.5"), a_quote("10.04", "10.14"), place("10.11", "0.75"), id="from a fresh quote"),
        pytest.param(
            ended("10.05", "0.5", 2.5), a_quote("10.06", "10.16"), place("10.13", "0.75"), id="in a fast market"
        ),
        pytest.param(ended("10.05", "0.5"), a_quote("10.06", "10.16"), place("10.16", "1"), id="late in a fast market"),
        pytest.param(
            ended("10.05", "0.5"), a_quote("9.96", "10.06"), place("10.06", "0.75"), id="at least a tick better"
        ),
        pytest.param(
            ended("10.05", "0.5"), a_quote("9.94", "10.04"), place("10.04", "0.75"), id="never beyond the far touch"
        ),
        pytest.param(
            ended("10.05", "0.5", filled="4"), WIDE, place("10.07", "0.75", qty="6"), id="sized by what remains"
        ),
        pytest.param(ended("10.05", "0.5", 20), WIDE, place("10.10", "1"), id="it rested through two rungs"),
        pytest.param(ended("10.05", "0.5", 1), WIDE, place("10.07", "0.75"), id="cut short by the end of a run"),
        pytest.param(
            a_child(ChildState.EXPIRED, limit="10.05", spread_fraction=Decimal("0.5")),
            WIDE,
            place("10.07", "0.75"),
            id="expired",
        ),
        pytest.param(
            a_child(ChildState.NOT_SENT, limit="10.05", spread_fraction=Decimal("0.5")),
            WIDE,
            place("10.05", "0.5"),
            id="the former was never sent",
        ),
        pytest.param(
            a_child(ChildState.CANCELED, limit="10.05"), WIDE, place("10.10", "1"), id="the former was of another style"
        ),
        pytest.param(ended("10.07", "0.75"), WIDE, place("10.10", "1"), id="the last rung"),
        pytest.param(
            ended("10.10", "1"), a_quote("10.04", "10.14"), place("10.14", "1"), id="the last rung follows the quote"
        ),
    ],
)
def test_each_rung_is_priced_from_a_fresh_quote_and_better_for_the_counterparty(
    former: ChildOrder, quote: Quote, decision: Decision
) -> None:
    """Production failures 13 to 16: the journal contains everything that the next rung needs."""
    assert decide(parent(former), at(40, quote=quote), CONFIG) == decision


def test_sell_ladder_walks_down() -> None:
    former = ended("10.05", "0.5")
    assert decide(parent(former, side=SELL), at(11), CONFIG) == place("10.03", "0.75")
    far = replace(WIDE, bid=Decimal("10.03"), ask=Decimal("10.13"))
    assert next_price(parent(former, side=SELL), far, Decimal("0.5")) == Decimal("10.04")


# --- a resting rung --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("child", "context", "decision"),
    [
        pytest.param(resting("10.05", "0.5"), at(9.9), Wait(), id="rests"),
        pytest.param(resting("10.05", "0.5"), at(10), Cancel(), id="rested, the next is better"),
        pytest.param(
            resting("10.05", "0.5"),
            at(10, quote=a_quote("9.98", "10.08")),
            Wait(),
            id="rested, the next is no better",
        ),
        pytest.param(
            resting("10.05", "0.5"),
            at(20, quote=a_quote("9.98", "10.08")),
            Cancel(),
            id="rested twice, the one after is better",
        ),
        pytest.param(
            resting("10.05", "0.5"),
            at(10, quote=a_quote("9.87", "10.13")),
            Wait(),
            id="a cent is below a tenth of this spread",
        ),
        pytest.param(resting("10.05", "0.5", filled="4", price="10.05"), at(10), Cancel(), id="partly filled"),
        pytest.param(
            resting("10.05", "0.5", filled="9.95", price="10.05"),
            at(10),
            Wait(),
            id="the remainder is below the minimum",
        ),
        pytest.param(
            resting("10.05", "0.5", filled="9.95", price="10.05"),
            at(60),
            Cancel(),
            id="the remainder rested its time",
        ),
        pytest.param(resting("10.05", "0.5"), at(10, quote=None), Wait(), id="no quote"),
        pytest.param(resting("10.05", "0.5"), at(10, quote=a_quote("10.2", "10.1")), Wait(), id="crossed quote"),
        pytest.param(resting("10.05", "0.5"), at(10, quote=a_quote("10.30", "10.40")), Wait(), id="beyond the collar"),
        pytest.param(resting("10.10", "1"), at(29.9), Wait(), id="the same limit is not sent again"),
        pytest.param(resting("10.10", "1"), at(30), Cancel(), id="the last rung had its time"),
        pytest.param(
            resting("10.10", "1"),
            at(9.9, quote=a_quote("10.03", "10.13")),
            Wait(),
            id="the last rung was left behind",
        ),
        pytest.param(
            resting("10.10", "1"), at(10, quote=a_quote("10.03", "10.13")), Cancel(), id="the last rung follows"
        ),
        pytest.param(
            resting("10.10", "1", attempt=10),
            at(10, quote=a_quote("10.03", "10.13")),
            Cancel(),
            id="last allowed attempt",
        ),
    ],
)
def test_resting_rung_is_replaced_only_by_a_better_price(
    child: ChildOrder, context: DecisionContext, decision: Decision
) -> None:
    """Production failure 15."""
    assert decide(parent(child), context, CONFIG) == decision


@pytest.mark.parametrize(
    ("quote", "decision"),
    [
        pytest.param(HALF_CENTS, Cancel(), id="half a cent is a tick of this symbol"),
        pytest.param(a_quote("13.935", "13.995"), Wait(), id="half a cent is below a tenth of this spread"),
        pytest.param(replace(HALF_CENTS, known_tick_size=CENT, ask=Decimal("13.99")), Wait(), id="the limit is equal"),
    ],
)
def test_resting_rung_is_replaced_for_half_a_cent_if_that_is_the_tick(quote: Quote, decision: Decision) -> None:
    order = parent(resting("13.990", "0.75"), arrival=HALF_CENTS)
    assert decide(order, at(10, quote=quote), CONFIG) == decision


def test_last_allowed_child_is_not_cancelled_for_a_better_price() -> None:
    former = [ended("10.10", "1", attempt=n) for n in range(1, 10)]
    last = resting("10.10", "1", attempt=10)
    assert decide(parent(*former, last), at(10, quote=a_quote("10.03", "10.13")), CONFIG) == Wait()


@pytest.mark.parametrize(
    ("quote", "seconds", "decision"),
    [
        (a_quote("10.04", "10.14"), 9.9, Wait()),
        (a_quote("10.06", "10.16"), 2.4, Wait()),
        (a_quote("10.06", "10.16"), 2.5, Cancel()),
        (a_quote("9.90", "10.06"), 2.5, Wait()),
    ],
    ids=["moved away a little", "moved away, too early", "moved away", "came towards us"],
)
def test_rung_is_shorter_in_a_fast_market(quote: Quote, seconds: float, decision: Decision) -> None:
    assert decide(parent(resting("10.05", "0.5")), at(seconds, quote=quote), CONFIG) == decision


@pytest.mark.parametrize(
    ("crosses_in", "seconds", "decision"),
    [
        pytest.param(20, 10, Cancel(), id="just enough time for both rungs"),
        pytest.param(12, 5.9, Wait(), id="time for two short rungs, the first still has some"),
        pytest.param(12, 6, Cancel(), id="time for two short rungs"),
        pytest.param(3, 2.9, Wait(), id="time for one more rung only, it has some left"),
        pytest.param(3, 3, Cancel(), id="time is over"),
        pytest.param(-1, 0, Cancel(), id="time was over before"),
    ],
)
def test_rungs_are_shorter_when_time_runs_out(crosses_in: float, seconds: float, decision: Decision) -> None:
    context = at(seconds, cross_by=later(crosses_in))
    assert decide(parent(resting("10.05", "0.5")), context, CONFIG) == decision


@pytest.mark.parametrize(
    ("urgency", "crosses_in", "decision"),
    [
        (LOW, 9, place("10.00", "0")),
        (LOW, 7, place("10.00", "0")),
        (LOW, 5, place("10.00", "0")),
        (LOW, 3, place("10.02", "0.25")),
        (LOW, 1.9, place("10.10", "1")),
        (NORMAL, 4, place("10.05", "0.5")),
        (NORMAL, 3, place("10.05", "0.5")),
        (NORMAL, 1, place("10.10", "1")),
        (HIGH, 1, place("10.10", "1")),
    ],
)
def test_rungs_without_time_are_skipped(urgency: Urgency, crosses_in: float, decision: Place) -> None:
    assert decide(parent(), at(urgency=urgency, cross_by=later(crosses_in)), CONFIG) == decision


# --- the end ---------------------------------------------------------------------------------------------


def test_last_rung_that_rested_its_time_without_filling_ends_the_order() -> None:
    decision = decide(parent(ended("10.10", "1", 30, filled="4")), at(31), CONFIG)
    assert isinstance(decision, Settle)
    assert (decision.outcome, decision.code) == (Outcome.PARTIALLY_FILLED, Code.ATTEMPTS_EXHAUSTED)


@pytest.mark.parametrize(
    ("side", "limit", "quote"),
    [(BUY, "10.10", a_quote("10.01", "10.11")), (SELL, "10.00", a_quote("9.99", "10.09"))],
)
def test_last_rung_follows_a_far_touch_that_moved_away_by_a_cent(side: Side, limit: str, quote: Quote) -> None:
    """It rested all its time, and the quote offers a price that was not tried yet."""
    touch = quote.ask if side is BUY else quote.bid
    decision = decide(parent(ended(limit, "1", 30), side=side), at(31, quote=quote), CONFIG)
    assert decision == place(str(touch), "1")


@pytest.mark.parametrize(
    ("side", "limit", "quote"),
    [(BUY, "10.10", a_quote("9.99", "10.09")), (SELL, "10.00", a_quote("10.01", "10.11"))],
)
def test_last_rung_does_not_restart_when_the_quote_comes_nearer(side: Side, limit: str, quote: Quote) -> None:
    decision = decide(parent(ended(limit, "1", 30), side=side), at(31, quote=quote), CONFIG)
    assert isinstance(decision, Settle)


def test_last_rung_cut_short_by_a_yield_is_sent_again() -> None:
    assert decide(parent(ended("10.10", "1", 3)), at(600), CONFIG) == place("10.10", "1")


def test_last_rung_is_a_market_order_only_if_configured() -> None:
    config = CONFIG.model_copy(update={"last_rung_market": True})
    far = Place(OrderType.MARKET, Decimal(10), None, Decimal(1))
    assert decide(parent(resting("10.07", "0.75")), at(10), config) == Cancel()
    assert decide(parent(ended("10.07", "0.75")), at(11), config) == far
    assert decide(parent(), at(urgency=URGENT), config) == far
    assert decide(parent(a_child(limit=None, spread_fraction=Decimal(1))), at(10), config) == Wait()


def test_cancelled_market_order_without_a_fill_ends_the_order() -> None:
    config = CONFIG.model_copy(update={"last_rung_market": True})
    market = replace(ended("10.10", "1", 30), type=OrderType.MARKET, limit_price=None)
    decision = decide(parent(market), at(31), config)
    assert isinstance(decision, Settle)
    assert decision.outcome is Outcome.UNFILLED


@pytest.mark.parametrize(("seconds", "decision"), [(49, Wait()), (50, Cancel())])
def test_rung_without_a_quote_rests_for_the_time_of_all_rungs_ahead(seconds: float, decision: Decision) -> None:
    """Two rungs of ten seconds, and the last one's thirty."""
    assert decide(parent(resting("10.05", "0.5")), at(seconds, quote=None), CONFIG) == decision


def test_rungs_before_a_market_order_need_a_better_price() -> None:
    config = CONFIG.model_copy(update={"last_rung_market": True})
    lower = a_quote("9.96", "10.06")  # its next rung, 10.03, is below the resting limit
    assert decide(parent(resting("10.05", "0.5")), at(10, quote=lower), config) == Wait()


def test_symbol_may_have_another_order_style() -> None:
    own = {"ABC": SymbolOverride(order_style=OrderStyle.MARKETABLE_LIMIT)}
    config = CONFIG.model_copy(update={"per_symbol": own})
    assert decide(parent(), at(), config) == Place(OrderType.LIMIT, Decimal(10), Decimal("10.10"))
    assert not needs_quote(parent(resting("10.05", "0.5")), at(10), config)


@pytest.mark.parametrize(
    ("child", "needed"),
    [
        (resting("10.05", "0.5"), True),
        (resting("10.05", "0.5", cancel_requested_at=NOW), False),
        (a_child(ChildState.UNKNOWN, limit="10.05"), False),
    ],
    ids=["resting", "being canceled", "unknown"],
)
def test_resting_rung_needs_a_quote(child: ChildOrder, *, needed: bool) -> None:
    assert needs_quote(parent(child), at(10), CONFIG) is needed


@pytest.mark.parametrize(("rested", "needed"), [(2.4, False), (2.5, True)])
def test_rung_needs_no_quote_before_the_time_after_which_a_fast_market_replaces_it(
    rested: float, *, needed: bool
) -> None:
    """A quarter of its ten seconds."""
    assert needs_quote(parent(resting("10.05", "0.5")), at(rested), CONFIG) is needed


def test_fraction_of_a_share_needs_a_quote_as_well() -> None:
    assert needs_quote(parent(qty="0.5"), at(), CONFIG)


# --- at the open -----------------------------------------------------------------------------------------

OPEN = datetime(2026, 1, 26, 14, 30, tzinfo=UTC)
"""09:30 in New York."""


@pytest.mark.parametrize("style", OrderStyle)
@pytest.mark.parametrize(
    ("qty", "seconds", "waits"),
    [("1.5", -181, False), ("1.5", -180, True), ("1.5", 119, True), ("1.5", 120, False), ("2", 0, False)],
)
def test_fractions_are_not_sent_around_the_open(qty: str, seconds: int, style: OrderStyle, *, waits: bool) -> None:
    context = replace(at(), now=OPEN + timedelta(seconds=seconds))
    decision = decide(parent(qty=qty), context, CONFIG.model_copy(update={"order_style": style}))
    assert isinstance(decision, Wait if waits else Place)


# --- time and rate limit ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parents", "seconds", "children"),
    [
        (1, 60, 60),
        (1, 0, 34),
        (10, 30, 5),
        (32, 210, 4),
        (80, 210, 2),
        (100, 210, 1),
        (100, 30, 1),
        (500, 210, 1),
    ],
)
def test_children_per_parent_fit_the_rate_limit(parents: int, seconds: int, children: int) -> None:
    """200 requests per minute, of which polling takes 120; those of half a minute may be sent at once."""
    assert children_within_rate_limit(parents, Decimal(seconds), CONFIG) == children


@pytest.mark.parametrize(
    ("parents", "fractions"),
    [(1, ["0", "0.25", "0.5", "0.75", "1"]), (50, ["0", "0.5", "1"]), (80, ["0.25", "1"]), (200, ["1"])],
)
def test_large_plan_has_fewer_rungs(parents: int, fractions: list[str]) -> None:
    schedule = WaveSchedule(LOW, cross_by=later(210), parents=parents)
    assert rungs_ahead(parent(), schedule, NOW, CONFIG) == tuple(map(Decimal, fractions))


def test_remaining_children_limit_the_rungs() -> None:
    config = CONFIG.model_copy(update={"max_children": 3})
    schedule = WaveSchedule(LOW, cross_by=later(600))
    assert rungs_ahead(parent(ended("10.00", "0")), schedule, NOW, config) == (Decimal("0.5"), Decimal(1))


@pytest.mark.parametrize(
    ("seconds", "buys_follow", "crosses_in"), [(600, False, 450), (600, True, 225), (0, False, 0), (-5, True, 0)]
)
def test_sells_leave_time_to_the_buys_and_each_wave_to_its_last_rung(
    seconds: int, crosses_in: int, *, buys_follow: bool
) -> None:
    assert cross_by(NOW, later(seconds), buys_follow=buys_follow) == later(crosses_in)
