"""One day as it looks for one side: for sells it is mirrored, so that every order is a buy.

In the mirrored market the bid is the negative ask, the ask the negative bid, and sizes are swapped. Strategies see the
real quote; only fills and costs are counted in mirrored prices.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from benchmarks.replay.ticks import Day, Quotes, Trades
from rebalance_executor.domain.market import Quote, Side

PRICE_UNIT = Decimal("0.0001")
"""Dollars of one unit of a price."""
_NEW_YORK = ZoneInfo("America/New_York")


@dataclass(frozen=True, slots=True)
class Tape:
    """Quotes and trades in mirrored prices: an order on it is a buy."""

    symbol: str
    side: Side
    midnight: datetime
    quotes: Quotes
    trades: Trades

    @classmethod
    def of(cls, day: Day, side: Side) -> Tape:
        """Return the day as it looks for orders of this side."""
        midnight = datetime(day.day.year, day.day.month, day.day.day, tzinfo=_NEW_YORK)
        quotes, trades = day.quotes, day.trades
        if side is Side.SELL:
            bids, asks = _negative(quotes.asks), _negative(quotes.bids)
            quotes = Quotes(quotes.times, bids, quotes.ask_sizes, asks, quotes.bid_sizes)
            trades = Trades(trades.times, _negative(trades.prices), trades.sizes)
        return cls(day.symbol, side, midnight, quotes, trades)

    def state_at(self, at: int) -> int:
        """Return the index of the quote that stands at ``at``, its own changes included; −1 before the first."""
        return bisect_right(self.quotes.times, at) - 1

    def state_before(self, at: int) -> int:
        """Return the index of the quote that stood just before ``at``; −1 before the first."""
        return bisect_left(self.quotes.times, at) - 1

    def double_mid(self, at: int) -> int:
        """Return bid + ask at this time, or at the first quote of the day."""
        state = max(self.state_at(at), 0)
        return self.quotes.bids[state] + self.quotes.asks[state]

    def quote(self, at: int) -> Quote | None:
        """Return the real quote at this time; None before the first."""
        state = self.state_at(at)
        if state < 0:
            return None
        quotes = self.quotes
        near = PRICE_UNIT * quotes.bids[state], Decimal(quotes.bid_sizes[state])
        far = PRICE_UNIT * quotes.asks[state], Decimal(quotes.ask_sizes[state])
        if self.side is Side.SELL:
            near, far = (-far[0], far[1]), (-near[0], near[1])
        return Quote(self.symbol, near[0], far[0], near[1], far[1], self.time(at))

    def time(self, at: int) -> datetime:
        """Return milliseconds after midnight in New York as a time."""
        return self.midnight + timedelta(milliseconds=at)

    def mirrored(self, price: Decimal) -> int:
        """Return a real price in dollars as a mirrored one in units."""
        units = int(price / PRICE_UNIT)
        return units if self.side is Side.BUY else -units


def _negative(values: array[int]) -> array[int]:
    return array("q", [-value for value in values])
