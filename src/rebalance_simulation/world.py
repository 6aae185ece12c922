"""One deployed program in one process and one thread, with its broker, database and time simulated.

Real are: trigger, handler, Powertools' idempotency, service, telemetry, manager, executor, sender, controls, circuit
breaker, the broker adapter with its pacing, repetitions and parsing, and the adapters of journal, control book and
asset cache. Simulated are clock, Alpaca's API (on the paper broker's exchange model), DynamoDB, record store and
reporter. Each is reached through ``World.cross``, where faults happen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from requests.exceptions import ReadTimeout

from paper_broker.exchange import Exchange
from paper_broker.formats import nanoseconds
from rebalance_executor.adapters.alpaca.circuit_breaker import CircuitBreakerBroker
from rebalance_executor.adapters.alpaca.credentials import Credentials
from rebalance_executor.adapters.dynamodb.asset_cache import DynamoAssetCache
from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.adapters.dynamodb.risk_store import DynamoRiskStore
from rebalance_executor.adapters.sqs import SqsPlanQueue
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import PublishFailed, RebalanceError
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.execution.manager import ExecutionManager
from rebalance_executor.execution.ports import Broker, Ports
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.handler import handle
from rebalance_executor.idempotency import IdempotencyGate
from rebalance_executor.service import Service
from rebalance_executor.telemetry import Telemetry
from rebalance_simulation.api import SECRET, Body, SimulatedApi, SimulatedBroker
from rebalance_simulation.clock import BEGIN, SimulatedClock
from rebalance_simulation.dynamodb import PAGE_ROWS, SimulatedDynamoDB
from rebalance_simulation.faults import KILLS, Fault, FaultInjector, Killed
from rebalance_simulation.idempotency_store import RecordTable, SimulatedRecords
from rebalance_simulation.invariants import InvariantChecker, Violation
from rebalance_simulation.ledger import Ledger
from rebalance_simulation.log_capture import CapturedLog, NoMetrics, NoTracer, SimulatedLogger

LATENCY = timedelta(milliseconds=20)
"""What a call takes."""
_DATABASE_GIVES_UP = timedelta(seconds=3)
"""How long a call to the database takes that gets no answer."""
_MOMENTS = (timedelta(), timedelta(seconds=1))
_TABLE = "execution"
_PAUSES = (1, 5, 20, 90)
"""Seconds a process is frozen."""


@dataclass(slots=True)
class Invocation:
    """Lambda's context, and whether the process still lives."""

    clock: SimulatedClock
    ends_at: datetime
    number: int
    process: int
    aws_request_id: str
    is_nested: bool
    function_name: str = "simulated"
    run_id: str = ""
    stop_at: datetime | None = None
    is_dead: bool = False
    is_disturbed: bool = False
    """Whether anything went wrong in it."""
    is_zombie: bool = False
    """Frozen beyond its time-out and thawed: what ends other processes has not ended this one."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds."""
        return max(0, int((self.ends_at - self.clock.now()).total_seconds() * 1000))


@dataclass(frozen=True, slots=True)
class Delivery:
    """How one delivery ended: with an answer, with an error, or not at all."""

    answer: dict[str, Any] | None = None
    error: RebalanceError | None = None
    was_killed: bool = False


@dataclass(slots=True)
class Process:
    """One container: its program, and when it asked the broker."""

    service: Service
    telemetry: Telemetry
    number: int


