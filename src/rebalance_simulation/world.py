"""One deployed program in one process and one thread, with its broker, database and time simulated.

Every external call passes ``World.call``, where faults happen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NoReturn, cast

from paper_broker.exchange import Exchange
from paper_broker.formats import nanoseconds
from rebalance_executor.adapters.alpaca.circuit_breaker import CircuitBreakerBroker
from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.adapters.dynamodb.asset_cache import DynamoAssetCache
from rebalance_executor.adapters.dynamodb.delivery_log import DynamoDeliveryLog
from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.adapters.dynamodb.risk_store import DynamoRiskStore
from rebalance_executor.adapters.dynamodb.volume_cache import DynamoVolumeCache
from rebalance_executor.adapters.sqs import SqsPlanQueue
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import PublishFailed, RebalanceError
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.domain.order_ids import LOCAL_DEPLOYMENT
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.manager import PlanManager
from rebalance_executor.execution.ports import Broker, Ports
from rebalance_executor.handler import handle
from rebalance_executor.idempotency import IdempotencyGate
from rebalance_executor.service import Service
from rebalance_executor.telemetry import Telemetry
from rebalance_simulation.api import SECRET, BrokerSide, SimulatedApi, SimulatedBroker
from rebalance_simulation.broker_view import BrokerView, ViewTraits
from rebalance_simulation.calls import Submission, with_timeouts
from rebalance_simulation.clock import START, SimulatedClock
from rebalance_simulation.dynamodb import PAGE_SIZE, SimulatedDynamoDB
from rebalance_simulation.faults import BARS, KILLS, Fault, FaultInjector, Killed
from rebalance_simulation.idempotency_store import RecordTable, SimulatedRecords
from rebalance_simulation.invariants import InvariantChecker
from rebalance_simulation.invocation import Delivery, Invocation
from rebalance_simulation.ledger import Ledger
from rebalance_simulation.log_capture import CapturedLog, NoMetrics, NoTracing, SimulatedLogger
from rebalance_simulation.plan_store import SimulatedPlanStore
from rebalance_simulation.violation import Violation

LATENCY = timedelta(milliseconds=20)
"""Duration of every external call."""
_PUBLISH_TIMEOUT = timedelta(seconds=3)
"""Duration of a publication that gets no answer."""
_MOMENTS = (timedelta(), timedelta(seconds=1))
_TABLE = "execution"
_FREEZES = (Fault.ZOMBIE, Fault.INTERRUPT, Fault.PAUSE, Fault.DEADLINE)
"""Faults that freeze a process for a while."""
_PAUSES = (1, 5, 20, 90)
"""Seconds for which a process is frozen."""


@dataclass(slots=True)
class Process:
    """One container with its object graph."""

    service: Service
    telemetry: Telemetry
    number: int


@dataclass
class World:
    """The program and everything around it, for one history. Implements ``WorldView``.

    Args:
        scenario: the simulated broker's scenario.
        config: the program's execution settings.
        faults: decides which faults happen.
        start: when the history starts.
    """

    scenario: Mapping[str, Any]
    config: ExecutionConfig
    faults: FaultInjector
    start: datetime = START
    on_interrupt: Callable[[], None] | None = None
    """Action while an invocation is interrupted or frozen; None if invocations are never interrupted."""
    parents_per_transaction: int = 2
    """Few, so that most writes take several transactions."""
    page_size: int = PAGE_SIZE
    """Items per page of a DynamoDB query."""
    view: ViewTraits = field(default_factory=ViewTraits)
    """View of the account that the broker's API gives."""
    has_cache: bool = True
    """False if no request to the caches of asset flags and volumes is permitted."""
    has_volumes: bool = True
    """False if every request for daily volumes is denied."""
    accounts: tuple[str, ...] = ("default",)
    """Names under which plans reach the one broker account. The first is the deployed one."""
    violation: Violation | None = None
    """The first broken invariant."""
    published: list[ExecutionResult] = field(default_factory=list)
    channel: str = "bus"
    """Name of the world as the program's only publisher."""

    def __post_init__(self) -> None:
        self.clock = SimulatedClock(self.start)
        self.exchange = Exchange(self.scenario, self.clock.world)
        symbol = next(iter(self.scenario["quotes"]))
        self.broker = BrokerSide(self.exchange, BrokerView(self.exchange, self.view, self.start, symbol))
        self.event_counts: Counter[str] = Counter()
        """Events outside the program so far, by kind."""
        self.flags_withdrawn_until: dict[str, datetime] = {}
        """Symbols that were not tradable, or not fractionable, with the end of it."""
        self.log = CapturedLog(self.clock)
        self.stack: list[Invocation] = []
        """Invocations in progress. The last one runs, the others are interrupted."""
        self.checker = InvariantChecker(self)
        self.table = SimulatedDynamoDB(self.call, self.clock, self._check_write, page_size=self.page_size)
        self.plan_store = SimulatedPlanStore(self.call, self.clock)
        self.ledger = Ledger(self.table)
        self.records = RecordTable()
        self.down_until: dict[str, datetime] = {}
        """End of an outage of ``broker`` or ``database``, in world time."""
        self.deliveries = 0
        self._processes = 0
        self._runs = 0
        self._idle: list[Process] = []

    # --- deliveries --------------------------------------------------------------------------------------

    def deliver(self, event: object, seconds: float = 600, request_id: str = "request") -> Delivery:
        """Invoke the handler once, in an idle process if there is one. A killed process is discarded.

        Args:
            event: the Lambda event.
            seconds: timeout of the invocation.
            request_id: Lambda's request ID.

        Raises:
            Violation: an invariant was broken.
        """
        self.deliveries += 1
        ends_at = self.clock.now() + timedelta(seconds=seconds)
        process = self._idle.pop() if self._idle else self._new_process()
        invocation = Invocation(
            self.clock, ends_at, self.deliveries, process.number, request_id, is_nested=bool(self.stack)
        )
        self.stack.append(invocation)
        self.log.append(process.number, "> invoked", {"until": ends_at})
        log_start = len(self.log.lines)
        try:
            answer = handle(event, cast("Any", invocation), process.telemetry, lambda: process.service)
        except Killed:
            if self.violation is not None:
                raise self.violation from None
            return Delivery(was_killed=True)
        except RebalanceError as error:
            self._idle.append(process)
            return Delivery(error=error)
        finally:
            self.stack.pop()
            self.plan_store.check_executed(self.log.lines[log_start:])
            self.checker.check_exchange()
            if not invocation.is_dead and not self.stack:
                self.checker.check_withdrawn(invocation)
        self._idle.append(process)
        return Delivery(answer, run_id=invocation.run_id)

    @property
    def current(self) -> Invocation:
        """The invocation that runs; others may be interrupted."""
        return self.stack[-1]

    def is_market_closed(self) -> bool:
        """Return whether the market is closed now and was closed a second ago: a call itself takes time."""
        sessions = self.exchange._lifecycle.sessions  # noqa: SLF001 - read only
        return not any(sessions.clock(nanoseconds(self.clock.world() - ago))["is_open"] for ago in _MOMENTS)

    # --- external calls ----------------------------------------------------------------------------------

    def call[T](self, name: str, effect: Callable[[Fault | None], T], order: Submission | None = None, /) -> T:
        """Make an external call with its faults. Implements ``CallHook``."""
        if not self.stack:
            return effect(None)
        invocation = self.current
        if invocation.is_dead:
            raise Killed
        try:
            return self._call(name, effect, invocation, order)
        except Violation as violation:  # raised as Killed, so that the program cannot catch it
            self.violation = self.violation or violation
            invocation.is_dead = True
            raise Killed from violation

    def _call[T](
        self, name: str, effect: Callable[[Fault | None], T], invocation: Invocation, order: Submission | None
    ) -> T:
        self.clock.advance(LATENCY)
        self._end_if_timed_out(invocation)
        if name.startswith("broker"):
            self.checker.check_request(name, order)
        fault = self._next_fault(name, invocation)
        if fault is not None:
            invocation.faults.append((name, fault))
            self.faults.record(name, fault)
            self.log.append(0, f"! {fault}", {"call": name, "invocation": invocation.number})
            self._apply_before(fault, name, invocation)
        answer = effect(fault)
        self.checker.check_exchange()
        if fault is Fault.KILL_AFTER:
            self._kill(invocation, name)
        return answer

    def _next_fault(self, name: str, invocation: Invocation) -> Fault | None:
        fault = self.faults.next_fault(name)
        if fault is None and not self.has_cache and name.startswith(("assets", "volumes")):
            return Fault.CACHE_DENIED
        if fault is None and not self.has_volumes and name == BARS:
            return Fault.FORBIDDEN
        until = self.down_until.get("broker" if name.startswith("broker") else "database")
        if until is not None and until > self.clock.world() and fault not in KILLS:
            return Fault.NO_ANSWER
        if fault in _FREEZES and self.broker.record.is_within_group:
            return None
        if fault in (Fault.ZOMBIE, Fault.INTERRUPT) and (invocation.is_nested or self.on_interrupt is None):
            return None
        return fault

    def _apply_before(self, fault: Fault, name: str, invocation: Invocation) -> None:
        """Apply the faults of the process itself: kills, freezes and interruptions before the effect."""
        if fault is Fault.KILL_BEFORE:
            self._kill(invocation, name)
        if fault is Fault.ZOMBIE:
            invocation.is_zombie = True
            self.clock.advance(invocation.ends_at - self.clock.now() + timedelta(seconds=30))
        if fault is Fault.PAUSE:
            self.clock.advance(timedelta(seconds=_PAUSES[self.faults.calls % len(_PAUSES)]))
        if fault is Fault.DEADLINE:
            self.clock.advance((invocation.stop_at or invocation.ends_at - timedelta(seconds=30)) - self.clock.now())
        if fault in (Fault.ZOMBIE, Fault.INTERRUPT) and self.on_interrupt is not None:
            self.on_interrupt()
        self._end_if_timed_out(invocation)

    def _end_if_timed_out(self, invocation: Invocation) -> None:
        if self.clock.now() >= invocation.ends_at and not invocation.is_zombie:
            self.checker.requests.check_timeout(invocation)
            self._kill(invocation, "timeout")

    def _kill(self, invocation: Invocation, call: str) -> NoReturn:
        invocation.is_dead = True
        self.log.append(0, "! killed", {"at": call, "invocation": invocation.number})
        raise Killed

    def _check_write(self, partitions: Iterable[str]) -> None:
        for pk in partitions:
            if pk.startswith("PLAN#"):
                self.checker.check_journal(pk)
            elif pk.startswith("ACCOUNT#"):
                self.checker.check_account(pk.removeprefix("ACCOUNT#"))

    # --- program -----------------------------------------------------------------------------------------

    def _new_process(self) -> Process:
        self._processes += 1
        number = self._processes
        telemetry = Telemetry(
            logger=cast("Any", SimulatedLogger(self.log, number)),
            metrics=cast("Any", NoMetrics()),
            tracing=cast("Any", NoTracing()),
        )
        client = cast("Any", self.table)
        journal = DynamoJournal(client, _TABLE, self.clock, parents_per_transaction=self.parents_per_transaction)
        flags_live = timedelta(days=float(self.config.asset_cache_days))
        ports = Ports(
            brokers=self._brokers(telemetry, number),
            broker_kind=BrokerKind.SIMULATED,
            deployment=LOCAL_DEPLOYMENT,
            journal=journal,
            risk_store=DynamoRiskStore(client, _TABLE, self.clock),
            assets=DynamoAssetCache(client, _TABLE, self.clock, ttl=flags_live),
            volumes=DynamoVolumeCache(client, _TABLE, self.clock),
            clock=self.clock,
            log=telemetry,
            publishers=[self],
        )
        records = SimulatedRecords(self.records, self.call, self.clock, lambda: self.current.ends_at)
        service = Service(
            account=self.accounts[0],
            plans=self.plan_store,
            delivery_log=DynamoDeliveryLog(client, _TABLE, self.clock),
            idempotency=IdempotencyGate(records, telemetry),
            queue=SqsPlanQueue(None, lambda: cast("Any", None), self.clock, timedelta(0), telemetry),
            manager=PlanManager(ports, self.config),
            journal=journal,
            clock=self.clock,
            telemetry=telemetry,
            new_run_id=self._new_run_id,
            check_health=lambda _: {},
            check_day=lambda *_: {},
            resume_plans=lambda *_: {},
            carried_plans=lambda: (),
            dry_run=lambda *_: {},
        )
        return Process(service, telemetry, number)

    def _brokers(self, telemetry: Telemetry, process: int) -> Callable[[str, Deadline], Broker]:
        """Return the process's broker factory: one adapter per account, replaced when its keys are rejected."""
        adapters: dict[str, SimulatedBroker] = {}

        def broker(account: str, deadline: Deadline) -> Broker:
            self.current.account, self.current.stop_at = account, deadline.stop_at
            adapter = adapters.get(account)
            if adapter is None or adapter.credentials_rejected:
                adapter = adapters[account] = self._new_broker(telemetry)
                self.checker.requests.reset_rate_limit(process, account)
            adapter.set_deadline(deadline.give_up_at)
            return CircuitBreakerBroker(adapter, self.config.max_broker_failures)

        return broker

    def _new_broker(self, telemetry: Telemetry) -> SimulatedBroker:
        def api(timeouts: Any, observe: Any) -> SimulatedApi:
            return SimulatedApi(self.broker, self.call, self.clock, timeouts, observe)

        return SimulatedBroker(api, Credentials("key", SECRET), self.config, self.clock, telemetry.count_request)

    def _new_run_id(self) -> str:
        self._runs += 1  # one invocation can execute several plans, each as a run
        self.current.run_id = f"run-{self._runs}"
        return self.current.run_id

    # --- publisher ---------------------------------------------------------------------------------------

    def publish(self, result: ExecutionResult) -> None:
        """Publish a result. Implements ``ResultPublisher``."""

        def record() -> None:
            self.checker.note_attempt(result)
            self.checker.check_publish(result)
            self.published.append(result)

        def time_out() -> NoReturn:
            self.checker.note_attempt(result)
            self.clock.advance(_PUBLISH_TIMEOUT)
            raise PublishFailed("no answer")

        self.call("publisher.publish", with_timeouts(record, time_out))
