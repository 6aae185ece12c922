"""Write units of DynamoDB, and a pace that keeps a partition below its limit of them.

A write takes one unit per started KB of its item, and two in a transaction. A partition accepts 1,000 units per second,
whatever the table's capacity, and all items of a plan are in one partition.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from rebalance_executor.execution.ports import Clock

UNITS_PER_SECOND = 900
"""Units per second, at most: a partition's limit, less a reserve for requests that boto3 repeats."""

_UNIT_BYTES = 1024
_SECOND = timedelta(seconds=1)


def item_bytes(attributes: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the size of an item in DynamoDB's JSON: its names and values. A number counts as its text."""
    return sum(
        len(name.encode()) + len(value if isinstance(value, bytes) else value.encode())
        for name, attribute in attributes.items()
        for value in attribute.values()
    )


def item_units(attributes: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the write units of an item, outside of transactions."""
    return max(1, -(-item_bytes(attributes) // _UNIT_BYTES))


def action_units(request: Mapping[str, Any]) -> int:
    """Return the write units of one action of a transaction.

    The items of updates and conditions are not known here. They are leases, runs and plans, which are below 1 KB
    unless their names are very long.
    """
    return 2 * (item_units(request["Put"]["Item"]) if "Put" in request else 1)


class WritePace:
    """Delays transactions so that those of any second take at most ``UNITS_PER_SECOND``.

    All transactions of the table count, as if they had one partition. A transaction that takes more by itself waits
    for an empty second. No wait is longer than a second, which the reserve of a lease covers.

    Args:
        clock: waits.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sent: deque[tuple[datetime, int]] = deque()

    def wait(self, units: int) -> None:
        """Wait until a transaction of so many units may be sent, and count it."""
        now = self._clock.now()
        while self._sent and self._sent[0][0] <= now - _SECOND:
            self._sent.popleft()
        left = UNITS_PER_SECOND - units
        for at, earlier in reversed(self._sent):
            left -= earlier
            if left < 0:
                self._clock.sleep(min(at + _SECOND - now, _SECOND))
                now = self._clock.now()
                break
        self._sent.append((now, units))
