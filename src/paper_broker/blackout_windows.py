"""Blackout windows: times of day at which the broker rejects some orders."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any, Protocol, Self

from paper_broker.formats import NEW_YORK, to_datetime


class OrderAttributes(Protocol):
    """The attributes of an order that a blackout window matches."""

    @property
    def side(self) -> str: ...
    @property
    def time_in_force(self) -> str: ...
    @property
    def fractional(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class BlackoutWindow:
    """A daily period in New York time in which matching orders are rejected. An attribute of None matches any order.

    Attributes:
        start: first blocked time.
        until: end of the period, exclusive.
        message: message of the rejection.
        side: ``buy`` or ``sell``.
        time_in_force: such as ``opg``.
        fractional: True for fractional and notional orders, False for orders in whole shares.
    """

    start: time
    until: time
    message: str
    side: str | None = None
    time_in_force: str | None = None
    fractional: bool | None = None

    @classmethod
    def parse(cls, spec: Mapping[str, Any]) -> Self:
        """Parse a window from a scenario. Its times are named ``from`` and ``until`` and look like ``09:27``.

        Raises:
            ValueError: an unknown field, or a missing or invalid time.
        """
        matches = {name: value for name, value in spec.items() if name in ("side", "time_in_force", "fractional")}
        if unknown := spec.keys() - matches.keys() - {"from", "until", "message"}:
            raise ValueError(f"Unknown blackout window fields: {sorted(unknown)}.")
        if not {"from", "until"} <= spec.keys():
            raise ValueError(f"The blackout window {dict(spec)} needs both from and until.")
        start, until = time.fromisoformat(spec["from"]), time.fromisoformat(spec["until"])
        return cls(start, until, str(spec.get("message", "orders are not accepted at this time")), **matches)

    def dump(self) -> dict[str, Any]:
        """Return the window as :meth:`parse` accepts it."""
        return {
            "from": self.start.isoformat(),
            "until": self.until.isoformat(),
            "message": self.message,
            "side": self.side,
            "time_in_force": self.time_in_force,
            "fractional": self.fractional,
        }

    def blocks(self, order: OrderAttributes, now: int) -> bool:
        """Return whether the order is rejected at ``now`` (nanoseconds since the epoch)."""
        return (
            self.side in (None, order.side)
            and self.time_in_force in (None, order.time_in_force)
            and self.fractional in (None, order.fractional)
            and self.start <= to_datetime(now).astimezone(NEW_YORK).time() < self.until
        )
