"""Cancels, replacements and trading days: what happens to an order besides fills."""

from datetime import UTC, datetime
from typing import Any

import pytest

from paper_broker.orders import OrderQuery
from tests.unit.paper_broker.desk import Desk, refusal

FRIDAY_EVENING = datetime(2026, 1, 23, 22, tzinfo=UTC)


def resting(**behaviour: Any) -> Desk:
    """A desk whose orders rest unless told otherwise."""
    return Desk(default_fill={"behaviour": "never", **behaviour})


# Cancels


def test_a_cancel_is_confirmed_on_the_next_look() -> None:
    desk = resting()
    order = desk.order()

    desk.exchange.cancel_order(order["id"])

    ended = desk.look(order)
    assert (ended["status"], ended["canceled_at"]) == ("canceled", "2026-01-26T15:00:00.000000000Z")


def test_a_cancel_may_stay_pending_and_its_shares_stay_held() -> None:
    desk = resting(cancel_seconds=60)
    order = desk.order(side="sell", qty="20")
    desk.exchange.cancel_order(order["id"])
    desk.wait(seconds=59)
    assert desk.status(order) == "pending_cancel"
    assert desk.exchange.position("ABC")["qty_available"] == "0"

    desk.wait(seconds=1)

    assert desk.status(order) == "canceled"
    assert desk.exchange.position("ABC")["qty_available"] == "20"


def test_a_cancel_that_is_never_confirmed_ends_with_the_day() -> None:
    desk = resting(cancel_seconds=None)
    order = desk.order()
    desk.exchange.cancel_order(order["id"])
    desk.wait(hours=5)
    assert desk.status(order) == "pending_cancel"

    desk.wait(hours=1)

    assert desk.status(order) == "canceled"


@pytest.mark.parametrize(("fraction", "status", "filled"), [(1, "filled", "10"), (0.5, "canceled", "5")])
def test_a_fill_may_beat_a_cancel(fraction: float, status: str, filled: str) -> None:
    desk = resting(fill_beats_cancel=fraction)
    order = desk.order()
    desk.look(order)

    desk.exchange.cancel_order(order["id"])

    ended = desk.look(order)
    assert (ended["status"], ended["filled_qty"]) == (status, filled)


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [("immediate", "filled"), ("cancel", "canceled"), ("expire", "expired"), ("reject", "rejected")],
)
def test_a_finished_order_can_be_neither_cancelled_nor_replaced(behaviour: str, status: str) -> None:
    desk = resting(behaviour=behaviour)
    order = desk.order()
    calls = (
        lambda: desk.exchange.cancel_order(order["id"]),
        lambda: desk.exchange.replace_order(order["id"], {"limit_price": "10"}),
    )

    for call in calls:
        error = refusal(call)
        assert (error.http_status, error.code) == (422, 42210000)
        assert error.message == f'order is already in "{status}" state'


def test_a_second_cancel_is_refused_while_the_first_is_pending() -> None:
    desk = resting(cancel_seconds=60)
    order = desk.order()
    desk.exchange.cancel_order(order["id"])

    assert refusal(lambda: desk.exchange.cancel_order(order["id"])).http_status == 422


def test_orders_are_listed_by_a_query_or_by_its_fields() -> None:
    desk = resting()
    first, second = desk.order(), desk.order()

    by_fields = desk.exchange.list_orders(status="all", direction="asc")

    assert by_fields == desk.exchange.list_orders(OrderQuery(status="all", direction="asc"))
    assert [order["id"] for order in by_fields] == [first["id"], second["id"]]


def test_cancel_all_answers_for_each_order_and_mixes_successes_with_errors() -> None:
    desk = resting(cancel_seconds=60)
    stuck, fresh = desk.order(limit_price="9"), desk.order(limit_price="8")
    desk.exchange.cancel_order(stuck["id"])

    answers = {answer["id"]: answer for answer in desk.exchange.cancel_all()}

    assert answers[fresh["id"]]["status"] == 200
    assert answers[stuck["id"]]["status"] == 500
    assert answers[stuck["id"]]["body"]["code"] == 42210000


# Replacements


def test_a_replacement_is_a_new_order_in_the_place_of_the_old_one() -> None:
    desk = resting()
    old = desk.order(limit_price="9")
    desk.look(old)

    new = desk.exchange.replace_order(old["id"], {"limit_price": "9.50", "client_order_id": "second"})

    assert (new["replaces"], new["client_order_id"], new["limit_price"], new["qty"]) == (
        old["id"],
        "second",
        "9.5",
        "10",
    )
    ended = desk.look(old)
    assert (ended["status"], ended["replaced_by"]) == ("replaced", new["id"])
    assert desk.status(new) == "new"


