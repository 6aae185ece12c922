"""The service: fetches and validates the plan of a request, executes it once and returns the answer."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from rebalance_executor.domain.errors import InvalidInput, UnknownAccount
from rebalance_executor.domain.plan import RebalancePlan, unknown_fields
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.manager import ExecutionManager
from rebalance_executor.execution.ports import Clock, Journal
from rebalance_executor.idempotency import IdempotencyGate
from rebalance_executor.telemetry import Telemetry
from rebalance_executor.triggers import (
    DailyCheckRequest,
    HealthRequest,
    PlanDocument,
    PlanPointer,
    PlanVersion,
    QueueMessage,
    Request,
    decode,
)

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


class PlanStore(Protocol):
    """Storage of plan documents that are too large for an event or wait for a schedule."""

    def fetch(self, version: PlanVersion) -> tuple[bytes, PlanVersion]:
        """Return the document and the version that it is.

        Raises:
            InvalidInput, ConfigurationError: the document can never be read.
            PlanSourceUnavailable: the storage did not answer.
        """
        ...


class DeliveryLog(Protocol):
    """The durable record of which version of a plan document the deliveries of an event execute."""

    def pin(self, delivery_id: str, version: PlanVersion, at: datetime) -> PlanVersion:
        """Record the version that the first delivery read; return the recorded one.

        Raises:
            JournalUnavailable: the database did not answer.
        """
        ...


class PlanQueue(Protocol):
    """The queue that delivers plans. Its methods set when a message is delivered again, and never raise."""

    def extend_visibility(self, message: QueueMessage, remaining: timedelta) -> None:
        """Hide the message while this invocation can work on it, for up to ``remaining``."""
        ...

    def schedule_redelivery(self, message: QueueMessage, error: Exception) -> None:
        """Set the time of the next delivery after this one failed with ``error``."""
        ...


@dataclass(frozen=True, slots=True)
class Service:
    """The collaborators of an invocation, built once per container by ``bootstrap``."""

    account: str
    """The deployed account's name, for plans that do not name an account."""
    plans: PlanStore
    delivery_log: DeliveryLog
    idempotency: IdempotencyGate
    queue: PlanQueue
    manager: ExecutionManager
    journal: Journal
    clock: Clock
    telemetry: Telemetry
    new_run_id: Callable[[], str]
    check_health: Callable[[Deadline], dict[str, Any]]
    check_day: Callable[[Deadline], dict[str, Any]]
    accounts: Collection[str] = ()
    """Names of all accounts that plans may name; empty for every account that has credentials."""

    def answer(self, request: Request, context: LambdaContext) -> dict[str, Any]:
        """Return the JSON answer to one request.

        Raises:
            InvalidInput, ConfigurationError: the request can never succeed; the message names the field.
            Redeliver: the plan is not finished; the next delivery resumes it.
            RebalanceError: the program stopped itself; an operator must look.
        """
        if isinstance(request, HealthRequest):
            return self.check_health(self._deadline(context))
        if isinstance(request, DailyCheckRequest):
            return self.check_day(self._deadline(context))
        if isinstance(request, PlanPointer):
            document, source = self._fetch(request, request.delivery_id or context.aws_request_id)
            return self._execute(document, context, source)
        return self._execute(request.body, context, None)

    def _fetch(self, pointer: PlanPointer, delivery_id: str) -> tuple[object, str]:
        """Return the decoded document that a pointer names, and its version as text.

        A pointer without a version is resolved once: later deliveries of the same event read what the first one read,
        also if the object was replaced in between.
        """
        wanted = PlanVersion(pointer.bucket, pointer.key, pointer.version_id)
        body, version = self.plans.fetch(wanted)
        if pointer.version_id is None:
            pinned = self.delivery_log.pin(delivery_id, version, self.clock.now())
            if pinned != version:
                self.telemetry.emit(LogEvent.PLAN_VERSION_PINNED, source=pinned.url, latest=version.url)
                body, version = self.plans.fetch(pinned)
        request = decode(body)
        if not isinstance(request, PlanDocument):
            raise InvalidInput("plan_s3", "the object contains a pointer or another request; it must contain the plan")
        return request.body, version.url

    def _execute(self, document: object, context: LambdaContext, source: str | None) -> dict[str, Any]:
        plan = RebalancePlan.parse(document)
        account = plan.account or self.account
        run_id = self.new_run_id()
        deadline = self._deadline(context)
        self.telemetry.bind_plan(plan, account, run_id)
        self.telemetry.emit(
            LogEvent.PLAN_RECEIVED, items=len(plan.items), content_hash=plan.content_hash, source=source
        )
        if self.accounts and account not in self.accounts:
            served = ", ".join(sorted(self.accounts))
            raise UnknownAccount("account", f"{account!r} is not served here; ACCOUNTS names {served}")
        if ignored := unknown_fields(document):
            self.telemetry.emit(LogEvent.PLAN_FIELDS_IGNORED, fields=ignored)
        result = self.idempotency.run_once(
            plan,
            account,
            context,
            execute=lambda: self.manager.execute(plan, account, deadline, run_id, source),
            load_result=lambda: self.journal.result(account, plan.plan_id),
        )
        return result.model_dump(mode="json")

    def _deadline(self, context: LambdaContext) -> Deadline:
        remaining = timedelta(milliseconds=context.get_remaining_time_in_millis())
        return Deadline.after(self.clock.now(), remaining)
