"""Lambda's context object, with a timeout that the caller chooses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FakeContext:
    """The part of Lambda's context that the handler and Powertools read.

    Args:
        remaining_seconds: returns the seconds left until the invocation times out.
    """

    remaining_seconds: Callable[[], float]
    aws_request_id: str = "request"
    function_name: str = "rebalance"
    function_version: str = "$LATEST"
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:rebalance"
    memory_limit_in_mb: int = 512
    log_group_name: str = "/aws/lambda/rebalance"
    log_stream_name: str = "local"

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds left until the timeout, 0 after it."""
        return max(0, int(self.remaining_seconds() * 1000))
