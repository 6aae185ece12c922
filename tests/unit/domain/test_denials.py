"""What a refusal says: who is meant, what was found, and what is allowed. The engineer on call reads nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import (
    Denial,
    PlanContext,
    SymbolSnapshot,
    account_denial,
    check_fresh,
    child_denial,
    day_limit_denial,
    expected_notional,
    item_denial,
    message_denial,
    parent_denial,
    plan_limit_denial,
    plans_denial,
    consecutive_rejects_denial,
    runs_denial,
    session_denial,
    switch_denial,
)
from rebalance_executor.domain.errors import PlanExpired
from rebalance_executor.domain.market import MarketClock
from rebalance_executor.domain.orders import ChildState, Outcome, ParentOrder
from rebalance_executor.domain.risk_state import (
    NEVER_SET,
    DailyUsage,
    KillSwitchRecord,
    ReservedOrder,
    RiskState,
    StartedPlan,
    TradingState,
)
from rebalance_executor.domain.values import format_utc
from tests.support.builders import (
    BUY,
    NOW,
    SELL,
    a_child,
    a_parent,
    a_plan,
    a_position,
    a_quote,
    an_account,
    an_asset,
    an_item,
    an_order,
    later,
)

D = Decimal
TODAY = DailyUsage(NOW.date())
CLOSED = MarketClock(NOW, is_open=False, next_open=later(3600), next_close=later(30_000))
BOOK = RiskState(NEVER_SET, TODAY)
HALT = KillSwitchRecord(TradingState.HALTED, by="ada", reason="drill", at=NOW)
REDUCE = replace(HALT, state=TradingState.REDUCING)


def limits(**changes: Any) -> ExecutionConfig:
    return ExecutionConfig(**changes)


def of_item(config: ExecutionConfig | None = None, **facts: Any) -> Denial | None:
    known: dict[str, Any] = {"asset": an_asset(), "quote": a_quote(), "position": None} | facts
    return item_denial(BUY, an_item(), SymbolSnapshot(**known), config or limits(), NOW)


def of_parent(
    parent: ParentOrder | None = None, *, book: RiskState = BOOK, current_value: str = "0", **fields: Any
) -> Denial | None:
    item = an_item(current_value=current_value)
    facts = SymbolSnapshot(an_asset(), fields.pop("quote", a_quote()), fields.pop("position", None))
    return parent_denial(parent or a_parent(), item, facts, PlanContext(a_plan(item), book, limits(**fields), NOW))


def of_child(limit: str = "10.01", bid: str | None = "9.99", ask: str = "10.01") -> Denial | None:
    priced_at: dict[str, Any] = {"bid": None if bid is None else D(bid), "ask": D(ask)}
    child = a_child(ChildState.INTENDED, limit=limit, **priced_at)
    return child_denial(a_parent(child), child, limits(), D("0.03"))


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: account_denial(an_account(), "PA2"), "account PA1 PA2 configured"),
        (lambda: account_denial(replace(an_account(), blocked_by="trading_blocked"), None), "blocked trading_blocked"),
        (lambda: switch_denial(HALT), f"halted ada drill {format_utc(NOW)}"),
        (lambda: switch_denial(replace(HALT, at=None)), "halted ada no time"),
        (lambda: switch_denial(REDUCE, BUY), f"reduce ada drill {format_utc(NOW)}"),
        (lambda: runs_denial(21, limits()), "run 21 20 allowed"),
        (lambda: plans_denial(RiskState(NEVER_SET, TODAY, [StartedPlan("p", NOW)] * 40), limits()), "40 plans allowed"),
        (lambda: of_item(limits(restricted_symbols=["ABC"])), "ABC restricted"),
        (lambda: of_item(limits(allowed_symbols=["XYZ"])), "ABC allowed"),
        (lambda: of_item(asset=None), "ABC not an asset"),
        (lambda: of_item(asset=an_asset(tradable=False)), "ABC active tradable: False"),
        (lambda: of_item(others=[an_order()]), "1 open ABC order-1"),
        (lambda: of_item(quote=None), "no quote"),
        (lambda: of_parent(current_value="50000"), "$0 held $50000 0.05 100000"),
        (lambda: of_parent(position=a_position("5000.3333")), "$50003.33 held $0"),
        (lambda: of_parent(max_share_of_displayed="0.01"), "10 shares 0.01 times 100 displayed"),
        (lambda: plan_limit_denial(Decimal(10), Decimal(0), Decimal(1), limits()), "the plan would trade"),
        (
            lambda: plan_limit_denial(D("1200.456"), D("0.1"), D(1), limits(max_plan_gross_dollars=1000)),
            "$1200.56 gross, $1000",
        ),
        (lambda: plan_limit_denial(D("1200.456"), D("0.1"), D(1), limits(max_plan_net_dollars=1000)), "$1200.36 net, $1000"),
        (lambda: plan_limit_denial(D(5), D(4), D(4), limits(max_plan_turnover=2)), "$9 of an equity of $4, 2 times allowed"),
        (lambda: plan_limit_denial(D(5), D(4), D(0), limits(max_plan_turnover=2)), "$9 of an unknown equity, 2 times allowed"),
        (
            lambda: day_limit_denial(TODAY.plus(D(5), D(4)), D(4), limits(max_day_gross_dollars=8)),
            "2026-01-26 $9 gross, $8",
        ),
        (lambda: session_denial(CLOSED), "market closed, opens 2026-01-26 16:00:00 UTC"),
        (lambda: of_child(bid=None), "client-1 priced without a quote"),
        (lambda: of_child(limit="11"), "11 0.03 arrival mid 10"),
        (lambda: of_child(bid="8.99", ask="9.01"), "10.01 present mid 9"),
        (lambda: message_denial(5001, 1, limits()), "5001 submissions of the plan 5000 allowed"),
        (lambda: message_denial(1, 201, limits()), "201 submissions in a minute 200 allowed"),
        (lambda: consecutive_rejects_denial(10, limits()), "refused 10 orders in a row"),
    ],
)
def test_a_refusal_names_what_was_found_and_what_is_allowed(ask: Callable[[], Denial | None], words: str) -> None:
    refusal = ask()

    assert refusal is not None
    missing = [word for word in words.split() if word not in refusal.message]
    assert not missing, refusal.message


def test_at_most_five_of_others_orders_are_named() -> None:
    refusal = of_item(others=[replace(an_order(), id=f"other-{number}") for number in range(7)])
    assert refusal is not None
    assert refusal.message.startswith("7 open")
    assert "other-3, other-4" in refusal.message
    assert "other-5" not in refusal.message


def test_a_size_beyond_the_limit_is_told_with_both_numbers() -> None:
    refusal = of_parent(max_order_shares=9)
    assert refusal is not None
    assert refusal.message == "10 shares, 9 are allowed in one order"


def test_a_duplicate_names_the_other_plan_and_its_time() -> None:
    at = NOW - timedelta(minutes=3)
    other = StartedPlan("other", at, (ReservedOrder("ABC", BUY, Decimal(10)),))
    refusal = of_parent(book=RiskState(NEVER_SET, TODAY, [other]))
    assert refusal is not None
    assert refusal.code is Code.DUPLICATE_ORDER
    assert refusal.message == f"plan other ordered 10 shares at {format_utc(at)}, this one would order 10"


@pytest.mark.parametrize(("side", "refused"), [(BUY, True), (SELL, False)])
def test_an_account_that_reduces_refuses_buys_and_lets_sells_through(side: Any, *, refused: bool) -> None:
    refusal = of_parent(a_parent(side=side), book=RiskState(REDUCE, TODAY))
    assert (refusal is not None) is refused


@pytest.mark.parametrize(
    ("side", "bid_size", "ask_size", "refused"),
    [(BUY, 1, 100, False), (BUY, 100, 1, True), (SELL, 100, 1, False), (SELL, 1, 100, True)],
)
def test_the_size_that_counts_is_the_one_that_would_be_taken(
    side: Any, bid_size: int, ask_size: int, *, refused: bool
) -> None:
    quote = replace(a_quote(), bid_size=Decimal(bid_size), ask_size=Decimal(ask_size))
    refusal = of_parent(a_parent(side=side), quote=quote, max_share_of_displayed=1)
    assert (refusal is not None) is refused


def test_an_order_that_is_too_large_in_dollars_is_refused_with_its_value() -> None:
    refusal = of_parent(max_order_dollars="99.99")
    assert refusal is not None
    assert "$100" in refusal.message
    assert "$99.99" in refusal.message


def test_an_order_without_a_price_has_an_unknown_value() -> None:
    refusal = of_parent(a_parent(arrival=None))
    assert refusal is not None
    assert "unknown value" in refusal.message


def test_what_the_parents_of_a_side_come_to_adds_up() -> None:
    buys = [a_parent(symbol="AAA"), a_parent(symbol="BBB")]
    sells = [a_parent(symbol="CCC", side=SELL), a_parent(symbol="DDD", side=SELL)]
    assert expected_notional([*buys, *sells], Decimal(1000)) == (Decimal(200), Decimal(200))


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"timestamp": NOW - timedelta(minutes=31)}, "timestamp", "is more than 30 minutes ago; make the plan anew"),
        ({"timestamp": NOW + timedelta(seconds=121)}, "timestamp", "lies in the future; check the sender's clock"),
        ({"valid_until": NOW - timedelta(seconds=1)}, "valid_until", "has passed; make the plan anew"),
    ],
)
def test_a_plan_of_another_time_is_told_which_field_and_what_to_do(
    fields: dict[str, Any], field: str, words: str
) -> None:
    plan = a_plan().model_copy(update=fields)
    with pytest.raises(PlanExpired) as caught:
        check_fresh(plan, NOW, max_age_minutes=D(30), max_skew_seconds=D(120))

    assert str(caught.value) == f"{field}: {fields[field].isoformat()} {words}"


def test_a_plan_is_valid_until_the_very_moment() -> None:
    plan = a_plan().model_copy(update={"valid_until": NOW})
    check_fresh(plan, NOW, max_age_minutes=D(30), max_skew_seconds=D(120))


@pytest.mark.parametrize(
    ("parent", "outcome"),
    [
        (a_parent(), Outcome.DENIED),
        (a_parent(a_child(ChildState.CANCELED)), Outcome.UNFILLED),
        (a_parent(a_child(ChildState.CANCELED, filled="3", price="10")), Outcome.PARTIALLY_FILLED),
    ],
)
def test_what_is_refused_keeps_what_was_done_before(parent: ParentOrder, outcome: Outcome) -> None:
    refused = parent.denied(Code.PRICE_COLLAR, "too far", NOW)
    assert (refused.outcome, refused.code, refused.message, refused.settled_at) == (
        outcome,
        Code.PRICE_COLLAR,
        "too far",
        NOW,
    )
