"""Every control once, end to end: the code of its denial, and that nothing forbidden is sent."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.adapters.alpaca.broker import AlpacaBroker
from rebalance_executor.adapters.dynamodb.risk_store import DynamoRiskStore
from rebalance_executor.domain import controls
from rebalance_executor.domain.errors import DayChanged, JournalUnavailable, OverfillGuard, PlanYielded
from rebalance_executor.domain.order_ids import child_order_prefix
from rebalance_executor.domain.risk_state import NEVER_SET, PROGRAM, DailyUsage, RiskState, TradingState
from tests.support.builders import NOW
from tests.support.world import HandlerWorld, Killed, a_world, buy, exit_of, hold, kill, outcomes, plan, sell

NEVER = {"symbol": "AAA", "behaviour": "never"}
LATER = {"symbol": "BBB", "behaviour": "later", "after_seconds": 2}
REJECT = {"status": 422, "code": 42210000, "message": "it cannot be traded now"}
TRADING_DAY = NOW.date() + timedelta(days=1)
"""The trading day of a market that is always open: its next close is one day ahead."""


def submit_foreign_order(world: HandlerWorld, symbol: str, side: str, price: str = "50", **fields: str) -> None:
    """Submit another party's order, which stays open at the broker."""
    body = {"symbol": symbol, "side": side, "qty": "1", "type": "limit", "limit_price": price, "time_in_force": "day"}
    world.broker.app.exchange.submit_order(body | fields)


def unreadable(*_: object) -> None:
    """Raise the error of a database that does not answer."""
    raise JournalUnavailable("the table does not answer")


# --- kill switch -----------------------------------------------------------------------------------------


def test_halted_account_sends_nothing_and_names_operator_and_reason() -> None:
    with a_world() as world:
        world.set_kill_switch(TradingState.HALTED, "prices look wrong")
        result = world.deliver(plan(buy("AAA", 1000), hold("BBB")))

        assert outcomes(result)["AAA"] == ("DENIED", "HALTED")
        assert "Ada" in result["orders"][0]["error_message"]
        assert "prices look wrong" in result["orders"][0]["error_message"]
        assert (result["status"], result["orders_denied"], world.orders) == ("failure", 1, [])
        assert world.log_lines("plan.denied")[0]["level"] == "WARNING"


def test_reducing_account_sells_but_does_not_buy() -> None:
    with a_world(positions={"AAA": "10"}) as world:
        world.set_kill_switch(TradingState.REDUCING)
        result = world.deliver(plan(sell("AAA", 500), buy("BBB", 500)))

        assert outcomes(result) == {"AAA": ("FILLED", None), "BBB": ("DENIED", "REDUCING_ONLY")}


def test_plan_trades_after_operator_resumes_account() -> None:
    with a_world() as world:
        world.set_kill_switch(TradingState.HALTED)
        world.set_kill_switch(TradingState.ACTIVE, "drill has ended")

        assert world.deliver(plan(buy("AAA", 1000)))["status"] == "success"


def test_halt_cancels_open_orders_and_sends_nothing_more() -> None:
    config = {"child_wait_seconds": 60, "early_cash_fraction": 0}
    with a_world(fills=[NEVER], positions={"AAA": "10"}, config=config) as world:
        world.after(3, lambda: world.set_kill_switch(TradingState.HALTED))
        result = world.deliver(plan(sell("AAA", 500), buy("BBB", 500)))

        assert outcomes(result) == {"AAA": ("UNFILLED", "HALTED"), "BBB": ("DENIED", "HALTED")}
        assert all("Ada" in order["error_message"] for order in result["orders"])
        assert [order["status"] for order in world.orders] == ["canceled"]
        assert world.clock.now() - NOW < timedelta(seconds=12)


def test_switch_to_reducing_cancels_open_buys() -> None:
    with a_world(fills=[NEVER], config={"child_wait_seconds": 60}) as world:
        world.after(3, lambda: world.set_kill_switch(TradingState.REDUCING))
        result = world.deliver(plan(buy("AAA", 500)))

        assert outcomes(result) == {"AAA": ("UNFILLED", "REDUCING_ONLY")}
        assert [order["status"] for order in world.orders] == ["canceled"]


def test_kill_switch_is_read_again_before_an_order_is_sent() -> None:
    lag = {"proceeds_lag_seconds": 3}
    with a_world(cash="0", positions={"AAA": "10"}, account=lag) as world:
        world.after(2, lambda: world.set_kill_switch(TradingState.HALTED))
        result = world.deliver(plan(exit_of("AAA"), buy("BBB", 900)))

        assert outcomes(result) == {"AAA": ("FILLED", None), "BBB": ("DENIED", "HALTED")}


