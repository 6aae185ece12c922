"""Lists of orders as the simulated API shows them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from paper_broker.exchange import Exchange
from rebalance_simulation.broker_view import BrokerView, ViewTraits

START = datetime(2026, 1, 26, 15, 45, tzinfo=UTC)
SCENARIO = {"quotes": {"AAA": {"bid": "99.99", "ask": "100.01"}}}


def submitted(**query: str) -> list[str]:
    """Return the submission times of a page of a list that has many orders of others in AAA."""
    view = BrokerView(Exchange(SCENARIO, lambda: START), ViewTraits(has_rows_of_others=True), START, "AAA")
    return [str(row["submitted_at"]) for row in view.orders({"status": "all", "limit": "50", **query}, START)]


def test_list_without_symbols_has_the_orders_of_all() -> None:
    assert len(submitted()) == 50
    assert len(submitted(symbols="AAA")) == 50
    assert submitted(symbols="BBB") == []


@pytest.mark.parametrize(("direction", "is_newest_first"), [("asc", False), ("desc", True)])
def test_page_is_sorted_and_cut_as_asked(direction: str, is_newest_first: bool) -> None:
    times = submitted(direction=direction)

    assert times == sorted(times, reverse=is_newest_first)
    latest = "2026-01-26T15:40:59+00:00"
    assert (latest in times) is is_newest_first
