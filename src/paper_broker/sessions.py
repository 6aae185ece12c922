"""Trading hours: those of the New York Stock Exchange for any year, or a market that is always open or closed."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple, cast, get_args

from paper_broker.formats import NEW_YORK, SECOND, JsonObject, nanoseconds, new_york_timestamp, to_datetime

type Kind = Literal["nyse", "always_open", "always_closed"]

FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2029, 12, 31)
"""The days that Alpaca's calendar covers."""
_DAY = timedelta(days=1)
_HORIZON = 86_400 * SECOND
"""Nanoseconds until the next open and close that a market without hours reports."""
_LONGEST_CLOSURE_DAYS = 40
_LONGEST_SETTLEMENT = timedelta(days=15)
_SETTLEMENT_DAYS = (
    (date(2024, 5, 28), 1), (date(2017, 9, 5), 2), (date(1995, 6, 7), 3), (date.min, 5),
)  # fmt: skip
"""Business days between trade and settlement, by the first trading day of each rule (SEC Rule 15c6-1)."""
_OPEN, _CLOSE, _EARLY_CLOSE = time(9, 30), time(16), time(13)
_PRE_MARKET, _POST_MARKET, _EARLY_POST_MARKET = time(4), time(20), time(17)
_QUEUE_OPENS = time(19)
"""From then on orders for the auctions of the next trading day are accepted."""


@dataclass(frozen=True, slots=True)
class Session:
    """A trading day; times in nanoseconds since the epoch."""

    day: date
    open: int
    close: int
    early: bool

    @property
    def queue_opens(self) -> int:
        """Time from which orders for the auctions of the next trading day are accepted."""
        return _instant(self.day, _QUEUE_OPENS)


class Auction(NamedTuple):
    """An auction at the open (``opg``) or the close (``cls``) of a session; its time in nanoseconds since the epoch."""

    at: int
    time_in_force: str
    day: date


class Sessions:
    """The trading days of one market.

    Args:
        kind: ``nyse``, ``always_open`` or ``always_closed``.
        holidays: additional dates without a session.
        half_days: additional dates on which the market closes at 13:00 New York time.

    Raises:
        ValueError: an unknown kind, or an invalid date.
    """

    def __init__(self, kind: str = "nyse", holidays: Collection[str] = (), half_days: Collection[str] = ()) -> None:
        if kind not in get_args(Kind.__value__):
            raise ValueError(f"Unknown sessions {kind!r}: choose nyse, always_open or always_closed.")
        self.kind = cast("Kind", kind)
        self._holidays = frozenset(map(date.fromisoformat, holidays))
        self._half_days = frozenset(map(date.fromisoformat, half_days))
        self._cache: dict[tuple[int, bool], Session] = {}
        self._last: dict[bool, tuple[int, Session]] = {}

    def dump(self) -> JsonObject:
        """Return the arguments of the constructor, ready for JSON."""
        return {
            "sessions": self.kind,
            "holidays": sorted(day.isoformat() for day in self._holidays),
            "half_days": sorted(day.isoformat() for day in self._half_days),
        }

    def current_or_next(self, now: int, *, extended: bool = False) -> Session | None:
        """Return the session that is open at ``now``, otherwise the next one; None if the market never opens.

        Args:
            now: nanoseconds since the epoch.
            extended: include pre-market and after-hours, 04:00 to 20:00 New York time.
        """
        if self.kind == "always_open":
            return Session(to_datetime(now).date(), now, now + _HORIZON, early=False)
        if self.kind == "always_closed":
            return None
        since, session = self._last.get(extended, (0, None))
        if session is not None and since <= now < session.close:
            return session
        session = self._search(now, extended=extended)
        self._last[extended] = (now, session)
        return session

    def close_of(self, session: Session) -> int | None:
        """Return when DAY orders of the session expire; None in a market that never closes."""
        return None if self.kind == "always_open" else session.close

    def of_day(self, now: int) -> Session | None:
        """Return the session of the day in New York, open or not; None if there is none."""
        if self.kind != "nyse":
            return None
        return self.on(to_datetime(now).astimezone(NEW_YORK).date())

    def auctions(self, since: int, until: int | None) -> Iterator[Auction]:
        """Return the auctions after ``since`` up to ``until``, oldest first; without ``until`` there is no end."""
        while self.kind == "nyse":
            session = self._search(since, extended=False)
            for auction in (Auction(session.open, "opg", session.day), Auction(session.close, "cls", session.day)):
                if until is not None and auction.at > until:
                    return
                if auction.at > since:
                    yield auction
            since = session.close

    def clock(self, now: int) -> JsonObject:
        """Return the body of ``GET /v2/clock``; its times have the New York offset."""
        session = self.current_or_next(now)
        is_open = session is not None and session.open <= now
        if self.kind != "nyse" or session is None:
            next_open = next_close = now + _HORIZON
        else:
            following = self._search(session.close, extended=False)
            next_open, next_close = (following.open if is_open else session.open), session.close
        return {
            "timestamp": new_york_timestamp(now, fraction=True),
            "is_open": is_open,
            "next_open": new_york_timestamp(next_open),
            "next_close": new_york_timestamp(next_close),
        }

    def calendar(self, start: date, end: date, date_type: str = "TRADING") -> list[JsonObject]:
        """Return the body of ``GET /v2/calendar``: trading days from ``start`` to ``end``, both included.

        Times are in New York, without an offset. A market that is always open trades on every day.

        Args:
            start: first date.
            end: last date.
            date_type: the date that is compared with both: ``TRADING``, or ``SETTLEMENT``.
        """
        by_settlement = date_type == "SETTLEMENT"
        start, end = max(start, FIRST_DAY), min(end, LAST_DAY)
        days = self.trading_days(start - _LONGEST_SETTLEMENT if by_settlement else start, end)
        rows, bounds = map(self._calendar_day, days), (start.isoformat(), end.isoformat())
        return [row for row in rows if not by_settlement or bounds[0] <= row["settlement_date"] <= bounds[1]]

    def trading_days(self, start: date, end: date) -> Iterator[date]:
        """Return the days with trading from ``start`` to ``end``, both included."""
        days = (start + _DAY * n for n in range((end - start).days + 1))
        return (day for day in days if self.is_trading_day(day))

    def is_trading_day(self, day: date) -> bool:
        """Return whether there is trading on a date in New York."""
        return self.kind == "always_open" or (self.kind == "nyse" and self.on(day) is not None)

    def settlement_date(self, day: date) -> date:
        """Return the date on which executions of a trading day settle.

        Trades do not settle on days without trading, nor when banks are closed.
        """
        left = next(days for since, days in _SETTLEMENT_DAYS if day >= since)
        while left:
            day += _DAY
            left -= self.is_trading_day(day) and (self.kind == "always_open" or day not in bank_holidays(day.year))
        return day

    def _calendar_day(self, day: date) -> JsonObject:
        session = self.on(day) if self.kind == "nyse" else None
        if session is None:
            hours = ("00:00", "23:59", "0000", "2359")
        else:
            closing = _EARLY_CLOSE if session.early else _CLOSE
            evening = _EARLY_POST_MARKET if session.early else _POST_MARKET
            hours = (f"{_OPEN:%H:%M}", f"{closing:%H:%M}", f"{_PRE_MARKET:%H%M}", f"{evening:%H%M}")
        names = ("open", "close", "session_open", "session_close")
        settlement = self.settlement_date(day).isoformat()
        return {"date": day.isoformat(), **dict(zip(names, hours, strict=True)), "settlement_date": settlement}

    def _search(self, now: int, *, extended: bool) -> Session:
        day = to_datetime(now).astimezone(NEW_YORK).date()
        for n in range(_LONGEST_CLOSURE_DAYS):
            session = self.on(day + _DAY * n, extended=extended)
            if session is not None and now < session.close:
                return session
        raise ValueError(f"No session within {_LONGEST_CLOSURE_DAYS} days of {day}: too many holidays.")

    def on(self, day: date, *, extended: bool = False) -> Session | None:
        """Return the session of a date in a market with New York hours, or None if there is none.

        Args:
            day: the date in New York.
            extended: include pre-market and after-hours, 04:00 to 20:00.
        """
        if day.weekday() >= 5 or day in self._holidays or day in nyse_holidays(day.year):
            return None
        key = (day.toordinal(), extended)
        if key not in self._cache:
            early = day in self._half_days or day in nyse_half_days(day.year)
            opening, closing = (_OPEN, _EARLY_CLOSE if early else _CLOSE)
            if extended:
                opening, closing = (_PRE_MARKET, _EARLY_POST_MARKET if early else _POST_MARKET)
            self._cache[key] = Session(day, _instant(day, opening), _instant(day, closing), early)
        return self._cache[key]


