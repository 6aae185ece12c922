"""The lifecycle of orders: cancels, replacements, trading days, actions of the broker."""

from datetime import UTC, datetime
from typing import Any

import pytest

from paper_broker.orders import OrderQuery
from tests.unit.paper_broker.exchange_harness import ExchangeHarness, rejection

FRIDAY_EVENING = datetime(2026, 1, 23, 22, tzinfo=UTC)


def resting(**behaviour: Any) -> ExchangeHarness:
    """Return a harness in which orders rest; ``behaviour`` adds options."""
    return ExchangeHarness(default_fill={"behaviour": "never", **behaviour})


# Cancels


def test_cancel_is_confirmed_by_the_next_request() -> None:
    harness = resting()
    order = harness.order()

    harness.exchange.cancel_order(order["id"])

    closed = harness.read(order)
    assert (closed["status"], closed["canceled_at"]) == ("canceled", "2026-01-26T15:00:00.000000000Z")


def test_pending_cancel_keeps_its_shares_reserved() -> None:
    harness = resting(cancel_seconds=60)
    order = harness.order(side="sell", qty="20")
    harness.exchange.cancel_order(order["id"])
    harness.wait(seconds=59)
    assert harness.status(order) == "pending_cancel"
    assert harness.exchange.position("ABC")["qty_available"] == "0"

    harness.wait(seconds=1)

    assert harness.status(order) == "canceled"
    assert harness.exchange.position("ABC")["qty_available"] == "20"


def test_unconfirmed_cancel_is_completed_at_the_close() -> None:
    harness = resting(cancel_seconds=None)
    order = harness.order()
    harness.exchange.cancel_order(order["id"])
    harness.wait(hours=5)
    assert harness.status(order) == "pending_cancel"

    harness.wait(hours=1)

    assert harness.status(order) == "canceled"


@pytest.mark.parametrize(("fraction", "status", "filled"), [(1, "filled", "10"), (0.5, "canceled", "5")])
def test_fill_can_come_before_a_cancel(fraction: float, status: str, filled: str) -> None:
    harness = resting(fill_beats_cancel=fraction)
    order = harness.order()
    harness.read(order)

    harness.exchange.cancel_order(order["id"])

    closed = harness.read(order)
    assert (closed["status"], closed["filled_qty"]) == (status, filled)


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [("immediate", "filled"), ("cancel", "canceled"), ("expire", "expired"), ("reject", "rejected")],
)
def test_closed_order_cannot_be_canceled_or_replaced(behaviour: str, status: str) -> None:
    harness = resting(behaviour=behaviour)
    order = harness.order()
    calls = (
        lambda: harness.exchange.cancel_order(order["id"]),
        lambda: harness.exchange.replace_order(order["id"], {"limit_price": "10"}),
    )

    for call in calls:
        error = rejection(call)
        assert (error.http_status, error.code) == (422, 42210000)
        assert error.message == f'order is already in "{status}" state'


def test_second_cancel_is_rejected_while_the_first_is_pending() -> None:
    harness = resting(cancel_seconds=60)
    order = harness.order()
    harness.exchange.cancel_order(order["id"])

    assert rejection(lambda: harness.exchange.cancel_order(order["id"])).http_status == 422


def test_orders_can_be_listed_by_query_or_keywords() -> None:
    harness = resting()
    first, second = harness.order(), harness.order()

    by_fields = harness.exchange.list_orders(status="all", direction="asc")

    assert by_fields == harness.exchange.list_orders(OrderQuery(status="all", direction="asc"))
    assert [order["id"] for order in by_fields] == [first["id"], second["id"]]


def test_cancel_all_returns_one_result_per_order() -> None:
    harness = resting(cancel_seconds=60)
    stuck, fresh = harness.order(limit_price="9"), harness.order(limit_price="8")
    harness.exchange.cancel_order(stuck["id"])

    results = {result["id"]: result for result in harness.exchange.cancel_all()}

    assert results[fresh["id"]]["status"] == 200
    assert results[stuck["id"]]["status"] == 500
    assert results[stuck["id"]]["body"]["code"] == 42210000


# Replacements


