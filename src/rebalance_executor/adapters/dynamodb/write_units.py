"""Write units of DynamoDB, and a pace that keeps a partition below its limit of them.

A write takes one unit per started KB of its item, and two in a transaction. A partition accepts 1,000 units per second,
whatever the table's capacity, and all items of a plan are in one partition.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta

from rebalance_executor.execution.ports import Clock

UNITS_PER_SECOND = 900
"""Units per second, at most: a partition's limit, less a reserve for requests that boto3 repeats."""

_UNIT_BYTES = 1024
_SECOND = timedelta(seconds=1)


def item_bytes(item: Mapping[str, str | int | bytes]) -> int:
    """Return the size of an item: its names and values. A number counts as its text."""
    size = 0
    for name, value in item.items():
        text = str(value) if isinstance(value, int) else value
        size += len(name) + len(text if isinstance(text, bytes) or text.isascii() else text.encode())
    return size


def transaction_units(item: Mapping[str, str | int | bytes]) -> int:
    """Return the write units of an item that is put in a transaction."""
    return 2 * -(-item_bytes(item) // _UNIT_BYTES)


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
