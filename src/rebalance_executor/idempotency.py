"""Idempotency with Powertools: one execution per (account, plan ID); a redelivered plan gets its stored result.

The idempotency table is a cache of answers, not a lock: its records can expire, be deleted or be overwritten, and a
claim can belong to a killed run, or to this very invocation if DynamoDB's acknowledgement was lost. So a claim stops
no run: a plan whose record is claimed, or cannot be claimed, proceeds to the account's lease, which alone decides which
run works. The journal is the source of truth and does not rely on this module. A record is small, because it is
limited to 400 KB and a result with many orders is larger. The result itself is read from the journal.
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

from rebalance_executor.domain.errors import JournalContradiction
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import EventLog

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

KEY_PREFIX = "rebalance-executor"
"""A constant, because the default contains the function's name: after a rename, replayed messages would run again."""

EXPIRES_AFTER_SECONDS = 45 * 24 * 3600
"""45 days: the queue (4 days) and its dead-letter queue (14 days) keep a plan up to 36 days if it is replayed once."""


class _Execution:
    """One execution, with or without a claim, with its result or its error.

    They are kept here because Powertools returns only the record and may wrap the error.
    """

    def __init__(self, execute: Callable[[], ExecutionResult], log: EventLog) -> None:
        self._execute = execute
        self._log = log
        self.result: ExecutionResult | None = None
        self.error: Exception | None = None

    def run_claimed(self) -> ExecutionResult:
        """Execute the plan under a claim."""
        self._log.emit(LogEvent.PLAN_CLAIMED)
        return self._run()

    def run_unclaimed(self, reason: str) -> ExecutionResult:
        """Execute the plan without a claim: the lease excludes a second run, and the record is left to expire."""
        self._log.emit(LogEvent.IDEMPOTENCY_BYPASSED, reason=reason)
        return self._run()

    def _run(self) -> ExecutionResult:
        """Execute the plan; keep its result, or keep its error and raise it again."""
        try:
            self.result = self._execute()
        except Exception as error:
            self.error = error
            raise
        return self.result


class IdempotencyGate:
    """A gate that answers repeated deliveries of a finished (account, plan ID) with the stored result.

    A plan without a finished record is executed: the lease and the journal make sure that this happens once.

    Args:
        persistence: Powertools' persistence layer.
        log: receives log events.
    """

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

        # Powertools wraps a function once, not per call. Each call therefore passes its own ``execute``. The wrapped
        # function returns the content of the record, because the result may be too large for it.
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
        """Return the result of ``execute``, or of an earlier execution of the same plan.

        Args:
            plan: the plan.
            account: the account it is executed on.
            context: Lambda's context; a claim expires at the invocation's deadline.
            execute: executes the plan under the account's lease, or returns its result from the journal. It is not
                called if the record says that the plan was finished before.
            load_result: reads the stored result of a finished plan.

        Raises:
            JournalContradiction: the record says finished, but the journal has no result.
            RebalanceError: raised by ``execute``; a claim of this call is released.
        """
        execution = _Execution(execute, self._log)
        self._config.register_lambda_context(
            context
        )  # before the call; without it, the record of a killed run never completes
        claim = {"account": account, "plan_id": plan.plan_id, "content_hash": plan.content_hash}
        bypass: str | None = None
        try:
            self._execute_once(claim=claim, execute=execution.run_claimed)
        except IdempotencyAlreadyInProgressError:
            bypass = "the record is claimed, by another run or by one that was killed"
        except IdempotencyValidationError:  # claimed with other content, perhaps by a run that never started a plan
            bypass = "the record has other content; the journal decides which content the plan ID has"
        except (IdempotencyPersistenceLayerError, IdempotencyInconsistentStateError) as error:
            if execution.error is not None:
                raise execution.error from error  # the claim was not released; it expires with this invocation
            if execution.result is None:
                bypass = f"the idempotency table did not answer: {error}"
            else:
                self._log.emit(LogEvent.IDEMPOTENCY_SAVE_FAILED, reason=str(error))  # the journal has the result
        if bypass is not None:
            return execution.run_unclaimed(bypass)
        return execution.result or self._stored_result(plan, account, load_result)

    def _stored_result(
        self, plan: RebalancePlan, account: str, load_result: Callable[[], ExecutionResult | None]
    ) -> ExecutionResult:
        result = load_result()
        if result is None:
            raise JournalContradiction(
                f"the idempotency table records plan {plan.plan_id} as finished, but the journal of account {account} "
                "has no result of it; nothing was sent. Look at the broker's orders before you continue.",
                plan_id=plan.plan_id,
            )
        self._log.emit(LogEvent.PLAN_DUPLICATE, status=result.status, answered_by="idempotency")
        return result
