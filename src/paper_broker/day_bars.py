"""Daily prices: those of sessions that this broker saw, and invented ones before them.

The close of the last session before today is the ``prev_close`` of the quote. Earlier closes follow from it: those of
recorded sessions as they were, others by returns that are derived from seed, symbol and date.
"""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from paper_broker.auctions import Auctions
from paper_broker.formats import NEW_YORK, ONE, ZERO, JsonObject, json_number, nanoseconds, to_datetime
from paper_broker.history import on_tick
from paper_broker.market import Market, Quote
from paper_broker.sessions import Auction

_KEPT_DAYS = 65
"""Recorded sessions: as many as bars go back."""
_LONGEST_CLOSURE = timedelta(days=40)
_LARGEST_RETURN, _LARGEST_GAP, _LARGEST_TAIL = Decimal("0.02"), Decimal("0.005"), Decimal("0.01")
_IEX_PART = 50
"""IEX trades about a fiftieth of the volume of all exchanges."""
_DEFAULT_VOLUME = 1000
"""Volume in the snapshot of a symbol without daily bars."""


class Prices(NamedTuple):
    """Prices of one day, in dollars."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal

    def to_json(self, at: str, volume: object) -> JsonObject:
        """Return the daily bar as market data has it."""
        return bar_json(at, self, (self.high + self.low + self.close) / 3, volume)


def bar_json(at: str, prices: Prices, vwap: Decimal, volume: object) -> JsonObject:
    """Return a bar as market data has it. A volume that is not a number is sent as it is."""
    trades = max(volume // 100, 1) if isinstance(volume, int) else 10
    o, h, l, c = map(json_number, prices)  # noqa: E741 - names of the fields
    return {"t": at, "o": o, "h": h, "l": l, "c": c, "v": volume, "n": trades, "vw": float(round(vwap, 4))}


class DayBars:
    """The daily prices of one exchange.

    Args:
        seed: seed of the invented prices.
        market: quotes and the range of the day.
        auctions: trading days, and the prices of the auctions.
    """

    def __init__(self, seed: int, market: Market, auctions: Auctions) -> None:
        self._seed = seed
        self._market = market
        self._auctions = auctions
        self._recorded: dict[str, dict[str, list[str]]] = {}
        """Prices of sessions that have closed and the close before them, by date and symbol."""
        self._ends_at: int | None = None
        """End of the day of the last recorded session."""
        self.revision = 0
        """Counter that increases with every change of what :meth:`dump` returns."""

    def record(self, auction: Auction) -> None:
        """Start the day with its opening auction, or record it with its closing auction."""
        self.revision += 1
        is_close, closes = auction.time_in_force == "cls", dict[str, list[str]]()
        for symbol in self._market.quotes:
            price = self._auctions.price(symbol, auction.time_in_force, auction.at)
            if is_close:
                prev_close = self._market.quotes[symbol].prev_close
                closes[symbol] = list(map(str, [*self._so_far(symbol, price), prev_close]))
            elif price is not None:
                self._market.restart_range(symbol, price)
            else:
                self._market.ranges.pop(symbol, None)
        if is_close:
            self._recorded[auction.day.isoformat()] = closes
            self._ends_at = midnight(auction.day + timedelta(days=1))
        for day in list(self._recorded)[:-_KEPT_DAYS]:
            del self._recorded[day]

    def roll(self, now: int) -> None:
        """After the day of a session, make its close the previous close of every quote."""
        if self._ends_at is None or now < self._ends_at:
            return
        self._ends_at = None
        self.revision += 1
        closes = {symbol: Decimal(prices[3]) for symbol, prices in self._recorded[max(self._recorded)].items()}
        self._market.change_previous_closes(closes)

    def _so_far(self, symbol: str, close: Decimal | None = None) -> Prices:
        last = close or self._market.quotes[symbol].last
        first, high, low = self._market.ranges.get(symbol, (last, last, last))
        return Prices(first, max(high, last), min(low, last), last)

    def days(self, now: int, first: date) -> tuple[list[date], bool]:
        """Return the days from ``first`` on whose session has started, and whether the last one is today's.

        Of a market without any trading days they are the days of the calendar before today.
        """
        sessions, today = self._auctions.sessions, self.today(now)
        known = [date.fromisoformat(day["date"]) for day in sessions.calendar(first, today)]
        if sessions.kind == "always_closed":
            known = [first + timedelta(days=n) for n in range((today - first).days)]
        session = sessions.of_day(now)
        if session is not None and session.open > now:
            known = known[:-1]
        return known, bool(known) and known[-1] == today

    def today(self, now: int) -> date:
        """Return the date in New York; of a market that never closes the date in UTC."""
        at = to_datetime(now)
        return at.date() if self._auctions.sessions.kind == "always_open" else at.astimezone(NEW_YORK).date()

    def prices(self, symbol: str, days: Sequence[date], *, has_today: bool) -> list[Prices]:
        """Return the prices of consecutive days, of which the last is the latest one.

        Args:
            symbol: a symbol with a quote.
            days: days that have started, oldest first.
            has_today: True if the last one is today.
        """
        past, found = list(days), list[Prices]()
        if has_today:
            today = past.pop()
            found.append(self._recorded_on(symbol, today)[0] or self._so_far(symbol))
        close = self._market.quotes[symbol].prev_close
        for day in reversed(past):
            prices, close = self._past(symbol, day, close)
            found.append(prices)
        return found[::-1]

    def _past(self, symbol: str, day: date, close: Decimal) -> tuple[Prices, Decimal]:
        """Return the prices of a day that ended with this close, and the close of the day before."""
        known, prev_close = self._recorded_on(symbol, day)
        if known is not None:
            return Prices(known.open, max(known.high, close), min(known.low, close), close), prev_close
        change, gap, up, down = _draw(self._seed, symbol, day)
        tick = self._market.assets[symbol].tick_size
        prev_close = on_tick(close / (ONE + change * _LARGEST_RETURN), tick)
        opening = on_tick(prev_close * (ONE + gap * _LARGEST_GAP), tick)
        high = on_tick(max(opening, close) * (ONE + abs(up) * _LARGEST_TAIL), tick)
        low = on_tick(min(opening, close) * (ONE - abs(down) * _LARGEST_TAIL), tick)
        return Prices(opening, high, low, close), prev_close

    def _recorded_on(self, symbol: str, day: date) -> tuple[Prices | None, Decimal]:
        """Return the recorded prices of a day, and the close of the day before."""
        recorded = self._recorded.get(day.isoformat(), {}).get(symbol)
        if recorded is None:
            return None, ZERO
        *prices, prev_close = map(Decimal, recorded)
        return Prices(*prices), prev_close

    def closes(self, day: date) -> dict[str, Decimal] | None:
        """Return the closing prices of a session that the broker saw close, by symbol; None for other days."""
        recorded = self._recorded.get(day.isoformat())
        return None if recorded is None else {symbol: Decimal(prices[3]) for symbol, prices in recorded.items()}

    def latest_days(self, now: int) -> tuple[list[date], bool]:
        """Return the two latest days whose session has started, and whether the last one is today's."""
        days, has_today = self.days(now, self.today(now) - _LONGEST_CLOSURE)
        return days[-2:], has_today

    def snapshot(self, symbol: str, days: Sequence[date], *, has_today: bool) -> JsonObject:
        """Return ``dailyBar`` and ``prevDailyBar`` of the snapshot: those of the two latest days.

        Before the open they are the session before today and the one before it, as at Alpaca.

        Args:
            symbol: a symbol with a quote.
            days: the two latest days.
            has_today: True if the last one is today.
        """
        quote = self._market.quotes[symbol]
        before, latest = [
            prices.to_json(bar_time(day), quote.volume if isinstance(quote.volume, int) else _DEFAULT_VOLUME)
            for day, prices in zip(days, self.prices(symbol, days, has_today=has_today), strict=True)
        ]
        return {
            "dailyBar": latest
            if quote.snapshot_bars == "all" or (quote.snapshot_bars == "today" and has_today)
            else None,
            "prevDailyBar": before if quote.snapshot_bars == "all" else None,
        }

    def dump(self) -> JsonObject:
        """Return the recorded days, ready for JSON."""
        return {"days": self._recorded, "day_ends_at": self._ends_at}

    def load(self, state: JsonObject) -> None:
        """Restore dumped days."""
        self._recorded, self._ends_at = dict(state["days"]), state["day_ends_at"]
        self.revision += 1


def volume_of(quote: Quote, number: int, *, is_iex: bool) -> object:
    """Return the volume of the daily bar of that number; IEX has a fiftieth of it."""
    volume = quote.volume[number % len(quote.volume)] if isinstance(quote.volume, list) else quote.volume
    return volume // _IEX_PART if is_iex and isinstance(volume, int) else volume


@lru_cache(maxsize=65536)
def _draw(seed: int, symbol: str, day: date) -> tuple[Decimal, ...]:
    """Return four numbers from -1 to 1."""
    digest = blake2b(f"{seed}|{symbol}|{day}".encode(), digest_size=8).digest()
    pairs = (int.from_bytes(digest[n : n + 2]) for n in range(0, 8, 2))
    return tuple(Decimal(pair - 32768) / 32768 for pair in pairs)


@lru_cache(maxsize=1024)
def midnight(day: date) -> int:
    """Return the start of a day in New York, in nanoseconds since the epoch."""
    return nanoseconds(datetime.combine(day, time(), NEW_YORK))


@lru_cache(maxsize=1024)
def bar_time(day: date) -> str:
    """Return the time of a daily bar: midnight in New York, in UTC."""
    return f"{to_datetime(midnight(day)):%Y-%m-%dT%H:%M:%SZ}"
