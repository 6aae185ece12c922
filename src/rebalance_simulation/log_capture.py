"""The program's log in memory: what Powertools' logger and metrics are asked to write, with the world's time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

from rebalance_simulation.clock import SimulatedClock

Line = tuple[datetime, int, str, Mapping[str, object]]
"""The world's time, the process, the event and its fields."""


class CapturedLog:
    """Every line of all processes, and what the simulation has to say between them."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self.all: list[Line] = []

    def tell(self, process: int, event: str, fields: Mapping[str, object]) -> None:
        """One line."""
        self.all.append((self._clock.world(), process, event, fields))

    def holding(self, secret: str) -> list[Line]:
        """The lines that show this text."""
        return [line for line in self.all if any(secret in str(value) for value in line[3].values())]


class SimulatedLogger:
    """What the program uses of Powertools' logger."""

    def __init__(self, lines: CapturedLog, process: int) -> None:
        self._lines = lines
        self._process = process
        self._keys: dict[str, object] = {}

    def info(self, message: str, *, extra: Mapping[str, object], exc_info: object = None) -> None:
        """One line; severities are the same here."""
        shown = {"error": repr(exc_info), **extra} if exc_info is not None else extra
        self._lines.tell(self._process, message, shown)

    warning = error = critical = info

    def append_keys(self, **keys: object) -> None:
        """Fields of every line from here on."""
        self._keys |= keys

    def remove_keys(self, keys: Iterable[str]) -> None:
        """No longer."""
        for key in keys:
            self._keys.pop(key, None)


class NoTracer:
    """Traces nothing."""

    @property
    def provider(self) -> NoTracer:
        """Itself."""
        return self

    def in_subsegment(self, name: str) -> AbstractContextManager[None]:
        """Nothing around it."""
        del name
        return nullcontext()

    def put_annotation(self, *_: object) -> None:
        """Nothing."""


class NoMetrics:
    """Counts nothing."""

    metric_set: Mapping[str, object] = {}

    def add_metric(self, *_: object) -> None:
        """Nothing."""