def _instant(day: date, at: time) -> int:
    return nanoseconds(datetime.combine(day, at, NEW_YORK))


@lru_cache
def nyse_holidays(year: int) -> frozenset[date]:
    """Return the holidays of the New York Stock Exchange (NYSE Rule 7.2), without weekends."""
    new_year = date(year, 1, 1)
    days = {
        _nth_weekday(year, 1, 0, 3),  # Martin Luther King
        _nth_weekday(year, 2, 0, 3),  # Washington
        _easter(year) - 2 * _DAY,  # Good Friday
        _last_monday_of_may(year),  # Memorial Day
        _observed(date(year, 7, 4)),
        _nth_weekday(year, 9, 0, 1),  # Labor Day
        _nth_weekday(year, 11, 3, 4),  # Thanksgiving
        _observed(date(year, 12, 25)),
    }
    if new_year.weekday() != 5:  # a New Year's Day on a Saturday is not observed on the Friday before
        days.add(_observed(new_year))
    if year >= 2022:
        days.add(_observed(date(year, 6, 19)))
    return frozenset(days)


@lru_cache
def nyse_half_days(year: int) -> frozenset[date]:
    """Return the days that close at 13:00: before Independence Day, after Thanksgiving, Christmas Eve."""
    days = {_nth_weekday(year, 11, 3, 4) + _DAY}
    days |= {day for day in (date(year, 7, 3), date(year, 12, 24)) if day.weekday() < 4}
    return frozenset(days)


@lru_cache
def bank_holidays(year: int) -> frozenset[date]:
    """Return the trading days on which banks are closed and nothing settles: Columbus Day and Veterans Day."""
    veterans = date(year, 11, 11)
    return frozenset({_nth_weekday(year, 10, 0, 2), veterans + _DAY * (veterans.weekday() == 6)})


def _nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + _DAY * ((weekday - first.weekday()) % 7 + 7 * (nth - 1))


def _last_monday_of_may(year: int) -> date:
    last = date(year, 5, 31)
    return last - _DAY * last.weekday()


def _observed(day: date) -> date:
    return day + _DAY * {5: -1, 6: 1}.get(day.weekday(), 0)


def _easter(year: int) -> date:
    """Return Easter Sunday, computed with the anonymous Gregorian algorithm."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)
