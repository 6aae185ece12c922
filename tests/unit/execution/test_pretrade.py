"""Before the first order: permission to trade, conflicting orders, quotes and trading hours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import BrokerUnavailable, JournalUnavailable, NotFound
from rebalance_executor.domain.market import Arrival, Destination, Display, MarketClock, Trade
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.risk_state import PROGRAM, KillSwitchRecord, TradingState
from rebalance_executor.execution import symbol_data
from rebalance_executor.execution.events import LogEvent
from tests.support.builders import NOW, SELL, a_plan, an_asset, an_exit, an_item, later
from tests.support.fake_ports import RESTS, FakeBroker, FakePorts, a_foreign_order, outcomes


def buys(*symbols: str, plan_id: str = "plan-1") -> RebalancePlan:
    return a_plan(*(an_item(symbol, amount="1000") for symbol in symbols), plan_id=plan_id)


def sets(fakes: FakePorts, state: TradingState) -> None:
    fakes.journal.risk_store.set_kill_switch("main", KillSwitchRecord(state, by="Ada", reason="drill", at=NOW))


# --- the whole plan --------------------------------------------------------------------------------------


def blocked(fakes: FakePorts) -> None:
    fakes.broker.blocked_by = "trading_blocked"


def of_another_account(fakes: FakePorts) -> None:
    fakes.broker.expected_account_number = "PA2"


def closed(fakes: FakePorts) -> None:
    fakes.broker.market = MarketClock(NOW, is_open=False, next_open=later(3600), next_close=later(30_000))


def halted(fakes: FakePorts) -> None:
    sets(fakes, TradingState.HALTED)


@pytest.mark.parametrize(
    ("prepare", "code", "fact"),
    [
        (blocked, Code.ACCOUNT_BLOCKED, "trading_blocked"),
        (of_another_account, Code.ACCOUNT_MISMATCH, "PA1"),
        (closed, Code.MARKET_CLOSED, "2026-01-26 16:00:00 UTC (11:00:00 New York)"),
        (halted, Code.HALTED, "Ada"),
    ],
)
def test_plan_denial_denies_every_item(prepare: Callable[[FakePorts], None], code: Code, fact: str) -> None:
    fakes = FakePorts()
    prepare(fakes)
    result = fakes.execute(buys("AAA", "BBB"))

    assert outcomes(result) == {"AAA": (Outcome.DENIED, code), "BBB": (Outcome.DENIED, code)}
    for symbol in ("AAA", "BBB"):
        parent = fakes.parent(symbol)
        assert fact in str(parent.message)
        assert parent.settled_at == NOW
    assert fakes.fields(LogEvent.PLAN_DENIED) == [{"code": code, "reason": fakes.parent("AAA").message}]
    assert fakes.broker.sent == []


def test_one_plan_too_many_halts_the_account() -> None:
    fakes = FakePorts(max_plans_per_day=1)
    fakes.execute(buys("AAA"))
    result = fakes.execute(buys("BBB", plan_id="plan-2"), run_id="run-2")

    assert outcomes(result) == {"BBB": (Outcome.DENIED, Code.TOO_MANY_PLANS)}
    (switch,) = fakes.journal.risk_store.kill_switch_settings["main"]
    assert (switch.state, switch.by) == (TradingState.HALTED, PROGRAM)
    assert switch.reason == fakes.parent("BBB", "plan-2").message


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"max_plan_gross_dollars": 1999}, Code.PLAN_LIMIT),
        ({"max_plan_gross_dollars": 2000, "max_day_gross_dollars": 1999}, Code.DAILY_LIMIT),
    ],
)
def test_plan_beyond_a_limit_is_denied_and_reserves_nothing(limits: dict[str, int], code: Code) -> None:
    fakes = FakePorts(**limits)
    result = fakes.execute(buys("AAA", "BBB"))

    assert outcomes(result) == {"AAA": (Outcome.DENIED, code), "BBB": (Outcome.DENIED, code)}
    parent = fakes.parent("AAA")
    assert "1,999" in str(parent.message)
    assert parent.settled_at == NOW
    assert fakes.fields(LogEvent.PLAN_DENIED) == [{"code": code, "reason": parent.message}]
    assert fakes.journal.risk_store.reserved("main") == []


@pytest.mark.parametrize(
    ("equity", "outcome"), [(100_000, Outcome.FILLED), (1_999, Outcome.DENIED), (None, Outcome.DENIED)]
)
@pytest.mark.parametrize("limit", ["max_plan_turnover", "max_day_turnover"])
def test_turnover_is_measured_by_the_equity_at_the_broker(limit: str, equity: int | None, outcome: Outcome) -> None:
    """The equity that the plan states counts only if the broker reports none."""
    fakes = FakePorts(**{limit: 1})
    fakes.broker.equity = Decimal(equity) if equity is not None else None
    items = [an_item(symbol, amount="1000") for symbol in ("AAA", "BBB")]
    result = fakes.execute(a_plan(*items, total_portfolio_value="1999"))

    assert {order.outcome for order in result.orders} == {outcome}


# --- an item ---------------------------------------------------------------------------------------------


def test_denied_item_does_not_stop_the_others() -> None:
    """The account may only reduce: the sell is sent, the buy is denied."""
    fakes = FakePorts()
    fakes.broker.shares = {"AAA": Decimal(20)}
    sets(fakes, TradingState.REDUCING)
    result = fakes.execute(a_plan(an_exit("AAA", amount="-2000", current_value="2000"), an_item("BBB")))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.DENIED, Code.REDUCING_ONLY)}
    denied = fakes.parent("BBB")
    assert denied.settled_at == NOW
    assert "set by Ada" in str(denied.message)
    (logged,) = fakes.fields(LogEvent.ITEM_DENIED)
    assert (logged["symbol"], logged["code"], logged["reason"]) == ("BBB", Code.REDUCING_ONLY, denied.message)


def test_reduced_quantity_is_logged_when_the_plan_starts() -> None:
    fakes = FakePorts()
    fakes.broker.assets["AAA"] = replace(fakes.broker.assets["AAA"], fractionable=False)
    fakes.broker.shares = {"AAA": Decimal("20.5")}
    result = fakes.execute(a_plan(an_exit("AAA", amount="-2050", current_value="2050")))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, Code.NOT_FRACTIONABLE)}
    assert fakes.fields(LogEvent.ITEM_SCALED) == [
        {
            "symbol": "AAA",
            "qty": Decimal(20),
            "code": Code.NOT_FRACTIONABLE,
            "reason": fakes.parent("AAA").message,
        }
    ]


@pytest.mark.parametrize("held", [True, False])
def test_broker_that_knows_none_of_the_symbols_is_not_trusted_while_it_holds_one(*, held: bool) -> None:
    fakes = FakePorts()
    fakes.broker.shares = {"AAA": Decimal(20)} if held else {}
    fakes.broker.errors["asset"] = [NotFound("no such asset")] * 2
    if not held:
        assert {outcome for outcome, _ in outcomes(fakes.execute(buys("AAA", "BBB"))).values()} == {Outcome.DENIED}
        return
    with pytest.raises(BrokerUnavailable):
        fakes.execute(buys("AAA", "BBB"))

    assert outcomes(fakes.execute(buys("AAA", "BBB"), run_id="run-2"))["BBB"] == (Outcome.FILLED, None)


def test_unknown_symbol_is_denied_and_the_next_ones_are_read() -> None:
    fakes = FakePorts()
    fakes.broker.errors["asset"] = [NotFound("no such asset")]
    result = fakes.execute(buys("AAA", "BBB"))

    assert outcomes(result) == {"AAA": (Outcome.DENIED, Code.NOT_TRADABLE), "BBB": (Outcome.FILLED, None)}
    assert set(fakes.cached_assets) == {"BBB"}


def test_failed_cache_write_does_not_stop_trading() -> None:
    fakes = FakePorts()
    fakes.database_errors["assets.put"] = [JournalUnavailable("the table does not answer")]
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert fakes.fields(LogEvent.ASSET_CACHE_WRITE_FAILED) == [{"reason": "the table does not answer"}]


def test_cache_that_cannot_be_read_is_bypassed() -> None:
    fakes = FakePorts()
    fakes.database_errors["assets.get"] = [JournalUnavailable("the table does not answer")]
    result = fakes.execute(buys("AAA", "BBB"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.FILLED, None)}
    assert fakes.fields(LogEvent.ASSET_CACHE_READ_FAILED) == [{"reason": "the table does not answer"}]
    assert "assets.put" not in fakes.database_calls


@pytest.fixture
def listing(monkeypatch: pytest.MonkeyPatch) -> FakePorts:
    """Return ports whose plans of two symbols read their flags from the list of all assets."""
    monkeypatch.setattr(symbol_data, "SINGLE_REQUESTS", 1)
    return FakePorts()


def flag_reads(fakes: FakePorts) -> list[tuple[str, object]]:
    return [(name, argument) for name, argument in fakes.broker.reads if name in ("asset", "active_assets")]


def test_flags_of_many_symbols_are_read_from_one_list_and_cached(listing: FakePorts) -> None:
    listing.broker.assets["BBB"] = an_asset(symbol="BBB", tradable=False)
    result = listing.execute(buys("AAA", "BBB"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.DENIED, Code.NOT_TRADABLE)}
    assert flag_reads(listing) == [("active_assets", ["AAA", "BBB"])]
    assert set(listing.cached_assets) == {"AAA"}


def test_symbol_that_the_list_lacks_is_asked_for_alone(listing: FakePorts) -> None:
    listing.broker.unlisted.add("BBB")
    result = listing.execute(buys("AAA", "BBB"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.FILLED, None)}
    assert flag_reads(listing) == [("active_assets", ["AAA", "BBB"]), ("asset", "BBB")]


def test_list_that_cannot_be_read_stops_no_plan(listing: FakePorts) -> None:
    listing.broker.errors["active_assets"] = [BrokerUnavailable("the response took too long")]
    result = listing.execute(buys("AAA", "BBB"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.FILLED, None)}
    assert flag_reads(listing)[1:] == [("asset", "AAA"), ("asset", "BBB")]
    assert listing.fields(LogEvent.ASSET_LIST_FAILED) == [{"reason": "the response took too long"}]


# --- orders of others ------------------------------------------------------------------------------------


def test_conflicting_order_of_others_denies_the_item_and_stays() -> None:
    fakes = FakePorts()
    fakes.broker.add_order(a_foreign_order("AAA", SELL))
    result = fakes.execute(buys("AAA", "BBB"))

    assert outcomes(result) == {"AAA": (Outcome.DENIED, Code.CONFLICTING_ORDER), "BBB": (Outcome.FILLED, None)}
    assert fakes.broker.cancel_requests == []


def test_conflicting_orders_are_canceled_once_where_configured() -> None:
    """An open sell that conflicts with our buy is canceled; one beside our sell stays."""
    fakes = FakePorts(conflicting_orders="cancel")
    fakes.broker.shares = {"BBB": Decimal(20)}
    fakes.broker.add_order(a_foreign_order("AAA", SELL, status="pending_cancel"))
    fakes.broker.add_order(a_foreign_order("BBB", SELL, "foreign-2"))
    fakes.after(2.5, lambda: fakes.broker.close_order("foreign-1", "canceled"))
    result = fakes.execute(a_plan(an_item("AAA"), an_item("BBB", "SELL", "-1000", current_value="2000")))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.FILLED, None)}
    assert fakes.broker.cancel_requests == ["foreign-1"]
    assert fakes.fields(LogEvent.FOREIGN_CANCEL_REQUESTED) == [{"symbol": "AAA", "order_id": "foreign-1"}]
    assert fakes.slept == [1.0] * 3


@pytest.mark.parametrize(
    ("wait", "seconds", "waited"), [(5, 600, 5), (60, 50, 40)], ids=["the configured wait", "the deadline comes first"]
)
def test_wait_for_the_cancel_of_others_is_bounded(wait: int, seconds: float, waited: float) -> None:
    fakes = FakePorts(conflicting_orders="cancel", cancel_wait_seconds=wait)
    fakes.broker.add_order(a_foreign_order("AAA", SELL, status="pending_cancel"))
    result = fakes.execute(buys("AAA"), seconds=seconds)

    assert outcomes(result) == {"AAA": (Outcome.DENIED, Code.CONFLICTING_ORDER)}
    assert fakes.elapsed == waited


# --- quotes ----------------------------------------------------------------------------------------------


def test_unusable_quote_is_read_again_with_all_others() -> None:
    fakes = FakePorts()
    fakes.broker.set_quote("AAA", "0", "100.01")
    fakes.after(1.5, lambda: fakes.broker.set_quote("AAA", "99.99", "100.01"))
    fakes.after(1.5, lambda: fakes.broker.set_quote("BBB", "99.97", "99.99"))
    result = fakes.execute(buys("AAA", "BBB"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.FILLED, None)}
    looks = [what for name, what in fakes.broker.reads if name == "quotes"]
    assert looks == [["AAA", "BBB"]] * 3
    assert {order.symbol: order.limit_price for order in fakes.broker.sent} == {
        "AAA": Decimal("100.01"),
        "BBB": Decimal("99.99"),
    }
    assert fakes.parent("BBB").arrival == Arrival(Decimal("99.97"), Decimal("99.99"), later(2), Decimal(100))
    assert fakes.slept == [1.0] * 2


@pytest.mark.parametrize(
    ("wait", "seconds", "waited"), [(3, 600, 3), (60, 50, 40)], ids=["the configured wait", "the deadline comes first"]
)
def test_wait_for_a_usable_quote_is_bounded(wait: int, seconds: float, waited: float) -> None:
    fakes = FakePorts(quote_wait_seconds=wait)
    fakes.broker.set_quote("AAA", "0", "100.01")
    result = fakes.execute(buys("AAA"), seconds=seconds)

    assert outcomes(result) == {"AAA": (Outcome.DENIED, Code.QUOTE_UNUSABLE)}
    assert fakes.elapsed == waited


@pytest.mark.parametrize("change", [{"status": "crypto"}, {"tradable": False}], ids=str)
def test_quotes_are_read_for_tradable_symbols_only(change: dict[str, Any]) -> None:
    """Such a symbol may have no quote, and one that is not a stock makes the request fail for all symbols."""
    fakes = FakePorts()
    fakes.broker.assets["AAA"] = replace(fakes.broker.assets["AAA"], **change)
    result = fakes.execute(buys("AAA", "BBB"))

    assert outcomes(result) == {"AAA": (Outcome.DENIED, Code.NOT_TRADABLE), "BBB": (Outcome.FILLED, None)}
    assert all(what == ["BBB"] for name, what in fakes.broker.reads if name == "quotes")


@pytest.mark.parametrize(
    ("becomes", "why"),
    [
        (lambda broker: broker.set_quote("AAA", "0", "100.01"), "bid"),
        (lambda broker: broker.set_quote("AAA", "90", "110"), "bid 90, ask 110"),
        (lambda broker: broker.quoted_at.update(AAA=NOW - timedelta(hours=1)), "seconds old"),
    ],
    ids=["one-sided", "too wide", "too old"],
)
def test_wait_for_a_lost_quote_counts_from_the_look(becomes: Callable[[FakeBroker], None], why: str) -> None:
    """The quote is lost after one second and first missed after two, when the first child is canceled."""
    fakes = FakePorts(child_wait_seconds=2, quote_wait_seconds=10)
    fakes.broker.script("AAA", RESTS)
    fakes.after(1, lambda: becomes(fakes.broker))
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.UNFILLED, Code.QUOTE_UNUSABLE)}
    assert 12 <= fakes.elapsed <= 13
    assert why in str(fakes.parent("AAA").message)


def test_quote_that_returns_is_used() -> None:
    fakes = FakePorts(child_wait_seconds=2, quote_wait_seconds=10)
    fakes.broker.script("AAA", RESTS)
    fakes.after(1, lambda: fakes.broker.set_quote("AAA", "0", "100.01"))
    fakes.after(8, lambda: fakes.broker.set_quote("AAA", "99.99", "100.01"))
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}


def test_quote_that_is_left_out_prices_nothing() -> None:
    """The former quote may look fresh enough for minutes; the next price needs a fresh quote."""
    fakes = FakePorts(child_wait_seconds=2, quote_wait_seconds=0)
    fakes.broker.script("AAA", RESTS)
    fakes.after(1, lambda: fakes.broker.prices.pop("AAA"))
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.UNFILLED, Code.QUOTE_UNUSABLE)}
    assert len(fakes.broker.sent) == 1


def test_symbol_may_have_its_own_quote_bounds() -> None:
    own = {"max_spread": "0.08", "max_quote_age_seconds": 3600, "price_collar": "0.05", "limit_collar": "0.05"}
    fakes = FakePorts(quote_wait_seconds=0, per_symbol={"AAA": own})
    for symbol in ("AAA", "BBB"):
        fakes.broker.set_quote(symbol, "96.5", "103.5")
        fakes.broker.quoted_at[symbol] = later(-1800)
    result = fakes.execute(buys("AAA", "BBB"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.DENIED, Code.QUOTE_UNUSABLE)}
    assert [order.limit_price for order in fakes.broker.sent] == [Decimal("103.5")]


# --- last trade ---------------------------------------------------------------------------------------------------


def quoteless(*, traded_ago: float = 10, **config: Any) -> FakePorts:
    """Return ports in which AAA has no ask and traded ``seconds`` before ``NOW``."""
    settings: dict[str, Any] = {"quote_wait_seconds": 3, "unusable_quote": "last_trade"} | config
    fakes = FakePorts(**settings)
    fakes.broker.set_quote("AAA", "99.99", "0")
    fakes.broker.trades["AAA"] = Trade("AAA", Decimal("100.003"), later(-traded_ago))
    return fakes


def looks(fakes: FakePorts) -> list[object]:
    return [what for name, what in fakes.broker.reads if name == "last_trades"]


def test_last_trade_prices_a_limit_after_the_wait() -> None:
    fakes = quoteless()
    result = fakes.execute(buys("AAA", "BBB"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.FILLED, None)}
    assert fakes.elapsed == 3
    assert looks(fakes) == [["AAA"]]
    assert [(o.type, o.limit_price) for o in fakes.broker.sent if o.symbol == "AAA"] == [("limit", Decimal("100.00"))]
    assert fakes.parent("AAA").arrival == Arrival(Decimal("100.003"), Decimal("100.003"), later(-10))
    assert fakes.fields(LogEvent.ORDER_PRICED_FROM_LAST_TRADE) == [
        {"symbol": "AAA", "last_trade": Decimal("100.003"), "traded_at": later(-10)}
    ]


@pytest.mark.parametrize(
    "prepare",
    [
        lambda: quoteless(traded_ago=58),
        lambda: quoteless(traded_ago=10, max_trade_age_seconds=12),
        lambda: quoteless(unusable_quote="deny"),
        lambda: quoteless(per_symbol={"AAA": {"unusable_quote": "deny"}}),
        lambda: FakePorts(quote_wait_seconds=3, unusable_quote="last_trade", allowed_symbols=["AAA"]),
    ],
    ids=["a minute old after the wait", "older than allowed", "not configured", "not for this symbol", "never traded"],
)
def test_item_without_a_recent_trade_is_denied(prepare: Callable[[], FakePorts]) -> None:
    fakes = prepare()
    fakes.broker.set_quote("AAA", "99.99", "0")
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.DENIED, Code.QUOTE_UNUSABLE)}
    assert "one-sided quote: bid 99.99, ask 0" in str(fakes.parent("AAA").message)
    assert fakes.broker.sent == []


def test_symbols_own_trade_age_applies() -> None:
    fakes = quoteless(traded_ago=10, per_symbol={"AAA": {"max_trade_age_seconds": "12"}})

    assert outcomes(fakes.execute(buys("AAA"))) == {"AAA": (Outcome.DENIED, Code.QUOTE_UNUSABLE)}


def test_quote_within_the_symbols_bounds_is_read_once() -> None:
    fakes = FakePorts(per_symbol={"AAA": {"max_spread": "0.06"}})
    fakes.broker.set_quote("AAA", "97.20", "102.80")

    assert outcomes(fakes.execute(buys("AAA"))) == {"AAA": (Outcome.FILLED, None)}
    assert fakes.slept == []


def test_last_trade_replaces_a_lost_quote_before_the_order_ends() -> None:
    fakes = FakePorts(child_wait_seconds=2, quote_wait_seconds=4, unusable_quote="last_trade")
    fakes.broker.script("AAA", RESTS)
    fakes.after(1, lambda: fakes.broker.set_quote("AAA", "0", "100.01"))
    fakes.broker.trades["AAA"] = Trade("AAA", Decimal("99.98"), NOW)
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert [o.limit_price for o in fakes.broker.sent] == [Decimal("100.01"), Decimal("99.98")]


@pytest.mark.parametrize("ask", ["0", "200"])
def test_buys_without_quotes_are_scaled_at_the_last_trade(ask: str) -> None:
    fakes = quoteless()
    fakes.broker.cash = Decimal(0)
    fakes.broker.shares["BBB"] = Decimal(8)
    fakes.broker.script("BBB", RESTS)  # a few seconds pass before the gate
    fakes.broker.set_quote("AAA", "99.99", ask)
    result = fakes.execute(a_plan(an_item("AAA", amount="1000"), an_exit("BBB", current_value="800")))

    assert outcomes(result)["AAA"] == (Outcome.FILLED, Code.SCALED_TO_CASH)
    assert fakes.parent("AAA").qty == Decimal("7.9592")  # $795.92 at $100.00


def test_buys_are_priced_from_fresh_quotes() -> None:
    """The quotes of the sells are read every second; the buys need quotes of their own time."""
    fakes = FakePorts(order_style="ladder", early_cash_fraction=0)
    fakes.broker.cash = Decimal(300)
    fakes.broker.shares["BBB"] = Decimal(10)
    fakes.broker.script("BBB", RESTS)
    fakes.after(2, lambda: fakes.broker.set_quote("AAA", "101.00", "101.01"))
    fakes.execute(a_plan(an_item("AAA", amount="1000"), an_exit("BBB", current_value="1000")))

    assert [order.limit_price for order in fakes.broker.sent if order.symbol == "AAA"] == [Decimal("101.00")]


def test_unusable_quote_at_the_gate_scales_nothing() -> None:
    """The quote became unusable between sizing and the gate; the buy waits for a better one and keeps its shares."""
    fakes = FakePorts()
    fakes.broker.cash = Decimal(200)
    fakes.broker.shares["BBB"] = Decimal(10)
    fakes.after(2, lambda: fakes.broker.set_quote("AAA", "99.99", "200"))
    fakes.after(7, lambda: fakes.broker.set_quote("AAA", "99.99", "100.01"))
    fakes.broker.script("BBB", RESTS)
    result = fakes.execute(a_plan(an_item("AAA", amount="1000"), an_exit("BBB", current_value="1000")))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.FILLED, None)}


def test_quote_that_returns_prices_the_next_child() -> None:
    fakes = quoteless(child_wait_seconds=2)
    fakes.broker.script("AAA", RESTS)
    fakes.after(4, lambda: fakes.broker.set_quote("AAA", "99.99", "100.01"))
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert [o.limit_price for o in fakes.broker.sent] == [Decimal("100.00"), Decimal("100.01")]
    assert len(fakes.fields(LogEvent.ORDER_PRICED_FROM_LAST_TRADE)) == 1


# --- hours -----------------------------------------------------------------------------------------------


def test_close_is_converted_to_our_clock() -> None:
    """The broker's clock is 30 seconds behind ours: 20 seconds before its close are 20 seconds before ours."""
    fakes = FakePorts(child_wait_seconds=300)
    theirs = NOW - timedelta(seconds=30)
    fakes.broker.market = replace(fakes.broker.market, now=theirs, next_close=theirs + timedelta(seconds=20))
    fakes.broker.script("AAA", RESTS)
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.UNFILLED, Code.MARKET_CLOSED)}
    assert 20 <= fakes.elapsed <= 21


