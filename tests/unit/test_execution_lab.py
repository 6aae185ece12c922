"""The execution lab: its optimum is exact, and its ladder is that of the program."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.lab.market import CELLS, Cell, paths
from benchmarks.lab.measure import Row, measure
from benchmarks.lab.optimum import solve
from rebalance_executor.domain.config import ExecutionConfig

CONFIG = ExecutionConfig()


@pytest.fixture(scope="module", params=CELLS, ids=lambda cell: cell.name)
def rows(request: pytest.FixtureRequest) -> dict[str, Row]:
    return {row.strategy: row for row in measure(request.param, 200, 7, CONFIG)}


def test_simulated_optimum_matches_its_exact_value(rows: dict[str, Row]) -> None:
    for row in rows.values():
        if row.bound is not None:
            assert abs(row.cost - row.bound) < 2 * row.interval, row.strategy


def test_ladder_is_not_worse_than_the_market_order_beyond_noise(rows: dict[str, Row]) -> None:
    for row in rows.values():
        if row.strategy.startswith("ours"):
            assert row.beyond_market <= row.beyond_market_interval, row.strategy


def test_no_ladder_beats_the_optimum_of_its_time_beyond_noise(rows: dict[str, Row]) -> None:
    for row in rows.values():
        if row.strategy.startswith("ours") and row.captured is not None and row.captured_interval is not None:
            assert row.captured - 2 * row.captured_interval <= 1, row.strategy


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_more_time_and_more_freedom_never_cost_more(cell: Cell) -> None:
    market = sum(cell.spreads) / len(cell.spreads) / 2
    short, long = solve(cell, 10).value, solve(cell, 20).value
    assert long <= short <= market
    assert solve(cell, 20).value <= solve(cell, 20, backs_away=False).value <= market


def test_same_seed_gives_the_same_paths() -> None:
    one, same, other = (paths(CELLS[0], 5, 20, seed).bid.tolist() for seed in (1, 1, 2))
    assert one == same != other


def test_mid_does_not_drift_on_average() -> None:
    cell = replace(CELLS[2], respread=0.0)
    market = paths(cell, 20_000, 30, 3)
    moved = market.bid[:, -1] - market.bid[:, 0]
    assert abs(moved.mean()) < 4 * moved.std() / 20_000**0.5
