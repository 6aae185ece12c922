"""4. Requests to the broker and to DynamoDB by the number of orders."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import request_counts
from benchmarks.row import Row, orders_of

SIZES = (1, 8, 32, 50, 128)
_CONSTANT_UP_TO = 50
"""Number of orders up to which a write is one transaction."""


def measure() -> Iterator[Row]:
    """Count the requests."""
    for orders in SIZES:
        counted = request_counts.count(orders)
        yield Row("4 requests", f"broker, {orders_of(orders)}", counted.broker, "", goal=counted.broker_allowed)
        allowed = counted.database_allowed if orders <= _CONSTANT_UP_TO else None
        yield Row("4 requests", f"DynamoDB, {orders_of(orders)}", counted.database, "", goal=allowed)