@dataclass
class World:
    """Everything, for one history.

    Args:
        scenario: the exchange's world.
        config: the program's configuration.
        crossing: which faults happen where.
        begin: when it begins.
    """

    scenario: Mapping[str, Any]
    config: ExecutionConfig
    faults: FaultInjector
    begin: datetime = BEGIN
    between: Callable[[], None] | None = None
    """What an interrupted invocation is interrupted by."""
    parents_each: int = 2
    """Parents in one transaction: few, so that writes are cut in the middle."""
    page_rows: int = PAGE_ROWS
    """Rows in one answer of the database to a query."""
    broken: Violation | None = None
    """The first promise that was broken."""
    published: list[ExecutionResult] = field(default_factory=list)
    channel: str = "bus"
    """Its name as the one channel that results are published on."""

    def __post_init__(self) -> None:
        self.clock = SimulatedClock(self.begin)
        self.exchange = Exchange(self.scenario, self.clock.world)
        self.log = CapturedLog(self.clock)
        self.stack: list[Invocation] = []
        self.checker = InvariantChecker(self)
        self.table = SimulatedDynamoDB(self.call, self.clock, self._written, page_rows=self.page_rows)
        self.ledger = Ledger(self.table)
        self.records = RecordTable()
        self.down: dict[str, datetime] = {}
        """Until when ``broker`` or ``database`` answer nothing."""
        self.invocations = 0
        self._processes = 0
        self._runs = 0
        self._hidden_until: dict[str, datetime] = {}
        self._warm: list[Process] = []

    # --- drive -------------------------------------------------------------------------------------------

    def deliver(self, event: object, seconds: float = 600, request_id: str = "request") -> Delivery:
        """Invoke the handler once, in a warm process if one is idle. A killed process is gone."""
        self.invocations += 1
        ends_at = self.clock.now() + timedelta(seconds=seconds)
        process = self._warm.pop() if self._warm else self._new_process()
        invocation = Invocation(
            self.clock, ends_at, self.invocations, process.number, request_id, is_nested=bool(self.stack)
        )
        self.stack.append(invocation)
        self.log.tell(process.number, "> invoked", {"until": ends_at})
        try:
            answer = handle(event, cast("Any", invocation), process.telemetry, lambda: process.service)
        except Killed:
            if self.broken is not None:
                raise self.broken from None
            return Delivery(was_killed=True)
        except RebalanceError as error:
            self._warm.append(process)
            return Delivery(error=error)
        finally:
            self.stack.pop()
            self.checker.look()
        self._warm.append(process)
        return Delivery(answer)

    def is_closed(self) -> bool:
        """Whether the market is closed, and was so a second ago: the calls themselves take time."""
        sessions = self.exchange._lifecycle.sessions  # noqa: SLF001 - looked at, never changed
        return not any(sessions.clock(nanoseconds(self.clock.world() - ago))["is_open"] for ago in _MOMENTS)

    # --- every call to the outside -----------------------------------------------------------------------

    def way[T](self, name: str, effect: Callable[[], T], /) -> T:
        """A call whose failures are only that there is no answer."""

        def carried(fault: Fault | None) -> T:
            if fault is Fault.NO_ANSWER:
                raise self._no_answer(name)
            answer = effect()
            if fault is Fault.LOST_ANSWER:
                raise self._no_answer(name)
            return answer

        answer: T = self.call(name, carried)
        return answer

    def call(self, name: str, effect: Callable[[Fault | None], Any], order: Body | None = None, /) -> Any:
        """A call to the outside: its effect, and what goes wrong before and after it."""
        if not self.stack:
            return effect(None)
        running = self.stack[-1]
        if running.is_dead:
            raise Killed
        try:
            return self._crossed(name, effect, running, order)
        except Violation as broken:  # the program must not catch it: whoever does so may hide what it did
            self.broken = self.broken or broken
            running.is_dead = True
            raise Killed from broken

    def _crossed(
        self, name: str, effect: Callable[[Fault | None], Any], running: Invocation, order: Body | None
    ) -> Any:
        self.clock.sleep(LATENCY)
        self._end_in_time(running)
        if name.startswith("broker"):
            self.checker.requested(name, order)
        fault = self._fault(name, running)
        if fault is not None:
            running.is_disturbed = True
            self.faults.count(name, fault)
            self.log.tell(0, f"! {fault}", {"call": name, "invocation": running.number})
            self._before(fault, name, running)
        answer = effect(fault)
        self.checker.look()
        if fault is Fault.KILL_AFTER:
            self._kill(running, name)
        return answer

    def _fault(self, name: str, running: Invocation) -> Fault | None:
        fault = self.faults.fault(name)
        down = self.down.get("broker" if name.startswith("broker") else "database")
        if down is not None and down > self.clock.world() and fault not in KILLS:
            return Fault.NO_ANSWER
        if fault in (Fault.ZOMBIE, Fault.INTERRUPT) and (running.is_nested or self.between is None):
            return None
        return fault

    def _before(self, fault: Fault, name: str, running: Invocation) -> None:
        if fault is Fault.KILL_BEFORE:
            self._kill(running, name)
        if fault is Fault.ZOMBIE:
            running.is_zombie = True
            self.clock.sleep(running.ends_at - self.clock.now() + timedelta(seconds=30))
        if fault is Fault.PAUSE:
            self.clock.sleep(timedelta(seconds=_PAUSES[self.faults.calls % len(_PAUSES)]))
        if fault is Fault.DEADLINE:
            self.clock.sleep((running.stop_at or running.ends_at - timedelta(seconds=30)) - self.clock.now())
        if fault in (Fault.ZOMBIE, Fault.INTERRUPT) and self.between is not None:
            self.between()
        self._end_in_time(running)

    def _end_in_time(self, running: Invocation) -> None:
        if self.clock.now() >= running.ends_at and not running.is_zombie:
            self.checker.timed_out(running)
            self._kill(running, "time-out")

    def _kill(self, running: Invocation, where: str) -> None:
        running.is_dead = True
        self.log.tell(0, "! dead", {"at": where, "invocation": running.number})
        raise Killed

    def _no_answer(self, name: str) -> Exception:
        self.clock.sleep(_DATABASE_GIVES_UP)
        return ReadTimeout("no answer") if name.startswith("records") else PublishFailed("no answer")

    def _written(self, partitions: Iterable[str]) -> None:
        for pk in partitions:
            if pk.startswith("PLAN#"):
                self.checker.journalled(pk)
            elif pk.startswith("ACCOUNT#"):
                self.checker.leased()

    # --- the program -------------------------------------------------------------------------------------

    def _new_process(self) -> Process:
        self._processes += 1
        number = self._processes
        log = SimulatedLogger(self.log, number)
        nothing = {"metrics": cast("Any", NoMetrics()), "tracer": cast("Any", NoTracer())}
        telemetry = Telemetry(logger=cast("Any", log), **nothing)
        brokers: dict[str, SimulatedBroker] = {}

        def broker(account: str, deadline: Deadline) -> Broker:
            self.stack[-1].stop_at = deadline.stop_at
            known = brokers.get(account)
            if known is None or known.credentials_rejected:
                known = brokers[account] = self._new_broker(telemetry)
                self.checker.forget_requests(number)
            known.set_deadline(deadline.give_up_at)
            return CircuitBreakerBroker(known, self.config.max_broker_failures)

        client = cast("Any", self.table)
        journal = DynamoJournal(client, _TABLE, self.clock, parents_per_transaction=self.parents_each)
        ports = Ports(
            brokers=broker,
            journal=journal,
            risk_store=DynamoRiskStore(client, _TABLE, self.clock),
            assets=DynamoAssetCache(client, _TABLE, self.clock),
            clock=self.clock,
            log=telemetry,
            publishers=[self],
        )
        records = SimulatedRecords(self.records, self.way, self.clock.now, lambda: self.stack[-1].ends_at)
        service = Service(
            account="default",
            plans=cast("Any", None),  # plans come inline here
            idempotency=IdempotencyGate(records, telemetry),
            queue=SqsPlanQueue(None, lambda: cast("Any", None), timedelta(0), telemetry),
            manager=ExecutionManager(ports, self.config),
            journal=journal,
            clock=self.clock,
            telemetry=telemetry,
            new_run_id=self._new_run_id,
            check_health=lambda _: {},
            check_day=lambda *_: {},
        )
        return Process(service, telemetry, number)

    def _new_broker(self, telemetry: Telemetry) -> SimulatedBroker:
        def api(timeouts: Any, observe: Any) -> SimulatedApi:
            return SimulatedApi(self.exchange, self.call, self.clock, self._hidden_until, (timeouts, observe))

        return SimulatedBroker(api, Credentials("key", SECRET), self.config, self.clock, telemetry.count_request)

    def _new_run_id(self) -> str:
        running = self.stack[-1]
        self._runs += 1  # several plans of one delivery are several runs
        running.run_id = f"run-{self._runs}"
        return running.run_id

    # --- reporter ----------------------------------------------------------------------------------------

    def publish(self, result: ExecutionResult) -> None:
        """Publish a result."""

        def take() -> None:
            self.checker.publishing(result)
            self.published.append(result)

        self.way("reporter.publish", take)
