"""Protocols between execution and external systems; the adapters implement them.

All times are aware and UTC, all amounts are ``Decimal``. Every call that leaves the process has a timeout in its
adapter. Every error is one of ``domain.errors``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

from rebalance_executor.domain.journal import PlanJournal, PlanStart, PlanState, RunRecord
from rebalance_executor.domain.market import (
    Account,
    Asset,
    BrokerKind,
    BrokerOrder,
    MarketClock,
    OrderRequest,
    Position,
    Quote,
    Trade,
)
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.previous_close import PreviousClose
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.domain.risk_state import AccountBinding, KillSwitchRecord, RiskState
from rebalance_executor.domain.volume import AverageVolume, DailyBar
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.events import LogEvent


class Clock(Protocol):
    """The source of time and of waiting."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        ...

    def sleep(self, duration: timedelta) -> None:
        """Block the invocation's thread for this time; return at once if it is negative."""
        ...


class BrokerReads(Protocol):
    """Reads of one account at the broker.

    They raise ``BrokerUnavailable`` after their retries (``RateLimited`` for 429), and ``CredentialsRejected`` for 401,
    and for 403 without the broker's code. A request for more symbols than fit into a URL is split.
    """

    def account(self) -> Account:
        """Read the account."""
        ...

    def clock(self) -> MarketClock:
        """Read the market clock."""
        ...

    def positions(self, symbols: Collection[str] | None) -> Mapping[str, Position]:
        """Read the positions in these symbols, or in all, in one request; a symbol without a position is absent."""
        ...

    def asset(self, symbol: str) -> Asset:
        """Read the flags of one symbol.

        Raises:
            NotFound: the broker does not list it.
        """
        ...

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Read the latest quotes, in one request; a symbol without a readable quote is absent."""
        ...

    def last_trades(self, symbols: Sequence[str]) -> Mapping[str, Trade]:
        """Read the last trades, in one request; a symbol without one is absent."""
        ...

    def previous_closes(self, symbols: Sequence[str], today: date) -> Mapping[str, PreviousClose]:
        """Read the closes of the last session before this trading day, in one request.

        A symbol whose close is unknown is absent; one that was listed today has ``NO_PREVIOUS_CLOSE``.
        """
        ...

    def daily_bars(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[DailyBar]]:
        """Read volume and range of each day, on all venues, from ``first`` to ``last``, both included.

        In one request, without retries and without a wait for the rate limit: no plan may depend on it. Days without
        a readable volume are absent.

        Raises:
            BrokerUnavailable: no usable answer, whatever the reason; the credentials count as accepted.
        """
        ...

    def open_orders(self, symbols: Sequence[str] | None = None) -> Sequence[BrokerOrder]:
        """Read all open orders of these or of all symbols, of every client. One request per page of 500."""
        ...

    def orders(self, symbols: Sequence[str], after: datetime) -> Sequence[BrokerOrder]:
        """Read the orders of these symbols submitted after that time, in any status. One request per page."""
        ...

    def recent_orders(self) -> Sequence[BrokerOrder]:
        """Read the last 50 orders of all symbols, in any status, of every client, newest first, in one request."""
        ...

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """Read one order; None if the broker answers that it does not know it."""
        ...

    def active_assets(self, symbols: Collection[str]) -> Mapping[str, Asset]:
        """Read the flags of those of these symbols that are active, in one large request for all assets.

        One attempt, without a wait for the rate limit. A symbol that is absent may exist: ``asset`` answers for it.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSet:
    """Reads that do not depend on each other, to be sent together."""

    permission: bool = False
    """Account and market clock."""
    open_orders: bool = False
    """The open orders of all symbols, and the recent orders."""
    positions: bool = False
    quotes_of: Sequence[str] = ()
    orders_of: Sequence[str] = ()
    """Symbols whose orders are read, in any status, submitted after ``orders_after``."""
    orders_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class EarlyAnswers:
    """Answers to reads that were sent together."""

    asked_at: datetime
    """Time before the first of them was sent: none of the answers is older."""
    reads: BrokerReads
    """Each read takes its early answer once, or raises that answer's error after its retries. Others are sent now."""