def test_wait_during_sizing_does_not_move_the_close() -> None:
    """The market clock is read first; ten seconds pass until there is a quote. The close does not move."""
    fakes = FakePorts(child_wait_seconds=300, quote_wait_seconds=15)
    fakes.broker.market = replace(fakes.broker.market, next_close=later(20))
    fakes.broker.set_quote("AAA", "99.99", "0")
    fakes.after(10, lambda: fakes.broker.set_quote("AAA", "99.99", "100.01"))
    fakes.broker.script("AAA", RESTS)
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.UNFILLED, Code.MARKET_CLOSED)}
    assert 20 <= fakes.elapsed <= 21


def test_slow_answer_does_not_move_the_close() -> None:
    fakes = FakePorts(child_wait_seconds=300)
    fakes.broker.market = replace(fakes.broker.market, next_close=later(20))
    answer = fakes.broker.clock

    def slow() -> MarketClock:
        fakes.clock.sleep(timedelta(seconds=8))
        return answer()

    fakes.broker.clock = slow  # type: ignore[method-assign]
    fakes.broker.script("AAA", RESTS)
    result = fakes.execute(buys("AAA"))

    assert outcomes(result) == {"AAA": (Outcome.UNFILLED, Code.MARKET_CLOSED)}
    assert 20 <= fakes.elapsed <= 21


