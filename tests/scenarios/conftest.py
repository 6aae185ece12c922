"""Every scenario ends with the promises that hold whatever happened."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal

from tests.support.world import KEYS, HandlerWorld

LIVE = frozenset({"new", "accepted", "pending_new", "partially_filled", "pending_cancel", "held"})


def promises_hold(world: HandlerWorld) -> None:
    """No client order id twice, no symbol with two live orders, no secret in the log."""
    ids = Counter(order["client_order_id"] for order in world.orders)
    assert all(count == 1 for count in ids.values()), ids
    live = Counter(order["symbol"] for order in world.orders if order["status"] in LIVE)
    assert all(count == 1 for count in live.values()), live
    assert not any(f'"{secret}"' in world.lines.getvalue() for secret in KEYS.values())


def filled_by_symbol(world: HandlerWorld) -> dict[str, Decimal]:
    """Shares filled at the broker."""
    filled: dict[str, Decimal] = defaultdict(Decimal)
    for order in world.orders:
        filled[order["symbol"]] += Decimal(order["filled_qty"])
    return dict(filled)
