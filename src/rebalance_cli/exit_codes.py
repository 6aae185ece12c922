"""Exit codes of the operator's commands: one meaning each, so that scripts can branch on them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from rebalance_executor.domain.errors import (
    ConfigurationError,
    InvalidInput,
    JournalContradiction,
    OverfillGuard,
    Redeliver,
)
from rebalance_executor.domain.result import ExecutionResult, ExecutionStatus

HALTED = "HALTED"
"""Error code of orders that were not sent because an operator had halted trading."""


class Exit(IntEnum):
    """How a command ended."""

    COMPLETE = 0
    """Done: ``success`` or ``success_with_skips``."""
    BROKEN = 1
    """A program or a server broke; says which, and where its log is."""
    USAGE = 2
    """The input or the environment can never work as it stands; the sentence says what to mend."""
    PARTIAL = 3
    """Some was done and some was not."""
    DENIED = 4
    """Nothing was traded: controls or the broker refused, or nothing filled."""
    IN_PROGRESS = 5
    """Not finished: run the same command again, it goes on where it stopped."""
    HALTED = 6
    """An operator has halted trading; nothing was sent."""
    UNRESOLVED = 7
    """An operator must look at the broker's orders before anything else is done."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C."""


_BY_STATUS = {
    ExecutionStatus.SUCCESS: Exit.COMPLETE,
    ExecutionStatus.SUCCESS_WITH_SKIPS: Exit.COMPLETE,
    ExecutionStatus.PARTIAL_SUCCESS: Exit.PARTIAL,
    ExecutionStatus.FAILURE: Exit.DENIED,
    ExecutionStatus.UNRESOLVED: Exit.UNRESOLVED,
}


class CliError(Exception):
    """Ends a command with a sentence and its exit code, without a traceback.

    Args:
        problem: what is wrong, one sentence.
        next_step: what to type or change now.
        code: the exit code.
    """

    def __init__(self, problem: str, next_step: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(problem)
        self.problem = problem
        self.next_step = next_step
        self.code = code


def result_exit_code(result: ExecutionResult) -> Exit:
    """The exit code of a plan that reached a result."""
    code = _BY_STATUS[result.status]
    halted = any(order.error_code == HALTED for order in result.orders)
    return Exit.HALTED if code is Exit.DENIED and halted else code


def error_exit_code(error: Exception) -> Exit:
    """The exit code of a delivery that ended with an error."""
    if isinstance(error, InvalidInput | ConfigurationError):
        return Exit.USAGE
    if isinstance(error, Redeliver):
        return Exit.IN_PROGRESS
    if isinstance(error, OverfillGuard | JournalContradiction):
        return Exit.UNRESOLVED
    return Exit.BROKEN


def batch_exit_code(results: Iterable[ExecutionResult], messages: int, failed: int) -> Exit:
    """The exit code of a queue's batch: the worst of its plans; failed messages make it partial, or denied if all."""
    codes = [result_exit_code(result) for result in results]
    if failed:
        codes.append(Exit.PARTIAL if failed < messages else Exit.DENIED)
    return max(codes, default=Exit.COMPLETE)
