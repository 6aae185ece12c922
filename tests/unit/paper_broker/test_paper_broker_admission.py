"""What the exchange refuses at the door, and what it lets in."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.paper_broker.desk import Desk, refusal, refused_order

UNREADABLE: list[tuple[dict[str, Any], str]] = [
    ({"symbol": ""}, "symbol is required"),
    ({"side": "hold"}, "invalid side hold: this broker knows buy, sell"),
    ({"type": "trailing_stop"}, "invalid type trailing_stop: this broker knows market, limit, stop, stop_limit"),
    ({"time_in_force": "gtd"}, "invalid time_in_force gtd: this broker knows day, gtc, opg, cls, ioc, fok"),
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
AGAINST_THE_RULES: list[tuple[dict[str, Any], str]] = [
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
    {"symbol": "WHOLE", "fractionable": False},
    {"symbol": "DARK"},
]


@pytest.mark.parametrize(("body", "message"), UNREADABLE)
def test_an_unreadable_order_is_refused_as_malformed(body: dict[str, Any], message: str) -> None:
    assert refused_order(Desk(), **body) == (422, 40010001, message)


@pytest.mark.parametrize(("body", "message"), AGAINST_THE_RULES)
def test_an_order_against_the_rules_is_refused_as_unprocessable(body: dict[str, Any], message: str) -> None:
    assert refused_order(Desk(assets=ASSETS), **body) == (422, 42210000, message)


def test_a_fraction_of_an_asset_that_is_not_fractionable_is_forbidden() -> None:
    answer = refused_order(Desk(assets=ASSETS), symbol="WHOLE", qty="1.5")

    assert answer == (403, 40310000, 'asset "WHOLE" is not fractionable')


def test_prices_below_a_dollar_have_four_decimals() -> None:
    assert Desk().order(limit_price="0.1234", qty="100")["limit_price"] == "0.1234"


def test_shares_beyond_nine_decimals_are_cut_off_silently() -> None:
    assert Desk().order(qty="1.1234567899")["qty"] == "1.123456789"


def test_a_float_of_the_sdk_is_cut_to_what_was_meant() -> None:
    assert Desk().order(qty=0.1 + 0.2)["qty"] == "0.3"


def test_a_client_order_id_of_128_characters_is_taken() -> None:
    assert Desk().order(client_order_id="x" * 128)["client_order_id"] == "x" * 128


@pytest.mark.parametrize("fate", ["filled", "canceled", "rejected"])
def test_a_client_order_id_stays_used_whatever_became_of_its_order(fate: str) -> None:
    script = {"filled": "immediate", "canceled": "cancel", "rejected": "reject"}[fate]
    desk = Desk(default_fill={"behaviour": script})
    order = desk.order(client_order_id="once")
    assert desk.status(order) == fate

    answer = refused_order(desk, client_order_id="once", qty="1")

    assert answer == (422, 40010001, "client_order_id must be unique")


def test_a_refused_order_does_not_use_up_its_client_order_id() -> None:
    desk = Desk()
    refused_order(desk, client_order_id="once", limit_price="10.001")

    assert desk.order(client_order_id="once")["client_order_id"] == "once"


@pytest.mark.parametrize(
    ("account", "message"),
    [
        ({"trade_suspended_by_user": True}, "new orders are rejected by user request"),
        ({"trading_blocked": True}, "account is not allowed to trade"),
        ({"account_blocked": True}, "account is not allowed to trade"),
        ({"status": "ACCOUNT_UPDATED"}, "account is not allowed to trade"),
    ],
)
def test_an_account_that_must_not_trade_is_refused(account: dict[str, Any], message: str) -> None:
    desk = Desk(account={"cash": "10000", **account})

    assert refused_order(desk) == (403, 40310000, message)


def test_a_sale_of_what_is_not_held_is_no_short_sale() -> None:
    desk = Desk(quotes={"XYZ": {"bid": "5", "ask": "5.01"}})

    answer = refused_order(desk, symbol="XYZ", side="sell", limit_price="5")

    assert answer == (403, 40310000, "account is not allowed to short")


def test_a_sale_beyond_the_position_names_what_is_held_for_which_orders() -> None:
    desk = Desk()
    resting = desk.order(side="sell", qty="15", limit_price="11")

    error = refusal(lambda: desk.order(side="sell", qty="6", limit_price="11"))

    assert (error.http_status, error.code) == (403, 40310000)
    assert error.message == "insufficient qty available for order (requested: 6, available: 5)"
    assert error.extras == {
        "available": "5",
        "existing_qty": "20",
        "held_for_orders": "15",
        "symbol": "ABC",
        "related_orders": [resting["id"]],
    }


def test_an_exit_by_a_ten_millionth_too_much_is_refused() -> None:
    desk = Desk(positions=[{"symbol": "ABC", "qty": "7.2273576"}])

    assert refused_order(desk, side="sell", qty="7.227358")[0] == 403
    assert desk.order(side="sell", qty="7.2273576")["status"] == "pending_new"


def test_a_buy_beyond_the_buying_power_names_both_amounts() -> None:
    error = refusal(lambda: Desk(account={"cash": "100"}).order())

    assert (error.http_status, error.code, error.message) == (403, 40310000, "insufficient buying power")
    assert error.extras == {"buying_power": "100", "cost_basis": "100.2"}


def test_open_buys_leave_less_for_others() -> None:
    desk = Desk(account={"cash": "150"})
    desk.order(qty="10", limit_price="9")

    assert desk.buying_power == "60"
    assert refused_order(desk, qty="7", limit_price="9")[2] == "insufficient buying power"
    assert desk.order(qty="6", limit_price="9")["status"] == "pending_new"


def test_a_margin_account_buys_twice_its_cash() -> None:
    desk = Desk(account={"cash": "100", "multiplier": "2"}, positions=[])

    assert desk.buying_power == "200"
    assert desk.order(qty="19")["status"] == "pending_new"


def test_buying_power_covers_a_market_order_up_to_its_collar() -> None:
    error = refusal(lambda: Desk(account={"cash": "105.19"}).order(type="market"))

    assert error.extras["cost_basis"] == "105.2"


def test_a_buy_of_less_than_a_dollar_is_forbidden_and_a_sale_is_not() -> None:
    desk = Desk()

    answer = refused_order(desk, qty="0.05")

    assert answer == (403, 40310000, "cost basis must be >= minimal amount of order 1")
    assert desk.order(side="sell", qty="0.05")["status"] == "pending_new"
    assert desk.order(side="sell", type="market", notional="0.50")["status"] == "pending_new"


def test_an_account_in_liquidation_sells_and_does_not_buy() -> None:
    desk = Desk(account={"cash": "10000", "liquidation_only": True})

    answer = refused_order(desk)

    assert answer == (403, 40310000, "account is restricted to liquidation only")
    assert desk.order(side="sell")["status"] == "pending_new"


def test_a_scenario_may_choose_among_the_codes_that_have_been_seen() -> None:
    desk = Desk(
        account={"cash": "10000", "duplicate_code": 42210000, "wash_trade_status": 422},
        default_fill={"behaviour": "never"},
    )
    desk.order(client_order_id="once")

    assert refused_order(desk, client_order_id="once") == (422, 42210000, "client_order_id must be unique")
    assert refused_order(desk, side="sell")[:2] == (422, 40310000)


# Times of the day


PAUSE = {"from": "09:27", "until": "09:31", "side": "buy", "fractional": True, "message": "not during the auction"}
OPG, CLS = {"time_in_force": "opg"}, {"time_in_force": "cls"}
TOO_LATE_FOR_THE_OPEN = "opg orders are not accepted between 9:28am and 7:00pm ET"
TOO_LATE_FOR_THE_CLOSE = "cls orders are not accepted between 3:50pm and 7:00pm ET"


@pytest.mark.parametrize(
    ("new_york", "order", "message"),
    [
        ("09:27:59", OPG, None),
        ("09:28:00", OPG, TOO_LATE_FOR_THE_OPEN),
        ("18:59:59", OPG, TOO_LATE_FOR_THE_OPEN),
        ("19:00:00", OPG, None),
        ("15:49:59", CLS, None),
        ("15:50:00", CLS, TOO_LATE_FOR_THE_CLOSE),
        ("19:00:00", CLS, None),
        ("15:50:00", {}, None),
        ("09:26:59", {"qty": "1.5"}, None),
        ("09:27:00", {"qty": "1.5"}, "not during the auction"),
        ("09:30:59", {"type": "market", "notional": "50"}, "not during the auction"),
        ("09:31:00", {"qty": "1.5"}, None),
        ("09:28:00", {"qty": "1"}, None),
        ("09:28:00", {"qty": "1.5", "side": "sell"}, None),
    ],
)
def test_some_orders_are_refused_at_some_times_of_the_day(
    new_york: str, order: dict[str, Any], message: str | None
) -> None:
    at = datetime.fromisoformat(f"2026-01-26T{new_york}-05:00")
    desk = Desk(at=at, windows=[PAUSE])

    if message is None:
        assert desk.order(**order)["status"] in ("pending_new", "accepted")
    else:
        assert refused_order(desk, **order) == (403, 40310000, message)


@pytest.mark.parametrize("spec", [{"from": "09:27"}, {"from": "x", "until": "y"}, {**PAUSE, "colour": "red"}])
def test_a_window_that_makes_no_sense_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"until|isoformat|colour"):
        Desk(windows=[spec])


@pytest.mark.parametrize(
    ("resting", "arriving", "reason"),
    [
        ({"limit_price": "9.50"}, {"type": "market"}, "opposite side market/stop order exists"),
        ({"type": "stop", "stop_price": "12"}, {"limit_price": "11"}, "opposite side market/stop order exists"),
        ({"limit_price": "9.50"}, {"limit_price": "9.50"}, "opposite side limit order exists"),
    ],
)
def test_an_order_that_could_trade_with_its_own_account_is_a_wash_trade(
    resting: dict[str, Any], arriving: dict[str, Any], reason: str
) -> None:
    desk = Desk(default_fill={"behaviour": "never"})
    first = desk.order(**{"side": "buy", "type": "limit", **resting})

    error = refusal(lambda: desk.order(side="sell", **arriving))

    assert (error.http_status, error.code) == (403, 40310000)
    assert error.message == "potential wash trade detected. use complex orders"
    assert error.extras == {"existing_order_id": first["id"], "reject_reason": reason}


def test_limits_that_do_not_cross_are_no_wash_trade() -> None:
    desk = Desk()
    desk.order(limit_price="9.50")

    assert desk.order(side="sell", limit_price="9.51")["status"] == "pending_new"


def test_a_finished_order_is_no_wash_trade() -> None:
    desk = Desk()
    desk.order()

    assert desk.order(side="sell", type="market")["status"] == "pending_new"


def test_a_sale_for_dollars_needs_a_bid() -> None:
    desk = Desk(quotes={"ABC": {"bid": "0", "ask": "10"}})

    answer = refused_order(desk, side="sell", type="market", notional="50")

    assert answer == (422, 42210000, "unable to price the order: there is no bid")


def test_an_order_at_night_is_accepted_for_the_next_session() -> None:
    desk = Desk(at=datetime(2026, 1, 24, 12, tzinfo=UTC))

    assert desk.order()["status"] == "accepted"
