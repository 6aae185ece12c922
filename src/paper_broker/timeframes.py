"""Timeframes of bars, from one minute to twelve months, and the bars that shorter ones add up to."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

from paper_broker.data_pages import Rows, invalid
from paper_broker.day_bars import midnight
from paper_broker.formats import MINUTE, NEW_YORK, JsonObject, timestamp, to_datetime

_TIMEFRAME = re.compile(r"(\d{1,2})(Min|T|Hour|H|Day|D|Week|W|Month|M)$")
_AMOUNTS = {"M": range(1, 60), "H": range(1, 24), "D": (1,), "W": (1,), "Mo": (1, 2, 3, 4, 6, 12)}
"""Amounts that Alpaca accepts, by unit."""
_UNITS = {
    "Min": "M",
    "T": "M",
    "Hour": "H",
    "H": "H",
    "Day": "D",
    "D": "D",
    "Week": "W",
    "W": "W",
    "M": "Mo",
    "Month": "Mo",
}


@dataclass(frozen=True, slots=True)
class Timeframe:
    """Length of a bar. Bars of minutes and hours are counted from midnight in New York, weeks begin on Monday."""

    amount: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> "Timeframe":
        """Return the timeframe of a query, such as ``5Min`` or ``1Day``.

        Raises:
            BrokerError: 400 for an unknown one.
        """
        match = _TIMEFRAME.match(text)
        if match is None or int(match[1]) not in _AMOUNTS[_UNITS[match[2]]]:
            raise invalid(f"invalid timeframe: {text}")
        return cls(int(match[1]), _UNITS[match[2]])

    @property
    def is_of_minutes(self) -> bool:
        """True if its bars add up bars of one minute, and not daily bars."""
        return self.unit in ("M", "H")

    @property
    def _length(self) -> int:
        return self.amount * MINUTE * (60 if self.unit == "H" else 1)

    def start(self, at: int) -> int:
        """Return the start of the bar that a time belongs to, in nanoseconds since the epoch."""
        day = to_datetime(at).astimezone(NEW_YORK).date()
        if self.is_of_minutes:
            return at - (at - midnight(day)) % self._length
        if self.unit == "W":
            return midnight(day - timedelta(days=day.weekday()))
        if self.unit == "Mo":
            return midnight(date(day.year, (day.month - 1) // self.amount * self.amount + 1, 1))
        return midnight(day)

    def end(self, at: int) -> int:
        """Return the end of the bar that starts at a time: the start of the next one."""
        if self.is_of_minutes:
            return at + self._length
        day = to_datetime(at).astimezone(NEW_YORK).date()
        if self.unit != "Mo":
            return midnight(day + timedelta(days=7 if self.unit == "W" else 1))
        year, month = divmod(day.month - 1 + self.amount, 12)
        return midnight(date(day.year + year, month + 1, 1))

    def add_up(self, rows: Rows) -> Iterator[tuple[int, JsonObject]]:
        """Return the bars of this length, with their times, that shorter bars add up to, oldest first."""
        if self.amount == 1 and self.unit in ("M", "D"):
            yield from rows
            return
        for at, group in groupby(rows, key=lambda row: self.start(row[0])):
            yield at, _sum(at, [bar for _, bar in group])


def _sum(at: int, bars: list[JsonObject]) -> JsonObject:
    """Return one bar for several. A volume that is not a number is sent as the last one is."""
    are_counted = all(isinstance(bar["v"], int) for bar in bars)
    volume = sum(bar["v"] for bar in bars) if are_counted else bars[-1]["v"]
    weights: Iterable[int] = [bar["v"] for bar in bars] if are_counted and volume else [1] * len(bars)
    value = sum(bar["vw"] * weight for bar, weight in zip(bars, weights, strict=True))
    return {
        "t": f"{timestamp(at)[:19]}Z",
        "o": bars[0]["o"],
        "h": max(bar["h"] for bar in bars),
        "l": min(bar["l"] for bar in bars),
        "c": bars[-1]["c"],
        "v": volume,
        "n": sum(bar["n"] for bar in bars),
        "vw": round(value / sum(weights), 4),
    }
