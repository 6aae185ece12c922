"""The execution lab: its optima are exact, its queues are consistent, and its ladder is that of the program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from benchmarks.lab.bounds import ALL_CELLS, AnyCell, bounds
from benchmarks.lab.market import CELLS, Cell, paths
from benchmarks.lab.measure import Row, measure
from benchmarks.lab.one_tick import ONE_TICK_CELLS, OneTick, OneTickPath
from benchmarks.lab.one_tick_optimum import BestOneTick
from benchmarks.lab.one_tick_optimum import solve as solve_one_tick
from benchmarks.lab.optimum import solve
from benchmarks.lab.ours import Ours, seconds_to_cross
from benchmarks.lab.report import as_markdown
from benchmarks.lab.strategies import Market, Peg, Static
from benchmarks.lab.work import Action, Now, Path, Place, Worker
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.plan import Urgency

CONFIG = ExecutionConfig()


@pytest.fixture(scope="module", params=ALL_CELLS, ids=lambda cell: cell.name)
def rows(request: pytest.FixtureRequest) -> dict[str, Row]:
    return {row.strategy: row for row in measure(request.param, 100, 7, CONFIG)}


def test_simulated_optimum_matches_its_exact_value(rows: dict[str, Row]) -> None:
    bounds = [row for row in rows.values() if row.bound is not None]
    assert bounds
    for row in bounds:
        assert row.bound is not None
        assert abs(row.cost - row.bound) < 2 * row.interval, row.strategy


def test_ladder_is_not_worse_than_the_market_order_beyond_noise(rows: dict[str, Row]) -> None:
    for row in rows.values():
        if row.is_ours:
            assert row.beyond_market <= row.beyond_market_interval, row.strategy


def test_no_strategy_beats_the_optimum_of_its_time_beyond_noise(rows: dict[str, Row]) -> None:
    compared = [row for row in rows.values() if row.captured is not None]
    assert {"mid, then cross", "peg 60 s, then market"} <= {row.strategy for row in compared}
    for row in compared:
        assert row.captured is not None
        assert row.captured_interval is not None
        assert row.captured - 2 * row.captured_interval <= 1, row.strategy


def test_every_urgency_is_measured(rows: dict[str, Row]) -> None:
    assert {row.strategy for row in rows.values() if row.is_ours} == {f"ours, {urgency}" for urgency in Urgency}


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_more_time_and_more_freedom_never_cost_more(cell: Cell) -> None:
    market = sum(cell.spreads) / len(cell.spreads) / 2
    short, long = solve(cell, 10).value, solve(cell, 20).value
    assert long <= short <= market
    assert solve(cell, 20).value <= solve(cell, 20, backs_away=False).value <= market


@pytest.mark.parametrize("cell", ONE_TICK_CELLS, ids=lambda cell: cell.name)
def test_more_time_and_more_freedom_never_cost_more_at_one_tick(cell: OneTick) -> None:
    short, long = solve_one_tick(cell, 10).value, solve_one_tick(cell, 20).value
    assert long <= short <= 0.5
    assert long <= solve_one_tick(cell, 20, backs_away=False).value <= 0.5


@pytest.mark.parametrize("cell", ALL_CELLS, ids=lambda cell: cell.name)
def test_same_seed_gives_the_same_paths(cell: AnyCell) -> None:
    one, same, other = ([path.bid.tolist() for path in cell.draw(6, 60, seed)] for seed in (1, 1, 2))
    assert len(one) == 6
    assert one == same != other


def test_mid_does_not_drift_on_average() -> None:
    cell = replace(CELLS[2], respread=0.0)
    market = paths(cell, 20_000, 30, 3)
    moved = market.bid[:, -1] - market.bid[:, 0]
    assert abs(moved.mean()) < 4 * moved.std() / 20_000**0.5


# --- one tick ----------------------------------------------------------------------------------------------


@dataclass
class Watched:
    """A strategy whose place in the queue is recorded."""

    worker: Worker
    seen: list[Now]

    def act(self, now: Now) -> Action:
        self.seen.append(now)
        return self.worker.act(now)


def strategies_at_one_tick(cell: OneTick) -> list[Callable[[], Worker]]:
    simple: list[Callable[[], Worker]] = [
        Market,
        lambda: Static((0.5,), 18),
        lambda: Peg(20, 8),
        lambda: Ours(CONFIG, Urgency.LOW),
    ]
    return simple + [bound.make for bound in bounds(cell, 20)]


@pytest.mark.parametrize("cell", ONE_TICK_CELLS, ids=lambda cell: cell.name)
def test_queue_is_never_negative_nor_longer_than_the_display(cell: OneTick) -> None:
    joined = 0
    for path in cell.draw(30, 40, 3):
        for make in strategies_at_one_tick(cell):
            watched = Watched(make(), [])
            done = path.work(watched, 30)
            joined += any(now.ahead is not None for now in watched.seen)
            assert done.step <= 30
            for now in watched.seen:
                assert all(cell.lot <= size <= cell.lot * cell.largest for size in now.sizes)
                assert now.ahead is None or 0 <= now.ahead <= now.sizes[0] // cell.lot
                assert (now.ahead is not None) == (now.resting == now.bid)
    assert joined


def test_lots_of_both_sides_change_as_the_events_say() -> None:
    cell = ONE_TICK_CELLS[1]
    for path in cell.draw(50, 200, 5):
        for t in range(200):
            moved = int(path.bid[t + 1] - path.bid[t])
            change = int(path.bid_size[t + 1] - path.bid_size[t])
            assert moved in (-1, 0, 1)
            if path.taken[t] == path.bid_size[t]:
                assert moved <= 0  # the bid is gone
            elif not moved and path.canceled[t] < 1 < path.bid_size[t] and path.ask_size[t] > cell.block:
                assert change == -1
            elif not moved and path.taken[t] and path.ask_size[t] > cell.block:
                assert change == -path.taken[t]


def test_second_half_of_the_paths_mirrors_the_first() -> None:
    drawn = list(ONE_TICK_CELLS[0].draw(4, 80, 1))
    for buy, sell in zip(drawn[:2], drawn[2:], strict=True):
        assert (buy.bid + sell.bid).tolist() == [2 * ONE_TICK_CELLS[0].price] * 81
        assert buy.bid_size.tolist() == sell.ask_size.tolist()


def test_sizes_start_as_they_are_at_a_random_time() -> None:
    drawn = list(ONE_TICK_CELLS[1].draw(8_000, 60, 2))
    first, last = (np.array([path.bid_size[at] for path in drawn]) for at in (0, 60))
    assert abs(first.mean() - last.mean()) < 4 * first.std() / 4_000**0.5


def one_path(bids: list[int], sizes: list[int], taken: list[int], canceled: list[float]) -> OneTickPath:
    bid, bid_size, ask_size, lots = (np.array(column) for column in (bids, sizes, [5] * len(bids), taken))
    return OneTickPath(100, bid, bid_size, ask_size, lots, np.array(canceled))


@dataclass
class Join:
    """A strategy that joins the first bid and stays."""

    def act(self, now: Now) -> Action:
        return None if now.resting is not None else Place(now.bid, 0.0)


NO_CANCELS = [1.0] * 5


@pytest.mark.parametrize(
    ("path", "price", "step"),
    [
        pytest.param(
            one_path([10] * 6, [3, 2, 1, 1, 1, 1], [1, 1, 1, 1, 0], NO_CANCELS), 10, 3, id="trades reach its place"
        ),
        pytest.param(
            one_path([10] * 6, [3, 3, 3, 3, 3, 3], [1, 1, 1, 0, 0], NO_CANCELS),
            11,
            5,
            id="trades take only what is ahead",
        ),
        pytest.param(
            one_path([10] * 6, [3, 2, 2, 2, 2, 2], [0, 1, 1, 1, 0], [0.2, 1, 1, 1, 1]),
            10,
            4,
            id="a cancel ahead brings it forward",
        ),
        pytest.param(
            one_path([10, 9, 9, 9, 9, 9], [1, 4, 4, 4, 4, 4], [0] * 5, [0.5, 1, 1, 1, 1]), 10, 1, id="the bid is gone"
        ),
        pytest.param(
            one_path([10, 11, 11, 10, 10, 10], [3, 4, 4, 3, 3, 3], [1, 0, 4, 1, 2], NO_CANCELS),
            11,
            5,
            id="left behind, it loses its place",
        ),
    ],
)
def test_an_order_that_joins_fills_when_the_queue_ahead_is_gone(path: Path, price: int, step: int) -> None:
    done = path.work(Join(), 5)
    assert (done.price, done.step) == (price, step)


def test_optimum_joins_a_short_queue_and_crosses_when_its_time_is_over() -> None:
    # Given a market in which only trades of one lot happen
    cell = replace(ONE_TICK_CELLS[0], add=0.0, cancel=0.0, trade=0.5, large=0.0)
    best = BestOneTick(solve_one_tick(cell, 20))
    # Then few lots at the bid, and many at the ask, are worth joining, and the last step is not
    assert best.act(Now(0, 10, 1, None, (2 * cell.lot, 10 * cell.lot))) == Place(10, 0.0)
    assert best.act(Now(19, 10, 1, None, (2 * cell.lot, 10 * cell.lot))) == Place(11, 1.0)
    assert best.act(Now(20, 10, 1, None, (2 * cell.lot, 10 * cell.lot))) == Place(11, 1.0)


def test_time_of_an_urgency_is_that_of_its_rungs() -> None:
    config = ExecutionConfig.from_json('{"ladder": {"LOW": {"aims": [0, 0.5, 1], "wait_seconds": 10}}}')
    assert 20 <= seconds_to_cross(config, Urgency.LOW, 12) <= 21
    assert seconds_to_cross(config, Urgency.URGENT, 12) == 0


def test_tables_show_every_market_and_the_replay_beside_it() -> None:
    rows = [row for cell in ONE_TICK_CELLS for row in measure(cell, 20, 1, CONFIG)]
    text = as_markdown(rows, {("peg 26 s, then market", "BAC"): 0.14, ("unknown", "BAC"): 0.5})
    saving = next(table for table in text.split("\n\n") if table.startswith("| saving"))
    assert "| saving | one tick, deep | one tick, busy | BAC |" in saving
    assert any(line.startswith("| peg 26 s") and line.endswith("| 14% |") for line in saving.splitlines())
    assert "unknown" not in text
