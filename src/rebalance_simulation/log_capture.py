"""The program's log in memory: the events and fields that Powertools' logger would write, with the world's time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

from rebalance_simulation.clock import SimulatedClock

Line = tuple[datetime, int, str, Mapping[str, object]]
"""World time, process number, event and fields. Lines of the simulation itself have process 0."""


class CapturedLog:
    """The log lines of all processes and of the simulation."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self.lines: list[Line] = []

    def append(self, process: int, event: str, fields: Mapping[str, object]) -> None:
        """Add a line with the current world time."""
        self.lines.append((self._clock.world(), process, event, fields))

    def containing(self, text: str) -> list[Line]:
        """Return the lines that have this text in a field."""
        return [line for line in self.lines if any(text in str(value) for value in line[3].values())]


class SimulatedLogger:
    """The parts of Powertools' logger that the program uses."""

    def __init__(self, log: CapturedLog, process: int) -> None:
        self._log = log
        self._process = process

    def info(self, message: str, *, extra: Mapping[str, object], exc_info: object = None) -> None:
        """Add a line; the log level is dropped."""
        fields = {"error": repr(exc_info), **extra} if exc_info is not None else extra
        self._log.append(self._process, message, fields)

    warning = error = critical = info

    def append_keys(self, **keys: object) -> None:
        """Do nothing: captured lines have the fields of their own event only."""

    def remove_keys(self, keys: Iterable[str]) -> None:
        """Do nothing, as ``append_keys``."""


class NoTracing:
    """Tracing that records nothing."""

    request = None

    def invocation(self) -> AbstractContextManager[None]:
        """Return an empty context manager."""
        return nullcontext()

    def annotate(self, *_: object) -> None:
        """Do nothing."""


class NoMetrics:
    """Metrics that record nothing."""

    metric_set: Mapping[str, object] = {}

    def add_metric(self, *_: object) -> None:
        """Do nothing."""
