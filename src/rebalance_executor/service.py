"""The service: fetches and validates the plan of a request, executes it once and returns the answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from rebalance_executor.domain.errors import (
    AuctionPending,
    ConfigurationError,
    InvalidInput,
    RebalanceError,
    UnknownAccount,
)
from rebalance_executor.domain.journal import PlanJournal
from rebalance_executor.domain.plan import RebalancePlan, unknown_fields
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.manager import PlanManager
from rebalance_executor.execution.ports import Clock, Journal
from rebalance_executor.idempotency import IdempotencyGate
from rebalance_executor.telemetry import Telemetry
from rebalance_executor.triggers import (
    DailyCheckRequest,
    DeliveredPlan,
    DryRunRequest,
    HealthRequest,
    PlanDocument,
    PlanPointer,
    PlanVersion,
    QueueMessage,
    Request,
    ResumeRequest,
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

    def pin(self, delivery_id: str, delivered: DeliveredPlan, at: datetime) -> DeliveredPlan:
        """Record what the first delivery read; return what is recorded.

        Raises:
            JournalUnavailable: the database did not answer.
        """
        ...

    def pinned(self, delivery_id: str) -> DeliveredPlan | None:
        """Return what the first delivery read, or None if none has read anything.

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
    manager: PlanManager
    journal: Journal
    clock: Clock
    telemetry: Telemetry
    new_run_id: Callable[[], str]
    check_health: Callable[[Deadline], dict[str, Any]]
    """Answers a health request: whether each dependency answers."""
    check_day: Callable[[Deadline], dict[str, Any]]
    """Answers a request for the daily check, see ``daily_check``."""
    resume_plans: Callable[[Deadline], dict[str, Any]]
    """Answers a request to finish the plans that wait for no delivery any more."""
    carried_plans: Callable[[], Iterable[RebalancePlan]]
    """Returns the carried plans that may be started now."""
    dry_run: Callable[[RebalancePlan, Deadline], dict[str, Any]]
    """Sizes and prices a plan that names its account, see ``dry_run``."""
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
        if isinstance(request, ResumeRequest):
            return self.resume_plans(self._deadline(context)) | {"carried": self._start_carried(context)}
        if isinstance(request, DryRunRequest):
            return self._answer_dry_run(request, context)
        if isinstance(request, PlanPointer):
            return self._answer_pointer(request, context)
        return self._execute(request.body, context, None)

    def _answer_dry_run(self, request: DryRunRequest, context: LambdaContext) -> dict[str, Any]:
        plan = RebalancePlan.parse(request.body)
        account = self._served(plan)
        answer = self.dry_run(plan.model_copy(update={"account": account}), self._deadline(context))
        self.telemetry.emit(LogEvent.DRY_RUN_COMPLETED, items=len(answer["items"]))
        return answer

    def _served(self, plan: RebalancePlan) -> str:
        """Return the name of the plan's account.

        Raises:
            UnknownAccount: this function does not serve it.
        """
        account = plan.account or self.account
        if self.accounts and account not in self.accounts:
            served = ", ".join(sorted(self.accounts))
            raise UnknownAccount("account", f"{account!r} is not served here; ACCOUNTS names {served}")
        return account

    def _start_carried(self, context: LambdaContext) -> list[dict[str, Any]]:
        """Start the plans that carry what auctions left; return what became known of each.

        One that does not finish now is finished by the next resume request, daily check or plan of its account.
        """
        answers: list[dict[str, Any]] = []
        for plan in self.carried_plans():
            known = {"plan_id": plan.plan_id, "account": plan.account}
            try:
                result = self._execute(plan.model_dump(mode="json"), context, None)
                answers.append({**known, "status": result["status"]})
            except RebalanceError as error:
                self.telemetry.error(error)
                answers.append({**known, "status": "in_progress", "code": error.code, "message": str(error)})
            finally:
                self.telemetry.unbind_plan()
        return answers

    def pending(self, pending: AuctionPending) -> dict[str, Any]:
        """Log that a plan waits for its auction; return its state as JSON."""
        plan = self.telemetry.bound_plan
        self.telemetry.error(pending)
        return {
            "status": "in_progress",
            "plan_id": plan.plan_id if plan is not None else None,
            "account": (plan.account if plan is not None else None) or self.account,
            "code": pending.code,
            "message": str(pending),
            "retry_at": pending.retry_at.isoformat() if pending.retry_at is not None else None,
        }

    def _answer_pointer(self, pointer: PlanPointer, context: LambdaContext) -> dict[str, Any]:
        """Execute the plan that a pointer names.

        A pointer without a version is resolved once: later deliveries of the same event execute what the first one
        read, also if the object was replaced or deleted in between.
        """
        wanted = PlanVersion(pointer.bucket, pointer.key, pointer.version_id)
        if pointer.version_id is not None:
            return self._execute_object(*self.plans.fetch(wanted), context)
        delivery_id = pointer.delivery_id or context.aws_request_id
        try:
            body, latest = self.plans.fetch(wanted)
        except (InvalidInput, ConfigurationError):  # S3 may say the latter of a missing object
            first = self.delivery_log.pinned(delivery_id)
            if first is None:
                raise
            self.telemetry.emit(LogEvent.PLAN_VERSION_PINNED, source=first.version.url)
        else:
            first = self.delivery_log.pin(delivery_id, self._delivered(body, latest), self.clock.now())
            if first.version == latest:
                return self._execute_object(body, latest, context)
            self.telemetry.emit(LogEvent.PLAN_VERSION_PINNED, source=first.version.url, latest=latest.url)
        return self._execute_first(first, context)

    def _execute_first(self, first: DeliveredPlan, context: LambdaContext) -> dict[str, Any]:
        """Execute what the first delivery read. If the object is gone, the journal has the plan, if it was started."""
        try:
            body, version = self.plans.fetch(first.version)
        except (InvalidInput, ConfigurationError):
            journal = self._load(first)
            if journal is not None and journal.result is not None:
                self.telemetry.emit(
                    LogEvent.PLAN_DUPLICATE,
                    plan_id=journal.plan.plan_id,
                    account=journal.plan.account,
                    status=journal.result.status,
                    answered_by="journal",
                )
                if not journal.published:  # an earlier run may have ended before it did
                    self.manager.finish_left_alone(journal.plan.account, self._deadline(context), self.new_run_id())
                return journal.result.model_dump(mode="json")
            if journal is None or journal.document is None:
                raise
            return self._execute(journal.document.model_dump(mode="json"), context, first.version.url)
        return self._execute_object(body, version, context)

    def _load(self, first: DeliveredPlan) -> PlanJournal | None:
        if first.account is None or first.plan_id is None:
            return None
        return self.journal.load(first.account, first.plan_id)

    def _execute_object(self, body: bytes, version: PlanVersion, context: LambdaContext) -> dict[str, Any]:
        return self._execute(_document(body), context, version.url)

    def _delivered(self, body: bytes, version: PlanVersion) -> DeliveredPlan:
        """Return what was read. A document that is not a plan is recorded without one; it is invalid later."""
        try:
            plan = RebalancePlan.parse(_document(body))
        except InvalidInput:
            return DeliveredPlan(version)
        return DeliveredPlan(version, plan.account or self.account, plan.plan_id)

    def _execute(self, document: object, context: LambdaContext, source: str | None) -> dict[str, Any]:
        plan = RebalancePlan.parse(document)
        account = plan.account or self.account
        run_id = self.new_run_id()
        deadline = self._deadline(context)
        self.telemetry.bind_plan(plan, account, run_id)
        self.telemetry.emit(
            LogEvent.PLAN_RECEIVED, items=len(plan.items), content_hash=plan.content_hash, source=source
        )
        self._served(plan)
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


def _document(body: bytes) -> object:
    """Return the decoded plan in an object."""
    request = decode(body)
    if not isinstance(request, PlanDocument):
        raise InvalidInput("plan_s3", "the object contains a pointer or another request; it must contain the plan")
    return request.body
