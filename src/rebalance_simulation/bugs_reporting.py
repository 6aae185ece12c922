"""Deliberate bugs in what is told: outcomes, results, answers, publications. The others are in ``bugs``."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from aws_lambda_powertools.utilities.idempotency import IdempotencyConfig

from rebalance_executor import handler
from rebalance_executor.adapters.dynamodb import journal
from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.domain import result_builder
from rebalance_executor.domain.errors import PlanYielded
from rebalance_executor.domain.journal import PlanPhase
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.execution import manager
from rebalance_executor.execution.run import Run
from rebalance_executor.idempotency import IdempotencyGate

Swap = tuple[Any, str, Callable[[], Any]]
"""Where, which name, and what makes the bug that stands there instead."""


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _executed_anew(*_: Any, execute: Callable[[], Any], **__: Any) -> Any:
    return execute()


def _result_forgotten() -> Callable[..., Any]:
    load = DynamoJournal.load

    def forgotten(*args: Any) -> Any:
        known = load(*args)
        if known is None or known.result is None:
            return known
        return replace(known, result=None, plan=replace(known.plan, phase=PlanPhase.BUYS))

    return forgotten


def _without_reason() -> Callable[..., ParentOrder]:
    settled = ParentOrder.settled

    def silent(parent: ParentOrder, ended: Outcome, code: Any, message: Any, at: Any) -> ParentOrder:
        return settled(parent, ended, code, "" if ended is Outcome.UNRESOLVED else message, at)

    return silent


def _one_more(told: ExecutionResult) -> ExecutionResult:
    return told.model_copy(update={"runs": told.runs + 1})


def _answered_otherwise() -> Callable[..., Any]:
    repeat = IdempotencyGate._repeat  # noqa: SLF001 - a bug
    return lambda *args: _one_more(repeat(*args))


def _published_otherwise() -> Callable[..., Any]:
    report = manager.ExecutionManager._report  # noqa: SLF001 - a bug
    return lambda self, told, *already: report(self, _one_more(told), *already)


def _everything_filled() -> Callable[..., Any]:
    told = result_builder._order_result  # noqa: SLF001 - a bug

    def invented(*args: Any) -> Any:
        result = told(*args)
        return result.model_copy(update={"shares": result.planned_shares})

    return invented


def _yield_is_an_end() -> Callable[..., Any]:
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


def _last_outcomes_lost() -> Callable[..., Any]:
    finish = manager.ExecutionManager._finish  # noqa: SLF001 - a bug

    def finished(self: Any, run: Run, differing: Any) -> Any:
        run.dirty.clear()
        return finish(self, run, differing)

    return finished


def _all_went_well() -> Callable[..., Any]:
    answer = handler._answer_queue  # noqa: SLF001 - a bug

    def answered(*args: Any) -> Any:
        answer(*args)
        return {"batchItemFailures": []}

    return answered


def _without_context() -> Callable[..., None]:
    warnings.filterwarnings("ignore", "Couldn't determine the remaining time")  # Powertools notices, too
    return _nothing


TOLD: dict[str, list[Swap]] = {
    "the result is invented": [(result_builder, "_order_result", _everything_filled)],
    "a yield is remembered as an end": [(IdempotencyGate, "run_once", _yield_is_an_end)],
    "the last outcomes are not journalled": [(manager.ExecutionManager, "_finish", _last_outcomes_lost)],
    "a published result is not noted": [(DynamoJournal, "mark_published", lambda: _nothing)],
    "a queue is told that all went well": [(handler, "_answer_queue", _all_went_well)],
    "a claim never ends": [(IdempotencyConfig, "register_lambda_context", _without_context)],
    "a result is overwritten": [
        (IdempotencyGate, "run_once", lambda: _executed_anew),
        (DynamoJournal, "load", _result_forgotten),
        (journal, "_PLAN_IS_WRITABLE", lambda: f"{journal._PLAN_IS_WRITABLE} OR attribute_exists(pk)"),  # noqa: SLF001 - a bug
        (journal, "_ABSENT", lambda: "attribute_not_exists(pk) OR attribute_exists(pk)"),
    ],
    "doubt has no reason": [(ParentOrder, "settled", _without_reason)],
    "a repeat is answered otherwise": [(IdempotencyGate, "_repeat", _answered_otherwise)],
    "a result is published otherwise": [(manager.ExecutionManager, "_report", _published_otherwise)],
}
"""By name; each bug replaces what is listed."""