def test_a_replacement_after_a_partial_fill_asks_for_the_original_quantity_again() -> None:
    desk = Desk(fills=[{"nth": 1, "behaviour": "parts", "parts": [{"fraction": 0.4}]}])
    old = desk.order()
    desk.look(old)

    new = desk.exchange.replace_order(old["id"], {"limit_price": "10.05"})
    desk.look(new)

    assert (desk.look(old)["filled_qty"], desk.look(new)["filled_qty"], desk.shares()) == ("4", "10", "34")


def test_a_replacement_loses_against_a_fill_of_the_old_order() -> None:
    desk = resting(fill_beats_replace=1)
    old = desk.order()
    desk.look(old)

    new = desk.exchange.replace_order(old["id"], {"limit_price": "10.05"})

    assert (desk.status(old), desk.status(new), desk.shares()) == ("filled", "rejected", "30")


def test_while_a_replacement_is_pending_the_larger_order_holds_the_dollars() -> None:
    desk = resting(replace_seconds=5)
    old = desk.order(limit_price="9")
    desk.look(old)

    desk.exchange.replace_order(old["id"], {"limit_price": "9.50"})

    assert desk.buying_power == "9905"
    desk.wait(seconds=5)
    assert desk.buying_power == "9905"


def test_all_shares_may_be_offered_again_by_a_replacement() -> None:
    desk = resting()
    old = desk.order(side="sell", qty="20", limit_price="11")
    desk.look(old)

    new = desk.exchange.replace_order(old["id"], {"limit_price": "10.50"})

    assert desk.status(new) == "new"
    assert desk.exchange.position("ABC")["qty_available"] == "0"


