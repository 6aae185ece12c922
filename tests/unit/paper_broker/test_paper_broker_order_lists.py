"""Lists of orders that are short, reversed, late or have foreign rows; orders that are changed by the broker."""

import json
from typing import Any

import pytest

from paper_broker.exchange import Exchange
from paper_broker.formats import JsonObject
from paper_broker.order_lists import ListFaults
from tests.unit.paper_broker.exchange_harness import ExchangeHarness


def with_lists(**lists: Any) -> ExchangeHarness:
    """Return a harness whose orders rest, and whose lists have these faults."""
    return ExchangeHarness(default_fill={"behaviour": "never"}, lists=lists)


def ids(harness: ExchangeHarness, **filters: Any) -> list[str]:
    """Return the IDs of the orders in a list."""
    return [order["id"] for order in harness.exchange.list_orders(**filters)]


def test_list_has_at_most_the_rows_of_its_page_limit() -> None:
    harness = with_lists(page_limit=2)
    orders = [harness.order(qty="1")["id"] for _ in range(4)]

    assert ids(harness, limit=500, direction="asc") == orders[:2]
    assert ids(harness, limit=1, direction="asc") == orders[:1]


def test_reversed_list_ignores_the_direction() -> None:
    harness = with_lists(reversed=True)
    orders = [harness.order(qty="1")["id"] for _ in range(4)]

    assert ids(harness, direction="asc") == orders[::-1]
    assert ids(harness, direction="desc", limit=3) == orders[:3]


def test_late_list_has_neither_young_orders_nor_young_changes() -> None:
    harness = with_lists(delay_seconds=6)
    order = harness.order()
    shown = []
    for second in range(12):
        if second == 4:
            harness.exchange.cancel_order(order["id"])
            assert harness.status(order) == "canceled"
        shown.append([row["status"] for row in harness.exchange.list_orders(status="all")])
        state = json.loads(json.dumps(harness.exchange.dump()))
        harness.exchange = Exchange.load(state, lambda: harness.now)
        assert harness.exchange.dump() == state
        harness.wait(seconds=1)

    assert shown == [[]] * 6 + [["new"]] * 4 + [["canceled"]] * 2


def test_late_list_selects_by_the_status_that_it_shows() -> None:
    harness = with_lists(delay_seconds=2)
    order = harness.order()
    harness.wait(seconds=5)
    harness.exchange.cancel_order(order["id"])
    harness.wait(seconds=1)

    assert (ids(harness, status="open"), ids(harness, status="closed")) == ([order["id"]], [])
    harness.wait(seconds=1)
    assert (ids(harness, status="open"), ids(harness, status="closed")) == ([], [order["id"]])


def test_list_that_becomes_late_shows_the_orders_of_that_moment() -> None:
    harness = ExchangeHarness(default_fill={"behaviour": "later", "after_seconds": 1})
    order = harness.order()
    harness.read(order)
    harness.exchange.merge({"lists": {"delay_seconds": 5}})
    harness.wait(seconds=5)

    (row,) = harness.exchange.list_orders()

    assert (row["status"], row["filled_qty"], harness.status(order)) == ("new", "0", "filled")


def test_late_list_shows_what_happened_between_two_calls() -> None:
    harness = ExchangeHarness(
        default_fill={"behaviour": "parts", "parts": [{"fraction": 0.3}, {"fraction": 0.7, "after_seconds": 10}]},
        lists={"delay_seconds": 2},
    )
    harness.order()
    harness.wait(seconds=11)
    (early,) = harness.exchange.list_orders(status="all")
    harness.wait(seconds=1)
    (late,) = harness.exchange.list_orders(status="all")

    assert [(o["status"], o["filled_qty"]) for o in (early, late)] == [("partially_filled", "3"), ("filled", "10")]


def test_late_list_keeps_no_more_versions_than_it_needs() -> None:
    harness = with_lists(delay_seconds=2)
    harness.order()
    harness.wait(seconds=2)
    harness.exchange.list_orders()

    assert harness.exchange.dump()["order_versions"] == {}


def test_foreign_rows_take_the_place_of_rows_that_match() -> None:
    harness = with_lists(foreign_rows=2, page_limit=4)
    orders = [harness.order(qty="1")["id"] for _ in range(3)]

    rows = harness.exchange.list_orders(symbols=frozenset({"ABC"}), direction="asc", limit=500)

    assert [row["symbol"] for row in rows] == ["FOREIGN", "FOREIGN", "ABC", "ABC"]
    assert [row["id"] for row in rows[2:]] == orders[:2]
    assert rows[0]["submitted_at"] == rows[2]["submitted_at"]
    assert [len(ids(harness, limit=limit)) for limit in (1, 2)] == [1, 2]
    assert ids(harness, limit=1) == orders[-1:]


def test_foreign_rows_are_added_to_an_empty_list() -> None:
    assert len(ids(with_lists(foreign_rows=3))) == 3


