"""The replay's reader of tick files in Lean's format."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from benchmarks.replay.ticks import CLOSE, HALF_HOUR, OPEN, TickDataError, find, read_quotes, read_trades
from tests.support.lean_ticks import write_day, write_rows


def quotes_of(folder: Path, *rows: str) -> list[tuple[int, ...]]:
    quotes = read_quotes(write_rows(folder / "20260105_quote.zip", rows))
    return list(zip(*quotes.columns, strict=True))


def trades_of(folder: Path, *rows: str) -> list[tuple[int, ...]]:
    trades = read_trades(write_rows(folder / "20260105_trade.zip", rows))
    return list(zip(trades.times, trades.prices, trades.sizes, strict=True))


def test_each_side_of_the_quote_is_carried_forward(tmp_path: Path) -> None:
    states = quotes_of(
        tmp_path,
        f"{OPEN},1000000,200,0,0,Z,1,0",
        f"{OPEN + 5},0,0,1000200,300,Q,1,0",
        f"{OPEN + 9},1000100,100,0,0,Z,1,0",
    )
    assert states == [(OPEN + 5, 1000000, 200, 1000200, 300), (OPEN + 9, 1000100, 100, 1000200, 300)]


def test_state_of_a_millisecond_is_that_of_its_last_row(tmp_path: Path) -> None:
    states = quotes_of(
        tmp_path,
        f"{OPEN},1000000,200,1000200,300,Z,1,0",
        f"{OPEN},0,0,1000300,100,Z,1,0",
        f"{OPEN},0,0,1000400,500,Z,1,0",
    )
    assert states == [(OPEN, 1000000, 200, 1000400, 500)]


def test_quotes_before_the_open_set_the_state_and_later_ones_than_the_close_do_not_count(tmp_path: Path) -> None:
    states = quotes_of(
        tmp_path,
        f"{OPEN - 1},1000000,200,1000200,300,Z,1,0",
        f"{OPEN},0,0,1000300,100,Z,1,0",
        f"{CLOSE},0,0,1000400,100,Z,1,0",
    )
    assert states == [(OPEN, 1000000, 200, 1000300, 100)]


@pytest.mark.parametrize("condition", ["0", "1", "20", "20000000", "20000020"])
def test_regular_trade_on_an_exchange_counts(tmp_path: Path, condition: str) -> None:
    assert trades_of(tmp_path, f"{OPEN},1000000,100,N,{condition},0") == [(OPEN, 1000000, 100)]


@pytest.mark.parametrize(
    "row",
    [
        f"{OPEN},1000000,100,D,1,0",
        f"{OPEN},1000000,100,N,20000001,0",
        f"{OPEN},1000000,100,N,800,0",
        f"{OPEN - 1},1000000,100,N,1,0",
        f"{CLOSE},1000000,100,N,1,0",
    ],
    ids=["off exchange", "other flags", "sold late", "before the open", "after the close"],
)
def test_other_trades_do_not_count(tmp_path: Path, row: str) -> None:
    assert trades_of(tmp_path, row) == []


def test_symbols_and_days_are_found_and_selected(tmp_path: Path) -> None:
    for name in ("aaa/20260105", "aaa/20260106", "bbb/20260105"):
        write_day(tmp_path, name, [(OPEN, 1000000, 100, 1000200, 100)], [(OPEN, 1000000, 100)])
    assert [(s.symbol, s.day.day) for s in find(tmp_path)] == [("AAA", 5), ("AAA", 6), ("BBB", 5)]
    (source,) = find(tmp_path, ["aaa"], ["20260106"])
    assert (source.symbol, source.day, source.read().volume) == ("AAA", date(2026, 1, 6), 100)


def test_half_day_ends_with_the_half_hour_of_its_last_trade(tmp_path: Path) -> None:
    one = OPEN + 7 * HALF_HOUR
    write_day(tmp_path, "aaa/20251128", [(OPEN, 1000000, 100, 1000200, 100)], [(one - 1, 1000000, 100)])
    assert find(tmp_path)[0].read().closes == one


def test_missing_data_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TickDataError):
        find(tmp_path)
    write_rows(tmp_path / "aaa" / "20260105_quote.zip", [])
    with pytest.raises(TickDataError, match=r"20260105_trade\.zip"):
        find(tmp_path)


def test_day_without_quotes_in_regular_hours_is_an_error(tmp_path: Path) -> None:
    write_day(tmp_path, "aaa/20260105", [], [])
    with pytest.raises(TickDataError):
        find(tmp_path)[0].read()


@pytest.mark.parametrize("row", ["1,2,3", f"{OPEN},x,100,1000200,100,Z,1,0"], ids=["columns", "number"])
def test_malformed_row_is_an_error_that_names_it(tmp_path: Path, row: str) -> None:
    with pytest.raises(TickDataError, match="row 2"):
        quotes_of(tmp_path, f"{OPEN},1000000,200,1000200,300,Z,1,0", row)


def test_file_that_is_no_zip_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "20260105_quote.zip").write_text("no zip")
    with pytest.raises(TickDataError):
        read_quotes(tmp_path / "20260105_quote.zip")