@pytest.mark.parametrize("end", ["cancel", "reject"])
def test_an_order_goes_on_when_its_replacement_ends_first(end: str) -> None:
    desk = resting(replace_seconds=60)
    old = desk.order(limit_price="9")
    desk.look(old)
    new = desk.exchange.replace_order(old["id"], {"limit_price": "9.50"})

    if end == "cancel":
        desk.exchange.cancel_order(new["id"])
    else:
        desk.exchange.force_end(new["id"], "rejected")
    desk.wait(seconds=60)

    assert (desk.status(old), desk.buying_power) == ("new", "9910")


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
def test_what_cannot_be_replaced_is_refused(
    behaviour: dict[str, Any], body: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    desk = resting(**behaviour)
    old = desk.order(**body)
    desk.look(old)

    error = refusal(lambda: desk.exchange.replace_order(old["id"], changes))

    assert (error.http_status, error.code, error.message) == (422, 42210000, message)


# Trading days


def test_a_day_order_of_friday_evening_works_on_monday_and_ends_with_it() -> None:
    desk = Desk(at=FRIDAY_EVENING, default_fill={"behaviour": "never"})
    order = desk.order()
    desk.now = datetime(2026, 1, 26, 14, 29, tzinfo=UTC)
    assert desk.status(order) == "accepted"

    desk.now = datetime(2026, 1, 26, 14, 30, tzinfo=UTC)
    assert desk.status(order) == "new"

    desk.now = datetime(2026, 1, 27, 3, tzinfo=UTC)
    assert desk.look(order)["expired_at"] == "2026-01-26T21:00:00.000000000Z"


def test_an_order_till_cancelled_fills_in_a_later_session_only_while_the_market_is_open() -> None:
    desk = Desk(default_fill={"behaviour": "later", "after_seconds": 8 * 3600})
    order = desk.order(time_in_force="gtc")
    desk.wait(hours=10)
    assert desk.status(order) == "new"

    desk.now = datetime(2026, 1, 27, 15, tzinfo=UTC)

    assert desk.look(order)["filled_at"] == "2026-01-27T14:30:00.000000000Z"


def test_an_accepted_order_can_be_cancelled_before_its_session() -> None:
    desk = Desk(at=FRIDAY_EVENING)
    order = desk.order()

    desk.exchange.cancel_order(order["id"])

    assert desk.status(order) == "canceled"


def test_an_order_on_the_open_has_the_open_and_nothing_else() -> None:
    desk = Desk(at=datetime(2026, 1, 26, 13, tzinfo=UTC))
    filled, missed = desk.order(time_in_force="opg"), desk.order(time_in_force="opg", limit_price="9")
    assert (filled["status"], missed["status"]) == ("accepted", "accepted")

    desk.now = datetime(2026, 1, 26, 14, 30, tzinfo=UTC)

    assert desk.look(filled)["filled_at"] == "2026-01-26T14:30:00.000000000Z"
    assert desk.look(missed)["canceled_at"] == "2026-01-26T14:30:00.000000000Z"


def test_an_order_on_the_close_waits_for_the_close() -> None:
    desk = Desk()
    filled, missed = desk.order(time_in_force="cls"), desk.order(time_in_force="cls", limit_price="9")
    desk.now = datetime(2026, 1, 26, 20, 59, tzinfo=UTC)
    assert (desk.status(filled), desk.status(missed)) == ("accepted", "accepted")

    desk.now = datetime(2026, 1, 26, 21, tzinfo=UTC)

    assert (desk.status(filled), desk.status(missed)) == ("filled", "canceled")


def test_extended_hours_orders_work_before_the_open() -> None:
    desk = Desk(at=datetime(2026, 1, 26, 10, tzinfo=UTC))

    assert desk.status(desk.order(extended_hours=True)) == "filled"
    assert desk.status(desk.order()) == "accepted"


def test_a_market_that_never_closes_forgets_the_hours_it_had() -> None:
    desk = Desk(at=FRIDAY_EVENING, default_fill={"behaviour": "parts", "parts": [{"fraction": 0.4}]})
    order = desk.order()

    desk.exchange.merge({"clock": {"sessions": "always_open"}})
    desk.now = datetime(2026, 1, 27, 3, tzinfo=UTC)

    look = desk.look(order)
    assert (look["status"], look["filled_qty"], look["filled_at"]) == (
        "partially_filled",
        "4",
        "2026-01-23T22:00:00.000000000Z",
    )


def test_an_order_and_its_replacement_keep_their_places_when_the_hours_change() -> None:
    desk = resting(replace_seconds=60)
    old = desk.order(limit_price="9")
    desk.look(old)
    new = desk.exchange.replace_order(old["id"], {"limit_price": "9.50"})

    desk.exchange.merge({"clock": {"sessions": "always_open"}})

    assert (desk.status(old), desk.status(new)) == ("pending_replace", "pending_new")
    desk.wait(seconds=60)
    assert (desk.status(old), desk.status(new)) == ("replaced", "new")


def test_the_same_hours_told_again_change_nothing() -> None:
    desk = resting(pending_new_seconds=5)
    order = desk.order()
    desk.wait(seconds=4)

    desk.exchange.merge({"clock": {"sessions": "nyse"}})
    desk.wait(seconds=1)

    assert desk.status(order) == "new"


def test_a_market_that_opens_by_decree_works_the_waiting_orders() -> None:
    desk = Desk(clock={"sessions": "always_closed"})
    order = desk.order()
    desk.wait(hours=48)
    assert desk.status(order) == "accepted"

    desk.exchange.merge({"clock": {"sessions": "always_open"}})

    assert desk.status(order) == "filled"


# What the venue does by itself


def test_an_order_can_be_filled_by_hand() -> None:
    desk = resting()
    order = desk.order()
    desk.look(order)

    desk.exchange.force_fill(order["id"], "4", "10.01")
    assert desk.look(order)["filled_avg_price"] == "10.01"
    desk.exchange.force_fill(order["id"])

    assert (desk.status(order), desk.shares()) == ("filled", "30")
    with pytest.raises(ValueError, match="cannot be filled"):
        desk.exchange.force_fill(order["id"])


def test_an_order_for_dollars_is_filled_by_hand_as_a_whole() -> None:
    desk = resting()
    order = desk.order(type="market", notional="50")
    desk.look(order)
    with pytest.raises(ValueError, match="as a whole"):
        desk.exchange.force_fill(order["id"], "1")

    filled = desk.exchange.force_fill(order["id"], price="10")

    assert (filled["status"], filled["filled_qty"], filled["filled_avg_price"]) == ("filled", "5", "10")


def test_a_market_order_is_filled_by_hand_at_the_touch() -> None:
    desk = resting()
    order = desk.order(type="market")
    desk.look(order)

    assert desk.exchange.force_fill(order["id"])["filled_avg_price"] == "10.02"


@pytest.mark.parametrize("status", ["canceled", "expired", "rejected"])
def test_an_order_can_be_ended_by_hand(status: str) -> None:
    desk = resting()
    order = desk.order()

    desk.exchange.force_end(order["id"], status)

    assert desk.status(order) == status
    with pytest.raises(ValueError, match="already"):
        desk.exchange.force_end(order["id"], status)
