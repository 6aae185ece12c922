"""The ladder: where each rung stands, how long it rests, and how many rungs a plan can afford.

A rung is an *aim*, the fraction of the spread from our own side to the far touch: 0 is passive, 0.5 the mid, 1 the far
touch. Every child carries the aim it was priced with, so that a new process goes on where the former one stopped.
Pure functions; ``strategy`` calls them, and everything about safety stands there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import OrderType, Quote, Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, ParentOrder
from rebalance_executor.domain.plan import Urgency
from rebalance_executor.domain.pricing import far_touch, is_inside, next_tick, tick, to_tick
from rebalance_executor.domain.values import seconds

FAR = Decimal(1)
"""The aim of the last rung: the far touch."""

_MINUTE = 60
_BURST_SECONDS = 30
"""Half a minute's requests may go out at once; the other half is left to what was sent just before."""
_UNLIMITED = 1_000


@dataclass(frozen=True, slots=True)
class WaveSchedule:
    """What bounds the ladder besides its configuration."""

    urgency: Urgency = Urgency.NORMAL
    cross_by: datetime | None = None
    """When the last rung must be out; None where nothing presses."""
    parents: int = 1
    """Unsettled parents of the wave: they share the broker's rate limit."""


def cross_by(begins: datetime, ends: datetime, *, buys_follow: bool) -> datetime:
    """When the last rung of a wave must be out, of a run that trades from ``begins`` to ``ends``.

    Sells leave half of the time to the buys that wait for their proceeds; a quarter of a wave's time belongs to the
    last rung: its cancel, its submission and its fill.
    """
    whole = max(ends - begins, timedelta())
    return begins + (whole / 2 if buys_follow else whole) * 3 / 4


