"""Hours of named markets: ``GET /v3/clock`` and ``GET /v3/calendar/{market}``."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta

from paper_broker.errors import bad_request
from paper_broker.formats import (
    NEW_YORK,
    JsonObject,
    nanoseconds,
    new_york_timestamp,
    parse_date,
    parse_instant,
    to_datetime,
)
from paper_broker.sessions import FIRST_DAY, LAST_DAY, Sessions

_MARKETS = {
    "NYSE": ("XNYS", "New York Stock Exchange"),
    "NASDAQ": ("XNAS", "National Association of Securities Dealers Automated Quotations"),
}
"""Identifier (ISO 10383) and name by acronym, of the markets whose hours this broker knows."""
_WEEK = timedelta(days=7)


def clocks(sessions: Sessions, markets: str | None, at: str | None, now: int) -> JsonObject:
    """Return the body of ``GET /v3/clock``.

    Args:
        sessions: the trading hours.
        markets: comma-separated acronyms or identifiers; None is all markets.
        at: time of the clocks; None is ``now``.
        now: nanoseconds since the epoch.

    Raises:
        BrokerError: 400 for another market or an invalid time.
    """
    known = list(_MARKETS) if markets is None else [_acronym(name) for name in markets.split(",")]
    clock = _clock(sessions, now if at is None else _parsed("time", at, _instant))
    return {"clocks": [{"market": _market(name), **clock} for name in known]}


def calendar(
    sessions: Sessions, market: str, span: tuple[str | None, str | None], zone: str | None, now: int
) -> JsonObject:
    """Return the body of ``GET /v3/calendar/{market}``.

    Args:
        sessions: the trading hours.
        market: acronym or identifier.
        span: first and last date; by default today and a week after the first one.
        zone: ``UTC``; None is New York.
        now: nanoseconds since the epoch.

    Raises:
        BrokerError: 400 for another market, an invalid date or another time zone.
    """
    name = _acronym(market)
    if zone not in (None, "UTC"):
        raise bad_request("timezone must be UTC")
    start = to_datetime(now).astimezone(NEW_YORK).date() if span[0] is None else _parsed("start", span[0], parse_date)
    end = min(start, LAST_DAY) + _WEEK if span[1] is None else _parsed("end", span[1], parse_date)
    shown = _utc if zone else new_york_timestamp
    days = sessions.trading_days(max(start, FIRST_DAY), min(end, LAST_DAY))
    rows = [_day(sessions, day, shown) for day in days]
    return {"market": _market(name), "calendar": rows}


def _day(sessions: Sessions, day: date, shown: Callable[[int], str]) -> JsonObject:
    dates = {"date": day.isoformat(), "settlement_date": sessions.settlement_date(day).isoformat()}
    core, whole = (
        sessions.on(day, extended=extended) if sessions.kind == "nyse" else None for extended in (False, True)
    )
    if core is None or whole is None:
        first, last = (nanoseconds(datetime.combine(day, at, NEW_YORK)) for at in (time(), time(23, 59)))
        return {**dates, "core_start": shown(first), "core_end": shown(last)}
    times = {
        "pre_start": whole.open, "pre_end": core.open, "core_start": core.open, "core_end": core.close,
        "post_start": core.close, "post_end": whole.close,
    }  # fmt: skip
    return dates | {name: shown(at) for name, at in times.items()}


def _clock(sessions: Sessions, at: int) -> JsonObject:
    legacy = sessions.clock(at)
    phase, until = "core" if legacy["is_open"] else "closed", legacy["next_close" if legacy["is_open"] else "next_open"]
    whole = sessions.current_or_next(at, extended=True) if sessions.kind == "nyse" else None
    if whole is not None and not legacy["is_open"]:
        core = sessions.on(whole.day)
        if at < whole.open or core is None:
            phase, until = "closed", new_york_timestamp(whole.open)
        elif at < core.open:
            phase, until = "pre", new_york_timestamp(core.open)
        else:
            phase, until = "post", new_york_timestamp(whole.close)
    return {
        "timestamp": legacy["timestamp"],
        "is_market_day": sessions.is_trading_day(to_datetime(at).astimezone(NEW_YORK).date()),
        "next_market_open": legacy["next_open"],
        "next_market_close": legacy["next_close"],
        "phase": phase,
        "phase_until": until,
    }


def _market(acronym: str) -> JsonObject:
    mic, name = _MARKETS[acronym]
    return {"acronym": acronym, "mic": mic, "name": name, "timezone": str(NEW_YORK)}


def _acronym(name: str) -> str:
    found = next((acronym for acronym, (mic, _) in _MARKETS.items() if name in (acronym, mic)), None)
    if found is None:
        raise bad_request(f"invalid market {name}: this broker has {', '.join(_MARKETS)}")
    return found


def _parsed[T](name: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise bad_request(f"{name} is invalid: {text}") from error


def _instant(text: str) -> int:
    if not FIRST_DAY <= parse_date(text) <= LAST_DAY:
        raise ValueError(f"The calendar ends before {text}.")
    return parse_instant(text)


def _utc(at: int) -> str:
    return f"{to_datetime(at):%Y-%m-%dT%H:%M:%SZ}"
