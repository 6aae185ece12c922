"""Exit codes of the operator's commands: one meaning each, so that scripts can branch on them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import (
    ConfigurationError,
    InvalidInput,
    JournalContradiction,
    OverfillGuard,
    Redeliver,
)
from rebalance_executor.domain.result import ExecutionResult, ExecutionStatus


class Exit(IntEnum):
    """Exit code of a command."""

    COMPLETE = 0
    """Done: ``success`` or ``success_with_skips``; every traded item reached what the plan asked for."""
    BROKEN = 1
    """A program or a server failed. The message says which one and where its log is."""
    USAGE = 2
    """The input or the configuration is invalid. The message says what to change."""
    PARTIAL = 3
    """Something was traded, but not every order as planned: some fell short, or were cut to the cash."""
    DENIED = 4
    """Nothing was traded: denied by the controls, rejected by the broker, or not filled."""
    IN_PROGRESS = 5
    """Not finished. The same command continues where it stopped."""
    HALTED = 6
    """An operator has halted trading. Nothing was sent."""
    UNRESOLVED = 7
    """An operator must check the broker's orders before anything else is done."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C."""
    OUTPUT_CLOSED = 141
    """The reader of the output closed it, as in ``rebalance status | head -1``."""


_BY_STATUS = {
    ExecutionStatus.SUCCESS: Exit.COMPLETE,
    ExecutionStatus.SUCCESS_WITH_SKIPS: Exit.COMPLETE,
    ExecutionStatus.PARTIAL_SUCCESS: Exit.PARTIAL,
    ExecutionStatus.FAILURE: Exit.DENIED,
    ExecutionStatus.UNRESOLVED: Exit.UNRESOLVED,
}


_BY_ERROR = {
    InvalidInput.__name__: Exit.USAGE,
    ConfigurationError.__name__: Exit.USAGE,
    Redeliver.__name__: Exit.IN_PROGRESS,
    OverfillGuard.__name__: Exit.UNRESOLVED,
    JournalContradiction.__name__: Exit.UNRESOLVED,
}
"""By class name: an error of the handler's process arrives as the names of its class and base classes."""


class CliError(Exception):
    """Error that ends a command with a message and an exit code instead of a traceback.

    Args:
        problem: one sentence that says what is wrong.
        next_step: the command to type or the thing to change.
        code: the exit code.
    """

    def __init__(self, problem: str, next_step: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(problem)
        self.problem = problem
        self.next_step = next_step
        self.code = code


def result_exit_code(result: ExecutionResult) -> Exit:
    """Return the exit code of a plan that has a result."""
    code = _BY_STATUS[result.status]
    is_halted = any(order.error_code == Code.HALTED for order in result.orders)
    return Exit.HALTED if code is Exit.DENIED and is_halted else code


def error_exit_code(error: Exception) -> Exit:
    """Return the exit code of an invocation that raised this error."""
    return error_types_exit_code(kind.__name__ for kind in type(error).__mro__)


def error_types_exit_code(names: Iterable[str]) -> Exit:
    """Return the exit code of an error, given the names of its class and base classes."""
    return next((_BY_ERROR[name] for name in names if name in _BY_ERROR), Exit.BROKEN)


def batch_exit_code(results: Iterable[ExecutionResult], messages: int, failed: int) -> Exit:
    """Return the exit code of a queue batch: the worst of its plans.

    Args:
        results: results of the plans.
        messages: number of messages.
        failed: number of messages that the queue delivers again; counts as partial, or as denied if all failed.
    """
    codes = [result_exit_code(result) for result in results]
    if failed:
        codes.append(Exit.PARTIAL if failed < messages else Exit.DENIED)
    return max(codes, default=Exit.COMPLETE)
