"""Reader of tick data in Lean's format: one zip of quotes and one of trades per symbol and day.

Times are milliseconds after midnight in New York, prices whole ten-thousandths of a dollar, sizes shares. A row of
quotes may carry one side only; the other side then keeps its last value. The files are read row by row.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

OPEN, CLOSE = 34_200_000, 57_600_000
"""09:30 and 16:00."""
HALF_HOUR = 1_800_000

_QUOTES = re.compile(r"(\d{8})_quote\.zip")
_OFF_EXCHANGE = "D"
_REGULAR = frozenset({0x0, 0x1, 0x20, 0x20000000, 0x20000020})
"""Trade conditions that count: regular, intermarket sweep, trade-through exempt. Others are late or special prices."""
_QUOTE_COLUMNS, _TRADE_COLUMNS = 5, 5


class TickDataError(Exception):
    """Tick data that is missing or does not have Lean's format. The message names the file and the next step."""


def _numbers() -> array[int]:
    return array("q")


@dataclass(frozen=True, slots=True)
class Quotes:
    """States of the best bid and offer in time order: the state after the last row of each millisecond."""

    times: array[int] = field(default_factory=_numbers)
    bids: array[int] = field(default_factory=_numbers)
    bid_sizes: array[int] = field(default_factory=_numbers)
    asks: array[int] = field(default_factory=_numbers)
    ask_sizes: array[int] = field(default_factory=_numbers)

    @property
    def columns(self) -> tuple[array[int], ...]:
        """All columns, of the same length."""
        return self.times, self.bids, self.bid_sizes, self.asks, self.ask_sizes

    def put(self, state: Sequence[int]) -> None:
        """Append a state, or replace the last one if it is of the same millisecond."""
        is_same = bool(self.times) and self.times[-1] == state[0]
        for column, value in zip(self.columns, state, strict=True):
            if is_same:
                column[-1] = value
            else:
                column.append(value)


@dataclass(frozen=True, slots=True)
class Trades:
    """Regular trades on exchanges in time order."""

    times: array[int] = field(default_factory=_numbers)
    prices: array[int] = field(default_factory=_numbers)
    sizes: array[int] = field(default_factory=_numbers)


@dataclass(frozen=True, slots=True)
class Day:
    """One symbol on one day, in regular hours."""

    symbol: str
    day: date
    quotes: Quotes
    trades: Trades

    @property
    def volume(self) -> int:
        """Shares of the trades that count."""
        return sum(self.trades.sizes)

    @property
    def closes(self) -> int:
        """End of the session: the half hour in which the last trade falls ends then, so that half days are noticed."""
        last = self.trades.times[-1] if self.trades.times else OPEN
        return min(CLOSE, (last // HALF_HOUR + 1) * HALF_HOUR)


@dataclass(frozen=True, slots=True)
class Source:
    """The two files of one symbol and day."""

    symbol: str
    day: date
    quotes: Path
    trades: Path

    def read(self) -> Day:
        """Read both files.

        Raises:
            TickDataError: a file is no zip of one CSV in Lean's format, or has no quotes in regular hours.
        """
        quotes, trades = read_quotes(self.quotes), read_trades(self.trades)
        if not quotes.times:
            raise TickDataError(f"{self.quotes} has no quotes between 09:30 and 16:00; leave the day out with --days")
        return Day(self.symbol, self.day, quotes, trades)


def find(folder: Path, symbols: Sequence[str] = (), days: Sequence[str] = ()) -> list[Source]:
    """Return the symbols and days below ``folder``; ``symbols`` and ``days`` (20131007) select some of them.

    Raises:
        TickDataError: the selection is empty, or a day has quotes without trades.
    """
    wanted = {symbol.upper() for symbol in symbols}
    found = []
    for path in sorted(folder.rglob("*_quote.zip")):
        match, symbol = _QUOTES.fullmatch(path.name), path.parent.name.upper()
        if match is None or (wanted and symbol not in wanted) or (days and match[1] not in days):
            continue
        trades = path.with_name(f"{match[1]}_trade.zip")
        if not trades.is_file():
            raise TickDataError(f"{path} has no {trades.name} beside it; add it, or leave the day out with --days")
        found.append(Source(symbol, date.fromisoformat(match[1]), path, trades))
    if not found:
        text = f"{folder} has no tick data of this selection: expected SYMBOL/YYYYMMDD_quote.zip and _trade.zip"
        raise TickDataError(f"{text}; check --data, --symbols and --days")
    return found


def read_quotes(path: Path) -> Quotes:
    """Return the states of the best bid and offer in regular hours, from the moment both sides are known."""
    quotes = Quotes()
    bid = bid_size = ask = ask_size = 0
    for row in _rows(path, _QUOTE_COLUMNS, _quote_row):
        at, row_bid, row_bid_size, row_ask, row_ask_size = row
        if row_bid:
            bid, bid_size = row_bid, row_bid_size
        if row_ask:
            ask, ask_size = row_ask, row_ask_size
        if OPEN <= at < CLOSE and bid and ask and (row_bid or row_ask):
            quotes.put((at, bid, bid_size, ask, ask_size))
    return quotes


def read_trades(path: Path) -> Trades:
    """Return the regular trades on exchanges in regular hours."""
    trades = Trades()
    for at, price, size in _rows(path, _TRADE_COLUMNS, _trade_row):
        if OPEN <= at < CLOSE and size:
            trades.times.append(at)
            trades.prices.append(price)
            trades.sizes.append(size)
    return trades


def _quote_row(row: list[str]) -> tuple[int, ...]:
    return tuple(map(_whole, row[:_QUOTE_COLUMNS]))


def _trade_row(row: list[str]) -> tuple[int, int, int]:
    """Return time, price and size; size zero for a trade that does not count."""
    counts = row[3] != _OFF_EXCHANGE and int(row[4] or "0", 16) in _REGULAR
    return _whole(row[0]), _whole(row[1]), _whole(row[2]) if counts else 0


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() else int(text.partition(".")[0] or "0")


def _rows[Row](path: Path, columns: int, parse: Callable[[list[str]], Row]) -> Iterator[Row]:
    """Yield the parsed rows of the CSV file in a zip file, one after the other."""
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = archive.namelist()
            with archive.open(name) as raw, io.TextIOWrapper(raw, "ascii", newline="") as text:
                for number, row in enumerate(csv.reader(text), 1):
                    if len(row) < columns:
                        raise _malformed(path, f"row {number} has {len(row)} columns, at least {columns} are needed")
                    try:
                        yield parse(row)
                    except ValueError as error:
                        raise _malformed(path, f"row {number}: {error}") from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise _malformed(path, str(error)) from None


def _malformed(path: Path, problem: str) -> TickDataError:
    return TickDataError(f"{path} is no zip of one CSV file in Lean's tick format: {problem}")
