"""Faults, events and traits of a history, and ``FaultInjector``, which decides what happens at each external call.

A call has a name like ``journal.write`` or ``broker POST /orders``. Each history draws which faults are possible at all
and how likely each is (swarm testing), so that common faults do not hide rare combinations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

SUBMIT = "broker POST /orders"
"""Name of the call that submits an order."""
CANCEL = "broker DELETE /orders/{id}"
"""Name of the call that cancels an order."""

BARS = "broker GET /stocks/bars"
"""Name of the call that reads daily volumes."""


class Killed(BaseException):
    """End of a killed process. Every later call that the process makes raises it again."""


class Fault(StrEnum):
    """A fault at one external call."""

    KILL_BEFORE = "killed before the effect"
    KILL_AFTER = "killed after the effect"
    NO_ANSWER = "timeout before the effect"
    LOST_ANSWER = "timeout after the effect"
    THROTTLED = "throttled by the database"
    REPEATED = "retried by the SDK after the effect"
    LATE = "submission arrives after its timeout"
    HIDDEN = "submitted order not found for a while"
    RATE_LIMIT = "HTTP 429"
    SERVER_ERROR = "HTTP 503 before the effect"
    HTML = "HTTP 502 with HTML after the effect"
    GARBLED = "response without its fields"
    UNAUTHORIZED = "HTTP 401"
    FORBIDDEN = "HTTP 403 without a code: keys not accepted"
    GATEWAY = "HTTP 4xx without Alpaca's code after the effect"
    FIREWALL = "HTTP 4xx that is not JSON"
    REQUEST_TIMEOUT = "HTTP 408 after the effect"
    PATH_NOT_FOUND = "passing HTTP 404 of a path"
    BAD_ASSET = "passing HTTP 4xx with a code on an asset"
    NO_CANCEL = "cancel answered without effect"
    UNTYPED = "date, number or nesting beyond all bounds"
    SLOW = "answer takes nearly its whole timeout"
    CACHE_DENIED = "cache of asset flags or volumes not readable"
    INTERRUPT = "interrupted by an event or a delivery"
    ZOMBIE = "frozen beyond the timeout, then resumed"
    PAUSE = "frozen for a while"
    DEADLINE = "deadline reached"


KILLS = (Fault.KILL_BEFORE, Fault.KILL_AFTER)
OF_THE_PROCESS = (*KILLS, Fault.INTERRUPT, Fault.ZOMBIE, Fault.PAUSE, Fault.DEADLINE)
"""Faults of the process itself, and of its time."""
_ANYWHERE = (*KILLS, Fault.NO_ANSWER, Fault.LOST_ANSWER, Fault.INTERRUPT, Fault.PAUSE, Fault.DEADLINE)
WRONG_ANSWERS = (
    Fault.RATE_LIMIT,
    Fault.SERVER_ERROR,
    Fault.HTML,
    Fault.GARBLED,
    Fault.UNAUTHORIZED,
    Fault.FORBIDDEN,
    Fault.GATEWAY,
    Fault.FIREWALL,
    Fault.REQUEST_TIMEOUT,
    Fault.PATH_NOT_FOUND,
    Fault.UNTYPED,
    Fault.SLOW,
)
"""Wrong answers of the broker to any request."""
_AT_SUBMISSIONS = (*_ANYWHERE, *WRONG_ANSWERS, Fault.LATE, Fault.HIDDEN)
_AT_BROKER = (*_ANYWHERE, *WRONG_ANSWERS, Fault.ZOMBIE)
_AT_CANCELS = (*_AT_BROKER, Fault.NO_CANCEL)
_AT_ASSETS = (*_AT_BROKER, Fault.BAD_ASSET)
_AT_OTHER_CALLS = (*_ANYWHERE, Fault.ZOMBIE)
_AT_DYNAMODB = (*_AT_OTHER_CALLS, Fault.THROTTLED, Fault.REPEATED)
_AT_CACHES = (*_AT_DYNAMODB, Fault.CACHE_DENIED)
_AT_RECORDS = (*_AT_OTHER_CALLS, Fault.REPEATED)


_BY_PREFIX = {
    SUBMIT: _AT_SUBMISSIONS,
    CANCEL: _AT_CANCELS,
    "broker GET /assets": _AT_ASSETS,
    "broker": _AT_BROKER,
    "idempotency": _AT_RECORDS,
    "assets": _AT_CACHES,
    "volumes": _AT_CACHES,
    "journal": _AT_DYNAMODB,
    "risk_store": _AT_DYNAMODB,
    "delivery_log": _AT_DYNAMODB,
}
"""Possible faults by the beginning of a call's name; the first match counts."""