class Broker(BrokerReads, Protocol):
    """One account at the broker. Cancels raise the same errors as reads."""

    @property
    def expected_account_number(self) -> str | None:
        """The account number that is configured for the credentials, if any."""
        ...

    def ask(self, reads: ReadSet) -> EarlyAnswers:
        """Send all of these reads, then read their answers: one round trip, without threads.

        Raises:
            RateLimited: the rate limit does not allow them before the run's deadline.
        """
        ...

    def wait_for_rate_limit(self, until: datetime, requests: int) -> int:
        """Wait until some of these requests are within the rate limit; return how many need no wait now.

        Raises:
            RateLimited: that would be after ``until``; ``retry_at`` is the earliest time.
        """
        ...

    def submit(self, request: OrderRequest) -> BrokerOrder:
        """Send one order, without delay and without retries.

        Raises:
            OrderRejected: the broker rejected it; no order exists.
            DuplicateClientOrderId: an order with this ID exists; read it.
            RateLimited: not accepted (429); may be sent again later.
            CredentialsRejected: 401, or 403 without the broker's code; the order may exist.
            OutcomeUnknown: no definite answer; the order may exist or may still arrive.
        """
        ...

    def submit_together(self, requests: Sequence[OrderRequest]) -> Sequence[Callable[[], BrokerOrder]]:
        """Send these orders before the answer to any of them is read; return the answer of each, as of ``submit``."""
        ...

    def cancel(self, order_id: str) -> bool:
        """Ask the broker to cancel an order; the order may still fill.

        Returns:
            False if the broker answers that there is nothing to cancel. The next look shows the order's state.
        """
        ...


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one run to work on an account. Every journal write is conditional on ``epoch``."""

    account: str
    epoch: int
    run_id: str
    expires_at: datetime
    unfinished_plan_id: str | None = None
    """The account's unfinished plan when the lease was acquired; None if there is none."""
    has_result: bool = False
    """True if that plan has its result, and only the publication is missing."""


class Journal(Protocol):
    """The durable record of plans, runs, parents with their children and results, and the account's lease.

    Every method raises ``JournalUnavailable`` if the database does not answer. A parent is written with all its
    children or not at all. A write that fails between two parents leaves the plan's own item unchanged: a plan that
    is being started does not exist yet, a resumed one is resumed again. Repeating a write is harmless.

    An account has one unfinished plan at most: the write that starts a plan is conditional on it. A plan is finished
    when its result is stored, and published if there are publishers.
    """

    def acquire(self, account: str, run_id: str, *, now: datetime, expires_at: datetime) -> Lease:
        """Acquire the account's lease with a new, higher epoch.

        Raises:
            LeaseHeld: another run holds it.
        """
        ...

    def release(self, lease: Lease) -> None:
        """Release the lease if it is still ours; a lease that another run took over is not changed."""
        ...

    def load(self, account: str, plan_id: str) -> PlanJournal | None:
        """Read everything journalled for a plan, consistently; None if it never started."""
        ...

    def write(
        self,
        lease: Lease,
        plan: PlanState,
        *,
        parents: Iterable[ParentOrder] = (),
        run: RunRecord | None = None,
        start: PlanStart | None = None,
    ) -> None:
        """Write the plan's state with these parents, the run's record and, with a plan's first write, its start.

        Raises:
            Fenced: another run took the account over, or another plan of the account is unfinished.
            DayChanged: another plan reserved a part of the day's limits in between.
            JournalContradiction: the plan was started with other content, or is finished.
        """
        ...

    def finish(
        self,
        lease: Lease,
        plan: PlanState,
        *,
        parents: Iterable[ParentOrder],
        result: ExecutionResult,
        to_publish: bool = False,
    ) -> None:
        """Write the final state and the result. A result is never overwritten.

        The lease is released. With ``to_publish`` it is kept instead, and names the plan, until ``mark_published``:
        if the run is killed in between, the next run of the account publishes the result.

        Raises:
            Fenced: another run took the account over.
            JournalContradiction: the plan was started with other content, or has another result.
        """
        ...

    def result(self, account: str, plan_id: str) -> ExecutionResult | None:
        """Read the stored result of a plan; None if it is not finished."""
        ...

    def mark_published(self, lease: Lease, plan_id: str, channels: Collection[str], at: datetime) -> None:
        """Record that the result was published on these channels, and release the lease.

        No later run publishes the result on its own account, also if a channel is missing. Does nothing if another
        run took the account over.
        """
        ...


