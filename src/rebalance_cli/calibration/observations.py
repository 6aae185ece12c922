"""Observations of the journal's child orders: how long each one rested where in the spread, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.journal import PlanJournal
from rebalance_executor.domain.market import CENT, ZERO, Quote, Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, ParentOrder
from rebalance_executor.domain.pricing import tick

_LONGEST_GAP = timedelta(seconds=30)
"""Longest time from the end of a child to the next one whose quote shows its drift; a run may have ended in between."""


class OrderClass(StrEnum):
    """Class of a child order, by the spread when it was priced and by its size."""

    BELOW_ONE_SHARE = "below_one_share"
    ONE_TICK = "one_tick"
    FEW_TICKS = "few_ticks"
    MANY_TICKS = "many_ticks"
    ONE_TICK_LARGE = "one_tick_large"
    FEW_TICKS_LARGE = "few_ticks_large"
    MANY_TICKS_LARGE = "many_ticks_large"


_LARGE = {
    OrderClass.ONE_TICK: OrderClass.ONE_TICK_LARGE,
    OrderClass.FEW_TICKS: OrderClass.FEW_TICKS_LARGE,
    OrderClass.MANY_TICKS: OrderClass.MANY_TICKS_LARGE,
}


class LeftOut(StrEnum):
    """Reason why a child order says nothing about fills."""

    NEVER_SENT = "never_sent"
    """It never reached the broker."""
    REJECTED = "rejected"
    """The broker rejected it: it never rested."""
    UNKNOWN = "unknown"
    """No definite answer: neither its time at the broker nor its fills are known."""
    OPEN = "open"
    """Still open: the journal does not say until when it was seen unfilled."""
    FOREIGN = "foreign"
    """The broker has another order under its ID."""
    AUCTION = "auction"
    """It waited for an auction."""
    EXTENDED_HOURS = "extended_hours"
    """It could be filled before the open, in another market."""
    NO_LIMIT = "no_limit"
    """A market order does not rest."""
    NO_QUOTE = "no_quote"
    """It was not priced from a bid below an ask, for example from the last trade."""
    NO_TIMES = "no_times"
    """Its times are missing or contradict each other."""


_BY_STATE = {
    ChildState.NOT_SENT: LeftOut.NEVER_SENT,
    ChildState.REJECTED: LeftOut.REJECTED,
    ChildState.INTENDED: LeftOut.UNKNOWN,
    ChildState.UNKNOWN: LeftOut.UNKNOWN,
    ChildState.LIVE: LeftOut.OPEN,
}
"""States that are left out. A child that was canceled, expired or replaced counts until its end: it is censored there,
because it might have filled later."""


@dataclass(frozen=True, slots=True)
class Drift:
    """Move of the mid against the order until its parent's next child was priced."""

    half_spreads: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Observation:
    """One child order that rested at the broker."""

    plan: str
    symbol: str
    order_class: OrderClass
    ticks: int
    """Spread when it was priced."""
    half_spread_bps: float
    place: float
    """Place of its limit in the spread when it was priced: 0 at the near touch, 1 at the far touch."""
    filled: float
    """Filled part of its shares. A partial fill is that part of a fill; the rest is censored."""
    seconds: float
    """Time at risk: the filled part until the latest fill, the rest until the end of the order."""
    fill_cost: float | None
    """Fill price against the mid when it was priced, in half spreads; None without a price."""
    drift: Drift | None
    """None if it filled completely, or if no child followed soon."""


@dataclass(frozen=True, slots=True)
class Observations:
    """The observations of some plans, and how many child orders were left out for which reason."""

    used: tuple[Observation, ...]
    left_out: Counter[LeftOut]


def observe(journals: Iterable[PlanJournal], config: ExecutionConfig) -> Observations:
    """Return the observations of all child orders of these plans."""
    used: list[Observation] = []
    left_out: Counter[LeftOut] = Counter()
    parents = [(journal.plan.plan_id, parent) for journal in journals for parent in journal.parents.values()]
    tick_sizes = _tick_sizes((parent for _, parent in parents), config)
    for plan, parent in parents:
        for number, child in enumerate(parent.children):
            reason = _reason(child)
            if reason is not None:
                left_out[reason] += 1
                continue
            following = parent.children[number + 1] if number + 1 < len(parent.children) else None
            used.append(_observation(plan, parent, child, following, tick_sizes[parent.symbol]))
    return Observations(tuple(used), left_out)


