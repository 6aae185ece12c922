"""Plans in S3: objects with versions, read through the hook that every external call passes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import NoReturn

from rebalance_executor.domain.errors import PlanSourceUnavailable
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.triggers import PlanVersion
from rebalance_simulation.calls import CallHook, with_timeouts
from rebalance_simulation.clock import SimulatedClock
from rebalance_simulation.log_capture import Line
from rebalance_simulation.violation import Violation

BUCKET = "plans"
_TIMEOUT = timedelta(seconds=3)
"""Duration of a request that gets no answer."""


class SimulatedPlanStore:
    """Implementation of ``PlanStore`` with the versions of each object.

    Args:
        call: hook that every request passes.
        clock: the time.
    """

    def __init__(self, call: CallHook, clock: SimulatedClock) -> None:
        self._call = call
        self._clock = clock
        self._versions: dict[str, list[bytes]] = {}
        self._executed: dict[str, str] = {}
        """By object: the version that was executed. Each object is named by one event or message."""

    @property
    def executed_keys(self) -> list[str]:
        """Keys of the objects that a delivery executed."""
        return [url.removeprefix(f"s3://{BUCKET}/") for url in self._executed]

    def put(self, key: str, document: Mapping[str, object]) -> None:
        """Write a new version of an object."""
        self._versions.setdefault(key, []).append(json.dumps(document).encode())

    def fetch(self, version: PlanVersion) -> tuple[bytes, PlanVersion]:
        """Return the document and the version that it is."""

        def read() -> tuple[bytes, PlanVersion]:
            versions = self._versions[version.key]
            number = int(version.version_id) if version.version_id is not None else len(versions)
            return versions[number - 1], PlanVersion(version.bucket, version.key, str(number), f"etag-{number}")

        return self._call("plans.fetch", with_timeouts(read, self._time_out))

    def check_executed(self, lines: Iterable[Line]) -> None:
        """Check in these log lines that every delivery of an event executes the version of the first one.

        Raises:
            Violation: a delivery executes another version.
        """
        for _, _, event, fields in lines:
            source = fields.get("source") if event == LogEvent.PLAN_RECEIVED else None
            if isinstance(source, str):
                key, _, version = source.partition("?")
                if self._executed.setdefault(key, version) != version:
                    raise Violation(f"{key} was executed as {self._executed[key]}, then as {version}")

    def _time_out(self) -> NoReturn:
        self._clock.advance(_TIMEOUT)
        raise PlanSourceUnavailable("no answer")
