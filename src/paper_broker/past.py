"""The past of an exchange, for responses that show cash, positions or orders as they were a moment ago.

It is recorded only while a scenario asks for such responses.
"""

from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from paper_broker.formats import JsonObject
from paper_broker.ledger import Balance, Ledger, Position
from paper_broker.market import Market
from paper_broker.order_lists import OrderLists
from paper_broker.orders import Order, OrderStore


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Cash, buying power and positions from ``at`` (nanoseconds since the epoch) until the next snapshot."""

    at: int
    balance: Balance
    positions: tuple[tuple[str, Decimal, Decimal], ...]
    """Symbol, shares and average cost of every position."""

    def dump(self) -> list[Any]:
        """Return the snapshot as :meth:`load` accepts it, ready for JSON."""
        return [self.at, self.balance.dump(), [[symbol, str(qty), str(cost)] for symbol, qty, cost in self.positions]]

    @classmethod
    def load(cls, values: list[Any]) -> "Snapshot":
        """Return a dumped snapshot."""
        at, balance, positions = values
        held = tuple((symbol, Decimal(qty), Decimal(cost)) for symbol, qty, cost in positions)
        return cls(at, Balance.load(balance), held)


class Past:
    """Records changes, and answers with earlier cash and positions.

    Args:
        ledger: cash and positions as they are.
        market: quotes, which determine buying power on margin.
        orders: open orders, which reserve cash.
        lists: lists of orders, which may be late.
    """

    def __init__(self, ledger: Ledger, market: Market, orders: OrderStore, lists: OrderLists) -> None:
        self._ledger = ledger
        self._market = market
        self._orders = orders
        self._lists = lists
        self._snapshots: deque[Snapshot] = deque()
        self._changed: dict[str, Order] = {}
        self._changed_at: int | None = None

    @property
    def is_shown(self) -> bool:
        """True if a response shows the past, so that changes must be recorded."""
        return self._lists.are_late or self._ledger.account.max_lag > 0

    def change(self, at: int, order: Order | None = None) -> None:
        """Note a change of the account, and of an order; :meth:`record` follows when the change is complete."""
        self._changed_at = at
        if order is not None:
            self._changed[order.id] = order

    def record(self) -> None:
        """Record what changed since the last call."""
        at = self._changed_at
        if at is None:
            return
        if self._lists.are_late:
            for order in self._changed.values():
                self._lists.record(order, at)
        self._changed.clear()
        self._changed_at = None
        if lag := self._ledger.account.max_lag:
            self._snapshots.append(self._snapshot(at))
            while len(self._snapshots) > 1 and self._snapshots[1].at <= at - lag:
                self._snapshots.popleft()
        else:
            self._snapshots.clear()

    def _snapshot(self, at: int) -> Snapshot:
        balance = self._ledger.balance(self._market.quotes, self._orders.held_cash())
        held = tuple((p.symbol, p.qty, p.avg_entry_price) for p in self._ledger.positions.values())
        return Snapshot(at, balance, held)

    def _at(self, at: int) -> Snapshot:
        """Return the snapshot that applies at a time, or the oldest one."""
        return next((s for s in reversed(self._snapshots) if s.at <= at), self._snapshots[0])

    def spendable(self, at: int) -> JsonObject:
        """Return cash and buying power at an earlier time, as in ``GET /v2/account``."""
        return self._ledger.spendable_json(self._at(at).balance, at)

    def positions(self, at: int) -> dict[str, Position]:
        """Return the positions at an earlier time, by symbol."""
        return {symbol: Position(symbol, qty, cost) for symbol, qty, cost in self._at(at).positions}

    def dump(self) -> JsonObject:
        """Return the recorded snapshots, ready for JSON."""
        return {"snapshots": [snapshot.dump() for snapshot in self._snapshots]}

    def load(self, state: JsonObject) -> None:
        """Restore dumped snapshots, in place of those recorded since."""
        self._snapshots = deque(map(Snapshot.load, state["snapshots"]))
        self._changed.clear()
        self._changed_at = None
