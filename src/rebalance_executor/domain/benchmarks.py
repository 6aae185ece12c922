"""Market data of the time around an order's fills, with which its cost is judged afterwards.

All of it is read later than the plan ends (``execution.cost_update``), and stored beside the result:

* interval VWAP: mean price of all trades, weighted by their shares, from the minute of the first submission to that of
  the last fill. Bars end on whole minutes, so the interval is that of the order, widened to whole minutes; it contains
  the order's own fills. Source: Berkowitz, Logue and Noser 1988;
* close: price of the last trade of the trading day's session, as its daily bar has it;
* previous close: that of the trading day before, in shares of the trading day if the symbol split in between;
* mids: midpoint of bid and ask some time after the latest fill of each child, from which markouts follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from types import MappingProxyType

from rebalance_executor.domain.market import ZERO, Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, ParentOrder
from rebalance_executor.domain.session import new_york

_PRICE_STEP = Decimal("0.000001")
_MINUTE = timedelta(minutes=1)
_CLOSE = time(16)
"""End of a full session in New York. On a half day, quotes after its end at 13:00 have no meaning but are used."""


class Horizon(StrEnum):
    """Time after a fill at which the mid is compared with the fill's price."""

    ONE_SECOND = "1s"
    THIRTY_SECONDS = "30s"
    FIVE_MINUTES = "5min"
    CLOSE = "close"
    """The close of the trading day; its price is the close, not a mid."""


QUOTED: Mapping[Horizon, timedelta] = MappingProxyType(
    {
        Horizon.ONE_SECOND: timedelta(seconds=1),
        Horizon.THIRTY_SECONDS: timedelta(seconds=30),
        Horizon.FIVE_MINUTES: timedelta(minutes=5),
    }
)
"""The horizons that are read from quotes, with their times after the fill."""


@dataclass(frozen=True, slots=True)
class MinuteBar:
    """Trades of one symbol in one minute."""

    start: datetime
    vwap: Decimal
    shares: Decimal


@dataclass(frozen=True, slots=True)
class DayClose:
    """Close of one symbol on one day, in shares of that day and in shares of the latest day that was read."""

    day: date
    price: Decimal
    split_adjusted: Decimal


@dataclass(frozen=True, slots=True)
class FillMids:
    """Mids after the latest fill of one child."""

    attempt: int
    filled_at: datetime
    mids: Mapping[Horizon, Decimal] = field(default_factory=dict)
    """A horizon without a usable quote, or after the close, is absent."""


@dataclass(frozen=True, slots=True)
class Benchmarks:
    """Market data of one order. Dollars per share; None if the market data has no such price."""

    symbol: str
    read_at: datetime
    vwap: Decimal | None = None
    close: Decimal | None = None
    previous_close: Decimal | None = None
    fills: tuple[FillMids, ...] = ()
    missing: tuple[str, ...] = ()
    """Missing market data, for people."""

    def mid_after(self, attempt: int, horizon: Horizon) -> Decimal | None:
        """Return the price of the market at this time after a child's latest fill; None if it is unknown."""
        if horizon is Horizon.CLOSE:
            return self.close
        return next((fill.mids.get(horizon) for fill in self.fills if fill.attempt == attempt), None)


@dataclass(frozen=True, slots=True)
class CostsRead:
    """The end of the reading of one plan: whether everything was read, and why not."""

    read_at: datetime
    reason: str | None = None
    """Reason why the rest can never be read; None if everything was."""

    @property
    def is_complete(self) -> bool:
        """True if the benchmarks of every order with fills are stored."""
        return self.reason is None


# --- what is to be read ----------------------------------------------------------------------------------


def filled(parents: Iterable[ParentOrder]) -> list[ParentOrder]:
    """Return the parents with fills, of which there is a cost."""
    return [parent for parent in parents if parent.filled_qty]


def fill_time(child: ChildOrder) -> datetime | None:
    """Return the time of a child's latest fill: the broker's, or that of the first report of it. None without fills."""
    return (child.filled_at or child.fill_seen_at or child.closed_at) if child.filled_qty else None


def interval(parent: ParentOrder) -> tuple[datetime, datetime] | None:
    """Return the times of a parent's first submission and of its last fill; None without fills."""
    sent = [child for child in parent.children if child.state is not ChildState.NOT_SENT]
    fills = [at for child in sent if (at := fill_time(child)) is not None]
    if not fills:
        return None
    first = min(child.submitted_at or child.latest_send for child in sent)
    return min(first, *fills), max(fills)


def quote_times(filled_at: datetime) -> dict[Horizon, datetime]:
    """Return the times at which a mid is read after a fill; those after the close have no meaning and are left out."""
    times = {horizon: filled_at + after for horizon, after in QUOTED.items()}
    return {horizon: at for horizon, at in times.items() if new_york(at).time() < _CLOSE}


# --- prices ----------------------------------------------------------------------------------------------


def interval_vwap(bars: Iterable[MinuteBar], start: datetime, end: datetime) -> Decimal | None:
    """Return the VWAP of the minutes that contain any time from ``start`` to ``end``; None if nothing traded."""
    used = [bar for bar in bars if start - _MINUTE < bar.start <= end]
    shares = sum((bar.shares for bar in used), ZERO)
    if not shares:
        return None
    value = sum((bar.vwap * bar.shares for bar in used), ZERO)
    return _as_price(value / shares)


def closes(days: Iterable[DayClose], day: date) -> tuple[Decimal | None, Decimal | None]:
    """Return the close of a day, and the previous one in shares of that day; None for one that is unknown."""
    by_day = {one.day: one for one in days if one.day <= day}
    today = by_day.pop(day, None)
    before = by_day[max(by_day)] if by_day else None
    if today is None or before is None or not today.split_adjusted:
        return today.price if today is not None else None, None
    return today.price, _as_price(before.split_adjusted * today.price / today.split_adjusted)


def _as_price(value: Decimal) -> Decimal:
    return value.quantize(_PRICE_STEP, rounding=ROUND_HALF_EVEN)


def markout(side: Side, price: Decimal, qty: Decimal, later: Decimal) -> Decimal:
    """Return the markout of a fill in dollars: what its shares gained from its price to a later one.

    For a buy, the later price less that of the fill; positive if the market moved in our favour, negative if against
    us (adverse selection).
    """
    return qty * (later - price if side is Side.BUY else price - later)