def test_slow_answer_does_not_hasten_the_open() -> None:
    """Seed 365081: the run was frozen for minutes while the market clock was read."""
    fakes = FakePorts(extended_hours=True)
    fakes.broker.market = MarketClock(NOW, is_open=False, next_open=later(60), next_close=later(30_000))
    answer = fakes.broker.clock

    def slow() -> MarketClock:
        answered = answer()
        fakes.clock.sleep(timedelta(seconds=90))
        return answered

    fakes.broker.clock = slow  # type: ignore[method-assign]
    fakes.execute(buys("AAA"))

    assert [request.extended_hours for request in fakes.broker.sent] == [True]


@pytest.mark.parametrize("turn", [20, 25])
def test_order_delayed_past_the_close_is_not_sent(turn: float) -> None:
    """It was decided before the close and waited for the rate limit. Sent late, it would rest until the next open."""
    fakes = FakePorts()
    fakes.broker.market = replace(fakes.broker.market, next_close=later(20))
    fakes.broker.rate_limited_until = later(turn)
    result = fakes.execute(buys("AAA", "BBB"))

    assert outcomes(result) == dict.fromkeys(("AAA", "BBB"), (Outcome.DENIED, Code.MARKET_CLOSED))
    assert fakes.broker.sent == []


@pytest.mark.parametrize(("is_open", "early"), [(False, True), (True, False)])
def test_orders_before_the_open_are_marked_for_extended_hours(is_open: bool, early: bool) -> None:
    fakes = FakePorts(extended_hours=True)
    fakes.broker.market = MarketClock(NOW, is_open=is_open, next_open=later(600), next_close=later(30_000))
    fakes.execute(buys("AAA"))

    assert [request.extended_hours for request in fakes.broker.sent] == [early]


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("20000", None), ("20100", Display(Decimal(200), Destination.NYSE)), ("20150", None)],
    ids=["no more than is shown", "more", "not whole shares"],
)
def test_large_limit_of_whole_shares_shows_only_a_part(amount: str, shown: Display | None) -> None:
    fakes = FakePorts(slice_over_displayed=None, display_qty=200, display_destination="NYSE")
    fakes.broker.cash = Decimal(50_000)
    fakes.broker.set_quote("AAA", "99.99", "100.01")
    fakes.execute(a_plan(an_item("AAA", amount=amount)))

    assert [request.display for request in fakes.broker.sent] == [shown]
    assert fakes.parent("AAA").children[0].display == shown


