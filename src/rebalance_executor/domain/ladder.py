"""The ladder: the price of each rung, the time that it rests, and the number of rungs that the rate limit allows.

A rung is a *spread fraction*: 0 is our own side of the spread, 0.5 the mid, 1 the far touch. Every child is journalled
with the fraction that it was priced at, so that a new process continues from that rung. Pure functions; ``strategy``
calls them and decides whether an order may be sent at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from itertools import takewhile

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import OrderType, Quote, Side
from rebalance_executor.domain.orders import ChildOrder, ChildPhase, ChildState, ParentOrder
from rebalance_executor.domain.plan import Urgency
from rebalance_executor.domain.pricing import far_touch, is_inside, next_tick, tick, to_tick
from rebalance_executor.domain.values import seconds

FAR = Decimal(1)
"""Spread fraction of the last rung: the far touch."""
ONE_SHARE = Decimal(1)

_MINUTE = 60
_BURST_SECONDS = 30
"""Seconds of the rate limit that may be used at once; the rest of the minute allows for requests sent just before."""


@dataclass(frozen=True, slots=True)
class WaveSchedule:
    """Properties of a wave that choose the rungs of its ladder."""

    urgency: Urgency = Urgency.NORMAL
    cross_by: datetime | None = None
    """Time by which the last rung must be sent in this run; None without a time limit."""
    parents: int = 1
    """Unsettled parents of the wave, which share the broker's rate limit."""
    plan_cross_by: datetime | None = None
    """The same for orders that may be worked in several runs: large ones, and those of the urgency PATIENT."""
    starts: datetime | None = None
    """Time at which the run started; None if that is now."""
    slices: int | None = None
    """Slices of a large parent over its whole horizon, each with as many children as another parent has in all; None if
    it is not sliced."""
    large: int = 1
    """Large parents of the plan, settled or not: they share the rate limit for the time of their slices."""


def cross_by(starts: datetime, ends: datetime, *, buys_follow: bool) -> datetime:
    """Return the time by which a wave must send its last rung, in a run that trades from ``starts`` to ``ends``.

    Sells leave half of the time to the buys that wait for their proceeds. The last quarter of a wave's time belongs to
    the last rung: its cancel, its submission and its fill.
    """
    duration = max(ends - starts, timedelta())
    return starts + (duration / 2 if buys_follow else duration) * 3 / 4