def test_replacement_is_a_new_order() -> None:
    harness = resting()
    old = harness.order(limit_price="9")
    harness.read(old)

    new = harness.exchange.replace_order(old["id"], {"limit_price": "9.50", "client_order_id": "second"})

    assert (new["replaces"], new["client_order_id"], new["limit_price"], new["qty"]) == (
        old["id"],
        "second",
        "9.5",
        "10",
    )
    closed = harness.read(old)
    assert (closed["status"], closed["replaced_by"]) == ("replaced", new["id"])
    assert harness.status(new) == "new"


def test_replacement_after_a_partial_fill_has_the_original_quantity() -> None:
    harness = ExchangeHarness(fills=[{"nth": 1, "behaviour": "parts", "parts": [{"fraction": 0.4}]}])
    old = harness.order()
    harness.read(old)

    new = harness.exchange.replace_order(old["id"], {"limit_price": "10.05"})
    harness.read(new)

    assert (harness.read(old)["filled_qty"], harness.read(new)["filled_qty"], harness.shares()) == ("4", "10", "34")


def test_replacement_is_rejected_if_the_old_order_fills_first() -> None:
    harness = resting(fill_beats_replace=1)
    old = harness.order()
    harness.read(old)

    new = harness.exchange.replace_order(old["id"], {"limit_price": "10.05"})

    assert (harness.status(old), harness.status(new), harness.shares()) == ("filled", "rejected", "30")


def test_pending_replacement_reserves_the_larger_amount() -> None:
    harness = resting(replace_seconds=5)
    old = harness.order(limit_price="9")
    harness.read(old)

    harness.exchange.replace_order(old["id"], {"limit_price": "9.50"})

    assert harness.buying_power == "9905"
    harness.wait(seconds=5)
    assert harness.buying_power == "9905"


def test_replacement_can_sell_the_shares_of_the_old_order() -> None:
    harness = resting()
    old = harness.order(side="sell", qty="20", limit_price="11")
    harness.read(old)

    new = harness.exchange.replace_order(old["id"], {"limit_price": "10.50"})

    assert harness.status(new) == "new"
    assert harness.exchange.position("ABC")["qty_available"] == "0"


@pytest.mark.parametrize("end", ["cancel", "reject"])
def test_order_stays_open_if_its_replacement_is_closed(end: str) -> None:
    harness = resting(replace_seconds=60)
    old = harness.order(limit_price="9")
    harness.read(old)
    new = harness.exchange.replace_order(old["id"], {"limit_price": "9.50"})

    if end == "cancel":
        harness.exchange.cancel_order(new["id"])
    else:
        harness.exchange.force_end(new["id"], "rejected")
    harness.wait(seconds=60)

    assert (harness.status(old), harness.buying_power) == ("new", "9910")


