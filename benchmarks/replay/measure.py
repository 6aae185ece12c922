"""Parents at random times of a day, worked by every strategy under every fill model."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from benchmarks.replay.engine import QUOTE_AGE, Done, Task, work
from benchmarks.replay.fills import FillModel
from benchmarks.replay.ours import Schedule
from benchmarks.replay.sizes import Size
from benchmarks.replay.strategies import strategies
from benchmarks.replay.tape import Tape
from benchmarks.replay.ticks import HALF_HOUR, OPEN, Day, Source, TickDataError
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import Side

MARKOUT_SECONDS = (1, 30, 300)
_FIRST = OPEN + 300_000
_LAST_BEFORE_CLOSE = 1_200_000
"""Arrivals are from 09:35 until 20 minutes before the close, or until the time limit of a parent before it."""


_HUNDRED_SHARES = Size.parse("100")
_SCHEDULE = Schedule(20, 600)


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything that a run of the replay depends on, apart from the data."""

    config: ExecutionConfig
    rival: ExecutionConfig | None = None
    """Configuration to compare with."""
    size: Size = _HUNDRED_SHARES
    arrivals: int = 100
    """Arrivals per symbol and day; each is a buy and a sell."""
    seed: int = 1
    seconds: int = 900
    """Time limit of a parent."""
    schedule: Schedule = _SCHEDULE
    models: tuple[FillModel, ...] = tuple(FillModel)


@dataclass(frozen=True, slots=True)
class Parent:
    """What one parent cost. Basis points of the mid at arrival; positive is a cost."""

    cost: float
    fill_cost: float | None
    """Cost of the fills alone; None without fills."""
    half_spread: float
    """Half of the spread at arrival."""
    filled: float
    """Part of the shares that were filled before the rest went to the far touch."""
    seconds: float
    orders: int
    requests: int
    markouts: tuple[float, ...]
    """Change of the mid in our favour, against the average price, ``MARKOUT_SECONDS`` after the end."""
    half_hour: str
    """Day and half hour of arrival: parents of the same half hour are not independent."""
    reason: str
    """Code with which the parent ended."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The parents of one symbol under one fill model by one strategy, in the order of the arrivals."""

    symbol: str
    model: FillModel
    strategy: str
    rival: str | None
    parents: tuple[Parent, ...]


def measure(source: Source, setup: Setup) -> list[Cell]:
    """Return the parents of one symbol and day; all strategies and fill models have the same arrivals.

    Raises:
        TickDataError: the files are malformed, or the session is too short for the time limit.
    """
    day = source.read()
    tasks = tasks_of(day, setup)
    cells = []
    for model in setup.models:
        for one in strategies(setup.config, setup.rival, setup.schedule):
            parents = tuple(parent_of(task, work(one.make, task, model), day) for task in tasks)
            cells.append(Cell(day.symbol, model, one.name, one.rival, parents))
    return cells


def joined(days: Sequence[Sequence[Cell]]) -> list[Cell]:
    """Return one cell per symbol, fill model and strategy, with the parents of all days."""
    merged: dict[tuple[str, FillModel, str], Cell] = {}
    for cell in (cell for cells in days for cell in cells):
        key = (cell.symbol, cell.model, cell.strategy)
        before = merged[key].parents if key in merged else ()
        merged[key] = Cell(*key, cell.rival, before + cell.parents)
    return list(merged.values())


def tasks_of(day: Day, setup: Setup) -> list[Task]:
    """Return a buy and a sell for every arrival with a spread, so that the drift of the market cancels.

    Raises:
        TickDataError: the session is too short for the time limit.
    """
    first = max(_FIRST, day.quotes.times[0] + QUOTE_AGE)
    last = day.closes - max(_LAST_BEFORE_CLOSE, 1_000 * setup.seconds)
    if last <= first:
        raise TickDataError(f"{day.symbol} {day.day}: the session leaves no time for arrivals; use less --seconds")
    rng = random.Random(f"{setup.seed} {day.symbol} {day.day}")  # noqa: S311 (repeatable by its seed)
    starts = sorted(rng.randrange(first, last) for _ in range(setup.arrivals))
    tapes = [Tape.of(day, side) for side in Side]
    tasks = [
        Task(tape, at, setup.size.shares(day, tape, at - QUOTE_AGE), setup.seconds) for at in starts for tape in tapes
    ]
    return [task for task in tasks if _has_spread(task)]


def _has_spread(task: Task) -> bool:
    quote = task.tape.quote(task.starts - QUOTE_AGE)
    return quote is not None and quote.ask > quote.bid


def parent_of(task: Task, done: Done, day: Day) -> Parent:
    """Return what a parent cost that was worked to its end."""
    tape = task.tape
    state = tape.state_at(task.starts - QUOTE_AGE)
    bid, ask = tape.quotes.bids[state], tape.quotes.asks[state]
    mid = Decimal(bid + ask) / 2
    per_bps = abs(mid) / 10_000
    price = (done.value + done.rest * done.rest_price) / task.qty
    filled = task.qty - done.rest
    markouts = (Decimal(tape.double_mid(done.ended_at + 1_000 * after)) / 2 - price for after in MARKOUT_SECONDS)
    return Parent(
        cost=float((price - mid) / per_bps),
        fill_cost=float((done.value / filled - mid) / per_bps) if filled else None,
        half_spread=float(Decimal(ask - bid) / 2 / per_bps),
        filled=float(filled / task.qty),
        seconds=(done.ended_at - task.starts) / 1_000,
        orders=done.orders,
        requests=done.requests,
        markouts=tuple(float(change / per_bps) for change in markouts),
        half_hour=f"{day.day} {task.starts // HALF_HOUR}",
        reason=done.reason,
    )
