"""The machine's clock, and its randomness."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta


class SystemClock:
    """Implements ``Clock`` with the real time."""

    def now(self) -> datetime:
        """The time now, aware, UTC."""
        return datetime.now(UTC)

    def sleep(self, span: timedelta) -> None:
        """Wait in the invocation's own thread; a span that is over already waits for nothing."""
        time.sleep(max(span.total_seconds(), 0))


def new_run_id() -> str:
    """An identity that no other run ever had; the invocation's own request id comes again on its retries."""
    return uuid.uuid4().hex
