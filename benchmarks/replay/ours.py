"""The program's decisions in the replay: ``strategy.decide`` with the real configuration, on both sides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from benchmarks.replay.engine import Action, Cancel, Finish, Now, Place, Task
from benchmarks.replay.fills import Order
from benchmarks.replay.tape import PRICE_UNIT, Tape
from rebalance_executor.domain import decisions, strategy
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import quote_problem
from rebalance_executor.domain.ladder import WaveSchedule
from rebalance_executor.domain.looks import next_look
from rebalance_executor.domain.market import Arrival, Quote
from rebalance_executor.domain.orders import ChildOrder, ChildState, ParentOrder
from rebalance_executor.domain.plan import Urgency


class Ours:
    """One parent order of the program, without journal and executor."""

    def __init__(self, config: ExecutionConfig, urgency: Urgency, task: Task) -> None:
        self._config = config.for_symbol(task.tape.symbol)
        self._schedule = WaveSchedule(urgency)
        self._tape: Tape = task.tape
        self._qty = task.qty
        self._parent: ParentOrder | None = None
        self._missing_since: datetime | None = None
        self._look_at: datetime | None = None
        """Time of the next look at the order."""

    def act(self, now: Now) -> Action:
        """Return the decision of ``strategy.decide``, at the looks that the program takes."""
        at = self._tape.time(now.at)
        if self._look_at is not None and at < self._look_at:
            return None
        quote, tick_size = now.quote, self._config.tick_size
        if tick_size is not None:
            quote = replace(quote, known_tick_size=tick_size)
        parent = self._reported(self._parent or self._start(quote), now.order, at)
        problem = quote_problem(quote, self._config, at)
        self._missing_since = None if problem is None else self._missing_since or at
        context = decisions.DecisionContext(
            at,
            quote=quote if problem is None else None,
            quote_problem=problem,
            quote_missing_since=self._missing_since,
            schedule=self._schedule,
        )
        decision = strategy.decide(parent, context, self._config)
        self._parent = parent
        match decision:
            case decisions.Place():
                self._parent = parent.with_child(_child(parent, decision, quote, at))
                return Place(decision.qty, decision.limit_price)
            case decisions.Cancel() if parent.open_child is not None:
                self._parent = parent.with_child(replace(parent.open_child, cancel_requested_at=at))
                return Cancel()
            case decisions.Settle(outcome, code):
                return Finish(str(code or outcome))
        self._look_at = next_look([parent], {parent.side: context}, at, self._config)
        return None

    def _start(self, quote: Quote) -> ParentOrder:
        arrival = Arrival.of(self._tape.side, quote)
        return ParentOrder(
            self._tape.symbol, self._tape.side, 1, self._qty * quote.ask, self._qty, self._qty, arrival=arrival
        )

    def _reported(self, parent: ParentOrder, order: Order | None, at: datetime) -> ParentOrder:
        """Return the parent with what is known of its open child."""
        child = parent.open_child
        if child is None or order is None:
            return parent
        if order.filled != child.filled_qty:
            price = abs(order.value) / order.filled * PRICE_UNIT
            child = replace(child, filled_qty=order.filled, filled_avg_price=price, filled_at=self._filled_at(order))
            child = replace(child, fill_seen_at=at)
        if not order.is_open:
            state = ChildState.FILLED if order.filled == order.qty else ChildState.CANCELED
            child = replace(child, state=state, status=state.lower(), closed_at=at)
        return parent if child is parent.open_child else parent.with_child(child)

    def _filled_at(self, order: Order) -> datetime | None:
        return None if order.filled_at is None else self._tape.time(order.filled_at)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Number of slices, and the seconds over which their starts are spread."""

    slices: int
    seconds: int
    urgency: Urgency = Urgency.NORMAL

    def starts(self, number: int) -> Decimal:
        """Return the seconds after which a slice starts, counted from 0."""
        return Decimal(self.seconds) * number / self.slices


class Slices:
    """Equal slices at equal intervals, each worked by the program as a parent of its own.

    A slice starts when it is due and the one before has ended, for all shares that are due by then.
    """

    def __init__(self, config: ExecutionConfig, schedule: Schedule, task: Task) -> None:
        self._config = config.model_copy(update={"slice_over_displayed": None, "slice_over_volume": None})
        self._schedule = schedule
        self._task = task
        self._slice: Ours | None = None
        self._started = 0

    def act(self, now: Now) -> Action:
        """Work the slice; start the next one when it is due."""
        if self._slice is not None:
            action = self._slice.act(now)
            if not isinstance(action, Finish):
                return action
            self._slice = None
        elapsed = Decimal(now.at - self._task.starts) / 1_000
        if self._started == self._schedule.slices:
            return Finish("SLICES_USED")
        if now.quote.problem is not None or elapsed < self._schedule.starts(self._started):
            return None
        while self._started < self._schedule.slices and elapsed >= self._schedule.starts(self._started):
            self._started += 1
        due = self._due() - (self._task.qty - now.remaining)
        if due <= 0:
            return None
        self._slice = Ours(self._config, self._schedule.urgency, replace(self._task, starts=now.at, qty=due))
        return self._slice.act(now)

    def _due(self) -> Decimal:
        """Return the shares of all slices so far: whole ones, except after the last."""
        part = self._task.qty * self._started / self._schedule.slices
        return part if self._started == self._schedule.slices else Decimal(int(part))


def _child(parent: ParentOrder, place: decisions.Place, quote: Quote, at: datetime) -> ChildOrder:
    attempt = len(parent.children) + 1
    return ChildOrder(
        attempt,
        f"replay-{attempt}",
        place.type,
        place.qty,
        place.limit_price,
        at,
        state=ChildState.LIVE,
        order_id=f"order-{attempt}",
        status="new",
        spread_fraction=place.spread_fraction,
        bid=quote.bid,
        ask=quote.ask,
    )
