"""Lists of orders: no order is lost between pages, however long or short they are and whichever order they have."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from rebalance_executor.adapters.alpaca.broker import AlpacaBroker
from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import BrokerUnavailable
from rebalance_executor.settings import Settings
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW, later


def a_broker() -> AlpacaBroker:
    settings = Settings.model_validate({"EXECUTION_TABLE": "t", "IDEMPOTENCY_TABLE": "i"})
    credentials = Credentials("key", "secret", None)
    broker = AlpacaBroker(credentials, settings, ExecutionConfig(), SimulatedClock(NOW), lambda _path: None)
    broker.set_deadline(later(60))
    return broker


class Orders:
    """Orders at a broker that sends at most ``page_size`` of them, oldest or newest first."""

    def __init__(self, times: list[datetime], *, page_size: int = 500, is_reversed: bool = False) -> None:
        self.rows: list[dict[str, Any]] = []
        for time in times:
            self.add(time)
        self.page_size = page_size
        self.is_reversed = is_reversed
        self.queries: list[Mapping[str, str]] = []
        self.arrives_after_first_page: datetime | None = None
        """Time of one more order, submitted once the first page has been read."""

    def add(self, time: datetime) -> None:
        """Add an order that was submitted at ``time``."""
        number = len(self.rows)
        row = {"id": str(number), "client_order_id": f"c{number}", "symbol": "AAA", "side": "buy", "status": "new"}
        self.rows.append(row | {"submitted_at": time.isoformat()})

    def get(self, path: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """Answer a request for orders. ``after`` and ``until`` are exclusive."""
        assert path == "/orders"
        self.queries.append(dict(query))
        after, until = query.get("after"), query.get("until")
        rows = [
            row
            for row in self.rows
            if (after is None or datetime.fromisoformat(row["submitted_at"]) > datetime.fromisoformat(after))
            and (until is None or datetime.fromisoformat(row["submitted_at"]) < datetime.fromisoformat(until))
        ]
        rows.sort(key=lambda row: row["submitted_at"], reverse=self.is_reversed or query["direction"] == "desc")
        if self.arrives_after_first_page is not None and len(self.queries) == 1:
            self.add(self.arrives_after_first_page)
        return rows[: self.page_size]

    def listed(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Return the IDs of the orders that the adapter finds."""
        broker = a_broker()
        monkeypatch.setattr(broker._trading._api, "get", self.get)
        return sorted(order.id for order in broker.orders(["AAA"], NOW - timedelta(minutes=1)))

    @property
    def ids(self) -> list[str]:
        """The IDs of all orders."""
        return sorted(row["id"] for row in self.rows)


def in_groups(count: int, size: int = 7) -> list[datetime]:
    """Return submission times; ``size`` orders have the same one."""
    return [NOW + timedelta(microseconds=number // size) for number in range(count)]


@pytest.mark.parametrize("is_reversed", [False, True], ids=["oldest first", "newest first"])
@pytest.mark.parametrize("page_size", [50, 60, 100, 500])
@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 99, 100, 120, 500, 620])
def test_every_order_is_found(
    monkeypatch: pytest.MonkeyPatch, count: int, page_size: int, *, is_reversed: bool
) -> None:
    orders = Orders(in_groups(count), page_size=page_size, is_reversed=is_reversed)

    assert orders.listed(monkeypatch) == orders.ids


def test_page_begins_at_the_time_of_the_last_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders 498 to 501 have the same time: two of them are on the first page, two on the second."""
    times = [NOW + timedelta(seconds=min(number, 498) if number < 502 else number) for number in range(510)]
    orders = Orders(times)

    assert orders.listed(monkeypatch) == orders.ids
    assert orders.queries[1]["after"] == (times[498] - timedelta(microseconds=1)).isoformat()


def test_order_that_arrives_between_two_pages_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = Orders(in_groups(501))
    orders.arrives_after_first_page = later(1)

    assert orders.listed(monkeypatch) == orders.ids
    assert len(orders.ids) == 502


@pytest.mark.parametrize("count", [0, 1, 49])
def test_short_list_takes_one_request(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    orders = Orders(in_groups(count))
    orders.listed(monkeypatch)

    assert len(orders.queries) == 1


def test_orders_of_one_moment_are_one_page(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = Orders([NOW] * 120)

    assert orders.listed(monkeypatch) == orders.ids


def test_list_that_does_not_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = Orders([NOW] * 501)

    with pytest.raises(BrokerUnavailable, match="does not end"):
        orders.listed(monkeypatch)
