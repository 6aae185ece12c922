"""What can go wrong, how often, and where: every call to the outside asks ``FaultInjector`` what happens to it.

A call is named like ``journal.write`` or ``broker POST /orders``. In a swarm every history draws which faults are
possible at all and how often, so that rare combinations are not drowned by common ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

SUBMIT = "broker POST /orders"


class Killed(BaseException):
    """The process is gone. Nothing of it runs on: every later call it makes is swallowed by this, too."""


class Fault(StrEnum):
    """What can happen at one call."""

    KILL_BEFORE = "killed before the effect"
    KILL_AFTER = "killed after the effect"
    NO_ANSWER = "time-out, no effect"
    LOST_ANSWER = "answer lost after the effect"
    THROTTLED = "the database is busy"
    REPEATED = "repeated by the SDK after its effect"
    LATE = "submission lands after its sender gave up"
    HIDDEN = "404 for a while, then found"
    RATE_LIMIT = "429"
    SERVER_ERROR = "5xx before the effect"
    HTML = "HTML page after the effect"
    GARBLED = "answer without its fields"
    UNAUTHORIZED = "401"
    INTERRUPT = "something else happens in between"
    ZOMBIE = "frozen until others took over, then thawed"
    PAUSE = "frozen for a while"
    DEADLINE = "the deadline comes"


KILLS = (Fault.KILL_BEFORE, Fault.KILL_AFTER)
_ANYWHERE = (*KILLS, Fault.NO_ANSWER, Fault.LOST_ANSWER, Fault.INTERRUPT, Fault.PAUSE, Fault.DEADLINE)
_BROKER = (Fault.RATE_LIMIT, Fault.SERVER_ERROR, Fault.HTML, Fault.GARBLED, Fault.UNAUTHORIZED)
_AT_SUBMISSIONS = (*_ANYWHERE, *_BROKER, Fault.LATE, Fault.HIDDEN)
_AT_BROKER = (*_ANYWHERE, *_BROKER, Fault.ZOMBIE)
_AT_DATABASE = (*_ANYWHERE, Fault.ZOMBIE)
_AT_TABLE = (*_AT_DATABASE, Fault.THROTTLED, Fault.REPEATED)


def possible(name: str) -> tuple[Fault, ...]:
    """The faults that can happen at a call of this name.

    No zombie wakes up between the last check of its time and the submission itself: nothing at the broker could
    fence that off. A request that is under way while others take over is a late one.
    """
    if name == SUBMIT:
        return _AT_SUBMISSIONS
    if name.startswith("broker"):
        return _AT_BROKER
    return _AT_TABLE if name.startswith(("journal", "book", "assets")) else _AT_DATABASE


_OFTEN = {
    Fault.LATE: (0.05, 0.2, 0.5),
    Fault.HIDDEN: (0.05, 0.2, 0.5),
    Fault.INTERRUPT: (0.01, 0.05, 0.2),
    Fault.KILL_BEFORE: (0.005, 0.02, 0.06),
    Fault.KILL_AFTER: (0.005, 0.02, 0.06),
}
"""How often a fault happens that is too rare otherwise: submissions are few, interruptions and kills must meet them."""


class EnvironmentEvent(StrEnum):
    """What can happen in the world besides."""

    FOREIGN_ORDER = "somebody else's order or trade"
    BROKER_ENDS = "cancelled or expired by the broker"
    BROKER_FILLS = "filled by the broker"
    MARKET_MOVES = "the market moves"
    NO_QUOTE = "one-sided or crossed quote"
    HALT = "a symbol is halted"
    RECORD_LOST = "front door's record deleted"
    RECORD_EXPIRED = "front door's record expired"
    BROKER_DOWN = "broker down for a while"
    DATABASE_DOWN = "database down for a while"
    KILL_SWITCH = "account halted or resumed by a person"
    ACCOUNT_BLOCKED = "account blocked at the broker"
    LONG_PAUSE = "days in the dead letters"


class Trait(StrEnum):
    """What a whole history can be like."""

    DUPLICATES = "messages are delivered twice"
    OTHER_CONTENT = "the same plan id with other content"
    SKEW = "clocks disagree"
    SHORT_LIFE = "little time until the time-out"
    NEAR_CLOSE = "the session ends soon"
    EARLY = "the session begins soon"
    TIGHT_LIMITS = "limits of the controls that bind"
    OVERRIDES = "symbols with a configuration of their own"
    OTHERWISE = "orders are worked otherwise"
    QUIET = "no faults at all"


RARE = {
    Trait.QUIET: 0.1,
    Trait.EARLY: 0.12,
    Trait.NEAR_CLOSE: 0.2,
    Trait.TIGHT_LIMITS: 0.25,
    Trait.OVERRIDES: 0.2,
    Trait.OTHERWISE: 0.25,
}
"""How many histories have a trait that is rarer than others: most of these leave less to be traded."""


@dataclass(slots=True)
class FaultInjector:
    """Decides at every call what happens there.

    Args:
        chance: the history's randomness; None where only ``script`` decides.
        odds: how often each fault happens at a call where it can.
        script: faults by the number of the call, for exhaustive sweeps; a call where it cannot happen has none.
        armed: by the name of the call, what happens at the next ones of that name; goes before the script.
    """

    chance: Random | None = None
    odds: Mapping[Fault, float] = field(default_factory=dict)
    script: Mapping[int, Fault] = field(default_factory=dict)
    armed: dict[str, list[Fault]] = field(default_factory=dict)
    calls: int = 0
    is_calm: bool = False
    """Faults have stopped."""
    happened: Counter[str] = field(default_factory=Counter)
    points: set[tuple[str, str]] = field(default_factory=set)
    """Where the program was killed: call, and before or after its effect."""
    names: list[str] = field(default_factory=list)
    """Every call so far, in order."""
    _tables: dict[str | tuple[Fault, ...], list[tuple[float, Fault]]] = field(default_factory=dict)
    """By the name of a call, and by what can happen at it."""

    def fault(self, name: str) -> Fault | None:
        """What happens at this call, if anything."""
        self.calls += 1
        self.names.append(name)
        if self.is_calm:
            return None
        if self.chance is None:
            waiting = self.armed.get(name)
            fault = waiting.pop(0) if waiting else self.script.get(self.calls)
            return fault if fault in possible(name) else None
        table = self._tables.get(name)
        if table is None:
            faults = possible(name)
            table = self._tables.get(faults)
            if table is None:
                table = self._tables[faults] = self._table(faults)
            self._tables[name] = table
        if not table:
            return None
        roll = self.chance.random()
        if roll >= table[-1][0]:
            return None
        return next(fault for bound, fault in table if roll < bound)

    def count(self, name: str, fault: Fault) -> None:
        """A fault really happened."""
        self.happened[fault] += 1
        if fault in KILLS:
            self.points.add((name, "before" if fault is Fault.KILL_BEFORE else "after"))

    def _table(self, faults: tuple[Fault, ...]) -> list[tuple[float, Fault]]:
        bound, table = 0.0, []
        for fault in faults:
            if odds := self.odds.get(fault, 0.0):
                bound += odds
                table.append((bound, fault))
        return table


def swarm(chance: Random) -> dict[Fault, float]:
    """Which faults a history knows, and how often each happens at a call."""
    kinds = [fault for fault in Fault if fault is not Fault.DEADLINE and chance.random() < 0.4]
    total = chance.choice((0.01, 0.03, 0.06, 0.12))
    weights = [chance.random() for _ in kinds]
    whole = sum(weights) or 1.0
    odds: dict[Fault, float] = {fault: total * weight / whole for fault, weight in zip(kinds, weights, strict=True)}
    for fault, often in _OFTEN.items():
        if fault in odds:
            odds[fault] = chance.choice(often)
    return odds
