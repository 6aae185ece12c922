"""Parents of the replay with what is known of the market when they arrive, and what they cost: for the forecast.

Volume and volatility are those of the days before. With ``--bars`` they come from Lean's daily bars, as the program
makes them from Alpaca's. Without, they come from the ticks of the earlier days in the data, and of the first day from
that day itself, which is hindsight.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from itertools import pairwise
from math import log, sqrt
from pathlib import Path

from benchmarks.replay.engine import QUOTE_AGE, Task, work
from benchmarks.replay.fills import FillModel
from benchmarks.replay.measure import Setup, parent_of, tasks_of
from benchmarks.replay.ours import Ours
from benchmarks.replay.sizes import Size
from benchmarks.replay.tape import PRICE_UNIT, Tape
from benchmarks.replay.ticks import OPEN, Day, Source, TickDataError
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.cost_model import Conditions, WorkedOrder
from rebalance_executor.domain.ladder import WaveSchedule
from rebalance_executor.domain.market import Arrival, Quote, Side
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.plan import Urgency
from rebalance_executor.domain.volume import DailyBar, average_volume, volume_window

_ON_EXCHANGES = 0.65
"""Part of the volume of all venues that the ticks contain: 59 to 71 % of it is on exchanges."""
_STEP = 300_000
"""Milliseconds between two mids of a realised volatility."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The parents that are drawn from each day, and how they are filled."""

    sizes: tuple[Size, ...]
    arrivals: int
    large_arrivals: int
    """Arrivals of parents that are worked in slices, which take longer to replay."""
    seed: int
    model: FillModel


@dataclass(frozen=True, slots=True)
class DayFigures:
    """What one day of ticks says of a symbol."""

    symbol: str
    day: date
    volume: float
    volatility: float


@dataclass(frozen=True, slots=True)
class Replayed:
    """One parent, without what earlier days say of its market."""

    figures: DayFigures
    size: str
    urgency: Urgency
    order: ParentOrder
    quote: Quote
    at: datetime
    cost: float
    """Basis points of the mid at arrival."""
    half_hour: str


@dataclass(frozen=True, slots=True)
class Case:
    """One parent in the units of the cost model, and what it cost."""

    symbol: str
    day: date
    size: str
    urgency: Urgency
    order: WorkedOrder
    cost: float
    half_hour: str

    @property
    def cell(self) -> tuple[str, str, str]:
        """The cell of the tables that it belongs to."""
        return self.symbol, self.size, self.urgency


def replay(source: Source, sample: Sample) -> list[Replayed]:
    """Work the parents of one symbol and day with every urgency.

    Raises:
        TickDataError: the files are malformed, or the session is too short.
    """
    day, config, found = source.read(), ExecutionConfig(), []
    figures = DayFigures(day.symbol, day.day, day.volume / _ON_EXCHANGES, _realised_volatility(day))
    for size in sample.sizes:
        is_large = str(size).endswith("x") and size.number > (config.slice_over_displayed or 0)
        arrivals = sample.large_arrivals if is_large else sample.arrivals
        setup = Setup(config, size=size, arrivals=arrivals, seed=sample.seed)
        for task in tasks_of(day, setup):
            found += [_replayed(task, urgency, day, figures, (str(size), sample.model)) for urgency in Urgency]
    return found


def _replayed(task: Task, urgency: Urgency, day: Day, figures: DayFigures, sample: tuple[str, FillModel]) -> Replayed:
    tape, (size, model) = task.tape, sample
    quote = tape.quote(task.starts - QUOTE_AGE)
    if quote is None:
        raise AssertionError("a task starts after the first quote")
    done = parent_of(task, work(partial(Ours, ExecutionConfig(), urgency), task, model), day)
    arrival = Arrival.of(tape.side, quote)
    order = ParentOrder(tape.symbol, tape.side, 1, Decimal(0), task.qty, arrival=arrival)
    at = tape.time(task.starts)
    return Replayed(figures, size, urgency, order, quote, at, done.cost, done.half_hour)


def _realised_volatility(day: Day) -> float:
    tape = Tape.of(day, Side.BUY)
    mids = [tape.double_mid(at) for at in range(OPEN, day.closes + 1, _STEP)]
    return sqrt(sum(log(after / before) ** 2 for before, after in pairwise(mids)))


def cases_of(parents: Sequence[Replayed], bars: Path | None = None) -> list[Case]:
    """Return the parents with the volume and the volatility of the days before.

    Raises:
        TickDataError: the daily bars of a symbol are missing, malformed or too few.
    """
    all_figures = {(parent.figures.symbol, parent.figures.day): parent.figures for parent in parents}
    known = {
        key: _from_ticks(key, list(all_figures.values())) if bars is None else _from_bars(key, bars)
        for key in all_figures
    }
    config = ExecutionConfig()
    return [
        Case(
            *(key := (parent.figures.symbol, parent.figures.day)),
            parent.size,
            parent.urgency,
            WorkedOrder.of(
                parent.order,
                Conditions(parent.quote, parent.at, *known[key]),
                WaveSchedule(parent.urgency),
                config.for_symbol(parent.order.symbol),
            ),
            parent.cost,
            parent.half_hour,
        )
        for parent in parents
    ]


def is_hindsight(day: date, cases: Sequence[Case]) -> bool:
    """Return whether the data has no day before this one."""
    return not any(case.day < day for case in cases)


def _from_ticks(key: tuple[str, date], figures: Sequence[DayFigures]) -> tuple[Decimal, Decimal]:
    symbol, day = key
    own = [one for one in figures if one.symbol == symbol]
    used = [one for one in own if one.day < day] or [one for one in own if one.day == day]
    volume = sum(one.volume for one in used) / len(used)
    return Decimal(volume), Decimal(sqrt(sum(one.volatility**2 for one in used) / len(used)))


def _from_bars(key: tuple[str, date], folder: Path) -> tuple[Decimal, Decimal]:
    symbol, day = key
    first, last = volume_window(day)
    average = average_volume(symbol, [bar for bar in read_bars(folder, symbol) if first <= bar.day <= last], day)
    if average is None or average.volatility is None:
        raise TickDataError(f"{folder} has too few daily bars of {symbol} before {day}; leave --bars out")
    return average.shares, average.volatility


def read_bars(folder: Path, symbol: str) -> list[DailyBar]:
    """Return the daily bars of a symbol from Lean's ``symbol.zip``: time, open, high, low, close, volume.

    Raises:
        TickDataError: the file is missing or malformed.
    """
    path = folder / f"{symbol.lower()}.zip"
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = archive.namelist()
            rows = list(csv.reader(io.StringIO(archive.read(name).decode("ascii"))))
        return [
            DailyBar(
                date.fromisoformat(row[0].split()[0]),
                Decimal(row[5]),
                PRICE_UNIT * int(row[2]),
                PRICE_UNIT * int(row[3]),
            )
            for row in rows
        ]
    except (OSError, ValueError, IndexError, zipfile.BadZipFile) as error:
        raise TickDataError(f"{path} is no zip of daily bars in Lean's format: {error}") from None