def test_orders_after_the_open_are_not_marked() -> None:
    fakes = FakePorts(extended_hours=True, child_wait_seconds=5)
    theirs = NOW - timedelta(seconds=30)
    fakes.broker.market = MarketClock(
        theirs, is_open=False, next_open=theirs + timedelta(seconds=3), next_close=later(30_000)
    )
    fakes.broker.script("AAA", RESTS)
    fakes.execute(buys("AAA"))

    assert [request.extended_hours for request in fakes.broker.sent] == [True, False]


# --- controls after sizing -------------------------------------------------------------------------------


def test_item_with_a_drifted_position_is_denied_and_others_trade() -> None:
    fakes = FakePorts()
    fakes.broker.shares = {"BBB": Decimal(5000)}
    result = fakes.execute(buys("AAA", "BBB"))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.DENIED, Code.POSITION_DRIFT)}
    assert fakes.parent("BBB").settled_at == NOW
    assert [request.symbol for request in fakes.broker.sent] == ["AAA"]


def test_item_that_cannot_be_sized_keeps_its_reason() -> None:
    """Later controls do not replace the reason: the item is not tradable, whatever its position."""
    fakes = FakePorts()
    fakes.broker.assets["BBB"] = replace(fakes.broker.assets["BBB"], tradable=False)
    fakes.broker.shares = {"BBB": Decimal(5000)}

    assert outcomes(fakes.execute(buys("BBB"))) == {"BBB": (Outcome.DENIED, Code.NOT_TRADABLE)}
