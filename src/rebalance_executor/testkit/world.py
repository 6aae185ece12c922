"""One deployed program in one process and one thread, with its broker, database, queue and time simulated.

Real are: trigger, handler, Powertools' idempotency, service, manager, executor, sender, controls, circuit breaker,
and the parsing of what the broker says. Simulated are clock, exchange, journal, record store, asset cache and
reporter, each reached through ``World.cross``, where faults happen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from paper_broker.exchange import Exchange
from rebalance_executor.adapters.breaker import BreakingBroker
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import (
    BrokerUnavailable,
    JournalUnavailable,
    OutcomeUnknown,
    RebalanceError,
    ReportingFailed,
)
from rebalance_executor.domain.market import Asset
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.manager import ExecutionManager
from rebalance_executor.execution.ports import Broker, Ports
from rebalance_executor.execution.run import Deadline
from rebalance_executor.handler import handle
from rebalance_executor.idempotency import FrontDoor
from rebalance_executor.service import Service
from rebalance_executor.telemetry import Telemetry
from rebalance_executor.testkit.broker import SimulatedBroker
from rebalance_executor.testkit.clock import SimulatedClock
from rebalance_executor.testkit.faults import LATENCY, Crossing, Fault, Killed
from rebalance_executor.testkit.invariants import Watch
from rebalance_executor.testkit.journal import InMemoryJournal
from rebalance_executor.testkit.records import SimulatedRecords

_GIVES_UP = timedelta(seconds=3)
"""How long a call without an answer takes."""
_FAILURES: dict[str, Callable[[], Exception]] = {
    "journal": lambda: JournalUnavailable("no answer"),
    "book": lambda: JournalUnavailable("no answer"),
    "assets": lambda: JournalUnavailable("no answer"),
    "records": lambda: ConnectionError("no answer"),
    "reporter": lambda: ReportingFailed("no answer"),
    "broker": lambda: BrokerUnavailable("no answer"),
}


@dataclass(slots=True)
class Invocation:
    """Lambda's context, and whether the process still lives."""

    clock: SimulatedClock
    ends_at: datetime
    number: int
    depth: int
    aws_request_id: str = "the same on every retry"
    function_name: str = "simulated"
    run_id: str = ""
    is_dead: bool = False
    is_zombie: bool = False
    """Frozen beyond its time-out and thawed: what ends other processes has not ended this one."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds."""
        return max(0, int((self.ends_at - self.clock.now()).total_seconds() * 1000))


@dataclass(frozen=True, slots=True)
class Delivery:
    """How one delivery ended."""

    answer: dict[str, Any] | None = None
    error: RebalanceError | None = None
    was_killed: bool = False


class Ledger:
    """Implements what ``handle`` needs of ``Telemetry``: every line, nothing printed."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self.lines: list[tuple[datetime, str, dict[str, object]]] = []

    def emit(self, event: LogEvent, **fields: object) -> None:
        """Keep one line."""
        self.lines.append((self._clock.world(), str(event), fields))

    def error(self, error: BaseException) -> None:
        """Keep how a delivery ended."""
        self.lines.append((self._clock.world(), type(error).__name__, {"reason": str(error)}))

    def count_request(self, path: str) -> None:
        """Nothing: the exchange's own counts are looked at."""

    def forget(self) -> None:
        """Nothing."""

    def identify(self, plan: RebalancePlan, account: str, run_id: str) -> None:
        """Nothing: the lines of a history stand in order."""

    @contextmanager
    def invocation(self, context: object) -> Iterator[None]:
        """One invocation."""
        del context
        try:
            yield
        except Exception as error:
            self.error(error)
            raise


