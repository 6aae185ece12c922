"""The replay's clock, the program's decisions in it, and the simple strategies, on quiet days around $100."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import partial

import pytest

from benchmarks.replay.engine import Action, Done, MakeWorker, Now, Place, Task, work
from benchmarks.replay.fills import FillModel
from benchmarks.replay.ours import Ours, Schedule, Slices
from benchmarks.replay.sizes import Size
from benchmarks.replay.strategies import Market, Peg, Static, strategies
from benchmarks.replay.tape import Tape
from benchmarks.replay.ticks import OPEN, Day, Quotes, Trades
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import Side
from rebalance_executor.domain.plan import Urgency

START = OPEN + 600_000
BID, ASK = 1_000_000, 1_001_000
MID = (BID + ASK) // 2
CONFIG = ExecutionConfig()


def day_of(quotes: Sequence[tuple[int, int, int]] = (), trades: Sequence[tuple[int, int, int]] = ()) -> Day:
    """Return a day of quotes (time, bid, ask) with 500 shares displayed, 0.10 wide from the open."""
    day = Day("AAA", date(2026, 1, 5), Quotes(), Trades())
    for at, bid, ask in [(OPEN, BID, ASK), *quotes]:
        day.quotes.put((at, bid, 500, ask, 500))
    for at, price, size in trades:
        day.trades.times.append(at)
        day.trades.prices.append(price)
        day.trades.sizes.append(size)
    return day


def task_of(day: Day, qty: str = "100", *, side: Side = Side.BUY, seconds: int = 900) -> Task:
    return Task(Tape.of(day, side), START, Decimal(qty), seconds)


def fills_of(done: Done) -> list[tuple[float, int, float]]:
    return [((at - START) / 1_000, abs(price), float(qty)) for at, price, qty in done.fills]


def watched(make: MakeWorker, day: Day) -> tuple[list[tuple[float, Decimal | None]], Done]:
    """Work 100 shares; return second and limit of each order, and the end."""
    sent = []

    class Watched:
        def __init__(self, task: Task) -> None:
            self._worker = make(task)

        def act(self, now: Now) -> Action:
            action = self._worker.act(now)
            if isinstance(action, Place):
                sent.append(((now.at - START) / 1_000, action.limit))
            return action

    done = work(Watched, task_of(day), FillModel.TOUCH)
    return sent, done


EVERY = [one.make for one in strategies(CONFIG, None, Schedule(4, 40))]


@pytest.mark.parametrize("make", EVERY)
@pytest.mark.parametrize("qty", ["100", "0.5", "7.25"])
def test_every_strategy_fills_a_buy_and_a_sell_on_a_quiet_day_at_the_far_touch(make: MakeWorker, qty: str) -> None:
    for side, far in ((Side.BUY, ASK), (Side.SELL, -BID)):
        done = work(make, task_of(day_of(), qty, side=side), FillModel.QUEUE)
        assert (float(done.rest), done.reason) == (0, "FILLED")
        assert {price for _, price, _ in done.fills} == {far}
        assert sum(shares for _, _, shares in done.fills) == Decimal(qty)


def test_low_walks_its_ladder_to_the_far_touch() -> None:
    sent, done = watched(partial(Ours, CONFIG, Urgency.LOW), day_of())
    prices = [Decimal(text) for text in ("100", "100.01", "100.03", "100.06", "100.10")]
    assert sent == list(zip([0, 6.5, 13, 19.5, 26], prices, strict=True))
    assert (done.orders, done.requests, done.ended_at) == (5, 13, START + 26_100)


def test_partial_fill_is_known_at_the_next_step_and_the_rest_moves_on() -> None:
    day = day_of(trades=[(START + 2_000, BID - 100, 40)])
    done = work(partial(Ours, CONFIG, Urgency.HIGH), task_of(day), FillModel.STRICT)
    assert fills_of(done) == [(2.0, MID, 40), (3.6, ASK, 60)]


def test_rest_at_the_time_limit_is_valued_at_the_far_touch() -> None:
    task = task_of(day_of([(START + 1_000, BID, ASK + 200)]), seconds=2)
    done = work(partial(Ours, CONFIG, Urgency.LOW), task, FillModel.QUEUE)
    assert (float(done.rest), done.rest_price, done.ended_at, done.reason) == (
        100,
        ASK + 200,
        START + 2_000,
        "TIME_LIMIT",
    )


def test_end_by_the_program_keeps_its_code() -> None:
    done = work(partial(Ours, CONFIG, Urgency.URGENT), task_of(day_of(), "900"), FillModel.QUEUE)
    assert (float(done.rest), done.reason, done.ended_at - START) == (
        400,
        "ATTEMPTS_EXHAUSTED",
        31_000,
    )  # 30 s after the fill was seen


def test_program_waits_for_a_usable_quote_and_then_gives_up() -> None:
    done = work(partial(Ours, CONFIG, Urgency.URGENT), task_of(day_of([(OPEN, ASK, BID)])), FillModel.QUEUE)
    assert (done.orders, done.reason, done.ended_at - START) == (0, "QUOTE_UNUSABLE", 5_000)


def test_quotes_are_50_ms_old_and_read_again_after_a_second() -> None:
    seen = []

    class Watcher:
        def __init__(self, _task: Task) -> None: ...

        def act(self, now: Now) -> None:
            seen.append(now.quote.bid)

    ticks = [(START + 100 * k, BID + 100 * k, ASK + 100 * k) for k in range(30)]
    work(Watcher, task_of(day_of(ticks), seconds=2), FillModel.TOUCH)
    assert seen == [Decimal(text) for text in ("100", "100", "100.09", "100.09")]


def test_half_cent_tick_that_a_quote_has_shown_stays() -> None:
    day = day_of([(START - 1_000, BID, BID + 150), (START + 1_500, BID, BID + 100)])
    ticks = []

    class Watcher:
        def __init__(self, _task: Task) -> None: ...

        def act(self, now: Now) -> None:
            ticks.append(now.quote.tick_size)

    work(Watcher, task_of(day, seconds=4), FillModel.TOUCH)
    assert set(ticks) == {Decimal("0.005")}


def test_configured_tick_size_applies_to_the_program() -> None:
    config = ExecutionConfig.from_json(
        '{"tick_size": "0.005", "ladder": {"LOW": {"aims": [0.25, 1], "wait_seconds": 6}}}'
    )
    sent, _ = watched(partial(Ours, config, Urgency.LOW), day_of([(START - 1_000, BID, BID + 200)]))
    assert sent[0] == (0, Decimal("100.005"))


@pytest.mark.parametrize(
    ("make", "sent"),
    [
        (Market, [(0, None)]),
        (partial(Static, (Decimal("0.5"),), 13_000), [(0, "100.05"), (13.5, None)]),
        (partial(Static, (Decimal("0.5"), Decimal("0.75")), 4_000), [(0, "100.05"), (4.5, "100.07"), (9, None)]),
        (partial(Peg, 26, 4_000), [(0, "100"), (26, None)]),
    ],
    ids=["market", "mid", "static", "peg"],
)
def test_orders_of_simple_strategies(make: MakeWorker, sent: list[tuple[float, str | None]]) -> None:
    assert watched(make, day_of())[0] == [(at, None if limit is None else Decimal(limit)) for at, limit in sent]


def test_peg_follows_the_near_side_when_it_looks_again() -> None:
    day = day_of([(START + 1_000, BID - 300, ASK)])
    limits = [(0.0, Decimal(100)), (4.5, Decimal("99.97")), (26.0, None)]
    assert watched(partial(Peg, 26, 4_000), day)[0] == limits


def test_slices_are_equal_and_start_at_equal_intervals() -> None:
    schedule = Schedule(4, 120, Urgency.URGENT)
    done = work(partial(Slices, CONFIG, schedule), task_of(day_of(), "1001"), FillModel.QUEUE)
    assert fills_of(done) == [(0.1, ASK, 250), (30.1, ASK, 250), (60.1, ASK, 250), (90.1, ASK, 251)]


def test_slice_takes_over_what_the_one_before_left() -> None:
    schedule = Schedule(3, 120, Urgency.URGENT)
    done = work(partial(Slices, CONFIG, schedule), task_of(day_of(), "1800"), FillModel.QUEUE)
    assert [qty for _, _, qty in fills_of(done)] == [500, 500, 500]
    assert (float(done.rest), done.reason) == (300, "SLICES_USED")


@pytest.mark.parametrize(("text", "shares"), [("100", "100"), ("0.5", "0.5"), ("20x", "10000"), ("0.5%", "10")])
def test_size_in_shares_in_multiples_of_the_display_or_of_the_volume(text: str, shares: str) -> None:
    day = day_of(trades=[(START, BID, 2_150)])
    assert Size.parse(text).shares(day, Tape.of(day, Side.SELL), START) == Decimal(shares)


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "nan", "inf%", "5y"])
def test_other_sizes_are_errors(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        Size.parse(text)
