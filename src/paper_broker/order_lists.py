"""Lists of orders that are late, short, reversed or have rows that were not asked for."""

from collections import deque
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from paper_broker.fills import FillBehaviour
from paper_broker.formats import ONE, JsonObject, duration, identifier
from paper_broker.orders import Order, OrderQuery, OrderStore

_FIELDS = frozenset({"page_limit", "reversed", "delay_seconds", "foreign_rows"})
_FOREIGN_SYMBOL = "FOREIGN"


@dataclass(frozen=True, slots=True)
class ListFaults:
    """The difference between lists of orders and the truth."""

    page_limit: int | None = None
    """Maximum number of rows, whatever the query asks for."""
    reversed: bool = False
    """Rows are selected and sorted in the direction that was not asked for."""
    delay: int = 0
    """Age of the newest order or change that lists show, in nanoseconds."""
    foreign_rows: int = 0
    """Rows of orders in another symbol at the start of each list, in place of rows that match."""

    @classmethod
    def parse(cls, spec: Mapping[str, Any]) -> "ListFaults":
        """Parse ``lists`` of a scenario.

        Raises:
            ValueError: an unknown field, or a number out of range.
        """
        if unknown := spec.keys() - _FIELDS:
            raise ValueError(f"Unknown fields of lists: {sorted(unknown)}. Choose from {sorted(_FIELDS)}.")
        limit, delay, rows = spec.get("page_limit"), spec.get("delay_seconds", 0), int(spec.get("foreign_rows", 0))
        if limit is not None and int(limit) < 1:
            raise ValueError("page_limit of lists must be from 1.")
        if float(delay) < 0 or rows < 0:
            raise ValueError("delay_seconds and foreign_rows of lists must be from 0.")
        return cls(None if limit is None else int(limit), bool(spec.get("reversed", False)), duration(delay), rows)


class OrderLists:
    """The lists of orders of one exchange.

    Args:
        orders: the orders as they are.
    """

    def __init__(self, orders: OrderStore) -> None:
        self._orders = orders
        self._spec: JsonObject = {}
        self._faults = ListFaults()
        self._versions: dict[str, deque[tuple[int, Order]]] = {}
        """By order ID: times of changes and the order after each of them, oldest first, while lists are late."""

    def set(self, spec: Mapping[str, Any], now: int) -> None:
        """Apply ``lists`` of a scenario.

        Raises:
            ValueError: an unknown field, or a number out of range.
        """
        self._faults, self._spec = ListFaults.parse(spec), dict(spec)
        if not self._faults.delay:
            self._versions.clear()
        else:
            for order in self._orders.by_id.values():
                if not order.is_settled and order.id not in self._versions:
                    self.record(order, now)

    @property
    def are_late(self) -> bool:
        """True if every change of an order must be recorded."""
        return self._faults.delay > 0

    def record(self, order: Order, now: int) -> None:
        """Remember an order after a change at ``now``."""
        versions = self._versions.setdefault(order.id, deque())
        versions.append((now, copy(order)))
        while len(versions) > 1 and versions[1][0] <= now - self._faults.delay:
            versions.popleft()

    def find(self, query: OrderQuery, now: int) -> list[JsonObject]:
        """Return one page of orders as Alpaca sends them.

        Raises:
            BrokerError: 422 for an invalid timestamp, 404 for an unknown order ID.
        """
        if not self._spec:
            return [order.to_json(now) for order in self._orders.find(query)]
        faults = self._faults
        limit = min(query.limit, faults.page_limit or query.limit)
        foreign = min(faults.foreign_rows, limit - 1)
        if faults.reversed:
            query = replace(query, direction="desc" if query.direction == "asc" else "asc")
        at = now - faults.delay
        known = self._orders if not faults.delay else self._late(at)
        found = known.find(replace(query, limit=limit - foreign))
        rows = [self._foreign_row(n, found[0] if found else None, at) for n in range(foreign)]
        return rows + [order.to_json(at) for order in found]

    def _late(self, at: int) -> OrderStore:
        """Return the orders as they were at a time in the past."""
        store = OrderStore()
        for order in self._orders.by_id.values():
            if (version := self._version(order, at)) is not None:
                store.add(version)
        return store

    def _version(self, order: Order, at: int) -> Order | None:
        versions = self._versions.get(order.id)
        if versions is None:
            return order
        past = [version for since, version in versions if since <= at]
        if len(past) == len(versions):
            del self._versions[order.id]
        return past[-1] if past else None

    @staticmethod
    def _foreign_row(number: int, first: Order | None, at: int) -> JsonObject:
        """Return a row that no query asks for, dated like the first row that matches."""
        submitted = at if first is None else first.submitted_at
        return Order(
            id=identifier("foreign row", number),
            client_order_id=identifier("foreign client order", number),
            symbol=_FOREIGN_SYMBOL,
            asset_id=identifier("asset", _FOREIGN_SYMBOL),
            side="buy",
            type="limit",
            time_in_force="day",
            behaviour=FillBehaviour.parse({}),
            submitted_at=submitted,
            updated_at=submitted,
            qty=ONE,
            limit_price=ONE,
            status="new",
        ).to_json(at)

    def dump(self) -> JsonObject:
        """Return settings and earlier versions of orders, ready for JSON."""
        versions = {
            order_id: [[at, version.dump()] for at, version in versions]
            for order_id, versions in self._versions.items()
        }
        return {"lists": self._spec, "order_versions": versions}

    def load(self, state: JsonObject) -> None:
        """Restore dumped versions of orders."""
        self._versions = {
            order_id: deque((at, Order.load(values)) for at, values in versions)
            for order_id, versions in state["order_versions"].items()
        }
