"""The next step for a parent: one decision for each of its states."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.decisions import (
    Cancel,
    Concluding,
    Decision,
    DecisionContext,
    Place,
    RunMode,
    Settle,
    Wait,
    Working,
    Yielding,
)
from rebalance_executor.domain.market import Auction, AuctionKind, OrderType, Quote, Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome, ParentOrder
from rebalance_executor.domain.strategy import decide, needs_quote
from rebalance_executor.domain.styles import OrderStyle
from tests.support.builders import BUY, NOW, SELL, a_child, a_filled_child, a_parent, a_quote, a_trade, later

CONFIG = ExecutionConfig(
    order_style=OrderStyle.MARKETABLE_LIMIT,
    child_wait_seconds=Decimal(5),
    cancel_wait_seconds=Decimal(60),
    price_wait_seconds=Decimal(15),
    quote_wait_seconds=Decimal(5),
    max_children=3,
)
MARKET = CONFIG.model_copy(update={"order_style": OrderStyle.MARKET})


WORKING, YIELDING = Working(), Yielding("stopped safely on request", later(600))
CONCLUDING = Concluding(Code.TIME_LIMIT, "the plan's time limit passed")
MODES: tuple[RunMode, ...] = (WORKING, YIELDING, CONCLUDING)


def context(
    at: datetime = NOW,
    *,
    mode: RunMode = WORKING,
    quote: Quote | None = a_quote(),  # noqa: B008 - a frozen value
    missing_since: datetime | None = None,
    funds: str | None = "100000",
) -> DecisionContext:
    money = None if funds is None else Decimal(funds)
    return DecisionContext(at, mode, quote=quote, quote_missing_since=missing_since, funds=money)


def limit(qty: str, price: str) -> Place:
    return Place(OrderType.LIMIT, Decimal(qty), Decimal(price))


def cancelled(filled: str = "0", *, attempt: int = 1, qty: str = "10") -> ChildOrder:
    return a_child(
        ChildState.CANCELED, attempt=attempt, qty=qty, filled=filled, price=None if filled == "0" else "10.01"
    )


def verdict(decision: Decision) -> tuple[Outcome, Code | None]:
    """Return outcome and code of a settling decision; a code must come with a message."""
    assert isinstance(decision, Settle)
    assert decision.code is None or decision.message
    return decision.outcome, decision.code


# --- nothing open: the next child ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parent", "look", "place"),
    [
        pytest.param(a_parent(), context(), limit("10", "10.01"), id="first buy at the ask"),
        pytest.param(a_parent(side=SELL), context(funds=None), limit("10", "9.99"), id="first sell at the bid"),
        pytest.param(
            a_parent(side=SELL, qty="7.2273576"), context(funds=None), limit("7.2273576", "9.99"), id="exact exit"
        ),
        pytest.param(
            a_parent(cancelled("4")), context(quote=a_quote("10.01", "10.03")), limit("6", "10.03"), id="what remains"
        ),
        pytest.param(
            a_parent(a_child(ChildState.EXPIRED)),
            context(quote=a_quote("10.01", "10.03")),
            limit("10", "10.03"),
            id="expired",
        ),
        pytest.param(a_parent(a_child(ChildState.NOT_SENT)), context(), limit("10", "10.01"), id="former never sent"),
        pytest.param(a_parent(a_filled_child("4"), qty="10"), context(), limit("6", "10.01"), id="former was reduced"),
        pytest.param(
            a_parent(*[a_child(ChildState.NOT_SENT, attempt=n) for n in range(1, 9)]),
            context(),
            limit("10", "10.01"),
            id="child never sent uses no attempt",
        ),
        pytest.param(
            a_parent(), context(quote=a_quote("10.28", "10.30")), limit("10", "10.30"), id="buy at the collar"
        ),
        pytest.param(
            a_parent(side=SELL),
            context(quote=a_quote("9.70", "9.72"), funds=None),
            limit("10", "9.70"),
            id="at the collar, sell",
        ),
        pytest.param(
            a_parent(qty="0.1"), context(quote=a_quote("9.99", "10.00")), limit("0.1", "10.00"), id="just the minimum"
        ),
        pytest.param(a_parent(), context(funds="100.10"), limit("10", "10.01"), id="the funds just suffice"),
        pytest.param(a_parent(), context(funds="100.09"), limit("9.999", "10.01"), id="the funds fall short"),
        pytest.param(
            a_parent(fractionable=False),
            context(funds="100.09"),
            limit("9", "10.01"),
            id="the funds fall short, whole shares",
        ),
    ],
)
def test_parent_without_an_open_child_gets_its_next_child(
    parent: ParentOrder, look: DecisionContext, place: Place
) -> None:
    """Production failures 8, 14 and 16."""
    assert decide(parent, look, CONFIG) == place


@pytest.mark.parametrize(
    ("parent", "funds", "qty"),
    [(a_parent(), "105.105", "10"), (a_parent(), "52.5525", "5"), (a_parent(side=SELL), None, "10")],
    ids=["at the worst price it fits", "at the worst price half fits", "sell"],
)
def test_market_order_has_no_limit_and_is_reserved_at_what_the_broker_holds(
    parent: ParentOrder, funds: str | None, qty: str
) -> None:
    assert decide(parent, context(funds=funds), MARKET) == Place(OrderType.MARKET, Decimal(qty), None)


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("changes", [{"order_style": style} for style in OrderStyle] + [{"last_rung_market": True}])
def test_last_trade_prices_a_limit_in_every_style(side: Side, changes: dict[str, object]) -> None:
    config = ExecutionConfig.model_validate(changes)
    decision = decide(a_parent(side=side), context(quote=a_trade("10.02")), config)

    fraction = Decimal(1) if config.order_style is OrderStyle.LADDER else None
    assert decision == Place(OrderType.LIMIT, Decimal(10), Decimal("10.02"), fraction)


@pytest.mark.parametrize(("side", "price"), [(BUY, "10.31"), (SELL, "9.69")])
def test_last_trade_outside_the_collar_prices_nothing(side: Side, price: str) -> None:
    decision = decide(a_parent(side=side), context(quote=a_trade(price)), CONFIG)
    assert verdict(decision) == (Outcome.DENIED, Code.PRICE_COLLAR)


# --- something open --------------------------------------------------------------------------------------

LATE = a_child(filled="10", status="filled", closed_since=NOW, reported_at=NOW)
CANCELLING = a_child(cancel_requested_at=NOW, status="pending_cancel")


@pytest.mark.parametrize(
    ("child", "at", "decision"),
    [
        pytest.param(a_child(), later(4.9), Wait(), id="rests"),
        pytest.param(a_child(), later(5), Cancel(), id="rested long enough"),
        pytest.param(a_child(filled="4", price="10"), later(5), Cancel(), id="partly filled, rested long enough"),
        pytest.param(a_child(status="a_word_of_next_year"), later(4.9), Wait(), id="unlisted status"),
        pytest.param(a_child(status="done_for_day"), later(5), Cancel(), id="done for the day"),
        pytest.param(a_child(submitted_at=later(2)), later(4.9), Wait(), id="rests since it was intended"),
        pytest.param(a_child(submitted_at=later(2)), later(5), Cancel(), id="the broker's clock is ahead"),
        pytest.param(a_child(submitted_at=later(-600)), later(4.9), Wait(), id="the broker's clock is behind"),
        pytest.param(a_child(ChildState.INTENDED), later(3600), Wait(), id="journalled, to be looked up"),
        pytest.param(a_child(ChildState.UNKNOWN), later(3600), Wait(), id="unknown, to be looked up"),
        pytest.param(CANCELLING, later(59.9), Wait(), id="cancel not confirmed yet"),
        pytest.param(LATE, later(14.9), Wait(), id="price pending"),
    ],
)
def test_open_child_is_awaited_or_canceled(child: ChildOrder, at: datetime, decision: Decision) -> None:
    """Production failures 11 and 13: no second order before the first is final."""
    assert decide(a_parent(child), context(at), CONFIG) == decision


@pytest.mark.parametrize("mode", [YIELDING, CONCLUDING], ids=["yielding", "concluding"])
@pytest.mark.parametrize(
    ("child", "decision"),
    [
        pytest.param(a_child(), Cancel(), id="live"),
        pytest.param(a_child(ChildState.INTENDED), Wait(), id="journalled"),
        pytest.param(a_child(ChildState.UNKNOWN), Wait(), id="unknown"),
        pytest.param(CANCELLING, Wait(), id="cancel asked for already"),
        pytest.param(LATE, Wait(), id="price pending"),
    ],
)
def test_stopping_run_cancels_a_working_order_once(mode: RunMode, child: ChildOrder, decision: Decision) -> None:
    assert decide(a_parent(child), context(mode=mode), CONFIG) == decision


@pytest.mark.parametrize("mode", MODES, ids=["working", "yielding", "concluding"])
def test_unconfirmed_cancel_ends_unresolved(mode: RunMode) -> None:
    decision = decide(a_parent(CANCELLING), context(later(60), mode=mode), CONFIG)
    assert verdict(decision) == (Outcome.UNRESOLVED, Code.CANCEL_UNCONFIRMED)


@pytest.mark.parametrize("mode", MODES, ids=["working", "yielding", "concluding"])
def test_missing_fill_price_ends_unresolved(mode: RunMode) -> None:
    """Production failure 10: not a failure, and not a fill of 0 dollars."""
    decision = decide(a_parent(LATE), context(later(15), mode=mode), CONFIG)
    assert verdict(decision) == (Outcome.UNRESOLVED, Code.FILL_PRICE_MISSING)


# --- done ------------------------------------------------------------------------------------------------

REJECTED = a_child(ChildState.REJECTED, attempt=2, qty="6", error_message="insufficient buying power")


@pytest.mark.parametrize(
    ("parent", "outcome", "code"),
    [
        pytest.param(a_parent(a_filled_child()), Outcome.FILLED, None, id="filled"),
        pytest.param(a_parent(cancelled("10")), Outcome.FILLED, None, id="filled while it was canceled"),
        pytest.param(
            a_parent(cancelled("4"), a_filled_child("6", attempt=2)), Outcome.FILLED, None, id="filled in two parts"
        ),
        pytest.param(
            a_parent(a_child(ChildState.REPLACED, filled="10", price="10")),
            Outcome.FILLED,
            None,
            id="filled before it was replaced",
        ),
        pytest.param(a_parent(a_child(ChildState.REJECTED)), Outcome.REJECTED, Code.REJECTED, id="rejected"),
        pytest.param(
            a_parent(cancelled("4"), REJECTED), Outcome.PARTIALLY_FILLED, Code.REJECTED, id="the rest was rejected"
        ),
        pytest.param(
            a_parent(a_child(ChildState.REPLACED)),
            Outcome.UNRESOLVED,
            Code.REPLACED_EXTERNALLY,
            id="replaced by others",
        ),
        pytest.param(
            a_parent(a_child(ChildState.FILLED, filled="11", price="10")),
            Outcome.UNRESOLVED,
            Code.OVERFILLED,
            id="overfilled",
        ),
        pytest.param(
            a_parent(a_child(ChildState.FILLED, qty="4", filled="5", price="10")),
            Outcome.UNRESOLVED,
            Code.OVERFILLED,
            id="a child overfilled within its parent",
        ),
    ],
)
@pytest.mark.parametrize("mode", MODES, ids=["working", "yielding", "concluding"])
def test_final_child_settles_the_parent_in_every_mode(
    parent: ParentOrder, outcome: Outcome, code: Code | None, mode: RunMode
) -> None:
    """Production failure 12: filled during a cancel is filled."""
    assert verdict(decide(parent, context(mode=mode), CONFIG)) == (outcome, code)


def test_reject_carries_the_brokers_message() -> None:
    decision = decide(a_parent(cancelled("4"), REJECTED), context(), CONFIG)
    assert isinstance(decision, Settle)
    assert decision.message == "insufficient buying power"


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("mode", MODES, ids=["working", "yielding", "concluding"])
def test_settled_parent_needs_nothing(outcome: Outcome, mode: RunMode) -> None:
    assert decide(a_parent(outcome=outcome), context(mode=mode), CONFIG) == Wait()


THREE_CANCELLED = tuple(cancelled(attempt=n) for n in (1, 2, 3))


@pytest.mark.parametrize(
    ("parent", "look", "outcome", "code"),
    [
        pytest.param(
            a_parent(*THREE_CANCELLED), context(), Outcome.UNFILLED, Code.ATTEMPTS_EXHAUSTED, id="three orders, no fill"
        ),
        pytest.param(
            a_parent(cancelled("1"), *THREE_CANCELLED[1:]),
            context(),
            Outcome.PARTIALLY_FILLED,
            Code.ATTEMPTS_EXHAUSTED,
            id="three orders, some fill",
        ),
        pytest.param(
            a_parent(), context(quote=None, missing_since=later(-5)), Outcome.DENIED, Code.QUOTE_UNUSABLE, id="no quote"
        ),
        pytest.param(
            a_parent(),
            context(quote=a_quote("107", "0"), missing_since=later(-5)),
            Outcome.DENIED,
            Code.QUOTE_UNUSABLE,
            id="one-sided quote",
        ),
        pytest.param(
            a_parent(cancelled("4")),
            context(quote=None, missing_since=later(-5)),
            Outcome.PARTIALLY_FILLED,
            Code.QUOTE_UNUSABLE,
            id="no quote for the rest",
        ),
        pytest.param(
            a_parent(), context(quote=a_quote("10.29", "10.31")), Outcome.DENIED, Code.PRICE_COLLAR, id="buy ran away"
        ),
        pytest.param(
            a_parent(side=SELL),
            context(quote=a_quote("9.69", "9.71"), funds=None),
            Outcome.DENIED,
            Code.PRICE_COLLAR,
            id="sell ran away",
        ),
        pytest.param(
            a_parent(cancelled()),
            context(quote=a_quote("10.29", "10.31")),
            Outcome.UNFILLED,
            Code.PRICE_COLLAR,
            id="ran away later",
        ),
        pytest.param(a_parent(), context(funds="0"), Outcome.SKIPPED, Code.INSUFFICIENT_CASH, id="no cash"),
        pytest.param(a_parent(), context(funds="-5"), Outcome.SKIPPED, Code.INSUFFICIENT_CASH, id="less than no cash"),
        pytest.param(
            a_parent(fractionable=False),
            context(funds="10"),
            Outcome.SKIPPED,
            Code.INSUFFICIENT_CASH,
            id="no whole share",
        ),
        pytest.param(
            a_parent(cancelled("4")),
            context(funds="0"),
            Outcome.PARTIALLY_FILLED,
            Code.INSUFFICIENT_CASH,
            id="no cash for the rest",
        ),
        pytest.param(
            a_parent(cancelled("9.95")),
            context(),
            Outcome.PARTIALLY_FILLED,
            Code.BELOW_MINIMUM,
            id="the rest is below the minimum",
        ),
    ],
)
def test_parent_that_cannot_continue_ends_with_its_code(
    parent: ParentOrder, look: DecisionContext, outcome: Outcome, code: Code
) -> None:
    """Production failures 6, 7, 9, 16 and 19."""
    assert verdict(decide(parent, look, CONFIG)) == (outcome, code)


@pytest.mark.parametrize("quote", [None, a_quote("107", "0"), a_quote("0", "107"), a_quote("10.02", "10.01")])
@pytest.mark.parametrize("missing_since", [None, later(-4.9)])
def test_unusable_quote_is_awaited(quote: Quote | None, missing_since: datetime | None) -> None:
    """Production failure 6: no price is invented."""
    assert decide(a_parent(), context(quote=quote, missing_since=missing_since), CONFIG) == Wait()


def test_sell_of_a_few_cents_is_not_below_the_minimum() -> None:
    """Production failure 4: the remainder of an exit is sold, too."""
    parent = a_parent(side=SELL, qty="0.003")
    assert decide(parent, context(funds=None), CONFIG) == limit("0.003", "9.99")


def test_yielding_run_leaves_an_unfinished_parent_to_the_next() -> None:
    assert decide(a_parent(cancelled("4")), context(mode=YIELDING), CONFIG) == Wait()


@pytest.mark.parametrize("reason", [Code.TIME_LIMIT, Code.MARKET_CLOSED, Code.TOO_MANY_RUNS])
@pytest.mark.parametrize(
    ("parent", "outcome"),
    [(a_parent(cancelled()), Outcome.UNFILLED), (a_parent(cancelled("4")), Outcome.PARTIALLY_FILLED)],
    ids=["nothing filled", "some filled"],
)
def test_concluding_run_gives_its_code(parent: ParentOrder, outcome: Outcome, reason: Code) -> None:
    assert verdict(decide(parent, context(mode=Concluding(reason, "a reason")), CONFIG)) == (outcome, reason)


CLOSING = Auction(AuctionKind.CLOSE, later(1_200), later(600), later(1_800))


@pytest.mark.parametrize(
    ("parent", "needed"),
    [
        pytest.param(a_parent(), True, id="nothing sent"),
        pytest.param(a_parent(cancelled("4")), True, id="some remains"),
        pytest.param(a_parent(a_child()), False, id="one is open"),
        pytest.param(a_parent(a_child(ChildState.UNKNOWN)), False, id="one is unknown"),
        pytest.param(a_parent(a_filled_child()), False, id="filled"),
        pytest.param(a_parent(*THREE_CANCELLED), False, id="no attempt left"),
        pytest.param(a_parent(*THREE_CANCELLED, auction=CLOSING), True, id="its auction is ahead"),
        pytest.param(a_parent(outcome=Outcome.DENIED), False, id="settled"),
    ],
)
def test_quote_is_needed_only_if_it_may_price_a_child(parent: ParentOrder, *, needed: bool) -> None:
    assert needs_quote(parent, DecisionContext(NOW), CONFIG) is needed


def test_parent_without_arrival_is_never_priced() -> None:
    parent = a_parent(side=BUY, arrival=None)
    look = context(missing_since=later(-5))
    assert verdict(decide(parent, look, CONFIG)) == (Outcome.DENIED, Code.QUOTE_UNUSABLE)
