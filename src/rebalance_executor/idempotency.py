"""The front door: Powertools idempotency claims (account, plan id) and answers repeats.

It is a cache of answers, not the guard: its record can expire, be deleted or be overwritten. The journal behind it
is the truth, and nothing there relies on this module. What is stored is small — the answer itself is read from the
journal — because a record may hold 400 KB and a result with many orders is larger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig, idempotent_function
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyInconsistentStateError,
    IdempotencyPersistenceLayerError,
    IdempotencyValidationError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer

from rebalance_executor.domain.errors import (
    JournalContradiction,
    JournalUnavailable,
    PlanChanged,
    PlanInProgress,
    RebalanceError,
)
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import EventLog

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

KEY_PREFIX = "rebalance-executor"
"""Pinned: the default holds the function's name, and a rename would execute dead-letter replays again."""

EXPIRES_AFTER_SECONDS = 45 * 24 * 3600
"""45 days: above the queue's 14 days and the dead-letter queue's 14, with room for a replay of a replay."""


class IdempotencyGate:
    """Lets each (account, plan id) in once at a time, and answers the repeats of a finished plan."""

    def __init__(self, persistence: BasePersistenceLayer, log: EventLog) -> None:
        self._log = log
        self._config = IdempotencyConfig(
            event_key_jmespath="[account, plan_id]",
            payload_validation_jmespath="content_hash",
            raise_on_no_idempotency_key=True,
            expires_after_seconds=EXPIRES_AFTER_SECONDS,
            use_local_cache=False,
            hash_function="sha256",
        )

        def execute_once(*, claim: dict[str, str], execute: Callable[[], ExecutionResult]) -> dict[str, str]:
            result = execute()
            return {"plan_id": claim["plan_id"], "account": claim["account"], "status": result.status.value}

        self._execute_once = idempotent_function(
            execute_once,
            data_keyword_argument="claim",
            persistence_store=persistence,
            config=self._config,
            key_prefix=KEY_PREFIX,
        )

    def run_once(
        self,
        plan: RebalancePlan,
        account: str,
        context: LambdaContext,
        execute: Callable[[], ExecutionResult],
        load_result: Callable[[], ExecutionResult | None],
    ) -> ExecutionResult:
        """The result of ``execute``, or of an earlier execution of the same plan.

        Raises:
            PlanInProgress: another execution holds the claim.
            PlanChanged: the plan id was claimed with other content.
            JournalUnavailable: the record could not be written or read; nothing is known to be wrong.
            JournalContradiction: the record says finished, the journal has no result.
            RebalanceError: whatever ``execute`` raised; its claim is given back.
        """
        executed: list[ExecutionResult] = []
        failed: list[RebalanceError] = []

        def remembered() -> ExecutionResult:
            self._log.emit(LogEvent.PLAN_CLAIMED)
            try:
                executed.append(execute())
            except RebalanceError as error:
                failed.append(error)
                raise
            return executed[0]

        self._config.register_lambda_context(context)  # before the call: otherwise a crash locks for ever
        claim = {"account": account, "plan_id": plan.plan_id, "content_hash": plan.content_hash}
        try:
            self._execute_once(claim=claim, execute=remembered)
        except IdempotencyAlreadyInProgressError:
            raise PlanInProgress("the plan is being executed already; this delivery comes again") from None
        except IdempotencyValidationError:
            text = f"{plan.plan_id} was used before with other content; give the changed plan an id of its own"
            raise PlanChanged("plan_id", text) from None
        except (IdempotencyPersistenceLayerError, IdempotencyInconsistentStateError) as error:
            if failed:
                raise failed[0] from error  # the claim could not be given back; it ends with this invocation
            if not executed:
                raise JournalUnavailable(f"the front door's table did not answer: {error}") from error
            self._log.emit(LogEvent.IDEMPOTENCY_SAVE_FAILED, reason=str(error))  # the journal holds the result
        if executed:
            return executed[0]
        return self._repeat(plan, account, load_result)

    def _repeat(
        self, plan: RebalancePlan, account: str, stored: Callable[[], ExecutionResult | None]
    ) -> ExecutionResult:
        result = stored()
        if result is None:
            raise JournalContradiction(
                f"{plan.plan_id} is recorded as finished, but the journal of {account} has no result of it; "
                "nothing was sent: look at the broker's orders before anything is done",
                plan_id=plan.plan_id,
            )
        self._log.emit(LogEvent.PLAN_DUPLICATE, status=result.status, answered_by="front door")
        return result