@pytest.mark.parametrize(
    ("behaviour", "body", "changes", "message"),
    [
        (
            {"pending_new_seconds": 9},
            {},
            {"limit_price": "9"},
            "unable to replace order, order is in pending_new state",
        ),
        ({}, {"type": "market", "notional": "50"}, {"qty": "4"}, "notional orders cannot be replaced"),
        ({}, {"qty": "1.5"}, {"qty": "2"}, "qty of fractional orders cannot be replaced"),
        ({"behaviour": "parts", "parts": [{"fraction": 0.4}]}, {}, {"qty": "4"}, "qty must be > filled_qty"),
    ],
)
def test_order_that_cannot_be_replaced_is_unprocessable(
    behaviour: dict[str, Any], body: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    harness = resting(**behaviour)
    old = harness.order(**body)
    harness.read(old)

    error = rejection(lambda: harness.exchange.replace_order(old["id"], changes))

    assert (error.http_status, error.code, error.message) == (422, 42210000, message)


# Trading days


def test_day_order_from_friday_evening_is_working_on_monday() -> None:
    harness = ExchangeHarness(at=FRIDAY_EVENING, default_fill={"behaviour": "never"})
    order = harness.order()
    harness.now = datetime(2026, 1, 26, 14, 29, tzinfo=UTC)
    assert harness.status(order) == "accepted"

    harness.now = datetime(2026, 1, 26, 14, 30, tzinfo=UTC)
    assert harness.status(order) == "new"

    harness.now = datetime(2026, 1, 27, 3, tzinfo=UTC)
    assert harness.read(order)["expired_at"] == "2026-01-26T21:00:00.000000000Z"


def test_gtc_order_fills_in_a_later_session() -> None:
    harness = ExchangeHarness(default_fill={"behaviour": "later", "after_seconds": 8 * 3600})
    order = harness.order(time_in_force="gtc")
    harness.wait(hours=10)
    assert harness.status(order) == "new"

    harness.now = datetime(2026, 1, 27, 15, tzinfo=UTC)

    assert harness.read(order)["filled_at"] == "2026-01-27T14:30:00.000000000Z"


def test_accepted_order_can_be_canceled_before_its_session() -> None:
    harness = ExchangeHarness(at=FRIDAY_EVENING)
    order = harness.order()

    harness.exchange.cancel_order(order["id"])

    assert harness.status(order) == "canceled"


def test_extended_hours_order_executes_before_the_open() -> None:
    harness = ExchangeHarness(at=datetime(2026, 1, 26, 10, tzinfo=UTC))

    assert harness.status(harness.order(extended_hours=True)) == "filled"
    assert harness.status(harness.order()) == "accepted"


def test_order_executes_at_once_when_the_market_becomes_always_open() -> None:
    harness = ExchangeHarness(at=FRIDAY_EVENING, default_fill={"behaviour": "parts", "parts": [{"fraction": 0.4}]})
    order = harness.order()

    harness.exchange.merge({"clock": {"sessions": "always_open"}})
    harness.now = datetime(2026, 1, 27, 3, tzinfo=UTC)

    current = harness.read(order)
    assert (current["status"], current["filled_qty"], current["filled_at"]) == (
        "partially_filled",
        "4",
        "2026-01-23T22:00:00.000000000Z",
    )


def test_pending_replacement_survives_a_change_of_trading_hours() -> None:
    harness = resting(replace_seconds=60)
    old = harness.order(limit_price="9")
    harness.read(old)
    new = harness.exchange.replace_order(old["id"], {"limit_price": "9.50"})

    harness.exchange.merge({"clock": {"sessions": "always_open"}})

    assert (harness.status(old), harness.status(new)) == ("pending_replace", "pending_new")
    harness.wait(seconds=60)
    assert (harness.status(old), harness.status(new)) == ("replaced", "new")


def test_unchanged_trading_hours_do_not_reschedule_orders() -> None:
    harness = resting(pending_new_seconds=5)
    order = harness.order()
    harness.wait(seconds=4)

    harness.exchange.merge({"clock": {"sessions": "nyse"}})
    harness.wait(seconds=1)

    assert harness.status(order) == "new"


def test_waiting_order_executes_when_a_closed_market_opens() -> None:
    harness = ExchangeHarness(clock={"sessions": "always_closed"})
    order = harness.order()
    harness.wait(hours=48)
    assert harness.status(order) == "accepted"

    harness.exchange.merge({"clock": {"sessions": "always_open"}})

    assert harness.status(order) == "filled"


# Actions of the broker itself


def test_order_can_be_filled_manually() -> None:
    harness = resting()
    order = harness.order()
    harness.read(order)

    harness.exchange.force_fill(order["id"], "4", "10.01")
    assert harness.read(order)["filled_avg_price"] == "10.01"
    harness.exchange.force_fill(order["id"])

    assert (harness.status(order), harness.shares()) == ("filled", "30")
    with pytest.raises(ValueError, match="cannot be filled: its status is filled"):
        harness.exchange.force_fill(order["id"])


def test_notional_order_is_filled_manually_as_a_whole() -> None:
    harness = resting()
    order = harness.order(type="market", notional="50")
    harness.read(order)
    with pytest.raises(ValueError, match="as a whole"):
        harness.exchange.force_fill(order["id"], "1")

    filled = harness.exchange.force_fill(order["id"], price="10")

    assert (filled["status"], filled["filled_qty"], filled["filled_avg_price"]) == ("filled", "5", "10")


def test_market_order_is_filled_manually_at_the_touch() -> None:
    harness = resting()
    order = harness.order(type="market")
    harness.read(order)

    assert harness.exchange.force_fill(order["id"])["filled_avg_price"] == "10.02"


@pytest.mark.parametrize("status", ["canceled", "expired", "rejected"])
def test_order_can_be_closed_manually(status: str) -> None:
    harness = resting()
    order = harness.order()

    harness.exchange.force_end(order["id"], status)

    assert harness.status(order) == status
    with pytest.raises(ValueError, match="already"):
        harness.exchange.force_end(order["id"], status)
