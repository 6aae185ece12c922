"""A figure, its comparison and its goal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


def orders_of(count: int) -> str:
    """Return the number of orders as text."""
    return "1 order" if count == 1 else f"{count} orders"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        point: name of the measured point.
        what: label of the figure.
        value: the median or the count; None if it could not be measured.
        unit: unit of the value.
        compared: the same figure of the naive handler, measured in the same run, or of what the label says.
        goal: limit of the value or of the ratio.
        goal_is: ``most`` or ``least`` of the value, or ``ratio`` for the most of value divided by compared.
        note: remark.
    """

    point: str
    what: str
    value: float | None
    unit: str
    compared: float | None = None
    goal: float | None = None
    goal_is: Literal["most", "least", "ratio"] = "most"
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Value divided by the compared figure."""
        return self.value / self.compared if self.compared and self.value is not None else None

    @property
    def met(self) -> bool | None:
        """True if the goal is met; None without a goal."""
        measured = self.ratio if self.goal_is == "ratio" else self.value
        if self.goal is None or measured is None:
            return None
        return measured >= self.goal if self.goal_is == "least" else measured <= self.goal
