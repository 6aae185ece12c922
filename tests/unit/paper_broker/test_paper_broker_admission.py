"""Admission checks: orders that the exchange accepts and rejects."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.paper_broker.exchange_harness import ExchangeHarness, rejected_order, rejection

MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({"symbol": ""}, "symbol is required"),
    ({"side": "hold"}, "invalid side hold: supported are buy, sell"),
    ({"type": "trailing_stop"}, "invalid type trailing_stop: supported are market, limit, stop, stop_limit"),
    ({"time_in_force": "gtd"}, "invalid time_in_force gtd: supported are day, gtc, opg, cls, ioc, fok"),
    ({"qty": None}, "qty or notional is required"),
    ({"qty": "1", "notional": "10"}, "only one of qty or notional is accepted"),
    ({"qty": "many"}, "qty is not a number"),
    ({"qty": "NaN"}, "qty is not a number"),
    ({"qty": "1e12"}, "qty is out of range"),
    ({"limit_price": "1e30"}, "limit_price is out of range"),
    ({"limit_price": None}, "limit orders require a limit price"),
    ({"type": "stop"}, "stop orders require a stop price"),
    ({"type": "market", "limit_price": "10"}, "market orders require no limit price"),
    ({"client_order_id": "x" * 129}, "client_order_id must be no more than 128 characters"),
]
UNPROCESSABLE: list[tuple[dict[str, Any], str]] = [
    ({"qty": "0"}, "qty must be > 0"),
    ({"qty": "0.0000000009"}, "qty must be > 0"),
    ({"symbol": "NONE"}, 'asset "NONE" not found'),
    ({"symbol": "OLD"}, 'asset "OLD" is not active'),
    ({"symbol": "OTC"}, 'asset "OTC" is not tradable'),
    ({"limit_price": "0"}, "limit_price must be > 0"),
    (
        {"limit_price": "10.001"},
        "invalid limit_price 10.001. sub-penny increment does not fulfill minimum pricing criteria",
    ),
    (
        {"limit_price": "0.12345"},
        "invalid limit_price 0.12345. sub-penny increment does not fulfill minimum pricing criteria",
    ),
    ({"qty": "1.5", "time_in_force": "gtc"}, "fractional orders must be DAY orders"),
    ({"qty": "1.5", "order_class": "bracket"}, "fractional orders must be simple orders"),
    ({"order_class": "bracket"}, "order_class bracket is not supported by this broker"),
    ({"type": "market", "notional": "0.99"}, "notional amount must be >= 1.00"),
    ({"type": "market", "notional": "10.001"}, "notional amount must be limited to 2 decimal places"),
    ({"type": "market", "notional": "0"}, "notional amount must be >= 1.00"),
    ({"side": "sell", "type": "market", "notional": "0"}, "notional amount must be >= 1.00"),
    ({"type": "market", "extended_hours": True}, "extended hours order must be DAY or GTC limit orders"),
    ({"time_in_force": "ioc", "extended_hours": True}, "extended hours order must be DAY or GTC limit orders"),
    ({"type": "stop", "stop_price": "11", "time_in_force": "opg"}, "opg orders must be market or limit orders"),
    ({"type": "market", "symbol": "DARK"}, "unable to price the order: DARK has no quote"),
]
ASSETS = [
    {"symbol": "OLD", "status": "inactive"},
    {"symbol": "OTC", "tradable": False},
    {"symbol": "DARK"},
]


@pytest.mark.parametrize(("body", "message"), MALFORMED)
def test_malformed_order_is_rejected(body: dict[str, Any], message: str) -> None:
    assert rejected_order(ExchangeHarness(), **body) == (422, 40010001, message)


@pytest.mark.parametrize(("body", "message"), UNPROCESSABLE)
def test_order_that_breaks_a_rule_is_unprocessable(body: dict[str, Any], message: str) -> None:
    assert rejected_order(ExchangeHarness(assets=ASSETS), **body) == (422, 42210000, message)


def test_price_below_one_dollar_has_four_decimals() -> None:
    assert ExchangeHarness().order(limit_price="0.1234", qty="100")["limit_price"] == "0.1234"


@pytest.mark.parametrize("tick_size", ["0.005", 0.005])
def test_asset_with_a_half_cent_tick_accepts_half_cents_and_nothing_finer(tick_size: object) -> None:
    harness = ExchangeHarness(assets=[{"symbol": "ABC", "tick_size": tick_size}])

    assert harness.order(limit_price="9.985")["limit_price"] == "9.985"
    assert rejected_order(harness, limit_price="9.9825")[:2] == (422, 42210000)
    assert rejected_order(harness, limit_price="0.12345")[:2] == (422, 42210000)


def test_unknown_tick_size_is_refused() -> None:
    with pytest.raises(ValueError, match="Unknown tick_size"):
        ExchangeHarness(assets=[{"symbol": "ABC", "tick_size": "0.001"}])


def test_quantity_is_truncated_to_nine_decimals() -> None:
    assert ExchangeHarness().order(qty="1.1234567899")["qty"] == "1.123456789"


def test_float_quantity_loses_its_rounding_error() -> None:
    assert ExchangeHarness().order(qty=0.1 + 0.2)["qty"] == "0.3"


def test_client_order_id_of_128_characters_is_accepted() -> None:
    assert ExchangeHarness().order(client_order_id="x" * 128)["client_order_id"] == "x" * 128


@pytest.mark.parametrize(
    ("behaviour", "status"), [("immediate", "filled"), ("cancel", "canceled"), ("reject", "rejected")]
)
def test_client_order_id_cannot_be_reused_after_its_order_closed(behaviour: str, status: str) -> None:
    harness = ExchangeHarness(default_fill={"behaviour": behaviour})
    order = harness.order(client_order_id="once")
    assert harness.status(order) == status

    error = rejected_order(harness, client_order_id="once", qty="1")

    assert error == (422, 40010001, "client_order_id must be unique")


def test_rejected_submission_does_not_use_its_client_order_id() -> None:
    harness = ExchangeHarness()
    rejected_order(harness, client_order_id="once", limit_price="10.001")

    assert harness.order(client_order_id="once")["client_order_id"] == "once"


@pytest.mark.parametrize(
    ("account", "message"),
    [
        ({"trade_suspended_by_user": True}, "new orders are rejected by user request"),
        ({"trading_blocked": True}, "account is not allowed to trade"),
        ({"account_blocked": True}, "account is not allowed to trade"),
        ({"status": "ACCOUNT_UPDATED"}, "account is not allowed to trade"),
    ],
)
def test_blocked_account_cannot_trade(account: dict[str, Any], message: str) -> None:
    harness = ExchangeHarness(account={"cash": "10000", **account})

    assert rejected_order(harness) == (403, 40310000, message)


def test_sale_cannot_exceed_the_position_by_a_millionth_of_a_share() -> None:
    harness = ExchangeHarness(positions=[{"symbol": "ABC", "qty": "7.2273576"}])

    assert rejected_order(harness, side="sell", qty="7.227358")[0] == 403
    assert harness.order(side="sell", qty="7.2273576")["status"] == "pending_new"


def test_open_buy_reserves_buying_power() -> None:
    harness = ExchangeHarness(account={"cash": "150"})
    harness.order(qty="10", limit_price="9")

    assert harness.buying_power == "60"
    assert rejected_order(harness, qty="7", limit_price="9")[2] == "insufficient buying power"
    assert harness.order(qty="6", limit_price="9")["status"] == "pending_new"


def test_margin_account_can_buy_for_twice_its_cash() -> None:
    harness = ExchangeHarness(account={"cash": "100", "multiplier": "2"}, positions=[])

    assert harness.buying_power == "200"
    assert harness.order(qty="19")["status"] == "pending_new"


def test_market_order_needs_buying_power_up_to_its_collar() -> None:
    error = rejection(lambda: ExchangeHarness(account={"cash": "105.19"}).order(type="market"))

    assert error.extras["cost_basis"] == "105.2"


def test_minimum_cost_applies_to_buys_only() -> None:
    harness = ExchangeHarness()

    error = rejected_order(harness, qty="0.05")

    assert error == (403, 40310000, "cost basis must be >= minimal amount of order 1")
    assert harness.order(side="sell", qty="0.05")["status"] == "pending_new"
    assert harness.order(side="sell", type="market", notional="0.50")["status"] == "pending_new"


def test_account_in_liquidation_can_only_sell() -> None:
    harness = ExchangeHarness(account={"cash": "10000", "liquidation_only": True})

    error = rejected_order(harness)

    assert error == (403, 40310000, "account is restricted to liquidation only")
    assert harness.order(side="sell")["status"] == "pending_new"


# Blackout windows


WINDOW = {"from": "09:27", "until": "09:31", "side": "buy", "fractional": True, "message": "not during the auction"}


@pytest.mark.parametrize(
    ("new_york", "order", "message"),
    [
        ("09:26:59", {"qty": "1.5"}, None),
        ("09:27:00", {"qty": "1.5"}, "not during the auction"),
        ("09:30:59", {"type": "market", "notional": "50"}, "not during the auction"),
        ("09:31:00", {"qty": "1.5"}, None),
        ("09:28:00", {"qty": "1"}, None),
        ("09:28:00", {"qty": "1.5", "side": "sell"}, None),
    ],
)
def test_order_is_rejected_in_a_blackout_window(new_york: str, order: dict[str, Any], message: str | None) -> None:
    at = datetime.fromisoformat(f"2026-01-26T{new_york}-05:00")
    harness = ExchangeHarness(at=at, blackout_windows=[WINDOW])

    if message is None:
        assert harness.order(**order)["status"] in ("pending_new", "accepted")
    else:
        assert rejected_order(harness, **order) == (403, 40310000, message)


@pytest.mark.parametrize("spec", [{"from": "09:27"}, {"from": "x", "until": "y"}, {**WINDOW, "colour": "red"}])
def test_invalid_blackout_window_is_rejected(spec: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"until|isoformat|colour"):
        ExchangeHarness(blackout_windows=[spec])


@pytest.mark.parametrize(
    ("resting", "incoming", "reason"),
    [
        ({"limit_price": "9.50"}, {"type": "market"}, "opposite side market/stop order exists"),
        ({"type": "stop", "stop_price": "12"}, {"limit_price": "11"}, "opposite side market/stop order exists"),
        ({"limit_price": "9.50"}, {"limit_price": "9.50"}, "opposite side limit order exists"),
    ],
)
def test_order_that_could_trade_with_an_open_order_is_a_wash_trade(
    resting: dict[str, Any], incoming: dict[str, Any], reason: str
) -> None:
    harness = ExchangeHarness(default_fill={"behaviour": "never"})
    first = harness.order(**{"side": "buy", "type": "limit", **resting})

    error = rejection(lambda: harness.order(side="sell", **incoming))

    assert (error.http_status, error.code) == (403, 40310000)
    assert error.message == "potential wash trade detected. use complex orders"
    assert error.extras == {"existing_order_id": first["id"], "reject_reason": reason}


def test_limits_that_do_not_cross_are_accepted() -> None:
    harness = ExchangeHarness()
    harness.order(limit_price="9.50")

    assert harness.order(side="sell", limit_price="9.51")["status"] == "pending_new"


def test_closed_order_causes_no_wash_trade() -> None:
    harness = ExchangeHarness()
    harness.order()

    assert harness.order(side="sell", type="market")["status"] == "pending_new"


def test_notional_sale_requires_a_bid() -> None:
    harness = ExchangeHarness(quotes={"ABC": {"bid": "0", "ask": "10"}})

    error = rejected_order(harness, side="sell", type="market", notional="50")

    assert error == (422, 42210000, "unable to price the order: there is no bid")


def test_order_outside_trading_hours_is_accepted_for_the_next_session() -> None:
    harness = ExchangeHarness(at=datetime(2026, 1, 24, 12, tzinfo=UTC))

    assert harness.order()["status"] == "accepted"
