"""Opening and closing auctions: acceptance, price, partial fills, what they leave, and their rules in a scenario."""

import json
from datetime import datetime
from typing import Any

import pytest

from paper_broker.auctions import AuctionRule
from paper_broker.exchange import Exchange
from paper_broker.formats import JsonObject
from tests.unit.paper_broker.exchange_harness import ExchangeHarness, rejected_order, rejection

OPG, CLS = {"time_in_force": "opg"}, {"time_in_force": "cls"}
MARKET_ON_CLOSE = {"type": "market", **CLS}


def new_york(text: str) -> datetime:
    """Return a winter time in New York, such as ``2026-01-26 15:50``."""
    return datetime.fromisoformat(f"{text}-05:00")


CLOSE = new_york("2026-01-26 16:00")


def at(text: str, **world: Any) -> ExchangeHarness:
    """Return a harness at a time of day in New York on a Monday."""
    return ExchangeHarness(at=new_york(f"2026-01-26 {text}"), **world)


def outcome(harness: ExchangeHarness, order: JsonObject) -> tuple[str, str, str | None]:
    """Return status, filled quantity and average price of an order."""
    current = harness.read(order)
    return current["status"], current["filled_qty"], current["filled_avg_price"]


# Acceptance


@pytest.mark.parametrize(
    ("time", "order", "period"),
    [
        ("2026-01-26 09:27:59", OPG, None),
        ("2026-01-26 09:28:00", OPG, "9:28am and 7:00pm ET"),
        ("2026-01-26 12:00:00", OPG, "9:28am and 7:00pm ET"),
        ("2026-01-26 18:59:59", OPG, "9:28am and 7:00pm ET"),
        ("2026-01-26 19:00:00", OPG, None),
        ("2026-01-26 08:00:00", CLS, None),
        ("2026-01-26 15:49:59", CLS, None),
        ("2026-01-26 15:50:00", CLS, "3:50pm and 7:00pm ET"),
        ("2026-01-26 18:59:59", CLS, "3:50pm and 7:00pm ET"),
        ("2026-01-26 19:00:00", CLS, None),
        ("2026-11-27 12:49:59", CLS, None),  # half day
        ("2026-11-27 12:50:00", CLS, "12:50pm and 7:00pm ET"),
        ("2026-11-27 09:28:00", OPG, "9:28am and 7:00pm ET"),
        ("2026-01-24 16:30:00", CLS, None),  # Saturday
        ("2026-01-19 12:00:00", OPG, None),  # holiday
        ("2026-01-26 15:50:00", {}, None),
    ],
)
def test_orders_are_rejected_around_their_auction(time: str, order: dict[str, str], period: str | None) -> None:
    harness = ExchangeHarness(at=new_york(time))

    if period is None:
        assert harness.order(**order)["status"] in ("accepted", "pending_new")
    else:
        message = f"{order['time_in_force']} orders are not accepted between {period}"
        assert rejected_order(harness, **order) == (403, 40310000, message)


@pytest.mark.parametrize("time_in_force", ["opg", "cls"])
@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({"qty": "1.5"}, "fractional orders must be DAY orders"),
        ({"type": "market", "notional": "50"}, "fractional orders must be DAY orders"),
        ({"extended_hours": True}, "extended hours order must be DAY or GTC limit orders"),
    ],
)
def test_auctions_take_whole_shares_in_regular_hours(time_in_force: str, order: dict[str, Any], message: str) -> None:
    harness = at("08:00")

    assert rejected_order(harness, time_in_force=time_in_force, **order) == (422, 42210000, message)


def test_account_that_is_not_entitled_is_rejected_in_one_symbol_and_at_one_auction() -> None:
    rule = {"symbol": "ABC", "time_in_force": "opg", "accepts": False}
    harness = at("08:00", auctions=[rule])

    assert rejected_order(harness, **OPG) == (403, 40310000, "account is not allowed to submit opg orders")
    assert harness.order(**CLS)["status"] == "accepted"


