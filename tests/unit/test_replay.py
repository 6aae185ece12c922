"""The replay as a whole: its arrivals, its figures and its command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from math import sqrt
from pathlib import Path

import pytest

from benchmarks.replay.__main__ import main
from benchmarks.replay.fills import FillModel
from benchmarks.replay.measure import Cell, Parent, Setup, joined, measure
from benchmarks.replay.ours import Schedule
from benchmarks.replay.report import worse_than_market
from benchmarks.replay.rows import Row, clustered, rows_of
from benchmarks.replay.strategies import MARKET, MID
from benchmarks.replay.ticks import OPEN, Source, TickDataError, find
from rebalance_executor.domain.config import ExecutionConfig
from tests.support.lean_ticks import write_day

BID, ASK = 1_000_000, 1_000_400
HALF_SPREAD_BPS = 200 / (BID + 200) * 10_000
LAST_TRADE = OPEN + 5_400_000
"""11:00: the session of the test days ends at 11:30."""
SETUP = Setup(ExecutionConfig(), arrivals=3, schedule=Schedule(2, 20), models=(FillModel.QUEUE,))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two days of a symbol whose quote is 0.04 wide and moves up by 0.01 every four minutes."""
    quotes = [(OPEN + 240_000 * k, BID + 100 * k, 500, ASK + 100 * k, 500) for k in range(30)]
    for name in ("aaa/20260105", "aaa/20260106"):
        write_day(tmp_path, name, quotes, [(LAST_TRADE, BID, 200)])
    return tmp_path


def sources(data: Path) -> list[Source]:
    return find(data)


def by_strategy(cells: Sequence[Cell]) -> dict[str, tuple[Parent, ...]]:
    return {cell.strategy: cell.parents for cell in cells}


def test_every_arrival_is_a_buy_and_a_sell_so_that_drift_cancels(data: Path) -> None:
    cells = by_strategy(measure(sources(data)[0], SETUP))
    assert {len(parents) for parents in cells.values()} == {6}
    for buy, sell in zip(cells[MARKET][::2], cells[MARKET][1::2], strict=True):
        assert buy.half_hour == sell.half_hour
        assert buy.cost == pytest.approx(sell.cost)
        moved = buy.markouts[2] + buy.cost
        assert moved == pytest.approx(-(sell.markouts[2] + sell.cost))
        assert moved > 0.9  # the mid moves up by at least a cent in 300 seconds


def test_same_seed_gives_the_same_arrivals_and_another_one_others(data: Path) -> None:
    source = sources(data)[0]
    one, same, other = (measure(source, replace(SETUP, seed=seed)) for seed in (1, 1, 2))
    assert one == same != other


def test_market_order_costs_the_half_spread(data: Path) -> None:
    rows = {row.strategy: row for row in rows_of(joined([measure(source, SETUP) for source in sources(data)]))}
    market = rows[MARKET]
    assert (market.parents, market.orders, market.requests, market.complete) == (12, 1, 1, 1)
    assert market.cost.mean == pytest.approx(HALF_SPREAD_BPS, rel=0.01)
    assert market.half_spreads == pytest.approx(1)
    assert market.seconds == pytest.approx(0.1)
    assert market.reasons == {"FILLED": 12}
    assert list(market.beyond) == [MID]


def test_second_configuration_is_compared_with_the_first_on_the_same_arrivals(data: Path) -> None:
    rival = ExecutionConfig.from_json('{"ladder": {"LOW": {"aims": [1], "wait_seconds": 6}}}')
    rows = rows_of(measure(sources(data)[0], replace(SETUP, rival=rival)))
    (row,) = (row for row in rows if row.strategy == "rival, LOW")
    assert list(row.beyond) == [MARKET, MID, "ours, LOW"]
    assert row.orders == 1
    assert row.beyond[MARKET].mean == pytest.approx(0)


def test_session_shorter_than_the_time_limit_is_an_error(data: Path) -> None:
    with pytest.raises(TickDataError, match="seconds"):
        measure(sources(data)[0], replace(SETUP, seconds=7_200))


def parent(cost: float, half_hour: str = "a", *, filled: float = 1, fill_cost: float | None = None) -> Parent:
    return Parent(cost, cost if fill_cost is None else fill_cost, 2, filled, 1, 1, 1, (0, 0, 0), half_hour, "FILLED")