def possible_faults(name: str) -> tuple[Fault, ...]:
    """Return the faults that can happen at a call of this name.

    A submission never becomes a zombie: the broker could not fence off a process that resumes between its last check
    of the time and the request. A request that arrives after another run took over is ``Fault.LATE``.
    """
    return next((faults for prefix, faults in _BY_PREFIX.items() if name.startswith(prefix)), _AT_OTHER_CALLS)


_PROBABILITIES = {
    Fault.LATE: (0.05, 0.2, 0.5),
    Fault.HIDDEN: (0.05, 0.2, 0.5),
    Fault.INTERRUPT: (0.01, 0.05, 0.2),
    Fault.NO_CANCEL: (0.1, 0.5),
    Fault.CACHE_DENIED: (0.2, 1),
    Fault.BAD_ASSET: (0.1, 0.5),
    Fault.KILL_BEFORE: (0.005, 0.02, 0.06),
    Fault.KILL_AFTER: (0.005, 0.02, 0.06),
}
"""Probabilities of faults that would be too rare otherwise: submissions are few, and kills must hit every call."""


class EnvironmentEvent(StrEnum):
    """An event outside the program."""

    FOREIGN_ORDER = "order of another user"
    BROKER_ENDS = "order canceled or expired by the broker"
    BROKER_FILLS = "order filled by the broker"
    MARKET_MOVES = "market moves"
    NO_QUOTE = "one-sided or crossed quote"
    HALT = "symbol halted"
    RECORD_DELETED = "idempotency records deleted"
    RECORD_EXPIRED = "idempotency records expired"
    BROKER_DOWN = "broker down for a while"
    DATABASE_DOWN = "database down for a while"
    KILL_SWITCH = "kill switch set by an operator"
    ACCOUNT_BLOCKED = "account blocked by the broker"
    LONG_PAUSE = "days in the dead-letter queue"
    POSITION_CLOSED = "person closes a position"
    POSITION_HALVED = "person sells half of a position"
    CASH_SPENT = "person spends all buying power"
    POSITION_OPENED = "person opens a position"
    FLAGS_CHANGED = "asset not tradable or not fractionable for a while"
    OWN_ORDER_CHANGED = "own live order renamed or resized by the broker"
    PLAN_REPLACED = "plan in S3 replaced by another one, or deleted"


class Trait(StrEnum):
    """A property of a whole history."""

    DUPLICATES = "messages delivered more than once"
    OTHER_CONTENT = "same plan ID with different content"
    SKEW = "clock skew"
    SHORT_TIMEOUT = "short timeout"
    NEAR_CLOSE = "market closes soon"
    NEAR_OPEN = "market opens soon"
    TIGHT_LIMITS = "binding limits"
    OVERRIDES = "configuration per symbol"
    UNUSUAL_SETTINGS = "unusual execution settings"
    NO_FAULTS = "no faults"
    SHORT_PAGES = "lists in short pages"
    REVERSED_LISTS = "lists in reversed order"
    LATE_LISTS = "lists of orders of some seconds ago"
    FOREIGN_ROWS = "rows in lists that were not asked for"
    LATE_ACCOUNT = "cash and positions of some seconds ago"
    FUTURE_QUOTES = "quotes of the future"
    LATE_FILLS = "fills reported after the end of their order"
    TEN_DECIMALS = "positions with ten decimals"
    NO_CACHE = "caches never readable"
    NO_VOLUMES = "daily volumes never readable"
    LOST_DELIVERY = "delivery of a started plan never comes back"
    TWO_NAMES = "two account names with one broker account"
    REJECTS = "broker rejects most orders"
    BUSY_PERSON = "person trades during every run"
    MANY_PLANS = "many plans for the cash of one"
    POINTERS = "plans in S3, named without a version"
    HALF_CENTS = "symbols with half-cent ticks"
    TARGETS = "plans sized by their targets"
    PATIENT = "patient plans"
    LARGE = "orders many times the displayed size"
    DISPLAYED_FILLS = "orders filled in pieces of the displayed size"
    ONE_TICK = "spreads of one tick"
    SUB_SHARE = "orders below one share"
    SLICE_SETTINGS = "unusual settings of slices"
    AUCTIONS = "orders in auctions"
    TOGETHER = "orders sent together"


