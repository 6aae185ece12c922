"""A fake of the channel on which results are published."""

from __future__ import annotations

from rebalance_executor.domain.result import ExecutionResult


class FakePublisher:
    """Implementation of ``ResultPublisher`` in memory."""

    def __init__(self, channel: str = "bus") -> None:
        self.channel = channel
        self.published: list[ExecutionResult] = []
        self.errors: list[Exception] = []

    def publish(self, result: ExecutionResult) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.published.append(result)
