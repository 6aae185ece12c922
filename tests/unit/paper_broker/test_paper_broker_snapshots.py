"""Daily bars of snapshots: which two sessions they are of, at any time of the day."""

from datetime import UTC, datetime

import pytest

from paper_broker.exchange import Exchange

HOURS = {
    "before the open": (datetime(2026, 1, 26, 13, tzinfo=UTC), ("2026-01-23", 9.9), ("2026-01-22", None)),
    "in the session": (datetime(2026, 1, 26, 15, tzinfo=UTC), ("2026-01-26", 10.01), ("2026-01-23", 9.9)),
    "after the close": (datetime(2026, 1, 26, 22, tzinfo=UTC), ("2026-01-26", 10.01), ("2026-01-23", 9.9)),
    "in the evening": (datetime(2026, 1, 27, 2, tzinfo=UTC), ("2026-01-26", 10.01), ("2026-01-23", 9.9)),
    "on a Sunday": (datetime(2026, 1, 25, 15, tzinfo=UTC), ("2026-01-23", 9.9), ("2026-01-22", None)),
    "in summer": (datetime(2026, 7, 6, 14, tzinfo=UTC), ("2026-07-06", 10.01), ("2026-07-02", 9.9)),
}


def bars(at: datetime, sessions: str = "nyse", shown: str = "all") -> list[tuple[str, float] | None]:
    """Return time and close of ``dailyBar`` and ``prevDailyBar``."""
    quote = {"bid": "10.00", "ask": "10.02", "prev_close": "9.90", "snapshot_bars": shown}
    exchange = Exchange({"clock": {"sessions": sessions}, "quotes": {"ABC": quote}}, lambda: at)
    snapshot = exchange.snapshots(["ABC", "XYZ"])
    assert snapshot.keys() == {"ABC"}
    found = (snapshot["ABC"][name] for name in ("dailyBar", "prevDailyBar"))
    return [None if bar is None else (bar["t"], bar["c"]) for bar in found]


def known(bar: tuple[str, float] | None) -> tuple[str, float | None] | None:
    """Return the bar without its close if that is invented: of the session before the one that ``prev_close`` ended."""
    return bar if bar is None or bar[1] in (9.9, 10.01) else (bar[0], None)


@pytest.mark.parametrize(("at", "daily", "previous"), HOURS.values(), ids=HOURS)
def test_bars_are_those_of_the_latest_two_sessions(
    at: datetime, daily: tuple[str, float], previous: tuple[str, float | None]
) -> None:
    midnight = "T04:00:00Z" if at.month == 7 else "T05:00:00Z"

    assert [known(bar) for bar in bars(at)] == [(day + midnight, close) for day, close in (daily, previous)]


def test_market_without_hours_has_a_session_every_day() -> None:
    sunday = datetime(2026, 1, 25, 15, tzinfo=UTC)

    assert bars(sunday, "always_open") == [("2026-01-25T05:00:00Z", 10.01), ("2026-01-24T05:00:00Z", 9.9)]
    closed = [known(bar) for bar in bars(sunday, "always_closed")]
    assert closed == [("2026-01-24T05:00:00Z", 9.9), ("2026-01-23T05:00:00Z", None)]


def test_symbol_that_was_listed_today_has_one_bar_in_the_session_and_none_before() -> None:
    before, during = HOURS["before the open"][0], HOURS["in the session"][0]

    assert bars(before, shown="today") == [None, None]
    assert bars(during, shown="today") == [("2026-01-26T05:00:00Z", 10.01), None]
    assert bars(during, shown="none") == [None, None]


def test_unknown_kind_of_bars_is_refused() -> None:
    with pytest.raises(ValueError, match="snapshot_bars"):
        bars(HOURS["in the session"][0], shown="some")