def affordable(parents: int, seconds: Decimal, config: ExecutionConfig) -> int:
    """Children a parent, at least one, that ``parents`` parents may use in ``seconds`` within the rate limit.

    The first costs one request, each further one two (cancel and submission); looks cost one a tick.
    """
    sent = Decimal(config.rate_limit_per_minute) * (seconds + _BURST_SECONDS) / _MINUTE
    requests = sent - seconds / config.tick_seconds
    return max(1, int((requests / max(parents, 1) + 1) // 2))


def rungs_ahead(
    parent: ParentOrder, schedule: WaveSchedule, now: datetime, config: ExecutionConfig
) -> tuple[Decimal, ...]:
    """The aims still to come, ascending, never empty, the last of them the far touch.

    LadderSteps are left out evenly, counted from the last, where time, requests or allowed children are scarce.
    """
    last = last_sent(parent)
    reached = None if last is None else FAR if last.spread_fraction is None else last.spread_fraction
    steps = config.ladder[schedule.urgency].spread_fractions
    left = [aim for aim in steps if reached is None or aim > reached] or [FAR]
    room = config.max_children - parent.attempts
    if schedule.cross_by is not None:
        seconds = max(Decimal(0), Decimal((schedule.cross_by - now).total_seconds()))
        room = min(room, 1 + int(seconds / config.shortest_rung_seconds), affordable(schedule.parents, seconds, config))
    stride = -(-len(left) // max(room, 1))
    return tuple(left[::-1][::stride][::-1])


def next_spread_fraction(
    parent: ParentOrder, quote: Quote, schedule: WaveSchedule, now: datetime, config: ExecutionConfig
) -> Decimal:
    """The aim of the next child: the next rung, or a later one where the former child rested through several."""
    if next_tick(quote.bid, Side.BUY) >= quote.ask:
        return FAR  # nothing lies between the touches
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
    """How long the last child rests before the next rung: shorter in a fast market, and as the time runs out."""
    wait, last = config.ladder[schedule.urgency].wait_seconds, last_sent(parent)
    if last is not None and is_fast(parent.side, last, quote, config):
        wait = min(wait, max(wait * config.fast_market_wait, config.shortest_rung_seconds))
    if last is None or schedule.cross_by is None:
        return seconds(wait)
    left = (schedule.cross_by - last.latest_send) / len(rungs_ahead(parent, schedule, now, config))
    return max(timedelta(), min(seconds(wait), left))


def is_fast(side: Side, child: ChildOrder, quote: Quote, config: ExecutionConfig) -> bool:
    """Whether the quote has moved away since ``child`` was priced, by so many spreads."""
    if child.limit_price is None:
        return False
    away = _towards(
        side,
        child.limit_price,
        rung_price(side, quote, FAR if child.spread_fraction is None else child.spread_fraction),
    )
    return away >= config.fast_market_spreads * max(quote.ask - quote.bid, tick(quote.ask))


def rung_price(side: Side, quote: Quote, spread_fraction: Decimal) -> Decimal:
    """The limit of a rung on this quote, on tick: rounded towards our own side, never beyond the far touch."""
    far = far_touch(side, quote)
    if spread_fraction >= FAR:
        return far
    near = quote.bid if side is Side.BUY else quote.ask
    other = quote.ask if side is Side.BUY else quote.bid
    return _clamped(side, to_tick(near + (other - near) * spread_fraction, side), far)


def next_price(parent: ParentOrder, quote: Quote, spread_fraction: Decimal) -> Decimal:
    """The limit of the next child: its rung's, at least one tick better for the counterparty than the last child's,
    and never beyond the far touch."""
    price = rung_price(parent.side, quote, spread_fraction)
    last = last_sent(parent)
    if last is not None and last.limit_price is not None:
        better = next_tick(last.limit_price, parent.side)
        price = max(price, better) if parent.side is Side.BUY else min(price, better)
    return _clamped(parent.side, price, far_touch(parent.side, quote))


def is_overdue(
    parent: ParentOrder, child: ChildOrder, schedule: WaveSchedule, now: datetime, config: ExecutionConfig
) -> bool:
    """Whether ``child`` has rested through every rung it could have, and through the last one's time."""
    waits = 0 if child.spread_fraction in (None, FAR) else len(rungs_ahead(parent, schedule, now, config))
    bound = config.ladder[schedule.urgency].wait_seconds * waits + config.last_rung_seconds
    return _rested(child, now) >= seconds(bound)


def is_worth_replacing(
    parent: ParentOrder, quote: Quote, schedule: WaveSchedule, now: datetime, config: ExecutionConfig
) -> bool:
    """Whether the last child rested long enough and the next rung's price improves on it by the threshold.

    Otherwise it keeps its place in the queue: nothing is cancelled in order to send the same price again. A
    remainder below the minimum notional could not be sent again at all.
    """
    last = last_sent(parent)
    if parent.attempts >= config.max_children or last is None or last.limit_price is None:
        return False
    if _rested(last, now) < rung_wait(parent, quote, schedule, now, config):
        return False
    aim = next_spread_fraction(parent, quote, schedule, now, config)
    price = rung_price(parent.side, quote, aim)
    if parent.side is Side.BUY and parent.remaining * price < config.minimum_notional:
        return False
    if aim == FAR and config.last_rung_market:
        return True
    one_tick = abs(next_tick(last.limit_price, parent.side) - last.limit_price)
    step = max(one_tick, config.improvement_threshold * (quote.ask - quote.bid))
    return _towards(parent.side, last.limit_price, price) >= step


def is_exhausted(
    parent: ParentOrder, price: Decimal, schedule: WaveSchedule, now: datetime, config: ExecutionConfig
) -> bool:
    """Whether the last child was given all its time in vain, and ``price`` does not improve on it."""
    last = last_sent(parent)
    if last is None or last.state is not ChildState.CANCELED or last.cancel_requested_at is None:
        return False
    if not is_overdue(parent, last, schedule, now, config):
        return False  # cancelled for a better price, or by the end of a run
    return last.limit_price is None or _towards(parent.side, last.limit_price, price) <= 0


def shape(spread_fraction: Decimal, config: ExecutionConfig) -> OrderType:
    """A limit; a true market order only on the last rung, and only where it is configured."""
    return OrderType.MARKET if spread_fraction == FAR and config.last_rung_market else OrderType.LIMIT


def last_sent(parent: ParentOrder) -> ChildOrder | None:
    """The latest child that reached the broker, or may have."""
    return next((child for child in reversed(parent.children) if child.state is not ChildState.NOT_SENT), None)


def is_whole(qty: Decimal) -> bool:
    """Whether a quantity is of whole shares."""
    return qty == qty.to_integral_value(ROUND_FLOOR)


def _rested(child: ChildOrder, now: datetime) -> timedelta:
    """How long it has rested, or had until its cancel; nothing where the broker ended it."""
    if child.cancel_requested_at is not None:
        return child.cancel_requested_at - child.latest_send
    return now - child.latest_send if child.is_open else timedelta()


def _towards(side: Side, former: Decimal, price: Decimal) -> Decimal:
    """Dollars by which ``price`` is nearer to the counterparty than ``former``."""
    return price - former if side is Side.BUY else former - price


def _clamped(side: Side, price: Decimal, bound: Decimal) -> Decimal:
    return price if is_inside(side, price, bound) else bound