class RiskStore(Protocol):
    """The durable state of an account's controls. Reads are consistent.

    Every method raises ``JournalUnavailable`` if the database does not answer. ``Journal.write`` stores reservations
    together with the plan that they belong to.
    """

    def load(self, account: str, day: date) -> RiskState:
        """Read the kill switch and the usage of that trading day, in one request."""
        ...

    def kill_switch(self, account: str) -> KillSwitchRecord:
        """Read the kill switch, in one request; ``NEVER_SET`` if it was never set."""
        ...

    def set_kill_switch(self, account: str, switch: KillSwitchRecord) -> None:
        """Set the kill switch; the history of settings is kept."""
        ...

    def bind_account(self, account: str, account_number: str, at: datetime) -> AccountBinding:
        """Bind a broker account to this account name unless it is bound; return its binding."""
        ...


class ResultPublisher(Protocol):
    """A channel on which results are published."""

    @property
    def channel(self) -> str:
        """The channel's name in the journal, which records per channel that a result was published."""
        ...

    def publish(self, result: ExecutionResult) -> None:
        """Publish the result.

        Raises:
            PublishFailed: the channel did not accept it; the result stays stored.
        """
        ...


class AssetCache(Protocol):
    """A cache of asset flags. Every method raises ``JournalUnavailable`` if the database does not answer.

    Only the flags of assets that allow every order are cached: the broker is asked again about all others.
    """

    def get(self, symbols: Sequence[str], *, now: datetime) -> Mapping[str, Asset]:
        """Return the cached flags that have not expired."""
        ...

    def put(self, assets: Iterable[Asset], *, now: datetime) -> None:
        """Cache those of these flags that allow every order."""
        ...

    def drop(self, symbol: str, *, now: datetime) -> None:
        """Drop the cached flags of this symbol, so that the next plan asks the broker."""
        ...


class VolumeCache(Protocol):
    """A cache of average daily volumes, each valid on one trading day.

    Every method raises ``JournalUnavailable`` if the database does not answer.
    """

    def get(self, symbols: Sequence[str], *, today: date) -> Mapping[str, AverageVolume]:
        """Return the averages that were cached on this trading day."""
        ...

    def put(self, volumes: Iterable[AverageVolume], *, today: date) -> None:
        """Cache these averages for this trading day."""
        ...


class EventLog(Protocol):
    """Structured log and metrics of state changes."""

    def emit(self, event: LogEvent, **fields: object) -> None:
        """Log one event of the catalogue. Never raises."""
        ...


class PlanLog(EventLog, Protocol):
    """Event log whose lines carry the IDs of the plan that was delivered."""

    def earlier_plan(self, plan: PlanState) -> AbstractContextManager[None]:
        """Log everything within under this plan's IDs instead of those of the plan that was delivered."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Every external system that execution uses."""

    brokers: Callable[[str, Deadline], Broker]
    """Returns the broker of an account name; raises ``UnknownAccount``, ``ConfigurationError``, ``Redeliver``."""
    broker_kind: BrokerKind
    """Kind of these brokers; journalled with every plan that starts."""
    deployment: str
    """Name of this deployment; part of the client order IDs."""
    journal: Journal
    risk_store: RiskStore
    assets: AssetCache
    volumes: VolumeCache
    clock: Clock
    log: PlanLog
    publishers: Sequence[ResultPublisher] = ()
    stop_requested: Callable[[], bool] = lambda: False
    """Returns true once the caller asks the run to stop safely: the run then cancels open orders and yields."""
    close: Callable[[], None] = lambda: None
    """Closes the connections to the brokers; they are opened again when they are needed."""
