"""Drills: troubles that somebody who watches can switch on and off, to see whether a program gets over them.

Whether one is on is read from the world itself. Nothing else is touched when it is switched off: faults and rules of
a scenario stay as they are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from paper_broker.app import Venue

_SLOW = {"kind": "latency", "seconds": 1.5, "count": None}
_DOWN = {"kind": "status", "status": 503, "body": "html", "count": None}
_REJECT = {"error": {"status": 403, "code": 40310000, "message": "orders are refused: this is a drill"}}


@dataclass(frozen=True, slots=True)
class Drill:
    """One trouble."""

    title: str
    meaning: str
    is_on: Callable[[Venue], bool]
    begin: Callable[[Venue], None]
    end: Callable[[Venue], None]

    def switch(self, venue: Venue, *, on: bool) -> None:
        """Let it be so; twice is the same as once."""
        if self.is_on(venue) is not on:
            (self.begin if on else self.end)(venue)


def _fault(title: str, meaning: str, spec: Mapping[str, Any]) -> Drill:
    return Drill(
        title,
        meaning,
        is_on=lambda venue: venue.faults.holds(spec),
        begin=lambda venue: venue.faults.arm([spec]),
        end=lambda venue: venue.faults.disarm(spec),
    )


def _other_rules(venue: Venue) -> list[Mapping[str, Any]]:
    return [rule for rule in venue.exchange.fill_rules if rule != _REJECT]


DRILLS: Mapping[str, Drill] = {
    "slow": _fault("Slow", "every request is answered a second and a half late", _SLOW),
    "down": _fault("Down", "every request is answered 503, with a page of HTML", _DOWN),
    "reject": Drill(
        "Reject",
        "every new order is refused with 403",
        is_on=lambda venue: _REJECT in venue.exchange.fill_rules,
        begin=lambda venue: venue.merge({"fills": [_REJECT, *_other_rules(venue)]}),
        end=lambda venue: venue.merge({"fills": _other_rules(venue)}),
    ),
    "halt": Drill(
        "Halt",
        "orders are taken, and nothing is executed",
        is_on=lambda venue: venue.exchange.is_halted,
        begin=lambda venue: venue.merge({"halted": True}),
        end=lambda venue: venue.merge({"halted": False}),
    ),
}
"""By the name under which it is switched."""