def test_market_without_auctions_rejects_their_orders() -> None:
    harness = at("10:00", clock={"sessions": "always_open"})

    status, code, message = rejected_order(harness, **CLS)

    assert (status, code) == (422, 42210000)
    assert message == "cls orders are not accepted: this market has no auctions"


def test_order_is_accepted_until_the_open_and_then_new() -> None:
    harness = at("08:00")
    order = harness.order(**CLS)
    assert order["status"] == "accepted"

    harness.now = new_york("2026-01-26 09:30")

    assert harness.status(order) == "new"
    assert order["time_in_force"] == "cls"


@pytest.mark.parametrize(
    ("sent", "order", "last_minute", "auction"),
    [
        ("2026-01-23 19:00", OPG, "2026-01-26 09:29", "2026-01-26 09:30"),
        ("2026-01-23 19:00", CLS, "2026-01-26 15:59", "2026-01-26 16:00"),
        ("2026-01-26 15:49", CLS, "2026-01-26 15:59", "2026-01-26 16:00"),
        ("2026-11-27 12:49", CLS, "2026-11-27 12:59", "2026-11-27 13:00"),
    ],
)
def test_order_waits_for_the_next_auction(sent: str, order: dict[str, str], last_minute: str, auction: str) -> None:
    harness = ExchangeHarness(at=new_york(sent))
    queued = harness.order(**order)
    harness.now = new_york(last_minute)
    assert harness.status(queued) in ("accepted", "new")

    harness.now = new_york(auction)

    assert outcome(harness, queued) == ("filled", "10", "10.01")


# Cancels and replacements


@pytest.mark.parametrize(
    ("sent", "order", "last_chance", "too_late"),
    [
        ("2026-01-26 08:00", OPG, "2026-01-26 09:27:59", "2026-01-26 09:28"),
        ("2026-01-26 10:00", CLS, "2026-01-26 15:49:59", "2026-01-26 15:50"),
        ("2026-11-27 10:00", CLS, "2026-11-27 12:49:59", "2026-11-27 12:50"),
    ],
)
def test_order_is_final_shortly_before_its_auction(
    sent: str, order: dict[str, str], last_chance: str, too_late: str
) -> None:
    harness = ExchangeHarness(at=new_york(sent))
    first, second = harness.order(**order), harness.order(**order)
    harness.now = new_york(last_chance)
    harness.exchange.cancel_order(first["id"])
    assert harness.status(first) == "canceled"

    harness.now = new_york(too_late)

    cancel = rejection(lambda: harness.exchange.cancel_order(second["id"]))
    replace = rejection(lambda: harness.exchange.replace_order(second["id"], {"limit_price": "10.05"}))
    assert (cancel.http_status, cancel.code) == (replace.http_status, replace.code) == (422, 42210000)
    assert cancel.message.startswith("order is not cancelable")
    assert harness.exchange.cancel_all()[0]["status"] == 500


def test_replacement_of_a_resting_order_has_its_auction() -> None:
    harness = at("10:00")
    old = harness.order(**CLS, limit_price="9")
    harness.read(old)

    new = harness.exchange.replace_order(old["id"], {"limit_price": "10.05"})
    harness.now = CLOSE

    assert (harness.status(old), outcome(harness, new)) == ("replaced", ("filled", "10", "10.01"))


def test_replacement_that_is_slower_than_the_auction_is_rejected() -> None:
    harness = at("15:49", default_fill={"replace_seconds": 661})
    old = harness.order(**CLS, limit_price="9")
    harness.read(old)
    new = harness.exchange.replace_order(old["id"], {"limit_price": "10.05"})

    harness.now = new_york("2026-01-26 16:00:30")

    assert (harness.status(old), harness.status(new), harness.shares()) == ("expired", "rejected", "20")


