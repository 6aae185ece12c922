"""Stories that make a deliberate bug visible which histories of drawn faults show too rarely."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.risk_state import KillSwitchRecord, TradingState
from rebalance_simulation.broker_view import ViewTraits
from rebalance_simulation.clock import START
from rebalance_simulation.config_generator import steady_config
from rebalance_simulation.faults import SUBMIT, Fault, FaultInjector
from rebalance_simulation.generators import item, plan
from rebalance_simulation.plan_store import BUCKET
from rebalance_simulation.queue import LEASE_EXPIRY
from rebalance_simulation.violation import Violation
from rebalance_simulation.world import World

_QUOTES = "broker GET /stocks/quotes/latest"
_CLOCK = "broker GET /clock"
_ASSET = "broker GET /assets/{symbol}"
_RELEASE = "idempotency.delete"


def margin_world(faults: FaultInjector | None = None, config: ExecutionConfig | None = None, **scenario: Any) -> World:
    """Return a world with an account of 5,000 dollars that may buy on margin and sell short."""
    market = {
        "account": {"cash": "5000", "multiplier": "4", "shorting_enabled": True},
        "clock": {"sessions": "always_open"},
        "quotes": {symbol: {"bid": "99.99", "ask": "100.01"} for symbol in ("AAA", "BBB")},
    }
    return World(market | scenario, config or steady_config(), faults or FaultInjector())


def person_trades_between_two_orders(side: str) -> World:
    """Let a person trade what an order that rests will need again when another one follows it."""
    rests = {"symbol": "AAA", "nth": 1, "behaviour": "never"}
    world = margin_world(fills=[rests], positions=[{"symbol": "AAA", "qty": "20"}])
    body = {"symbol": "AAA", "qty": "20", "side": side, "type": "market", "time_in_force": "day"}
    if side == "buy":
        body |= {"symbol": "BBB", "qty": "40"}
    world.clock.call_later(timedelta(seconds=1), lambda: world.exchange.submit_order(body))
    world.deliver(plan("plan-1", [item("AAA", side.upper(), 1900, is_exit=side == "sell")]))
    return world


def keys_are_refused_for_market_data() -> World:
    """Refuse the keys for quotes while an order rests: the run ends by an error that is not an outage."""
    world = margin_world(config=steady_config("ladder"), default_fill={"behaviour": "never"})
    world.clock.call_later(timedelta(seconds=1), lambda: world.faults.queued.update({_QUOTES: [Fault.FORBIDDEN] * 3}))
    world.deliver(plan("plan-1", [item("AAA", "BUY", 1900)]))
    return world


def other_content_is_killed_before_its_claim_is_released() -> World:
    """Start a plan, and deliver its ID with other content to a run that is killed after the journal refused it."""
    world = margin_world(fills=[{"symbol": "AAA", "nth": 1, "behaviour": "never"}])
    event = plan("plan-1", [item("AAA", "BUY", 1900)])
    world.deliver(event, seconds=4)
    world.faults.queued[_RELEASE] = [Fault.KILL_BEFORE]
    world.deliver(event | {"items": [item("AAA", "BUY", 55)]})
    world.clock.advance(timedelta(seconds=60))  # the claim lasts until the killed invocation would have ended
    if world.deliver(event).answer is None:
        raise Violation("the plan that was started is refused")
    return world


def missing_path_answers_a_submission() -> World:
    """Answer the first submission with a missing path."""
    world = margin_world(FaultInjector(queued={SUBMIT: [Fault.PATH_NOT_FOUND]}))
    world.deliver(plan("plan-1", [item("AAA", "BUY", 1900)]))
    return world


def person_spends_the_cash_of_a_lost_order() -> World:
    """Lose the first submission, and let a person spend the cash before it is looked up."""
    world = margin_world(FaultInjector(queued={SUBMIT: [Fault.NO_ANSWER]}))
    body = {"symbol": "BBB", "qty": "40", "side": "buy", "type": "market", "time_in_force": "day"}
    world.clock.call_later(timedelta(seconds=2), lambda: world.exchange.submit_order(body))
    world.deliver(plan("plan-1", [item("AAA", "BUY", 1900)]))
    return world


def own_order_is_resized() -> World:
    """Change the quantity of a resting order at the broker."""
    world = margin_world(fills=[{"symbol": "AAA", "nth": 1, "behaviour": "never"}])

    def resize() -> None:
        (order,) = world.checker.orders()
        world.broker.view.changed[order.client_order_id] = {"qty": "38"}

    world.clock.call_later(timedelta(seconds=1), resize)
    world.deliver(plan("plan-1", [item("AAA", "BUY", 1900)]))
    return world


def fill_follows_the_second_reading() -> World:
    """Fill a part of an order five seconds after its end, while another order still rests."""
    ends = {
        "symbol": "AAA",
        "behaviour": "cancel",
        "after_seconds": 1,
        "late_fill": {"fraction": 0.4, "after_seconds": 5},
    }
    slow = {"symbol": "BBB", "behaviour": "later", "after_seconds": 9}
    config = steady_config().model_copy(update={"max_children": 1, "child_wait_seconds": Decimal(30)})
    world = margin_world(config=config, fills=[ends, slow])
    world.deliver(plan("plan-1", [item("AAA", "BUY", 1900), item("BBB", "BUY", 1900)]))
    return world


def fill_follows_the_first_reading() -> World:
    """Fill a part of an order between the first and the second reading of its end; another one follows it."""
    late = {"fraction": 0.4, "after_seconds": 0.45}
    ends = {"symbol": "AAA", "nth": 1, "behaviour": "cancel", "after_seconds": 1, "late_fill": late}
    config = steady_config().model_copy(update={"tick_seconds": Decimal("0.5"), "child_wait_seconds": Decimal(30)})
    slow = {"symbol": "BBB", "behaviour": "later", "after_seconds": 9}
    world = margin_world(config=config, fills=[ends, slow])
    world.deliver(plan("plan-1", [item("AAA", "BUY", 1900), item("BBB", "BUY", 1900)]))
    return world


def two_plans_exceed_the_limit_of_a_day() -> World:
    """Deliver two plans of which the limit of the day allows one."""
    config = steady_config().model_copy(update={"max_day_gross_dollars": Decimal(2000)})
    world = margin_world(config=config)
    for number, symbol in enumerate(("AAA", "BBB"), 1):
        world.deliver(plan(f"plan-{number}", [item(symbol, "BUY", 1900)]))
    return world


def orders_are_rejected_within_the_answer() -> World:
    """Reject every order within the answer, where one reject halts the account."""
    config = steady_config().model_copy(update={"max_rejects_in_a_row": 1})
    world = margin_world(config=config, default_fill={"behaviour": "immediate", "rejected_in_answer": True})
    world.deliver(plan("plan-1", [item("AAA", "BUY", 1900), item("BBB", "BUY", 1900)]))
    return world


def plan_yields() -> World:
    """Let a plan yield, and check its answer."""
    world = margin_world(fills=[{"symbol": "AAA", "nth": 1, "behaviour": "never"}])
    answer = world.deliver(plan("plan-1", [item("AAA", "BUY", 1900)]), seconds=4).answer
    if answer is not None:
        world.checker.check_answer({"account": "default", "plan_id": "plan-1"} | answer)
    return world


def operator_sets_the_switch(state: TradingState) -> World:
    """Let an operator set the kill switch while a buy rests that another one would follow soon."""
    config = steady_config().model_copy(update={"tick_seconds": Decimal("0.5")})
    world = margin_world(config=config, fills=[{"symbol": "AAA", "nth": 1, "behaviour": "never"}])

    def set_switch() -> None:
        switch = KillSwitchRecord(state, by="an operator", reason="a story", at=world.clock.now())
        world.ledger.set_kill_switch("default", switch)

    world.clock.call_later(timedelta(seconds=0.5), set_switch)
    world.deliver(plan("plan-1", [item("AAA", "BUY", 1900)]))
    return world


def flags_are_restored_between_two_plans() -> World:
    """Deliver a plan while an asset must not be traded, and another one a quarter of an hour after it may be again."""
    world = margin_world()
    world.exchange.merge({"assets": [{"symbol": "AAA", "tradable": False}]})
    world.flags_withdrawn_until["AAA"] = world.clock.world()
    world.deliver(plan("plan-1", [item("AAA", "BUY", 1900)]))
    world.exchange.merge({"assets": [{"symbol": "AAA", "tradable": True}]})
    world.clock.advance(timedelta(minutes=15))
    world.deliver(plan("plan-2", [item("AAA", "BUY", 1800)]))
    return world


def sell_rests_before_a_buy() -> World:
    """Let a buy wait for the proceeds of a sell that never fills, on an account with cash that it must not use."""
    config = steady_config().model_copy(update={"early_cash_fraction": Decimal(0)})
    rests = {"symbol": "AAA", "behaviour": "never"}
    world = margin_world(config=config, fills=[rests], positions=[{"symbol": "AAA", "qty": "20"}])
    world.deliver(plan("plan-1", [item("AAA", "SELL", 1900, is_exit=True), item("BBB", "BUY", 1900)]))
    return world


def market_clock_is_beyond_all_bounds() -> World:
    """Answer reads of the market clock with impossible dates and numbers, and with JSON that is nested too deeply."""
    world = margin_world(FaultInjector(queued={_CLOCK: [Fault.UNTYPED] * 6}))
    try:
        for number in range(6):
            world.broker.record.requests = number  # each plan meets another variant
            world.deliver(plan(f"plan-{number}", [item("AAA", "BUY", 100)]))
            world.clock.advance(timedelta(seconds=1))
    except (OverflowError, RecursionError) as error:
        raise Violation("the program failed") from error
    return world


def quotes_of_the_future_are_on_half_cents() -> World:
    """Mix quotes of the future, on half a cent, into those of a symbol on cents while an order walks the ladder."""
    quotes = {"AAA": {"bid": "99.99", "ask": "100.02"}}
    world = margin_world(config=steady_config("ladder"), quotes=quotes, default_fill={"behaviour": "never"})
    world.broker.view.traits = ViewTraits(has_future_quotes=True)
    world.deliver(plan("plan-1", [item("AAA", "BUY", 1900)]))
    return world


def targets_are_close_and_far() -> World:
    """Deliver a plan whose items are 100 dollars from their target, within the band, and beyond its tolerance."""
    config = steady_config().model_copy(update={"no_trade_band": Decimal("0.02")})
    held = [{"symbol": "AAA", "qty": "9"}, {"symbol": "BBB", "qty": "60"}]
    world = margin_world(config=config, positions=held)
    fields: dict[str, Any] = {"size_by": "target_value", "max_drift_tolerance": "0.04"}
    world.deliver(plan("plan-1", [item("AAA", "BUY", 700), item("BBB", "SELL", 20)], **fields))
    return world


def run_is_killed_before_it_publishes() -> World:
    """Kill the run of a plan between its result and the publication; only another plan follows."""
    world = margin_world(FaultInjector(queued={"publisher.publish": [Fault.KILL_BEFORE]}))
    world.deliver(plan("plan-1", [item("AAA", "BUY", 700)]))
    world.clock.advance(LEASE_EXPIRY)
    world.deliver(plan("plan-2", [item("BBB", "BUY", 700)], world.clock.world()))
    return world


def object_of_a_plan_is_deleted() -> World:
    """Delete the object of a plan that yielded; its version still exists."""
    world = margin_world(fills=[{"symbol": "AAA", "nth": 1, "behaviour": "never"}])
    world.plan_store.put("plan", plan("plan-1", [item("AAA", "BUY", 1900)]))
    pointer = {"plan_s3": {"bucket": BUCKET, "key": "plan"}}
    world.deliver(pointer, seconds=4)
    world.plan_store.delete("plan", with_versions=False)
    world.deliver(pointer)
    return world


def new_symbol_is_bought_before_the_open() -> World:
    """Buy a symbol at 08:00 in New York, when the latest of its bars is that of the last session."""
    config = steady_config().model_copy(update={"extended_hours": True})
    market = {"clock": {"sessions": "nyse"}, "quotes": {"AAA": {"bid": "99.99", "ask": "100.01"}}}
    start = START - timedelta(hours=2)
    world = World(market, config, FaultInjector(), start)
    world.deliver(plan("plan-1", [item("AAA", "BUY", 1900)], start))
    return world


def asset_path_is_missing_for_a_moment() -> World:
    """Answer the first read of an asset with a missing path; the plan is delivered again."""
    world = margin_world(FaultInjector(queued={_ASSET: [Fault.PATH_NOT_FOUND]}))
    for _ in range(2):
        world.deliver(plan("plan-1", [item("AAA", "BUY", 1900)]))
    return world


STORIES: dict[str, Callable[[], World]] = {
    "cash is read once per run": lambda: person_trades_between_two_orders("buy"),
    "positions are read once per run": lambda: person_trades_between_two_orders("sell"),
    "orders keep working after an error": keys_are_refused_for_market_data,
    "a claim with other content makes a plan invalid": other_content_is_killed_before_its_claim_is_released,
    "a missing path rejects an order": missing_path_answers_a_submission,
    "a lost order is sent again without cover": person_spends_the_cash_of_a_lost_order,
    "a changed own order counts as canceled": own_order_is_resized,
    "late fills are not counted before the result": fill_follows_the_second_reading,
    "the first reading of a final status counts": fill_follows_the_first_reading,
    "the daily limit is not checked": two_plans_exceed_the_limit_of_a_day,
    "a rejected order within an answer is not counted": orders_are_rejected_within_the_answer,
    "a yield is recorded as a result": plan_yields,
    "an account that may only reduce sends buys": lambda: operator_sets_the_switch(TradingState.REDUCING),
    "the kill switch is cached for 30 seconds": lambda: operator_sets_the_switch(TradingState.HALTED),
    "buys use proceeds before the sells are filled": sell_rests_before_a_buy,
    "early buys use more of the cash than is permitted": sell_rests_before_a_buy,
    "asset flags that say no are cached": flags_are_restored_between_two_plans,
    "the result of a killed run is not published": run_is_killed_before_it_publishes,
    "a deleted object makes a plan invalid that was delivered before": object_of_a_plan_is_deleted,
    "an impossible date is an untyped error": market_clock_is_beyond_all_bounds,
    "an answer nested too deeply is an untyped error": market_clock_is_beyond_all_bounds,
    "the no-trade band is ignored": targets_are_close_and_far,
    "re-targeting has no bound": targets_are_close_and_far,
    "the bar before the latest has the previous close": new_symbol_is_bought_before_the_open,
    "a missing path is a missing asset": asset_path_is_missing_for_a_moment,
    "a quote that must not price an order shows a tick": quotes_of_the_future_are_on_half_cents,
}
"""By name of the bug: a story that the program without bugs survives."""
