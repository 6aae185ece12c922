"""The size of a parent: shares, a multiple of the displayed size, or a part of the day's volume."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from benchmarks.replay.tape import Tape
from benchmarks.replay.ticks import Day


class Unit(StrEnum):
    """What the number of a size counts."""

    SHARES = ""
    DISPLAYED = "x"
    """Sizes displayed at the far touch at arrival."""
    VOLUME = "%"
    """Hundredths of the day's volume on exchanges."""


@dataclass(frozen=True, slots=True)
class Size:
    """Size of every parent of a run."""

    number: Decimal
    unit: Unit

    @classmethod
    def parse(cls, text: str) -> Size:
        """Return the size of a text such as ``100``, ``20x`` or ``0.5%``.

        Raises:
            ValueError: the text is not a positive number with one of these units.
        """
        unit = next((unit for unit in (Unit.DISPLAYED, Unit.VOLUME) if text.endswith(unit)), Unit.SHARES)
        try:
            number = Decimal(text.removesuffix(unit))
        except InvalidOperation:
            number = Decimal(0)
        if not number.is_finite() or number <= 0:
            raise ValueError(
                f"{text!r} is no size; write shares (100), multiples of the display (20x) or volume (0.5%)"
            )
        return cls(number, unit)

    def shares(self, day: Day, tape: Tape, at: int) -> Decimal:
        """Return the shares of a parent that arrives at ``at``; at least one share if they are not given as shares."""
        if self.unit is Unit.SHARES:
            return self.number
        displayed = tape.quotes.ask_sizes[max(tape.state_at(at), 0)]
        whole = self.number * displayed if self.unit is Unit.DISPLAYED else self.number * day.volume / 100
        return Decimal(max(1, int(whole)))

    def __str__(self) -> str:
        """Return the text that it was parsed from."""
        return f"{self.number}{self.unit}"