def test_order_whose_cancel_is_unconfirmed_executes() -> None:
    harness = at("15:49", default_fill={"cancel_seconds": None}, auctions=[{"fill_fraction": 0.4}])
    order = harness.order(**CLS)
    harness.exchange.cancel_order(order["id"])
    harness.now = CLOSE
    assert outcome(harness, order) == ("pending_cancel", "4", "10.01")

    harness.wait(seconds=30)

    assert outcome(harness, order) == ("canceled", "4", "10.01")


# Price and executions


def test_auction_has_one_price_for_all_orders_that_it_meets() -> None:
    harness = at("10:00", account={"cash": "100000"}, auctions=[{"symbol": "ABC", "price": "10.07"}])
    orders = [
        harness.order(**MARKET_ON_CLOSE),
        harness.order(**CLS, limit_price="10.50"),
        harness.order(**CLS, limit_price="10.07"),
        harness.order(**CLS, limit_price="10.06"),
    ]

    harness.now = CLOSE

    assert [outcome(harness, order) for order in orders] == [
        ("filled", "10", "10.07"),
        ("filled", "10", "10.07"),
        ("filled", "10", "10.07"),
        ("new", "0", None),
    ]


def test_sale_executes_at_or_above_its_limit() -> None:
    harness = at("10:00")
    met, missed = harness.order(side="sell", **CLS), harness.order(side="sell", **CLS, limit_price="10.02")

    harness.now = CLOSE

    assert outcome(harness, met) == ("filled", "10", "10.01")
    assert outcome(harness, missed) == ("new", "0", None)


def test_order_does_not_trade_before_its_auction() -> None:
    harness = at("10:00")
    order = harness.order(**CLS, limit_price="20")
    harness.exchange.merge({"quotes": {"ABC": {"bid": "5", "ask": "5.02"}}})
    harness.now = new_york("2026-01-26 15:59:59")

    assert outcome(harness, order) == ("new", "0", None)


def test_price_is_that_of_the_moment_even_if_the_clock_jumps_over_it() -> None:
    drift = {"step_seconds": 60, "basis_points": 20}
    steps, jump = at("15:00", drift=drift), at("15:00", drift=drift)
    slow, fast = steps.order(**MARKET_ON_CLOSE), jump.order(**MARKET_ON_CLOSE)
    for _ in range(60):
        steps.wait(minutes=1)
        steps.read(slow)

    jump.now = new_york("2026-01-26 16:20")

    assert outcome(jump, fast) == outcome(steps, slow)
    assert jump.read(fast)["filled_at"] == "2026-01-26T21:00:00.000000000Z"


@pytest.mark.parametrize(
    ("world", "rule"),
    [
        ({"assets": [{"symbol": "ABC", "halted": True}]}, {}),
        ({"halted": True}, {}),
        ({"default_fill": {"behaviour": "never"}}, {}),
        ({}, {"fill_fraction": 0}),
        ({}, {"volume": 0}),
    ],
)
def test_nothing_executes_without_an_auction_or_a_counterparty(world: dict[str, Any], rule: dict[str, Any]) -> None:
    harness = at("10:00", auctions=[rule], **world)
    order = harness.order(**MARKET_ON_CLOSE)

    harness.now = CLOSE

    assert outcome(harness, order) == ("new", "0", None)


def test_missing_side_of_the_quote_makes_the_last_price_that_of_the_auction() -> None:
    harness = at("10:00")
    order = harness.order(**MARKET_ON_CLOSE)
    harness.exchange.merge({"quotes": {"ABC": {"bid": "0", "ask": "11", "last": "10.44"}}})

    harness.now = CLOSE

    assert outcome(harness, order) == ("filled", "10", "10.44")


@pytest.mark.parametrize(
    ("world", "filled"),
    [
        ({"auctions": [{"fill_fraction": 0.35}]}, "3"),
        ({"default_fill": {"behaviour": "parts", "parts": [{"fraction": 0.35, "after_seconds": 2}]}}, "3"),
        (
            {
                "default_fill": {"behaviour": "expire", "fraction": 0.5, "after_seconds": 9},
                "auctions": [{"fill_fraction": 0.5}],
            },
            "2",
        ),
    ],
)
def test_partial_fill_is_in_whole_shares(world: dict[str, Any], filled: str) -> None:
    harness = at("10:00", **world)
    order = harness.order(**CLS)

    harness.now = CLOSE

    assert outcome(harness, order) == ("partially_filled", filled, "10.01")
    assert harness.shares() == str(20 + int(filled))