def _reason(child: ChildOrder) -> LeftOut | None:
    """Return why a child says nothing about fills; None if it is used."""
    checks = {
        LeftOut.FOREIGN: child.other_content is not None,
        LeftOut.AUCTION: child.is_for_auction,
        LeftOut.EXTENDED_HOURS: child.extended_hours,
        LeftOut.NO_LIMIT: child.limit_price is None,
        LeftOut.NO_QUOTE: not _has_spread(child),
        LeftOut.NO_TIMES: _at_risk(child) is None,
    }
    return _BY_STATE.get(child.state) or next((reason for reason, applies in checks.items() if applies), None)


def _observation(
    plan: str, parent: ParentOrder, child: ChildOrder, following: ChildOrder | None, tick_size: Decimal
) -> Observation:
    bid, ask, limit = child.bid or ZERO, child.ask or ZERO, child.limit_price or ZERO
    mid, half, sign = (bid + ask) / 2, (ask - bid) / 2, 1 if parent.side is Side.BUY else -1
    ticks = max(1, round((ask - bid) / tick(ask, tick_size)))
    price = child.filled_avg_price
    filled = _filled_part(child)
    drift = _drift(child, following) if filled < 1 else None
    return Observation(
        plan=plan,
        symbol=parent.symbol,
        order_class=_class(parent, child, ticks),
        ticks=ticks,
        half_spread_bps=float(half / mid * 10_000),
        place=float((sign * (limit - mid) / half + 1) / 2),
        filled=filled,
        seconds=_at_risk(child) or 0.0,
        fill_cost=float(sign * (price - mid) / half) if filled and price is not None else None,
        drift=Drift(sign * drift.half_spreads, drift.seconds) if drift is not None else None,
    )


def _class(parent: ParentOrder, child: ChildOrder, ticks: int) -> OrderClass:
    if child.qty < 1:  # Alpaca fills it itself at the far touch, whatever the spread is
        return OrderClass.BELOW_ONE_SHARE
    by_spread = OrderClass.ONE_TICK if ticks == 1 else OrderClass.FEW_TICKS if ticks <= 3 else OrderClass.MANY_TICKS
    displayed = parent.arrival.displayed if parent.arrival is not None else ZERO
    return _LARGE[by_spread] if 0 < displayed < child.qty else by_spread


def _filled_part(child: ChildOrder) -> float:
    return min(1.0, float(child.filled_qty / child.qty))


def _at_risk(child: ChildOrder) -> float | None:
    """Return the seconds at risk; None if they are unknown."""
    filled = _filled_part(child)
    until_fill = _seconds_until(child, child.filled_at, child.fill_seen_at or child.closed_at) if filled else 0.0
    until_end = _seconds_until(child, child.closed_at, child.cancel_requested_at) if filled < 1 else 0.0
    if until_fill is None or until_end is None or min(until_fill, until_end) < 0:
        return None
    return filled * until_fill + (1 - filled) * until_end


def _seconds_until(child: ChildOrder, by_broker: datetime | None, by_us: datetime | None) -> float | None:
    """Return the seconds that the child rested until a time: by the broker's clock if it says both, or by ours."""
    if child.submitted_at is not None and by_broker is not None:
        return (by_broker - child.submitted_at).total_seconds()
    at = by_us or by_broker
    return (at - child.latest_send).total_seconds() if at is not None else None


def _drift(child: ChildOrder, following: ChildOrder | None) -> Drift | None:
    """Return the rise of the mid, in half spreads of the child's quote, until the next child was priced."""
    if following is None or not _has_spread(following) or child.resent or following.resent:
        return None  # the time of an order that is sent again is not that of its quote
    ended_at = child.closed_at or child.cancel_requested_at or child.intended_at
    seconds = (following.intended_at - child.intended_at).total_seconds()
    if seconds <= 0 or following.intended_at - ended_at > _LONGEST_GAP:
        return None
    half = ((child.ask or ZERO) - (child.bid or ZERO)) / 2
    return Drift(float(((following.mid or ZERO) - (child.mid or ZERO)) / half), seconds)


def _has_spread(child: ChildOrder) -> bool:
    return child.bid is not None and child.ask is not None and 0 < child.bid < child.ask


def _tick_sizes(parents: Iterable[ParentOrder], config: ExecutionConfig) -> dict[str, Decimal]:
    """Return the tick size of each symbol: the configured one, or the finest that its quotes show."""
    sizes: dict[str, Decimal] = {}
    for parent in parents:
        known = config.for_symbol(parent.symbol).tick_size
        shown = [
            Quote(parent.symbol, child.bid, child.ask, ZERO, ZERO, child.intended_at, known_tick_size=known).tick_size
            for child in parent.children
            if child.bid is not None and child.ask is not None
        ]
        sizes[parent.symbol] = min([sizes.get(parent.symbol, known or CENT), *shown])
    return sizes
