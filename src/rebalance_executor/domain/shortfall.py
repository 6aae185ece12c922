"""Implementation shortfall, and what it was lost to (Perold 1988; the split as transaction cost analysis knows it).

Per child, with the mid and the far touch at the moment it was priced, signed so that a cost is positive:

* delay — arrival mid → that mid: the market moved before the order was sent;
* spread — that mid → the far touch: half the spread, the price of immediacy;
* residual — far touch → fill: what waiting won back (negative), or impact and slippage cost.

The three add up to fills against arrival mid, exactly, because the residual is what the other two leave.
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
    """Dollars lost against arrival mid, and their parts; positive is a cost."""

    total: Decimal = ZERO
    delay: Decimal = ZERO
    spread: Decimal = ZERO

    @property
    def residual(self) -> Decimal:
        """What delay and spread do not explain."""
        return self.total - self.delay - self.spread

    def __add__(self, other: Shortfall) -> Shortfall:
        """Both together."""
        return Shortfall(self.total + other.total, self.delay + other.delay, self.spread + other.spread)


def of_parent(parent: ParentOrder) -> Shortfall | None:
    """The shortfall of a parent's fills; None where nothing was filled, or a price or the arrival is not known."""
    filled = [child for child in parent.children if child.filled_qty]
    if not filled or parent.arrival is None or any(child.filled_avg_price is None for child in filled):
        return None
    mid = parent.arrival.mid
    total = shortfall(parent.side, mid, parent.filled_qty, parent.filled_value)
    parts = [_parts(child, parent.side, mid) for child in filled]
    return Shortfall(total, sum((delay for delay, _ in parts), ZERO), sum((spread for _, spread in parts), ZERO))


def of_plan(parts: Iterable[Shortfall]) -> Shortfall:
    """The shortfall of a plan: its parents' together."""
    return sum(parts, Shortfall())


def _parts(child: ChildOrder, side: Side, arrival_mid: Decimal) -> tuple[Decimal, Decimal]:
    """Delay and spread; both 0, and all of it residual, where the quote was not journalled."""
    if child.mid is None or child.bid is None or child.ask is None:
        return ZERO, ZERO
    moved = child.mid - arrival_mid if side is Side.BUY else arrival_mid - child.mid
    return child.filled_qty * moved, child.filled_qty * (child.ask - child.bid) / 2