def test_unreadable_kill_switch_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_world(cash="0", positions={"AAA": "10"}, account={"proceeds_lag_seconds": 3}) as world:
        document = plan(exit_of("AAA"), buy("BBB", 900))
        with monkeypatch.context() as patches:
            patches.setattr(DynamoRiskStore, "kill_switch", unreadable)
            with pytest.raises(PlanYielded):
                world.deliver(document)
        assert [order["symbol"] for order in world.orders] == ["AAA"]

        assert outcomes(world.deliver(document)) == {"AAA": ("FILLED", None), "BBB": ("FILLED", None)}


def test_kill_switch_that_becomes_unreadable_cancels_open_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_world(fills=[NEVER], config={"child_wait_seconds": 60}) as world:
        monkeypatch.setattr(DynamoRiskStore, "kill_switch", unreadable)
        with pytest.raises(PlanYielded):
            world.deliver(plan(buy("AAA", 1000)))

        assert [order["status"] for order in world.orders] == ["canceled"]
        assert world.clock.now() - NOW < timedelta(seconds=10)


def test_overfill_guard_stops_the_run_and_halts_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_world() as world:
        with monkeypatch.context() as patches:
            patches.setattr(controls, "overfill", lambda parent: f"{parent.symbol}: overfill")
            with pytest.raises(OverfillGuard):
                world.deliver(plan(buy("AAA", 1000)))

        switch = world.risk_store.kill_switch("default")
        assert (switch.state, switch.by, world.orders) == (TradingState.HALTED, PROGRAM, [])
        assert "OVERFILL_GUARD" in switch.reason
        assert outcomes(world.deliver(plan(buy("BBB", 1000), plan_id="next"))) == {"BBB": ("DENIED", "HALTED")}


def test_consecutive_rejects_halt_the_account() -> None:
    prices = dict.fromkeys(("AAA", "BBB", "CCC", "DDD"), "100")
    reject = {"behaviour": "reject", "error": REJECT}
    with a_world(prices=prices, fills=[reject], config={"max_rejects_in_a_row": 3}) as world:
        result = world.deliver(plan(*(buy(symbol, 1000) for symbol in prices)))

        assert [outcome for outcome, _ in outcomes(result).values()] == ["REJECTED"] * 3 + ["DENIED"]
        assert outcomes(result)["DDD"] == ("DENIED", "HALTED")
        assert world.risk_store.kill_switch("default").state is TradingState.HALTED
        assert (result["orders_rejected"], result["orders_denied"], result["orders_placed"]) == (3, 1, 0)


# --- limits ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"max_order_dollars": 999}, "ORDER_TOO_LARGE"),
        ({"max_order_shares": 9}, "ORDER_TOO_LARGE"),
        ({"max_share_of_displayed": "0.01"}, "ORDER_TOO_LARGE"),
        ({"max_plan_gross_dollars": 999}, "PLAN_LIMIT"),
        ({"max_plan_net_dollars": 999}, "PLAN_LIMIT"),
        ({"max_plan_turnover": "0.009"}, "PLAN_LIMIT"),
        ({"max_day_gross_dollars": 999}, "DAILY_LIMIT"),
        ({"restricted_symbols": ["AAA"]}, "RESTRICTED"),
        ({"allowed_symbols": ["BBB"]}, "RESTRICTED"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_item_beyond_a_limit_is_denied_and_not_sent(config: dict[str, Any], code: str) -> None:
    with a_world(config=config) as world:
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("DENIED", code)}
        assert (result["orders_denied"], world.orders) == (1, [])
        assert world.log_lines("item.denied")[0]["code"] == code


def test_daily_usage_counts_reservations_of_unfilled_orders() -> None:
    with a_world(fills=[NEVER], config={"max_day_gross_dollars": 1500, "max_children": 1}) as world:
        assert outcomes(world.deliver(plan(buy("AAA", 1000))))["AAA"][0] == "UNFILLED"
        result = world.deliver(plan(buy("BBB", 1000), plan_id="next"))

        assert outcomes(result) == {"BBB": ("DENIED", "DAILY_LIMIT")}
        usage = world.risk_store.load("default", TRADING_DAY).usage
        assert (usage.plans, usage.buys) == (1, Decimal(1000))


