"""Bars of one minute: from the history of the quotes where it is known, otherwise invented between the day's prices."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from paper_broker.auctions import Auctions
from paper_broker.day_bars import DayBars, Prices, bar_json, midnight, volume_of
from paper_broker.formats import MINUTE, ONE, JsonObject, timestamp
from paper_broker.history import on_tick
from paper_broker.market import Market

_DAY = timedelta(days=1)
_MINUTES_OF_A_DAY = 24 * 60
_BUSIER_AT_THE_ENDS = 3
"""Volume of the first and last minute as a multiple of that in the middle of the session."""


class Hours(NamedTuple):
    """The hours of one trading day; times in nanoseconds since the epoch."""

    open: int
    close: int

    @property
    def minutes(self) -> int:
        """Number of minutes."""
        return (self.close - self.open) // MINUTE


class MinuteBars:
    """The bars of one minute of one exchange. They cover regular hours, of symbols with a daily volume.

    Args:
        seed: seed of the invented prices.
        market: quotes and their history.
        auctions: trading days.
        day_bars: prices between which a minute is invented.
    """

    def __init__(self, seed: int, market: Market, auctions: Auctions, day_bars: DayBars) -> None:
        self._seed = seed
        self._market = market
        self._auctions = auctions
        self._day_bars = day_bars

    def bars(self, symbol: str, start: int, end: int, now: int, *, is_iex: bool) -> Iterator[tuple[int, JsonObject]]:
        """Return the bars that begin from ``start`` to ``end`` and are complete, with their times, oldest first."""
        quote = self._market.quotes[symbol]
        first = self._day_bars.today(start) - _DAY
        days, has_today = self._day_bars.days(now, first)
        every_day = self._day_bars.prices(symbol, days, has_today=has_today)
        for number, (day, prices) in enumerate(zip(days, every_day, strict=True)):
            volume = volume_of(quote, number, is_iex=is_iex)
            hours = self._hours(midnight(day))
            if not isinstance(volume, int) or hours.close <= start or hours.open > end:
                continue
            weights = _weights(hours.minutes)
            for minute in range(max((start - hours.open + MINUTE - 1) // MINUTE, 0), hours.minutes):
                at = hours.open + minute * MINUTE
                if at > end or at + MINUTE > now:
                    return
                found = (
                    self._known(symbol, at)
                    if self._is_known(symbol, at)
                    else self._invented(symbol, prices, at, minute / hours.minutes, (minute + 1) / hours.minutes)
                )
                if found is not None:
                    yield at, bar_json(timestamp(at)[:19] + "Z", *found, int(volume * weights[minute]))

    def _hours(self, day_start: int) -> Hours:
        session = self._auctions.sessions.of_day(day_start)
        if session is None:
            return Hours(day_start, day_start + _MINUTES_OF_A_DAY * MINUTE)
        return Hours(session.open, session.close)

    def _is_known(self, symbol: str, at: int) -> bool:
        begin = self._market.history.begins_at(symbol)
        return begin is not None and begin < at + MINUTE

    def _known(self, symbol: str, at: int) -> tuple[Prices, Decimal] | None:
        """Return the mids of a minute, or None if there was none."""
        tick = self._market.assets[symbol].tick_size
        levels = self._market.history.levels(symbol, at, at + MINUTE - 1, tick)
        mids = [on_tick(level.mid, tick) for _, level in levels if level.has_both_sides]
        if not mids:
            return None
        return Prices(mids[0], max(mids), min(mids), mids[-1]), sum(mids, Decimal(0)) / len(mids)

    def _invented(self, symbol: str, day: Prices, at: int, begin: float, end: float) -> tuple[Prices, Decimal]:
        """Return prices on the way from the open to the close of the day, within its range.

        Args:
            symbol: the symbol.
            day: prices of the day.
            at: start of the minute.
            begin: part of the day that has passed at the start of the minute, from 0 to 1.
            end: the same at its end.
        """
        first, last = self._on_the_way(symbol, day, at, begin), self._on_the_way(symbol, day, at + MINUTE, end)
        return Prices(first, max(first, last), min(first, last), last), (first + last) / 2

    def _on_the_way(self, symbol: str, day: Prices, at: int, passed: float) -> Decimal:
        if passed in (0, 1):
            return day.open if passed == 0 else day.close
        digest = blake2b(f"{self._seed}|{symbol}|{at}".encode(), digest_size=2).digest()
        noise = (Decimal(int.from_bytes(digest)) / 65536 - ONE / 2) * (day.high - day.low) / 10
        price = day.open + (day.close - day.open) * Decimal(passed) + noise
        return on_tick(min(max(price, day.low), day.high), self._market.assets[symbol].tick_size)


@lru_cache(maxsize=16)
def _weights(minutes: int) -> tuple[float, ...]:
    """Return the part of the daily volume that each minute has: most at the open and the close."""
    middle = (minutes - 1) / 2
    raw = [1 + (_BUSIER_AT_THE_ENDS - 1) * ((minute - middle) / middle) ** 2 for minute in range(minutes)]
    return tuple(weight / sum(raw) for weight in raw)