@dataclass
class World:
    """Everything, for one history. Implements ``AssetCache`` and ``Reporter`` itself.

    Args:
        scenario: the exchange's world.
        config: the program's configuration.
        crossing: which faults happen where.
    """

    scenario: Mapping[str, Any]
    config: ExecutionConfig
    crossing: Crossing
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    between: Callable[[], None] | None = None
    """What an interrupted invocation is interrupted by."""
    invocations: int = 0
    published: list[ExecutionResult] = field(default_factory=list)
    channel: str = "bus"

    def __post_init__(self) -> None:
        self.exchange = Exchange(self.scenario, self.clock.world)
        self.ledger = Ledger(self.clock)
        self.stack: list[Invocation] = []
        self.journal = InMemoryJournal(self.way, self._observe, parents_each=2)
        self.records = SimulatedRecords(self.way, self.clock.now, lambda: self.stack[-1].ends_at)
        self.watch = Watch(self)
        self._assets: dict[str, Asset] = {}
        self._hidden_until: dict[str, datetime] = {}
        self._service = self._build()

    # --- drive -------------------------------------------------------------------------------------------

    def deliver(self, event: object, seconds: float = 600) -> Delivery:
        """Invoke the handler once. A killed process is followed by a new one."""
        self.invocations += 1
        ends_at = self.clock.now() + timedelta(seconds=seconds)
        invocation = Invocation(self.clock, ends_at, self.invocations, len(self.stack))
        service = self._service if not self.stack else self._build()
        self.stack.append(invocation)
        try:
            answer = handle(event, cast("Any", invocation), cast("Telemetry", self.ledger), lambda: service)
        except Killed:
            self._service = self._build()
            return Delivery(was_killed=True)
        except RebalanceError as error:
            return Delivery(error=error)
        finally:
            self.stack.pop()
            self.watch.look()
        return Delivery(answer)

    # --- every call to the outside -----------------------------------------------------------------------

    def way[T](self, name: str, effect: Callable[[], T], /) -> T:
        """A call whose effect knows nothing of faults."""
        answer: T = self.cross(name, lambda _: effect())
        return answer

    def cross(self, name: str, effect: Callable[[Fault | None], Any]) -> Any:
        """A call to the outside: its effect, and what goes wrong before and after it."""
        if not self.stack:
            return effect(None)
        running = self.stack[-1]
        fault = self._fault(name, running)
        if fault is Fault.KILL_BEFORE:
            self._kill(running, name)
        if fault in (Fault.INTERRUPT, Fault.ZOMBIE):
            self._interrupt(running, is_frozen=fault is Fault.ZOMBIE)
        if fault is Fault.FAIL_BEFORE:
            raise self._failure(name)
        answer = effect(fault)
        if name == "broker.submit":
            self.watch.look()
        if fault is Fault.KILL_AFTER:
            self._kill(running, name)
        if fault is Fault.FAIL_AFTER:
            raise self._failure(name)
        return answer

    def _fault(self, name: str, running: Invocation) -> Fault | None:
        """What goes wrong at this call of a process that lives, and has time left."""
        if running.is_dead:
            raise Killed
        self.clock.sleep(LATENCY)
        if self.clock.now() >= running.ends_at and not running.is_zombie:
            self._kill(running, "time-out")
        fault = self.crossing.fault(name, running)
        if fault is not None:
            self.ledger.lines.append((self.clock.world(), f"! {fault}", {"call": name, "of": running.number}))
        return fault

    def _kill(self, running: Invocation, where: str) -> None:
        running.is_dead = True
        self.ledger.lines.append((self.clock.world(), "! dead", {"at": where, "of": running.number}))
        raise Killed

    def _interrupt(self, running: Invocation, *, is_frozen: bool) -> None:
        if self.between is None:
            return
        if is_frozen:
            running.is_zombie = True
            self.clock.sleep(max(running.ends_at - self.clock.now(), timedelta()) + timedelta(seconds=30))
        self.between()

    def _failure(self, name: str) -> Exception:
        self.clock.sleep(_GIVES_UP)
        if name == "broker.submit":
            return OutcomeUnknown("no answer")
        return _FAILURES[name.split(".")[0]]()

    # --- the program -------------------------------------------------------------------------------------

    def _build(self) -> Service:
        ports = Ports(
            brokers=self._broker,
            journal=self.journal,
            book=self.journal.book,
            assets=self,
            clock=self.clock,
            log=self.ledger,
            reporters=[self],
        )
        return Service(
            account="default",
            plans=cast("Any", None),  # plans come inline here
            front_door=FrontDoor(self.records, self.ledger),
            manager=ExecutionManager(ports, self.config),
            journal=self.journal,
            clock=self.clock,
            telemetry=cast("Telemetry", self.ledger),
            new_run_id=self._new_run_id,
            check_health=lambda _: {},
            watch_day=lambda *_: {},
        )

    def _new_run_id(self) -> str:
        running = self.stack[-1]
        running.run_id = f"run-{running.number}"
        return running.run_id

    def _broker(self, account: str, deadline: Deadline) -> Broker:
        del account, deadline
        broker = SimulatedBroker(self.exchange, self.cross, self.clock, self.watch.submitted, self._hidden_until)
        return BreakingBroker(broker, self.config.max_broker_failures)

    def _observe(self, state: Any, parents: Sequence[Any]) -> None:
        self.watch.journalled(state, parents)

    # --- asset cache and reporter ------------------------------------------------------------------------

    def get(self, symbols: Sequence[str], *, now: datetime) -> Mapping[str, Asset]:
        """Asset flags that are known."""
        del now
        return self.way("assets.get", lambda: {s: self._assets[s] for s in symbols if s in self._assets})

    def put(self, assets: Iterable[Asset], *, now: datetime) -> None:
        """Remember asset flags."""
        del now
        self.way("assets.put", lambda: self._assets.update({asset.symbol: asset for asset in assets}))

    def publish(self, result: ExecutionResult) -> None:
        """Publish a result."""
        self.way("reporter.publish", lambda: self.published.append(result))
