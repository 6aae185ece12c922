"""What execution needs of the outside world. Small protocols; the adapters implement them.

All times are aware and UTC, all amounts ``Decimal``. Every call that leaves the process has a time-out in
its adapter, and every error is one of ``domain.errors``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from rebalance_executor.domain.journal import PlanJournal, PlanState, RunRecord
from rebalance_executor.domain.market import (
    Account,
    Asset,
    BrokerOrder,
    MarketClock,
    OrderRequest,
    Position,
    Quote,
    Trade,
)
from rebalance_executor.domain.orders import ParentOrder
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.domain.risk_state import KillSwitchRecord, Reservation, RiskState
from rebalance_executor.execution.events import LogEvent

if TYPE_CHECKING:
    from rebalance_executor.execution.run import Deadline


class Clock(Protocol):
    """Time, and waiting. The only source of both."""

    def now(self) -> datetime:
        """The time now, aware, UTC."""
        ...

    def sleep(self, span: timedelta) -> None:
        """Wait in the invocation's own thread."""
        ...


class Broker(Protocol):
    """The broker of **one** account.

    Reads raise ``BrokerUnavailable`` after their retries (``RateLimited`` for 429), and
    ``CredentialsRejected`` on 401.
    """

    @property
    def expected_account_number(self) -> str | None:
        """The account number that the credentials were configured for, if one was."""
        ...

    def account(self) -> Account: ...

    def clock(self) -> MarketClock: ...

    def positions(self, symbols: Collection[str]) -> Mapping[str, Position]:
        """The account's positions in these symbols; one that is not held is absent. One request."""
        ...

    def asset(self, symbol: str) -> Asset:
        """Flags of one symbol; raises ``NotFound``."""
        ...

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Latest quotes; a symbol without data, or with nonsense for it, is absent. One request."""
        ...

    def last_trades(self, symbols: Sequence[str]) -> Mapping[str, Trade]:
        """Last trades; a symbol without one is absent. One request."""
        ...

    def open_orders(self, symbols: Sequence[str]) -> Sequence[BrokerOrder]:
        """Every open order of these symbols, anybody's. One request a page of 500."""
        ...

    def orders(self, symbols: Sequence[str], after: datetime) -> Sequence[BrokerOrder]:
        """Every order of these symbols submitted after that time, in any status. One request a page."""
        ...

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """That order, or None where the broker answers definitely that it does not know it (404)."""
        ...

    def wait_for_rate_limit(self, until: datetime) -> None:
        """Wait until a submission is within the rate limit; one that follows at once goes out without a wait.

        Raises:
            RateLimited: that would be after ``until``; ``retry_at`` says when.
        """
        ...

    def submit(self, request: OrderRequest) -> BrokerOrder:
        """Send one order, at once and once: never repeated here.

        Raises:
            OrderRejected: definitely refused; nothing exists.
            DuplicateClientOrderId: the id exists already: read that order.
            RateLimited: definitely not accepted (429); may be sent again later.
            CredentialsRejected: definitely not accepted (401).
            OutcomeUnknown: no definite answer; the order may exist or may still appear.
        """
        ...

    def cancel(self, order_id: str) -> bool:
        """Ask for a cancel: a request and not an outcome.

        Returns:
            False where the broker says that there is nothing to cancel, which is no error: the next look tells.
        """
        ...


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one account. Every journal write is conditional on ``epoch``."""

    account: str
    epoch: int
    run_id: str
    expires_at: datetime


class Journal(Protocol):
    """The durable truth: plan, runs, parents with their children, result; and the account's lease.

    Every method raises ``JournalUnavailable`` when the database does not answer. A parent is written with all its
    children or not at all. A write that breaks off between two parents leaves the plan's own row as it was: a plan
    that is being begun does not exist yet, one that goes on is resumed. Repeating a write is harmless.
    """

    def acquire(self, account: str, run_id: str, *, now: datetime, expires_at: datetime) -> Lease:
        """Take the account's lease with a new, higher epoch; raises ``LeaseHeld``."""
        ...

    def release(self, lease: Lease) -> None:
        """Give the lease back, if it is still ours; a lease taken over by another is left alone."""
        ...

    def load(self, account: str, plan_id: str) -> PlanJournal | None:
        """Everything journalled of that plan, read consistently; None where it was never begun."""
        ...

    def write(
        self,
        lease: Lease,
        plan: PlanState,
        *,
        parents: Iterable[ParentOrder] = (),
        run: RunRecord | None = None,
        reservation: Reservation | None = None,
    ) -> None:
        """Write the plan's state with these parents (and the run, and the plan's share of the day).

        Raises:
            Fenced: another run took over.
            DayChanged: the day is not what the reservation was made from.
        """
        ...

    def finish(self, lease: Lease, plan: PlanState, *, parents: Iterable[ParentOrder], result: ExecutionResult) -> None:
        """Write the last state and the result, and give the lease back. A result is never overwritten."""
        ...

    def result(self, account: str, plan_id: str) -> ExecutionResult | None:
        """The stored result of a finished plan."""
        ...

    def mark_published(self, account: str, plan_id: str, channels: Collection[str], at: datetime) -> None:
        """Remember that the result was published on these channels. Needs no lease: the plan is finished."""
        ...


class RiskStore(Protocol):
    """What the controls remember of an account. Reads are consistent; raises ``JournalUnavailable``.

    Reservations are written by ``Journal.write``, together with what they are made for.
    """

    def load(self, account: str, day: date) -> RiskState:
        """Kill switch and reservations of that trading day; one request."""
        ...

    def kill_switch(self, account: str) -> KillSwitchRecord:
        """The kill switch as it is now; ``NEVER_SET`` where none was ever set. One request."""
        ...

    def set_kill_switch(self, account: str, switch: KillSwitchRecord) -> None:
        """Set the kill switch; every setting is kept."""
        ...


class ResultPublisher(Protocol):
    """Where results are published."""

    @property
    def channel(self) -> str:
        """Its name in the journal, which remembers for each channel whether the result was published."""
        ...

    def publish(self, result: ExecutionResult) -> None:
        """Publish the result; raises ``PublishFailed``, which never fails the execution."""
        ...


class AssetCache(Protocol):
    """Asset flags kept in the database, with a time-to-live."""

    def get(self, symbols: Sequence[str], *, now: datetime) -> Mapping[str, Asset]:
        """The flags that are known and not too old."""
        ...

    def put(self, assets: Iterable[Asset], *, now: datetime) -> None:
        """Remember these flags."""
        ...


class EventLog(Protocol):
    """Where state changes are told: structured log and metrics."""

    def emit(self, event: LogEvent, **fields: object) -> None:
        """Tell one event of the catalogue. Never raises."""
        ...


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside world, as execution needs it."""

    brokers: Callable[[str, Deadline], Broker]
    """The broker of an account by its name; raises ``UnknownAccount`` or ``ConfigurationError``."""
    journal: Journal
    risk_store: RiskStore
    assets: AssetCache
    clock: Clock
    log: EventLog
    publishers: Sequence[ResultPublisher] = ()
    """Where results are published."""
    stop_requested: Callable[[], bool] = _never
    """Whether somebody asks the run to stop safely before its deadline: what rests is cancelled, and it yields."""
