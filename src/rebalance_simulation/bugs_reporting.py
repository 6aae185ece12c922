"""Deliberate bugs in outcomes, results, answers and publications. The others are in ``bugs``."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig

from rebalance_executor import handler
from rebalance_executor.adapters.dynamodb import journal_actions
from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.domain import result_builder
from rebalance_executor.domain.errors import PlanYielded, Redeliver
from rebalance_executor.domain.journal import PlanPhase
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.execution import manager, publishing
from rebalance_executor.execution.manager import PlanManager
from rebalance_executor.execution.ports import Lease
from rebalance_executor.execution.run import Run
from rebalance_executor.idempotency import IdempotencyGate, _Execution
from rebalance_simulation.bug_tools import Replacement, nothing


def _executed_again(*_: Any, execute: Callable[[], Any], **__: Any) -> Any:
    return execute()


def _result_hidden() -> Callable[..., Any]:
    load = DynamoJournal.load

    def without_result(*args: Any) -> Any:
        journal = load(*args)
        if journal is None or journal.result is None:
            return journal
        return replace(journal, result=None, plan=replace(journal.plan, phase=PlanPhase.BUYS))

    return without_result


def _without_reason() -> Callable[..., ParentOrder]:
    settled = ParentOrder.settled

    def silent(parent: ParentOrder, ended: Outcome, code: Any, message: Any, at: Any) -> ParentOrder:
        return settled(parent, ended, code, "" if ended is Outcome.UNRESOLVED else message, at)

    return silent


def _one_more_run(result: ExecutionResult) -> ExecutionResult:
    return result.model_copy(update={"runs": result.runs + 1})


def _different_answer() -> Callable[..., Any]:
    stored_result = IdempotencyGate._stored_result  # noqa: SLF001 - a bug
    return lambda *args: _one_more_run(stored_result(*args))


def _different_publication() -> Callable[..., Any]:
    publish = publishing.publish
    return lambda ports, lease, result, *published: publish(ports, lease, _one_more_run(result), *published)


def _released_only(self: PlanManager, lease: Lease, plan_id: str) -> None:
    self._ports.journal.mark_published(lease, plan_id, (), self._ports.clock.now())


def _published_after_its_release() -> Callable[..., None]:
    finish = DynamoJournal.finish

    def finished(*args: Any, to_publish: bool, **fields: Any) -> None:
        del to_publish
        finish(*args, **fields)

    return finished


def _stopped_by_a_claim() -> Callable[..., Any]:
    def stopped(_: Any, reason: str) -> Any:
        raise Redeliver(reason)

    return stopped


def _planned_shares_filled() -> Callable[..., Any]:
    order_result = result_builder._order_result  # noqa: SLF001 - a bug

    def filled(*args: Any) -> Any:
        result = order_result(*args)
        return result.model_copy(update={"shares": result.planned_shares})

    return filled


def _yield_recorded() -> Callable[..., Any]:
    answer = IdempotencyGate.run_once

    def answered(*args: Any, **given: Any) -> Any:
        execute = given.pop("execute")

        def ended() -> Any:
            try:
                return execute()
            except PlanYielded:
                return SimpleNamespace(status=Outcome.FILLED, model_dump=dict)

        return answer(*args, **given | {"execute": ended})

    return answered


def _final_outcomes_dropped() -> Callable[..., Any]:
    finish = PlanManager._finish  # noqa: SLF001 - a bug

    def finished(self: Any, run: Run, differing: Any) -> Any:
        run.work.changed.clear()
        return finish(self, run, differing)

    return finished


def _failures_hidden() -> Callable[..., Any]:
    answer = handler._answer_queue  # noqa: SLF001 - a bug

    def answered(*args: Any) -> Any:
        answer(*args)
        return {"batchItemFailures": []}

    return answered


def _without_context() -> Callable[..., None]:
    warnings.filterwarnings("ignore", "Couldn't determine the remaining time")  # Powertools warns of it
    return nothing


REPORTING_BUGS: dict[str, list[Replacement]] = {
    "the result reports planned shares as filled": [(result_builder, "_order_result", _planned_shares_filled)],
    "a yield is recorded as a result": [(IdempotencyGate, "run_once", _yield_recorded)],
    "final outcomes are not journalled": [(PlanManager, "_finish", _final_outcomes_dropped)],
    "the result of a killed run is not published": [(PlanManager, "_publish_earlier", lambda: _released_only)],
    "the account is released before its result is published": [
        (DynamoJournal, "finish", _published_after_its_release),
    ],
    "a published result is not recorded": [(DynamoJournal, "mark_published", lambda: nothing)],
    "failed queue messages are reported as done": [(handler, "_answer_queue", _failures_hidden)],
    "an idempotency claim never expires": [(IdempotencyConfig, "register_lambda_context", _without_context)],
    "a claim in progress stops a plan": [(_Execution, "run_unclaimed", _stopped_by_a_claim)],
    "a stored result is overwritten": [
        (IdempotencyGate, "run_once", lambda: _executed_again),
        (DynamoJournal, "load", _result_hidden),
        (journal_actions, "PLAN_IS_WRITABLE", lambda: f"{journal_actions.PLAN_IS_WRITABLE} OR attribute_exists(pk)"),
        (journal_actions, "IS_ABSENT", lambda: "attribute_not_exists(pk) OR attribute_exists(pk)"),
    ],
    "an unresolved item has no reason": [(ParentOrder, "settled", _without_reason)],
    "a redelivered plan gets a different result": [(IdempotencyGate, "_stored_result", _different_answer)],
    "the published result differs from the stored one": [(manager, "publish", _different_publication)],
}
"""By name: what each bug replaces."""