def test_volume_of_an_auction_is_shared_by_age() -> None:
    harness = at("08:00", auctions=[{"time_in_force": "cls", "volume": 15}])
    first, second, third = (harness.order(**CLS) for _ in range(3))

    harness.now = CLOSE

    assert [harness.read(order)["filled_qty"] for order in (first, second, third)] == ["10", "5", "0"]


# What an auction leaves


@pytest.mark.parametrize(
    ("order", "rule", "auction", "seconds", "status"),
    [
        (OPG, {}, "09:30", 0, "canceled"),
        (CLS, {}, "16:00", 30, "expired"),
        (OPG, {"unfilled": "expired", "unfilled_seconds": 5}, "09:30", 5, "expired"),
        (CLS, {"unfilled": "canceled", "unfilled_seconds": 0}, "16:00", 0, "canceled"),
        (CLS, {"expire_all": True}, "16:00", 30, "expired"),
        (OPG, {"expire_all": True}, "09:30", 30, "expired"),
    ],
)
def test_remainder_is_closed_after_the_auction(
    order: dict[str, str], rule: dict[str, Any], auction: str, seconds: int, status: str
) -> None:
    harness = at("08:00", auctions=[{"fill_fraction": 0.4, **rule}])
    sent = harness.order(**order)
    harness.now = new_york(f"2026-01-26 {auction}")
    if seconds:
        harness.wait(seconds=seconds - 1)
        assert harness.status(sent) in ("new", "partially_filled")
        harness.wait(seconds=1)

    closed = harness.read(sent)

    assert closed["status"] == status
    assert closed["filled_qty"] == ("0" if rule.get("expire_all") else "4")
    assert closed[f"{status}_at"] is not None


def test_fill_behaviour_decides_how_the_remainder_ends() -> None:
    harness = at("10:00", default_fill={"behaviour": "cancel", "fraction": 0.4, "after_seconds": 3})
    order = harness.order(**CLS)

    harness.now = new_york("2026-01-26 16:00:03")

    assert outcome(harness, order) == ("canceled", "4", "10.01")


def test_broker_can_reject_an_order_after_it_accepted_it() -> None:
    harness = at("10:00", default_fill={"behaviour": "reject", "after_seconds": 60})
    order = harness.order(**CLS)
    assert harness.status(order) == "new"

    harness.wait(seconds=60)

    assert harness.status(order) == "rejected"


def test_order_that_is_still_pending_misses_the_auction() -> None:
    harness = at("15:49", default_fill={"pending_new_seconds": 661})
    order = harness.order(**CLS)

    harness.now = new_york("2026-01-26 16:00:30")

    assert outcome(harness, order) == ("expired", "0", None)


def test_report_of_an_auction_can_be_late_and_has_its_price() -> None:
    harness = at("10:00", auctions=[{"delay_seconds": 20}])
    order, missed = harness.order(**CLS), harness.order(**CLS, limit_price="9")
    harness.now = new_york("2026-01-26 16:00:10")
    assert (outcome(harness, order), harness.shares(), harness.cash) == (("new", "0", None), "20", "10000")
    harness.exchange.merge({"quotes": {"ABC": {"bid": "12", "ask": "12.02"}}})

    harness.wait(seconds=10)

    assert (outcome(harness, order), harness.shares(), harness.cash) == (("filled", "10", "10.01"), "30", "9899.9")
    assert harness.status(missed) == "new"
    harness.wait(seconds=30)
    assert harness.status(missed) == "expired"


# Cash and shares


