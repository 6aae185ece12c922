"""Errors of the sandbox; ``rebalance_cli`` prints them and chooses the exit code."""

from __future__ import annotations


class SandboxError(Exception):
    """The input or this machine must change before the sandbox can do what was asked.

    Args:
        problem: one sentence that says what is wrong.
        next_step: the command to type or the thing to change.
    """

    def __init__(self, problem: str, next_step: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.next_step = next_step


class SandboxFailed(SandboxError):
    """A server or the function's process failed."""


class SandboxUnfinished(SandboxError):
    """The work is not finished, or another command is using the data; the same command succeeds later."""
