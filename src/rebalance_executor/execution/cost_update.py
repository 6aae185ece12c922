"""The later reading of market data for the costs of finished plans: by the daily check, or by a command.

No plan waits for it and none fails by it. What cannot be read now is read by the next update. Each order's benchmarks
are stored as soon as they are complete, so that an update that ends early loses nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Protocol

from rebalance_executor.domain.benchmarks import (
    Benchmarks,
    CostsRead,
    DayClose,
    FillMids,
    Horizon,
    MinuteBar,
    closes,
    fill_time,
    filled,
    interval,
    interval_vwap,
    quote_times,
)
from rebalance_executor.domain.costs import is_due, trading_day
from rebalance_executor.domain.errors import BrokerUnavailable, RateLimited, RebalanceError
from rebalance_executor.domain.journal import PlanJournal, PlanState
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.session import new_york
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import Clock, EventLog

LOOK_BACK = timedelta(days=10)
"""Age of a plan until which the daily check looks for it."""
_GIVE_UP_AFTER = timedelta(days=7)
"""Age of a trading day from which market data that cannot be read is given up."""
_MAX_PLANS = 50
"""Plans per update."""
_MAX_FAILURES = 2
"""Plans of one account whose market data cannot be read, after which its others are left for the next update."""
_SHORTEST_WAIT = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)


class MarketHistory(Protocol):
    """Market data of finished trading days. A symbol without data is absent or has no rows.

    Every method raises ``BrokerUnavailable`` without a usable answer to its only attempt, and ``RateLimited`` if the
    limit allows none now.
    """

    def minutes(
        self, symbols: Sequence[str], day: date, start: datetime, end: datetime
    ) -> Mapping[str, Sequence[MinuteBar]]:
        """Read the bars of the minutes that begin from ``start`` to ``end``."""
        ...

    def closes(self, symbols: Sequence[str], day: date) -> Mapping[str, Sequence[DayClose]]:
        """Read the closes of ``day`` and of some days before it."""
        ...

    def mid_at(self, symbol: str, day: date, at: datetime) -> Decimal | None:
        """Read the mid at this time; None if there was no usable quote."""
        ...


class ListedPlan(Protocol):
    """A plan in the index."""

    @property
    def account(self) -> str:
        """The account's name."""
        ...

    @property
    def plan_id(self) -> str:
        """The plan's ID."""
        ...


class CostStore(Protocol):
    """The journal, as far as costs are concerned. Every method raises ``JournalUnavailable``."""

    def unread(self, plans: Sequence[tuple[str, str]], *, retry: bool) -> Sequence[tuple[str, str]]:
        """Return those of these plans (account and ID), in order, whose reading has not ended.

        With ``retry``, also those that were given up.
        """
        ...

    def put(self, plan: PlanState, benchmarks: Benchmarks) -> None:
        """Store what was read for one order; does nothing if it is stored already.

        Raises:
            JournalContradiction: the plan is not finished, or has other content.
        """
        ...

    def end(self, plan: PlanState, read: CostsRead) -> None:
        """Store that the reading of the plan has ended; what is complete is never changed."""
        ...


@dataclass(frozen=True, slots=True)
class ReadingFailure:
    """A plan whose market data could not be read."""

    account: str
    plan_id: str
    reason: str
    is_given_up: bool


@dataclass(slots=True)
class Update:
    """Counts of one update."""

    read: int = 0
    """Plans whose market data is now read completely."""
    not_due: int = 0
    """Plans whose trading day has not ended."""
    left: int = 0
    """Plans that are left for the next update."""
    failures: list[ReadingFailure] = field(default_factory=list)


class _TimeIsUp(Exception):
    """The time of this update is over. What is stored stays; the next update reads the rest."""


