"""The parts of a world that the invariants read."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Protocol

from paper_broker.exchange import Exchange
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.result import ExecutionResult
from rebalance_simulation.api import BrokerSide
from rebalance_simulation.clock import SimulatedClock
from rebalance_simulation.faults import FaultInjector
from rebalance_simulation.invocation import Invocation
from rebalance_simulation.ledger import Ledger
from rebalance_simulation.log_capture import CapturedLog


class WorldView(Protocol):
    """A world, as far as ``InvariantChecker`` reads it."""

    start: datetime
    config: ExecutionConfig
    clock: SimulatedClock
    exchange: Exchange
    ledger: Ledger
    log: CapturedLog
    broker: BrokerSide
    faults: FaultInjector
    event_counts: Counter[str]
    flags_withdrawn_until: dict[str, datetime]
    accounts: tuple[str, ...]
    published: list[ExecutionResult]

    @property
    def current(self) -> Invocation:
        """The invocation that makes the current call."""
        ...

    def is_market_closed(self) -> bool:
        """Return whether the market is closed now and was closed a second ago."""
        ...
