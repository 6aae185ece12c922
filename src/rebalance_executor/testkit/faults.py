"""What can go wrong, how often, and where: every call to the outside passes ``Crossing``.

A call is named like ``journal.write`` or ``broker.submit``. Before and after its effect the runner may be killed, the
answer may be lost, or another invocation may come in between. In a swarm every history draws which faults are
possible at all and how often, so that rare combinations are not drowned by common ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rebalance_executor.testkit.world import Invocation


class Killed(BaseException):
    """The process is gone. Nothing of it runs on: every later call it makes is swallowed by this, too."""


class Fault(StrEnum):
    """What can happen at one call."""

    KILL_BEFORE = "killed before the effect"
    KILL_AFTER = "killed after the effect"
    FAIL_BEFORE = "no answer, no effect"
    FAIL_AFTER = "no answer after the effect"
    LATE = "lands after its sender gave up"
    RATE_LIMIT = "429"
    HIDDEN = "404, found later"
    INTERRUPT = "another delivery in between"
    ZOMBIE = "frozen until others took over, then thawed"


class World(StrEnum):
    """What can happen between two deliveries, besides."""

    FOREIGN_ORDER = "somebody else's order"
    BROKER_CANCEL = "cancelled or expired by the broker"
    MARKET_MOVES = "the market moves"
    HALT = "a symbol is halted"
    RECORD_LOST = "front door's record deleted"
    DUPLICATE = "delivered twice"
    OTHER_CONTENT = "the same plan id with other content"
    LONG_PAUSE = "days in the dead letters"
    SKEW = "clocks disagree"
    KILL_SWITCH = "the kill switch"
    SHORT_LIFE = "little time until the time-out"


_MORE_AT_SUBMISSIONS = 4
"""Submissions are few among the calls, and matter most."""
LATENCY = timedelta(milliseconds=20)
"""What a call takes."""
LATEST = timedelta(seconds=14)
"""How long a submission can be under way: longer than the longest request, shorter than the lease outlasts it."""


@dataclass(slots=True)
class Crossing:
    """Decides at every call what happens there.

    Args:
        chance: the history's randomness; None where only ``script`` decides.
        odds: how often each fault happens at a call where it can.
        script: faults by the number of the call, for exhaustive sweeps.
    """

    chance: Random | None
    odds: Mapping[Fault, float] = field(default_factory=dict)
    script: Mapping[int, Fault] = field(default_factory=dict)
    calls: int = 0
    is_calm: bool = False
    """Faults have stopped."""
    happened: Counter[str] = field(default_factory=Counter)
    points: set[tuple[str, Fault]] = field(default_factory=set)
    """Where the runner was killed."""
    names: list[str] = field(default_factory=list)
    """Every call, in order."""

    def fault(self, name: str, running: Invocation) -> Fault | None:
        """What happens at this call, if anything."""
        self.calls += 1
        self.names.append(name)
        drawn = self.script.get(self.calls) if self.script else self._drawn(name, running)
        if drawn is not None:
            self.happened[drawn] += 1
            if drawn in (Fault.KILL_BEFORE, Fault.KILL_AFTER):
                self.points.add((name, drawn))
        return drawn

    def _drawn(self, name: str, running: Invocation) -> Fault | None:
        if self.chance is None or self.is_calm:
            return None
        roll = self.chance.random() / (_MORE_AT_SUBMISSIONS if name == "broker.submit" else 1)
        for fault, odds in self.odds.items():
            if roll < odds:
                return fault if _can(fault, name, running) else None
            roll -= odds
        return None


def _can(fault: Fault, name: str, running: Invocation) -> bool:
    if fault in (Fault.LATE, Fault.RATE_LIMIT):
        return name == "broker.submit"
    if fault is Fault.HIDDEN:
        return name == "broker.submit"
    if fault in (Fault.INTERRUPT, Fault.ZOMBIE):
        # A request under way while others take over is one that lands late; the lease outlasts the longest.
        return running.depth == 0 and name != "broker.submit"
    return True


def swarm(chance: Random) -> dict[Fault, float]:
    """Which faults a history knows, and how often each happens at a call."""
    known = [fault for fault in Fault if chance.random() < 0.5]
    total = chance.choice((0.0, 0.02, 0.06, 0.2)) if known else 0.0
    weights = [chance.random() for _ in known]
    whole = sum(weights) or 1.0
    return {fault: total * weight / whole for fault, weight in zip(known, weights, strict=True)}
