"""Errors of the sandbox; ``rebalance_cli`` prints them and chooses the exit code."""

from __future__ import annotations

from collections.abc import Sequence


class SandboxError(Exception):
    """The input or this machine must change before the sandbox can continue.

    Args:
        problem: one sentence that says what is wrong.
        next_step: the thing to change or to do.
        command: words of the ``rebalance`` command that does it, if there is one.
    """

    def __init__(self, problem: str, next_step: str, command: Sequence[str] = ()) -> None:
        super().__init__(problem)
        self.problem = problem
        self.next_step = next_step
        self.command = tuple(command)


class SandboxFailed(SandboxError):
    """A server or the function's process failed."""


class SandboxUnfinished(SandboxError):
    """The work is not finished, or another command is using the data; the same command succeeds later."""
