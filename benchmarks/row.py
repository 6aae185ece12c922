"""A figure, its comparison and its goal."""

from __future__ import annotations

from dataclasses import dataclass


def orders_of(count: int) -> str:
    """Return the number of orders as text."""
    return "1 order" if count == 1 else f"{count} orders"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        point: number and name of the measured point.
        what: label of the figure.
        value: the median or the count.
        unit: unit of the value.
        compared: the same figure of a naive implementation, measured in the same run, or of the earlier system.
        goal: upper limit of the value.
        note: remark, for example why a goal is missed.
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
        """Value divided by the compared figure."""
        return self.value / self.compared if self.compared else None

    @property
    def met(self) -> bool | None:
        """True if the goal is met; None without a goal."""
        return None if self.goal is None else self.value <= self.goal
