"""Fill options in which an answer lags, changes later or has no effect."""

from typing import Any

import pytest

from paper_broker.exchange import Exchange
from tests.unit.paper_broker.exchange_harness import ExchangeHarness


def with_fill(**behaviour: Any) -> ExchangeHarness:
    """Return a harness in which all orders have this behaviour."""
    return ExchangeHarness(default_fill=behaviour)


def test_filled_quantity_can_lag_the_final_status() -> None:
    harness = with_fill(behaviour="immediate", filled_qty_lag_seconds=1)
    order = harness.order()
    early = harness.read(order)
    cash, shares = harness.cash, harness.shares()
    harness.wait(seconds=1)

    assert (early["status"], early["filled_qty"], early["filled_avg_price"]) == ("filled", "0", None)
    assert (cash, shares) == ("9899.8", "30")
    late = harness.read(order)
    assert (late["status"], late["filled_qty"], late["filled_avg_price"]) == ("filled", "10", "10.02")


def test_quantity_filled_before_a_cancel_lags_the_cancel() -> None:
    parts = [{"fraction": 0.3}]
    harness = with_fill(behaviour="parts", parts=parts, fill_beats_cancel=1, filled_qty_lag_seconds=2)
    order = harness.order(limit_price="10.10")
    harness.read(order)
    harness.wait(seconds=5)
    harness.exchange.merge({"default_fill": {}, "quotes": {"ABC": {"ask": "10.06"}}})
    assert harness.read(order)["filled_qty"] == "3"

    harness.exchange.cancel_order(order["id"])

    read = [harness.read(order)]
    harness.wait(seconds=2)
    read.append(harness.read(order))
    assert [o["status"] for o in read] == ["filled", "filled"]
    assert [(o["filled_qty"], o["filled_avg_price"]) for o in read] == [("3", "10.02"), ("10", "10.048")]


def test_quantity_that_was_shown_is_never_taken_back() -> None:
    harness = with_fill(behaviour="cancel", fraction=0.4, after_seconds=3, filled_qty_lag_seconds=1)
    order = harness.order()
    shown = []
    for _ in range(5):
        read = harness.read(order)
        shown.append((read["status"], read["filled_qty"]))
        harness.wait(seconds=1)

    assert shown == [("new", "0"), *[("partially_filled", "4")] * 2, *[("canceled", "4")] * 2]


def test_quantity_that_was_not_shown_before_the_end_lags_the_end() -> None:
    harness = with_fill(behaviour="cancel", fraction=0.4, after_seconds=1, filled_qty_lag_seconds=2)
    order = harness.order()
    shown = []
    for _ in range(4):
        read = harness.read(order)
        shown.append((read["status"], read["filled_qty"]))
        harness.wait(seconds=1)

    assert shown == [("new", "0"), ("canceled", "0"), ("canceled", "0"), ("canceled", "4")]


def test_rejected_order_has_no_late_fill() -> None:
    harness = with_fill(behaviour="reject", late_fill={"fraction": 1})
    order = harness.order()
    harness.wait(seconds=1)

    assert (harness.status(order), harness.read(order)["filled_qty"]) == ("rejected", "0")


@pytest.mark.parametrize("behaviour", ["cancel", "expire"])
@pytest.mark.parametrize(
    ("late", "filled", "complete"), [(0.4, "8", False), (0.6, "10", True), (1, "10", True), (0, "4", False)]
)
def test_late_fill_executes_after_the_order_ended(behaviour: str, late: float, filled: str, complete: bool) -> None:
    late_fill = {"fraction": late, "after_seconds": 2}
    harness = with_fill(behaviour=behaviour, fraction=0.4, late_fill=late_fill)
    order = harness.order()
    ended = harness.read(order)
    harness.wait(seconds=2)

    read = harness.read(order)

    assert (ended["filled_qty"], read["filled_qty"]) == ("4", filled)
    assert (read["status"] == "filled") is complete
    assert complete or read["status"] == ended["status"]
    assert harness.shares() == str(20 + int(filled))
    assert harness.exchange.activities()[-1]["cum_qty"] == filled


def test_late_fill_respects_the_limit_and_follows_a_requested_cancel() -> None:
    harness = with_fill(behaviour="never", late_fill={"fraction": 0.5, "after_seconds": 1})
    order = harness.order(limit_price="9.50")
    harness.read(order)
    harness.exchange.cancel_order(order["id"])
    assert harness.read(order)["filled_qty"] == "0"
    harness.wait(seconds=1)

    read = harness.read(order)

    assert (read["status"], read["filled_qty"], read["filled_avg_price"]) == ("canceled", "5", "9.5")
    assert harness.cash == "9952.5"


def test_late_fill_is_due_after_a_restart() -> None:
    harness = with_fill(behaviour="cancel", late_fill={"fraction": 1, "after_seconds": 2}, filled_qty_lag_seconds=1)
    order = harness.order()
    assert harness.status(order) == "canceled"
    before = harness.exchange.dump()
    harness.exchange = Exchange.load(before, lambda: harness.now)
    assert harness.exchange.dump() == before
    harness.wait(seconds=3)

    assert harness.read(order)["filled_qty"] == "10"
    assert harness.exchange.dump()["orders"][0]["filled_qty"] == "10"


def test_dump_after_a_late_fill_has_the_new_quantity() -> None:
    harness = with_fill(behaviour="cancel", late_fill={"fraction": 1, "after_seconds": 2})
    harness.read(harness.order())
    ended = harness.exchange.dump()["orders"][0]
    harness.wait(seconds=2)
    harness.exchange.advance()

    assert (ended["filled_qty"], harness.exchange.dump()["orders"][0]["filled_qty"]) == ("0", "10")


def test_order_can_be_rejected_within_the_answer() -> None:
    harness = with_fill(rejected_in_answer=True)

    order = harness.order()

    assert order["status"] == harness.status(order) == "rejected"
    assert order["failed_at"] == "2026-01-26T15:00:00.000000000Z"
    assert (harness.exchange.list_orders(), harness.buying_power) == ([], "10000")


def test_replacement_can_be_rejected_within_the_answer() -> None:
    harness = ExchangeHarness(fills=[{"nth": 2, "rejected_in_answer": True}], default_fill={"behaviour": "never"})
    old = harness.order()
    harness.read(old)

    new = harness.exchange.replace_order(old["id"], {"limit_price": "10.01"})

    assert (new["status"], harness.status(old)) == ("rejected", "new")


def test_cancel_can_have_no_effect() -> None:
    harness = with_fill(behaviour="never", cancel_ignored=2)
    order = harness.order()
    statuses = []
    for _ in range(3):
        harness.exchange.cancel_order(order["id"])
        harness.exchange = Exchange.load(harness.exchange.dump(), lambda: harness.now)
        statuses.append(harness.status(order))

    assert statuses == ["new", "new", "canceled"]


def test_order_executes_only_the_displayed_size_and_as_much_again_after_a_while() -> None:
    harness = with_fill(behaviour="marketable", displayed_seconds=2)
    harness.exchange.merge({"quotes": {"ABC": {"ask_size": 4}}})
    order = harness.order()
    filled = []
    for _ in range(6):
        filled.append(harness.read(order)["filled_qty"])
        harness.wait(seconds=1)

    assert filled == ["4", "4", "8", "8", "10", "10"]
    assert harness.read(order)["status"] == "filled"
