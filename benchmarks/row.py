"""A figure, what it is compared with, and whether its goal is met."""

from __future__ import annotations

from dataclasses import dataclass


def orders_of(count: int) -> str:
    """The number in words for people."""
    return "1 order" if count == 1 else f"{count} orders"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        point: which of the eight things it belongs to.
        what: what was measured.
        value: the median, or the count.
        unit: of the value.
        compared: the same of what a user would run otherwise, measured in the same run or told of the earlier system.
        goal: the most it may be.
        note: which of several, or why a goal is missed.
    """

    point: str
    what: str
    value: float
    unit: str
    compared: float | None = None
    goal: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Of what it is compared with."""
        return self.value / self.compared if self.compared else None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        return None if self.goal is None else self.value <= self.goal
