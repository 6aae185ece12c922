"""Parsing of Alpaca's JSON: tolerant of unknown fields, strict about required ones."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.adapters.alpaca import parsing
from rebalance_executor.domain.market import Trade

ACCOUNT = {"account_number": "PA1", "status": "ACTIVE", "cash": "100.10", "buying_power": "200.2"}
ORDER: dict[str, Any] = {
    "id": "o-1",
    "client_order_id": "c-1",
    "symbol": "AAA",
    "side": "buy",
    "type": "limit",
    "status": "new",
    "qty": "10",
    "filled_qty": "0",
    "filled_avg_price": None,
    "limit_price": "100.01",
    "submitted_at": "2026-01-26T15:00:00.123456789Z",
    "filled_at": None,
}


def test_active_account_is_not_blocked() -> None:
    account = parsing.account(ACCOUNT)

    assert (account.cash, account.buying_power, account.blocked_by) == (Decimal("100.10"), Decimal("200.2"), None)


@pytest.mark.parametrize(
    ("fields", "shorting_enabled", "multiplier"),
    [({}, False, "1"), ({"shorting_enabled": True, "multiplier": "4"}, True, "4"), ({"multiplier": None}, False, "1")],
)
def test_account_shows_short_selling_and_margin(
    fields: dict[str, object], shorting_enabled: bool, multiplier: str
) -> None:
    account = parsing.account(ACCOUNT | fields)

    assert (account.shorting_enabled, account.multiplier) == (shorting_enabled, Decimal(multiplier))


@pytest.mark.parametrize(
    ("fields", "blocked_by"),
    [
        ({"trading_blocked": True}, "trading_blocked"),
        ({"account_blocked": True}, "account_blocked"),
        ({"trade_suspended_by_user": True}, "trade_suspended_by_user"),
        ({"trading_blocked": "nonsense"}, "trading_blocked"),
        ({"status": "ACCOUNT_CLOSED"}, "status ACCOUNT_CLOSED"),
        ({"transfers_blocked": True}, None),
    ],
)
def test_account_is_blocked_by_flags_and_status(fields: dict[str, object], blocked_by: str | None) -> None:
    assert parsing.account(ACCOUNT | fields).blocked_by == blocked_by


def test_order_times_are_utc_to_the_microsecond() -> None:
    order = parsing.order(ORDER | {"status": "canceled", "canceled_at": "2026-01-26T10:00:01-05:00"})

    assert order.submitted_at == datetime(2026, 1, 26, 15, 0, 0, 123456, UTC)
    assert order.closed_at == datetime(2026, 1, 26, 15, 0, 1, tzinfo=UTC)


def test_partly_filled_then_canceled_order_closed_when_it_was_canceled() -> None:
    """Reproduction U6: the last fill of a canceled order is not its end."""
    times = {"filled_at": "2026-01-26T15:00:12.789Z", "canceled_at": "2026-01-26T15:00:18.088Z"}

    order = parsing.order(ORDER | {"status": "canceled", "filled_qty": "4", "filled_avg_price": "10"} | times)

    assert order.closed_at == datetime(2026, 1, 26, 15, 0, 18, 88_000, UTC)
    assert order.filled_at == datetime(2026, 1, 26, 15, 0, 12, 789_000, UTC)


TIMES = ("filled_at", "canceled_at", "expired_at", "failed_at", "replaced_at")


@pytest.mark.parametrize("field", TIMES)
def test_order_closed_at_the_time_of_its_status(field: str) -> None:
    status = {"failed_at": "rejected"}.get(field, field.removesuffix("_at"))
    others = {name: f"2026-01-26T15:00:{second}Z" for second, name in enumerate(TIMES, 10)}

    order = parsing.order(ORDER | others | {"status": status, field: "2026-01-26T15:00:05Z"})

    assert order.closed_at == datetime(2026, 1, 26, 15, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("times", "second"),
    [
        pytest.param({"filled_at": "2026-01-26T15:00:12Z", "expired_at": "2026-01-26T15:00:14Z"}, 14, id="the latest"),
        pytest.param({"filled_at": "2026-01-26T15:00:12Z", "canceled_at": "0001-01-01T00:00:00Z"}, 12, id="the only"),
        pytest.param({}, None, id="none is known"),
    ],
)
def test_order_without_the_time_of_its_status_closed_at_the_latest_known_time(
    times: dict[str, str], second: int | None
) -> None:
    closed_at = parsing.order(ORDER | {"status": "canceled"} | times).closed_at

    assert (closed_at.second if closed_at is not None else None) == second


def test_partly_filled_open_order_is_not_closed() -> None:
    order = parsing.order(ORDER | {"status": "partially_filled", "filled_at": "2026-01-26T15:00:12Z"})

    assert order.closed_at is None


@pytest.mark.parametrize("status", ["new", "filled", "a_future_status"])
def test_order_accepts_unknown_statuses_and_fields(status: str) -> None:
    assert parsing.order(ORDER | {"status": status, "invented": [1]}).status == status


def test_order_by_notional_has_no_quantity() -> None:
    order = parsing.order(ORDER | {"qty": None, "filled_qty": "", "limit_price": ""})

    assert (order.qty, order.filled_qty, order.limit_price) == (None, Decimal(0), None)


@pytest.mark.parametrize("number", [100.01, "100.01"])
def test_prices_are_exact_as_string_and_as_number(number: object) -> None:
    quote = parsing.quote("AAA", {"bp": number, "ap": 100.03, "t": "2026-01-26T15:00:00Z"})

    assert (quote.bid, quote.ask) == (Decimal("100.01"), Decimal("100.03"))


def test_trade_has_a_price_and_a_time() -> None:
    trade = parsing.trade("AAA", {"p": 100.0012, "s": 1, "t": "2026-01-26T15:00:00.5Z", "c": ["I"]})

    assert trade == Trade("AAA", Decimal("100.0012"), datetime(2026, 1, 26, 15, 0, 0, 500_000, UTC))
    for field in ("p", "t"):
        with pytest.raises(parsing.MalformedResponse, match=field):
            parsing.trade("AAA", {"p": 100, "t": "2026-01-26T15:00:00Z"} | {field: None})


def test_missing_side_of_a_quote_is_zero() -> None:
    quote = parsing.quote("AAA", {"bp": 0, "t": "2026-01-26T15:00:00Z"})

    assert quote.problem is not None
    assert quote.ask == 0


@pytest.mark.parametrize(
    ("fields", "qty", "available"),
    [
        ({"qty": "5", "qty_available": "3"}, "5", "3"),
        ({"qty": "5"}, "5", "0"),
        ({"qty": "5", "side": "short", "qty_available": "5"}, "-5", "5"),
    ],
    ids=["partly available", "without qty_available", "short"],
)
def test_position_has_quantity_and_available_quantity(fields: dict[str, str], qty: str, available: str) -> None:
    position = parsing.position({"symbol": "AAA", **fields})

    assert (position.qty, position.available) == (Decimal(qty), Decimal(available))


def test_shares_are_cut_at_nine_decimals() -> None:
    position = parsing.position({"symbol": "AAA", "qty": "1.2345678912", "qty_available": "1.2345678919"})
    order = parsing.order(ORDER | {"qty": "1.2345678912", "filled_qty": "0.2345678919"})

    assert (position.qty, position.available) == (Decimal("1.234567891"), Decimal("1.234567891"))
    assert (order.qty, order.filled_qty) == (Decimal("1.234567891"), Decimal("0.234567891"))


def test_missing_asset_flags_are_false() -> None:
    asset = parsing.asset({"symbol": "AAA", "status": "active"})

    assert (asset.tradable, asset.fractionable) == (False, False)


@pytest.mark.parametrize(
    ("fields", "status"),
    [({}, "active"), ({"class": None}, "active"), ({"class": "us_equity"}, "active"), ({"class": "crypto"}, "crypto")],
    ids=str,
)
def test_status_of_a_non_equity_is_its_class(fields: dict[str, Any], status: str) -> None:
    asset = parsing.asset({"symbol": "BTC/USD", "status": "active", "tradable": True, **fields})

    assert asset.status == status


@pytest.mark.parametrize(
    ("parse", "payload"),
    [
        (parsing.account, {}),
        (parsing.account, None),
        (parsing.account, ACCOUNT | {"cash": "a lot"}),
        (parsing.account, ACCOUNT | {"cash": "NaN"}),
        (parsing.account, ACCOUNT | {"cash": True}),
        (parsing.clock, {"is_open": "yes", "timestamp": "2026-01-26T15:00:00Z"}),
        (parsing.clock, {"is_open": True, "timestamp": "2026-01-26T15:00:00", "next_open": "", "next_close": ""}),
        (parsing.order, ORDER | {"id": ""}),
        (parsing.order, ORDER | {"status": None}),
        (parsing.order, ORDER | {"filled_qty": "many"}),
        (parsing.position, {"symbol": "AAA"}),
        (parsing.asset, []),
    ],
)
def test_malformed_response_is_rejected(parse: Any, payload: object) -> None:
    with pytest.raises(parsing.MalformedResponse, match="no usable"):
        parse(payload)


@pytest.mark.parametrize(
    "amount",
    ["1e999999", "1e-999999", "1e9999999999999999999", "9" * 5000, 10**19, float("inf"), 5e-324, [], {"cash": "1"}],
    ids=lambda amount: str(amount)[:20],
)
def test_amount_that_cannot_be_calculated_with_is_rejected(amount: object) -> None:
    for parse in (
        lambda: parsing.account(ACCOUNT | {"cash": amount}),
        lambda: parsing.order(ORDER | {"filled_avg_price": amount}),
        lambda: parsing.quote("AAA", {"bp": amount, "t": "2026-01-26T15:00:00Z"}),
    ):
        with pytest.raises(parsing.MalformedResponse):
            parse()


@pytest.mark.parametrize(
    "time",
    ["0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "1" * 5000, 1769439600, []],
    ids=lambda time: str(time)[:20],
)
def test_time_that_cannot_be_calculated_with_is_missing(time: object) -> None:
    assert parsing.order(ORDER | {"submitted_at": time, "filled_at": time}).submitted_at is None
    with pytest.raises(parsing.MalformedResponse, match="quote has no usable t"):
        parsing.quote("AAA", {"bp": 1, "t": time})


def test_text_that_does_not_fit_into_the_journal_is_rejected() -> None:
    with pytest.raises(parsing.MalformedResponse, match="status"):
        parsing.order(ORDER | {"status": "x" * 300_000})


def test_entries_must_be_a_list() -> None:
    with pytest.raises(parsing.MalformedResponse, match="order list"):
        parsing.entries({"orders": []}, "order", ["AAA"])