def rows_for(costs: dict[str, list[float]]) -> dict[str, Row]:
    cells = [
        Cell("AAA", FillModel.QUEUE, name, None, tuple(parent(cost, str(k // 2)) for k, cost in enumerate(values)))
        for name, values in costs.items()
    ]
    return {row.strategy: row for row in rows_of(cells)}


def test_interval_is_from_the_sums_of_the_half_hours() -> None:
    parents = [parent(0, name) for name in "aabb"]
    mean = clustered([1, 2, 3, 6], parents)
    assert mean.mean == 3
    assert mean.interval == pytest.approx(1.96 * sqrt(3**2 + 3**2) / 4)


def test_difference_is_paired_by_arrival() -> None:
    rows = rows_for({MARKET: [1, 9, 5, 7], MID: [0, 8, 4, 6], "ours, LOW": [2, 10, 6, 8]})
    beyond = rows["ours, LOW"].beyond
    assert [(one.mean, one.interval) for one in (beyond[MARKET], beyond[MID])] == [(1, 0), (2, 0)]


def test_tail_is_the_mean_of_the_largest_hundredth() -> None:
    costs = [float(k) for k in range(200)]
    row = rows_for({MARKET: costs, MID: costs})[MARKET]
    assert (row.worst, row.half_spreads) == (198.5, 49.75)


def test_cost_of_fills_counts_filled_shares() -> None:
    parents = (parent(5, filled=1, fill_cost=1), parent(5, filled=0.5, fill_cost=4), parent(5, filled=0, fill_cost=0))
    cells = [Cell("AAA", FillModel.QUEUE, name, None, parents) for name in (MARKET, MID)]
    row = rows_of(cells)[0]
    assert (row.fill_cost, row.filled) == (2, 0.5)
    assert row.complete == pytest.approx(1 / 3)


def test_urgency_that_costs_more_than_the_market_order_beyond_noise_is_named() -> None:
    costs = {MARKET: [1.0, 1, 1, 1], MID: [9.0, 9, 9, 9], "ours, LOW": [2.0, 2, 2, 2], "ours, HIGH": [1.0, 1, 1, 1]}
    (line,) = worse_than_market(list(rows_for(costs).values()))
    assert "ours, LOW" in line


def test_command_writes_json_and_a_plot(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = data / "replay.svg"
    options = ["--arrivals", "1", "--jobs", "1", "--models", "touch", "queue", "--size", "2x", "--days", "20260105"]
    assert main(["--data", str(data), *options, "--json", "--plot", str(plot)]) == 0
    captured = capsys.readouterr()
    rows = json.loads(captured.out)
    assert {(row["symbol"], row["model"]) for row in rows} == {("AAA", "touch"), ("AAA", "queue")}
    assert captured.err == "AAA 2026-01-05: 1 of 1 done\n"
    assert plot.read_text().startswith("<?xml")


@pytest.mark.parametrize("form", [[], ["--markdown"]], ids=["tables", "markdown"])
def test_command_shows_every_strategy(data: Path, capsys: pytest.CaptureFixture[str], form: list[str]) -> None:
    options = ["--arrivals", "1", "--jobs", "1", "--models", "queue", "--slices", "2", "--slice-seconds", "20"]
    main(["--data", str(data), *options, *form])
    out = capsys.readouterr().out
    for name in (MARKET, MID, "ours, LOW", "ours, URGENT", "peg 60 s, then market", "2 equal slices over 20 s"):
        assert name in out


@pytest.mark.parametrize(
    "options",
    [["--symbols", "zzz"], ["--size", "5y"], ["--config", "{"], ["--arrivals", "0"], ["--models", "hope"]],
    ids=["no data", "size", "configuration", "arrivals", "model"],
)
def test_wrong_option_ends_the_command_with_2(
    data: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--data", str(data), "--jobs", "1", *options])
    assert ended.value.code == 2
    assert "benchmarks.replay: error" in capsys.readouterr().err


def test_days_of_a_symbol_are_joined(data: Path) -> None:
    assert [source.day for source in sources(data)] == [date(2026, 1, 5), date(2026, 1, 6)]
    cells = joined([measure(source, replace(SETUP, arrivals=1)) for source in sources(data)])
    assert {len(cell.parents) for cell in cells} == {4}
