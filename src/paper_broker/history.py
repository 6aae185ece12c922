"""The history of quotes: changes by scenario are recorded, the steps of the random walk between them are repeated."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple, Protocol

from paper_broker.formats import MINUTE, ONE, SECOND, JsonObject, duration, json_number

CENT = "0.01"
_SUB_DOLLAR_TICK = Decimal("0.0001")
_LONGEST = 5 * 24 * 60 * MINUTE
"""Age from which changes are forgotten."""
_MOST_CHANGES = 2000
"""Recorded changes per symbol."""
_MOST_STEPS = 200_000
"""Repeated steps that are kept for the next request."""


def on_tick(price: Decimal, tick_size: str = CENT) -> Decimal:
    """Return the nearest valid price: a multiple of the tick size from one dollar up, four decimals below."""
    step = Decimal(tick_size) if price >= ONE else _SUB_DOLLAR_TICK
    return (price / step).to_integral_value(ROUND_HALF_EVEN) * step


class QuotePrices(Protocol):
    """The attributes of a quote that are a level."""

    @property
    def bid(self) -> Decimal: ...
    @property
    def ask(self) -> Decimal: ...
    @property
    def bid_size(self) -> int: ...
    @property
    def ask_size(self) -> int: ...


class Level(NamedTuple):
    """Best bid and offer, in dollars and shares. A price of zero is no quote on that side."""

    bid: Decimal
    ask: Decimal
    bid_size: int
    ask_size: int

    @classmethod
    def of(cls, quote: QuotePrices) -> "Level":
        """Return the level of a quote."""
        return cls(quote.bid, quote.ask, quote.bid_size, quote.ask_size)

    @property
    def mid(self) -> Decimal:
        """Midpoint, not rounded."""
        return (self.bid + self.ask) / 2

    @property
    def has_both_sides(self) -> bool:
        """True if there is a bid and an ask."""
        return self.bid > 0 and self.ask > 0

    def to_json(self, at: str) -> JsonObject:
        """Return the quote as market data has it."""
        return {
            "t": at,
            "bp": json_number(self.bid),
            "bs": self.bid_size,
            "bx": "V",
            "ap": json_number(self.ask),
            "as": self.ask_size,
            "ax": "V",
            "c": ["R"],
            "z": "C",
        }


@dataclass(frozen=True, slots=True)
class Walk:
    """A random walk of all quotes: at each step every quote moves by up to some basis points."""

    seed: int
    length: int
    """Nanoseconds per step."""
    basis_points: float

    @classmethod
    def parse(cls, seed: int, drift: Mapping[str, Any] | None) -> "Walk | None":
        """Return the walk of ``drift`` of a scenario, or None without one."""
        if not drift:
            return None
        length = max(duration(drift.get("step_seconds", 1)), SECOND // 1000)
        return cls(seed, length, float(drift.get("basis_points", 2)))

    def move(self, symbol: str, step: int, level: Level, tick_size: str) -> Level:
        """Return the level after a step; it stays if it has one side only, or would be crossed."""
        rng = Random(f"{self.seed}:{symbol}:{step}")  # noqa: S311 - reproducible prices, no secret
        factor = ONE + Decimal(round(rng.uniform(-self.basis_points, self.basis_points), 4)) / 10_000
        bid, ask = on_tick(level.bid * factor, tick_size), on_tick(level.ask * factor, tick_size)
        if level.has_both_sides and 0 < bid < ask:
            return level._replace(bid=bid, ask=ask)
        return level


class Segment(NamedTuple):
    """A level from ``at`` (nanoseconds since the epoch) on, and the walk that moves it until the next segment."""

    at: int
    step: int | None
    """Last step of the walk that the level has; None without a walk."""
    walk: Walk | None
    level: Level

    def dump(self) -> list[Any]:
        """Return the segment as :meth:`load` accepts it, ready for JSON."""
        walk = None if self.walk is None else [self.walk.seed, self.walk.length, self.walk.basis_points]
        bid, ask, *sizes = self.level
        return [self.at, self.step, walk, str(bid), str(ask), *sizes]

    @classmethod
    def load(cls, values: list[Any]) -> "Segment":
        """Return a dumped segment."""
        at, step, walk, bid, ask, bid_size, ask_size = values
        level = Level(Decimal(bid), Decimal(ask), bid_size, ask_size)
        return cls(at, step, None if walk is None else Walk(*walk), level)


class QuoteHistory:
    """The quotes of the last days, by symbol."""

    def __init__(self) -> None:
        self._segments: dict[str, deque[Segment]] = {}
        self._steps: dict[tuple[str, int], list[Level]] = {}
        """Levels after each step of a segment, by symbol and start of the segment."""

    def note(self, symbol: str, segment: Segment) -> None:
        """Record a change. Of several at the same time the last one counts."""
        segments = self._segments.setdefault(symbol, deque(maxlen=_MOST_CHANGES))
        if segments and segments[-1].at == segment.at:
            segments.pop()
            self._steps.pop((symbol, segment.at), None)
        if segments and segment.walk is None and segments[-1][1:] == segment[1:]:
            return
        segments.append(segment)
        while len(segments) > 1 and segments[1].at <= segment.at - _LONGEST:
            segments.popleft()

    def begins_at(self, symbol: str) -> int | None:
        """Return the time from which the quotes of a symbol are known."""
        segments = self._segments.get(symbol)
        return segments[0].at if segments else None

    def levels(self, symbol: str, start: int, end: int, tick_size: str) -> Iterator[tuple[int, Level]]:
        """Return the changes from ``start`` to ``end``, both included, after the level that applies at ``start``.

        Args:
            symbol: the symbol.
            start: nanoseconds since the epoch.
            end: nanoseconds since the epoch.
            tick_size: price step of the symbol.
        """
        latest: tuple[int, Level] | None = None
        for segment, until in self._bounded(symbol, end):
            if until <= start:
                continue
            for at, level in self._of_segment(symbol, segment, (start, until), tick_size):
                if latest is not None and latest[0] <= start < at:
                    yield latest
                if at > start and (latest is None or latest[1] != level):
                    yield at, level
                latest = at, level
        if latest is not None and latest[0] <= start:
            yield latest

    def _bounded(self, symbol: str, end: int) -> list[tuple[Segment, int]]:
        """Return the segments up to ``end``, each with its exclusive end."""
        known = [segment for segment in self._segments.get(symbol, ()) if segment.at <= end]
        ends = [following.at for _, following in pairwise(known)] + [end + 1]
        return list(zip(known, ends, strict=False))

    def _of_segment(
        self, symbol: str, segment: Segment, span: tuple[int, int], tick_size: str
    ) -> Iterator[tuple[int, Level]]:
        """Return the levels of a segment from the one that applies at the start of the span, to its exclusive end."""
        start, until = span
        if segment.walk is None or segment.step is None:
            yield segment.at, segment.level
            return
        length, first = segment.walk.length, segment.step
        count = max((until - 1) // length - first, 0)
        levels = self._repeated(symbol, segment, count, tick_size)
        applies = min(max(start // length - first, 0), count)
        if not applies:
            yield segment.at, segment.level
        for number in range(max(applies, 1), count + 1):
            yield (first + number) * length, levels[number - 1]

    def _repeated(self, symbol: str, segment: Segment, count: int, tick_size: str) -> list[Level]:
        """Return the levels after the first steps of a segment, at least so many."""
        levels = self._steps.get((symbol, segment.at))
        if levels is None:
            if sum(map(len, self._steps.values())) > _MOST_STEPS:
                self._steps.clear()
            levels = self._steps[symbol, segment.at] = []
        level = levels[-1] if levels else segment.level
        for number in range(len(levels) + 1, count + 1):
            if segment.walk is not None and segment.step is not None:
                level = segment.walk.move(symbol, segment.step + number, level, tick_size)
            levels.append(level)
        return levels

    def dump(self) -> JsonObject:
        """Return the recorded changes, ready for JSON."""
        return {symbol: [s.dump() for s in segments] for symbol, segments in self._segments.items()}

    def load(self, state: JsonObject) -> None:
        """Restore dumped changes."""
        self._segments = {
            symbol: deque(map(Segment.load, segments), maxlen=_MOST_CHANGES) for symbol, segments in state.items()
        }
        self._steps.clear()
