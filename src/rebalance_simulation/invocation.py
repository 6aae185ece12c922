"""One Lambda invocation of the simulated program, and how a delivery ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rebalance_executor.domain.errors import RebalanceError
from rebalance_simulation.clock import SimulatedClock
from rebalance_simulation.faults import Fault


@dataclass(slots=True)
class Invocation:
    """Lambda's context, with the state of the process."""

    clock: SimulatedClock
    ends_at: datetime
    """Timeout of the invocation."""
    number: int
    process: int
    """Number of the process that runs it."""
    aws_request_id: str
    is_nested: bool
    """True if it runs while another invocation is interrupted."""
    function_name: str = "simulated"
    account: str = ""
    """Account name of the current run."""
    run_id: str = ""
    has_asked_broker: bool = False
    """True once it sent a request to the broker."""
    stop_at: datetime | None = None
    """Time at which the current run stops sending orders."""
    is_dead: bool = False
    """True once its process was killed."""
    faults: list[tuple[str, Fault]] = field(default_factory=list)
    """Faults that were injected into it, each with the name of its call."""
    is_zombie: bool = False
    """True if it was frozen beyond its timeout and resumed: the timeout does not end it."""

    @property
    def is_disturbed(self) -> bool:
        """True once a fault was injected into it."""
        return bool(self.faults)

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the timeout, at least zero."""
        return max(0, int((self.ends_at - self.clock.now()).total_seconds() * 1000))


@dataclass(frozen=True, slots=True)
class Delivery:
    """The end of one delivery: an answer, an error, or neither if the process was killed."""

    answer: dict[str, Any] | None = None
    error: RebalanceError | None = None
    was_killed: bool = False
    run_id: str = ""
    """The run that gave the answer, the last one of its invocation."""