def test_orders_reserve_cash_and_shares_until_they_end() -> None:
    harness = at("10:00", auctions=[{"fill_fraction": 0.5}])
    harness.order(**MARKET_ON_CLOSE)
    harness.order(symbol="ABC", side="buy", **CLS, limit_price="10")
    assert harness.buying_power == "9794.8"  # 10 at the collar of 10.52, 10 at the limit

    harness.now = new_york("2026-01-26 16:00:30")

    assert (harness.cash, harness.buying_power) == ("9949.95", "9949.95")


def test_sale_on_close_reserves_its_shares_and_pays_at_the_auction() -> None:
    harness = at("10:00")
    harness.order(side="sell", qty="15", **MARKET_ON_CLOSE)
    assert harness.exchange.position("ABC")["qty_available"] == "5"
    assert rejected_order(harness, side="sell", qty="6", **CLS)[0] == 403

    harness.now = CLOSE

    assert (harness.shares(), harness.cash) == ("5", "10150.15")
    (activity,) = harness.exchange.activities()
    assert (activity["type"], activity["qty"], activity["price"]) == ("fill", "15", "10.01")
    assert activity["transaction_time"] == "2026-01-26T21:00:00.000000000Z"


# Scenario and state


@pytest.mark.parametrize(
    "spec",
    [
        {"colour": "red"},
        {"time_in_force": "day"},
        {"fill_fraction": 1.5},
        {"fill_fraction": "half"},
        {"volume": -1},
        {"price": 0},
        {"unfilled": "done"},
        {"unfilled_seconds": -1},
        {"delay_seconds": "NaN"},
        {"accepts": "no"},
        {"expire_all": None},
    ],
    ids=str,
)
def test_invalid_rule_is_rejected(spec: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"auction.*{next(iter(spec))}|{next(iter(spec))}.*auction"):
        AuctionRule.parse(spec)


def test_rules_change_while_an_order_waits() -> None:
    harness = at("10:00")
    order = harness.order(**MARKET_ON_CLOSE)

    harness.exchange.merge({"auctions": [{"symbol": "XYZ"}, {"symbol": "ABC", "price": "10.04", "fill_fraction": 0.5}]})
    harness.now = CLOSE

    assert outcome(harness, order) == ("partially_filled", "5", "10.04")


def test_waiting_order_has_the_auction_of_changed_trading_hours() -> None:
    harness = at("10:00")
    order = harness.order(**CLS)

    harness.exchange.merge({"clock": {"half_days": ["2026-01-26"]}})
    harness.now = new_york("2026-01-26 13:00")

    assert outcome(harness, order) == ("filled", "10", "10.01")


@pytest.mark.parametrize("saved_at", ["10:00:00", "15:50:00", "16:00:00", "16:00:05", "16:00:10", "16:00:39"])
def test_state_keeps_an_auction_at_every_stage(saved_at: str) -> None:
    rules = [{"volume": 15, "delay_seconds": 10}]
    harness = at("10:00", auctions=rules, drift={"step_seconds": 60, "basis_points": 20})
    orders = [harness.order(**CLS, limit_price="12") for _ in range(3)]
    harness.now = new_york(f"2026-01-26 {saved_at}")
    harness.exchange.advance()

    state = json.loads(json.dumps(harness.exchange.dump()))
    harness.now = new_york("2026-01-26 16:01")
    restored = Exchange.load(state, lambda: harness.now)

    expected = [harness.read(order) for order in orders]
    assert [restored.get_order(order["id"]) for order in orders] == expected
    assert [(order["status"], order["filled_qty"]) for order in expected] == [
        ("filled", "10"),
        ("expired", "5"),
        ("expired", "0"),
    ]
    assert restored.account() == harness.exchange.account()
    assert restored.dump()["auctions"] == rules


def test_restored_exchange_runs_the_auction_that_it_missed() -> None:
    harness = at("15:40")
    order = harness.order(**CLS)
    state = harness.exchange.dump()

    harness.now = new_york("2026-01-27 08:00")
    restored = Exchange.load(state, lambda: harness.now)

    assert restored.get_order(order["id"])["filled_at"] == "2026-01-26T21:00:00.000000000Z"
