"""Times on pages: UTC with New York beside it."""

from __future__ import annotations

from datetime import UTC, datetime

from rebalance_cli.formatting import NONE
from rebalance_executor.domain.session import new_york


def clock(at: datetime | None) -> str:
    """Return the time of day in UTC and in New York: ``20:45:00 UTC (15:45:00 New York)``."""
    return f"{at.astimezone(UTC):%H:%M:%S} UTC ({new_york(at):%H:%M:%S} New York)" if at is not None else NONE
