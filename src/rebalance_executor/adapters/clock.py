"""The system clock and run IDs."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta


class SystemClock:
    """Implementation of ``Clock`` with the real time."""

    def now(self) -> datetime:
        """Return the current time, aware, UTC."""
        return datetime.now(UTC)

    def sleep(self, duration: timedelta) -> None:
        """Wait in the invocation's thread. Return at once if ``duration`` is negative."""
        time.sleep(max(duration.total_seconds(), 0))


def new_run_id() -> str:
    """Return a unique run ID. Lambda's request ID would not be unique: an invocation's retries share it."""
    return uuid.uuid4().hex