RARE = {
    Trait.NO_FAULTS: 0.1,
    Trait.NEAR_OPEN: 0.12,
    Trait.NEAR_CLOSE: 0.2,
    Trait.TIGHT_LIMITS: 0.25,
    Trait.OVERRIDES: 0.2,
    Trait.UNUSUAL_SETTINGS: 0.25,
    Trait.POINTERS: 0.06,
    Trait.SHORT_PAGES: 0.06,
    Trait.REVERSED_LISTS: 0.06,
    Trait.LATE_LISTS: 0.08,
    Trait.FOREIGN_ROWS: 0.06,
    Trait.LATE_ACCOUNT: 0.06,
    Trait.FUTURE_QUOTES: 0.1,
    Trait.LATE_FILLS: 0.12,
    Trait.TEN_DECIMALS: 0.1,
    Trait.NO_CACHE: 0.06,
    Trait.NO_VOLUMES: 0.06,
    Trait.LOST_DELIVERY: 0.15,
    Trait.TWO_NAMES: 0.1,
    Trait.REJECTS: 0.06,
    Trait.BUSY_PERSON: 0.12,
    Trait.MANY_PLANS: 0.1,
    Trait.TARGETS: 0.2,
    Trait.PATIENT: 0.15,
    Trait.LARGE: 0.2,
    Trait.DISPLAYED_FILLS: 0.2,
    Trait.ONE_TICK: 0.2,
    Trait.SUB_SHARE: 0.1,
    Trait.SLICE_SETTINGS: 0.2,
}
"""Probabilities of the traits that are rarer than others, because most of them leave less to trade."""


class Situation(StrEnum):
    """A way in which an order was worked. Histories count them; nothing draws them."""

    SLICE = "order of a slice"
    SLICE_OF_A_LATER_RUN = "order of a slice, not of the first run"
    SHORT_HORIZON = "order of a slice of a shortened horizon"
    PARTICIPATION = "order of a slice bounded by the average volume"
    JOIN = "order at our own side of a spread of one tick"
    PATIENT = "order of a patient plan"
    SUB_SHARE = "order below one share"
    HIDDEN = "limit that is displayed in part"


@dataclass(slots=True)
class FaultInjector:
    """Source of the faults at external calls.

    Args:
        rng: the history's random numbers; None if only ``script`` and ``queued`` decide.
        probabilities: probability of each fault at a call where it is possible.
        script: faults by number of the call, for sweeps. A fault that is not possible at its call is dropped.
        queued: faults of the next calls, by name of the call; they precede the script.
    """

    rng: Random | None = None
    probabilities: Mapping[Fault, float] = field(default_factory=dict)
    script: Mapping[int, Fault] = field(default_factory=dict)
    queued: dict[str, list[Fault]] = field(default_factory=dict)
    calls: int = 0
    """Number of calls so far."""
    is_stopped: bool = False
    """True once faults have stopped."""
    fault_counts: Counter[str] = field(default_factory=Counter)
    crash_points: set[tuple[str, str]] = field(default_factory=set)
    """Calls at which the program was killed, each with ``before`` or ``after``."""
    call_names: list[str] = field(default_factory=list)
    """Names of all calls so far, in order."""
    _tables: dict[str | tuple[Fault, ...], list[tuple[float, Fault]]] = field(default_factory=dict)
    """Cumulative probabilities, by name of the call and by its possible faults."""

    def next_fault(self, name: str) -> Fault | None:
        """Count the call and return the fault that happens at it, if any."""
        self.calls += 1
        self.call_names.append(name)
        if self.is_stopped:
            return None
        if self.rng is None:
            queued = self.queued.get(name)
            fault = queued.pop(0) if queued else self.script.get(self.calls)
            return fault if fault in possible_faults(name) else None
        table = self._tables.get(name)
        if table is None:
            faults = possible_faults(name)
            table = self._tables.get(faults)
            if table is None:
                table = self._tables[faults] = self._table(faults)
            self._tables[name] = table
        if not table:
            return None
        roll = self.rng.random()
        if roll >= table[-1][0]:
            return None
        return next(fault for bound, fault in table if roll < bound)

    def record(self, name: str, fault: Fault) -> None:
        """Count a fault that was injected."""
        self.fault_counts[fault] += 1
        if fault in KILLS:
            self.crash_points.add((name, "before" if fault is Fault.KILL_BEFORE else "after"))

    def _table(self, faults: tuple[Fault, ...]) -> list[tuple[float, Fault]]:
        bound, table = 0.0, []
        for fault in faults:
            if probability := self.probabilities.get(fault, 0.0):
                bound += probability
                table.append((bound, fault))
        return table


def draw_probabilities(rng: Random) -> dict[Fault, float]:
    """Draw the faults that a history can have, each with its probability at one call."""
    kinds = [fault for fault in Fault if fault is not Fault.DEADLINE and rng.random() < 0.4]
    total = rng.choice((0.01, 0.03, 0.06, 0.12))
    weights = [rng.random() for _ in kinds]
    weight_sum = sum(weights) or 1.0
    drawn: dict[Fault, float] = {
        fault: total * weight / weight_sum for fault, weight in zip(kinds, weights, strict=True)
    }
    for fault, probabilities in _PROBABILITIES.items():
        if fault in drawn:
            drawn[fault] = rng.choice(probabilities)
    return drawn
