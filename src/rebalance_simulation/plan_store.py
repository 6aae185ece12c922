"""Plans in S3: objects with versions, read through the hook that every external call passes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import NoReturn

from rebalance_executor.domain.errors import InvalidInput, PlanSourceUnavailable
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
        self._versions: dict[str, list[bytes | None]] = {}
        """By object: its versions, None for a version that was deleted."""
        self._executed: dict[str, str] = {}
        """By object: the version that was executed. Each object is named by one event or message."""
        self._refused: set[str] = set()
        """Objects whose last request found nothing."""

    @property
    def executed_keys(self) -> list[str]:
        """Keys of the objects that a delivery executed."""
        return [url.removeprefix(f"s3://{BUCKET}/") for url in self._executed]

    def put(self, key: str, document: Mapping[str, object]) -> None:
        """Write a new version of an object."""
        self._versions.setdefault(key, []).append(json.dumps(document).encode())

    def delete(self, key: str, *, with_versions: bool) -> None:
        """Delete an object, and its versions or not."""
        versions = self._versions[key]
        self._versions[key] = [*([None] * len(versions) if with_versions else versions), None]

    def fetch(self, version: PlanVersion) -> tuple[bytes, PlanVersion]:
        """Return the document and the version that it is."""

        def read() -> tuple[bytes, PlanVersion]:
            versions = self._versions[version.key]
            number = int(version.version_id) if version.version_id is not None else len(versions)
            body = versions[number - 1]
            self._refused.discard(version.key)
            if body is None:
                self._refused.add(version.key)
                raise InvalidInput("plan_s3.key", f"version {number} of {version.key} does not exist")
            return body, PlanVersion(version.bucket, version.key, str(number), f"etag-{number}")

        return self._call("plans.fetch", with_timeouts(read, self._time_out))

    def check_executed(self, lines: Iterable[Line]) -> None:
        """Check in these log lines that every delivery of an event executes the version of the first one.

        Raises:
            Violation: a delivery executes another version, or is invalid although that version exists.
        """
        for _, _, event, fields in lines:
            if event == LogEvent.PLAN_INVALID and fields.get("field") == "plan_s3.key":
                self._check_refused()
            source = fields.get("source") if event == LogEvent.PLAN_RECEIVED else None
            if isinstance(source, str):
                key, _, version = source.partition("?")
                if self._executed.setdefault(key, version) != version:
                    raise Violation(f"{key} was executed as {self._executed[key]}, then as {version}")

    def _check_refused(self) -> None:
        for key in self._refused:
            number = int(self._executed[f"s3://{BUCKET}/{key}"].removeprefix("versionId="))
            if self._versions[key][number - 1] is not None:
                raise Violation(f"{key} is reported as deleted, version {number} was executed and exists")

    def _time_out(self) -> NoReturn:
        self._clock.advance(_TIMEOUT)
        raise PlanSourceUnavailable("no answer")