def test_orders_by_id_are_right_whatever_the_lists_show() -> None:
    harness = with_lists(delay_seconds=60, page_limit=1, reversed=True, foreign_rows=1)
    order = harness.order(client_order_id="plan-1")

    assert harness.status(order) == "new"
    assert harness.exchange.get_order_by_client_order_id("plan-1")["status"] == "new"


@pytest.mark.parametrize(
    "spec", [{"page_limit": 0}, {"delay_seconds": -1}, {"foreign_rows": -1}, {"colour": "red"}, {"page_limit": "many"}]
)
def test_invalid_lists_are_rejected(spec: JsonObject) -> None:
    with pytest.raises(ValueError, match=r"lists|many"):
        ListFaults.parse(spec)


# Orders changed by the broker


def test_broker_can_rename_the_symbol_of_an_open_order() -> None:
    harness = with_lists()
    harness.exchange.merge({"quotes": {"NEW": {"bid": "10", "ask": "10.02"}}})
    order = harness.order(side="sell", qty="5")

    changed = harness.exchange.change_order(order["id"], symbol="NEW")

    assert changed == harness.read(order) | {"status": changed["status"]}
    assert (changed["symbol"], changed["asset_id"]) == ("NEW", harness.exchange.asset("NEW")["id"])
    assert harness.exchange.position("ABC")["qty_available"] == "20"


def test_broker_can_change_the_quantity_of_an_open_order() -> None:
    harness = ExchangeHarness(default_fill={"behaviour": "parts", "parts": [{"fraction": 0.4}]})
    order = harness.order()
    harness.read(order)

    harness.exchange.change_order(order["id"], qty="30")

    changed = harness.read(order)
    assert (changed["qty"], changed["filled_qty"], changed["status"]) == ("30", "4", "partially_filled")
    assert harness.exchange.force_fill(order["id"])["filled_qty"] == "30"


def test_late_list_shows_a_change_of_an_order_late() -> None:
    harness = with_lists(delay_seconds=2)
    order = harness.order()
    harness.wait(seconds=5)
    harness.exchange.change_order(order["id"], qty="30")
    (early,) = harness.exchange.list_orders()
    harness.wait(seconds=2)
    (late,) = harness.exchange.list_orders()

    assert (early["qty"], late["qty"]) == ("10", "30")
    assert late["updated_at"] == "2026-01-26T15:00:05.000000000Z"


def test_renamed_order_executes_at_the_quote_of_its_new_symbol() -> None:
    harness = ExchangeHarness(quotes={"ABC": {"bid": "10", "ask": "11"}, "NEW": {"bid": "10", "ask": "10.01"}})
    order = harness.order()
    assert harness.status(order) == "new"

    harness.exchange.change_order(order["id"], symbol="NEW")

    assert (harness.read(order)["filled_avg_price"], harness.shares("NEW")) == ("10.01", "10")


def test_late_list_has_no_young_replacement() -> None:
    fill = {"behaviour": "never", "replace_seconds": 60}
    harness = ExchangeHarness(default_fill=fill, lists={"delay_seconds": 2})
    old = harness.order()
    harness.wait(seconds=5)
    new = harness.exchange.replace_order(old["id"], {"limit_price": "10.01"})

    assert ids(harness) == [old["id"]]
    harness.wait(seconds=2)
    assert set(ids(harness)) == {old["id"], new["id"]}


@pytest.mark.parametrize("change", [{"symbol": "NONE"}, {"qty": "4"}])
def test_invalid_change_of_an_order_is_rejected(change: JsonObject) -> None:
    harness = ExchangeHarness(default_fill={"behaviour": "parts", "parts": [{"fraction": 0.4}]})
    order = harness.order()
    before = harness.read(order)

    with pytest.raises(ValueError, match=r"unknown|above 4"):
        harness.exchange.change_order(order["id"], **change)

    assert harness.read(order) == before


def test_closed_order_is_not_changed() -> None:
    harness = ExchangeHarness()
    order = harness.order()

    with pytest.raises(ValueError, match="filled already"):
        harness.exchange.change_order(order["id"], qty="30")


def test_flags_of_an_asset_can_change_while_orders_are_open() -> None:
    harness = with_lists()
    open_order = harness.order(qty="0.5")

    harness.exchange.merge({"assets": [{"symbol": "ABC", "fractionable": False}]})
    with pytest.raises(Exception, match="not fractionable"):
        harness.order(qty="0.5")
    harness.exchange.merge({"assets": [{"symbol": "ABC", "tradable": False, "status": "inactive"}]})
    with pytest.raises(Exception, match="not active"):
        harness.order()

    asset = harness.exchange.asset("ABC")
    assert (asset["fractionable"], asset["tradable"], asset["status"]) == (False, False, "inactive")
    assert harness.status(open_order) == "new"
