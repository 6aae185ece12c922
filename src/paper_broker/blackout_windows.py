"""Times of the day at which some orders are refused: around the auctions, and whatever else a scenario says."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from typing import Any, Protocol, Self

from paper_broker.formats import NEW_YORK, moment


class Asked(Protocol):
    """What a window looks at in an order."""

    @property
    def side(self) -> str: ...
    @property
    def time_in_force(self) -> str: ...
    @property
    def fractional(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Window:
    """Refuses the orders it matches between two New York times of every day; what it leaves open matches every order.

    Attributes:
        since: the first refused time.
        until: the first time that is not refused any more.
        message: of the refusal.
        side: ``buy`` or ``sell``.
        time_in_force: such as ``opg``.
        fractional: orders for parts of a share or for dollars, or only the others.
    """

    since: time
    until: time
    message: str
    side: str | None = None
    time_in_force: str | None = None
    fractional: bool | None = None

    @classmethod
    def parse(cls, spec: Mapping[str, Any]) -> Self:
        """Read a window from a scenario; its times are written ``from`` and ``until``, like ``09:27``.

        Raises:
            ValueError: for an unknown field, a missing or an unreadable time.
        """
        matches = {name: value for name, value in spec.items() if name in ("side", "time_in_force", "fractional")}
        if unknown := spec.keys() - matches.keys() - {"from", "until", "message"}:
            raise ValueError(f"Unknown window fields {sorted(unknown)}.")
        if not {"from", "until"} <= spec.keys():
            raise ValueError(f"A window is {dict(spec)}: write from and until.")
        since, until = time.fromisoformat(spec["from"]), time.fromisoformat(spec["until"])
        return cls(since, until, str(spec.get("message", "orders are not accepted at this time")), **matches)

    def dump(self) -> dict[str, Any]:
        """What :meth:`parse` takes."""
        return {
            "from": self.since.isoformat(),
            "until": self.until.isoformat(),
            "message": self.message,
            "side": self.side,
            "time_in_force": self.time_in_force,
            "fractional": self.fractional,
        }

    def refuses(self, order: Asked, now: int) -> bool:
        """Whether the order comes at the wrong time; ``now`` in nanoseconds since the epoch."""
        return (
            self.side in (None, order.side)
            and self.time_in_force in (None, order.time_in_force)
            and self.fractional in (None, order.fractional)
            and self.since <= moment(now).astimezone(NEW_YORK).time() < self.until
        )


AUCTION_WINDOWS = (
    Window(time(9, 28), time(19), "opg orders are not accepted between 9:28am and 7:00pm ET", time_in_force="opg"),
    Window(time(15, 50), time(19), "cls orders are not accepted between 3:50pm and 7:00pm ET", time_in_force="cls"),
)
"""Alpaca: too late for today's auction, too early for tomorrow's."""
