"""Implementation shortfall and its parts (Perold 1988; expanded as by Wagner and Edwards 1993 and Kissell 2006).

The parts are computed per child, from the mid and the far touch at pricing; a cost is positive:

* delay: arrival mid → mid when the first child was priced; the market moved before anything was sent;
* timing: that mid → mid when the filled child was priced; the market moved while the order was worked;
* spread: mid at pricing → far touch; half the spread, the price of immediacy;
* residual: far touch → fill; the gain from waiting (negative), or the cost of size and slippage (positive).

The four sum exactly to fills against arrival mid, because the residual is the total less the other three.

An auction has one price and no spread: of its fills, everything after the first pricing is timing.

Timing contains the impact of the order's own earlier children. Nothing in one order separates that from the market's
own move; only the mean of many orders does.
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
    timing: Decimal = ZERO
    spread: Decimal = ZERO
    waiting: Decimal = ZERO
    """Part of the residual of children that filled inside the far touch; zero or negative."""
    impact: Decimal = ZERO
    """Part of the residual of children that filled beyond the far touch; zero or positive."""

    @property
    def residual(self) -> Decimal:
        """Dollars that delay, timing and spread do not explain."""
        return self.total - self.delay - self.timing - self.spread

    @property
    def unseparated(self) -> Decimal:
        """Dollars of children that were not priced from a quote, so that nothing separates them."""
        return self.residual - self.waiting - self.impact

    @property
    def parts(self) -> dict[str, Decimal]:
        """The parts by name; their sum is ``total``."""
        names = ("delay", "timing", "spread", "waiting", "impact", "unseparated")
        return {name: getattr(self, name) for name in names}

    def __add__(self, other: Shortfall) -> Shortfall:
        """Return the sum of both."""
        return Shortfall(
            self.total + other.total,
            self.delay + other.delay,
            self.timing + other.timing,
            self.spread + other.spread,
            self.waiting + other.waiting,
            self.impact + other.impact,
        )


def of_parent(parent: ParentOrder) -> Shortfall | None:
    """Return the shortfall of a parent's fills; None without fills, or if a price or the arrival is unknown."""
    filled = [child for child in parent.children if child.filled_qty]
    if not filled or parent.arrival is None or any(child.filled_avg_price is None for child in filled):
        return None
    first_mid = next((child.mid for child in parent.children if child.mid is not None), parent.arrival.mid)
    return of_plan(_of_child(child, parent.side, parent.arrival.mid, first_mid) for child in filled)


def of_plan(parts: Iterable[Shortfall]) -> Shortfall:
    """Return the shortfall of a plan: the sum of the shortfalls of its parents."""
    return sum(parts, Shortfall())


def _of_child(child: ChildOrder, side: Side, arrival_mid: Decimal, first_mid: Decimal) -> Shortfall:
    """Return the shortfall of one child's fills. Without a journalled quote nothing of it is separated."""
    qty, price = child.filled_qty, child.filled_avg_price or ZERO
    total = shortfall(side, arrival_mid, qty, qty * price)
    delay = shortfall(side, arrival_mid, qty, qty * first_mid)
    if child.is_for_auction:
        return Shortfall(total, delay, total - delay)
    if child.mid is None or child.bid is None or child.ask is None:
        return Shortfall(total)
    timing = shortfall(side, first_mid, qty, qty * child.mid)
    spread = qty * (child.ask - child.bid) / 2
    residual = total - delay - timing - spread
    return Shortfall(total, delay, timing, spread, min(residual, ZERO), max(residual, ZERO))