def children_within_rate_limit(parents: int, duration: Decimal, config: ExecutionConfig) -> int:
    """Return the children per parent, at least one, that the rate limit allows for ``parents`` parents.

    The first child costs one request. Each further one costs three: the cancel of the previous one, the second reading
    of its end, and the submission. Polling costs one per tick. ``duration`` is in seconds.
    """
    sent = Decimal(config.rate_limit_per_minute) * (duration + _BURST_SECONDS) / _MINUTE
    requests = sent - duration / config.tick_seconds
    return max(1, int((requests / max(parents, 1) + 2) // 3))


def children_left(parent: ParentOrder, schedule: WaveSchedule, config: ExecutionConfig) -> int:
    """Return how many more children the parent may have.

    A child that fills completely, as a slice or for a part of the dollars, starts the count again; so does an auction.
    A climb that is not at the far touch has one left, also if fewer are allowed than before: slices can become fewer.
    """
    climb = takewhile(lambda child: not _ends_climb(child), reversed(parent.children))
    sent = sum(child.state is not ChildState.NOT_SENT for child in climb)
    left, last = config.max_children * (schedule.slices or 1) - sent, last_sent(parent)
    is_at_far = last is None or last.spread_fraction is None or last.spread_fraction >= FAR
    return left if is_at_far else max(left, 1)


def rungs_ahead(
    parent: ParentOrder, schedule: WaveSchedule, now: datetime, config: ExecutionConfig
) -> tuple[Decimal, ...]:
    """Return the spread fractions still to come: ascending, never empty, the last of them the far touch.

    Rungs are left out evenly, counted from the last, if time, requests or allowed children do not suffice for all.
    """
    last = last_sent(parent)
    reached = None if last is None else FAR if last.spread_fraction is None else last.spread_fraction
    steps = config.ladder[schedule.urgency].spread_fractions
    left = [fraction for fraction in steps if reached is None or fraction > reached] or [FAR]
    room = children_left(parent, schedule, config)
    if schedule.cross_by is not None:
        left_seconds = max(Decimal(0), Decimal((schedule.cross_by - now).total_seconds()))
        in_time = 1 + int(left_seconds / config.shortest_rung_seconds)
        room = min(room, in_time, children_within_rate_limit(schedule.parents, left_seconds, config))
    # The stride is left / room, rounded up, so that at most ``room`` rungs remain. Striding from the end keeps the far
    # touch whatever the stride; counted from the start, it could be the rung that is left out.
    stride = -(-len(left) // max(room, 1))
    return tuple(left[::-1][::stride][::-1])


def next_spread_fraction(
    parent: ParentOrder, quote: Quote, schedule: WaveSchedule, now: datetime, config: ExecutionConfig
) -> Decimal:
    """Return the rung of the next child: the next one, or a later one if the last child rested through several."""
    if parent.remaining < ONE_SHARE or quote.bid == quote.ask:
        return FAR  # less than a share is filled by the broker itself, at the far touch: waiting only costs time
    ahead = rungs_ahead(parent, schedule, now, config)
    last = last_sent(parent)
    if last is None:
        return ahead[0]
    wait = rung_wait(parent, quote, schedule, now, config)
    passed = int(_rested(last, now) / wait) if wait > timedelta() else len(ahead)
    return ahead[min(max(passed, 1), len(ahead)) - 1]


def rung_wait(
    parent: ParentOrder, quote: Quote, schedule: WaveSchedule, now: datetime, config: ExecutionConfig
) -> timedelta:
    """Return how long the last child rests before the next rung: less in a fast market or if time runs short."""
    wait, last = seconds(config.ladder[schedule.urgency].wait_seconds), last_sent(parent)
    if last is None:
        return wait
    if is_fast(parent.side, last, quote, config):
        wait = _fast_wait(schedule, config)
    return min(wait, _share(parent, last, schedule, now, config))


def _fast_wait(schedule: WaveSchedule, config: ExecutionConfig) -> timedelta:
    wait = config.ladder[schedule.urgency].wait_seconds
    return seconds(min(wait, max(wait * config.fast_market_wait, config.shortest_rung_seconds)))


def _share(
    parent: ParentOrder, child: ChildOrder, schedule: WaveSchedule, now: datetime, config: ExecutionConfig
) -> timedelta:
    """Return the share of a rung in the time that was left when it was sent."""
    if schedule.cross_by is None:
        return timedelta.max
    left = (schedule.cross_by - child.latest_send) / len(rungs_ahead(parent, schedule, now, config))
    return max(timedelta(), left)


def may_be_replaced(
    parent: ParentOrder, child: ChildOrder, schedule: WaveSchedule, now: datetime, config: ExecutionConfig
) -> bool:
    """Return whether a resting child has rested as long as a rung does in a fast market; before, no quote counts."""
    wait = min(_fast_wait(schedule, config), _share(parent, child, schedule, now, config))
    return _rested(child, now) >= wait


def is_fast(side: Side, child: ChildOrder, quote: Quote, config: ExecutionConfig) -> bool:
    """Return whether the quote has moved away by ``fast_market_spreads`` since ``child`` was priced."""
    if child.limit_price is None:
        return False
    fraction = FAR if child.spread_fraction is None else child.spread_fraction
    away = _towards(side, child.limit_price, rung_price(side, quote, fraction))
    return away >= config.fast_market_spreads * max(quote.ask - quote.bid, tick(quote.ask, quote.tick_size))


def rung_price(side: Side, quote: Quote, spread_fraction: Decimal) -> Decimal:
    """Return the limit of a rung on this quote: on tick, rounded towards our own side, never beyond the far touch."""
    far = far_touch(side, quote)
    if spread_fraction >= FAR:
        return far
    near = quote.bid if side is Side.BUY else quote.ask
    other = quote.ask if side is Side.BUY else quote.bid
    return _clamped(side, to_tick(near + (other - near) * spread_fraction, side, quote.tick_size), far)


def next_price(parent: ParentOrder, quote: Quote, spread_fraction: Decimal) -> Decimal:
    """Return the limit of the next child.

    It is the price of the rung, at least one tick nearer to the counterparty than the last child's limit, and never
    beyond the far touch.
    """
    price = rung_price(parent.side, quote, spread_fraction)
    last = last_sent(parent)
    if last is not None and last.limit_price is not None:
        better = next_tick(last.limit_price, parent.side, quote.tick_size)
        price = max(price, better) if parent.side is Side.BUY else min(price, better)
    return _clamped(parent.side, price, far_touch(parent.side, quote))


def is_overdue(
    parent: ParentOrder, child: ChildOrder, schedule: WaveSchedule, now: datetime, config: ExecutionConfig
) -> bool:
    """Return whether ``child`` has rested through the time of every rung ahead, the last one included.

    The time starts again with each fill: an order that keeps filling is not overdue. Nor is a slice, before the time of
    the plan ends.
    """
    if schedule.slices is not None and (schedule.plan_cross_by is None or now < schedule.plan_cross_by):
        return False
    return _rested(child, now, since=child.fill_seen_at) >= _longest_rest(parent, child, schedule, now, config)


def _longest_rest(
    parent: ParentOrder, child: ChildOrder, schedule: WaveSchedule, now: datetime, config: ExecutionConfig
) -> timedelta:
    waits = 0 if child.spread_fraction in (None, FAR) else len(rungs_ahead(parent, schedule, now, config))
    return seconds(config.ladder[schedule.urgency].wait_seconds * waits + config.last_rung_seconds)


def next_step_at(
    parent: ParentOrder, child: ChildOrder, schedule: WaveSchedule, now: datetime, config: ExecutionConfig
) -> datetime | None:
    """Return the next time at which the time of a rung ends, or all of a resting child's; None if they have passed.

    A child can rest through several rungs. In a fast market the first one ends earlier.
    """
    sent, filled = child.latest_send, child.fill_seen_at
    over_at = (sent if filled is None else max(sent, filled)) + _longest_rest(parent, child, schedule, now, config)
    wait = min(seconds(config.ladder[schedule.urgency].wait_seconds), _share(parent, child, schedule, now, config))
    passed = max(0, (now - sent) // wait) if wait > timedelta() else len(rungs_ahead(parent, schedule, now, config))
    fast_at = sent + min(wait, _fast_wait(schedule, config))
    rung_ends = fast_at if fast_at > now else sent + (passed + 1) * wait
    if passed < len(rungs_ahead(parent, schedule, now, config)):
        return rung_ends if over_at <= now else min(rung_ends, over_at)
    return over_at if over_at > now else None


def is_worth_replacing(
    parent: ParentOrder, quote: Quote, schedule: WaveSchedule, now: datetime, config: ExecutionConfig
) -> bool:
    """Return whether the last child has rested its time and the next rung's price improves on it by the threshold.

    If not, it keeps its place in the queue instead of being canceled for the same price. A remainder below the minimum
    notional also stays, because it could not be sent again.
    """
    last = last_sent(parent)
    if children_left(parent, schedule, config) <= 0 or last is None or last.limit_price is None:
        return False
    if _rested(last, now) < rung_wait(parent, quote, schedule, now, config):
        return False
    fraction = next_spread_fraction(parent, quote, schedule, now, config)
    price = rung_price(parent.side, quote, fraction)
    if parent.side is Side.BUY and parent.remaining * price < config.minimum_notional:
        return False
    if fraction == FAR and config.last_rung_market:
        return True
    one_tick = abs(next_tick(last.limit_price, parent.side, quote.tick_size) - last.limit_price)
    step = max(one_tick, config.improvement_threshold * (quote.ask - quote.bid))
    return _towards(parent.side, last.limit_price, price) >= step


def is_exhausted(
    parent: ParentOrder, price: Decimal, schedule: WaveSchedule, now: datetime, config: ExecutionConfig
) -> bool:
    """Return whether the last child rested all its time without filling and ``price`` does not improve on it."""
    last = last_sent(parent)
    if last is None or last.phase is not ChildPhase.CANCELED or last.cancel_requested_at is None:
        return False
    if not is_overdue(parent, last, schedule, now, config):
        return False  # canceled for a better price, or by the end of a run
    is_part = parent.side is Side.BUY or schedule.slices is not None
    if is_part and last.qty - last.filled_qty < parent.remaining:
        return False  # for lack of dollars, or as a slice, it offered only a part
    return last.limit_price is None or _towards(parent.side, last.limit_price, price) <= 0


def order_type(spread_fraction: Decimal, config: ExecutionConfig) -> OrderType:
    """Return the order type of a rung: a limit, or a market order on the last rung if ``last_rung_market`` is set."""
    return OrderType.MARKET if spread_fraction == FAR and config.last_rung_market else OrderType.LIMIT


def last_sent(parent: ParentOrder) -> ChildOrder | None:
    """Return the latest child of this climb that reached the broker or may have reached it.

    A child that filled completely, or was for an auction, ends its climb: what remains starts a new one.
    """
    last = next((child for child in reversed(parent.children) if child.state is not ChildState.NOT_SENT), None)
    return None if last is None or _ends_climb(last) else last


def _ends_climb(child: ChildOrder) -> bool:
    """Return whether what remains after this child starts a new climb: it filled, or was for an auction."""
    return child.state is ChildState.FILLED or child.is_for_auction


def is_whole(qty: Decimal) -> bool:
    """Return whether a quantity is a whole number of shares."""
    return qty == qty.to_integral_value(ROUND_FLOOR)


def _rested(child: ChildOrder, now: datetime, since: datetime | None = None) -> timedelta:
    """Return how long the child has rested, up to its cancel; zero if the broker closed it without a cancel.

    It counts from ``since``, if that is later than the submission.
    """
    start = child.latest_send if since is None else max(child.latest_send, since)
    if child.cancel_requested_at is not None:
        return child.cancel_requested_at - start
    return now - start if child.is_open else timedelta()


def _towards(side: Side, start: Decimal, price: Decimal) -> Decimal:
    """Return the dollars by which ``price`` is nearer to the counterparty than ``start``."""
    return price - start if side is Side.BUY else start - price


def _clamped(side: Side, price: Decimal, bound: Decimal) -> Decimal:
    return price if is_inside(side, price, bound) else bound
