"""Implementation shortfall and its parts (Perold 1988; the split is that of transaction cost analysis).

The parts are computed per child, from the mid and the far touch at pricing; a cost is positive:

* delay: arrival mid → mid at pricing; the market moved before the order was sent;
* spread: mid at pricing → far touch; half the spread, the price of immediacy;
* residual: far touch → fill; the gain from waiting (negative), or the cost of impact and slippage.

The three sum exactly to fills against arrival mid, because the residual is the total less the other two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from rebalance_executor.domain.market import ZERO, Side
from rebalance_executor.domain.orders import ChildOrder, ParentOrder
from rebalance_executor.domain.pricing import shortfall


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Dollars lost against the arrival mid, with their parts; positive is a cost."""

    total: Decimal = ZERO
    delay: Decimal = ZERO
    spread: Decimal = ZERO

    @property
    def residual(self) -> Decimal:
        """Dollars that delay and spread do not explain."""
        return self.total - self.delay - self.spread

    def __add__(self, other: Shortfall) -> Shortfall:
        """Return the sum of both."""
        return Shortfall(self.total + other.total, self.delay + other.delay, self.spread + other.spread)


def of_parent(parent: ParentOrder) -> Shortfall | None:
    """Return the shortfall of a parent's fills; None without fills, or if a price or the arrival is unknown."""
    filled = [child for child in parent.children if child.filled_qty]
    if not filled or parent.arrival is None or any(child.filled_avg_price is None for child in filled):
        return None
    mid = parent.arrival.mid
    total = shortfall(parent.side, mid, parent.filled_qty, parent.filled_value)
    parts = [_parts(child, parent.side, mid) for child in filled]
    return Shortfall(total, sum((delay for delay, _ in parts), ZERO), sum((spread for _, spread in parts), ZERO))


def of_plan(parts: Iterable[Shortfall]) -> Shortfall:
    """Return the shortfall of a plan: the sum of the shortfalls of its parents."""
    return sum(parts, Shortfall())


def _parts(child: ChildOrder, side: Side, arrival_mid: Decimal) -> tuple[Decimal, Decimal]:
    """Return delay and spread in dollars. Without a journalled quote both are 0 and the residual is the total."""
    if child.mid is None or child.bid is None or child.ask is None:
        return ZERO, ZERO
    moved = child.mid - arrival_mid if side is Side.BUY else arrival_mid - child.mid
    return child.filled_qty * moved, child.filled_qty * (child.ask - child.bid) / 2
