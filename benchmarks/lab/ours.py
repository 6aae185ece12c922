"""The program's ladder in the lab: ``strategy.decide`` with the real configuration."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache

from benchmarks.lab.work import STEP_SECONDS, Action, Cancel, Now, Place, in_steps
from rebalance_executor.domain import decisions, strategy
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.ladder import WaveSchedule
from rebalance_executor.domain.market import Arrival, Quote, Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, ParentOrder
from rebalance_executor.domain.plan import Urgency

_START = datetime(2026, 1, 26, 15, tzinfo=UTC)
_CENT = Decimal("0.01")
_SHARES = Decimal(100)
_STEP = timedelta(seconds=STEP_SECONDS)
_BID = 5_000
_DISPLAYED = 1_000
STILL_SECONDS = 900.0
"""Time limit of an order, as in the replay."""


class Ours:
    """One parent order on the ladder; its quotes are read as often as the executor reads them."""

    def __init__(self, config: ExecutionConfig, urgency: Urgency) -> None:
        self._config = config
        self._schedule = WaveSchedule(urgency)
        self._refresh = config.quote_refresh_seconds / Decimal(str(STEP_SECONDS))
        self._parent: ParentOrder | None = None
        self._quote: Quote | None = None
        self._quoted = 0

    def act(self, now: Now) -> Action:
        """Return the decision of ``strategy.decide``, without journal and executor."""
        at = _time(now.step)
        parent = self._parent or self._start(now)
        child = parent.open_child
        if child is not None and now.resting is None:
            parent = parent.with_child(replace(child, state=ChildState.CANCELED, closed_at=at))
        if self._quote is None or now.step - self._quoted >= self._refresh:
            self._quote, self._quoted = _quote(now), now.step
        decision = strategy.decide(
            parent, decisions.DecisionContext(at, quote=self._quote, schedule=self._schedule), self._config
        )
        self._parent = parent
        if isinstance(decision, decisions.Place):
            return self._place(parent, decision, at)
        child = parent.open_child
        if isinstance(decision, decisions.Cancel) and child is not None:
            self._parent = parent.with_child(replace(child, cancel_requested_at=at))
            return Cancel()
        if parent.outcome is None and isinstance(decision, decisions.Settle):
            raise RuntimeError(f"no order of the lab may settle early: {decision}")
        return None

    def _start(self, now: Now) -> ParentOrder:
        self._quote = quote = _quote(now)
        return ParentOrder("LAB", Side.BUY, 1, _SHARES * quote.ask, _SHARES, arrival=Arrival.of(Side.BUY, quote))

    def _place(self, parent: ParentOrder, place: decisions.Place, at: datetime) -> Action:
        attempt = len(parent.children) + 1
        child = ChildOrder(
            attempt,
            f"lab-{attempt}",
            place.type,
            place.qty,
            place.limit_price,
            at,
            state=ChildState.LIVE,
            spread_fraction=place.spread_fraction,
        )
        self._parent = parent.with_child(child)
        if place.limit_price is None or place.spread_fraction is None:
            raise RuntimeError("the ladder of the lab sends limits only")
        return Place(int(place.limit_price / _CENT), float(place.spread_fraction))


def seconds_to_cross(config: ExecutionConfig, urgency: Urgency, spread: int) -> float:
    """Return the seconds until an order is sent to the far touch if the quote stands still and nothing fills.

    ``STILL_SECONDS`` if none is.
    """
    worker, resting = Ours(config, urgency), None
    for step in range(in_steps(STILL_SECONDS)):
        action = worker.act(Now(step, _BID, spread, resting, (_DISPLAYED, _DISPLAYED)))
        if isinstance(action, Place):
            if action.price >= _BID + spread:
                return step * STEP_SECONDS
            resting = action.price
        elif isinstance(action, Cancel):
            resting = None
    return STILL_SECONDS


@cache
def _time(step: int) -> datetime:
    return _START + step * _STEP


@cache
def _dollars(ticks: int) -> Decimal:
    return ticks * _CENT


def _quote(now: Now) -> Quote:
    bid_size, ask_size = (Decimal(size) for size in now.sizes)
    return Quote("LAB", _dollars(now.bid), _dollars(now.ask), bid_size, ask_size, _time(now.step))