def test_26_skipped_and_denied_items_are_not_in_daily_usage() -> None:
    with a_world(positions={"CCC": "5"}, config={"restricted_symbols": ["BBB"]}) as world:
        world.deliver(plan(buy("AAA", 1000), buy("BBB", 700), sell("CCC", 200), hold("SPY")))

        state = world.risk_store.load("default", TRADING_DAY)
        assert (state.usage.plans, state.usage.buys, state.usage.sells) == (1, Decimal(1000), Decimal(200))
        assert [order.symbol for order in state.plans[0].orders] == ["AAA", "CCC"]


def test_order_with_unknown_outcome_counts_in_full() -> None:
    lost = {"method": "POST", "path": "/v2/orders", "kind": "drop", "when": "after", "count": None}
    with a_world(faults=[lost], config={"max_day_gross_dollars": 1500}) as world:
        world.deliver(plan(buy("AAA", 1000)))
        result = world.deliver(plan(buy("BBB", 1000), plan_id="next"))

        assert outcomes(result) == {"BBB": ("DENIED", "DAILY_LIMIT")}


def test_run_killed_after_its_first_write_reserves_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with a_world() as world:
        with monkeypatch.context() as patches:
            patches.setattr(AlpacaBroker, "submit", kill)
            with pytest.raises(Killed):
                world.deliver(plan(buy("AAA", 1000)), seconds=10)
        assert world.risk_store.load("default", TRADING_DAY).usage.plans == 1
        world.replace_killed()

        assert world.deliver(plan(buy("AAA", 1000)))["status"] == "success"
        assert world.risk_store.load("default", TRADING_DAY).usage.buys == Decimal(1000)


