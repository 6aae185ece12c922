"""Published check values of the replay, on tick data that is not part of the project.

They run where ``REPLAY_DATA`` names a folder with IBM's files of 2013-10-08: ``ibm/20131008_quote.zip`` and
``_trade.zip``.
"""

from __future__ import annotations

import os
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from benchmarks.replay.engine import Done, Task, work
from benchmarks.replay.fills import FillModel
from benchmarks.replay.ours import Ours
from benchmarks.replay.tape import Tape
from benchmarks.replay.ticks import Day, find
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import Side
from rebalance_executor.domain.plan import Urgency

_LADDERS = """{"ladder": {"LOW": {"aims": [0, 0.1, 0.3, 0.6, 1], "wait_seconds": 6},
                          "NORMAL": {"aims": [0.1, 0.3, 0.5, 1], "wait_seconds": 4}}}"""
"""The ladders that the values were computed with, whatever the defaults are."""
TOUCH, STRICT, QUEUE, QUEUE3 = FillModel


@pytest.fixture(scope="module")
def day() -> Day:
    folder = os.environ.get("REPLAY_DATA")
    if not folder:
        pytest.skip("REPLAY_DATA names no folder with tick data")
    (source,) = find(Path(folder), ["IBM"], ["20131008"])
    return source.read()


def worked(day: Day, urgency: Urgency, at: int, qty: int, model: FillModel) -> tuple[list[tuple[int, str, int]], Done]:
    make = partial(Ours, ExecutionConfig.from_json(_LADDERS), urgency)
    done = work(make, Task(Tape.of(day, Side.BUY), at, Decimal(qty), 900), model)
    return [(when - at, str(Decimal(price) / 10_000), int(shares)) for when, price, shares in done.fills], done


@pytest.mark.parametrize(
    ("second", "model", "fills"),
    [
        (38_000, TOUCH, [(25_100, "180.35", 100)]),
        (38_000, STRICT, [(23_446, "180.34", 100)]),
        (38_000, QUEUE, [(11_741, "180.32", 77), (11_741, "180.32", 23)]),
        (38_000, QUEUE3, [(23_446, "180.34", 100)]),
        (50_000, TOUCH, [(15_600, "179.44", 100)]),
        (50_000, STRICT, [(15_600, "179.44", 100)]),
        (50_000, QUEUE, [(9_323, "179.4", 100)]),
        (50_000, QUEUE3, [(9_323, "179.4", 56), (15_600, "179.44", 44)]),
    ],
)
def test_low_buys_100_shares(day: Day, second: int, model: FillModel, fills: list[tuple[int, str, int]]) -> None:
    assert worked(day, Urgency.LOW, 1_000 * second, 100, model)[0] == fills


def test_reader_counts_states_and_trades(day: Day) -> None:
    assert (len(day.quotes.times), len(day.trades.times), day.volume) == (48_257, 22_541, 3_247_567)
