"""The clock of the replay: one parent order, worked by a strategy against a tape.

A strategy acts every half second. It sees quotes that are 50 ms old and read again after a second. Orders and cancels
take effect after 100 ms; fills are known at the next step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

from benchmarks.replay.fills import FillModel, Order
from benchmarks.replay.tape import Tape
from rebalance_executor.domain.market import CENT, ZERO, Quote

STEP = 500
"""Milliseconds between two actions: the executor's tick."""
QUOTE_AGE = 50
QUOTE_REFRESH = 1_000


@dataclass(frozen=True, slots=True)
class Task:
    """What a strategy has to trade."""

    tape: Tape
    starts: int
    qty: Decimal
    seconds: int
    """Time limit; what is left then goes to the far touch."""


@dataclass(frozen=True, slots=True)
class Now:
    """One step as a strategy sees it."""

    at: int
    """Milliseconds after midnight."""
    quote: Quote
    """The quote that was read last, usable or not."""
    order: Order | None
    """The latest order, with the fills that are known."""
    remaining: Decimal
    """Shares without a known fill."""


@dataclass(frozen=True, slots=True)
class Place:
    """Order to send: a limit in real dollars, or a market order if it is None."""

    qty: Decimal
    limit: Decimal | None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel of the open order."""


@dataclass(frozen=True, slots=True)
class Finish:
    """End of the parent; ``reason`` is a code of the program."""

    reason: str


Action = Place | Cancel | Finish | None


class Worker(Protocol):
    """Strategy that works one parent."""

    def act(self, now: Now) -> Action:
        """Return the action of this step."""
        ...


MakeWorker = Callable[[Task], Worker]


@dataclass(frozen=True, slots=True)
class Done:
    """End of a parent. Prices in units of the tape, mirrored for sells."""

    fills: tuple[tuple[int, int, Decimal], ...]
    """Time, price and shares of each fill."""
    ended_at: int
    """Time of the last fill, or of the end if shares were left."""
    rest: Decimal
    rest_price: int
    """The far touch at the end."""
    orders: int
    requests: int
    """One per order, and two per cancel: the cancel and the second reading of its end. Polls are not counted."""
    reason: str

    @property
    def value(self) -> Decimal:
        """Units of price × shares of the fills."""
        return sum((price * qty for _, price, qty in self.fills), ZERO)


class _Quotes:
    """Quotes as the program reads them; a finer tick that a usable one has shown stays."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._read_at: int | None = None
        self._quote: Quote | None = None
        self._tick: Decimal | None = None

    def at(self, at: int) -> Quote:
        is_fresh = self._read_at is not None and at - self._read_at < QUOTE_REFRESH
        if self._quote is None or not is_fresh or self._quote.problem is not None:
            quote = self._tape.quote(at - QUOTE_AGE)
            if quote is None:
                raise ValueError("a parent must start after the first quote of the day")
            if quote.tick_size != CENT:
                self._tick = quote.tick_size
            self._quote = quote if self._tick is None else replace(quote, known_tick_size=self._tick)
            self._read_at = at
        return self._quote


def work(make: MakeWorker, task: Task, model: FillModel) -> Done:
    """Work one parent to its end."""
    worker, quotes = make(task), _Quotes(task.tape)
    orders: list[Order] = []
    closed = ZERO
    """Shares that orders before the latest one have filled."""
    at, cancels, reason = task.starts, 0, "TIME_LIMIT"
    while True:
        order = orders[-1] if orders else None
        if order is not None:
            order.look(at)
        remaining = task.qty - closed - (order.filled if order is not None else ZERO)
        if remaining <= 0:
            reason = "FILLED"
            break
        if at - task.starts >= 1_000 * task.seconds:
            break
        action = worker.act(Now(at, quotes.at(at), order, remaining))
        if isinstance(action, Finish):
            reason = action.reason
            break
        if isinstance(action, Place):
            _check(order, action, remaining)
            closed = task.qty - remaining
            limit = None if action.limit is None else task.tape.mirrored(action.limit)
            orders.append(Order(task.tape, model, action.qty, limit, at))
        elif isinstance(action, Cancel) and order is not None:
            order.cancel(at)
            cancels += 1
        at += STEP
    return _done(task, orders, (at, cancels, reason))


def _check(order: Order | None, place: Place, remaining: Decimal) -> None:
    if order is not None and order.is_open:
        raise ValueError("a second order was sent while one is open")
    if not ZERO < place.qty <= remaining:
        raise ValueError(f"an order for {place.qty} shares was sent, {remaining} remain")


def _done(task: Task, orders: list[Order], end: tuple[int, int, str]) -> Done:
    at, cancels, reason = end
    fills = tuple(fill for order in orders for fill in order.fills)
    rest = task.qty - sum((qty for _, _, qty in fills), ZERO)
    ended_at = max(fill[0] for fill in fills) if fills and not rest else at
    far = task.tape.quotes.asks[max(task.tape.state_at(at), 0)]
    return Done(fills, ended_at, rest, far, len(orders), len(orders) + 2 * cancels, reason)