def test_reservation_is_written_before_any_order_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reservation based on outdated usage of the day fails: nothing is journalled or sent."""
    with a_world() as world:
        world.deliver(plan(buy("BBB", 1000)))
        stale = RiskState(NEVER_SET, DailyUsage(TRADING_DAY))
        with monkeypatch.context() as patches:
            patches.setattr(DynamoRiskStore, "load", lambda *_: stale)
            with pytest.raises(DayChanged):
                world.deliver(plan(buy("AAA", 1000), plan_id="next"))
        assert [order["symbol"] for order in world.orders] == ["BBB"]

        assert world.deliver(plan(buy("AAA", 1000), plan_id="next"))["status"] == "success"


def test_message_limit_of_the_plan_stops_submissions() -> None:
    with a_world(config={"max_plan_messages": 2, "max_children": 5}, fills=[NEVER]) as world:
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("UNFILLED", "MESSAGE_LIMIT")}
        assert len(world.orders) == 1


def test_message_limit_per_minute_stops_submissions() -> None:
    with a_world(config={"max_messages_per_minute": 2}) as world:
        result = world.deliver(plan(buy("AAA", 1000), buy("BBB", 1000), buy("CCC", 1000)))

        assert [code for _, code in outcomes(result).values()] == [None, None, "MESSAGE_LIMIT"]
        assert len(world.orders) == 2


def test_too_many_plans_halt_the_account_until_an_operator_resumes_it() -> None:
    with a_world(config={"max_plans_per_day": 2}) as world:
        for number in range(2):
            assert world.deliver(plan(buy("AAA", 1000 + number), plan_id=f"plan-{number}"))["success"]
        world.advance(1)
        third = world.deliver(plan(buy("BBB", 1000), plan_id="third"))
        fourth = world.deliver(plan(buy("BBB", 1001), plan_id="fourth"))
        world.advance(1)
        world.set_kill_switch(TradingState.ACTIVE, "checked both")
        fifth = world.deliver(plan(buy("BBB", 1002), plan_id="fifth"))

        codes = [outcomes(result)["BBB"] for result in (third, fourth, fifth)]
        assert codes == [("DENIED", "TOO_MANY_PLANS"), ("DENIED", "HALTED"), ("FILLED", None)]


def test_too_many_runs_end_the_plan_and_halt_the_account() -> None:
    with a_world(default_fill={"behaviour": "never"}, config={"max_runs": 6, "max_children": 50}) as world:
        document = plan(buy("AAA", 1000))
        for _ in range(6):
            with pytest.raises(PlanYielded):
                world.deliver(document, seconds=3)
        result = world.deliver(document, seconds=3)

        assert outcomes(result) == {"AAA": ("UNFILLED", "TOO_MANY_RUNS")}
        assert world.risk_store.kill_switch("default").state is TradingState.HALTED


# --- prices ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quote", "code"),
    [
        ({"bid": "99.99", "ask": "100.01", "t": (NOW - timedelta(hours=18)).isoformat()}, "QUOTE_UNUSABLE"),
        ({"bid": "90", "ask": "110"}, "QUOTE_UNUSABLE"),
        ({"bid": "99.99", "ask": "100.01", "prev_close": "200"}, "PRICE_COLLAR"),
    ],
    ids=["from yesterday", "too wide", "half of the previous close"],
)
def test_item_with_unreliable_price_is_denied(quote: dict[str, str], code: str) -> None:
    with a_world(quotes={"AAA": quote}, positions={"AAA": "10"}) as world:
        result = world.deliver(plan(sell("AAA", 500)))

        assert outcomes(result) == {"AAA": ("DENIED", code)}
        assert world.orders == []


def test_last_trade_prices_an_order_without_usable_quote_if_configured() -> None:
    quotes = {"AAA": {"bid": "90", "ask": "110", "last": "100.02", "volume": 1_000_000}}
    config = {"order_style": "ladder", "unusable_quote": "last_trade", "last_rung_seconds": 3}
    with a_world(quotes=quotes, config=config) as world:
        world.change_after(6, {"quotes": {"AAA": {"bid": "99.99", "ask": "100.01"}}})
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert [(order["type"], order["limit_price"]) for order in world.orders] == [("limit", "100.02")]
        assert result["orders"][0]["expected_price"] == "100.02"
        assert [line["last_trade"] for line in world.log_lines("order.priced_from_last_trade")] == ["100.02"]


def test_limit_outside_the_collar_is_denied() -> None:
    with a_world(quotes={"AAA": {"bid": "98", "ask": "102"}}, config={"limit_collar": "0.01"}) as world:
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("DENIED", "PRICE_COLLAR")}
        assert world.orders == []


# --- duplicates and foreign orders ------------------------------------------------------------------------


def test_02_same_orders_under_another_plan_id_are_denied_as_duplicates() -> None:
    with a_world(positions={"AAA": "10"}) as world:
        items = [sell("AAA", 500), buy("BBB", 500)]
        assert world.deliver(plan(*items))["status"] == "success"
        world.advance(300)
        world.broker.change(
            {"quotes": {"AAA": {"bid": "99.5", "ask": "99.52"}, "BBB": {"bid": "101", "ask": "101.02"}}}
        )
        second = world.deliver(plan(*items, plan_id="second schedule"))

        assert outcomes(second) == {"AAA": ("DENIED", "DUPLICATE_ORDER"), "BBB": ("DENIED", "DUPLICATE_ORDER")}
        assert len(world.orders) == 2


def test_same_order_is_allowed_after_the_duplicate_window() -> None:
    with a_world() as world:
        world.deliver(plan(buy("BBB", 500)))
        world.advance(601)

        assert world.deliver(plan(buy("BBB", 500), plan_id="later"))["status"] == "success"


def test_foreign_order_denies_the_item_and_stays_open_by_default() -> None:
    with a_world() as world:
        submit_foreign_order(world, "AAA", "buy")
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("DENIED", "CONFLICTING_ORDER")}
        assert [order["status"] for order in world.orders] == ["new"]


def test_foreign_order_is_cancelled_first_if_configured() -> None:
    with a_world(config={"conflicting_orders": "cancel"}, default_fill={"cancel_seconds": 2}) as world:
        submit_foreign_order(world, "AAA", "buy")
        result = world.deliver(plan(buy("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert [order["status"] for order in world.orders] == ["canceled", "filled"]
        assert world.log_lines("foreign_order.cancel_requested")


def test_cash_held_by_a_cancelled_foreign_order_is_available() -> None:
    with a_world(cash="10000", config={"conflicting_orders": "cancel"}) as world:
        submit_foreign_order(world, "AAA", "buy", price="90", qty="90")
        result = world.deliver(plan(buy("AAA", 8000)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}


def test_foreign_order_that_cannot_be_cancelled_denies_the_item() -> None:
    with a_world(config={"conflicting_orders": "cancel"}, default_fill={"cancel_seconds": None}) as world:
        submit_foreign_order(world, "AAA", "buy")
        result = world.deliver(plan(buy("AAA", 1000)), seconds=60)

        assert outcomes(result) == {"AAA": ("DENIED", "CONFLICTING_ORDER")}


def test_item_with_position_drift_is_denied() -> None:
    with a_world(positions={"AAA": "100"}) as world:
        result = world.deliver(plan(buy("AAA", 1000), buy("BBB", 1000), max_drift_tolerance="0.05"))

        assert outcomes(result) == {"AAA": ("DENIED", "POSITION_DRIFT"), "BBB": ("FILLED", None)}


# --- the broker ------------------------------------------------------------------------------------------


def test_failing_broker_opens_the_circuit_and_the_run_yields() -> None:
    prices = {f"S{n}": "100" for n in range(8)}
    down = {"method": "POST", "path": "/v2/orders", "kind": "status", "status": 503, "when": "before", "count": 5}
    with a_world(prices=prices, faults=[down]) as world:
        document = plan(*(buy(symbol, 1000) for symbol in prices))
        with pytest.raises(PlanYielded):
            world.deliver(document)
        assert world.orders == []
        assert world.log_lines("circuit.opened")

        result = world.deliver(document)

        assert {outcome for outcome, _ in outcomes(result).values()} == {"FILLED"}
        assert len(world.orders) == 8


# --- after the trade -------------------------------------------------------------------------------------


def test_position_changed_by_others_during_the_plan_makes_the_item_unresolved() -> None:
    with a_world(fills=[LATER]) as world:
        world.change_after(1, {"positions": [{"symbol": "AAA", "qty": "3"}]})
        result = world.deliver(plan(buy("AAA", 1000), buy("BBB", 1000)))

        assert outcomes(result) == {"AAA": ("UNRESOLVED", "RECONCILIATION_MISMATCH"), "BBB": ("FILLED", None)}
        assert (result["status"], result["orders_unresolved"]) == ("unresolved", 1)
        (difference,) = result["differences"]
        assert difference["symbol"] == "AAA"
        assert world.log_lines("reconciliation.mismatch")[0]["level"] == "ERROR"


def test_order_with_the_plans_id_that_is_not_journalled_is_reported() -> None:
    stray = child_order_prefix("default", "plan-1") + "AAA-7"
    with a_world(fills=[LATER]) as world:
        world.after(1, lambda: submit_foreign_order(world, "AAA", "sell", price="150", client_order_id=stray))
        result = world.deliver(plan(buy("AAA", 1000), buy("BBB", 1000)))

        assert outcomes(result)["AAA"] == ("UNRESOLVED", "RECONCILIATION_MISMATCH")
        assert stray in result["differences"][0]["problem"]


def test_parts_of_the_shortfall_add_up() -> None:
    first = {"symbol": "AAA", "nth": 1, "behaviour": "cancel", "fraction": "0.4", "after_seconds": 1}
    with a_world(fills=[first], positions={"BBB": "10"}) as world:
        world.change_after(0.5, {"quotes": {"AAA": {"bid": "100.19", "ask": "100.23"}}})
        result = world.deliver(plan(buy("AAA", 1000), sell("BBB", 500)))

        for entry in (*result["orders"], result):
            dollars = [Decimal(entry[f"{part}_amount"]) for part in ("delay", "timing", "spread", "residual")]
            points = [Decimal(entry[f"{part}_bps"]) for part in ("delay", "timing", "spread", "residual")]
            assert sum(dollars) == Decimal(entry["slippage_amount"])
            assert sum(points) == Decimal(entry["slippage_bps"])
        assert Decimal(result["orders"][0]["timing_amount"]) > 0 == Decimal(result["orders"][0]["delay_amount"])
        assert sum(Decimal(order["slippage_amount"]) for order in result["orders"]) == Decimal(
            result["slippage_amount"]
        )


def test_denied_skipped_rejected_and_unresolved_are_counted_apart() -> None:
    reject = {"symbol": "BBB", "behaviour": "reject", "error": REJECT}
    fills = [reject, {"symbol": "CCC", "behaviour": "never", "cancel_seconds": None}]
    with a_world(fills=fills, config={"restricted_symbols": ["AAA"]}) as world:
        result = world.deliver(plan(buy("AAA", 100), buy("BBB", 100), buy("CCC", 100), hold("SPY")))

        assert [o["outcome"] for o in result["orders"]] == ["DENIED", "REJECTED", "UNRESOLVED", "SKIPPED"]
        counts = ("orders_denied", "orders_rejected", "orders_unresolved", "orders_skipped", "orders_placed")
        assert [result[name] for name in counts] == [1, 1, 1, 1, 1]
        for event in ("item.denied", "item.rejected", "item.unresolved"):
            assert len(world.log_lines(event)) == 1, event