@dataclass(frozen=True, slots=True)
class CostUpdate:
    """The collaborators of an update."""

    plans_of: Callable[[date], Iterable[ListedPlan]]
    """Returns the plans that started on a day (UTC), of all accounts."""
    load: Callable[[str, str], PlanJournal | None]
    """Returns the journal of a plan, by account and ID."""
    store: CostStore
    history: Callable[[str], MarketHistory]
    """Returns the market data as the keys of an account read it."""
    broker: BrokerKind
    """Kind of the brokers that are configured now; simulated prices are never read for real orders, nor the reverse."""
    clock: Clock
    log: EventLog

    def run(
        self, first: date, last: date, until: datetime, *, account: str | None = None, retry: bool = False
    ) -> Update:
        """Read what is missing for the plans that started from ``first`` to ``last`` (UTC), the oldest first.

        Args:
            first: the first day.
            last: the last day.
            until: time at which the update ends.
            account: only its plans; those of all accounts by default.
            retry: also read plans that were given up.

        Raises:
            JournalUnavailable: the index or the journal could not be read.
        """
        update, failed = Update(), Counter[str]()
        plans = self._unread(first, last, account, retry=retry)
        for number, (owner, plan_id) in enumerate(plans):
            if number >= _MAX_PLANS or self.clock.now() >= until:
                update.left += len(plans) - number
                break
            if failed[owner] >= _MAX_FAILURES:
                update.left += 1
                continue
            try:
                self._update(update, owner, plan_id, until)
            except BrokerUnavailable as error:
                failed[owner] += 1
                self._fail(update, owner, plan_id, error)
            except RebalanceError as error:
                self._fail(update, owner, plan_id, error)
        return update

    def _unread(self, first: date, last: date, account: str | None, *, retry: bool) -> Sequence[tuple[str, str]]:
        days = (first + timedelta(days=number) for number in range((last - first).days + 1))
        listed = (plan for day in days for plan in self.plans_of(day) if account in (None, plan.account))
        return self.store.unread(list(dict.fromkeys((plan.account, plan.plan_id) for plan in listed)), retry=retry)

    def _update(self, update: Update, account: str, plan_id: str, until: datetime) -> None:
        journal = self.load(account, plan_id)
        if journal is None or journal.result is None or not self._is_of_this_market(journal.plan):
            return
        if not is_due(journal.plan, self.clock.now()):
            update.not_due += 1
            return
        try:
            orders = self._read(journal, until)
        except _TimeIsUp:
            update.left += 1
            return
        self.store.end(journal.plan, CostsRead(self.clock.now()))
        self.log.emit(LogEvent.COSTS_READ, account=account, plan_id=plan_id, orders=orders)
        update.read += 1

    def _is_of_this_market(self, plan: PlanState) -> bool:
        return (plan.broker is BrokerKind.SIMULATED) == (self.broker is BrokerKind.SIMULATED)

    def _fail(self, update: Update, account: str, plan_id: str, error: RebalanceError) -> None:
        """Record a failure; give a plan up that is too old for another try."""
        journal = self.load(account, plan_id)
        today = new_york(self.clock.now()).date()
        is_given_up = journal is not None and today - trading_day(journal.plan) >= _GIVE_UP_AFTER
        if journal is not None and is_given_up:
            self.store.end(journal.plan, CostsRead(self.clock.now(), str(error)))
        update.failures.append(ReadingFailure(account, plan_id, str(error), is_given_up))
        self.log.emit(
            LogEvent.COSTS_READ_FAILED, account=account, plan_id=plan_id, reason=str(error), given_up=is_given_up
        )

    # --- one plan ----------------------------------------------------------------------------------------

    def _read(self, journal: PlanJournal, until: datetime) -> int:
        """Read and store what is missing for a plan's orders with fills; return their number.

        Raises:
            _TimeIsUp: not all of them.
            BrokerUnavailable: the market data could not be read.
        """
        parents = [p for p in filled(journal.parents.values()) if p.symbol not in journal.benchmarks]
        if not parents:
            return 0
        history, day = self.history(journal.plan.account), trading_day(journal.plan)
        symbols = sorted(parent.symbol for parent in parents)
        spans = [span for parent in parents if (span := interval(parent)) is not None]
        minutes: Mapping[str, Sequence[MinuteBar]] = {}
        if spans:
            start, end = min(start for start, _ in spans) - _MINUTE, max(end for _, end in spans)
            minutes = self._ask(lambda: history.minutes(symbols, day, start, end), until)
        days = self._ask(lambda: history.closes(symbols, day), until)
        for parent in sorted(parents, key=lambda parent: parent.symbol):
            symbol = parent.symbol
            fills = tuple(self._fill_mids(history, day, parent, until))
            bars = (minutes.get(symbol, ()), days.get(symbol, ()))
            self.store.put(journal.plan, _benchmarks(parent, day, bars, fills, self.clock.now()))
        return len(parents)

    def _fill_mids(self, history: MarketHistory, day: date, parent: ParentOrder, until: datetime) -> list[FillMids]:
        fills = []
        for child in parent.children:
            at = fill_time(child)
            if at is not None:
                mids: dict[Horizon, Decimal] = {}
                for horizon, time in quote_times(at).items():
                    mid = self._ask(lambda: history.mid_at(parent.symbol, day, time), until)  # noqa: B023 - called at once
                    if mid is not None:
                        mids[horizon] = mid
                fills.append(FillMids(child.attempt, at, mids))
        return fills

    def _ask[T](self, read: Callable[[], T], until: datetime) -> T:
        """Return the answer of a request; wait for the rate limit if that opens in time.

        Raises:
            _TimeIsUp: the time of the update is over, or would be.
        """
        while True:
            now = self.clock.now()
            if now >= until:
                raise _TimeIsUp
            try:
                return read()
            except RateLimited as error:
                opens_at = error.retry_at or until
                if opens_at >= until:
                    raise _TimeIsUp from None
                self.clock.sleep(max(opens_at - now, _SHORTEST_WAIT))


def _benchmarks(
    parent: ParentOrder,
    day: date,
    bars: tuple[Sequence[MinuteBar], Sequence[DayClose]],
    fills: tuple[FillMids, ...],
    now: datetime,
) -> Benchmarks:
    span = interval(parent)
    vwap = interval_vwap(bars[0], *span) if span is not None else None
    close, previous_close = closes(bars[1], day)
    prices = {"interval VWAP": vwap, "close": close, "previous close": previous_close}
    missing = [f"no {name}" for name, price in prices.items() if price is None]
    for fill in fills:
        absent = [horizon for horizon in Horizon if horizon is not Horizon.CLOSE and horizon not in fill.mids]
        if absent:
            missing.append(f"no quote {', '.join(absent)} after the fill of attempt {fill.attempt}")
    return Benchmarks(parent.symbol, now, vwap, close, previous_close, fills, tuple(missing))
