"""The simple strategies of the replay, and the list of all that are compared.

Their limits are those of a rung of the program: on tick, rounded towards the own side. Half a second lies between the
cancel of an order and the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from benchmarks.replay.engine import STEP, Action, Cancel, MakeWorker, Now, Place, Task
from benchmarks.replay.fills import Order
from benchmarks.replay.ours import Ours, Schedule, Slices
from rebalance_executor.domain import ladder
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.market import Quote
from rebalance_executor.domain.plan import Urgency

MARKET = "market order"
MID = "mid, then cross"
_STATIC = tuple(Decimal(text) for text in ("0.5", "0.75", "0.95"))
_HALF = Decimal("0.5")


class Market:
    """A market order for all shares."""

    def __init__(self, task: Task) -> None:
        self._qty = task.qty

    def act(self, now: Now) -> Action:
        """Send it once."""
        return Place(self._qty, None) if now.order is None else None


class _Resting:
    """Limits that rest for ``wait`` milliseconds, one after the other, then a market order for the rest."""

    def __init__(self, task: Task, wait: int) -> None:
        self._side = task.tape.side
        self._wait = wait
        self._sent_at = 0
        self._is_crossing = False

    def act(self, now: Now) -> Action:
        """Send the next order once the former one has ended."""
        if self._is_crossing or now.quote.problem is not None:
            return None
        if now.order is not None and now.order.is_open:
            return self._while_open(now, now.order)
        limit = self._next_limit(now)
        self._sent_at, self._is_crossing = now.at, limit is None
        return Place(now.remaining, limit)

    def _while_open(self, now: Now, order: Order) -> Action:
        is_due = now.at - self._sent_at >= self._wait
        return Cancel() if is_due and not order.is_cancel_requested else None

    def _next_limit(self, now: Now) -> Decimal | None:
        raise NotImplementedError


class Static(_Resting):
    """Limits at fractions of the spread at arrival."""

    def __init__(self, fractions: tuple[Decimal, ...], wait: int, task: Task) -> None:
        super().__init__(task, wait)
        self._fractions = list(fractions)
        self._arrival: Quote | None = None

    def _next_limit(self, now: Now) -> Decimal | None:
        self._arrival = self._arrival or now.quote
        return ladder.rung_price(self._side, self._arrival, self._fractions.pop(0)) if self._fractions else None


class Peg(_Resting):
    """A limit at the near side, which is compared with it every ``wait`` milliseconds, for ``seconds`` in all."""

    def __init__(self, seconds: int, wait: int, task: Task) -> None:
        super().__init__(task, wait)
        self._tape = task.tape
        self._ends = task.starts + 1_000 * seconds - STEP

    def _while_open(self, now: Now, order: Order) -> Action:
        if now.at >= self._ends:
            return Cancel()
        if now.at - self._sent_at < self._wait:
            return None
        self._sent_at = now.at
        return None if self._tape.mirrored(self._near(now)) == order.limit else Cancel()

    def _next_limit(self, now: Now) -> Decimal | None:
        return self._near(now) if now.at < self._ends else None

    def _near(self, now: Now) -> Decimal:
        return ladder.rung_price(self._side, now.quote, Decimal(0))


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy under comparison."""

    name: str
    make: MakeWorker
    rival: str | None = None
    """Name of a strategy that it is compared with, in addition to the market order and mid, then cross."""


def strategies(config: ExecutionConfig, rival: ExecutionConfig | None, schedule: Schedule) -> list[Strategy]:
    """Return all strategies; with a second configuration, the program's decisions by that one as well."""
    found = [
        Strategy(MARKET, Market),
        Strategy(MID, partial(Static, (_HALF,), 13_000)),
        Strategy("static 50/75/95, then market", partial(Static, _STATIC, 4_000)),
        Strategy("peg 26 s, then market", partial(Peg, 26, 4_000)),
        Strategy("peg 60 s, then market", partial(Peg, 60, 6_000)),
        *(Strategy(_ours(urgency), partial(Ours, config, urgency)) for urgency in Urgency),
    ]
    sliced = f"{schedule.slices} equal slices over {schedule.seconds} s"
    found.append(Strategy(sliced, partial(Slices, config, schedule)))
    if rival is not None:
        found += [Strategy(f"rival, {u}", partial(Ours, rival, u), rival=_ours(u)) for u in Urgency]
    return found


def _ours(urgency: Urgency) -> str:
    return f"ours, {urgency}"
