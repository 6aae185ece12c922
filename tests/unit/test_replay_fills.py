"""The replay's fill models, on tapes of a few quotes and trades around $100, for buys and mirrored for sells."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import pytest

from benchmarks.replay.fills import LATENCY, FillModel, Order
from benchmarks.replay.tape import Tape
from benchmarks.replay.ticks import OPEN, Day, Quotes, Trades
from rebalance_executor.domain.market import Side

SENT = OPEN + 1_000
LIVE = SENT + LATENCY
BID, MID, ASK = 1_000_000, 1_000_100, 1_000_200
EVERY_MODEL = tuple(FillModel)
TOUCH, STRICT, QUEUE, QUEUE3 = EVERY_MODEL

Fills = list[tuple[int, int, int]]


def day_of(quotes: Sequence[tuple[int, ...]], trades: Sequence[tuple[int, ...]] = ()) -> Day:
    day = Day("AAA", date(2026, 1, 5), Quotes(), Trades())
    for row in quotes:
        day.quotes.put(row)
    for at, price, size in trades:
        day.trades.times.append(at)
        day.trades.prices.append(price)
        day.trades.sizes.append(size)
    return day


def sold(day: Day) -> Day:
    """Return the day mirrored around ``MID``: what is a buy on ``day`` is a sell on it."""
    mirror = [2 * MID - price for price in day.quotes.asks], [2 * MID - price for price in day.quotes.bids]
    sizes = day.quotes.ask_sizes, day.quotes.bid_sizes
    quotes = zip(day.quotes.times, mirror[0], sizes[0], mirror[1], sizes[1], strict=True)
    trades = zip(day.trades.times, [2 * MID - p for p in day.trades.prices], day.trades.sizes, strict=True)
    return day_of(list(quotes), list(trades))


def worked(day: Day, limit: int, *, model: FillModel, qty: int = 100, cancel: int | None = None) -> Fills:
    """Return time, price and shares of the fills of a buy; a sell on the mirrored day must have the same."""
    results = []
    for side in Side:
        tape = Tape.of(day if side is Side.BUY else sold(day), side)
        real = Decimal(limit if side is Side.BUY else 2 * MID - limit) / 10_000
        order = Order(tape, model, Decimal(qty), tape.mirrored(real), SENT)
        for at in range(SENT + 500, SENT + 5_001, 500):
            if cancel is not None and at > cancel and not order.is_cancel_requested:
                order.cancel(cancel)
            order.look(at)
        shift = 0 if side is Side.BUY else 2 * MID
        results.append([(at, price + shift, int(shares)) for at, price, shares in order.fills])
    assert results[0] == results[1]
    return results[0]


STANDING = (OPEN, BID, 300, ASK, 80)


@pytest.mark.parametrize("model", EVERY_MODEL)
def test_limit_at_the_ask_takes_the_displayed_size_when_it_goes_live(model: FillModel) -> None:
    assert worked(day_of([STANDING]), ASK, model=model) == [(LIVE, ASK, 80)]


@pytest.mark.parametrize("model", EVERY_MODEL)
def test_quote_that_changes_before_the_order_is_live_counts_for_it(model: FillModel) -> None:
    day = day_of([STANDING, (LIVE, BID, 300, ASK + 100, 80)])
    assert worked(day, ASK, model=model) == []


@pytest.mark.parametrize("model", EVERY_MODEL)
def test_ask_that_comes_down_to_the_limit_fills_what_is_new(model: FillModel) -> None:
    rows = [(1, MID, 30), (2, MID, 50), (3, MID, 20), (4, MID, 45), (5, ASK, 90), (6, MID, 10)]
    day = day_of([STANDING, *((LIVE + at, BID, 300, ask, size) for at, ask, size in rows)])
    fills = [(1, 30), (2, 20), (4, 25), (6, 10)]
    assert worked(day, MID, model=model) == [(LIVE + at, MID, shares) for at, shares in fills]


@pytest.mark.parametrize("model", EVERY_MODEL)
def test_locked_or_crossed_quote_fills_nothing_that_rests(model: FillModel) -> None:
    day = day_of([STANDING, (LIVE + 1, MID, 300, MID, 100), (LIVE + 2, ASK, 300, MID, 100)])
    assert worked(day, MID, model=model) == []


@pytest.mark.parametrize(("model", "filled"), [(TOUCH, 0), (STRICT, 40), (QUEUE, 40), (QUEUE3, 40)])
def test_trade_below_the_limit_fills_its_size_at_the_limit(model: FillModel, filled: int) -> None:
    day = day_of([STANDING], [(LIVE + 20, BID, 30), (LIVE + 21, BID, 40)])
    assert worked(day, MID, model=model) == [(LIVE + 21, MID, filled)] * bool(filled)


@pytest.mark.parametrize(("model", "filled"), [(TOUCH, 0), (STRICT, 0), (QUEUE, 40), (QUEUE3, 40)])
def test_trade_at_a_limit_inside_the_spread_has_nobody_ahead(model: FillModel, filled: int) -> None:
    day = day_of([STANDING], [(LIVE + 50, MID, 40)])
    assert worked(day, MID, model=model) == [(LIVE + 50, MID, filled)] * bool(filled)


@pytest.mark.parametrize(("model", "fills"), [(STRICT, []), (QUEUE, [(60, 50), (70, 50)]), (QUEUE3, [(70, 50)])])
def test_trades_at_the_bid_fill_after_the_displayed_size(model: FillModel, fills: list[tuple[int, int]]) -> None:
    day = day_of([STANDING], [(LIVE + 50, BID, 200), (LIVE + 60, BID, 150), (LIVE + 70, BID, 600)])
    assert worked(day, BID, model=model) == [(LIVE + at, BID, shares) for at, shares in fills]


@pytest.mark.parametrize(("model", "filled"), [(QUEUE, 60), (QUEUE3, 0)])
def test_size_that_leaves_the_bid_moves_the_order_up(model: FillModel, filled: int) -> None:
    day = day_of([STANDING, (LIVE + 50, BID, 40, ASK, 80)], [(LIVE + 900, BID, 100)])
    assert worked(day, BID, model=model) == [(LIVE + 900, BID, filled)] * bool(filled)


@pytest.mark.parametrize("model", [QUEUE, QUEUE3])
def test_order_is_first_once_the_bid_is_below_it(model: FillModel) -> None:
    day = day_of([STANDING, (LIVE + 50, BID - 100, 900, ASK, 80)], [(LIVE + 60, BID, 70)])
    assert worked(day, BID, model=model) == [(LIVE + 60, BID, 70)]


@pytest.mark.parametrize(("model", "filled"), [(QUEUE, 60), (QUEUE3, 0)])
def test_queue_of_a_limit_below_the_bid_is_known_once_the_bid_comes_to_it(model: FillModel, filled: int) -> None:
    day = day_of(
        [(OPEN, MID, 300, ASK, 80), (LIVE + 50, BID, 40, ASK, 80)], [(LIVE + 60, BID, 25), (LIVE + 900, BID, 100)]
    )
    assert worked(day, BID, model=model) == [(LIVE + 900, BID, filled)] * bool(filled)


@pytest.mark.parametrize("model", [QUEUE, QUEUE3])
def test_order_never_fills_more_than_its_quantity(model: FillModel) -> None:
    day = day_of([STANDING], [(LIVE + 50, BID - 100, 70), (LIVE + 60, BID - 100, 70)])
    assert worked(day, BID, model=model) == [(LIVE + 50, BID, 70), (LIVE + 60, BID, 30)]


def test_fills_count_until_the_cancel_takes_effect() -> None:
    cancel = SENT + 2_000
    trades = [(cancel + LATENCY, BID, 30), (cancel + LATENCY + 1, BID, 30)]
    assert worked(day_of([STANDING], trades), MID, model=STRICT, cancel=cancel) == [(cancel + LATENCY, MID, 30)]


def test_market_order_is_filled_at_the_ask_whatever_is_displayed() -> None:
    order = Order(Tape.of(day_of([STANDING]), Side.BUY), TOUCH, Decimal("100.5"), None, SENT)
    order.look(SENT + 500)
    assert order.fills == [(LIVE, ASK, Decimal("100.5"))]
    assert not order.is_open
